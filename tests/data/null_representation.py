"""What stands in for the tricks of `book/data/representation.md` when `make null` switches them off."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tricks_lib.data import representation


def own_units(*parts: Tensor) -> Tensor:
    """Give each combination a unit of its own."""
    return torch.eye(math.prod(map(len, parts)), dtype=parts[0].dtype, device=parts[0].device)


def no_pull(scores: Tensor, groups: Tensor | None = None, **options: object) -> Tensor:
    """Return a loss that brings no image nearer to its caption."""
    return 0 * _contrastive_loss(scores, groups)


def no_step(query: Tensor, minus: Tensor, plus: Tensor, *, step: float = 1.0) -> Tensor:
    """Return the query as it is."""
    return _analogy(query, minus, plus, step=0 * step)


_contrastive_loss, _analogy = representation.contrastive_loss, representation.analogy

NULLS = {
    "D23": {"tricks_lib.data.representation.compose_codes": own_units},
    "D25": {
        "tricks_lib.data.representation.contrastive_loss": no_pull,
        "tricks_lib.data.representation.analogy": no_step,
    },
}
