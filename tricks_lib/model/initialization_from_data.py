"""First values that know the data: biases of outputs and gates, hyperplanes of ReLU units, layers of unit variance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from tricks_lib.model.recurrent import LSTM

__all__ = ["Activity", "gate_bias_", "lsuv_", "output_bias_", "place_hyperplanes_", "relu_census", "span_bias"]

Recurrent = TypeVar("Recurrent", nn.LSTM, nn.LSTMCell, LSTM)
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@torch.no_grad()
def output_bias_(layer: nn.Module | Tensor, p: Tensor, *, link: Literal["softmax", "sigmoid"] = "softmax") -> Tensor:
    r"""Set the bias of the output layer so that a network which knows nothing else predicts the class frequencies.

    .. math:: b_k = \ln p_k \;\text{(softmax)}, \qquad b_k = \ln \frac{p_k}{1 - p_k} \;\text{(sigmoid)}

    Parameters
    ----------
    layer
        The output layer, or its bias (K,).
    p
        For a softmax how frequent each class is (K,): shares or counts, all above 0. For sigmoids how frequent each
        output is one (K,), in (0, 1).
    link
        What turns outputs into probabilities.

    Returns
    -------
    Tensor
        The bias, changed in place.

    Raises
    ------
    ValueError
        If the layer has no bias, shapes differ, or a frequency is out of range.

    Notes
    -----
    The first loss is the entropy of the frequencies exactly if the weights of the layer, or its inputs, are zero.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar (2017). Focal loss for dense object detection, section 3.3.
    https://arxiv.org/abs/1708.02002

    Examples
    --------
    >>> layer = nn.Linear(5, 3)
    >>> output_bias_(layer, torch.tensor([80, 15, 5])).softmax(0)
    tensor([0.8000, 0.1500, 0.0500], grad_fn=<SoftmaxBackward0>)
    """
    bias = _bias(layer)
    if link not in ("softmax", "sigmoid"):
        raise ValueError(f"link must be 'softmax' or 'sigmoid', got {link!r}")
    if p.shape != bias.shape:
        raise ValueError(f"p must have shape {tuple(bias.shape)} as the bias, got {tuple(p.shape)}")
    wide = p.to(torch.promote_types(bias.dtype, torch.float32))
    if not (wide > 0).all() or not wide.isfinite().all() or (link == "sigmoid" and not (wide < 1).all()):
        raise ValueError(f"p must be {'above 0' if link == 'softmax' else 'in (0, 1)'}, got {p.tolist()}")
    return bias.copy_(wide.logit() if link == "sigmoid" else (wide / wide.sum()).log())


def span_bias(steps: float) -> float:
    r"""Return the bias of a forget gate with which a memory cell keeps a share 1/e over some steps.

    .. math:: \sigma(b)^T = e^{-1} \iff b = -\ln (e^{1/T} - 1) \approx \ln (T - \tfrac12)

    Parameters
    ----------
    steps
        The span *T*, above 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `steps` is not above 0, or no finite bias gives it.

    References
    ----------
    C. Tallec and Y. Ollivier (2018). Can recurrent neural networks warp time? https://arxiv.org/abs/1804.11188

    Examples
    --------
    >>> round(span_bias(40), 2), round(torch.tensor(span_bias(40)).sigmoid().item() ** 40, 3)
    (3.68, 0.368)
    """
    if not steps > 0:
        raise ValueError(f"steps must be above 0, got {steps}")
    bias = -torch.tensor(1 / steps, dtype=torch.float64, device="cpu").expm1().log().item()
    if not math.isfinite(bias):
        raise ValueError(f"steps must be a span that a finite bias gives, got {steps}")
    return bias


@torch.no_grad()
def gate_bias_(
    layer: Recurrent,
    *,
    forget: float | Tensor | None = None,
    input: float | Tensor | None = None,
    output: float | Tensor | None = None,
    cell: float | Tensor | None = None,
) -> Recurrent:
    r"""Open or close the gates of an LSTM: set their biases, in all layers and directions.

    Torch adds two biases, :math:`b_{ih} + b_{hh}`. The value goes into the first and the second becomes zero, so
    that their sum is what was asked for.

    Parameters
    ----------
    layer
        An LSTM of torch or of this library.
    forget, input, output, cell
        The bias of each gate, and of what is written to the cells: one number, or one for each cell (hidden_size,).
        ``None`` leaves both biases alone.

    Returns
    -------
    Module
        The layer, changed in place.

    Raises
    ------
    TypeError
        If the layer is no LSTM.
    ValueError
        If it has no biases, or a value does not have one finite number per cell.

    References
    ----------
    F. A. Gers, J. Schmidhuber, F. Cummins (2000). Learning to forget: continual prediction with LSTM. Neural
    Computation 12, 2451-2471.

    R. Jozefowicz, W. Zaremba, I. Sutskever (2015). An empirical exploration of recurrent network architectures.
    https://proceedings.mlr.press/v37/jozefowicz15.html

    Examples
    --------
    >>> lstm = gate_bias_(nn.LSTM(3, 2), forget=3.0, input=-1.0)
    >>> (lstm.bias_ih_l0 + lstm.bias_hh_l0)[:4].tolist()
    [-1.0, -1.0, 3.0, 3.0]
    """
    if not isinstance(layer, nn.LSTM | nn.LSTMCell | LSTM):
        raise TypeError(f"layer must be an LSTM of torch or of tricks_lib.model.recurrent, got {type(layer).__name__}")
    biases = {name: b for name, b in layer.named_parameters() if name.startswith("bias_")}
    if not biases:
        raise ValueError("layer must have biases, got one with bias=False")
    for place, value in enumerate((input, forget, cell, output)):  # the order of torch: i, f, g, o
        if value is None:
            continue
        if isinstance(value, Tensor) and value.shape not in ((), (layer.hidden_size,)):
            raise ValueError(f"a bias must be a number or have shape ({layer.hidden_size},), got {tuple(value.shape)}")
        finite = value.isfinite().all() if isinstance(value, Tensor) else math.isfinite(value)
        if not finite:
            raise ValueError(f"a bias must be finite, got {value}")
        for name, bias in biases.items():
            rows = bias[place * layer.hidden_size : (place + 1) * layer.hidden_size]
            rows.copy_(value) if isinstance(value, Tensor) else rows.fill_(value)
            if name.startswith("bias_hh"):
                rows.zero_()
    return layer


@dataclass(frozen=True)
class Activity:
    """How often each unit of a layer is on, that is, has a positive input.

    Attributes
    ----------
    on : Tensor
        Share of the samples (for images: of samples and places) at which the unit is on (units,), in the dtype of the
        layer's input, but at least float32.

    Examples
    --------
    >>> activity = Activity(torch.tensor([0.0, 0.25, 1.0, 1.0]))
    >>> activity.dead.tolist(), activity.linear.tolist()
    ([True, False, False, False], [False, False, True, True])
    """

    on: Tensor

    @property
    def dead(self) -> Tensor:
        """Units that are never on (units,); they pass nothing on, and no gradient back."""
        return self.on == 0

    @property
    def linear(self) -> Tensor:
        """Units that are always on (units,); to these samples they are linear."""
        return self.on == 1


def relu_census(model: nn.Module, x: Tensor) -> dict[str, Activity]:
    """Count for each unit in front of a ReLU at how many samples it is on.

    Parameters
    ----------
    model
        With ``nn.ReLU`` or ``nn.LeakyReLU`` modules; evaluated in eval mode, and left as it was.
    x
        Samples (N, ...), as the model takes them.

    Returns
    -------
    dict
        For each such module, by name and in the order of their calls, the activity of its units: the features of an
        input (N, D), the channels of an input (N, C, ...). The second call of one module is ``name#2``.

    Raises
    ------
    ValueError
        If the model calls no such module, or there is no sample.

    Examples
    --------
    >>> layer = nn.Linear(1, 3)
    >>> _ = layer.weight.data.fill_(1.0), layer.bias.data.copy_(torch.tensor([-9.0, 0.0, 9.0]))
    >>> census = relu_census(nn.Sequential(layer, nn.ReLU()), torch.tensor([[-1.0], [2.0]]))
    >>> census["1"].on
    tensor([0.0000, 0.5000, 1.0000])
    """
    found: dict[str, Activity] = {}
    calls: dict[str, int] = {}

    def count(name: str, inputs: tuple[Any, ...]) -> None:
        calls[name] = calls.get(name, 0) + 1
        if inputs[0].isnan().any():
            raise ValueError("x and the model's weights must be finite: a unit that gets NaN is neither on nor off")
        on = _by_unit(inputs[0] > 0).to(torch.promote_types(inputs[0].dtype, torch.float32)).mean(1)
        found[name if calls[name] == 1 else f"{name}#{calls[name]}"] = Activity(on)

    if not len(x):
        raise ValueError("x must hold at least 1 sample, got 0")
    kinds = (nn.ReLU, nn.LeakyReLU)
    named = [(name, module) for name, module in model.named_modules() if isinstance(module, kinds)]
    with _watched([m.register_forward_pre_hook(lambda _, x, n=name: count(n, x)) for name, m in named], model):
        model(x)
    if not found:
        raise ValueError("model must call an nn.ReLU or nn.LeakyReLU module, and calls none")
    return found


@torch.no_grad()
def place_hyperplanes_(layer: nn.Module, x: Tensor, *, share: float = 0.5, units: Tensor | None = None) -> Tensor:
    r"""Move the hyperplanes of units into the data: set biases so that each unit is on for a share of the samples.

    .. math:: b_j = -q_{1 - \text{share}} \{ w_j^\top x_i \}_i

    Parameters
    ----------
    layer
        An ``nn.Linear``, or a convolution, with a bias.
    x
        What the layer gets (N, ...).
    share
        At which share of the samples (of an image: of samples and places) a unit shall be on, in (0, 1).
    units
        Mask of the units to move, bool; ``None``: all.

    Returns
    -------
    Tensor
        The bias, changed in place.

    Raises
    ------
    TypeError
        If the layer is of another kind, or the mask not bool.
    ValueError
        If the layer has no bias, or an argument is out of range.

    Notes
    -----
    Samples between which a unit does not tell stay together, so with ties the share is met as nearly as they allow.

    Examples
    --------
    >>> layer, x = nn.Linear(1, 1), torch.tensor([[5.0], [6.0], [7.0], [9.0]])
    >>> _ = layer.weight.data.fill_(1.0), layer.bias.data.zero_()
    >>> place_hyperplanes_(layer, x, share=0.25).item()  # between 7 and 9
    -8.0
    """
    if not isinstance(layer, _WEIGHTED):
        raise TypeError(f"layer must be an nn.Linear or a convolution, got {type(layer).__name__}")
    bias = _bias(layer)
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), got {share}")
    if units is not None and units.dtype != torch.bool:
        raise TypeError(f"units must be bool, got {units.dtype}")
    if units is not None and units.shape != bias.shape:
        raise ValueError(f"units must have shape {tuple(bias.shape)}, got {tuple(units.shape)}")
    values = _by_unit(layer(x)).sort(1).values
    n = values.shape[1]
    if n < 2:
        raise ValueError(f"x must hold at least 2 samples, got {n}")
    if not values.isfinite().all():
        raise ValueError("x and the layer's weights must be finite: a unit would get no place")
    above = min(max(round(share * n), 1), n - 1)  # how many are on
    moved = bias - (values[:, n - above - 1] + values[:, n - above]) / 2
    return bias.copy_(moved if units is None else torch.where(units, moved, bias))


@torch.no_grad()
def lsuv_(
    model: nn.Module,
    x: Tensor,
    *,
    tol: float = 0.01,
    max_iter: int = 10,
    orthogonal: bool = True,
    generator: torch.Generator | None = None,
) -> dict[str, float]:
    r"""Scale each layer so that its outputs have unit variance on a batch: layer-sequential unit variance.

    .. math:: W \leftarrow W / \sqrt{\operatorname{var}(\text{outputs})} \quad\text{until}\quad
        |\operatorname{var}(\text{outputs}) - 1| \le \text{tol}

    Each layer is scaled during one forward pass, so that the next ones see its new outputs.

    Parameters
    ----------
    model
        Its ``nn.Linear`` and convolution layers are scaled, in the order of their calls; a layer that is called
        twice, at its first call. The mode of training stays as it is.
    x
        A batch (N, ...).
    tol
        How far the variance over all samples and units may be from 1.
    max_iter
        How often a layer is scaled at most. Without a bias once is enough.
    orthogonal
        Draw orthogonal weights first and set biases to zero, as the authors do. Otherwise scale what is there.
    generator
        Draws the orthogonal weights.

    Returns
    -------
    dict
        For each layer, by name, the variance of its outputs before it was scaled.

    Raises
    ------
    ValueError
        If a layer's outputs do not vary, so that no scale helps, or an argument is out of range.

    References
    ----------
    D. Mishkin and J. Matas (2016). All you need is a good init. https://arxiv.org/abs/1511.06422

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> list(lsuv_(model, 100 * x))
    ['0', '2']
    >>> round(model(100 * x).var(correction=0).item(), 3)
    1.0
    """
    if not tol > 0 or max_iter < 1:
        raise ValueError(f"tol must be above 0 and max_iter at least 1, got {tol} and {max_iter}")
    layers = {name: m for name, m in model.named_modules() if isinstance(m, _WEIGHTED)}
    before: dict[str, float] = {}
    if orthogonal:
        for layer in layers.values():
            place = layer.weight.device if generator is None else generator.device
            layer.weight.copy_(nn.init.orthogonal_(torch.empty_like(layer.weight, device=place), generator=generator))
            if layer.bias is not None:
                layer.bias.zero_()

    def scale(name: str, layer: Any, inputs: tuple[Any, ...], outputs: Tensor) -> Tensor:
        if name in before:
            return outputs
        before[name] = outputs.var(correction=0).item()
        return _scaled(name, layer, inputs, outputs, tol, max_iter)

    hooks = [m.register_forward_hook(lambda m, x, y, n=name: scale(n, m, x, y)) for name, m in layers.items()]
    with _watched(hooks, model, train=None):
        model(x)
    return before


def _scaled(name: str, layer: Any, inputs: tuple[Any, ...], outputs: Tensor, tol: float, max_iter: int) -> Tensor:
    for _ in range(max_iter):
        variance = outputs.var(correction=0).item()
        if not 0 < variance < torch.inf:
            raise ValueError(f"model: the outputs of layer {name!r} have variance {variance}, which no scale makes 1")
        if abs(variance - 1) <= tol:
            break
        layer.weight.div_(variance**0.5)
        outputs = layer.forward(*inputs)
    return outputs


@contextmanager
def _watched(hooks: list[Any], model: nn.Module, *, train: bool | None = False) -> Iterator[None]:
    """Evaluate without gradients, in a mode of training, and put everything back."""
    modes = {module: module.training for module in model.modules()}
    try:
        if train is not None:
            model.train(train)
        with torch.no_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode


def _by_unit(x: Tensor) -> Tensor:
    """(N, D) -> (D, N), (N, C, ...) -> (C, N * ...)."""
    return x.movedim(1, 0).flatten(1)


def _bias(layer: nn.Module | Tensor) -> Tensor:
    bias = layer if isinstance(layer, Tensor) else getattr(layer, "bias", None)
    if not isinstance(bias, Tensor):
        raise ValueError(f"layer must have a bias, got {type(layer).__name__} without one")
    return bias
