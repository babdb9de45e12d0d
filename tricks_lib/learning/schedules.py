"""Learning-rate schedules as pure functions of the optimizer step, and the plateau rule, which is none.

A schedule returns a factor of the learning rate: ``torch.optim.lr_scheduler.LambdaLR(optimizer, Cosine(900))``.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Cosine",
    "Cyclical",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Restarts",
    "Schedule",
    "StepDecay",
    "Then",
    "Warmup",
    "factors",
]


@dataclass(frozen=True)
class Schedule(ABC):
    """A function of the optimizer step, from 0, that returns the factor of the learning rate, in [0, 1].

    It keeps no state: the factor at a step is the same however often, and after which break, it is asked for.

    Raises
    ------
    TypeError, ValueError
        When called, if the step is no whole number, or below 0.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    >>> schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, Cosine(900))
    >>> schedule.get_last_lr()
    [0.4]
    """

    def __call__(self, step: int) -> float:
        if operator.index(step) < 0:
            raise ValueError(f"step must be 0 or more, got {step}")
        return self._at(operator.index(step))

    @abstractmethod
    def _at(self, step: int) -> float: ...


@dataclass(frozen=True)
class InverseTime(Schedule):
    r"""The rate of stochastic approximation: as one over the step, in the long run.

    .. math:: s(t) = \frac{1}{1 + k t}

    Parameters
    ----------
    k
        Above 0: after ``1 / k`` steps the factor is a half.

    Raises
    ------
    ValueError
        If ``k`` is out of range.

    References
    ----------
    H. Robbins and S. Monro (1951). A stochastic approximation method. https://doi.org/10.1214/aoms/1177729586

    Examples
    --------
    >>> InverseTime(0.5)(6)
    0.25
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        _positive("k", self.k)

    def _at(self, step: int) -> float:
        return 1 / (1 + self.k * step)


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    r"""One over the square root of the step; defined at the first step, too.

    .. math:: s(t) = \frac{1}{\sqrt{1 + k t}}

    Parameters
    ----------
    k
        Above 0: after ``3 / k`` steps the factor is a half.

    Raises
    ------
    ValueError
        If ``k`` is out of range.

    Examples
    --------
    >>> InverseSqrt()(0), InverseSqrt()(3)
    (1.0, 0.5)
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        _positive("k", self.k)

    def _at(self, step: int) -> float:
        return 1 / math.sqrt(1 + self.k * step)


@dataclass(frozen=True)
class Exponential(Schedule):
    r"""The same share less with every step.

    .. math:: s(t) = \gamma^t

    Parameters
    ----------
    gamma
        In (0, 1].

    Raises
    ------
    ValueError
        If ``gamma`` is out of range.

    Examples
    --------
    >>> Exponential(0.5)(3)
    0.125
    """

    gamma: float

    def __post_init__(self) -> None:
        _share("gamma", self.gamma, positive=True)

    def _at(self, step: int) -> float:
        return float(self.gamma**step)


@dataclass(frozen=True)
class StepDecay(Schedule):
    r"""A drop every few steps.

    .. math:: s(t) = \gamma^{\lfloor t / \text{every} \rfloor}

    Parameters
    ----------
    every
        Optimizer steps from one drop to the next, at least 1.
    gamma
        Factor of each drop, in (0, 1].

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> schedule = StepDecay(every=10, gamma=0.5)
    >>> schedule(9), schedule(10), schedule(25)
    (1.0, 0.5, 0.25)
    """

    every: int
    gamma: float = 0.5

    def __post_init__(self) -> None:
        _whole("every", self.every)
        _share("gamma", self.gamma, positive=True)

    def _at(self, step: int) -> float:
        return float(self.gamma ** (step // self.every))


@dataclass(frozen=True)
class Linear(Schedule):
    r"""A straight line, then constant.

    .. math:: s(t) = a + (b - a) \min(t / T, 1)

    Parameters
    ----------
    steps
        :math:`T`, at least 1: after that many optimizer steps the end is reached.
    start, end
        Factors :math:`a` and :math:`b`, in [0, 1].

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> Linear(4)(1), Linear(4)(9)
    (0.75, 0.0)
    """

    steps: int
    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps)
        _share("start", self.start)
        _share("end", self.end)

    def _at(self, step: int) -> float:
        return self.start + (self.end - self.start) * min(step / self.steps, 1)


@dataclass(frozen=True)
class Polynomial(Schedule):
    r"""A power of the share of the steps that is left, then constant.

    .. math:: s(t) = b + (1 - b) \left(1 - \min(t / T, 1)\right)^p

    Parameters
    ----------
    steps
        :math:`T`, at least 1.
    power
        :math:`p`, above 0: 1 is a straight line, 2 a parabola that lands softly.
    end
        :math:`b`, in [0, 1].

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> Polynomial(4, power=2)(2)
    0.25
    """

    steps: int
    power: float = 2.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps)
        _positive("power", self.power)
        _share("end", self.end)

    def _at(self, step: int) -> float:
        return float(self.end + (1 - self.end) * (1 - min(step / self.steps, 1)) ** self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Half a period of a cosine, then constant.

    .. math:: s(t) = b + \frac{1 - b}{2} \left(1 + \cos(\pi \min(t / T, 1))\right)

    Parameters
    ----------
    steps
        :math:`T`, at least 1.
    end
        :math:`b`, in [0, 1].

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    I. Loshchilov and F. Hutter (2017). SGDR: Stochastic gradient descent with warm restarts.
    https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> Cosine(4)(0), round(Cosine(4)(2), 12), Cosine(4)(9)
    (1.0, 0.5, 0.0)
    """

    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps)
        _share("end", self.end)

    def _at(self, step: int) -> float:
        return _half_cosine(1, self.end, min(step / self.steps, 1))


