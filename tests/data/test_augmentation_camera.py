"""`tricks_lib.data.augmentation_camera`: light, color, noise, blocks, lenses and holes."""

from __future__ import annotations

import colorsys
import copy
import io
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.fft import dctn, idctn
from torch import Tensor

from tricks_lib.data.augmentation import Augmentation, Chain, pixel_places
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
    add_noise,
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    dct_matrix,
    distort_lens,
    erase,
    in_rectangles,
    luma,
    quantization_table,
    quantize_blocks,
    random_rectangles,
)

NAN = float("nan")


def images(n: int = 3, channels: int = 3, height: int = 5, width: int = 7, *, seed: int = 0) -> Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def color(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1)


def close(actual: Tensor, expected: Any, atol: float = 1e-12) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=atol)


# ---- brightness, contrast, saturation, gamma


def test_brightness_by_hand() -> None:
    close(adjust_brightness(row(0.1, 0.4, 0.8), 1.5), row(0.15, 0.6, 1.0))
    assert (adjust_brightness(images(), 0.0) == 0).all()


def test_contrast_by_hand() -> None:
    close(adjust_contrast(row(0.2, 0.4, 0.9), 0.5), row(0.35, 0.45, 0.7))
    close(adjust_contrast(row(0.2, 0.4, 0.9), 2.0), row(0.0, 0.3, 1.0))  # -0.1 and 1.3 are clamped
    x = torch.cat([color(0.9, 0.1, 0.3), color(0.1, 0.5, 0.7)], dim=3)  # two pixels of one image
    mean = (0.299 * 1.0 + 0.587 * 0.6 + 0.114 * 1.0) / 2
    close(adjust_contrast(x, 0.25), mean + 0.25 * (x - mean))


def test_contrast_of_five_channels_takes_the_mean_of_all() -> None:
    x = images(2, 5)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    close(adjust_contrast(x, 0.5), 0.5 * x + 0.5 * mean)


def test_luma_and_saturation_by_hand() -> None:
    x = color(0.8, 0.4, 0.2)
    gray = 0.299 * 0.8 + 0.587 * 0.4 + 0.114 * 0.2
    close(luma(x)[0, 0, 0, 0], gray)
    close(adjust_saturation(x, 0.0), color(gray, gray, gray))
    close(adjust_saturation(x, 1.5), color(*(gray + 1.5 * (v - gray) for v in (0.8, 0.4, 0.2))))
    close(adjust_saturation(x, 9.0)[0, :, 0, 0], [1.0, 0.0, 0.0])


def test_saturation_keeps_the_luma() -> None:
    x = 0.4 + 0.2 * images()
    close(luma(adjust_saturation(x, 1.7)), luma(x))


def test_gamma_by_hand() -> None:
    close(adjust_gamma(row(0.0, 0.25, 1.0), 0.5), row(0.0, 0.5, 1.0))
    close(adjust_gamma(row(-0.1, 0.5, 1.1), 2.0), row(0.0, 0.25, 1.0))


@given(st.floats(0.2, 5), st.floats(0.2, 5))
def test_gammas_multiply(one: float, other: float) -> None:
    x = images()
    close(adjust_gamma(adjust_gamma(x, one), other), adjust_gamma(x, one * other))


def as_pillow(x: Tensor) -> Image.Image:
    return Image.fromarray((x * 255).round().byte().permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("ours", "theirs", "error"),
    [
        (adjust_brightness, ImageEnhance.Brightness, 1.0),
        (adjust_contrast, ImageEnhance.Contrast, 1.5),  # it rounds the mean
        (adjust_saturation, ImageEnhance.Color, 1.5),  # it rounds the gray
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.6])
def test_light_is_that_of_pillow_up_to_rounding(ours: Any, theirs: Any, error: float, factor: float) -> None:
    x = (images(1, height=20, width=30) * 255).round() / 255
    expected = np.asarray(theirs(as_pillow(x[0])).enhance(factor)).astype(float)
    actual = (255 * ours(x, factor))[0].permute(1, 2, 0).numpy()
    assert np.abs(actual - expected).max() <= error * max(1, abs(1 - factor))


