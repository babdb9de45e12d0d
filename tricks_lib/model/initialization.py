"""First weights: variances that keep a signal alive, and what measures the signal, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tricks_lib.learning.draws import ModelStreams, uniform_like

__all__ = [
    "AlphaDropout",
    "Flow",
    "Moments",
    "alpha_dropout",
    "fans",
    "gain",
    "initialize_",
    "moments",
    "predicted_flow",
    "self_normalizing",
    "signal_flow",
    "variance_scaling_",
]

Activation = Callable[[Tensor], Tensor]

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
REACH = 12.0  # standard deviations: beyond, the normal density is below the rounding of float64
SELU_FLOOR = -1.7580993408473766  # SELU of minus infinity: minus its scale times its alpha


def fans(weight: Tensor) -> tuple[int, int]:
    """Return how many inputs a unit adds up, and to how many units an input goes.

    Parameters
    ----------
    weight
        In torch's order (n_out, n_in), for a convolution (n_out, n_in, \\*kernel). Of a convolution with groups the
        fan in is right, and the fan out too large by the number of groups: the shape does not tell.

    Returns
    -------
    fan_in, fan_out : int

    Raises
    ------
    ValueError
        If ``weight`` has fewer than two dimensions, or an empty one.

    Examples
    --------
    >>> fans(torch.empty(10, 64)), fans(torch.empty(16, 3, 5, 5))
    ((64, 10), (75, 400))
    """
    if weight.ndim < 2 or not weight.numel():
        raise ValueError(f"weight must have shape (n_out, n_in, ...), nothing empty, got {tuple(weight.shape)}")
    n_out, n_in, *kernel = weight.shape
    return n_in * math.prod(kernel), n_out * math.prod(kernel)


@torch.no_grad()
def variance_scaling_(
    weight: Tensor,
    *,
    mode: str = "fan_in",
    gain: float = 1.0,
    distribution: str = "normal",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight with random numbers of mean zero and a variance that depends on its fans.

    .. math:: \operatorname{var} w = \frac{\text{gain}^2}{n}

    ============ ============================================= ==========================================
    ``mode``     n                                             named, with its gain
    ============ ============================================= ==========================================
    "fan_in"     :math:`n_\text{in}`                           LeCun (1), He (:math:`\sqrt 2`)
    "fan_out"    :math:`n_\text{out}`                          He, backward (:math:`\sqrt 2`)
    "average"    :math:`(n_\text{in} + n_\text{out}) / 2`      Glorot, also called Xavier (1)
    "geometric"  :math:`\sqrt{n_\text{in} n_\text{out}}`       Defazio and Bottou (:math:`\sqrt 2`)
    ============ ============================================= ==========================================

    Parameters
    ----------
    weight
        Of a linear layer or a convolution, in torch's order; see `fans`. Changed in place.
    mode
        What n is.
    gain
        Positive; `gain` computes it for an activation.
    distribution
        ``"normal"`` or ``"uniform"``, of the same variance.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator of the device of ``weight``.

    Returns
    -------
    Tensor
        ``weight``.

    Raises
    ------
    ValueError
        If an argument is not among these.

    References
    ----------
    Y. LeCun, L. Bottou, G. Orr, K.-R. Müller (1998). Efficient BackProp. X. Glorot, Y. Bengio (2010). Understanding
    the difficulty of training deep feedforward neural networks. K. He, X. Zhang, S. Ren, J. Sun (2015). Delving deep
    into rectifiers, arXiv:1502.01852. A. Defazio, L. Bottou (2022). A scaling calculus for the design and
    initialization of ReLU networks, arXiv:1906.04267.

    Examples
    --------
    >>> weight = torch.empty(500, 200, dtype=torch.float32)
    >>> he = variance_scaling_(weight, gain=gain(torch.relu), generator=torch.Generator().manual_seed(0))
    >>> he is weight, round(200 * weight.var().item(), 2)
    (True, 2.0)
    """
    n_in, n_out = fans(weight)
    sizes = {"fan_in": n_in, "fan_out": n_out, "average": (n_in + n_out) / 2, "geometric": math.sqrt(n_in * n_out)}
    if mode not in sizes:
        raise ValueError(f"mode must be one of {', '.join(sizes)}, got {mode!r}")
    if not 0 < gain < math.inf:
        raise ValueError(f"gain must be positive and finite, got {gain}")
    noise = torch.empty(weight.shape, dtype=weight.dtype, device=generator.device if generator else weight.device)
    std = gain / math.sqrt(sizes[mode])
    if distribution == "normal":
        noise.normal_(0, std, generator=generator)
    elif distribution == "uniform":
        noise.uniform_(-math.sqrt(3) * std, math.sqrt(3) * std, generator=generator)
    else:
        raise ValueError(f"distribution must be normal or uniform, got {distribution!r}")
    return weight.copy_(noise)