@dataclass(frozen=True)
class Warmup(Schedule):
    r"""A straight line up to 1, then constant. The first step already learns.

    .. math:: s(t) = \min\left(\frac{t + 1}{W}, 1\right)

    Parameters
    ----------
    steps
        :math:`W`, at least 1: the last of that many steps has the full rate.

    Raises
    ------
    ValueError
        If ``steps`` is out of range.

    References
    ----------
    P. Goyal et al. (2017). Accurate, large minibatch SGD: Training ImageNet in 1 hour.
    https://arxiv.org/abs/1706.02677

    Examples
    --------
    >>> Warmup(4)(0), Warmup(4)(3), Warmup(4)(9)
    (0.25, 1.0, 1.0)
    """

    steps: int

    def __post_init__(self) -> None:
        _whole("steps", self.steps)

    def _at(self, step: int) -> float:
        return min((step + 1) / self.steps, 1.0)


@dataclass(frozen=True)
class Then(Schedule):
    """One schedule for some steps, then another one from its own step 0.

    Parameters
    ----------
    first, second
        Schedules, which may be of this kind themselves, or other functions of the step.
    steps
        For how many steps the first one holds, at least 1.

    Raises
    ------
    TypeError, ValueError
        If a schedule cannot be called, or ``steps`` is out of range.

    Examples
    --------
    >>> schedule = Then(Warmup(100), 100, Cosine(900))
    >>> schedule(49), schedule(99), schedule(100), round(schedule(550), 12), schedule(1000)
    (0.5, 1.0, 1.0, 0.5, 0.0)
    """

    first: Callable[[int], float]
    steps: int
    second: Callable[[int], float]

    def __post_init__(self) -> None:
        _function("first", self.first)
        _whole("steps", self.steps)
        _function("second", self.second)

    def _at(self, step: int) -> float:
        return self.first(step) if step < self.steps else self.second(step - self.steps)


