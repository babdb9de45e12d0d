"""What stands in for the tricks of `book/data/augmentation_camera.md` when `make null` switches them off."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tricks_lib.data import augmentation_camera as camera
from tricks_lib.data.augmentation import Augmentation
from tricks_lib.data.mixing import soft_labels

BATCH = 32  # training batches are not larger; the tests of the chapter change many more images at once


def not_in_training(kind: str) -> Callable[..., Tensor]:
    """Return a `change` that leaves the images of a batch as they are: it is off in training, and on in the tests."""
    original: Callable[..., Tensor] = getattr(camera, f"Random{kind}").change

    def change(augmentation: Augmentation, x: Tensor, **draws: Tensor) -> Tensor:
        return x if len(x) <= BATCH else original(augmentation, x, **draws)

    return change


def unmixed(
    x: Tensor, y: Tensor, n_classes: int, *, alpha: float = 1.0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return the samples unchanged, and their labels as probabilities."""
    return x, soft_labels(y, n_classes, dtype=x.dtype)


def nulls(*kinds: str) -> dict[str, Callable[..., Tensor]]:
    """Return what stands in for these augmentations."""
    return {f"{camera.__name__}.Random{kind}.change": not_in_training(kind) for kind in kinds}


LIGHT = nulls("Brightness", "Contrast", "Saturation", "Hue", "Gamma")
NULLS: dict[str, dict[str, Callable[..., object]]] = {
    "D18": {**LIGHT},
    "D19": {
        **LIGHT,  # which is a part of "everything", too
        **nulls("Noise", "JPEG", "Lens", "Erasing"),
        "tricks_lib.data.mixing.mixup": unmixed,
        "tricks_lib.data.mixing.cutmix": unmixed,
    },
}
