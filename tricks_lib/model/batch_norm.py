"""Batch normalization: the layer, its gradient, population statistics of a trained network, folding for inference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from tricks_lib.data.fitted import Batches, read_batches, wide

__all__ = [
    "BatchNorm",
    "batch_moments",
    "fold",
    "folded",
    "input_gradient",
    "normalized",
    "normalized_chain",
    "recalibrate",
]

Layer = TypeVar("Layer", bound=nn.Module)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
HALF = (torch.float16, torch.bfloat16)


def batch_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return mean and variance of each channel over the samples of a batch, and over places where there are any.

    .. math:: \mu = \frac1m \sum_i x_i, \qquad \sigma^2 = \frac1m \sum_i (x_i - \mu)^2

    Parameters
    ----------
    x
        (N, C) or (N, C, \*places): m is N times the number of places.

    Returns
    -------
    mean, var : Tensor
        (C,) each, in float32 where ``x`` is in half precision. The variance divides by m.

    Raises
    ------
    ValueError
        If ``x`` has fewer than two dimensions, or fewer than two values a channel.

    Examples
    --------
    >>> batch_moments(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    (tensor([2., 7.]), tensor([1., 0.]))
    """
    if x.ndim < 2 or x.numel() < 2 * x.shape[1]:
        raise ValueError(f"x must have shape (N, C, ...), with two values or more a channel, got {tuple(x.shape)}")
    others = [0, *range(2, x.ndim)]
    values = _single(x)
    return values.mean(others), values.var(others, correction=0)