@dataclass(frozen=True)
class Restarts(Schedule):
    r"""A cosine that starts again whenever it has come down; never ends.

    .. math:: s(t) = b + \frac{1 - b}{2} \left(1 + \cos \frac{\pi\, t_i}{T_i}\right), \qquad T_i = T_0\, m^i

    with :math:`t_i` the steps since the last restart, which was the :math:`i`-th.

    Parameters
    ----------
    steps
        Length :math:`T_0` of the first cycle, at least 1.
    mult
        A whole number :math:`m`, at least 1: each cycle is that many times as long as the one before.
    end
        :math:`b`, in [0, 1].

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    I. Loshchilov and F. Hutter (2017). SGDR: Stochastic gradient descent with warm restarts.
    https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> schedule = Restarts(10, mult=2)
    >>> [step for step in range(100) if schedule(step) == 1]
    [0, 10, 30, 70]
    """

    steps: int
    mult: int = 1
    end: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps)
        _whole("mult", self.mult)
        _share("end", self.end)

    def _at(self, step: int) -> float:
        length = self.steps
        while self.mult > 1 and step >= length:  # whole numbers: a logarithm would round some restarts away
            step, length = step - length, length * self.mult
        return _half_cosine(1, self.end, step % length / length)


@dataclass(frozen=True)
class Cyclical(Schedule):
    r"""Straight up and down, again and again.

    .. math:: s(t) = a + (1 - a)\, \gamma^i\, \min\left(\frac{t_i}{\text{up}}, \frac{\text{up} + \text{down} - t_i}
              {\text{down}}\right)

    with :math:`t_i` the steps since the start of the :math:`i`-th cycle, counted from 0.

    Parameters
    ----------
    up
        Steps from the low to the high, at least 1.
    low
        :math:`a`, in [0, 1]: the factor at the start.
    down
        Steps from the high to the low; ``None``: as many as up.
    shrink
        :math:`\gamma`, in (0, 1]: by what the height shrinks from cycle to cycle.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    L. N. Smith (2017). Cyclical learning rates for training neural networks. https://arxiv.org/abs/1506.01186

    Examples
    --------
    >>> schedule = Cyclical(up=2, low=0.5)
    >>> [schedule(step) for step in range(6)]
    [0.5, 0.75, 1.0, 0.75, 0.5, 0.75]
    """

    up: int
    low: float = 0.25
    down: int | None = None
    shrink: float = 1.0

    def __post_init__(self) -> None:
        _whole("up", self.up)
        _share("low", self.low)
        if self.down is not None:
            _whole("down", self.down)
        _share("shrink", self.shrink, positive=True)

    def _at(self, step: int) -> float:
        down = self.up if self.down is None else self.down
        cycle, step = divmod(step, self.up + down)
        height = min(step / self.up, (self.up + down - step) / down)
        return float(self.low + (1 - self.low) * self.shrink**cycle * height)


@dataclass(frozen=True)
class OneCycle(Schedule):
    r"""Up once and down to almost nothing, both along a cosine, then constant.

    Parameters
    ----------
    steps
        Of the whole cycle; the last of them has the factor ``end``.
    rise
        Share of the steps that go up, in (0, 1), and more than one step.
    start, end
        Factors, in [0, 1].

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    L. N. Smith and N. Topin (2017). Super-convergence: Very fast training of neural networks using large learning
    rates. https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> schedule = OneCycle(101, rise=30 / 100, start=0.5, end=0.0)
    >>> schedule(0), max(range(101), key=schedule), schedule(100), schedule(999)
    (0.5, 29, 0.0, 0.0)
    """

    steps: int
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 4e-6

    def __post_init__(self) -> None:
        _whole("steps", self.steps)
        _share("start", self.start)
        _share("end", self.end)
        if not (isinstance(self.rise, Real) and 1 / self.steps < self.rise < 1):
            raise ValueError(f"rise must be in (1 / steps, 1) with steps = {self.steps}, got {self.rise!r}")

    def _at(self, step: int) -> float:
        top, last = self.rise * self.steps - 1, self.steps - 1
        if step <= top:
            return _half_cosine(self.start, 1, step / top)
        return _half_cosine(1, self.end, min((step - top) / (last - top), 1))