# ---- hue


def hue_in_a_loop(x: Tensor, turns: list[float]) -> Tensor:
    out = torch.empty_like(x)
    for i, turn in enumerate(turns):
        for r, c in itertools.product(range(x.shape[2]), range(x.shape[3])):
            h, s, v = colorsys.rgb_to_hsv(*x[i, :, r, c].tolist())
            out[i, :, r, c] = torch.tensor(colorsys.hsv_to_rgb((h + turn) % 1, s, v), dtype=x.dtype)
    return out


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.integers(0, 10**6))
@settings(max_examples=30)
def test_hue_is_that_of_colorsys(turns: list[float], seed: int) -> None:
    x = images(2, height=3, width=4, seed=seed)
    x[0, :, 0, :3] = torch.eye(3, dtype=torch.float64)
    x[0, :, 1] = 0.5  # gray
    x[1, 1, 0] = x[1, 0, 0]  # two channels alike
    x[1, :, 2, 0] = 0
    close(adjust_hue(x, torch.tensor(turns)), hue_in_a_loop(x, torch.tensor(turns).double().tolist()), atol=1e-6)
    exact = torch.tensor(turns, dtype=torch.float64)
    close(adjust_hue(x, exact), hue_in_a_loop(x, turns), atol=1e-12)


def test_hue_by_hand() -> None:
    close(adjust_hue(color(0.8, 0.2, 0.2), 1 / 3), color(0.2, 0.8, 0.2))
    close(adjust_hue(color(0.8, 0.2, 0.2), 1 / 6), color(0.8, 0.8, 0.2))
    close(adjust_hue(color(0.9, 0.5, 0.1), 0.5), color(0.1, 0.5, 0.9))
    close(adjust_hue(color(0.9, 0.5, 0.1), 1.0), color(0.9, 0.5, 0.1))
    assert torch.equal(adjust_hue(color(0.4, 0.4, 0.4), 0.2), color(0.4, 0.4, 0.4))


@given(st.floats(-1, 1))
def test_hue_keeps_the_largest_and_the_smallest_channel_and_can_be_undone(turn: float) -> None:
    x = images()
    z = adjust_hue(x, turn)
    close(z.amax(1), x.amax(1))
    close(z.amin(1), x.amin(1))
    close(adjust_hue(z, -turn), x, atol=1e-9)


# ---- noise


def test_noise_is_added_and_clamped() -> None:
    x, noise = row(0.5, 0.1, 0.9), row(1.0, -2.0, 2.0)
    close(add_noise(x, 0.1, noise=noise), row(0.6, 0.0, 1.0))


def test_noise_has_the_size_that_was_asked_for() -> None:
    x = torch.full((2, 1, 100, 200), 0.5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    left = add_noise(x, torch.tensor([0.05, 0.1]), generator=generator) - 0.5
    close(left.std(dim=(1, 2, 3)), [0.05, 0.1], atol=2e-3)  # of 20,000 numbers: eight standard errors of the larger
    close(left.mean(dim=(1, 2, 3)), [0.0, 0.0], atol=5e-3)


# ---- blocks


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_dct_matrix_is_orthogonal_and_that_of_scipy(n: int) -> None:
    a = dct_matrix(n, dtype=torch.float64)
    close(a @ a.T, torch.eye(n, dtype=torch.float64), atol=1e-14)
    x = images(1, 1, n, n)[0, 0]
    close(a @ x @ a.T, dctn(x.numpy(), norm="ortho"), atol=1e-13)
    assert dct_matrix(n).dtype == torch.get_default_dtype()


def test_tables_are_those_of_libjpeg() -> None:
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, format="JPEG", quality=quality)
        tables: Any = Image.open(file)
        written = torch.tensor(tables.quantization[0], dtype=torch.float32).view(8, 8)
        assert torch.equal(quantization_table(quality), written), quality  # Pillow gives them row by row


