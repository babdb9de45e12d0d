"""What transforms that are fitted to data share: reading batches in float64, covariances, and loading a saved fit."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = [
    "Batches",
    "Fitted",
    "Moments",
    "covariance",
    "fixed_signs",
    "floating",
    "principal_axes",
    "read_batches",
    "wide",
]

Batches = Iterable[Tensor | tuple[Any, ...] | list[Any]]


def read_batches(x: Tensor | Batches) -> Iterator[Tensor]:
    """Yield the samples, batch by batch; batches without samples are left out.

    Parameters
    ----------
    x
        Samples (N, ...), or batches of them, such as a `DataLoader`. Of a batch that is a tuple or list, the first
        entry counts.

    Raises
    ------
    TypeError
        If a batch is not a tensor.
    ValueError
        If a batch is not of shape (N, ...), with features.

    Examples
    --------
    >>> [len(batch) for batch in read_batches([(torch.ones(3, 2), "labels"), torch.ones(0, 2), torch.ones(1, 2)])]
    [3, 1]
    """
    for batch in [x] if isinstance(x, Tensor) else x:
        samples = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(samples, Tensor):
            raise TypeError(f"a batch of x must be a tensor, got {type(samples).__name__}")
        if samples.ndim < 2 or 0 in samples.shape[1:]:
            raise ValueError(f"x must have shape (N, ...), with features, got {tuple(samples.shape)}")
        if len(samples):
            yield samples


def wide(x: Tensor, name: str = "x") -> Tensor:
    """Return samples in float64, on the CPU where their device has no float64; `name` is that of the message.

    Raises
    ------
    TypeError
        If the numbers are complex.
    ValueError
        If a number is not finite.

    Examples
    --------
    >>> x = wide(torch.tensor([[1, 2]], dtype=torch.uint8))
    >>> x.dtype, x.tolist()
    (torch.float64, [[1.0, 2.0]])
    """
    if x.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {x.dtype}")
    values = x.to(_float64_device(x.device), torch.float64)
    if not values.sum().isfinite() and not values.isfinite().all():  # a sum is fast, but may overflow
        raise ValueError(f"{name} must hold finite numbers")
    return values


def floating(x: Tensor) -> Tensor:
    """Return numbers with a fraction: integers in torch's default dtype.

    Examples
    --------
    >>> floating(torch.tensor([1, 2])).dtype == torch.get_default_dtype()
    True
    """
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


class Moments(NamedTuple):
    """What `covariance` found in some samples."""

    n: int
    """How many samples there were."""
    mean: Tensor
    """(D,), or (C, D) of C groups; float64, as is the covariance."""
    covariance: Tensor
    """(D, D), or (C, D, D)."""
    like: Tensor
    """An empty tensor of the samples' device and dtype (integers: default dtype), for what is computed from these."""


def covariance(batches: Iterable[Tensor]) -> Moments:
    r"""Find mean and covariance in one pass over batches of vectors, dividing by N - 1.

    .. math:: m = \frac{1}{N} \sum_i x_i, \qquad S = \frac{1}{N - 1} \sum_i (x_i - m)(x_i - m)^\top

    Sums are kept in float64, about the mean of the first batch: about zero, data far from zero would cancel.

    Parameters
    ----------
    batches
        Vectors (n, D), of any number n in each batch but 0, at least 2 in all. Or (C, n, D): C groups of vectors, each
        with a covariance of its own.

    Raises
    ------
    ValueError
        If there are fewer than 2 vectors, batches do not fit each other, or a number is not finite.

    Examples
    --------
    >>> moments = covariance([torch.tensor([[1, 7]]), torch.tensor([[3, 7], [5, 7]])])
    >>> moments.n, moments.mean.tolist(), moments.covariance.tolist()
    (3, [3.0, 7.0], [[4.0, 0.0], [0.0, 0.0]])
    """
    rest = iter(batches)
    first = next(rest, None)
    if first is None:
        raise ValueError("x must hold at least 2 samples, got 0")
    about = wide(first).mean(dim=-2)
    n, total, scatter = 0, torch.zeros_like(about), about.new_zeros(*about.shape, about.shape[-1])
    for batch in chain([first], rest):
        if batch.shape[:-2] + batch.shape[-1:] != about.shape:
            raise ValueError(f"x must have {about.shape[-1]} features in all batches, got {tuple(batch.shape)}")
        values = wide(batch) - about[..., None, :]
        n, total, scatter = n + values.shape[-2], total + values.sum(dim=-2), scatter + values.mT @ values
    if n < 2:
        raise ValueError(f"x must hold at least 2 samples, got {n}")
    offset = total / n
    scatter = scatter - n * (offset[..., :, None] * offset[..., None, :])
    return Moments(n, about + offset, scatter / (n - 1), floating(first[:0]))


