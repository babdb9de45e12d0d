"""What stands in for each trick of the chapter on schedules when it is switched off: a factor of one."""

from __future__ import annotations

from typing import Any

SCHEDULES = "tricks_lib.learning.schedules"
DECAYS = ("Cosine", "Exponential", "InverseSqrt", "InverseTime", "Linear", "Polynomial", "StepDecay")


def constant(self: Any, step: int) -> float:
    """Leave the learning rate alone."""
    return 1.0


def never_cut(self: Any, score: Any) -> float:
    """Take no note of the score."""
    return 1.0


NULLS = {
    "L12": {f"{SCHEDULES}.{name}.__call__": constant for name in DECAYS},
    "L13": {f"{SCHEDULES}.Plateau.step": never_cut},
    "L14": {f"{SCHEDULES}.Warmup.__call__": constant},
    "L15": {f"{SCHEDULES}.{name}.__call__": constant for name in ("Restarts", "Cyclical", "OneCycle")},
}