def test_tables_of_several_qualities() -> None:
    several = quantization_table(torch.tensor([10.0, 50.0, 90.5]))
    assert several.shape == (3, 8, 8)
    assert torch.equal(several[1], quantization_table(50)) and several[1, 0, :3].tolist() == [16, 11, 10]
    assert several[1, 7].tolist() == [72, 92, 95, 98, 112, 100, 103, 99]
    assert (quantization_table(100) == 1).all()


def blocks_in_a_loop(x: Tensor, qualities: list[float]) -> Tensor:
    out = torch.empty_like(x)
    height, width = x.shape[2:]
    for i, c in itertools.product(range(len(x)), range(x.shape[1])):
        gray = np.pad(255 * x[i, c].numpy() - 128, ((0, -height % 8), (0, -width % 8)), mode="edge")
        table = quantization_table(qualities[i]).double().numpy()
        for top, left in itertools.product(range(0, gray.shape[0], 8), range(0, gray.shape[1], 8)):
            part = gray[top : top + 8, left : left + 8]
            part[:] = idctn(np.round(dctn(part, norm="ortho") / table) * table, norm="ortho")
        out[i, c] = torch.from_numpy(((gray[:height, :width] + 128) / 255).clip(0, 1))
    return out


@pytest.mark.parametrize(("height", "width"), [(8, 16), (5, 7), (9, 23), (1, 1)])
def test_blocks_are_those_of_a_loop(height: int, width: int) -> None:
    x, qualities = images(3, 2, height, width), [3.0, 40.0, 95.0]
    close(quantize_blocks(x, torch.tensor(qualities)), blocks_in_a_loop(x, qualities), atol=1e-12)


def test_a_gray_file_looks_the_same_up_to_rounding() -> None:
    y, x = torch.meshgrid(torch.arange(37), torch.arange(50), indexing="ij")
    gray = ((torch.sin(x / 6.0) * torch.cos(y / 4.0) * 0.4 + 0.5) * 255).round()
    for quality in (5, 30, 75):
        file = io.BytesIO()
        Image.fromarray(gray.byte().numpy()).save(file, format="JPEG", quality=quality)
        decoded = torch.from_numpy(np.array(Image.open(file))).double()
        ours = 255 * quantize_blocks(gray.double()[None, None] / 255, quality)[0, 0]
        off = (ours - decoded).abs()  # a frequency near the middle between two steps may be rounded the other way
        assert off.median() < 0.51 and (off <= 1.01).double().mean() > 0.9, (quality, off.max())


def test_lower_quality_is_farther_away_and_the_best_is_near() -> None:
    x = images(1, 1, 16, 16)
    off = [(quantize_blocks(x, quality) - x).square().mean().item() for quality in (2, 10, 50, 90, 100)]
    assert off == sorted(off, reverse=True)
    assert off[-1] ** 0.5 * 255 < 0.5  # steps of one gray level have errors of 1/sqrt(12)


def test_rounding_twice_changes_nothing_more() -> None:
    x = 0.3 + 0.4 * images(2, 1, 8, 8)
    once = quantize_blocks(x, 60)
    close(quantize_blocks(once, 60), once, atol=1e-12)


def test_the_gradient_of_blocks_is_that_of_the_identity() -> None:
    x = images(2, 1, 5, 9).requires_grad_()
    (gradient,) = torch.autograd.grad((3 * quantize_blocks(x, 20)).sum(), x)
    assert torch.equal(gradient, torch.full_like(x, 3.0))


# ---- lenses


def test_a_lens_of_strength_zero_is_the_identity() -> None:
    x = images()
    close(distort_lens(x, 0.0), x, atol=1e-12)


def test_a_lens_moves_points_as_its_equation_says() -> None:
    """An image of coordinates shows where each pixel comes from."""
    x = pixel_places(torch.zeros(1, 1, 9, 13, dtype=torch.float64)).permute(2, 0, 1)[None]
    for k in (0.0, -0.1, -0.3):
        read = distort_lens(x, k)[0]
        for r, c in [(0, 0), (4, 6), (2, 9), (8, 3)]:
            right, down = c - 6.0, r - 4.0
            squared = (right**2 + down**2) / (6.0**2 + 4.0**2)
            close(read[:, r, c], [right * (1 + k * squared), down * (1 + k * squared)], atol=1e-9)