@dataclass
class Plateau:
    """Cut the learning rate when a validation score has stopped to improve.

    Not a function of the step: what it does depends on what was measured. It goes to ``LambdaLR`` all the same, which
    asks it for the factor before each step and keeps its state in checkpoints; `step` tells it what was measured.

    Parameters
    ----------
    factor
        Of each cut, in (0, 1).
    patience
        How many scores in a row may fail to improve: the next one that does causes a cut.
    threshold
        By what share of its size the best score must be beaten (by what amount, if not ``relative``); 0 or more.
    relative
        Whether ``threshold`` is a share.
    cooldown
        After a cut, how many scores do not count as failures.
    lowest
        The factor never goes below it, in [0, 1].
    highest
        Whether a high score is good, as for an accuracy.

    Attributes
    ----------
    multiplier
        The factor of the learning rate now.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> plateau = Plateau(factor=0.5, patience=1)
    >>> [plateau.step(loss) for loss in (0.9, 0.7, 0.7, 0.8, 0.6)]
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    factor: float = 0.5
    patience: int = 5
    threshold: float = 1e-4
    relative: bool = True
    cooldown: int = 0
    lowest: float = 0.0
    highest: bool = False
    multiplier: float = field(default=1.0, init=False)
    best: float = field(default=math.inf, init=False)
    failures: int = field(default=0, init=False)
    cooling: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not (isinstance(self.factor, Real) and 0 < self.factor < 1):
            raise ValueError(f"factor must be in (0, 1), got {self.factor!r}")
        _whole("patience", self.patience, 0)
        if not (isinstance(self.threshold, Real) and 0 <= self.threshold < math.inf):
            raise ValueError(f"threshold must be a finite number, 0 or more, got {self.threshold!r}")
        _whole("cooldown", self.cooldown, 0)
        _share("lowest", self.lowest)
        self.best = -math.inf if self.highest else math.inf

    def __call__(self, step: int) -> float:
        """Return the factor of now, whatever the step."""
        return self.multiplier

    def step(self, score: float | Tensor) -> float:
        """Take note of a new score, and return the factor from now on. NaN counts as a failure."""
        score = float(score)
        better = self._is_better(score)
        self.best = score if better else self.best
        self.failures = 0 if better or self.cooling else self.failures + 1
        self.cooling = max(self.cooling - 1, 0)
        if self.failures > self.patience:
            self.multiplier = max(self.multiplier * self.factor, self.lowest)
            self.failures, self.cooling = 0, self.cooldown
        return self.multiplier

    def _is_better(self, score: float) -> bool:
        sign = 1 if self.highest else -1
        share = math.copysign(self.threshold, self.best) if self.relative and math.isfinite(self.best) else 0.0
        amount = 0.0 if self.relative else self.threshold
        return sign * score > sign * self.best * (1 + sign * share) + amount

    def state_dict(self) -> dict[str, float]:
        """Return what it remembers, as plain numbers."""
        return {name: getattr(self, name) for name in ("multiplier", "best", "failures", "cooling")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` returned.

        Raises
        ------
        ValueError
            If the names are not those.
        """
        if state.keys() != self.state_dict().keys():
            raise ValueError(f"state must hold {', '.join(self.state_dict())}, got {', '.join(map(str, state))}")
        vars(self).update(state)


def factors(schedule: Callable[[int], float], steps: int, *, device: torch.device | str | None = None) -> Tensor:
    """Tabulate a schedule, to plot it or to add it up.

    Parameters
    ----------
    schedule
        Step (0, 1, ...) -> factor.
    steps
        How many, 0 or more.
    device
        Of the result; ``None``: torch's default.

    Returns
    -------
    Tensor
        Factors (steps,), float64.

    Raises
    ------
    ValueError
        If ``steps`` is out of range.

    Examples
    --------
    >>> factors(StepDecay(2), 5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    _whole("steps", steps, 0)
    return torch.tensor([float(schedule(step)) for step in range(steps)], dtype=torch.float64, device=device)


def _half_cosine(start: float, end: float, share: float) -> float:
    """Return the place between two values when a share of the way is done, slow at both ends."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _whole(name: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")


def _positive(name: str, value: Any) -> None:
    if not (isinstance(value, Real) and 0 < float(value) < math.inf):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")


def _share(name: str, value: Any, *, positive: bool = False) -> None:
    low = "(0" if positive else "[0"
    if not (isinstance(value, Real) and 0 <= float(value) <= 1) or (positive and value == 0):
        raise ValueError(f"{name} must be in {low}, 1], got {value!r}")


def _function(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be a schedule, a function of the step, got {value!r}")
