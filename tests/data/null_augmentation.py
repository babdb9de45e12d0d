"""What stands in for the tricks of `book/data/augmentation.md` when `make null` switches them off."""

from __future__ import annotations

from torch import Tensor

from tricks_lib.data.augmentation import Augmentation


def as_they_are(augmentation: Augmentation, x: Tensor, **draws: Tensor) -> Tensor:
    """Return the images unchanged, whatever was drawn."""
    return x


AFFINE = {"tricks_lib.data.augmentation.RandomAffine.change": as_they_are}
OTHERS = {f"tricks_lib.data.augmentation.{name}.change": as_they_are for name in ("RandomCrop", "RandomElastic")}

NULLS = {"D17": AFFINE | OTHERS, "D20": AFFINE, "D22": AFFINE}