def test_a_barrel_has_black_corners_and_keeps_the_middle() -> None:
    x = torch.ones(1, 1, 9, 13)
    z = distort_lens(x, torch.tensor([0.5]))
    assert z[0, 0, 0, 0] == z[0, 0, 8, 12] == 0 and z[0, 0, 4, 6] == 1
    torch.testing.assert_close(z, z.flip(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(z, z.flip(3), rtol=0, atol=1e-6)


def test_an_image_of_one_pixel_has_no_lens() -> None:
    x = images(2, 1, 1, 1)
    close(distort_lens(x, 0.3), x)


# ---- rectangles


def test_rectangles_by_hand() -> None:
    x = torch.zeros(2, 3, 4, 5)
    inside = in_rectangles(x, torch.tensor([[1, 2, 2, 3], [0, 0, 1, 1]]))
    assert inside.shape == (2, 1, 4, 5) and inside.sum(dim=(1, 2, 3)).tolist() == [6, 1]
    assert inside[0, 0].nonzero().tolist() == [[1, 2], [1, 3], [1, 4], [2, 2], [2, 3], [2, 4]]
    assert inside[1, 0, 0, 0]


def test_rectangles_may_be_fractions_and_stick_out() -> None:
    x = torch.zeros(1, 1, 3, 4)
    inside = in_rectangles(x, torch.tensor([[-1.0, 1.4, 1.6, 1.2]]))[0, 0]
    assert inside.nonzero().tolist() == [[0, 1], [0, 2]]  # centers at 0.5 down, 1.5 and 2.5 to the right


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6))
@settings(max_examples=60)
def test_drawn_rectangles_lie_within_the_image(height: int, width: int, seed: int) -> None:
    x = torch.zeros(20, 1, height, width)
    top, left, h, w = random_rectangles(x, generator=torch.Generator().manual_seed(seed)).T
    assert (h >= 1).all() and (w >= 1).all() and (top >= 0).all() and (left >= 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()


def test_area_and_aspect_are_as_asked_where_rounding_is_small() -> None:
    x = torch.zeros(1, 1, 1, 1).expand(2000, 1, 1000, 1200)  # its size alone counts
    drawn = random_rectangles(x, area=(0.1, 0.3), aspect=(0.5, 2), generator=torch.Generator().manual_seed(0))
    top, left, h, w = drawn.T
    share, ratio = h * w / 1.2e6, h / w
    assert share.min() > 0.099 and share.max() < 0.301 and ratio.min() > 0.499 and ratio.max() < 2.01
    close(share.mean(), 0.2, atol=0.01)  # uniform: eight standard errors
    close(ratio.log().mean(), 0.0, atol=0.07)
    apart = torch.stack([share, ratio.log(), top / (1001 - h), left / (1201 - w)]).corrcoef() - torch.eye(4)
    assert apart.abs().max() < 0.1  # drawn independently: four and a half standard errors


def test_the_area_is_kept_where_only_flat_rectangles_fit() -> None:
    x = torch.zeros(1, 1, 1, 1).expand(500, 1, 100, 2000)
    _, _, h, w = random_rectangles(x, area=(0.5, 0.5), aspect=(0.3, 3), generator=torch.Generator().manual_seed(0)).T
    share = (h * w).double() / 2e5
    assert (share - 0.5).abs().max() < 0.01 and (h == 100).all()  # none of the ratios fits: the nearest has full height


def test_every_place_is_as_likely() -> None:
    x = torch.zeros(40_000, 1, 3, 5)
    top, left, h, w = random_rectangles(
        x, area=(2 / 15, 2 / 15), aspect=(2, 2), generator=torch.Generator().manual_seed(0)
    ).T
    assert (h == 2).all() and (w == 1).all()
    counts = torch.bincount(top * 5 + left, minlength=10)
    assert len(counts) == 10 and (counts - 4000).abs().max() < 300  # five standard deviations


def test_erase_by_hand() -> None:
    x = images(2, 3, 4, 5)
    rectangles = torch.tensor([[0, 1, 2, 2], [3, 4, 1, 1]])
    expected = x.clone()
    expected[0, :, 0:2, 1:3] = 0.25
    expected[1, :, 3, 4] = 0.25
    assert torch.equal(erase(x, rectangles, 0.25), expected)
    fill = images(2, 3, 4, 5, seed=9)
    assert torch.equal(erase(x, rectangles, fill)[0, :, 0, 1], fill[0, :, 0, 1])


# ---- what all functions have in common

FUNCTIONS: dict[str, tuple[Callable[..., Tensor], float, float]] = {
    "factor": (adjust_brightness, 0.7, -0.1),
    "factor ": (adjust_contrast, 0.7, -0.1),
    "factor  ": (adjust_saturation, 0.7, -0.1),
    "turn": (adjust_hue, 0.2, math.inf),
    "gamma": (adjust_gamma, 1.7, 0.0),
    "std": (lambda x, v: add_noise(x, v, generator=torch.Generator().manual_seed(3)), 0.2, -0.1),
    "quality": (quantize_blocks, 30.0, 100.5),
    "strength": (distort_lens, -0.2, -0.34),
}
CASES = [
    pytest.param(name.strip(), *case, id=f"{i}-{name.strip()}") for i, (name, case) in enumerate(FUNCTIONS.items())
]


@pytest.mark.parametrize(("name", "function", "value", "bad"), CASES)
def test_one_number_for_each_image(name: str, function: Callable[..., Tensor], value: float, bad: float) -> None:
    x = images(4)
    values = torch.tensor([value, 0.9 * value, 0.8 * value, value], dtype=torch.float64)
    together = function(x, values)
    if name != "std":  # noise differs from image to image anyway
        apart = [function(x[i : i + 1], values[i].item()) for i in range(4)]
        close(together, torch.cat(apart), atol=1e-12)
    close(function(x, value), function(x, torch.full((4,), value, dtype=torch.float64)), atol=1e-15)


@pytest.mark.parametrize(("name", "function", "value", "bad"), CASES)
def test_inputs_stay_and_outputs_are_images(
    name: str, function: Callable[..., Tensor], value: float, bad: float
) -> None:
    x = images()
    before = x.clone()
    z = function(x, value)
    assert torch.equal(x, before) and z is not x
    assert z.shape == x.shape and z.dtype == x.dtype and z.min() >= 0 and z.max() <= 1 + 1e-12
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert function(x.to(dtype), value).dtype == dtype
    assert function(x[:0], value).shape == (0, *x.shape[1:])


@pytest.mark.parametrize(("name", "function", "value", "bad"), CASES)
def test_numbers_are_checked(name: str, function: Callable[..., Tensor], value: float, bad: float) -> None:
    x = images()
    for wrong in (bad, NAN, math.inf, -math.inf, torch.tensor([value, value, bad])):
        with pytest.raises(ValueError, match=f"{name} must be"):
            function(x, wrong)
    with pytest.raises(ValueError, match=rf"{name} must be a number or have shape \(3,\), got \(2,\)"):
        function(x, torch.full((2,), value))
    with pytest.raises(ValueError, match=r"x must have shape \(N, C, H, W\)"):
        function(x[0], value)
    with pytest.raises(TypeError, match=r"x must be a tensor of floating-point numbers, got torch\.uint8"):
        function(x.byte(), value)


@pytest.mark.parametrize("function", [adjust_saturation, adjust_hue])
@pytest.mark.parametrize("channels", [1, 5])
def test_color_needs_three_channels(function: Callable[..., Tensor], channels: int) -> None:
    with pytest.raises(ValueError, match=rf"x must have 3 channels \(red, green, blue\), got {channels}"):
        function(images(channels=channels), 0.5)
    with pytest.raises(ValueError, match="x must have 3 channels"):
        luma(images(channels=channels))


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (adjust_brightness, 0.7),
        (adjust_contrast, 0.7),
        (adjust_saturation, 0.7),
        (adjust_hue, 0.21),
        (adjust_gamma, 1.7),
        (distort_lens, -0.2),
    ],
)
def test_gradients(function: Callable[..., Tensor], value: float) -> None:
    x = (0.3 + 0.4 * images(2, height=3, width=4)).requires_grad_()
    number = torch.tensor([value, 0.9 * value], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x, number))


