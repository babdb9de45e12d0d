"""`tricks_lib.data.normalization`: extremes, moments, rescaling, centering, standardizing, clipping."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data.looking import mean_std
from tricks_lib.data.normalization import Center, Clip, Rescale, Standardize, extremes, moments

Transform = Rescale | Center | Standardize

MAKERS: dict[str, Callable[..., Transform]] = {
    "rescale": Rescale,
    "signed": lambda **options: Rescale(-1, 1, **options),
    "center": Center,
    "standardize": Standardize,
    "standardize, eps": lambda **options: Standardize(eps=0.25, **options),
}
AXES: list[tuple[int, ...] | None] = [(0,), (0, 1), (0, 2, 3), (0, 3), None]

every_transform = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
every_axes = pytest.mark.parametrize("axes", AXES, ids=str)
floats = st.integers(-(10**6), 10**6).map(lambda i: i / 7)  # squares of smaller ones would underflow
columns = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.lists(floats, min_size=n, max_size=n), min_size=1, max_size=3)
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


X = 3 * normal(7, 3, 5, 4) + torch.arange(20.0, dtype=torch.float64).view(5, 4)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def values_of_each(x: Tensor, axes: tuple[int, ...] | None) -> list[tuple[tuple[int, ...], list[float]]]:
    """Collect, in a loop, the values that share a statistic, with its index in the result."""
    groups: dict[tuple[int, ...], list[float]] = {}
    for index in np.ndindex(*x.shape):
        kept = () if axes is None else tuple(0 if a in axes else i for a, i in enumerate(index) if a)
        groups.setdefault(kept, []).append(x[index].item())
    return list(groups.items())


def batches(x: Tensor, *sizes: int) -> list[Tensor]:
    return list(x.split(list(sizes)))


# ---- extremes and moments


def test_extremes_and_moments_of_a_small_table() -> None:
    x = torch.tensor([[2.0, -1.0, 7.0], [4.0, 5.0, 7.0], [9.0, 2.0, 7.0]])
    assert [part.tolist() for part in extremes(x)] == [[2.0, -1.0, 7.0], [9.0, 5.0, 7.0]]
    mean, std = moments(x)
    assert mean.tolist() == [5.0, 2.0, 7.0]
    torch.testing.assert_close(std, torch.tensor([26 / 3, 6.0, 0.0]).sqrt())
    assert [part.tolist() for part in extremes(x, None)] == [-1.0, 9.0]


@every_axes
def test_statistics_equal_a_loop(axes: tuple[int, ...] | None) -> None:
    (low, high), (mean, std) = extremes(X, axes), moments(X, axes)
    shape = () if axes is None else tuple(1 if a in axes else n for a, n in enumerate(X.shape))[1:]
    assert low.shape == high.shape == mean.shape == std.shape == shape
    for index, values in values_of_each(X, axes):
        assert (low[index].item(), high[index].item()) == (min(values), max(values))
        middle = math.fsum(values) / len(values)
        spread = math.sqrt(math.fsum((v - middle) ** 2 for v in values) / len(values))
        assert mean[index].item() == pytest.approx(middle, abs=1e-13)
        assert std[index].item() == pytest.approx(spread, abs=1e-13)


@every_axes
@pytest.mark.parametrize("sizes", [(7,), (1, 6), (3, 3, 1), (1,) * 7, (0, 2, 5)], ids=str)
def test_batches_do_not_matter(axes: tuple[int, ...] | None, sizes: tuple[int, ...]) -> None:
    parts = batches(X, *sizes)
    assert all(torch.equal(a, b) for a, b in zip(extremes(parts, axes), extremes(X, axes), strict=True))
    for a, b in zip(moments(parts, axes), moments(X, axes), strict=True):
        close(a, b, atol=1e-14)


def test_moments_of_samples_are_mean_std() -> None:
    for ours, theirs in zip(moments(X), mean_std(X), strict=True):
        close(ours, theirs)


def test_a_loader_gives_its_samples_and_labels_do_not_count() -> None:
    loader = DataLoader(TensorDataset(X, torch.arange(7)), batch_size=3)
    for a, b in zip(moments(loader), moments(X), strict=True):
        close(a, b)
    for a, b in zip(moments([[X, None]]), moments(X), strict=True):
        close(a, b)


def test_images_of_other_sizes_share_their_channels() -> None:
    small, large = normal(4, 2, 3, 5), 2 + normal(3, 2, 6, 4, seed=1)
    mean, std = moments([small, large], (0, 2, 3))
    for c in range(2):
        both = torch.cat([small[:, c].flatten(), large[:, c].flatten()])
        assert mean[c].item() == pytest.approx(both.mean().item(), abs=1e-14)
        assert std[c].item() == pytest.approx(both.std(correction=0).item(), abs=1e-14)


@given(columns)
def test_extremes_and_moments_have_their_order(table: list[list[float]]) -> None:
    x = torch.tensor(table, dtype=torch.float64)
    (low, high), (mean, std) = extremes(x), moments(x)
    slack = 1e-9 * (1 + x.abs().amax(0))
    assert (low - slack <= mean).all() and (mean <= high + slack).all()
    assert (std <= (high - low) / 2 + slack).all()  # Popoviciu's inequality
    assert ((std == 0) == (low == high)).all()


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.3e8, 1e-300, 0.0])
def test_what_is_constant_is_exactly_constant(value: float) -> None:
    for n in range(2, 40):  # the mean of so many equal numbers may be another one
        x = torch.full((n, 2), value, dtype=torch.float64)
        for parts in (x, batches(x, 1, n - 1), batches(x, n - 1, 1)):
            mean, std = moments(parts)
            assert mean.tolist() == [value] * 2
            assert std.tolist() == [0.0] * 2


def test_data_far_from_zero_do_not_cancel() -> None:
    x = (normal(400, 3) * 2**10).round() / 2**10  # adding 2**30 is exact
    for parts in (x + 2.0**30, batches(x + 2.0**30, 1, 99, 300)):
        close(moments(parts)[1], moments(x)[1], atol=1e-11)


def test_an_odd_first_sample_does_not_spoil_the_sums() -> None:
    x = torch.cat([torch.full((1, 2), 1e9, dtype=torch.float64), normal(999, 2)])
    expected = x.std(dim=0, correction=0)
    torch.testing.assert_close(moments(x)[1], expected, rtol=1e-12, atol=0)


def test_sums_of_float32_are_kept_in_float64() -> None:
    x = 1000 + normal(50_000, 1, dtype=torch.float32)
    mean, std = moments(x)
    assert mean.dtype == std.dtype == torch.float32
    torch.testing.assert_close(mean, x.double().mean(0).float(), rtol=0, atol=0)
    torch.testing.assert_close(std, x.double().std(0, correction=0).float(), rtol=1e-7, atol=0)


def test_integers_count_in_the_default_dtype() -> None:
    x = torch.tensor([[250, 3], [255, 5]], dtype=torch.uint8)
    assert moments(x)[0].tolist() == [252.5, 4.0]
    assert moments(x)[0].dtype == extremes(x)[1].dtype == torch.get_default_dtype()


@pytest.mark.parametrize("statistics", [extremes, moments])
@pytest.mark.parametrize(
    ("x", "axes", "error", "message"),
    [
        ([], (0,), ValueError, "x must hold at least 1 sample, got 0"),
        (X[:0], (0,), ValueError, "x must hold at least 1 sample, got 0"),
        (X[0, 0, 0], (0,), ValueError, r"x must have shape \(N, \.\.\.\), with features, got \(4,\)"),
        (X[:, :0], (0,), ValueError, r"x must have shape \(N, \.\.\.\), with features, got \(7, 0, 5, 4\)"),
        (X / 0, (0,), ValueError, "x must hold finite numbers"),
        ([X, X.log()], None, ValueError, "x must hold finite numbers"),
        ([X, X[:, :2]], (0,), ValueError, r"x must have the same features in all batches, got \(7, 2, 5, 4\)"),
        ([X, X[:, :2]], (0, 2, 3), ValueError, r"x must have the same features in all batches, got \(7, 2, 5, 4\)"),
        ([X.numpy()], (0,), TypeError, "a batch of x must be a tensor, got ndarray"),
        ([()], (0,), TypeError, "a batch of x must be a tensor, got tuple"),
        (X.flatten(1), (0, 2, 3), ValueError, r"x must have more dimensions for axes \(0, 2, 3\), got shape \(7, 60\)"),
    ],
)
def test_statistics_check_their_samples(
    statistics: Callable[..., Any], x: Any, axes: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        statistics(x, axes)


@pytest.mark.parametrize("axes", [(), (1,), (2, 3), (0, 0), (0, -1), (0, 1.0), (False, 1)])
def test_axes_are_checked(axes: Any) -> None:
    message = "axes must be None, or 0 and other different dimensions above 0, got"
    for call in (lambda: extremes(X, axes), lambda: moments(X, axes), lambda: Center(axes=axes)):
        with pytest.raises(ValueError, match=message):
            call()


# ---- each transform by hand, and against scikit-learn


def test_rescale_by_hand() -> None:
    x = torch.tensor([[1.0, 8.0], [3.0, 2.0], [5.0, 5.0]])
    z = Rescale(-2, 6).fit(x)(x)
    assert z.tolist() == [[-2.0, 6.0], [2.0, -2.0], [6.0, 2.0]]
    assert Rescale(0, 7, axes=None).fit(x)(x).tolist() == [[0.0, 7.0], [2.0, 1.0], [4.0, 4.0]]


def test_center_by_hand() -> None:
    x = torch.tensor([[1.0, 8.0], [3.0, 2.0], [5.0, 5.0]])
    assert Center().fit(x)(x).tolist() == [[-2.0, 3.0], [0.0, -3.0], [2.0, 0.0]]
    assert Center(axes=None).fit(x)(x).tolist() == [[-3.0, 4.0], [-1.0, -2.0], [1.0, 1.0]]


def test_standardize_by_hand() -> None:
    x = torch.tensor([[1.0, 8.0], [5.0, 2.0]])
    assert Standardize().fit(x)(x).tolist() == [[-1.0, 1.0], [1.0, -1.0]]
    assert Standardize(eps=5.0).fit(x).scale.tolist() == [3.0, pytest.approx(14**0.5)]


def test_clip_by_hand() -> None:
    x = torch.tensor([-7.0, -2.5, -1.0, 0.0, 2.5, 2.6, math.inf])
    assert Clip(2.5)(x).tolist() == [-2.5, -2.5, -1.0, 0.0, 2.5, 2.5, 2.5]
    assert math.isnan(Clip(1.0)(torch.tensor(math.nan)).item())


def test_clip_has_no_inverse() -> None:
    assert not hasattr(Clip(1.0), "inverse")


TABLE = X.flatten(1).clone()
TABLE[:, 5], TABLE[:, 7] = 0.1, -30  # constant
NEW = 9 * normal(4, 60, seed=3)


@pytest.mark.parametrize("sizes", [(7,), (2, 1, 4)], ids=str)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-0.3, 7)])
def test_rescale_equals_scikit_learn(sizes: tuple[int, ...], low: float, high: float) -> None:
    theirs = MinMaxScaler(feature_range=(low, high))
    for part in batches(TABLE, *sizes):
        theirs.partial_fit(part.numpy())
    ours = Rescale(low, high).fit(batches(TABLE, *sizes))
    for x in (TABLE, NEW):
        torch.testing.assert_close(ours(x), torch.from_numpy(theirs.transform(x.numpy())), rtol=1e-12, atol=1e-12)
        back = torch.from_numpy(theirs.inverse_transform(x.numpy()))
        torch.testing.assert_close(ours.inverse(x), back, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(7,), (2, 1, 4)], ids=str)
@pytest.mark.parametrize("divides", [True, False])
def test_standardize_and_center_equal_scikit_learn(sizes: tuple[int, ...], divides: bool) -> None:
    theirs = StandardScaler(with_std=divides)
    for part in batches(TABLE, *sizes):
        theirs.partial_fit(part.numpy())
    ours = (Standardize() if divides else Center()).fit(batches(TABLE, *sizes))
    for x in (TABLE, NEW):
        torch.testing.assert_close(ours(x), torch.from_numpy(theirs.transform(x.numpy())), rtol=1e-12, atol=1e-12)
        back = torch.from_numpy(theirs.inverse_transform(x.numpy()))
        torch.testing.assert_close(ours.inverse(x), back, rtol=1e-12, atol=1e-12)


def test_eps_is_that_of_batch_norm() -> None:
    theirs = nn.BatchNorm2d(3, affine=False, eps=0.7, dtype=torch.float64)
    close(Standardize(axes=(0, 2, 3), eps=0.7).fit(X)(X), theirs(X))


# ---- properties


@every_transform
@every_axes
def test_inverse_undoes(make: Callable[..., Transform], axes: tuple[int, ...] | None) -> None:
    transform = make(axes=axes).fit(X)
    other = normal(2, 3, 5, 4, seed=1)
    close(transform.inverse(transform(other)), other)
    close(transform(transform.inverse(other)), other)


@every_axes
def test_what_each_transform_promises(axes: tuple[int, ...] | None) -> None:
    (low, high), (middle, _) = extremes(Rescale(-2, 5, axes=axes).fit(X)(X), axes), moments(X, axes)
    close(low, torch.full_like(low, -2))
    close(high, torch.full_like(high, 5))
    close(moments(Center(axes=axes).fit(X)(X), axes)[0], torch.zeros_like(middle))
    mean, std = moments(Standardize(axes=axes).fit(X)(X), axes)
    close(mean, torch.zeros_like(mean))
    close(std, torch.ones_like(std))


@given(columns)
def test_no_standardized_sample_is_farther_than_the_bound(table: list[list[float]]) -> None:
    x = torch.tensor(table, dtype=torch.float64).T
    z = Standardize().fit(x)(x)
    assert (z.abs() <= math.sqrt(len(x) - 1) + 1e-6).all()


@given(columns, st.floats(0.1, 9), st.floats(-5, 5))
def test_units_do_not_matter_to_a_rescaled_feature(table: list[list[float]], a: float, b: float) -> None:
    x = torch.tensor(table, dtype=torch.float64).T
    low, high = extremes(x)
    steady = high - low > 1e-3 * (1 + x.abs().amax(0))
    there, here = Rescale().fit(a * x + b)(a * x + b), Rescale().fit(x)(x)
    torch.testing.assert_close(there[:, steady], here[:, steady], rtol=0, atol=1e-9)


@given(columns)
def test_rescaled_training_data_are_in_the_range(table: list[list[float]]) -> None:
    x = torch.tensor(table, dtype=torch.float64).T
    z = Rescale().fit(x)(x)
    assert ((z >= 0) & (z <= 1)).all()


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(1e-3, 1e3))
def test_clipping_is_idempotent_and_odd(values: list[float], limit: float) -> None:
    x, clip = torch.tensor(values, dtype=torch.float64), Clip(limit)
    assert torch.equal(clip(clip(x)), clip(x))
    assert torch.equal(clip(-x), -clip(x))
    assert (clip(x).abs() <= limit).all()


def test_constant_features_are_moved_and_not_stretched() -> None:
    x = torch.tensor([[5.0, 1.0], [5.0, 3.0]])
    seen, unseen = torch.tensor([[5.0, 1.0]]), torch.tensor([[8.0, 1.0]])
    assert Rescale(2, 4).fit(x)(seen)[0, 0] == 2 and Rescale(2, 4).fit(x)(unseen)[0, 0] == 2 + 2 * 3
    assert Standardize().fit(x)(seen)[0, 0] == 0 and Standardize().fit(x)(unseen)[0, 0] == 3
    assert Standardize(eps=0.25).fit(x)(unseen)[0, 0] == 6
    assert Standardize().fit(x).scale.tolist() == [1.0, 1.0] and Rescale().fit(x).span.tolist() == [1.0, 2.0]
    assert Standardize().fit(x[:1]).scale.tolist() == [1.0, 1.0]


def test_nearly_constant_is_not_constant() -> None:
    x = torch.tensor([[3.0], [3.0], [3.0], [3.0 + 2**-40]], dtype=torch.float64)
    assert Standardize().fit(x)(x)[3, 0].item() == pytest.approx(3**0.5)
    assert Standardize().fit(x)(torch.tensor([[4.0]])).item() == pytest.approx(2**40 / 3**0.5 * 4)
    assert Rescale().fit(x).span.item() == 2**-40


def test_a_scale_that_half_precision_cannot_hold_counts_as_constant() -> None:
    x = torch.tensor([[1e-7], [2e-7], [1e-7], [1e-7]], dtype=torch.float16)
    transform = Standardize().fit(x)
    assert transform.scale.dtype == torch.float16
    assert transform(x).isfinite().all()


def test_half_precision_pixels_do_not_overflow() -> None:
    x = torch.tensor([[0.0], [255.0]], dtype=torch.float16).repeat(1000, 1)
    assert Standardize().fit(x).scale.tolist() == [127.5]
    assert Standardize(eps=1.0).fit(x)(x).abs().max() < 1.01


# ---- as a module


@every_transform
def test_channels_fit_images_of_any_size(make: Callable[..., Transform]) -> None:
    transform = make(axes=(0, 2, 3)).fit(X)
    small = normal(2, 3, 2, 3)
    expected = torch.stack([make(axes=None).fit(X[:, c])(small[:, c]) for c in range(3)], dim=1)
    close(transform(small), expected)
    assert make(axes=None).fit(X)(normal(2, 9)).shape == (2, 9)


@every_transform
def test_samples_count_in_the_dtype_of_the_fit(make: Callable[..., Transform]) -> None:
    x = torch.tensor([[250, 3], [251, 5]], dtype=torch.uint8)
    transform = make().fit(x)
    assert transform(x).dtype == transform.inverse(x).dtype == torch.get_default_dtype()
    assert torch.equal(transform(x), transform(x.float()))
    wide = make().fit(x.double())
    assert wide(x.float()).dtype == torch.float64


@every_transform
def test_gradients(make: Callable[..., Transform]) -> None:
    transform = make().fit(X[:, 0, 0])
    x = normal(2, 4).requires_grad_()
    assert torch.autograd.gradcheck(transform, x)
    assert torch.autograd.gradcheck(transform.inverse, x)


def test_gradient_of_clip_stops_at_the_limit() -> None:
    x = torch.tensor([-3.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Clip(2.0), x)
    (gradient,) = torch.autograd.grad(Clip(2.0)(x).sum(), x)
    assert gradient.tolist() == [0.0, 1.0, 0.0]


@every_transform
def test_the_input_stays_and_no_gradient_is_kept(make: Callable[..., Transform]) -> None:
    x = X.clone().requires_grad_()
    transform = make()
    assert transform.fit(x) is transform
    z = transform(x)
    transform.inverse(z)
    Clip(0.1)(x)
    assert torch.equal(x, X)
    assert not any(buffer.requires_grad for buffer in transform.buffers())
    assert not list(transform.parameters())


@every_transform
@every_axes
def test_an_unfitted_one_loads_a_saved_fit(make: Callable[..., Transform], axes: tuple[int, ...] | None) -> None:
    file, fitted = io.BytesIO(), make(axes=axes).fit(X)
    torch.save(fitted.state_dict(), file)
    file.seek(0)
    loaded = make(axes=axes, dtype=torch.float64)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(loaded(X), fitted(X))
    assert torch.equal(loaded.inverse(X), fitted.inverse(X))
    narrow = make(axes=axes)
    narrow.load_state_dict(fitted.state_dict())
    assert narrow(X).dtype == torch.get_default_dtype()


def test_a_fitted_one_loads_another_fit_also_within_a_model() -> None:
    model = nn.Sequential(Standardize().fit(X[:, 0]), Clip(1.0))
    model.load_state_dict(nn.Sequential(Standardize().fit(X), Clip(1.0)).state_dict())
    assert torch.equal(model(X), Standardize().fit(X)(X).clamp(-1, 1))


def test_an_unfitted_state_loads() -> None:
    for axes in AXES:
        transform = Standardize(axes=axes).fit(X)
        transform.load_state_dict(Standardize(axes=axes).state_dict())
        with pytest.raises(RuntimeError, match="Standardize is not fitted"):
            transform(X)


def state(transform: Transform, **other: Tensor) -> dict[str, Tensor]:
    return {**transform.state_dict(), **other}


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (Standardize().fit(X).state_dict(), "size mismatch for mean"),
        (Standardize(axes=(0, 2)).fit(X).state_dict(), "size mismatch for mean"),
        ({}, "Missing key"),
        (Standardize(axes=None).fit(X).state_dict(), "size mismatch for mean"),
        (Center(axes=(0, 2, 3)).fit(X).state_dict(), 'Missing key.*"scale"'),
        (state(Standardize(axes=(0, 2, 3)).fit(X), scale=torch.ones(2, 1, 1)), "size mismatch for"),
        (state(Standardize(axes=(0, 2, 3)).fit(X), more=torch.ones(1)), 'Unexpected key.*"more"'),
    ],
)
@pytest.mark.parametrize("fitted", [True, False])
def test_what_is_no_fit_of_these_axes_does_not_load(saved: dict[str, Tensor], message: str, fitted: bool) -> None:
    transform = Standardize(axes=(0, 2, 3))
    if fitted:
        transform.fit(2 * X[:, :2] + 1)
    before = copy.deepcopy(transform.state_dict())
    with pytest.raises(RuntimeError, match=message):
        transform.load_state_dict(saved)
    if "Unexpected" not in message:  # those are complained about after all has been loaded
        assert all(torch.equal(value, before[name]) for name, value in transform.state_dict().items())


@every_transform
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_equal_and_apart(make: Callable[..., Transform], copied: Callable[[Any], Any]) -> None:
    transform = make().fit(X)
    before, other = transform(X), copied(transform)
    assert torch.equal(other(X), before)
    other.fit(2 * X + 1)
    assert torch.equal(transform(X), before)


def test_repr_names_the_settings() -> None:
    assert repr(Rescale(-1, 1)) == "Rescale(low=-1, high=1, axes=(0,))"
    assert repr(Center(axes=[0, 2, 3])) == "Center(axes=(0, 2, 3))"
    assert repr(Standardize(axes=None)) == "Standardize(axes=None, eps=0.0)"
    assert repr(Clip(3)) == "Clip(limit=3)"


@every_transform
def test_use_is_checked(make: Callable[..., Transform]) -> None:
    with pytest.raises(RuntimeError, match="is not fitted: call fit, or load the state of a fitted one"):
        make()(X)
    with pytest.raises(RuntimeError, match="is not fitted"):
        make(axes=None).inverse(X)
    pixels, channels = make().fit(X), make(axes=(0, 2, 3)).fit(X)
    for call, message in [
        (lambda: pixels(X[:, :2]), r"x must have shape \(N, 3, 5, 4\), got \(7, 2, 5, 4\)"),
        (lambda: pixels(X[0]), r"x must have shape \(N, 3, 5, 4\), got \(3, 5, 4\)"),
        (lambda: pixels(X[:, :1]), r"x must have shape \(N, 3, 5, 4\), got \(7, 1, 5, 4\)"),
        (lambda: pixels.inverse(X[:, :2]), r"z must have shape \(N, 3, 5, 4\), got \(7, 2, 5, 4\)"),
        (lambda: channels(X[:, :2]), r"x must have shape \(N, 3, any, any\), got \(7, 2, 5, 4\)"),
        (lambda: channels.inverse(X[:, :, 0]), r"z must have shape \(N, 3, any, any\), got \(7, 3, 4\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert pixels(X[:0]).shape == (0, 3, 5, 4)


@every_transform
def test_a_failed_fit_changes_nothing(make: Callable[..., Transform]) -> None:
    transform = make().fit(X)
    before = copy.deepcopy(transform.state_dict())
    with pytest.raises(ValueError, match="finite"):
        transform.fit([X + 1, X / 0])
    assert all(torch.equal(value, before[name]) for name, value in transform.state_dict().items())


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, math.inf), (-math.inf, 0), (math.nan, 1)])
def test_the_range_is_checked(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"low must be less than high, and both finite, got {low} and {high}"):
        Rescale(low, high)


@pytest.mark.parametrize("eps", [-1e-9, math.inf, math.nan])
def test_eps_is_checked(eps: float) -> None:
    with pytest.raises(ValueError, match=f"eps must be finite and at least 0, got {eps}"):
        Standardize(eps=eps)


@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan])
def test_the_limit_is_checked(limit: float) -> None:
    with pytest.raises(ValueError, match=f"limit must be finite and above 0, got {limit}"):
        Clip(limit)


# ---- devices and randomness


@every_transform
@pytest.mark.parametrize("axes", [(0,), (0, 2, 3), None], ids=str)
def test_everything_stays_on_its_device(
    make: Callable[..., Transform], axes: tuple[int, ...] | None, device: torch.device
) -> None:
    x = X.float()
    there, here = make(axes=axes).fit(x.to(device)), make(axes=axes).fit(x)
    for result, expected in [
        (there(x.to(device)), here(x)),
        (there.inverse(x.to(device)), here.inverse(x)),
        (Clip(1.0)(x.to(device)), x.clamp(-1, 1)),
        *zip(there.buffers(), here.buffers(), strict=True),
    ]:
        assert result.device.type == device.type
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-6, atol=1e-6)


@every_transform
def test_a_fit_moves_between_devices(make: Callable[..., Transform], device: torch.device) -> None:
    fitted = make().fit(X)
    loaded = make(device=device, dtype=torch.float64)
    loaded.load_state_dict(fitted.state_dict())
    for there in (loaded, copy.deepcopy(fitted).to(device)):
        assert there(X.to(device)).device.type == device.type
        close(there(X.to(device)).cpu(), fitted(X))


def test_nothing_is_drawn(global_rng_untouched: None) -> None:
    for make in MAKERS.values():
        make().fit(X)(X)