def principal_axes(matrix: Tensor, k: int | None = None) -> tuple[Tensor, Tensor]:
    r"""Return all eigenvalues of symmetric matrices, the largest first, and the first k eigenvectors.

    .. math:: S = V^\top \Lambda V

    Parameters
    ----------
    matrix
        *S*, (..., D, D).
    k
        How many eigenvectors; ``None``: all *D*.

    Returns
    -------
    values, axes : Tensor
        (..., D), and *V* (..., k, D), whose rows are the eigenvectors, with `fixed_signs`. An eigenvalue that is 0 may
        come out as small as rounding makes it, and negative.

    Examples
    --------
    >>> principal_axes(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    (tensor([3., 2.]), tensor([[0., 1.],
            [1., 0.]]))
    """
    values, vectors = torch.linalg.eigh(matrix)  # ascending
    return values.flip(-1), fixed_signs(vectors.mT.flip(-2)[..., :k, :])


def fixed_signs(axes: Tensor) -> Tensor:
    """Turn the vectors (..., k, D) so that the entry of largest magnitude in each is positive, as in scikit-learn.

    Examples
    --------
    >>> fixed_signs(torch.tensor([[1.0, -2.0], [3.0, 1.0]]))
    tensor([[-1.,  2.],
            [ 3.,  1.]])
    """
    largest = axes.gather(-1, axes.abs().argmax(dim=-1, keepdim=True))
    return axes * largest.sign()


class Fitted(nn.Module, ABC):
    """A transform whose buffers come from data, or from a saved fit of any number of features.

    A subclass registers its buffers, empty, and says in `fits` which shapes a fit of it may have. Loading is all or
    nothing: a state that does not load leaves the transform as it was.

    Examples
    --------
    >>> class Shift(Fitted):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.register_buffer("by", torch.zeros(0))
    ...     def fits(self, shapes):
    ...         return len(shapes["by"]) == 1
    >>> shift = Shift()
    >>> shift.load_state_dict({"by": torch.ones(3)})
    <All keys matched successfully>
    >>> shift.by
    tensor([1., 1., 1.])
    """

    @abstractmethod
    def fits(self, shapes: Mapping[str, torch.Size]) -> bool:
        """Tell whether saved buffers of these shapes are a fit of this transform."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        trial = copy.deepcopy(self)
        trial._make_room({name: state_dict.get(prefix + name) for name, _ in self.named_buffers()})
        before = len(missing_keys) + len(error_msgs)
        super(Fitted, trial)._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if len(missing_keys) + len(error_msgs) == before:
            for name, buffer in trial.named_buffers():
                setattr(self, name, buffer)

    def _make_room(self, saved: Mapping[str, Any]) -> None:
        """Resize the buffers to those of a saved fit, if it is one of this transform."""
        shapes = {name: value.shape for name, value in saved.items() if isinstance(value, Tensor)}
        if len(shapes) == len(saved) and self.fits(shapes):
            for name, shape in shapes.items():
                setattr(self, name, getattr(self, name).new_zeros(shape))


def _float64_device(device: torch.device) -> torch.device:
    """Return the device, or the CPU where the device has no float64."""
    try:
        torch.zeros(1, device=device, dtype=torch.float64)
    except (TypeError, RuntimeError):
        return torch.device("cpu")
    return device
