"""`tricks_lib.data.augmentation_tones`: gray levels posterized, solarized, stretched, equalized, sharpened."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from tricks_lib.data.augmentation_tones import adjust_sharpness, autocontrast, equalize, posterize, solarize

VALUES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "posterize": lambda x: posterize(x, 3),
    "solarize": lambda x: solarize(x, 0.4),
    "autocontrast": autocontrast,
    "equalize": equalize,
    "adjust_sharpness": lambda x: adjust_sharpness(x, 1.7),
}


def images(
    n: int = 5, c: int = 1, h: int = 9, w: int = 7, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    return torch.rand(n, c, h, w, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bytes_(n: int = 4, h: int = 13, w: int = 11, seed: int = 1) -> Tensor:
    """Gray levels 0 to 255, some of them twice, not from end to end."""
    return torch.randint(20, 230, (n, 1, h, w), generator=torch.Generator().manual_seed(seed))


def in_pillow(levels: Tensor, function: Callable[[Image.Image], Image.Image]) -> Tensor:
    done = [np.asarray(function(Image.fromarray(one[0].numpy().astype(np.uint8)))) for one in levels]
    return torch.from_numpy(np.stack(done)).double()[:, None]


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posterize_as_in_pillow(bits: int, dtype: torch.dtype) -> None:
    levels = torch.arange(256).view(1, 1, 16, 16)
    theirs = in_pillow(levels, lambda image: ImageOps.posterize(image, bits))
    torch.testing.assert_close(255 * posterize(levels.to(dtype) / 255, bits), theirs.to(dtype), rtol=0, atol=1e-4)


def test_posterize_keeps_bytes_whose_quotient_was_rounded_down() -> None:
    levels = torch.arange(256, dtype=torch.float32).view(1, 1, 16, 16)
    below = levels * (1 / 255 - 1e-9)
    torch.testing.assert_close(255 * posterize(below, 8), levels, rtol=0, atol=1e-4)


def test_posterize_rounds_bits_for_each_image() -> None:
    x = images(3)
    many = posterize(x, torch.tensor([7.6, 2.4, 1.0]))
    assert torch.equal(many, torch.cat([posterize(x[i : i + 1], b) for i, b in enumerate((8, 2, 1))]))


@pytest.mark.parametrize("threshold", [0, 77, 128, 256])
def test_solarize_as_in_pillow(threshold: int) -> None:
    levels = torch.arange(256).view(1, 1, 16, 16)
    theirs = in_pillow(levels, lambda image: ImageOps.solarize(image, threshold))
    torch.testing.assert_close(255 * solarize(levels.double() / 255, threshold / 255), theirs)


def test_autocontrast_as_in_pillow_up_to_rounding() -> None:
    levels = bytes_()
    ours = 255 * autocontrast(levels.double() / 255)
    assert (ours - in_pillow(levels, ImageOps.autocontrast)).abs().max() <= 1
    assert ours.amin(dim=(1, 2, 3)).tolist() == [0.0] * 4 and ours.amax(dim=(1, 2, 3)).tolist() == [255.0] * 4


def test_equalize_as_in_pillow_up_to_rounding() -> None:
    levels = bytes_(n=2, h=300, w=200)  # many pixels: Pillow divides their number by 255 and rounds down
    ours = 255 * equalize(levels.double() / 255)
    assert (ours - in_pillow(levels, ImageOps.equalize)).abs().max() <= 2


def test_equalize_equals_a_loop() -> None:
    x = (4 * images(3, 2, 4, 5)).round() / 4
    ours = equalize(x)
    for i, c in np.ndindex(3, 2):
        values = x[i, c].flatten().tolist()
        most = sum(v < max(values) for v in values)
        expected = [sum(v < own for v in values) / most for own in values]
        assert ours[i, c].flatten().tolist() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("function", [autocontrast, equalize])
def test_a_channel_of_one_value_stays(function: Callable[[Tensor], Tensor]) -> None:
    x = images(2, 3)
    x[1, 2] = 0.3
    out = function(x)
    assert torch.equal(out[1, 2], x[1, 2]) and not torch.equal(out[1, 1], x[1, 1])


@given(st.integers(0, 10**6))
def test_equalize_and_autocontrast_keep_the_order(seed: int) -> None:
    x = images(2, 2, 3, 4, seed=seed)
    for function in (autocontrast, equalize):
        assert torch.equal(function(x).flatten(2).argsort(dim=2), x.flatten(2).argsort(dim=2))
    torch.testing.assert_close(equalize(0.2 + 0.5 * x.square()), equalize(x))  # any increasing scale
    torch.testing.assert_close(autocontrast(0.2 + 0.5 * x), autocontrast(x))


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
def test_sharpness_as_in_pillow_up_to_rounding(factor: float) -> None:
    levels = bytes_()
    theirs = in_pillow(levels, lambda image: ImageEnhance.Sharpness(image).enhance(factor))
    assert (255 * adjust_sharpness(levels.double() / 255, factor) - theirs).abs().max() <= 1.5


def test_sharpness_of_each_image_and_of_small_ones() -> None:
    x = images(2, 3)
    both = adjust_sharpness(x, torch.tensor([0.0, 1.5]))
    assert torch.equal(both, torch.cat([adjust_sharpness(x[:1], 0.0), adjust_sharpness(x[1:], 1.5)]))
    assert torch.equal(adjust_sharpness(images(h=2), 0.0), images(h=2))


@pytest.mark.parametrize("name", ["autocontrast", "adjust_sharpness", "solarize"])
def test_gradients(name: str) -> None:
    x = (0.1 + 0.8 * images(2, 2, 3, 4)).requires_grad_()
    assert torch.autograd.gradcheck(VALUES[name], x)


@pytest.mark.parametrize("name", VALUES)
def test_values_on_any_device_and_dtype(name: str, device: torch.device) -> None:
    for dtype in (torch.float32, torch.float64):
        x = images(dtype=dtype).to(device)
        before = x.clone()
        out = VALUES[name](x)
        assert out.dtype == dtype and out.device.type == device.type and out.shape == x.shape
        assert torch.equal(x, before)
        torch.testing.assert_close(out.cpu(), VALUES[name](images(dtype=dtype)))
        assert VALUES[name](x[:0]).shape == (0, 1, 9, 7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: posterize(x, 0), "bits must be finite, at least 1 and at most 8, got 0"),
        (lambda x: posterize(x, 9), "bits must be finite, at least 1 and at most 8"),
        (lambda x: posterize(x, torch.ones(4)), r"bits must be a number or have shape \(5,\), got \(4,\)"),
        (lambda x: solarize(x, -0.1), "threshold must be finite, at least 0"),
        (lambda x: solarize(x, math.nan), "threshold must be finite"),
        (lambda x: adjust_sharpness(x, -1), "factor must be finite, at least 0"),
        (lambda x: adjust_sharpness(x, math.inf), "factor must be finite"),
        (lambda x: autocontrast(x[0]), r"x must have shape \(N, C, H, W\)"),
        (lambda x: equalize(x[0]), r"x must have shape \(N, C, H, W\)"),
    ],
)
def test_values_check_their_arguments(call: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(images())
