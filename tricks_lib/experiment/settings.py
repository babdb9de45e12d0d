"""The settings that a sweep compares: all combinations, or a random sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["LogUniform", "Setting", "Uniform", "grid", "random"]

Setting = dict[str, Any]


def grid(**axes: Iterable[Any]) -> list[Setting]:
    """Return all combinations of the values of each name; the last name varies fastest.

    Raises
    ------
    ValueError
        If a name has no values.
    TypeError
        If the values of a name are no list (a single value needs brackets).

    Examples
    --------
    >>> grid(lr=[0.1, 1.0], momentum=[0.0, 0.9])[:3]
    [{'lr': 0.1, 'momentum': 0.0}, {'lr': 0.1, 'momentum': 0.9}, {'lr': 1.0, 'momentum': 0.0}]
    """
    values = {name: _values(name, axis) for name, axis in axes.items()}
    return [dict(zip(values, choice, strict=True)) for choice in itertools.product(*values.values())]


def random(
    n: int, *, generator: torch.Generator | None = None, **axes: Sequence[Any] | Callable[[float], Any]
) -> list[Setting]:
    """Return ``n`` random settings.

    Parameters
    ----------
    n
        How many, at least 1.
    generator
        Drawn from; ``None``: torch's global generator.
    **axes
        For each name the values to choose from, or a function of a number that is uniform in [0, 1), such as
        `LogUniform`.

    Raises
    ------
    ValueError
        If ``n`` is below 1, or a name has no values.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> for setting in random(2, generator=generator, lr=LogUniform(0.01, 1), momentum=[0.0, 0.9]):
    ...     print({name: round(value, 4) for name, value in setting.items()})
    {'lr': 0.8712, 'momentum': 0.9}
    {'lr': 0.0829, 'momentum': 0.9}
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    device = "cpu" if generator is None else generator.device
    draws = torch.rand(n, len(axes), generator=generator, dtype=torch.float64, device=device).tolist()
    pick = [axis if callable(axis) else _Choice(_values(name, axis)) for name, axis in axes.items()]
    return [{name: f(u) for name, f, u in zip(axes, pick, row, strict=True)} for row in draws]


@dataclass(frozen=True)
class Uniform:
    """Numbers that are uniform in [low, high), as a function of one that is uniform in [0, 1).

    Raises
    ------
    ValueError
        If ``low`` is not below ``high``.

    Examples
    --------
    >>> Uniform(-1, 3)(0.25)
    0.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")

    def __call__(self, u: float) -> float:
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogUniform:
    """Positive numbers whose logarithm is uniform, as a function of a number that is uniform in [0, 1).

    Raises
    ------
    ValueError
        If ``low`` is not above 0 and below ``high``.

    Examples
    --------
    >>> round(LogUniform(0.01, 100)(0.25), 6)
    0.1
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"low must be above 0 and below high, got {self.low} and {self.high}")

    def __call__(self, u: float) -> float:
        return self.low * math.exp(u * math.log(self.high / self.low))


@dataclass(frozen=True)
class _Choice:
    values: list[Any]

    def __call__(self, u: float) -> Any:
        return self.values[int(u * len(self.values))]


def _values(name: str, axis: Any) -> list[Any]:
    if isinstance(axis, str) or not isinstance(axis, Iterable):
        raise TypeError(f"{name} must be a list of values, got {axis!r}")
    if not (values := list(axis)):
        raise ValueError(f"{name} has no values")
    return values
