"""Bring features to a common place and scale: rescale to a range, subtract the mean, standardize, clip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Self

import torch
from torch import Tensor, nn

from tricks_lib.data.fitted import Batches, Fitted, floating, read_batches, wide

__all__ = ["Center", "Clip", "Rescale", "Standardize", "extremes", "moments"]

Axes = Sequence[int] | None


def extremes(x: Tensor | Batches, axes: Axes = (0,)) -> tuple[Tensor, Tensor]:
    """Find the smallest and the largest value of each feature, in one pass over the data.

    Parameters
    ----------
    x
        Samples (N, ...), N >= 1, or batches of them, such as a `DataLoader`. Of a batch that is a tuple or list, the
        first entry counts.
    axes
        The dimensions over which to search, the samples (0) among them: ``(0,)`` for each feature, ``(0, 2, 3)`` for
        each channel of images, ``None`` for all values together. Along `axes`, batches may differ in size.

    Returns
    -------
    smallest, largest : Tensor
        Of the shape of one sample, with size 1 along the other `axes`; of shape () if `axes` is ``None``. Device and
        dtype are those of the samples (integers: default dtype).

    Raises
    ------
    ValueError
        If there are no samples, shapes do not fit, a number is not finite, or `axes` is wrong.
    TypeError
        If a batch is not a tensor.

    Examples
    --------
    >>> extremes(torch.tensor([[1.0, 7.0], [3.0, 5.0]]))
    (tensor([1., 5.]), tensor([3., 7.]))
    """
    like, batches, dims = _open(x, axes)
    pairs = ((batch.amin(dims, keepdim=True), batch.amax(dims, keepdim=True)) for batch in batches)
    smallest, largest = next(pairs)
    for low, high in pairs:
        smallest, largest = smallest.minimum(low), largest.maximum(high)
    return smallest[0].to(like), largest[0].to(like)


def moments(x: Tensor | Batches, axes: Axes = (0,)) -> tuple[Tensor, Tensor]:
    r"""Find the mean and the standard deviation of each feature, in one pass over the data.

    .. math:: m = \frac{1}{N} \sum_i x_i, \qquad s = \sqrt{\frac{1}{N} \sum_i (x_i - m)^2}

    Sums are kept in float64 and merged batch by batch, so that data far from zero do not cancel. A feature that is
    constant has exactly its value as mean, and exactly 0 as standard deviation. Of a whole tensor and ``axes=(0,)``
    the result is that of `tricks_lib.data.looking.mean_std`.

    Parameters
    ----------
    x
        Samples (N, ...), N >= 1, or batches of them, such as a `DataLoader`. Of a batch that is a tuple or list, the
        first entry counts.
    axes
        The dimensions over which to average, the samples (0) among them: ``(0,)`` for each feature, ``(0, 2, 3)`` for
        each channel of images, ``None`` for all values together. Along `axes`, batches may differ in size.

    Returns
    -------
    mean, std : Tensor
        Of the shape of one sample, with size 1 along the other `axes`; of shape () if `axes` is ``None``. Device and
        dtype are those of the samples (integers: default dtype).

    Raises
    ------
    ValueError
        If there are no samples, shapes do not fit, a number is not finite, or `axes` is wrong.
    TypeError
        If a batch is not a tensor.

    References
    ----------
    Tony F. Chan, Gene H. Golub and Randall J. LeVeque (1983). Algorithms for computing the sample variance: analysis
    and recommendations. The American Statistician 37(3), 242-247. doi:10.1080/00031305.1983.10483115

    Examples
    --------
    >>> moments(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    (tensor([2., 7.]), tensor([1., 0.]))
    >>> moments(torch.tensor([[1.0, 7.0], [3.0, 7.0]]), axes=None)[0]
    tensor(4.5000)
    """
    like, batches, dims = _open(x, axes)
    first = next(batches)
    about = _one_value(first, dims)  # taken off every value: what is constant is exactly 0 then
    n, mean, scatter = 0, torch.zeros_like(about), torch.zeros_like(about)
    for batch in chain([first], batches):
        values = batch - about
        count, center = values.numel() // about.numel(), values.mean(dims, keepdim=True)
        gap, n = center - mean, n + count
        mean = mean + gap * count / n
        within = values.sub_(center).square_().sum(dims, keepdim=True)
        scatter = scatter + within + gap.square() * count * (n - count) / n
    return (about + mean)[0].to(like), (scatter / n).sqrt()[0].to(like)


class _Normalization(Fitted):
    """A transform of each feature by numbers of its own; its buffers have the shape that `moments` returns."""

    def __init__(
        self, buffers: Sequence[str], axes: Axes, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        self.axes = _checked(axes)
        for name in buffers:
            self.register_buffer(name, torch.zeros(0, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        return f"axes={self.axes}"

    def fits(self, shapes: Mapping[str, torch.Size]) -> bool:
        """Tell whether saved buffers of these shapes are a fit of this transform, or none."""
        shape, *others = shapes.values()
        enough = len(shape) >= max(self.axes or (0,))
        fit = enough and _kept((1, *shape), self.axes)[1:] == shape
        return (fit or shape == (0,)) and all(other == shape for other in others)

    def _ready(self, name: str, value: Tensor) -> Tensor:
        """Return samples in the dtype of the fit, if they have its shape."""
        statistic = next(self.buffers())
        if not statistic.numel():
            raise RuntimeError(f"{type(self).__name__} is not fitted: call fit, or load the state of a fitted one")
        if _kept(value.shape, self.axes)[1:] != statistic.shape:
            sizes = ["any" if i in (self.axes or ()) else str(size) for i, size in enumerate(statistic.shape, start=1)]
            raise ValueError(f"{name} must have shape (N, {', '.join(sizes)}), got {tuple(value.shape)}")
        return value.to(statistic.dtype)


class Rescale(_Normalization):
    r"""Map each feature to a range: the smallest value in the training data to `low`, the largest to `high`.

    .. math:: z = l + (h - l) \, \frac{x - \min_i x_i}{\max_i x_i - \min_i x_i}

    A feature that is constant in the training data is moved to `low` and not stretched: its range counts as 1, as in
    scikit-learn's ``MinMaxScaler``. Values that the training data did not reach come to lie outside of the range.

    Parameters
    ----------
    low, high
        The range, *l* < *h*.
    axes
        The dimensions over which to search the extremes, see `extremes`: ``(0,)`` for each feature, ``(0, 2, 3)`` for
        each channel, ``None`` for all values together.
    device, dtype
        Where `load_state_dict` puts a saved fit. `fit` follows its data instead.

    Attributes
    ----------
    minimum : Tensor
        Smallest values, of the shape that `extremes` returns.
    span : Tensor
        Largest minus smallest, 1 where that is 0.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 3.0, 5.0], [1.0, 7.0, 5.0], [4.0, 5.0, 5.0]])
    >>> rescale = Rescale(-1, 1).fit(x)
    >>> rescale(x)
    tensor([[-1.0000, -1.0000, -1.0000],
            [-0.5000,  1.0000, -1.0000],
            [ 1.0000,  0.0000, -1.0000]])
    >>> torch.equal(rescale.inverse(rescale(x)), x)
    True
    """

    minimum: Tensor
    span: Tensor

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        *,
        axes: Axes = (0,),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"low must be less than high, and both finite, got {low} and {high}")
        super().__init__(["minimum", "span"], axes, device, dtype)
        self.low, self.high = low, high

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}, {super().extra_repr()}"

    @torch.no_grad()
    def fit(self, x: Tensor | Batches) -> Self:
        """Find the range of each feature. For `x`, and what it raises, see `extremes`."""
        smallest, largest = extremes(x, self.axes)
        self.minimum, self.span = smallest, _one_for_zero(largest - smallest)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (N, ...) to the range."""
        x = self._ready("x", x)
        return self.low + (self.high - self.low) * ((x - self.minimum) / self.span)

    def inverse(self, z: Tensor) -> Tensor:
        """Map rescaled samples (N, ...) back."""
        z = self._ready("z", z)
        return self.minimum + self.span * ((z - self.low) / (self.high - self.low))


