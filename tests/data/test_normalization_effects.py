"""`tricks_lib.data.normalization_effects`: places, refitted transforms, signs of gradients, weighted errors."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data.looking import PCA
from tricks_lib.data.normalization import Standardize
from tricks_lib.data.normalization_effects import (
    original_scale_mse,
    place_effect,
    refit,
    same_sign_share,
    scaled_mse,
    successive_cosines,
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ---- place_effect


def place_effect_in_a_loop(rows: list[list[float]]) -> float:
    n, p = len(rows), len(rows[0])
    mean = sum(map(sum, rows)) / (n * p)
    pixels = [sum(row[j] for row in rows) / n for j in range(p)]
    images = [sum(row) / p for row in rows]
    between = n * sum((m - mean) ** 2 for m in pixels) / (p - 1)
    within = sum((rows[i][j] - images[i] - pixels[j] + mean) ** 2 for i in range(n) for j in range(p))
    return between / (within / ((n - 1) * (p - 1)))


def test_place_effect_by_hand() -> None:
    """Two pixels: the F statistic is the square of the paired t of their differences 2, 1, 3: mean 2, variance 1."""
    x = torch.tensor([[0.0, 2.0], [1.0, 2.0], [2.0, 5.0]], dtype=torch.float64)[:, None]
    assert place_effect(x).tolist() == pytest.approx([2**2 / (1 / 3)], rel=1e-14)
    t = stats.ttest_rel(x[:, 0, 0].numpy(), x[:, 0, 1].numpy()).statistic
    assert place_effect(x).item() == pytest.approx(t**2, rel=1e-12)


def test_place_effect_equals_a_loop_for_each_channel() -> None:
    x = normal(7, 2, 3, 5) + normal(1, 2, 3, 5, seed=1)
    expected = [place_effect_in_a_loop(x[:, c].flatten(1).tolist()) for c in range(2)]
    np.testing.assert_allclose(place_effect(x).numpy(), expected, rtol=1e-12)


@given(st.floats(0.1, 10), st.floats(-1000, 1000), st.integers(0, 10**6))
def test_place_effect_ignores_units_and_the_light_on_each_image(scale: float, offset: float, seed: int) -> None:
    x = normal(5, 2, 3, seed=seed)
    light = normal(5, 2, 1, seed=seed + 1)
    torch.testing.assert_close(place_effect(scale * (x + light) + offset), place_effect(x), rtol=1e-7, atol=1e-9)


def test_place_effect_of_alike_places_is_one_on_average() -> None:
    """Also where neighbors are alike: a circular moving average has the same mean everywhere."""
    x = normal(4000, 6, 1, 12, seed=3).reshape(400, 10, 6, 1, 12)  # 400 data sets of ten images
    smooth = x + x.roll(1, -1) + x.roll(2, -1)
    for data in (x, smooth):
        values = torch.cat([place_effect(one) for one in data])
        assert values.mean().item() == pytest.approx(1.0, abs=4 * values.std().item() / math.sqrt(len(values)) + 0.02)
    aligned = smooth + torch.linspace(0, 3, 12)
    assert torch.cat([place_effect(one) for one in aligned]).mean() > 3


def test_place_effect_far_from_zero_and_of_integers() -> None:
    x = (normal(6, 1, 4) * 2**10).round()
    torch.testing.assert_close(place_effect(x + 2.0**40), place_effect(x), rtol=1e-12, atol=0)
    whole = torch.randint(0, 256, (6, 3, 2, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert place_effect(whole).dtype == torch.get_default_dtype()
    torch.testing.assert_close(place_effect(whole).double(), place_effect(whole.double()), rtol=1e-6, atol=0)
    assert place_effect(x.float()).dtype == torch.float32


def test_place_effect_at_its_ends() -> None:
    image = torch.tensor([[0.0, 1.0, 4.0]])
    assert place_effect(torch.stack([image, image + 8])).tolist() == [math.inf]
    assert place_effect(torch.ones(3, 2, 4)).isnan().all()


@pytest.mark.parametrize("shape", [(3, 4), (1, 2, 5), (3, 2, 1), (3, 0, 4), (3, 2, 1, 1)])
def test_place_effect_checks_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"x must have shape \(N, C, \.\.\.\), N >= 2, with two pixels or more, got \("
    ):
        place_effect(torch.zeros(shape))


def test_place_effect_needs_finite_numbers() -> None:
    x = normal(3, 1, 4)
    x[1, 0, 2] = math.nan
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        place_effect(x)


# ---- refit


def test_refit_leaves_the_transform_and_keeps_its_settings() -> None:
    x, other = normal(9, 2, 3, 5), 3 * normal(7, 2, 3, 5, seed=1) + 4
    transform = Standardize(axes=(0, 2, 3), eps=0.5).fit(x)
    before = copy.deepcopy(transform.state_dict())
    again = refit(transform, other)
    expected = Standardize(axes=(0, 2, 3), eps=0.5).fit(other)
    assert type(again) is Standardize and again is not transform
    assert torch.equal(again(other), expected(other)) and (again.axes, again.eps) == ((0, 2, 3), 0.5)
    assert all(torch.equal(transform.state_dict()[name], value) for name, value in before.items())


def test_refit_works_for_all_that_fits_and_with_batches() -> None:
    x, other = normal(9, 4), normal(7, 4, seed=1)
    again = refit(PCA(2).fit(x), DataLoader(TensorDataset(other, torch.arange(7)), batch_size=3))
    torch.testing.assert_close(again(other), PCA(2).fit(other)(other), rtol=0, atol=1e-12)


def test_data_with_their_own_statistics_have_mean_zero_and_variance_one() -> None:
    x = 5 * normal(8, 3) - 2
    z = refit(Standardize().fit(normal(6, 3, seed=1)), x)(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_refit_needs_something_to_fit() -> None:
    with pytest.raises(TypeError, match="transform must have a method fit, got Identity"):
        refit(nn.Identity(), normal(3, 2))  # type: ignore[type-var]


# ---- same_sign_share


@given(st.lists(st.lists(st.sampled_from([-2.0, -1e-30, 0.0, 1e-30, 3.0]), min_size=5, max_size=5), min_size=1))
def test_share_equals_counting(rows: list[list[float]]) -> None:
    shares = same_sign_share(torch.tensor(rows, dtype=torch.float64)).tolist()
    for row, share in zip(rows, shares, strict=True):
        signs = [math.copysign(1, value) for value in row if value]
        expected = max(signs.count(1), signs.count(-1)) / len(signs) if signs else math.nan
        assert share == pytest.approx(expected, abs=1e-15, nan_ok=True)


def test_share_of_layers_of_one_unit_and_of_many_paths() -> None:
    gradient = torch.tensor([1.0, -1.0, -1.0, 0.0])
    assert same_sign_share(gradient).item() == pytest.approx(2 / 3)
    assert same_sign_share(gradient).shape == ()
    stacked = normal(4, 3, 7)
    assert torch.equal(same_sign_share(stacked)[2], same_sign_share(stacked[2]))


def test_one_sample_with_positive_inputs_gives_one_sign() -> None:
    """The textbook's sentence, on autograd's own gradient: for one sample, not for a batch."""
    layer = nn.Linear(6, 4, dtype=torch.float64)
    nn.init.zeros_(layer.weight)  # the error is then -y, whose signs differ within each column
    nn.init.zeros_(layer.bias)
    x, y = normal(5, 6).abs(), normal(5, 4, seed=1)
    for batch, same in ((slice(0, 1), True), (slice(0, 5), False)):
        layer.zero_grad()
        (layer(x[batch]) - y[batch]).square().mean().backward()
        assert layer.weight.grad is not None
        assert bool((same_sign_share(layer.weight.grad) == 1).all()) is same


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_share_dtypes(dtype: torch.dtype) -> None:
    share = same_sign_share(torch.tensor([[3, -1, -1]]).to(dtype))
    assert share.dtype == (torch.get_default_dtype() if dtype == torch.int64 else dtype)
    assert share.item() == pytest.approx(2 / 3, abs=1e-3)


def test_share_does_not_hide_nan() -> None:
    gradient = torch.tensor([[1.0, math.nan, -2.0], [0.0, 0.0, 0.0], [math.inf, -1.0, 1.0]])
    assert same_sign_share(gradient).isnan().tolist() == [True, True, False]


@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_share_checks_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"gradient must have shape \(\.\.\., fan in\), with weights, got \("):
        same_sign_share(torch.zeros(shape))


# ---- successive_cosines


def test_cosines_by_hand() -> None:
    updates = torch.tensor([[3.0, 0.0], [1.0, 1.0], [-2.0, -2.0], [0.0, 5.0]], dtype=torch.float64)
    expected = [math.sqrt(0.5), -1, -math.sqrt(0.5)]
    np.testing.assert_allclose(successive_cosines(updates).numpy(), expected, atol=1e-15)


def test_cosines_equal_torch_for_each_path() -> None:
    updates = normal(6, 4, 5)
    cosines = successive_cosines(updates)
    assert cosines.shape == (5, 4)
    expected = nn.functional.cosine_similarity(updates[:-1], updates[1:], dim=-1)
    torch.testing.assert_close(cosines, expected, rtol=0, atol=1e-12)
    assert torch.equal(cosines[:, 2], successive_cosines(updates[:, 2]))


@given(st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4), st.sampled_from([1e-30, 1.0, 1e30]))
def test_cosines_ignore_the_lengths(lengths: list[float], unit: float) -> None:
    updates = normal(4, 3, dtype=torch.float32)
    scaled = updates * torch.tensor(lengths, dtype=torch.float32)[:, None] * unit
    torch.testing.assert_close(successive_cosines(scaled), successive_cosines(updates), rtol=0, atol=1e-6)


def test_cosines_stay_in_range_and_know_no_direction_of_zero() -> None:
    v = normal(1, 50, dtype=torch.float32)
    cosines = successive_cosines(torch.cat([v, 3 * v, -v, 0 * v, v]))
    assert cosines[2:].isnan().all()
    many = successive_cosines(normal(1, 500, 7, dtype=torch.float32).repeat(2, 1, 1))
    assert many.max() == 1 and many.min() > 1 - 1e-6  # rounding alone would go beyond 1
    assert cosines[:2].tolist() == pytest.approx([1, -1], abs=1e-6)


@pytest.mark.parametrize("shape", [(4,), (1, 3), (3, 0)])
def test_cosines_check_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"updates must have shape \(T, \.\.\., D\), T >= 2, D >= 1, got \("):
        successive_cosines(torch.zeros(shape))


# ---- scaled_mse and original_scale_mse


def test_scaled_mse_by_hand_and_in_a_loop() -> None:
    p, t, s = normal(3, 2, 4), normal(3, 2, 4, seed=1), normal(2, 4, seed=2)
    expected = sum(
        s[j, k].item() ** 2 * (p[i, j, k] - t[i, j, k]).item() ** 2
        for i in range(3)
        for j in range(2)
        for k in range(4)
    )
    assert scaled_mse(p, t, s).item() == pytest.approx(expected / 24, rel=1e-13)
    assert scaled_mse(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([3.0, 0.5])).item() == 5.0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_integers_neither_wrap_nor_stay_integers(dtype: torch.dtype) -> None:
    none, three = torch.zeros(2, 5, dtype=dtype), torch.full((2, 5), 3, dtype=dtype)
    for scale in (torch.full((5,), 2.0), torch.full((5,), 2, dtype=dtype)):
        error = scaled_mse(none, three, scale)
        assert error.item() == 36.0 and error.dtype == torch.get_default_dtype()


def test_a_scale_of_one_is_the_mean_squared_error() -> None:
    p, t = normal(5, 3), normal(5, 3, seed=1)
    for scale in (torch.ones((), dtype=torch.float64), torch.ones(3, dtype=torch.float64)):
        torch.testing.assert_close(scaled_mse(p, t, scale), nn.functional.mse_loss(p, t), rtol=1e-14, atol=0)


@pytest.mark.parametrize("axes", [(0,), (0, 2, 3), None])
def test_original_scale_is_that_of_the_inverse(axes: Any) -> None:
    x = normal(9, 2, 3, 5) * normal(2, 3, 5, seed=1) + 7
    transform = Standardize(axes=axes, eps=0.1).fit(x)
    z, guess = transform(x), normal(9, 2, 3, 5, seed=2)
    expected = nn.functional.mse_loss(transform.inverse(guess), x)
    torch.testing.assert_close(original_scale_mse(guess, z, transform), expected, rtol=1e-12, atol=0)


def test_the_weights_are_squares_of_the_standard_deviations() -> None:
    """Weights sigma, as in some lecture notes, give something else; so does S (z + m) for the inverse."""
    x = normal(9, 3) * torch.tensor([0.1, 1.0, 10.0]) + 5
    transform = Standardize().fit(x)
    z, guess = transform(x), normal(9, 3, seed=1)
    right = nn.functional.mse_loss(transform.inverse(guess), x).item()
    assert original_scale_mse(guess, z, transform).item() == pytest.approx(right, rel=1e-12)
    assert (transform.scale * (guess - z).square()).mean().item() != pytest.approx(right, rel=0.1)
    assert not torch.allclose(transform.scale * (z + transform.mean), x, atol=0.1)


def test_a_constant_feature_counts_with_the_divisor_it_had() -> None:
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    transform = Standardize().fit(x)
    guess = transform(x) + torch.tensor([0.0, 4.0])
    assert original_scale_mse(guess, transform(x), transform).item() == 8.0


def test_gradients() -> None:
    p, t, s = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_(), normal(4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(scaled_mse, (p, t, s))
    transform = Standardize().fit(normal(6, 4, seed=3))
    assert torch.autograd.gradcheck(lambda p, t: original_scale_mse(p, t, transform), (p, t))


@pytest.mark.parametrize(("target", "scale", "name"), [((3, 1), (4,), "target"), ((3,), (4,), "target")])
def test_shapes_are_not_broadcast(target: tuple[int, ...], scale: tuple[int, ...], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must have shape \(3, 4\) as prediction, got \("):
        scaled_mse(torch.zeros(3, 4), torch.zeros(target), torch.zeros(scale))


@pytest.mark.parametrize("scale", [(3,), (2, 3, 4), (3, 2)])
def test_the_scale_must_broadcast(scale: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"scale must broadcast to shape \(3, 4\), got \("):
        scaled_mse(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(scale))


def test_the_scale_must_not_blow_up_a_single_feature() -> None:
    with pytest.raises(ValueError, match=r"scale must broadcast to shape \(3, 1\), got \(4,\)"):
        scaled_mse(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(4))


def test_the_transform_must_be_fitted_to_such_features() -> None:
    with pytest.raises(RuntimeError, match="Standardize is not fitted"):
        original_scale_mse(torch.zeros(2, 3), torch.zeros(2, 3), Standardize())
    with pytest.raises(ValueError, match=r"must have shape \(N, 4\), got \(0, 3\)"):
        original_scale_mse(torch.zeros(2, 3), torch.zeros(2, 3), Standardize().fit(normal(5, 4)))


# ---- devices, inputs, randomness


def test_everything_stays_on_its_device(device: torch.device) -> None:
    x = normal(6, 2, 3, 5, dtype=torch.float32)
    there = x.to(device)
    here, moved = Standardize(axes=(0, 2, 3)).fit(x), Standardize(axes=(0, 2, 3)).fit(there)
    results = [
        (place_effect(there), place_effect(x)),
        (refit(moved, there + 1).mean, refit(here, x + 1).mean),
        (same_sign_share(there), same_sign_share(x)),
        (successive_cosines(there), successive_cosines(x)),
        (scaled_mse(there, there + 1, there[0]), scaled_mse(x, x + 1, x[0])),
        (original_scale_mse(there, there + 1, moved), original_scale_mse(x, x + 1, here)),
    ]
    for result, expected in results:
        assert result.device.type == device.type
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-5, atol=1e-6)


def test_inputs_are_left_alone(global_rng_untouched: None) -> None:
    x, y = normal(6, 2, 3), normal(6, 2, 3, seed=1)
    transform = Standardize().fit(x)
    place_effect(x), refit(transform, x), same_sign_share(x), successive_cosines(x)
    scaled_mse(x, y, y[0]), original_scale_mse(x, y, transform)
    assert torch.equal(x, normal(6, 2, 3)) and torch.equal(y, normal(6, 2, 3, seed=1))
