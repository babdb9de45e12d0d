"""What stands in for the tricks of ``book/model/capacity.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tricks_lib.model.capacity import hidden_network, random_directions, ridge_path

draw, make, solve = random_directions, hidden_network, ridge_path


def twenty(n_in: int, width: int, **options: Any) -> Tensor:
    """Draw as many random features whatever the width."""
    return draw(n_in, 20, **options)


def eight(n_in: int, width: int, n_out: int, **options: Any) -> nn.Sequential:
    """Make the same network whatever the width."""
    return make(n_in, 8, n_out, **options)


def no_penalty(x: Tensor, y: Tensor, penalties: Sequence[float] | Tensor, **options: Any) -> Tensor:
    """Solve least squares without a penalty, whatever was asked for."""
    return solve(x, y, torch.zeros(len(penalties)), **options)


FEATURES = {"tricks_lib.model.capacity.random_directions": twenty}
NETWORKS = {"tricks_lib.model.capacity.hidden_network": eight}
NULLS = {
    "M02": FEATURES | NETWORKS,
    "M32": FEATURES | NETWORKS | {"tricks_lib.model.capacity.ridge_path": no_penalty},
    "M08": FEATURES | {"tricks_lib.model.capacity.ridge_path": no_penalty},
}