def normalized(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
    r"""Normalize each channel with a mean and a variance, then scale and shift it.

    .. math:: \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad y = \gamma \hat x + \beta

    Parameters
    ----------
    x
        (N, C) or (N, C, \*places).
    mean, var
        (C,): in training `batch_moments`, in evaluation those of the population.
    weight, bias
        :math:`\gamma` and :math:`\beta` (C,); ``None``: one and zero.
    eps
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of ``x``. Half precision is computed in float32 and rounded once, as in torch.

    References
    ----------
    S. Ioffe, C. Szegedy (2015). Batch normalization: accelerating deep network training by reducing internal
    covariate shift. arXiv:1502.03167

    Examples
    --------
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> normalized(x, *batch_moments(x), bias=torch.tensor([5.0]), eps=0).tolist()
    [[4.0], [6.0]]
    """
    shape = [1, -1, *[1] * (x.ndim - 2)]  # channels are the second dimension
    hat = (_single(x) - mean.view(shape)) / (_single(var) + eps).sqrt().view(shape)
    scaled = hat if weight is None else weight.view(shape) * hat
    shifted = scaled if bias is None else scaled + bias.view(shape)
    return shifted.to(x.dtype) if x.dtype in HALF else shifted


def input_gradient(x: Tensor, gradient: Tensor, *, eps: float = 1e-5) -> Tensor:
    r"""Send a gradient back through the normalization of a batch, mean and variance included.

    .. math:: \frac{\partial L}{\partial x_i} = \frac{1}{\sqrt{\sigma^2 + \epsilon}}
              \Big( g_i - \frac1m \sum_j g_j - \hat x_i \, \frac1m \sum_j g_j \hat x_j \Big)

    Parameters
    ----------
    x
        What was normalized, (N, C) or (N, C, \*places).
    gradient
        :math:`g`, of the loss with respect to :math:`\hat x`, of that shape.
    eps
        As it was added to the variance.

    Returns
    -------
    Tensor
        The gradient with respect to ``x``.

    Raises
    ------
    ValueError
        If the shapes differ, or as for `batch_moments`.

    Examples
    --------
    >>> x = torch.tensor([[1.0], [2.0], [6.0]])
    >>> input_gradient(x, 4 + x).abs().max().item() < 1e-4  # a line in x: its mean and its slope are taken out
    True
    """
    if gradient.shape != x.shape:
        raise ValueError(f"gradient must have the shape of x, {tuple(x.shape)}, got {tuple(gradient.shape)}")
    if x.dtype in HALF:
        return input_gradient(x.float(), gradient.float(), eps=eps).to(x.dtype)
    mean, var = batch_moments(x)
    hat = normalized(x, mean, var, eps=eps)
    shift, slope = (batch_moments(part)[0] for part in (gradient, gradient * hat))
    shape = [1, -1, *[1] * (x.ndim - 2)]
    rest = gradient - shift.view(shape) - hat * slope.view(shape)
    return rest / (var + eps).sqrt().view(shape)


class BatchNorm(nn.Module):
    r"""Batch normalization as in ``torch.nn.BatchNorm1d``, ``2d`` and ``3d``, for any number of places.

    In training it normalizes with the moments of the batch, and moves running ones toward them by a share
    :math:`\alpha`; in evaluation it normalizes with the running ones. The running variance is unbiased.

    .. math:: \bar\mu \leftarrow (1 - \alpha) \bar\mu + \alpha \mu, \qquad
              \bar\sigma^2 \leftarrow (1 - \alpha) \bar\sigma^2 + \alpha \frac{m}{m - 1} \sigma^2

    Names of parameters and buffers are torch's, so that each can load the other's ``state_dict``. Inputs in half
    precision give outputs in half precision; moments and normalization are computed in float32.

    Parameters
    ----------
    features
        Number of channels C.
    eps
        Added to the variance, 0 or more.
    momentum
        The share :math:`\alpha` of the new value, above 0 and at most 1; ``None``: one over the number of batches so
        far, which makes the running moments plain averages.
    affine
        Whether there are a weight (one at first) and a bias (zero).
    device, dtype
        Of parameters and buffers.

    Raises
    ------
    ValueError
        If an argument is out of range, ``features`` not a whole number, or the input has another number of channels.

    References
    ----------
    S. Ioffe, C. Szegedy (2015). Batch normalization: accelerating deep network training by reducing internal
    covariate shift. arXiv:1502.03167

    Examples
    --------
    >>> norm = BatchNorm(1, momentum=None)
    >>> norm(torch.tensor([[1.0], [3.0]])).flatten().tolist() == [-1.0, 1.0]  # not quite, because of eps
    False
    >>> norm.running_mean, norm.running_var
    (tensor([2.]), tensor([2.]))
    """

    _version = 2  # as torch's: the states of version 1 have no count of batches

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        features: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not hasattr(features, "__index__") or features < 1:  # what Python takes for a whole number
            raise ValueError(f"features must be a whole number, at least 1, got {features!r}")
        if not eps >= 0:
            raise ValueError(f"eps must be 0 or more, got {eps}")
        if momentum is not None and not 0 < momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1, or None, got {momentum}")
        self.features, self.eps, self.momentum = features, eps, momentum
        one, zero = (make(features, device=device, dtype=dtype) for make in (torch.ones, torch.zeros))
        self.weight = nn.Parameter(one) if affine else None
        self.bias = nn.Parameter(zero) if affine else None
        self.register_buffer("running_mean", zero.clone())
        self.register_buffer("running_var", one.clone())
        self.register_buffer("num_batches_tracked", torch.zeros((), device=device, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (N, C) or (N, C, \\*places)."""
        if x.ndim < 2 or x.shape[1] != self.features:
            raise ValueError(f"x must have shape (N, {self.features}, ...), got {tuple(x.shape)}")
        moments = self.running_mean, self.running_var
        if self.training:
            moments = batch_moments(x)
            self._track(*moments, x.numel() // self.features)
        return normalized(x, *moments, self.weight, self.bias, eps=self.eps)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, m: int) -> None:
        self.num_batches_tracked.add_(1)  # in place: other models' buffers may be stacked with these
        share = 1 / self.num_batches_tracked.to(mean.dtype) if self.momentum is None else self.momentum
        for running, new in ((self.running_mean, mean), (self.running_var, var * (m / (m - 1)))):
            running.copy_(_single(running).mul(1 - share).add_(share * new))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        if local_metadata.get("version", 1) < 2:
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def extra_repr(self) -> str:
        """Return the settings, for ``repr``."""
        return f"{self.features}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}"


NORMS = (BatchNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def normalized_chain(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    *,
    place: str = "before",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Sequential:
    """Make a chain of linear layers with batch normalization and an activation behind each but the last.

    Parameters
    ----------
    sizes
        Numbers of inputs, of units in each hidden layer, and of outputs. Samples are laid flat first.
    activation
        Makes an activation.
    place
        Of the normalization: ``"before"`` or ``"after"`` the activation, or ``"none"``.
    device, dtype
        Of the parameters, which are initialized as torch does.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        If ``place`` is none of these, or ``sizes`` has fewer than two entries, or one below 1.

    Examples
    --------
    >>> [type(layer).__name__ for layer in normalized_chain([64, 30, 10], place="after")]
    ['Flatten', 'Linear', 'ReLU', 'BatchNorm', 'Linear']
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes must hold two or more numbers, at least 1, got {list(sizes)}")
    if place not in ("before", "after", "none"):
        raise ValueError(f"place must be before, after or none, got {place!r}")
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(sizes[:-1]):
        norm = [] if place == "none" else [BatchNorm(n_out, device=device, dtype=dtype)]
        linear = nn.Linear(n_in, n_out, device=device, dtype=dtype)
        layers += [linear, activation(), *norm] if place == "after" else [linear, *norm, activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1], device=device, dtype=dtype))


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Tensor | Batches) -> nn.Module:
    r"""Replace the running moments of all batch normalization by those of some data, all batches together.

    .. math:: \bar\mu = \frac1n \sum_b m_b\, \mu_b, \qquad
              \bar\sigma^2 = \frac{1}{n - 1} \sum_b m_b \left( \sigma_b^2 + (\mu_b - \bar\mu)^2 \right)

    One pass, in which batch normalization uses the moments of each batch, as in training, and all else, such as
    dropout, is in evaluation mode. Use large, shuffled batches: what a layer sees depends on the batch that the layers
    below were normalized with. ``torch.optim.swa_utils.update_bn`` does the same, but with the whole model in training
    mode, all batches counted alike, and without the second term of the variance, the one between batches.

    Parameters
    ----------
    model
        Its running moments and counts of batches are changed in place, after the pass; modes stay.
    batches
        Inputs (N, ...), or batches of them, such as a ``DataLoader``; of a tuple the first entry counts. They are moved
        to the device of the model's running moments.

    Returns
    -------
    Module
        ``model``.

    Raises
    ------
    ValueError
        If the model has no batch normalization with running moments, none of it runs, a batch has a single value a
        channel, or something is not finite, be it only in the dtype of the running moments. Nothing is changed then.

    Examples
    --------
    >>> model = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout(0.5))
    >>> _ = recalibrate(model, [torch.tensor([[1.0], [2.0]]), torch.tensor([[6.0], [7.0]])])
    >>> model[0].running_mean.item(), round(model[0].running_var.item(), 4), model.training
    (4.0, 8.6667, True)
    """
    norms: list[Any] = [m for m in model.modules() if isinstance(m, NORMS) and m.running_mean is not None]
    if not norms:
        raise ValueError("model must have a batch normalization with running moments, and has none")
    modes = {module: module.training for module in model.modules()}
    before = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    seen: list[list[tuple[int, Tensor, Tensor]]] = [[] for _ in norms]
    handles = [norm.register_forward_pre_hook(partial(_look, some)) for norm, some in zip(norms, seen, strict=True)]
    try:
        model.eval()
        for norm in norms:
            norm.train()
        for x in read_batches(batches):
            model(x.to(norms[0].running_mean.device))
    finally:
        for handle in handles:
            handle.remove()
        for norm, old in zip(norms, before, strict=True):
            for buffer, value in zip(norm.buffers(), old, strict=True):
                buffer.copy_(value)
        for module, mode in modes.items():
            module.training = mode
    if not any(seen):
        raise ValueError("batches must hold samples that reach a batch normalization, and none did")
    found = [(norm, len(some), _pooled(norm, some)) for norm, some in zip(norms, seen, strict=True) if some]
    for norm, count, (mean, var) in found:  # after all of them are known to be finite
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.num_batches_tracked.fill_(count)
    return model


