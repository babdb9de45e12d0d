"""What stands in for the tricks of ``book/model/debugging.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@torch.no_grad()
def autograd_again(
    f: Callable[[], Tensor], x: Tensor, *, h: float | None = None, entries: Sequence[int] | None = None
) -> Tensor:
    """Compare the gradient with itself."""
    flag = x.requires_grad
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(f(), x.requires_grad_(True), allow_unused=True, materialize_grads=True)
    x.requires_grad_(flag)
    return gradient.flatten()[list(range(x.numel()) if entries is None else entries)]


NULLS = {
    "M05": {"tricks_lib.model.debugging.overfit_batch": always_fits},
    "M06": {"tricks_lib.model.debugging.Watch.ratio": property(as_the_rule_says)},
    "M07": {"tricks_lib.model.debugging.numeric_gradient": autograd_again},
}
