"""The transforms of `tricks_lib.data` against kornia, which defines the same things by other code."""

from __future__ import annotations

import math
from collections.abc import Callable

import kornia
import pytest
import torch
from torch import Tensor

from tricks_lib.data.augmentation import affine
from tricks_lib.data.augmentation_camera import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
)
from tricks_lib.data.whitening import ZCAWhitening

IMAGES = torch.rand(5, 3, 12, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
NUMBERS = torch.tensor([0.0, 0.4, 0.9, 1.1, 1.7], dtype=torch.float64)
Pair = tuple[Callable[[], Tensor], Callable[[], Tensor]]


PHOTOMETRIC: dict[str, Pair] = {
    "brightness": (
        lambda: adjust_brightness(IMAGES, NUMBERS),
        lambda: kornia.enhance.adjust_brightness_accumulative(IMAGES, NUMBERS),
    ),
    "contrast": (
        lambda: adjust_contrast(IMAGES, NUMBERS),
        lambda: kornia.enhance.adjust_contrast_with_mean_subtraction(IMAGES, NUMBERS),
    ),
    "gamma": (
        lambda: adjust_gamma(IMAGES, NUMBERS + 0.1),
        lambda: kornia.enhance.adjust_gamma(IMAGES, NUMBERS + 0.1),
    ),
    "saturation": (
        lambda: adjust_saturation(IMAGES, NUMBERS),
        lambda: kornia.enhance.adjust_saturation_with_gray_subtraction(IMAGES, NUMBERS),
    ),
    "hue": (
        lambda: adjust_hue(IMAGES, (NUMBERS - 0.8) / 2),
        lambda: kornia.enhance.adjust_hue(IMAGES, (NUMBERS - 0.8) * math.pi),
    ),
}


@pytest.mark.parametrize("pair", PHOTOMETRIC.values(), ids=PHOTOMETRIC)
def test_photometric(pair: Pair) -> None:
    ours, theirs = (run() for run in pair)
    torch.testing.assert_close(ours, theirs.clamp(0, 1), rtol=0, atol=1e-6)


def test_rotation() -> None:
    angle = torch.tensor([-170.0, -31.0, 0.0, 12.0, 90.0], dtype=torch.float64)
    theirs = kornia.geometry.transform.rotate(IMAGES, angle, align_corners=True)
    torch.testing.assert_close(affine(IMAGES, angle=angle), theirs, rtol=0, atol=1e-6)


def test_translation_and_scale() -> None:
    shift = torch.tensor([[1.0, -2.0], [0.5, 0.25], [0.0, 0.0], [-3.0, 1.5], [4.0, 4.0]], dtype=torch.float64)
    theirs = kornia.geometry.transform.translate(IMAGES, shift, align_corners=True)
    torch.testing.assert_close(affine(IMAGES, translate=shift), theirs, rtol=0, atol=1e-6)
    scale = torch.tensor([[0.5, 1.5], [1.0, 1.0], [2.0, 0.8], [1.2, 1.2], [0.7, 0.9]], dtype=torch.float64)
    theirs = kornia.geometry.transform.scale(IMAGES, scale, align_corners=True)
    torch.testing.assert_close(affine(IMAGES, scale=scale), theirs, rtol=0, atol=1e-6)


def test_zca_whitening() -> None:
    x = torch.randn(60, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64) @ torch.rand(
        7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    theirs = kornia.enhance.ZCAWhitening(eps=0.0, unbiased=True).fit(x)(x)
    torch.testing.assert_close(ZCAWhitening(eps=0.0).fit(x)(x), theirs, rtol=1e-6, atol=1e-6)