@torch.no_grad()
def folded(layer: Layer, norm: Any) -> Layer:
    r"""Put a batch normalization in evaluation mode into the linear layer or convolution before it.

    .. math:: w' = \frac{\gamma}{\sqrt{\bar\sigma^2 + \epsilon}}\, w, \qquad
              b' = \frac{\gamma}{\sqrt{\bar\sigma^2 + \epsilon}}\, (b - \bar\mu) + \beta

    Parameters
    ----------
    layer
        Linear layer or convolution; not changed.
    norm
        Runs on its outputs; in evaluation mode, with running moments.

    Returns
    -------
    Module
        A copy of ``layer``, of its dtype, that does the work of both.

    Raises
    ------
    TypeError
        If ``layer`` or ``norm`` is of another kind.
    ValueError
        If ``norm`` is in training mode, has no running moments, or another number of channels; or if one of the two has
        hooks, a parametrization or a ``forward`` of its own.

    Examples
    --------
    >>> layer, norm = nn.Linear(3, 2), BatchNorm(2).eval()
    >>> x = torch.randn(5, 3)
    >>> torch.allclose(folded(layer, norm)(x), norm(layer(x)), atol=1e-6)
    True
    """
    if not isinstance(layer, WEIGHTED):
        raise TypeError(f"layer must be an nn.Linear or a convolution, got {type(layer).__name__}")
    if not isinstance(norm, NORMS):
        raise TypeError(f"norm must be a batch normalization, got {type(norm).__name__}")
    if not (_plain(layer, WEIGHTED) and _plain(norm, NORMS)):
        raise ValueError("layer and norm must have no hooks, no parametrization and no forward of their own")
    if norm.training or norm.running_mean is None:
        raise ValueError("norm must be in evaluation mode and have running moments")
    if len(layer.weight) != len(norm.running_mean):
        raise ValueError(f"norm must have {len(layer.weight)} channels, got {len(norm.running_mean)}")
    made, zero = copy.deepcopy(layer), layer.weight.new_zeros(len(layer.weight))
    both: dict[str, Any] = {"var": norm.running_var, "weight": norm.weight, "eps": norm.eps}
    bias = zero if layer.bias is None else layer.bias
    shifted = normalized(bias[None], norm.running_mean, bias=norm.bias, **both)[0]
    scaled = normalized(layer.weight.transpose(0, 1), zero, **both).transpose(0, 1)
    for name, value in (("weight", scaled), ("bias", shifted)):
        setattr(made, name, nn.Parameter(value.to(layer.weight.dtype), layer.weight.requires_grad))
    return made


