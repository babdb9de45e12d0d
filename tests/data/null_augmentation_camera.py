"""What stands in for the tricks of `book/data/augmentation_camera.md` when `make null` switches them off."""

from __future__ import annotations

import torch
from torch import Tensor

from tricks_lib.data.augmentation import Augmentation
from tricks_lib.data.mixing import soft_labels


def as_it_is(augmentation: Augmentation, x: Tensor, **draws: Tensor) -> Tensor:
    """Return the images unchanged."""
    return x


def unmixed(
    x: Tensor, y: Tensor, n_classes: int, *, alpha: float = 1.0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return the samples unchanged, and their labels as probabilities."""
    return x, soft_labels(y, n_classes, dtype=x.dtype)


CAMERA = "tricks_lib.data.augmentation_camera"
NULLS = {
    "D18": {
        f"{CAMERA}.Random{kind}.change": as_it_is for kind in ("Brightness", "Contrast", "Saturation", "Hue", "Gamma")
    },
    "D19": {f"{CAMERA}.Random{kind}.change": as_it_is for kind in ("Noise", "JPEG", "Lens", "Erasing")}
    | {"tricks_lib.data.mixing.mixup": unmixed, "tricks_lib.data.mixing.cutmix": unmixed},
}