def gain(activation: Activation, *, backward: bool = False) -> float:
    r"""Compute the factor that makes up for what an activation takes from the signal.

    .. math:: g = \frac{1}{\sqrt{E[\varphi(z)^2]}}, \qquad
              g_\text{backward} = \frac{1}{\sqrt{E[\varphi'(z)^2]}}, \qquad z \sim \mathcal N(0, 1)

    Both are 1 for no activation and :math:`\sqrt 2` for ReLU, as in ``torch.nn.init.calculate_gain``. Torch has 5/3
    for tanh and 3/4 for SELU, which keep neither.

    Parameters
    ----------
    activation
        A function of a tensor, such as ``torch.tanh`` or ``nn.LeakyReLU(0.1)``.
    backward
        Of the gradient instead of the signal.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the activation, or its slope, is zero everywhere.

    Examples
    --------
    >>> round(gain(torch.relu), 4), round(gain(torch.tanh), 4), round(gain(torch.tanh, backward=True), 4)
    (1.4142, 1.5925, 1.4674)
    """
    made = moments(activation)
    square = made.slope_square if backward else made.mean_square
    if not square > 0:
        raise ValueError(f"activation must let something through, got E = {square} for {activation}")
    return 1 / math.sqrt(square)


class Moments(NamedTuple):
    """What an activation makes of a normal variable.

    Examples
    --------
    >>> Moments(mean=0.4, mean_square=0.5, slope_square=0.5).var
    0.33999999999999997
    """

    mean: float
    mean_square: float
    slope_square: float

    @property
    def var(self) -> float:
        """Variance, the mean square without the squared mean."""
        return self.mean_square - self.mean**2