def fold(model: nn.Module) -> nn.Module:
    """Copy a model for inference: batch normalization right behind a linear layer or convolution becomes part of it.

    Looks for neighbors in each ``nn.Sequential``, and leaves an ``nn.Identity`` where a normalization was. What
    stands elsewhere, such as behind an activation, stays; so does what has hooks, a parametrization (such as weight
    normalization) or a ``forward`` of its own, which might do something else than the formula.

    Parameters
    ----------
    model
        Not changed. Layers that take part run once a pass, and (N, C) goes through linear ones.

    Returns
    -------
    Module
        The copy, in evaluation mode.

    Examples
    --------
    >>> fold(nn.Sequential(nn.Linear(3, 2), BatchNorm(2), nn.ReLU()))
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
      (1): Identity()
      (2): ReLU()
    )
    """
    made = copy.deepcopy(model).eval()
    for chain in [module for module in made.modules() if _runs_as(module, (nn.Sequential,))]:
        for (place, layer), (behind, norm) in pairwise(list(chain.named_children())):
            if _plain(layer, WEIGHTED) and _plain(norm, NORMS) and norm.running_mean is not None:
                setattr(chain, place, folded(layer, norm))
                setattr(chain, behind, nn.Identity())
    return made


def _single(x: Tensor) -> Tensor:
    """Return numbers of half precision in float32, in which torch computes with them, and others as they are."""
    return x.float() if x.dtype in HALF else x


def _runs_as(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Tell whether a module runs as one of these does: subclasses may have a forward of their own."""
    return isinstance(module, kinds) and type(module).forward in [kind.forward for kind in kinds]


def _plain(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Tell whether a module is one of these, and nothing was added to it that folding would lose."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return _runs_as(module, kinds) and not is_parametrized(module) and not any(getattr(module, n) for n in names)


def _look(seen: list[tuple[int, Tensor, Tensor]], norm: nn.Module, inputs: tuple[Any, ...]) -> None:
    x: Tensor = inputs[0]
    if x.numel() == x.shape[1]:
        raise ValueError(
            "batches must give two values or more a channel each, as a single one has no variance, and one gave "
            f"{tuple(x.shape)} to a batch normalization; a DataLoader leaves out the rest with drop_last=True"
        )
    values = wide(x.detach(), "inputs of a batch normalization")
    seen.append((x.numel() // x.shape[1], *batch_moments(values)))


def _pooled(norm: Any, seen: list[tuple[int, Tensor, Tensor]]) -> list[Tensor]:
    """Return mean and unbiased variance of all batches, in the dtype of the running moments."""
    sizes, means, variances = zip(*seen, strict=True)
    mean, var = torch.stack(means), torch.stack(variances)
    m = torch.tensor(sizes, dtype=mean.dtype, device=mean.device).unsqueeze(1)
    center = (m * mean).sum(0) / m.sum()
    spread = (m * (var + (mean - center).square())).sum(0) / (m.sum() - 1)
    moments = [center.to(norm.running_mean.dtype), spread.to(norm.running_var.dtype)]
    if not all(values.isfinite().all() for values in moments):
        raise ValueError(f"batches must give moments that are finite in {norm.running_var.dtype}, and do not")
    return moments
