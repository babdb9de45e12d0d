"""What stands in for the tricks of ``book/model/skip_connections.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tricks_lib.model.skip_connections import Highway, Residual, ResidualBlock

make = ResidualBlock.__init__


def without_shortcut(block: Residual, x: Tensor) -> Tensor:
    """Return what the body computes; all parameters stay in use, or training would refuse them."""
    idle = sum(p.sum() for name, p in block.named_parameters() if not name.startswith("body."))
    return block.body(x) + 0 * idle


def without_carry(layer: Highway, x: Tensor) -> Tensor:
    """Return what the body computes, whatever the gate says."""
    return layer.body(x) + 0 * layer.gate(x)


def one_order(block: ResidualBlock, *sizes: int, order: str = "", zero_init: bool = False, **options: Any) -> None:
    """Make the same block, whatever the order and the start that were asked for."""
    make(block, *sizes, order="full pre-activation", **options)


def no_addition(block: ResidualBlock, x: Tensor) -> Tensor:
    """Return what the body computes, without the shortcut."""
    return block.after(without_shortcut(block.add, x))


HERE = "tricks_lib.model.skip_connections"
NULLS = {
    "M16": {f"{HERE}.Residual.forward": without_shortcut, f"{HERE}.Highway.forward": without_carry},
    "M17": {f"{HERE}.ResidualBlock.__init__": one_order, f"{HERE}.ResidualBlock.forward": no_addition},
}