@torch.inference_mode(mode=False)
def moments(activation: Activation, *, mean: float = 0.0, var: float = 1.0) -> Moments:
    r"""Compute what an activation makes of a normal variable, by quadrature.

    .. math:: E[\varphi(h)], \quad E[\varphi(h)^2], \quad E[\varphi'(h)^2], \qquad h \sim \mathcal N(\mu, \sigma^2)

    Gauss's rule with 200 nodes on either side of zero: exact to about 1e-13 where the activation is smooth on both
    sides, and to about 1e-4 if it has kinks elsewhere.

    Parameters
    ----------
    activation
        A function of a tensor; it gets float64 numbers on the CPU.
    mean, var
        Of its input; ``var`` not negative.

    Returns
    -------
    Moments
        ``mean``, ``mean_square`` and ``slope_square``; the ``var`` follows from the first two.

    Raises
    ------
    ValueError
        If ``mean`` or ``var`` is out of range.

    Examples
    --------
    >>> made = moments(torch.relu, var=4.0)
    >>> round(made.mean, 6), round(made.mean_square, 6), round(made.var, 6)
    (0.797885, 2.0, 1.36338)
    """
    if not (math.isfinite(mean) and 0 <= var < math.inf):
        raise ValueError(f"mean must be finite and var finite and not negative, got {mean} and {var}")
    sd = math.sqrt(var)
    zero = min(max(-mean / sd, -REACH), REACH) if sd else 0.0  # where the input is zero
    nodes, weights = _legendre(200)
    z = torch.cat([zero - (zero + REACH) * nodes, zero + (REACH - zero) * nodes])
    weights = torch.cat([(zero + REACH) * weights, (REACH - zero) * weights])
    density = weights * (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
    h = (mean + sd * z).requires_grad_()
    with torch.enable_grad():
        y = activation(h.clone())  # it may work in place
        (slope,) = torch.autograd.grad(y.sum() + 0 * h.sum(), h)  # the sum of h: y may be constant
    return Moments(*((density * v).sum().item() for v in (y.detach(), y.detach().square(), slope.square())))


def initialize_(
    model: nn.Module,
    activation: Activation | float,
    *,
    mode: str = "fan_in",
    distribution: str = "normal",
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Initialize all linear layers and convolutions of a model: `variance_scaling_` for weights, zero for biases.

    Every layer gets the same gain. The first one has no activation before it and would need none, but a factor on a
    single layer does not add up with depth. Other layers keep what they have.

    Parameters
    ----------
    model
        Changed in place.
    activation
        What stands between the layers: its `gain` is taken. A number is taken for the gain itself.
    mode, distribution, generator
        As for `variance_scaling_`.

    Returns
    -------
    Module
        ``model``.

    Raises
    ------
    ValueError
        If an argument does not fit, or ``model`` has no such layer.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
    >>> _ = initialize_(model, torch.relu, generator=torch.Generator().manual_seed(0))
    >>> round(64 * model[0].weight.var().item(), 1), model[0].bias.abs().max().item()
    (2.0, 0.0)
    """
    layers = [layer for layer in model.modules() if isinstance(layer, WEIGHTED)]
    if not layers:
        raise ValueError("model must have a linear layer or a convolution, got none")
    factor = gain(activation) if callable(activation) else activation
    for layer in layers:
        variance_scaling_(layer.weight, mode=mode, gain=factor, distribution=distribution, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model


class Flow(NamedTuple):
    """The signal at the output of each layer, in the order in which the layers run.

    ``mean`` and ``mean_square`` are over samples and units; ``gradient`` and ``weight_gradient`` are mean squares of
    the gradients with respect to the layer's output and its weight, NaN where there is none. All have shape (L,).

    Examples
    --------
    >>> nan = torch.tensor([torch.nan])
    >>> Flow(["0"], mean=torch.tensor([1.0]), mean_square=torch.tensor([4.0]), gradient=nan, weight_gradient=nan).var
    tensor([3.])
    """

    names: list[str]
    mean: Tensor
    mean_square: Tensor
    gradient: Tensor
    weight_gradient: Tensor

    @property
    def var(self) -> Tensor:
        """Variance over samples and units (L,)."""
        return self.mean_square - self.mean.square()


def signal_flow(
    model: nn.Module,
    x: Tensor,
    loss: Callable[[Tensor], Tensor] | None = None,
    *,
    kinds: tuple[type[nn.Module], ...] = WEIGHTED,
) -> Flow:
    """Measure the signal at every layer, and with a loss the gradients, by hooks that are gone afterwards.

    Nothing else changes: neither ``grad`` of the parameters nor the mode of the model. In training mode dropout draws
    and batch normalization updates its averages, as in any forward pass.

    Parameters
    ----------
    model
        Run once on ``x``.
    x
        Samples (N, ...).
    loss
        Outputs of the model -> a number.
    kinds
        Which layers: linear ones and convolutions, whose outputs go into the activations; or, say, ``(nn.ReLU,)``.

    Returns
    -------
    Flow
        A layer that runs twice stands there twice.

    Raises
    ------
    ValueError
        If no layer is of these kinds.
    TypeError
        If one of them returns something else than a tensor, such as a recurrent layer.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
    >>> with torch.no_grad():
    ...     _ = [weight.fill_(2.0) for weight in model.parameters()]
    >>> flow = signal_flow(model, torch.tensor([[1.0, 2.0]]), loss=torch.sum)
    >>> flow.names, flow.mean_square.tolist(), flow.gradient.tolist(), flow.weight_gradient.tolist()
    (['0', '2'], [36.0, 144.0], [4.0, 1.0], [10.0, 36.0])
    """
    seen: list[tuple[str, nn.Module, Tensor]] = []
    gradients: dict[int, Tensor] = {}

    def watch(name: str, layer: nn.Module, output: object) -> None:
        if not isinstance(output, Tensor):
            raise TypeError(f"kinds: layer {name!r} must return one tensor, got {type(output).__name__}")
        place = len(seen)
        seen.append((name, layer, output.detach().clone()))  # the next layer may work in place
        if loss is not None and output.requires_grad:
            output.register_hook(lambda gradient: gradients.update({place: gradient}))  # type: ignore[no-untyped-call]

    handles = [
        layer.register_forward_hook(lambda layer, _, output, name=name: watch(name, layer, output))
        for name, layer in model.named_modules()
        if isinstance(layer, kinds)
    ]
    try:
        with torch.set_grad_enabled(loss is not None):
            output = model(x)
            of_weights = {} if loss is None else _weight_gradients(loss(output), model)
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise ValueError(f"kinds: no layer of the model that runs is one of {', '.join(k.__name__ for k in kinds)}")
    values = [value for *_, value in seen]
    return Flow(
        [name for name, *_ in seen],
        torch.stack([value.mean() for value in values]),
        torch.stack([value.square().mean() for value in values]),
        _mean_squares([gradients.get(place) for place in range(len(seen))], values[0]),
        _mean_squares([of_weights.get(getattr(layer, "weight", None)) for _, layer, _ in seen], values[0]),
    )


def predicted_flow(
    model: nn.Module, activation: Activation, *, mean_square: float = 1.0, gradient: float = 1.0
) -> Flow:
    r"""Predict the signal at every layer of a chain of layers with one activation between them.

    .. math:: q_1 = n_\text{in} \overline{w^2}\, m_0, \qquad q_{l+1} = n_\text{in} \overline{w^2}\, E[\varphi(h)^2],
              \qquad h \sim \mathcal N(0, q_l)
    .. math:: d_l = n_\text{out} \overline{w^2}\, d_{l+1}\, E[\varphi'(h)^2]

    with the fans and the mean square weight of the layer between. It holds for random weights of mean zero, zero
    biases and wide layers; in a convolution padding is neglected.

    Parameters
    ----------
    model
        Its linear layers and convolutions form a chain, in the order of ``model.modules()``.
    activation
        Between them.
    mean_square
        Of the inputs, :math:`m_0`.
    gradient
        Mean square gradient at the last layer.

    Returns
    -------
    Flow
        The mean is zero, and ``weight_gradient`` NaN: it is not predicted.

    Raises
    ------
    ValueError
        If ``model`` has no such layer.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> for weight in (model[0].weight, model[2].weight):
    ...     _ = nn.init.constant_(weight, 0.5)  # only its square counts
    >>> flow = predicted_flow(model, torch.relu)
    >>> [round(q, 6) for q in flow.mean_square.tolist()], [round(d, 6) for d in flow.gradient.tolist()]
    ([1.0, 1.0], [0.25, 1.0])
    """
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, WEIGHTED)]
    if not layers:
        raise ValueError("model must have a linear layer or a convolution, got none")
    squares = [layer.weight.detach().double().square().mean().item() for _, layer in layers]
    sizes = [fans(layer.weight) for _, layer in layers]
    forward, slopes, backward = [], [], [gradient]
    for (fan_in, _), square in zip(sizes, squares, strict=True):
        forward.append(fan_in * square * mean_square)
        made = moments(activation, var=forward[-1])
        mean_square = made.mean_square
        slopes.append(made.slope_square)
    for i in reversed(range(1, len(layers))):
        layer = layers[i][1]
        shared = math.prod(getattr(layer, "stride", ())) * getattr(layer, "groups", 1)  # an input feeds so much fewer
        backward.insert(0, sizes[i][1] / shared * squares[i] * slopes[i - 1] * backward[0])
    values = layers[0][1].weight.new_tensor([[0.0] * len(layers), forward, backward, [math.nan] * len(layers)])
    return Flow([name for name, _ in layers], *values)


def self_normalizing(
    sizes: Sequence[int],
    *,
    p: float = 0.0,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Sequential:
    """Make a self-normalizing network: linear layers with LeCun's weights and SELU between, perhaps alpha dropout.

    Parameters
    ----------
    sizes
        Numbers of inputs, of units in each hidden layer, and of outputs.
    p
        Rate of the dropout after each SELU, in [0, 1); with 0 there is none.
    generator
        Draws the weights; ``None``: torch's global generator.
    device, dtype
        Of the parameters.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        If ``sizes`` has fewer than two entries, or one below 1, or ``p`` is out of range.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter (2017). Self-normalizing neural networks. arXiv:1706.02515

    Examples
    --------
    >>> [type(layer).__name__ for layer in self_normalizing([64, 30, 10], p=0.1)]
    ['Linear', 'SELU', 'AlphaDropout', 'Linear']
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes must hold two or more numbers, at least 1, got {list(sizes)}")
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        if layers:
            layers += [nn.SELU(), *([AlphaDropout(p, device=device, dtype=dtype)] if p else [])]
        linear = nn.Linear(n_in, n_out, device="meta", dtype=dtype)  # draws nothing
        layers.append(linear.to_empty(device=torch.get_default_device() if device is None else device))
    model = nn.Sequential(*layers)
    initialize_(model, 1.0, generator=generator)
    return model


def alpha_dropout(x: Tensor, p: float | Tensor, *, generator: torch.Generator | ModelStreams | None = None) -> Tensor:
    r"""Set numbers to the lowest value of SELU at random, then scale and shift, so that mean 0 and variance 1 stay.

    .. math:: y_i = a\,(b_i x_i + (1 - b_i)\, \alpha') + c, \qquad b_i = 0 \text{ with probability } p, \text{ else } 1
    .. math:: \alpha' = -1.7581, \quad a = \left((1 - p)(1 + p\, \alpha'^2)\right)^{-1/2}, \quad c = -a\, p\, \alpha'

    Parameters
    ----------
    x
        Of any shape; mean 0 and variance 1, as SELU makes it.
    p
        Rate in [0, 1): a number, or a tensor that broadcasts against ``x`` and is not checked.
    generator
        As for `tricks_lib.learning.draws.uniform_like`.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ValueError
        If ``p`` is a number out of range.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter (2017). Self-normalizing neural networks. arXiv:1706.02515

    Examples
    --------
    >>> x = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    >>> y = alpha_dropout(x, 0.2, generator=torch.Generator().manual_seed(1))
    >>> y.mean().abs().item() < 0.01, round(y.var().item(), 2)
    (True, 1.0)
    """
    if not isinstance(p, Tensor) and not 0 <= p < 1:
        raise ValueError(f"p must be in [0, 1), got {p}")
    rate = p.to(x.dtype) if isinstance(p, Tensor) else x.new_full((), p)
    scale = ((1 - rate) * (1 + rate * SELU_FLOOR**2)).rsqrt()
    keep = uniform_like(x, generator=generator) >= rate
    return scale * torch.where(keep, x, SELU_FLOOR) - scale * rate * SELU_FLOOR


class AlphaDropout(nn.Module):
    """`alpha_dropout` in training, the identity in evaluation; the rate is a buffer that is not saved.

    Parameters
    ----------
    p
        Rate in [0, 1).
    generator
        As for `tricks_lib.learning.draws.uniform_like`.
    device, dtype
        Of the buffer.

    Raises
    ------
    ValueError
        If ``p`` is out of range.

    Examples
    --------
    >>> layer = AlphaDropout(0.1)
    >>> layer, layer.eval()(torch.ones(2))
    (AlphaDropout(p=0.1), tensor([1., 1.]))
    """

    p: Tensor

    def __init__(
        self,
        p: float = 0.1,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must be in [0, 1), got {p}")
        self.register_buffer("p", torch.tensor(float(p), device=device, dtype=dtype), persistent=False)
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop numbers of ``x``, of any shape."""
        return alpha_dropout(x, self.p, generator=self.generator) if self.training else x

    def extra_repr(self) -> str:
        """Return the rate, for ``repr``."""
        return f"p={self.p.item():.4g}"


@cache
def _legendre(n: int) -> tuple[Tensor, Tensor]:
    """Return nodes in (0, 1) and weights of Gauss's rule with n nodes (Golub and Welsch 1969)."""
    k = torch.arange(1, n, dtype=torch.float64, device="cpu")
    off = k / (4 * k.square() - 1).sqrt()
    values, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return (values + 1) / 2, vectors[0].square()


def _weight_gradients(loss: Tensor, model: nn.Module) -> dict[Tensor | None, Tensor]:
    """Return the gradients of all parameters, and run the hooks on the outputs; ``grad`` stays as it is."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not asked:
        raise ValueError("model must have a parameter that requires a gradient, for there is a loss")
    found = torch.autograd.grad(loss, asked, allow_unused=True)
    return {parameter: gradient for parameter, gradient in zip(asked, found, strict=True) if gradient is not None}


def _mean_squares(gradients: Sequence[Tensor | None], like: Tensor) -> Tensor:
    nan = like.new_full((), math.nan)
    return torch.stack([nan if g is None else g.detach().square().mean() for g in gradients])
