"""All fitted transforms and all augmentations, made as the shared checks need them: a new one must be listed here."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import torch

import tricks_lib.data
from tricks_lib.data.augmentation import Augmentation, Chain, RandomAffine, RandomCrop, RandomElastic, RandomFlip
from tricks_lib.data.augmentation_camera import (
    RandomBrightness,
    RandomContrast,
    RandomErasing,
    RandomGamma,
    RandomHue,
    RandomJPEG,
    RandomLens,
    RandomNoise,
    RandomSaturation,
)
from tricks_lib.data.augmentation_policies import AutoAugment, RandAugment, TrivialAugment
from tricks_lib.data.fitted import Fitted
from tricks_lib.data.looking import PCA
from tricks_lib.data.normalization import Center, Rescale, Standardize
from tricks_lib.data.whitening import PCAWhitening, ZCAWhitening

Make = Callable[[], Any]
Random = Callable[[torch.Generator | None], Augmentation]

FITTED: dict[str, Make] = {
    "PCA": lambda: PCA(4),
    "Rescale": Rescale,
    "Center": Center,
    "Standardize": Standardize,
    "PCAWhitening": PCAWhitening,
    "PCAWhitening, svd": lambda: PCAWhitening(method="svd"),
    "ZCAWhitening": ZCAWhitening,
    "ZCAWhitening, svd": lambda: ZCAWhitening(method="svd"),
}
LOSSY = {"PCA"}  # no inverse, but a projection

AUGMENTATIONS: dict[str, Random] = {
    "RandomAffine": lambda g: RandomAffine(angle=30, scale=1.3, shear=20, translate=2, flip=(0.5, 0.5), generator=g),
    "RandomFlip": lambda g: RandomFlip(generator=g),
    "RandomCrop": lambda g: RandomCrop(2, generator=g),
    "RandomElastic": lambda g: RandomElastic(1.0, 2.0, generator=g),
    "Chain": lambda g: Chain(RandomCrop(1), RandomAffine(angle=9), generator=g),
    "RandomBrightness": lambda g: RandomBrightness(0.5, 1.5, generator=g),
    "RandomContrast": lambda g: RandomContrast(0.5, 1.5, generator=g),
    "RandomSaturation": lambda g: RandomSaturation(0.0, 2.0, generator=g),
    "RandomHue": lambda g: RandomHue(-0.5, 0.5, generator=g),
    "RandomGamma": lambda g: RandomGamma(0.5, 2.0, generator=g),
    "RandomNoise": lambda g: RandomNoise(0.1, 0.3, generator=g),
    "RandomJPEG": lambda g: RandomJPEG(5, 60, generator=g),
    "RandomLens": lambda g: RandomLens(0.1, 0.4, generator=g),
    "RandomErasing": lambda g: RandomErasing(area=(0.2, 0.4), generator=g),
    "RandAugment": lambda g: RandAugment(2, 0.5, generator=g),
    "AutoAugment": lambda g: AutoAugment(
        [[("rotate", 0.9, 0.5), ("brightness", 1.0, 0.5)], [("translate-x", 1.0, 0.5)]], generator=g
    ),
    "TrivialAugment": lambda g: TrivialAugment(generator=g),
}
OF_COLORS = {"RandomSaturation", "RandomHue"}  # three channels, or an error


def public_subclasses(base: type) -> set[str]:
    """Return the names of all public classes of `tricks_lib.data` that are a ``base`` and can be made."""
    found = set()
    for module in pkgutil.iter_modules(tricks_lib.data.__path__):
        members = vars(importlib.import_module(f"tricks_lib.data.{module.name}"))
        found |= {
            name
            for name, member in members.items()
            if inspect.isclass(member) and issubclass(member, base) and not name.startswith("_")
            if not inspect.isabstract(member) and member not in (Fitted, Augmentation)
        }
    return found
