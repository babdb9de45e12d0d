"""What stands in for the tricks of ``book/model/batch_norm.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

import tricks_lib.model.batch_norm as real


def scale_and_shift(norm: nn.Module, x: Tensor) -> Tensor:
    """Leave out the normalization, and keep what is trained."""
    shape = [1, -1, *[1] * (x.ndim - 2)]
    return x if norm.weight is None else x * norm.weight.view(shape) + norm.bias.view(shape)  # type: ignore[operator, union-attr]


def always_before(
    sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, *, place: str = "before", **options: Any
) -> nn.Sequential:
    """Put the normalization before the activation, wherever it was asked for."""
    return _chain(sizes, activation, place="before" if place == "after" else place, **options)


def leave_statistics(model: nn.Module, batches: object) -> nn.Module:
    """Recalibrate nothing."""
    return model


_chain = real.normalized_chain
_MODULE = "tricks_lib.model.batch_norm"
OFF = {f"{_MODULE}.BatchNorm.forward": scale_and_shift, f"{_MODULE}.recalibrate": leave_statistics}
NULLS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "M23": OFF,  # recalibration raises where a network without normalization diverged
    "M24": {f"{_MODULE}.normalized_chain": always_before},
    "M25": OFF,
}