class Center(_Normalization):
    r"""Subtract the mean of the training data.

    .. math:: z = x - m, \qquad m = \frac{1}{N} \sum_i x_i

    Parameters
    ----------
    axes
        The dimensions over which to average, see `moments`: ``(0,)`` subtracts the mean image, ``(0, 2, 3)`` one number
        for each channel, so that images may have any size, ``None`` one number for all.
    device, dtype
        Where `load_state_dict` puts a saved fit. `fit` follows its data instead.

    Attributes
    ----------
    mean : Tensor
        Of the shape that `moments` returns.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 3.0], [4.0, 5.0]])
    >>> Center().fit(x)(x)
    tensor([[-2., -1.],
            [ 2.,  1.]])
    >>> Center(axes=None).fit(x)(x)
    tensor([[-3.,  0.],
            [ 1.,  2.]])
    """

    mean: Tensor

    def __init__(
        self, *, axes: Axes = (0,), device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(["mean"], axes, device, dtype)

    @torch.no_grad()
    def fit(self, x: Tensor | Batches) -> Self:
        """Find the mean. For `x`, and what it raises, see `moments`."""
        self.mean, _ = moments(x, self.axes)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Subtract the mean from samples (N, ...)."""
        return self._ready("x", x) - self.mean

    def inverse(self, z: Tensor) -> Tensor:
        """Add the mean to centered samples (N, ...)."""
        return self._ready("z", z) + self.mean


class Standardize(_Normalization):
    r"""Subtract the mean of the training data and divide by their standard deviation.

    .. math:: z = \frac{x - m}{\sqrt{s^2 + \epsilon}}

    A feature that is constant in the training data is centered and, if ``eps`` is 0, divided by 1, as in scikit-learn's
    ``StandardScaler``. One that is *nearly* constant is divided by its tiny standard deviation, so that an ordinary
    value in other data may become huge; `eps` and `Clip` bound that.

    Parameters
    ----------
    axes
        The dimensions over which to average, see `moments`: ``(0,)`` for each feature, ``(0, 2, 3)`` for each channel,
        ``None`` for all values together.
    eps
        What is added to the variance, in the squared unit of the data, as in `torch.nn.BatchNorm2d`.
    device, dtype
        Where `load_state_dict` puts a saved fit. `fit` follows its data instead.

    Attributes
    ----------
    mean : Tensor
        *m*, of the shape that `moments` returns.
    scale : Tensor
        The divisor, 1 where it would be 0.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 3.0, 5.0], [4.0, 5.0, 5.0]])
    >>> standardize = Standardize().fit(x)
    >>> standardize(x)
    tensor([[-1., -1.,  0.],
            [ 1.,  1.,  0.]])
    >>> standardize.inverse(torch.zeros(1, 3))
    tensor([[2., 4., 5.]])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        axes: Axes = (0,),
        eps: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not 0 <= eps < math.inf:
            raise ValueError(f"eps must be finite and at least 0, got {eps}")
        super().__init__(["mean", "scale"], axes, device, dtype)
        self.eps = eps

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, eps={self.eps}"

    @torch.no_grad()
    def fit(self, x: Tensor | Batches) -> Self:
        """Find mean and standard deviation. For `x`, and what it raises, see `moments`."""
        mean, std = moments(x, self.axes)
        scale = torch.hypot(std, torch.full_like(std, math.sqrt(self.eps)))
        self.mean, self.scale = mean, _one_for_zero(scale)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Standardize samples (N, ...)."""
        return (self._ready("x", x) - self.mean) / self.scale

    def inverse(self, z: Tensor) -> Tensor:
        """Map standardized samples (N, ...) back."""
        return self.scale * self._ready("z", z) + self.mean


class Clip(nn.Module):
    r"""Cut what is beyond a limit: after standardizing, what is farther than that many standard deviations away.

    .. math:: z = \min(\max(x, -c), c)

    There is no inverse: what was cut is gone. So it is a module of its own, put behind one that has an inverse.

    Parameters
    ----------
    limit
        *c*, above 0, in the unit of its input.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    >>> nn.Sequential(Standardize().fit(x), Clip(3.0))(torch.tensor([[0.5], [9.0], [-9.0]]))
    tensor([[ 0.],
            [ 3.],
            [-3.]])
    """

    def __init__(self, limit: float) -> None:
        if not 0 < limit < math.inf:
            raise ValueError(f"limit must be finite and above 0, got {limit}")
        super().__init__()
        self.limit = limit

    def extra_repr(self) -> str:
        return f"limit={self.limit}"

    def forward(self, x: Tensor) -> Tensor:
        """Cut samples of any shape at minus `limit` and `limit`."""
        return x.clamp(-self.limit, self.limit)


def _open(x: Tensor | Batches, axes: Axes) -> tuple[Tensor, Iterator[Tensor], tuple[int, ...]]:
    """Return an empty tensor of the result's device and dtype, the batches in float64, the dimensions to reduce."""
    axes = _checked(axes)
    batches = read_batches(x)
    first = next(batches, None)
    if first is None:
        raise ValueError("x must hold at least 1 sample, got 0")
    if first.ndim <= max(axes or (0,)):
        raise ValueError(f"x must have more dimensions for axes {axes}, got shape {tuple(first.shape)}")
    checked = _same_features(chain([first], batches), _kept(first.shape, axes), axes)
    return floating(first[:0]), checked, (0,) if axes is None else axes


def _same_features(batches: Iterable[Tensor], kept: tuple[int, ...], axes: Axes) -> Iterator[Tensor]:
    """Yield batches in float64; for ``axes=None`` they are laid flat."""
    for batch in batches:
        if _kept(batch.shape, axes) != kept:
            raise ValueError(f"x must have the same features in all batches, got {tuple(batch.shape)} for {kept}")
        yield wide(batch.flatten() if axes is None else batch)


def _kept(shape: Sequence[int], axes: Axes) -> tuple[int, ...]:
    """Return the shape of a statistic, with size 1 for what is reduced."""
    return (1,) if axes is None else tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def _one_value(batch: Tensor, dims: tuple[int, ...]) -> Tensor:
    for dim in dims:
        batch = batch.narrow(dim, 0, 1)
    return batch


def _one_for_zero(scale: Tensor) -> Tensor:
    return scale.masked_fill(scale == 0, 1)


def _checked(axes: Axes) -> tuple[int, ...] | None:
    if axes is None:
        return None
    if 0 not in axes or len(set(axes)) < len(axes) or not all(type(axis) is int and axis >= 0 for axis in axes):
        raise ValueError(f"axes must be None, or 0 and other different dimensions above 0, got {axes}")
    return tuple(axes)
