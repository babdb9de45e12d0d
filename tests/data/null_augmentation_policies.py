"""What stands in for the trick of `data/augmentation_policies` when it is switched off (tools/nulls.py)."""

from __future__ import annotations

from torch import Tensor

from tricks_lib.data.augmentation import Augmentation


def as_they_are(augment: Augmentation, x: Tensor, **draws: Tensor) -> Tensor:
    """Leave the images alone, whatever was drawn."""
    return x


NULLS = {
    "D21": {
        "tricks_lib.data.augmentation_policies.RandomOperations.change": as_they_are,
        "tricks_lib.data.augmentation.RandomAffine.change": as_they_are,
    },
}
