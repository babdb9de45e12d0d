"""Find what is broken before a long run: fit two samples, watch every layer, check the gradient."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tricks_lib.learning import checkpoint
from tricks_lib.learning.loop import evaluate, update

__all__ = [
    "GradientCheck",
    "Overfit",
    "Watch",
    "best_step",
    "gradient_check",
    "numeric_gradient",
    "overfit_batch",
    "relative_error",
    "update_ratio",
    "verdict",
]

ACTIVATIONS: tuple[type[nn.Module], ...] = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)
BANDS = {1e-2: "wrong", 1e-4: "doubtful", 1e-7: "fine with kinks"}


@dataclass(frozen=True)
class Overfit:
    """What became of an attempt to fit one batch.

    Attributes
    ----------
    losses
        Before each step, as the step reported it: float64 (steps,), on the CPU.
    final
        After the last step, in train mode.
    evaluated
        The same in eval mode. Dropout and batch normalization make the difference.
    tolerance
        How near zero `final` must be.

    Examples
    --------
    >>> Overfit(torch.tensor([2.3, 0.1]), final=-5.0, evaluated=-5.0, tolerance=0.01).passed
    False
    """

    losses: Tensor
    final: float
    evaluated: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the loss in train mode ended at zero; a loss that fell below zero did not."""
        return abs(self.final) <= self.tolerance


def overfit_batch(
    model: nn.Module,
    batch: tuple[Any, Any],
    loss: Callable[[Any, Any], Tensor],
    optimizer: Optimizer,
    *,
    steps: int = 300,
    tolerance: float = 0.01,
    step: Callable[..., Mapping[str, float]] = update,
) -> Overfit:
    r"""Train on one batch only and see whether the loss reaches zero. Model and optimizer stay as they are.

    Parameters
    ----------
    model, loss, optimizer
        As for `tricks_lib.learning.loop.update`. A copy of the model is trained, with a copy of the optimizer: what
        the model's classes, its frozen parameters and the optimizer's list of parameters do is part of the test.
    batch
        Inputs and targets, two samples perhaps. The targets should differ.
    steps
        How many.
    tolerance
        How near zero the last loss must be.
    step
        The loop under test, called as ``step(model, [batch], loss, optimizer)``; it returns ``{"loss": ...}``.

    Returns
    -------
    Overfit

    Raises
    ------
    ValueError
        If ``steps`` or ``tolerance`` is out of range, or the batch holds fewer than two samples.
    FloatingPointError
        From `update`, if the loss is not finite.

    Notes
    -----
    torch's global random state is put back. A loss or step that reaches for the model by another way, such as a
    penalty on ``model.parameters()`` in a closure, still sees the original.

    References
    ----------
    A. Karpathy (2019). A recipe for training neural networks. https://karpathy.github.io/2019/04/25/recipe/

    Examples
    --------
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> model = nn.Linear(2, 3)
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    >>> overfit_batch(model, (x, torch.tensor([0, 2])), nn.functional.cross_entropy, optimizer).passed
    True
    >>> overfit_batch(model, (0 * x, torch.tensor([0, 2])), nn.functional.cross_entropy, optimizer).passed
    False
    """
    if (steps := operator.index(steps)) < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
    if isinstance(batch[1], Tensor) and len(batch[1]) < 2:
        raise ValueError(f"batch must hold at least 2 samples, got {len(batch[1])}: a constant output fits one")
    with checkpoint.random_states_kept():
        trained, stepper = copy.deepcopy((model, optimizer))  # together: the one steps the other's parameters
        losses = [float(step(trained, [batch], loss, stepper)["loss"]) for _ in range(steps)]
        evaluated = evaluate(trained, [batch], loss)["loss"]
        with torch.no_grad():
            trained.train()
            final = float(loss(trained(batch[0]), batch[1]))
    return Overfit(torch.tensor(losses, dtype=torch.float64, device="cpu"), final, evaluated, tolerance)


