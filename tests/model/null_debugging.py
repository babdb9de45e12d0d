"""What stands in for the tricks of ``book/model/debugging.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tricks_lib.model.debugging import Overfit


def always_fits(*_: Any, steps: int = 300, tolerance: float = 0.01, **__: Any) -> Overfit:
    """Say that every batch was fitted, without a look at it."""
    return Overfit(torch.zeros(steps, dtype=torch.float64), 0.0, 0.0, tolerance)


def as_the_rule_says(watch: Any) -> Tensor:
    """Find one in a thousand, whatever the updates were."""
    return torch.full((len(watch._rows["ratio"]), len(watch.weights)), 1e-3, dtype=torch.float64)


def never_apart(a: Tensor, n: Tensor) -> Tensor:
    """Find no difference between two gradients, whatever they are."""
    return torch.zeros_like(a)


NULLS = {
    "M05": {"tricks_lib.model.debugging.overfit_batch": always_fits},
    "M06": {"tricks_lib.model.debugging.Watch.ratio": property(as_the_rule_says)},
    "M07": {"tricks_lib.model.debugging.relative_error": never_apart},
}
