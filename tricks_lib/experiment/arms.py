"""Who takes which part of a setting: the model, the optimizer, the loss, the augmentation or the sweep itself."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any

from torch import Tensor, nn

from tricks_lib.experiment.settings import Setting
from tricks_lib.experiment.stack import token
from tricks_lib.learning.optimizers import Interval, RuleOptimizer

__all__ = ["Arm", "read_setting"]

OWN_NUMBERS = {"max_norm": Interval(0, math.inf, "(]"), "ema": Interval(0, 1)}
BOUNDS = {**OWN_NUMBERS, "label_smoothing": Interval(0, 1, "[]")}


@dataclass(frozen=True)
class Arm:
    """One setting, sorted by who takes what.

    Attributes
    ----------
    setting
        As it was given.
    run
        ``data``, ``epochs``, ``batch_size``, ``optimizer``, ``loss``, ``schedule``, ``augment``.
    model, fixed
        Arguments of ``make_model``; arguments of optimizer, loss and augmentation that all models of a stack share.
    numbers
        What may differ from model to model within a stack: arguments of optimizer, loss and sweep.

    Examples
    --------
    >>> from tricks_lib.learning.losses import cross_entropy
    >>> from tricks_lib.learning.optimizers import SGD
    >>> run = {"optimizer": SGD, "loss": cross_entropy, "augment": None, "epochs": 1, "batch_size": 8}
    >>> arm = read_setting(0, {"width": 9, "lr": 1, "nesterov": True, "momentum": 0.9}, lambda width: None, run)
    >>> arm.model, arm.numbers["optimizer"], arm.fixed["optimizer"]
    ({'width': 9}, {'lr': 1.0, 'momentum': 0.9}, {'nesterov': True})
    """

    setting: Setting
    run: Mapping[str, Any]
    model: Mapping[str, Any]
    fixed: Mapping[str, Mapping[str, Any]]
    numbers: Mapping[str, Mapping[str, float]]

    def key(self) -> Hashable:
        """Return what arms that may share a stack have in common, beside the architecture.

        The names of the numbers belong to it: a term is computed exactly for the models whose setting names it, so
        that no result depends on the terms of others.
        """
        shared = [token(value) for name, value in self.run.items() if name != "schedule"]
        return tuple(shared), token(self.fixed), token({taker: set(names) for taker, names in self.numbers.items()})

    def loss(self) -> tuple[Callable[..., Tensor], bool]:
        """Return the loss, and whether it is a function of the model rather than of its outputs."""
        takes_model = next(iter(_signature(self.run["loss"]).parameters)) == "model"
        return partial(self.run["loss"], **self.fixed["loss"]), takes_model

    def augment(self) -> Callable[..., Any] | None:
        """Return the augmentation as a function of (x, \\*targets, generator) that returns as many tensors."""
        if self.run["augment"] is None:
            return None
        augment = partial(self.run["augment"], **self.fixed["augment"])
        places = [p for p in _signature(self.run["augment"]).parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD]
        if sum(p.default is p.empty for p in places) > 1:
            return augment
        return lambda x, *targets, generator: (augment(x, generator=generator), *targets)


def read_setting(index: int, setting: Setting, make_model: Callable[..., nn.Module], run: Mapping[str, Any]) -> Arm:
    """Sort a setting.

    Parameters
    ----------
    index
        Its number, for messages.
    make_model
        Takes what its signature names.
    run
        The keywords of the sweep, which the setting may override.

    Raises
    ------
    TypeError
        If nobody, or more than one, takes a name, or a number is none.
    ValueError
        If a number is out of range.
    """
    run = {name: setting.get(name, value) for name, value in run.items()}
    run |= {name: _whole(index, name, run[name], least) for name, least in {"epochs": 0, "batch_size": 1}.items()}
    takers = _takers(make_model, run)
    where = {name: [taker for taker, names in takers.items() if name in names] for name in setting}
    for name, found in where.items():
        _check_taken(index, name, found, takers)
    mine = {taker: {name: setting[name] for name in setting if where[name] == [taker]} for taker in takers}
    numbers = {
        taker: {
            name: _number(index, name, value) for name, value in mine[taker].items() if _counts(takers, taker, name)
        }
        for taker in ("optimizer", "loss", "sweep")
    }
    numbers["optimizer"].setdefault("lr", takers["optimizer"]["lr"])
    fixed = {
        taker: {name: value for name, value in mine[taker].items() if name not in numbers.get(taker, {})}
        for taker in ("optimizer", "loss", "augment")
    }
    _check_range(index, run["optimizer"], {**takers["optimizer"], **fixed["optimizer"]}, numbers)
    return Arm(setting, run, mine["make_model"], fixed, numbers)


def _takers(make_model: Callable[..., nn.Module], run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the names that each taker knows, with their defaults."""
    if not (isinstance(run["optimizer"], type) and issubclass(run["optimizer"], RuleOptimizer)):
        raise TypeError(f"optimizer must be a class such as tricks_lib.learning.optimizers.SGD, got {run['optimizer']}")
    for name in ("loss", "augment", "schedule"):
        _check_function(name, run.get(name), optional=name != "loss")
    return {
        "sweep": {**dict.fromkeys(run), "label": None, **dict.fromkeys(OWN_NUMBERS, 0.0)},
        "make_model": _options(make_model, positional=True),
        "optimizer": _options(run["optimizer"].rule),
        "loss": _options(run["loss"]),
        "augment": _options(run["augment"]) if run["augment"] else {},
    }


def _check_function(name: str, function: Any, *, optional: bool) -> None:
    if isinstance(function, type):
        raise TypeError(f"{name} is a class: write {function.__name__}()")
    if not (callable(function) or (optional and function is None)):
        raise TypeError(f"{name} must be a function, got {function!r}")


def _options(function: Callable[..., Any], *, positional: bool = False) -> dict[str, Any]:
    parameters = _signature(function).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and (positional or p.default is not p.empty)
        and p.name != "generator"
    }


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function.forward if isinstance(function, nn.Module) else function)


def _check_taken(index: int, name: str, found: list[str], takers: Mapping[str, Mapping[str, Any]]) -> None:
    if len(found) > 1:
        raise TypeError(f"settings[{index}]: {name!r} is taken by {' and by '.join(found)}: rename one of them")
    if not found:
        known = "; ".join(f"{taker} takes {', '.join(names)}" for taker, names in takers.items() if names)
        raise TypeError(f"settings[{index}]: nobody takes {name!r}: {known}")


def _number(index: int, name: str, value: Any) -> float:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"settings[{index}]: {name} must be a number, got {value!r}")
    return float(value)


def _whole(index: int, name: str, value: Any, least: int) -> int:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"settings[{index}]: {name} must be a whole number, at least {least}, got {value!r}")
    return int(value)


def _counts(takers: Mapping[str, Mapping[str, Any]], taker: str, name: str) -> bool:
    """Tell whether a name stands for a number: its default is a float."""
    return isinstance(takers[taker][name], float)


def _check_range(
    index: int, optimizer: type[RuleOptimizer], options: Mapping[str, Any], numbers: Mapping[str, Mapping[str, float]]
) -> None:
    try:
        optimizer.check({**options, **numbers["optimizer"]})
        for name, value in {**numbers["loss"], **numbers["sweep"]}.items():
            if name in BOUNDS and value not in BOUNDS[name]:
                raise ValueError(f"{name} must be in {BOUNDS[name]}, got {value}")
    except ValueError as error:
        raise ValueError(f"settings[{index}]: {error}") from None