@dataclass
class Watch:
    r"""Record what happens in every layer while an optimizer steps: a context manager.

    For a weight matrix with gradient :math:`g` and update :math:`\Delta w`, over its entries,

    .. math:: \text{gradient} = \sqrt{\overline{g^2}}, \qquad \text{ratio} = \lVert \Delta w \rVert / \lVert w \rVert

    and for a layer of activations with outputs :math:`a`, the root mean square and the share of constant units,
    those that give every sample of the batch the same.

    Parameters
    ----------
    model
        Its parameters with two dimensions or more are watched, whether the optimizer has them or not.
    optimizer
        What counts is its ``step``.
    kinds
        Which layers are activations.

    Attributes
    ----------
    weights, layers
        Names of the parameters and of the activation layers.

    Notes
    -----
    Records one row a step, of the last forward pass before it; evaluating in between costs nothing but that row.
    A weight that gets no gradient has NaN there, and the ratio 0. Values are kept on the CPU in float64.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
    >>> _ = model[0].weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> with Watch(model, optimizer) as watch:
    ...     model(torch.tensor([[1.0, 0.0]])).sum().backward()
    ...     optimizer.step()
    >>> watch.weights, round(watch.ratio.item(), 6), watch.layers, watch.size.tolist()
    (['0.weight'], 0.1, ['1'], [[3.0]])
    """

    model: nn.Module
    optimizer: Optimizer
    kinds: tuple[type[nn.Module], ...] = ACTIVATIONS
    _rows: dict[str, list[list[float]]] = field(default_factory=dict, init=False, repr=False)
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)
    _before: list[Tensor] = field(default_factory=list, init=False, repr=False)
    _handles: list[Any] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._watched = {name: p for name, p in self.model.named_parameters() if p.ndim >= 2}
        self._acting = {name: m for name, m in self.model.named_modules() if isinstance(m, self.kinds)}
        self.weights, self.layers = list(self._watched), list(self._acting)
        if not self.weights:
            raise ValueError("model must have a parameter with two dimensions or more, and has none")
        self._rows = {name: [] for name in ("gradient", "ratio", "size", "constant")}

    def __enter__(self) -> Self:
        self._handles = [m.register_forward_hook(partial(self._look, name)) for name, m in self._acting.items()]
        self._handles += [self.optimizer.register_step_pre_hook(self._pre)]
        self._handles += [self.optimizer.register_step_post_hook(self._post)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def gradient(self) -> Tensor:
        """Root mean square of each weight's gradient (steps, weights)."""
        return self._table("gradient", len(self.weights))

    @property
    def ratio(self) -> Tensor:
        """Norm of each weight's update over that of the weight before it (steps, weights)."""
        return self._table("ratio", len(self.weights))

    @property
    def size(self) -> Tensor:
        """Root mean square of each layer's activations (steps, layers)."""
        return self._table("size", len(self.layers))

    @property
    def constant(self) -> Tensor:
        """Share of the units of each layer that do not vary over the batch (steps, layers)."""
        return self._table("constant", len(self.layers))

    def _table(self, name: str, columns: int) -> Tensor:
        return torch.tensor(self._rows[name], dtype=torch.float64, device="cpu").reshape(-1, columns)

    def _look(self, name: str, _: nn.Module, inputs: Any, output: Tensor) -> None:
        units = output.detach().movedim(1, 0).flatten(1)
        constant = (units == units[:, :1]).all(1).to(torch.promote_types(units.dtype, torch.float32)).mean()
        self._seen[name] = (_rms(units), constant.item())

    def _pre(self, *_: Any) -> None:
        found = [math.nan if p.grad is None else _rms(p.grad) for p in self._watched.values()]
        self._before = [p.detach().clone() for p in self._watched.values()]
        seen = [self._seen.get(name, (math.nan, math.nan)) for name in self.layers]
        self._rows["gradient"].append(found)
        self._rows["size"].append([size for size, _ in seen])
        self._rows["constant"].append([constant for _, constant in seen])

    def _post(self, *_: Any) -> None:
        pairs = zip(self._before, self._watched.values(), strict=True)
        self._rows["ratio"].append([update_ratio(before, after.detach()).item() for before, after in pairs])


def update_ratio(before: Tensor, after: Tensor) -> Tensor:
    r"""Return how far a step moved a weight, as a share of its size.

    .. math:: r = \lVert w_{t+1} - w_t \rVert / \lVert w_t \rVert

    Parameters
    ----------
    before, after
        The weight before and after the step, of one shape.

    Returns
    -------
    Tensor
        A number, with the dtype of the weight: infinite for a weight of zero that moved, NaN for one that did not.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> update_ratio(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.0])).item()
    1.0
    """
    if before.shape != after.shape:
        raise ValueError(f"before and after must have one shape, got {tuple(before.shape)} and {tuple(after.shape)}")
    ratio: Tensor = (after - before).norm() / before.norm()
    return ratio


def best_step(dtype: torch.dtype) -> float:
    r"""Return the step of a centered difference that balances truncation and rounding.

    .. math:: h^* = \epsilon^{1/3}, \qquad \text{with an error of the order } \epsilon^{2/3}

    for a function whose value and third derivative are of order one.

    Parameters
    ----------
    dtype
        In which the function is computed.

    Returns
    -------
    float

    Examples
    --------
    >>> f"{best_step(torch.float64):.1e}, {best_step(torch.float32):.1e}"
    '6.1e-06, 4.9e-03'
    """
    return float(torch.finfo(dtype).eps ** (1 / 3))


@torch.no_grad()
def numeric_gradient(
    f: Callable[[], Tensor], x: Tensor, *, h: float | None = None, entries: Sequence[int] | None = None
) -> Tensor:
    r"""Differentiate a function by centered differences, entry by entry of a tensor that it reads.

    .. math:: \frac{\partial f}{\partial x_k} \approx \frac{f(x + h e_k) - f(x - h e_k)}{x_k^+ - x_k^-}

    The denominator is the distance of the two numbers that were really used: :math:`x_k \pm h` is rounded, too.

    Parameters
    ----------
    f
        Function without arguments that returns a number, a tensor of shape ``()``. The same at each call.
    x
        Changed in place while ``f`` runs, and put back: a parameter, or data of floating-point type.
    h
        Step; ``None``: `best_step` of the dtype.
    entries
        Which entries, counted through the flat tensor; ``None``: all of them.

    Returns
    -------
    Tensor
        One number an entry, (K,), with the dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not of floating-point type.
    ValueError
        If ``h`` is not above 0 or too small to change an entry, or ``f`` returns two values for one ``x``.

    Notes
    -----
    Costs two calls of ``f`` an entry. `entries` in ``range(x.numel())``.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    >>> [round(value, 6) for value in numeric_gradient(lambda: (x**2).sum(), x, entries=[0, 3]).tolist()]
    [2.0, 8.0]
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be of floating-point type, got {x.dtype}")
    h = best_step(x.dtype) if h is None else h
    if not h > 0:
        raise ValueError(f"h must be above 0, got {h}")
    if not torch.equal(first := f(), second := f()) and not (first.isnan() & second.isnan()).all():
        raise ValueError(f"f must return the same number at each call, got {first} and {second}: is dropout on?")
    return torch.stack([_slope(f, x, k, h) for k in (range(x.numel()) if entries is None else entries)])


def relative_error(a: Tensor, n: Tensor) -> Tensor:
    r"""Compare two gradients, entry by entry.

    .. math:: \frac{|a - n|}{|a| + |n|}, \qquad \text{and } 0 \text{ where both are } 0

    Parameters
    ----------
    a, n
        Analytic and numeric gradient, of one shape.

    Returns
    -------
    Tensor
        Between 0 and 1 (signs that differ give 1), of that shape; NaN where one is not finite.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> relative_error(torch.tensor([1.0, 0.0, 2.0, 0.0]), torch.tensor([3.0, 0.0, -2.0, 1.0])).tolist()
    [0.5, 0.0, 1.0, 1.0]
    """
    if a.shape != n.shape:
        raise ValueError(f"a and n must have one shape, got {tuple(a.shape)} and {tuple(n.shape)}")
    size = a.abs() + n.abs()
    return torch.where(size == 0, torch.zeros_like(size), (a - n).abs() / size)


def verdict(error: float | Tensor) -> str:
    """Read a relative error as the notes of CS231n do; of several errors the largest counts.

    =================== =====================================================
    ``wrong``           above 1e-2, or NaN: probably a bug
    ``doubtful``        above 1e-4
    ``fine with kinks`` above 1e-7: all right for ReLU, too much for tanh
    ``right``           1e-7 or less
    =================== =====================================================

    The bands are for float64.

    Parameters
    ----------
    error
        Relative error or errors, at least one.

    Returns
    -------
    str

    References
    ----------
    CS231n, Stanford. Neural networks part 3. https://cs231n.github.io/neural-networks-3/

    Examples
    --------
    >>> verdict(3e-9), verdict(torch.tensor([1e-9, 2e-5])), verdict(2e-3), verdict(1.0)
    ('right', 'fine with kinks', 'doubtful', 'wrong')
    """
    errors = error if isinstance(error, Tensor) else torch.tensor(error, dtype=torch.float64, device="cpu")
    if not errors.numel():
        raise ValueError("error must hold at least one number, got none")
    worst = float(errors.max())  # NaN if there is one
    if math.isnan(worst):
        return "wrong"
    return next((name for bound, name in BANDS.items() if worst > bound), "right")


@dataclass(frozen=True)
class GradientCheck:
    """Two gradients of one tensor, at some of its entries.

    Attributes
    ----------
    entries
        Which, counted through the flat tensor (K,).
    analytic, numeric
        What was claimed, and what differences say (K,).

    Examples
    --------
    >>> check = GradientCheck([0], torch.tensor([2.0]), torch.tensor([6.0]))
    >>> check.error.tolist(), check.verdict
    ([0.5], 'wrong')
    """

    entries: Sequence[int]
    analytic: Tensor
    numeric: Tensor

    @property
    def error(self) -> Tensor:
        """The relative error of each entry."""
        return relative_error(self.analytic, self.numeric)

    @property
    def verdict(self) -> str:
        """The band of the worst entry."""
        return verdict(self.error)


def gradient_check(
    f: Callable[[], Tensor],
    parameters: Mapping[str, Tensor],
    *,
    gradients: Mapping[str, Tensor] | None = None,
    h: float | None = None,
    count: int = 10,
    generator: torch.Generator | None = None,
) -> dict[str, GradientCheck]:
    """Check gradients against centered differences at a few entries of *each* tensor.

    Parameters
    ----------
    f
        Function without arguments that returns the loss, a tensor of shape ``()``.
    parameters
        What it depends on, by name, such as ``dict(model.named_parameters())``.
    gradients
        What is to be checked, by the same names; ``None``: what autograd finds. A tensor that gets no gradient counts
        as zero.
    h
        Step; ``None``: `best_step` of the dtype.
    count
        How many entries of each tensor at most, drawn without replacement: biases are few, and would be missed in a
        draw from all.
    generator
        Draws them.

    Returns
    -------
    dict
        A `GradientCheck` for each tensor.

    Raises
    ------
    ValueError
        If ``count`` is below 1, or gradients have other names or shapes; see also `numeric_gradient`.

    Examples
    --------
    >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> check = gradient_check(lambda: (w**3).sum(), {"w": w}, gradients={"w": 2 * w**2})
    >>> check["w"].verdict
    'wrong'
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    claimed = _autograd(f, parameters) if gradients is None else dict(gradients)
    shapes, wanted = ({n: tuple(t.shape) for n, t in some.items()} for some in (claimed, parameters))
    if shapes != wanted:
        raise ValueError(f"gradients must have the names and shapes of the parameters, {wanted}, got {shapes}")
    checks = {}
    for name, x in parameters.items():
        place = "cpu" if generator is None else generator.device
        entries = torch.randperm(x.numel(), generator=generator, device=place)[:count].tolist()
        numeric = numeric_gradient(f, x, h=h, entries=entries)
        checks[name] = GradientCheck(entries, claimed[name].detach().flatten()[entries], numeric)
    return checks


def _rms(x: Tensor) -> float:
    return x.detach().square().mean().sqrt().item()


def _slope(f: Callable[[], Tensor], x: Tensor, k: int, h: float) -> Tensor:
    """Return the centered difference at entry k, and put the entry back."""
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(k, device="cpu"), x.shape))
    before, ends = x[place].clone(), []
    try:
        for sign in (1, -1):
            x[place] = before + sign * h
            ends.append((f().to(x.dtype), x[place].clone()))
    finally:
        x[place] = before
    (above, plus), (below, minus) = ends
    if plus == minus:
        raise ValueError(f"h must change entry {k} of x, which is {before.item()}, and {h} is too small for that")
    return (above - below) / (plus - minus)


def _autograd(f: Callable[[], Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    flags = {name: x.requires_grad for name, x in parameters.items()}
    try:
        for x in parameters.values():
            x.requires_grad_(True)
        found = torch.autograd.grad(f(), list(parameters.values()), allow_unused=True)
    finally:
        for name, x in parameters.items():
            x.requires_grad_(flags[name])
    return {
        name: torch.zeros_like(x) if g is None else g for (name, x), g in zip(parameters.items(), found, strict=True)
    }
