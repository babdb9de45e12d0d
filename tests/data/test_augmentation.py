"""`tricks_lib.data.augmentation`: the base class, moving pixels by matrices and fields, and drawing how."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor, nn

from tricks_lib.data.augmentation import (
    Augmentation,
    Chain,
    Draws,
    RandomAffine,
    RandomCrop,
    RandomElastic,
    RandomFlip,
    affine,
    affine_matrix,
    between,
    check_images,
    crop,
    elastic,
    pixel_places,
    sample_at,
    smooth_noise,
    warp,
)

Make = Callable[..., Augmentation]
MAKERS: dict[str, Make] = {
    "affine": lambda **o: RandomAffine(angle=30, scale=1.3, shear=10, translate=2, flip=(0.5, 0.2), **o),
    "flip": lambda **o: RandomFlip(0.5, 0.5, **o),
    "crop": lambda **o: RandomCrop(2, **o),
    "elastic": lambda **o: RandomElastic(1.5, 2.0, **o),
    "chain": lambda **o: Chain(RandomElastic(0.5, 1.0), RandomAffine(angle=10), RandomCrop(1), **o),
}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
seeds = st.integers(0, 10**6)


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=dtype)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


X = rand(3, 2, 5, 7)


def pairs(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# ---- pixel_places and sample_at


def read_in_a_loop(image: list[list[float]], x: float, y: float) -> float:
    """Bilinear, zero outside; x and y in pixels from the center."""
    height, width = len(image), len(image[0])
    column, row = x + (width - 1) / 2, y + (height - 1) / 2
    total = 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += image[i][j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def test_places_count_from_the_center() -> None:
    places = pixel_places(X)
    assert places.shape == (5, 7, 2) and places.dtype == torch.float64
    assert places[0, 0].tolist() == [-3.0, -2.0] and places[4, 1].tolist() == [-2.0, 2.0]
    assert pixel_places(X.half()).dtype == torch.float32


@given(seeds)
@settings(max_examples=25)
def test_reading_equals_a_loop(seed: int) -> None:
    x, places = rand(2, 3, 4, 5, seed=seed), 8 * rand(2, 3, 2, 2, seed=seed + 1) - 4
    read = sample_at(x, places)
    assert read.shape == (2, 3, 3, 2)
    for n in range(2):
        for c in range(3):
            for i in range(3):
                for j in range(2):
                    expected = read_in_a_loop(x[n, c].tolist(), *places[n, i, j].tolist())
                    assert read[n, c, i, j].item() == pytest.approx(expected, abs=1e-12)


def test_reading_is_between_nearest_and_smooth_and_pads_as_told() -> None:
    x = torch.tensor([[[[1.0, 2.0, 4.0, 8.0]]]])
    at = torch.tensor([[[-2.5, 0.0], [-1.25, 0.0], [1.4, 0.0], [2.5, 0.0]]])
    assert sample_at(x, at, mode="nearest").tolist() == [[[[0, 1, 8, 0]]]]
    assert sample_at(x, at, mode="nearest", padding="border").tolist() == [[[[1, 1, 8, 8]]]]
    assert sample_at(x, at, mode="nearest", padding="reflection").tolist() == [[[[1, 1, 8, 8]]]]
    close(sample_at(x, at), torch.tensor([[[[0.0, 1.25, 7.6, 0.0]]]]), 1e-6)
    assert not torch.allclose(sample_at(x, at, mode="bicubic"), sample_at(x, at))
    assert torch.equal(sample_at(x, at), sample_at(x, at[None]))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_its_own_places_change_nothing(mode: str) -> None:
    close(sample_at(X, pixel_places(X), mode=mode), X)


def test_half_precision_is_read_in_single() -> None:
    x = X.half()
    read = sample_at(x, pixel_places(x) + 0.25)
    assert read.dtype == torch.float16
    assert torch.equal(read, sample_at(x.float(), pixel_places(x) + 0.25).half())


# ---- affine


def test_matrix_of_each_part() -> None:
    x = X[:1]
    half = math.sqrt(0.5)
    cases: list[tuple[dict[str, Any], list[list[float]]]] = [
        ({}, [[1, 0, 0], [0, 1, 0]]),
        ({"angle": 45.0}, [[half, half, 0], [-half, half, 0]]),
        ({"scale": pairs((2, 3))}, [[2, 0, 0], [0, 3, 0]]),
        ({"shear": 45.0}, [[1, 1, 0], [0, 1, 0]]),
        ({"translate": pairs((3, -2))}, [[1, 0, 3], [0, 1, -2]]),
        ({"flip": torch.tensor([[True, False]])}, [[-1, 0, 0], [0, 1, 0]]),
        ({"flip": torch.tensor([[False, True]]), "scale": 2.0}, [[2, 0, 0], [0, -2, 0]]),
    ]
    for arguments, expected in cases:
        close(affine_matrix(x, **arguments), torch.tensor([expected], dtype=torch.float64))


def test_order_flip_scale_shear_turn_shift() -> None:
    """The product, by hand, with a quarter turn: (1, 0) -> (-2, 0) -> sheared (-2, 0) -> (0, 2) -> (5, 1)."""
    parts = {"angle": 90.0, "scale": pairs((2, 3)), "shear": 45.0, "translate": pairs((5, -1))}
    matrix = affine_matrix(X[:1], flip=torch.tensor([[True, False]]), **parts)[0]
    close(matrix @ torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64), pairs((5, 1))[0])
    # (0, 1) -> (0, 3) -> (3, 3) -> (3, -3) -> (8, -4)
    close(matrix @ torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64), pairs((8, -4))[0])


def test_exact_where_nothing_is_interpolated() -> None:
    square = rand(2, 3, 6, 6)
    for quarters in range(-2, 5):
        close(affine(square, angle=90.0 * quarters), square.rot90(quarters, (2, 3)))
    close(affine(X, flip=torch.tensor([[True, False]] * 3)), X.flip(3))
    close(affine(X, flip=torch.tensor([[False, True]] * 3)), X.flip(2))
    close(affine(X, angle=180.0), X.flip(2, 3))
    moved = affine(X, translate=pairs((2, -1), (-3, 0), (0, 4)))
    for n, (right, down) in enumerate([(2, -1), (-3, 0), (0, 4)]):
        rolled = X[n].roll((down, right), (1, 2))
        kept = torch.ones(5, 7).roll((down, right), (0, 1))
        kept[:down] = 0 if down > 0 else kept[:down]
        if down < 0:
            kept[down:] = 0
        if right > 0:
            kept[:, :right] = 0
        if right < 0:
            kept[:, right:] = 0
        if down > 0:
            kept[:down] = 0
        close(moved[n], rolled * kept)


def test_angles_are_those_of_pixels_on_an_image_that_is_not_square() -> None:
    """A pixel 8 to the right of the center is, after 90 degrees, 8 above it, whatever the size of the image."""
    x = torch.zeros(1, 1, 31, 19, dtype=torch.float64)
    x[0, 0, 15, 9 + 8] = 1
    turned = affine(x, angle=90.0)
    assert turned[0, 0, 15 - 8, 9].item() == pytest.approx(1) and turned.sum().item() == pytest.approx(1)


@given(seeds, st.floats(-180, 180), st.floats(0.6, 1.6), st.floats(-30, 30), st.booleans(), st.booleans())
@settings(max_examples=25)
def test_affine_equals_scipy(seed: int, angle: float, scale: float, shear: float, across: bool, down: bool) -> None:
    x, shift = rand(1, 1, 6, 9, seed=seed), 4 * rand(1, 2, seed=seed + 1) - 2
    parts = {"angle": angle, "scale": scale, "shear": shear, "translate": shift}
    ours = affine(x, flip=torch.tensor([[across, down]]), **parts)
    a, b = math.radians(angle), math.radians(shear)
    turn = torch.tensor([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]], dtype=torch.float64)
    lean = torch.tensor([[1, math.tan(b)], [0, 1]], dtype=torch.float64)
    mirror = scale * torch.diag(torch.tensor([-1.0 if across else 1.0, -1.0 if down else 1.0], dtype=torch.float64))
    back = torch.linalg.inv(turn @ lean @ mirror).flip(0, 1)  # scipy counts rows first
    center = torch.tensor([2.5, 4.0], dtype=torch.float64)
    offset = center - back @ (center + shift[0].flip(0))
    padded = nn.functional.pad(x[0, 0], (1, 1, 1, 1))  # scipy does not fade out at the edges; a rim of zeros does
    theirs = ndimage.affine_transform(
        padded.numpy(), back.numpy(), (offset + 1 - back @ torch.ones(2).double()).numpy(), order=1
    )
    close(ours[0, 0], torch.from_numpy(theirs)[1:-1, 1:-1], 1e-9)


def test_inverse_parts_undo_each_other_inside() -> None:
    ramp = pixel_places(torch.zeros(1, 1, 21, 33, dtype=torch.float64)).movedim(-1, 0)[None]  # linear: no blur
    there = affine(ramp, angle=20.0, scale=1.2)
    back = affine(there, angle=-20.0, scale=1 / 1.2)
    close(back[:, :, 7:-7, 10:-10], ramp[:, :, 7:-7, 10:-10])


def test_each_image_has_its_own_numbers() -> None:
    angle, scale, shear = torch.tensor([10.0, 50.0, -70.0]), torch.tensor([0.8, 1.0, 1.5]), torch.tensor([0.0, 20, -5])
    shift, mirrored = pairs((1, 0.5), (0, 0), (-2, 1.5)), torch.tensor([[True, False], [False, False], [True, True]])
    all_three = affine(X, angle=angle, scale=scale, shear=shear, translate=shift, flip=mirrored)
    for n in range(3):
        one = affine(
            X[n : n + 1],
            angle=angle[n].item(),
            scale=scale[n].item(),
            shear=shear[n].item(),
            translate=shift[n : n + 1],
            flip=mirrored[n : n + 1],
        )
        close(all_three[n : n + 1], one, 1e-6)  # the numbers above are in single precision


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_warp_equals_a_loop_over_the_inverse(mode: str) -> None:
    x, matrix = rand(2, 2, 4, 5), torch.eye(2, 3, dtype=torch.float64) + 0.4 * (rand(2, 2, 3, seed=1) - 0.5)
    places = torch.zeros(2, 4, 5, 2, dtype=torch.float64)
    for n in range(2):
        for i in range(4):
            for j in range(5):
                q = torch.tensor([j - 2.0, i - 1.5], dtype=torch.float64)
                places[n, i, j] = torch.linalg.solve(matrix[n, :, :2], q - matrix[n, :, 2])
    close(warp(x, matrix, mode=mode, padding="border"), sample_at(x, places, mode=mode, padding="border"))


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 2, 3), (2, 3, 3)])
def test_warp_takes_a_matrix_for_each_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"matrix must have shape \(2, 2, 3\)"):
        warp(rand(2, 1, 4, 4), torch.zeros(shape))
    with pytest.raises(ValueError, match="be finite"):
        warp(rand(2, 1, 4, 4), torch.full((2, 2, 3), torch.nan))


def test_warp_keeps_dtype_and_device(device: torch.device) -> None:
    x, matrix = rand(2, 1, 4, 5, dtype=torch.float32), torch.eye(2, 3, dtype=torch.float64).expand(2, 2, 3)
    moved = warp(x.to(device), matrix.to(device))
    assert moved.dtype == torch.float32 and moved.device.type == device.type
    close(moved.cpu(), x, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"angle": torch.zeros(2)}, r"angle must be a number or have shape \(3, 1\), got \(2,\)"),
        ({"angle": torch.zeros(3, 2)}, r"angle must be a number or have shape \(3, 1\), got \(3, 2\)"),
        ({"translate": torch.zeros(3, 3)}, r"translate must be a number or have shape \(3, 2\), got \(3, 3\)"),
        ({"scale": torch.ones(3, 2, 1)}, r"scale must be a number or have shape \(3, 2\), got \(3, 2, 1\)"),
        ({"scale": 0.0}, "scale must be finite, above 0.0 and below inf, got 0.0"),
        ({"scale": -1.0}, "scale must be finite, above 0.0"),
        ({"shear": 90.0}, "shear must be finite, above -90.0 and below 90.0, got 90.0"),
        ({"shear": torch.tensor([0.0, -90.0, 0.0])}, "shear must be finite, above -90.0"),
        ({"angle": math.nan}, "angle must be finite"),
        ({"translate": math.inf}, "translate must be finite"),
        ({"mode": "cubic"}, "mode must be one of bilinear, bicubic, nearest, got 'cubic'"),
        ({"padding": "edge"}, "padding must be one of zeros, border, reflection, got 'edge'"),
    ],
)
def test_affine_checks_its_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        affine(X, **arguments)


def test_sample_at_checks_its_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"places must have shape \(H', W', 2\) or \(3, H', W', 2\), got \(2, 5, 7, 2\)"
    ):
        sample_at(X, torch.zeros(2, 5, 7, 2))
    for shape in [(5, 7, 3), (5, 2), (3, 0, 7, 2), (1, 3, 5, 7, 2)]:
        with pytest.raises(ValueError, match="places must have shape"):
            sample_at(X, torch.zeros(*shape))
    with pytest.raises(TypeError, match=r"places must be of a floating-point type, got torch.int64"):
        sample_at(X, torch.zeros(5, 7, 2, dtype=torch.int64))


# ---- crop


@given(st.integers(-4, 8), st.integers(-4, 8), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=40)
def test_crop_equals_slices_of_a_padded_image(left: int, top: int, height: int, width: int) -> None:
    padded = nn.functional.pad(X, (20, 20, 20, 20))
    window = padded[:, :, 20 + top : 20 + top + height, 20 + left : 20 + left + width]
    assert torch.equal(crop(X, torch.tensor([[left, top]] * 3), (height, width)), window)


def test_crop_pads_with_the_edge_and_reads_each_corner() -> None:
    x = torch.arange(1.0, 7.0).view(1, 1, 2, 3).repeat(2, 1, 1, 1)
    corners = torch.tensor([[-2, 0], [1, 1]])
    cut = crop(x, corners, (2, 3), padding="border")
    assert cut[:, 0].tolist() == [[[1, 1, 1], [4, 4, 4]], [[5, 6, 6], [5, 6, 6]]]


@pytest.mark.parametrize(
    ("corner", "size", "message"),
    [
        (torch.zeros(2, 2).float(), (2, 2), r"corner must be whole numbers \(3, 2\), got torch.float32 \(2, 2\)"),
        (torch.full((3, 2), 0.5), (2, 2), r"corner must be whole numbers \(3, 2\)"),
        (torch.full((3, 2), math.nan), (2, 2), r"corner must be whole numbers \(3, 2\)"),
        (torch.zeros(3, 2), (0, 2), r"size must be a height and a width of at least 1, got \(0, 2\)"),
        (torch.zeros(3, 2), (2,), "size must be a height and a width"),
    ],
)
def test_crop_checks_its_arguments(corner: Tensor, size: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crop(X, corner, size)


# ---- elastic


def test_a_constant_field_is_a_shift_the_other_way() -> None:
    field = torch.tensor([1.5, -0.5], dtype=torch.float64).expand(3, 5, 7, 2)
    close(elastic(X, field), affine(X, translate=pairs(*[(-1.5, 0.5)] * 3)))


def test_elastic_equals_scipy() -> None:
    field = 2 * rand(3, 5, 7, 2, seed=3) - 1
    ours = elastic(X, field, padding="border")
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    for n in range(3):
        at = torch.stack([rows + field[n, ..., 1], columns + field[n, ..., 0]]).numpy()
        for c in range(2):
            theirs = ndimage.map_coordinates(X[n, c].numpy(), at, order=1, mode="nearest")
            close(ours[n, c], torch.from_numpy(theirs))


def test_elastic_checks_its_field() -> None:
    with pytest.raises(ValueError, match=r"field must have shape \(3, 5, 7, 2\), got \(5, 7, 2\)"):
        elastic(X, torch.zeros(5, 7, 2))


def test_noise_has_variance_one_everywhere_and_the_right_width() -> None:
    x = torch.zeros(4000, 1, 6, 9, dtype=torch.float64)
    sigma = 1.5
    u = smooth_noise(x, sigma, generator=generator(1))
    assert u.shape == (4000, 6, 9, 2) and u.dtype == torch.float64
    close(u.mean(dim=0), torch.zeros(6, 9, 2, dtype=torch.float64), 0.1)
    close(u.var(dim=0), torch.ones(6, 9, 2, dtype=torch.float64), 0.15)
    for step in (1, 2, 4):  # noise behind a Gaussian filter: covariance exp(-d^2 / (4 sigma^2)) at the distance d
        expected = math.exp(-(step**2) / (4 * sigma**2))
        assert (u[:, :, step:] * u[:, :, :-step]).mean().item() == pytest.approx(expected, abs=0.03)
        assert (u[:, step:] * u[:, :-step]).mean().item() == pytest.approx(expected, abs=0.03)
    assert (u[..., 0] * u[..., 1]).mean().item() == pytest.approx(0, abs=0.02)


def test_noise_equals_scipys_filter() -> None:
    x, sigma = torch.zeros(2, 3, 5, 8, dtype=torch.float64), 1.2
    u = smooth_noise(x, sigma, generator=generator(4))
    reach = math.ceil(3 * sigma)
    drawn = torch.rand(2, 2, 5 + 2 * reach, 8 + 2 * reach, generator=generator(4), dtype=torch.float64)
    noise = math.sqrt(12) * (drawn - 0.5)
    for n in range(2):
        for axis in range(2):
            smooth = torch.from_numpy(
                ndimage.gaussian_filter(noise[n, axis].numpy(), sigma, mode="constant", truncate=9)
            )
            inner = smooth[reach:-reach, reach:-reach]
            ratio = u[n, :, :, axis] / inner
            close(ratio, torch.full_like(ratio, 2 * math.sqrt(math.pi) * sigma), 0.01)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_sigma_is_checked(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma must be a finite number above 0"):
        smooth_noise(X, sigma)
    with pytest.raises(ValueError, match="sigma must be a finite number above 0"):
        RandomElastic(1.0, sigma)


# ---- gradients


def test_gradients() -> None:
    x = rand(2, 1, 3, 4, seed=5).requires_grad_()
    places = (pixel_places(x) + 0.37 * (rand(2, 3, 4, 2, seed=6) + 0.2)).requires_grad_()
    assert torch.autograd.gradcheck(sample_at, (x, places))
    angle, shift = torch.tensor([7.0, -20.0]).double().requires_grad_(), (0.3 + pairs((0, 0), (0, 0))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, a, t: affine(x, angle=a, shear=5.0, translate=t), (x, angle, shift))
    assert torch.autograd.gradcheck(lambda x: crop(x, torch.tensor([[1, -1], [0, 2]]), (2, 3)), x)


# ---- the random ones


def test_affine_draws_cover_their_ranges_and_no_more() -> None:
    move = RandomAffine(angle=30, scale=1.5, shear=10, translate=3, flip=(0.25, 0.75))
    draws = move.draw(torch.zeros(4000, 1, 2, 3), generator=generator(0))
    for name, limit in {"angle": 30.0, "shear": 10.0, "translate": 3.0}.items():
        value = draws[name]
        assert -limit <= value.min() < -0.97 * limit and 0.97 * limit < value.max() <= limit
        assert abs(value.mean().item()) < 0.05 * limit
    log = draws["scale"].log() / math.log(1.5)
    assert -1 <= log.min() < -0.97 and 0.97 < log.max() <= 1 and abs(log.mean().item()) < 0.05
    assert draws["translate"].shape == (4000, 2) and draws["flip"].shape == (4000, 2)
    close(draws["flip"].double().mean(dim=0), torch.tensor([0.25, 0.75]).double(), 0.03)
    table = torch.stack([draws["angle"], draws["shear"], draws["scale"], *draws["translate"].T])
    close(table.corrcoef(), torch.eye(5), 0.06)  # drawn apart


def test_affine_uses_all_that_it_draws() -> None:
    x = rand(4, 2, 5, 6)
    move = RandomAffine(angle=50, scale=2, shear=30, translate=1, flip=(0.5, 0.5), mode="nearest", padding="border")
    draws = move.draw(x, generator=generator(1))
    assert torch.equal(move(x, draws=draws), affine(x, **draws, mode="nearest", padding="border"))  # type: ignore[arg-type]
    for name in draws:
        other = draws | {name: draws[name].flip(0) if name != "flip" else ~draws[name]}
        assert not torch.equal(move(x, draws=other), move(x, draws=draws)), name


def test_flips_are_exact_and_either_way() -> None:
    x = rand(200, 1, 3, 4, dtype=torch.float32)
    out = RandomFlip(0.3, 0.6)(x, generator=generator(2))
    kinds = [(out == other).flatten(1).all(dim=1) for other in (x, x.flip(3), x.flip(2), x.flip(2, 3))]
    assert torch.stack(kinds).sum(dim=0).tolist() == [1] * 200
    shares = [kind.double().mean().item() for kind in kinds]
    assert shares == pytest.approx([0.28, 0.12, 0.42, 0.18], abs=0.1)
    assert torch.equal(RandomFlip(1.0)(x), x.flip(3)) and torch.equal(RandomFlip(0.0, 1.0)(x), x.flip(2))


def test_crops_are_shifts_by_whole_pixels_all_alike() -> None:
    crops = RandomCrop(2)
    corner = crops.draw(torch.zeros(5000, 1, 3, 4), generator=generator(3))["corner"]
    assert corner.dtype == torch.int64
    counts = torch.bincount((5 * (corner[:, 1] + 2) + corner[:, 0] + 2), minlength=25)
    assert len(counts) == 25 and counts.min() > 140 and counts.max() < 260  # 200 each, standard deviation 14
    x = rand(6, 2, 3, 4)
    draws = crops.draw(x, generator=generator(4))
    assert torch.equal(crops(x, draws=draws), crop(x, draws["corner"], (3, 4)))
    bordered = RandomCrop(2, padding="border")
    assert torch.equal(bordered(x, draws=draws), crop(x, draws["corner"], (3, 4), padding="border"))
    assert torch.equal(RandomCrop(0)(x), x)


def test_elastic_moves_as_far_as_it_says() -> None:
    bend = RandomElastic(2.5, 1.5, mode="nearest", padding="border")
    field = bend.draw(torch.zeros(500, 1, 8, 9), generator=generator(5))["field"]
    assert field.std().item() == pytest.approx(2.5, rel=0.05)
    x = rand(4, 2, 5, 6)
    draws = bend.draw(x, generator=generator(6))
    assert torch.equal(bend(x, draws=draws), elastic(x, draws["field"], mode="nearest", padding="border"))


def test_a_mask_is_replayed_with_the_nearest_values() -> None:
    mask = (rand(6, 1, 12, 9) > 0.5).double()
    for smooth, sharp in [
        (RandomAffine(angle=40), RandomAffine(mode="nearest")),
        (RandomElastic(1.0, 2.0), RandomElastic(0.0, 1.0, mode="nearest")),
    ]:
        draws = smooth.draw(mask, generator=generator(7))
        assert set(sharp(mask, draws=draws).unique().tolist()) == {0.0, 1.0}
        soft, hard = smooth(mask, draws=draws), sharp(mask, draws=draws)
        assert ((soft - hard).abs() <= 0.75 + 1e-9).all() and len(soft.unique()) > 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomAffine(angle=-1), r"angle must be in \[0, inf\), got -1"),
        (lambda: RandomAffine(scale=0.9), r"scale must be in \[1, inf\), got 0.9"),
        (lambda: RandomAffine(shear=90), r"shear must be in \[0, 90\), got 90"),
        (lambda: RandomAffine(translate=math.nan), r"translate must be in \[0, inf\), got nan"),
        (lambda: RandomAffine(flip=(0.5, 1.5)), "flip must be two probabilities, across and down, got"),
        (lambda: RandomAffine(flip=(0.5,)), "flip must be two probabilities, across and down, got"),
        (lambda: RandomAffine(mode="linear"), "mode must be one of"),
        (lambda: RandomAffine(padding="zero"), "padding must be one of"),
        (lambda: RandomAffine(p=1.2), r"p must be in \[0, 1\], got 1.2"),
        (lambda: RandomFlip(-0.1), "flip must be two probabilities"),
        (lambda: RandomCrop(-1), "margin must be a whole number, at least 0, got -1"),
        (lambda: RandomCrop(1.5), "margin must be a whole number, at least 0, got 1.5"),
        (lambda: RandomCrop(True), "margin must be a whole number, at least 0, got True"),
        (lambda: RandomCrop(1, padding="same"), "padding must be one of"),
        (lambda: RandomElastic(-1, 2), r"alpha must be in \[0, inf\), got -1"),
        (lambda: RandomElastic(1, 2, mode="x"), "mode must be one of"),
    ],
)
def test_options_are_checked(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---- what all augmentations keep


@every
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_shape_and_dtype_stay_and_so_does_the_input(make: Make, channels: int, dtype: torch.dtype) -> None:
    x = rand(4, channels, 6, 9).to(dtype)
    before = x.clone()
    out = make()(x, generator=generator(0))
    assert out.shape == x.shape and out.dtype == dtype and torch.equal(x, before) and not torch.equal(out, x)


@every
def test_same_generator_same_result_and_the_global_one_untouched(make: Make, global_rng_untouched: None) -> None:
    x = rand(8, 1, 6, 9)
    first = make()(x, generator=generator(3))
    assert torch.equal(make()(x, generator=generator(3)), first)
    assert torch.equal(make(generator=generator(3))(x), first)
    assert not torch.equal(make()(x, generator=generator(4)), first)
    own = generator(3)
    make()(x, generator=own)
    assert not torch.equal(make()(x, generator=own), first)  # the state moved on


@every
def test_each_image_is_changed_in_its_own_way(make: Make) -> None:
    out = make()(rand(1, 1, 6, 9).repeat(16, 1, 1, 1), generator=generator(0))
    assert len(out.flatten(1).unique(dim=0)) > 3


@every
def test_identity_in_evaluation_unless_replayed(make: Make) -> None:
    x = rand(5, 2, 6, 9)
    change = make().eval()
    assert change(x) is x
    draws = change.draw(x, generator=generator(0))
    assert torch.equal(change(x, draws=draws), make()(x, generator=generator(0)))


@every
def test_one_image_and_none(make: Make) -> None:
    change = make()
    assert change(rand(1, 1, 6, 9)).shape == (1, 1, 6, 9)
    assert change(rand(0, 3, 6, 9)).shape == (0, 3, 6, 9)


@every
def test_images_do_not_depend_on_their_neighbors(make: Make) -> None:
    x, change = rand(5, 2, 6, 9), make()
    draws = change.draw(x, generator=generator(1))
    alone = change(x[2:3], draws={name: value[2:3] for name, value in draws.items()})
    close(change(x, draws=draws)[2:3], alone)


@every
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_change_alike(make: Make, copied: Callable[[Augmentation], Augmentation]) -> None:
    change, x = make(), rand(3, 1, 6, 9)
    assert torch.equal(copied(change)(x, generator=generator(1)), change(x, generator=generator(1)))
    assert not change.state_dict()


@every
def test_devices(make: Make, device: torch.device) -> None:
    x = rand(3, 2, 6, 9, dtype=torch.float32)
    out = make()(x.to(device), generator=generator(2))
    assert out.device.type == device.type
    close(out.cpu(), make()(x, generator=generator(2)), 1e-5)


@every
@pytest.mark.parametrize(
    ("x", "error"),
    [
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), TypeError),
        (torch.zeros(4, 4), ValueError),
        (torch.zeros(2, 0, 4, 4), ValueError),
        ("image", TypeError),
    ],
)
def test_only_images(make: Make, x: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="x must"):
        make()(x)


def test_functions_stay_on_their_device(device: torch.device) -> None:
    x = rand(2, 1, 4, 5, dtype=torch.float32)
    there = x.to(device)
    places = pixel_places(there)
    field = smooth_noise(there, 1.0, generator=generator(0))
    results = [
        (places, pixel_places(x)),
        (field, smooth_noise(x, 1.0, generator=generator(0))),
        (affine_matrix(there, angle=5.0), affine_matrix(x, angle=5.0)),
        (affine(there, angle=torch.tensor([5.0, 9.0], device=device)), affine(x, angle=torch.tensor([5.0, 9.0]))),
        (sample_at(there, places + 0.3), sample_at(x, pixel_places(x) + 0.3)),
        (elastic(there, field), elastic(x, field.cpu())),
        (
            crop(there, torch.tensor([[0, 1], [1, 0]]).to(device), (2, 3)),
            crop(x, torch.tensor([[0, 1], [1, 0]]), (2, 3)),
        ),
    ]
    for result, expected in results:
        assert result.device.type == device.type
        close(result.cpu(), expected, 1e-5)


# ---- the base class


class Add(Augmentation):
    """Add a number to each image."""

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        return {"by": between(x, 1, 3, generator=generator)}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        return x + draws["by"][:, None, None, None]


def test_between_is_uniform() -> None:
    drawn = between(torch.zeros(5000, 1, 1, 1).float(), -2, 6, generator=generator(0))
    assert drawn.shape == (5000,) and -2 <= drawn.min() < -1.98 and 5.98 < drawn.max() < 6
    assert drawn.mean().item() == pytest.approx(2, abs=0.15)
    assert drawn.dtype == torch.float32 and between(X, 0, 1).dtype == torch.float64


def test_p_is_the_share_that_is_changed_and_is_replayed() -> None:
    x = torch.zeros(2000, 1, 1, 2)
    change = Add(p=0.3)
    draws = change.draw(x, generator=generator(1))
    out = change(x, draws=draws)
    assert (out.amax(dim=(1, 2, 3)) > 0).double().mean().item() == pytest.approx(0.3, abs=0.04)
    assert torch.equal(change(x, draws=draws), out) and torch.equal(change(x, generator=generator(1)), out)
    assert "applied" not in Add().draw(x)
    assert torch.equal(Add(p=0.0)(x), x)


def test_draws_are_for_as_many_images() -> None:
    change = Add()
    draws = change.draw(X)
    with pytest.raises(ValueError, match="draws must have a row for each of the 2 images, got 3 of 'by'"):
        change(X[:2], draws=draws)


def test_a_chain_is_its_steps_in_order_drawn_and_replayed_as_one() -> None:
    x = rand(4, 1, 6, 9)
    steps = RandomAffine(angle=30), Add(p=0.5), RandomCrop(2)
    chain = Chain(*steps)
    own, out = generator(9), x
    for step in steps:
        out = step(out, generator=own)
    assert torch.equal(chain(x, generator=generator(9)), out)
    draws = chain.draw(x, generator=generator(9))
    assert {name.split(".")[0] for name in draws} == {"0", "1", "2"} and "1.applied" in draws
    assert torch.equal(chain(x, draws=draws), out)
    assert torch.equal(Chain(*steps, generator=generator(9))(x), out)


def test_a_long_chain_keeps_its_steps_apart() -> None:
    chain = Chain(*[Add() for _ in range(12)])
    x = torch.zeros(2, 1, 1, 1)
    draws = chain.draw(x, generator=generator(0))
    close(chain(x, draws=draws)[:, 0, 0, 0], torch.stack(list(draws.values())).sum(dim=0), 1e-5)
    turns = Chain(*[RandomAffine(angle=5.0) for _ in range(12)])  # takes no draws but its own
    assert turns(X, generator=generator(0)).shape == X.shape


def test_check_images_accepts_images_and_empty_batches() -> None:
    check_images(X)
    check_images(torch.zeros(0, 1, 2, 3))