def test_gray_pixels_have_a_finite_gradient_of_hue() -> None:
    x = torch.full((1, 3, 1, 2), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(adjust_hue(x, 0.3).sum(), x)
    assert gradient.isfinite().all()


def test_other_arguments_are_checked() -> None:
    x = images()
    cases: list[tuple[Callable[[], Tensor], str]] = [
        (lambda: add_noise(x, 0.1, noise=x[:2]), r"noise must have the shape \(3, 3, 5, 7\) of x, got \(2, 3, 5, 7\)"),
        (lambda: dct_matrix(0), "n must be at least 1, got 0"),
        (lambda: quantization_table(0.5), r"quality must be in \[1, 100\], got 0.5"),
        (lambda: quantization_table(NAN), "quality must be in"),
        (lambda: random_rectangles(x, area=(0.3, 0.2)), r"area must be in order, from 0 to 1, got \(0.3, 0.2\)"),
        (lambda: random_rectangles(x, area=(0.3, 1.2)), "area must be in order, from 0 to 1"),
        (lambda: random_rectangles(x, aspect=(0.0, 2.0)), "aspect must be in order"),
        (lambda: adjust_gamma(x, 0.0), "gamma must be finite and above 0, got 0.0"),
        (lambda: adjust_brightness(x, -1.0), "must be finite and at least 0, got -1.0"),
        (lambda: in_rectangles(x, torch.zeros(2, 4)), r"rectangles must have shape \(3, 4\), got \(2, 4\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


# ---- modules

MODULES: list[tuple[Callable[..., Augmentation], Callable[..., Tensor], str]] = [
    (lambda **o: RandomBrightness(0.5, 1.5, **o), adjust_brightness, "factor"),
    (lambda **o: RandomContrast(0.5, 1.5, **o), adjust_contrast, "factor"),
    (lambda **o: RandomSaturation(0, 2, **o), adjust_saturation, "factor"),
    (lambda **o: RandomHue(-0.5, 0.5, **o), adjust_hue, "turn"),
    (lambda **o: RandomGamma(0.5, 2, **o), adjust_gamma, "gamma"),
    (lambda **o: RandomNoise(0.1, 0.3, **o), add_noise, "std"),
    (lambda **o: RandomJPEG(2, 30, **o), quantize_blocks, "quality"),
    (lambda **o: RandomLens(-0.3, 0.6, **o), distort_lens, "strength"),
    (lambda **o: RandomErasing(**o), erase, "rectangles"),
    (lambda **o: RandomErasing(fill=0.5, **o), erase, "rectangles"),
]


@pytest.mark.parametrize(("make", "function", "name"), MODULES)
def test_a_module_applies_its_function_to_what_it_draws(make: Any, function: Any, name: str) -> None:
    x, module = images(), make(generator=torch.Generator().manual_seed(1))
    draws = module.draw(x)
    assert len(draws[name]) == len(x)
    others = {key: value for key, value in draws.items() if key != name}
    if function is erase:
        expected = erase(x, draws[name], others.get("noise", 0.5))
    else:
        expected = function(x, draws[name], **others)
    assert torch.equal(module(x, draws=draws), expected)
    assert not torch.equal(expected, x)
    assert torch.equal(make(generator=torch.Generator().manual_seed(1))(x), expected)


@pytest.mark.parametrize(("make", "function", "name"), MODULES)
def test_a_module_keeps_the_rules_of_augmentations(
    make: Any, function: Any, name: str, global_rng_untouched: None
) -> None:
    x, source = images(), torch.Generator()
    module = make()
    before, first = x.clone(), module(x, generator=source.manual_seed(2))
    assert torch.equal(module(x, generator=source.manual_seed(2)), first)
    assert not torch.equal(module(x, generator=source.manual_seed(3)), first)
    assert torch.equal(x, before)
    assert module.eval()(x) is x
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        other.load_state_dict(module.state_dict())
        assert torch.equal(other.train()(x, generator=source.manual_seed(2)), first)
    assert module.train()(x[:0], generator=source).shape == (0, *x.shape[1:])
    assert module(x[:1].float(), generator=source).dtype == torch.float32
    sometimes = make(p=0.5)(images(200), generator=source.manual_seed(2))
    changed = (sometimes != images(200)).flatten(1).any(dim=1).double().mean().item()
    assert 0.3 < changed < 0.7


def test_numbers_are_drawn_between_the_bounds() -> None:
    x = torch.zeros(4000, 1, 1, 1, dtype=torch.float64)
    source = torch.Generator().manual_seed(0)
    factor = RandomBrightness(0.5, 1.7, generator=source).draw(x)["factor"]
    assert 0.5 <= factor.min() < 0.51 and 1.69 < factor.max() <= 1.7 and abs(factor.mean() - 1.1) < 0.03
    gamma = RandomGamma(0.25, 4, generator=source).draw(x)["gamma"]
    assert 0.25 <= gamma.min() < 0.26 and 3.9 < gamma.max() <= 4 and abs((gamma < 1).double().mean() - 0.5) < 0.05
    area = RandomErasing(area=(0.5, 0.5), generator=source).draw(torch.zeros(9, 1, 40, 40))["rectangles"]
    close((area[:, 2] * area[:, 3]).double() / 1600, torch.full((9,), 0.5), atol=0.04)


def test_a_chain_of_all() -> None:
    x, source = images(), torch.Generator().manual_seed(5)
    chain = Chain(*(make() for make, _, _ in MODULES), generator=source)
    draws = chain.draw(x)
    assert torch.equal(chain(x, draws=draws), chain(x, draws=draws))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomBrightness(1.5, 0.5), "low and high must be in order, from 0 to inf"),
        (lambda: RandomContrast(-0.5, 1), "low and high must be in order, from 0"),
        (lambda: RandomHue(0, math.inf), "low and high must be in order"),
        (lambda: RandomGamma(0, 1), "low and high must be in order"),
        (lambda: RandomNoise(NAN, 1), "low and high must be in order"),
        (lambda: RandomJPEG(0, 50), "low and high must be in order, from 1 to 100"),
        (lambda: RandomLens(-0.4, 0), "low and high must be in order, from -0.3333"),
        (lambda: RandomErasing(area=(0.2, 2)), "area must be in order"),
        (lambda: RandomErasing(aspect=(-1, 2)), "aspect must be in order"),
        (lambda: RandomSaturation(0, 1, p=2), r"p must be in \[0, 1\], got 2"),
    ],
)
def test_bounds_are_checked(make: Callable[[], Augmentation], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_module_shows_its_bounds() -> None:
    assert repr(RandomHue(-0.1, 0.1, p=0.5)) == "RandomHue(-0.1, 0.1, p=0.5)"


# ---- devices


def test_everything_stays_on_its_device(device: torch.device) -> None:
    x = images().float()
    there = x.to(device)
    for make, _, _ in MODULES:
        module = make()
        here = module(x, generator=torch.Generator().manual_seed(4))
        moved = module(there, generator=torch.Generator().manual_seed(4))
        assert moved.device.type == device.type
        torch.testing.assert_close(moved.cpu(), here, rtol=0, atol=2e-6)
    assert dct_matrix(3, device=device).device.type == device.type
    assert quantization_table(30, device=device).device.type == device.type
    values = torch.tensor([0.5, 1.0, 1.5], device=device)
    close(adjust_contrast(there, values).cpu(), adjust_contrast(x, values.cpu()), atol=1e-6)
