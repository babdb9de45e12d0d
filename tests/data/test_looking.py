"""`tricks_lib.data.looking`: counts, duplicates, odd samples, mean images, PCA, preserved neighborhoods."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as TheirPCA
from sklearn.manifold import trustworthiness
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data.looking import (
    PCA,
    class_counts,
    class_means,
    constant_features,
    distance_to_class_mean,
    find_duplicates,
    mean_std,
    most_atypical,
    neighborhood_preservation,
)

small_ints = st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=9)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def images(n: int = 7, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 1, 5, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


# ---- class_counts


@given(st.lists(st.integers(0, 4), max_size=20))
def test_class_counts_equals_counting(labels: list[int]) -> None:
    counts = class_counts(torch.tensor(labels, dtype=torch.int64), 6)
    assert counts.tolist() == [labels.count(c) for c in range(6)]
    assert counts.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_class_counts_takes_all_integers(dtype: torch.dtype) -> None:
    assert class_counts(torch.tensor([1, 1, 0], dtype=dtype), 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("y", "n_classes", "error", "message"),
    [
        (torch.tensor([0.0]).float(), 2, TypeError, "y must hold integers, got torch.float32"),
        (torch.tensor([True]), 2, TypeError, "y must hold integers, got torch.bool"),
        (torch.tensor([0, 2]), 2, ValueError, r"y must be in \[0, 2\), got 0 to 2"),
        (torch.tensor([-1, 1]), 2, ValueError, r"y must be in \[0, 2\), got -1 to 1"),
        (torch.tensor([[0]]), 2, ValueError, r"y must have shape \(N,\)"),
        (torch.tensor([0]), 0, ValueError, "n_classes be 1 or more"),
    ],
)
def test_labels_are_checked(y: Tensor, n_classes: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        class_counts(y, n_classes)


# ---- find_duplicates


@given(small_ints)
def test_find_duplicates_equals_a_loop(rows: list[list[int]]) -> None:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(tuple(row), []).append(index)
    expected = [group for group in groups.values() if len(group) > 1]  # a dict keeps the order of first indices
    assert [group.tolist() for group in find_duplicates(torch.tensor(rows))] == expected


def test_find_duplicates_of_images() -> None:
    x = images()
    assert find_duplicates(x) == []
    x[5], x[6], x[1] = x[2], x[0], x[2]
    assert [group.tolist() for group in find_duplicates(x)] == [[0, 6], [1, 2, 5]]


def test_find_duplicates_needs_every_feature() -> None:
    x = images(2)
    x[1] = x[0]
    x[1, 0, 4, 3] = x[0, 0, 4, 3] ^ 1
    assert find_duplicates(x) == []


def test_negative_zero_equals_zero() -> None:
    assert [group.tolist() for group in find_duplicates(torch.tensor([[0.0, 1.0], [-0.0, 1.0]]))] == [[0, 1]]


def test_find_duplicates_refuses_nan() -> None:
    with pytest.raises(ValueError, match="x must not hold NaN"):
        find_duplicates(torch.tensor([[math.nan], [math.nan]]))


@pytest.mark.parametrize("function", [find_duplicates, mean_std, constant_features])
@pytest.mark.parametrize("shape", [(3,), (0, 2), (3, 0)])
def test_samples_are_checked(function: Callable[[Tensor], Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, \.\.\.\), with samples and features, got \("):
        function(torch.zeros(shape))


# ---- class_means and distance_to_class_mean


def test_class_means_equal_a_loop() -> None:
    x, y = normal(11, 2, 3), torch.tensor([2, 0, 1, 1, 2, 2, 0, 3, 1, 2, 2])
    means = class_means(x, y, 4)
    assert means.shape == (4, 2, 3)
    for c in range(4):
        members = [x[i] for i in range(11) if y[i] == c]
        torch.testing.assert_close(means[c], sum(members) / len(members), rtol=0, atol=1e-14)  # type: ignore[arg-type]


def test_class_means_of_integers_are_exact() -> None:
    x = torch.tensor([[255, 0], [254, 0], [1, 7]], dtype=torch.uint8)
    means = class_means(x, torch.tensor([0, 0, 1]), 2)
    assert means.dtype == torch.get_default_dtype()
    assert means.tolist() == [[254.5, 0.0], [1.0, 7.0]]


def test_nan_stays_in_its_class() -> None:
    means = class_means(torch.tensor([[math.nan], [1.0], [3.0]]), torch.tensor([0, 1, 1]), 2)
    assert means[0].isnan().all()
    assert means[1].tolist() == [2.0]


def test_class_means_need_every_class() -> None:
    with pytest.raises(ValueError, match=r"y must hold every class in \[0, 4\), found none of \[0, 3\]"):
        class_means(normal(3, 2), torch.tensor([1, 2, 1]), 4)


def test_one_label_for_each_sample() -> None:
    for call in (
        lambda y: class_means(normal(3, 2), y, 1),
        lambda y: distance_to_class_mean(normal(3, 2), y, normal(1, 2)),
    ):
        with pytest.raises(ValueError, match=r"y must have shape \(3,\), one label for each sample, got \(2,\)"):
            call(torch.tensor([0, 0]))


def test_distance_is_euclidean_and_to_the_own_class() -> None:
    x, y, means = normal(6, 2, 3), torch.tensor([1, 0, 2, 1, 1, 0]), normal(3, 2, 3, seed=1)
    distance = distance_to_class_mean(x, y, means)
    for i in range(6):
        expected = math.sqrt(sum((x[i] - means[y[i]]).flatten().square().tolist()))
        assert distance[i].item() == pytest.approx(expected, rel=1e-14)


def test_distance_of_integers_has_the_dtype_of_the_means() -> None:
    x = torch.tensor([[200, 3]], dtype=torch.uint8)
    distance = distance_to_class_mean(x, torch.tensor([0]), torch.tensor([[203.0, 7.0]], dtype=torch.float64))
    assert distance.tolist() == [5.0]
    assert distance.dtype == torch.float64
    assert distance_to_class_mean(normal(1, 2), torch.tensor([0]), torch.zeros(1, 2).float()).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_integer_dtype_mean_the_same(dtype: torch.dtype) -> None:
    x, y = torch.tensor([[1.0], [9.0], [4.0]]), torch.tensor([0, 1, 0], dtype=dtype)
    assert distance_to_class_mean(x, y, torch.tensor([[1.0], [9.0]])).tolist() == [0.0, 0.0, 3.0]
    assert class_means(x, y, 2).tolist() == [[2.5], [9.0]]
    counts = class_counts(y, 3)
    assert counts.tolist() == [2, 1, 0] and counts.dtype == torch.int64


def test_integer_means_do_not_wrap_around() -> None:
    x, y = torch.tensor([[3, 0], [200, 5]], dtype=torch.uint8), torch.tensor([1, 0])
    means = torch.tensor([[230, 45], [6, 4]], dtype=torch.uint8)
    distance = distance_to_class_mean(x, y, means)
    assert distance.tolist() == [5.0, 50.0] and distance.dtype == torch.get_default_dtype()


def test_squares_of_half_precision_do_not_overflow() -> None:
    x = torch.tensor([[255.0] * 4, [0.0] * 4], dtype=torch.float16)
    distance = distance_to_class_mean(x, torch.tensor([0, 1]), torch.zeros(2, 4, dtype=torch.float16))
    assert distance.tolist() == [510.0, 0.0] and distance.dtype == torch.float32


def test_distance_has_the_right_gradient() -> None:
    x, means = normal(4, 3).requires_grad_(), normal(2, 3, seed=1).requires_grad_()
    y = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda x, means: distance_to_class_mean(x, y, means), (x, means))


def test_means_are_checked() -> None:
    with pytest.raises(ValueError, match=r"means must have shape \(C, 2, 3\) as x has, got \(1, 3, 2\)"):
        distance_to_class_mean(normal(4, 2, 3), torch.zeros(4, dtype=torch.int64), normal(1, 3, 2))
    with pytest.raises(ValueError, match=r"y must be in \[0, 2\)"):
        distance_to_class_mean(normal(1, 3), torch.tensor([2]), normal(2, 3))


# ---- most_atypical


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.floats(0.01, 1))
def test_most_atypical_equals_sorting(scores: list[int], share: float) -> None:
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    expected = order[: math.ceil(share * len(scores) - 1e-9)]
    assert most_atypical(torch.tensor(scores, dtype=torch.float32), share).tolist() == expected


@pytest.mark.parametrize(
    ("n", "share", "kept"), [(100, 0.07, 7), (30, 0.1, 3), (31, 0.1, 4), (5, 1, 5), (5, 0.01, 1), (5, 1e-11, 1)]
)
def test_shares_are_rounded_up(n: int, share: float, kept: int) -> None:
    assert len(most_atypical(torch.arange(n, device="cpu"), share)) == kept


@pytest.mark.parametrize(
    ("score", "share", "message"),
    [
        (torch.zeros(2, 2), 0.5, r"score must have shape \(N,\), N >= 1, got \(2, 2\)"),
        (torch.zeros(0), 0.5, r"score must have shape \(N,\), N >= 1, got \(0,\)"),
        (torch.zeros(2), 0.0, r"share must be in \(0, 1\], got 0.0"),
        (torch.zeros(2), 1.1, r"share must be in \(0, 1\], got 1.1"),
        (torch.zeros(2), math.nan, r"share must be in \(0, 1\], got nan"),
        (torch.tensor([math.nan]), 0.5, "score must not hold NaN"),
    ],
)
def test_scores_are_checked(score: Tensor, share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        most_atypical(score, share)


# ---- mean_std and constant_features


def test_mean_std_equals_numpy() -> None:
    x = normal(9, 2, 3)
    mean, std = mean_std(x)
    np.testing.assert_allclose(mean.numpy(), x.numpy().mean(axis=0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(std.numpy(), x.numpy().std(axis=0), rtol=0, atol=1e-14)


def test_variances_add_up_to_the_mean_squared_distance() -> None:
    x = images().double()
    mean, std = mean_std(x)
    assert std.square().sum().item() == pytest.approx(
        (x - mean).square().flatten(1).sum(dim=1).mean().item(), rel=1e-13
    )


def test_mean_std_of_one_image() -> None:
    mean, std = mean_std(images(1))
    assert torch.equal(mean, images(1)[0].float())
    assert not std.any()


@given(small_ints)
def test_constant_features_equal_a_loop(rows: list[list[int]]) -> None:
    expected = [len({row[j] for row in rows}) == 1 for j in range(3)]
    assert constant_features(torch.tensor(rows)).tolist() == expected


def test_constant_features_of_images() -> None:
    x = images()
    x[:, 0, 2, 1] = 9
    mask = constant_features(x)
    assert mask.shape == (1, 5, 4)
    assert mask.nonzero().tolist() == [[0, 2, 1]]
    assert not constant_features(torch.full((3, 1), math.nan)).any()


# ---- PCA

X = normal(40, 6) @ normal(6, 6, seed=1) + normal(6, seed=2)


def test_pca_of_a_line_in_closed_form() -> None:
    direction = torch.tensor([0.6, -0.8], dtype=torch.float64)
    t = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64)
    pca = PCA(2).fit(torch.tensor([2.0, 3.0], dtype=torch.float64) + t[:, None] * direction)
    torch.testing.assert_close(pca.mean, torch.tensor([2.0, 3.0], dtype=torch.float64) + direction, rtol=0, atol=1e-14)
    torch.testing.assert_close(pca.components[0], -direction, rtol=0, atol=1e-14)  # the larger entry is positive
    torch.testing.assert_close(pca.explained_variance[0].item(), t.var().item())
    torch.testing.assert_close(pca.explained_variance_ratio.tolist(), [1.0, 0.0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_pca_equals_that_of_scikit_learn(k: int) -> None:
    ours, theirs = PCA(k).fit(X), TheirPCA(k, svd_solver="full").fit(X.numpy())
    new = normal(5, 6, seed=3)
    pairs = [
        (ours.mean, theirs.mean_),
        (ours.components, theirs.components_),
        (ours.explained_variance, theirs.explained_variance_),
        (ours.explained_variance_ratio, theirs.explained_variance_ratio_),
        (ours(new), theirs.transform(new.numpy())),
        (ours.inverse(new[:, :k]), theirs.inverse_transform(new[:, :k].numpy())),
    ]
    for mine, other in pairs:
        np.testing.assert_allclose(mine.numpy(), other, rtol=0, atol=1e-10)


def test_fewer_samples_than_features() -> None:
    x = X[:4]
    ours, theirs = PCA(3).fit(x), TheirPCA(3, svd_solver="full").fit(x.numpy())
    np.testing.assert_allclose(ours(X).numpy(), theirs.transform(X.numpy()), rtol=0, atol=1e-10)


def batches_of_tensors() -> list[Tensor]:
    return [X[:0], X[:7], X[7:7], X[7:8], X[8:]]


@pytest.mark.parametrize(
    "batches",
    [
        batches_of_tensors(),
        [(b, torch.zeros(len(b))) for b in batches_of_tensors()],
        [[b, "label"] for b in batches_of_tensors()],
        DataLoader(TensorDataset(X, torch.zeros(40)), batch_size=9),
    ],
    ids=["tensors", "tuples", "lists", "loader"],
)
def test_batches_give_the_same_fit(batches: Any) -> None:
    whole, streamed = PCA(4).fit(X), PCA(4).fit(batches)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(streamed.state_dict()[name], value, rtol=0, atol=1e-12)


def test_batches_from_a_generator() -> None:
    streamed = PCA(4).fit(batch for batch in X.split(11))
    torch.testing.assert_close(streamed.components, PCA(4).fit(X).components, rtol=0, atol=1e-12)


def test_data_far_from_zero_do_not_cancel() -> None:
    shift = 2.0**30  # adding it to multiples of 2**-20 is exact
    x = (X * 2**20).round() / 2**20
    near, far = PCA(3).fit(x.split(9)), PCA(3).fit((x + shift).split(9))
    torch.testing.assert_close(far.components, near.components, rtol=0, atol=1e-9)
    torch.testing.assert_close(far.explained_variance, near.explained_variance, rtol=1e-9, atol=0)


def test_sums_are_kept_in_float64() -> None:
    x = (X + 1000).float()
    narrow, wide = PCA(3).fit(x), PCA(3).fit(x.double())
    assert narrow.components.dtype == torch.float32
    assert torch.equal(narrow.components, wide.components.float())
    assert torch.equal(narrow.explained_variance, wide.explained_variance.float())


def test_integers_are_fitted_in_the_default_dtype() -> None:
    x = images(30).flatten(1)
    pca = PCA(2).fit(x)
    assert pca.mean.dtype == torch.get_default_dtype()
    torch.testing.assert_close(pca(x), PCA(2).fit(x.double())(x).to(torch.get_default_dtype()))


def test_components_are_orthonormal_with_the_largest_entry_positive() -> None:
    pca = PCA(6).fit(X)
    torch.testing.assert_close(pca.components @ pca.components.T, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-13)
    assert all(row[row.abs().argmax()] > 0 for row in pca.components)
    assert (pca.explained_variance.diff() < 0).all()
    assert pca.explained_variance_ratio.sum().item() == pytest.approx(1, abs=1e-14)


def test_coordinates_are_centered_uncorrelated_and_as_wide_as_explained() -> None:
    pca = PCA(3).fit(X)
    z = pca(X)
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(z.T.cov(), pca.explained_variance.diag(), rtol=0, atol=1e-12)


def test_inverse_is_exact_with_all_components_and_a_projection_with_fewer() -> None:
    full, two = PCA(6).fit(X), PCA(2).fit(X)
    torch.testing.assert_close(full.inverse(full(X)), X, rtol=0, atol=1e-12)
    once = two.inverse(two(X))
    torch.testing.assert_close(two.inverse(two(once)), once, rtol=0, atol=1e-12)
    lost = (X - once).square().sum() / (len(X) - 1)
    torch.testing.assert_close(lost, full.explained_variance[2:].sum(), rtol=0, atol=1e-11)


def test_constant_data_explain_nothing() -> None:
    pca = PCA(2).fit(torch.full((5, 3), 7.0))
    assert pca.explained_variance.tolist() == [0.0, 0.0]
    assert pca.explained_variance_ratio.tolist() == [0.0, 0.0]
    assert pca(torch.full((1, 3), 7.0)).tolist() == [[0.0, 0.0]]


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_turning_the_data_turns_the_components(seed: int) -> None:
    turn, _ = torch.linalg.qr(normal(6, 6, seed=seed))
    plain, turned = PCA(3).fit(X), PCA(3).fit(X @ turn)
    torch.testing.assert_close(turned(X @ turn).abs(), plain(X).abs(), rtol=0, atol=1e-9)


def test_the_input_stays_and_no_gradient_is_kept() -> None:
    x = X.clone().requires_grad_()
    pca = PCA(2).fit(x)
    assert torch.equal(x, X)
    assert not any(buffer.requires_grad for buffer in pca.buffers())
    assert PCA(2).fit(x) is not pca and pca.fit(x) is pca


def test_forward_and_inverse_have_the_right_gradients() -> None:
    pca = PCA(2).fit(X)
    assert torch.autograd.gradcheck(pca, X[:3].clone().requires_grad_())
    assert torch.autograd.gradcheck(pca.inverse, normal(3, 2).requires_grad_())


def test_an_unfitted_pca_loads_a_saved_fit() -> None:
    file, fitted = io.BytesIO(), PCA(2).fit(X)
    torch.save(fitted.state_dict(), file)
    file.seek(0)
    loaded = PCA(2, dtype=torch.float64)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(loaded(X), fitted(X))
    assert torch.equal(loaded.inverse(X[:, :2]), fitted.inverse(X[:, :2]))
    narrow = PCA(2)
    narrow.load_state_dict(fitted.state_dict())
    assert narrow.components.dtype == torch.get_default_dtype()


def test_a_fitted_pca_loads_another_fit_also_within_a_model() -> None:
    model = torch.nn.Sequential(PCA(2).fit(X[:, :4]))
    model.load_state_dict(torch.nn.Sequential(PCA(2).fit(X)).state_dict())
    torch.testing.assert_close(model(X), PCA(2).fit(X)(X))


def test_another_number_of_components_does_not_load() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for components"):
        PCA(3).load_state_dict(PCA(2).fit(X).state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        PCA(2).load_state_dict({})


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: PCA(3).fit(X[:, :5]).state_dict(), "size mismatch for components"),
        (lambda s: without(s, "mean"), 'Missing key.*"mean"'),
        (lambda s: without(s, "components"), 'Missing key.*"components"'),
        (lambda s: without(s, "explained_variance"), 'Missing key.*"explained_variance"'),
        (lambda s: s | {"mean": s["mean"][1:]}, "size mismatch for"),
        (lambda s: s | {"components": s["components"][:, 1:]}, "size mismatch for"),
        (lambda s: s | {"components": s["components"][0]}, "size mismatch for components"),
        (lambda s: s | {"mean": s["mean"][0]}, "size mismatch for"),
        (lambda s: s | {"explained_variance": s["mean"]}, "size mismatch for explained_variance"),
    ],
)
@pytest.mark.parametrize("features", [4, 5])
def test_a_state_that_does_not_load_changes_nothing(change: Any, message: str, features: int) -> None:
    pca = PCA(2).fit(X[:, :features])
    before, z = copy.deepcopy(pca.state_dict()), pca(X[:, :features])
    with pytest.raises(RuntimeError, match=message):
        pca.load_state_dict(change(PCA(2).fit(X[:, :5] + 1).state_dict()))
    assert all(torch.equal(value, before[name]) for name, value in pca.state_dict().items())
    assert torch.equal(pca(X[:, :features]), z)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pca: pickle.loads(pickle.dumps(pca))])
def test_copies_are_equal_and_apart(copied: Callable[[PCA], PCA]) -> None:
    pca = PCA(2).fit(X)
    other = copied(pca)
    before = pca(X)
    assert torch.equal(other(X), before)
    other.fit(2 * X + 1)
    assert torch.equal(pca(X), before)


def test_repr_names_the_number_of_components() -> None:
    assert repr(PCA(3)) == "PCA(n_components=3)"


@pytest.mark.parametrize("k", [0, -1, 1.0, True, None])
def test_n_components_is_checked(k: Any) -> None:
    with pytest.raises(ValueError, match=f"n_components must be an integer, at least 1, got {k!r}"):
        PCA(k)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (X[:2], ValueError, r"n_components must be at most N and D of x, got 3 for \(2, 6\)"),
        (X[:, :2], ValueError, r"n_components must be at most N and D of x, got 3 for \(40, 2\)"),
        (X[0], ValueError, r"x must have shape \(N, ...\), with features, got \(6,\)"),
        (X[:, :0], ValueError, r"x must have shape \(N, ...\), with features, got \(40, 0\)"),
        (X[:0], ValueError, "x must hold at least 2 samples, got 0"),
        (X[:1], ValueError, "x must hold at least 2 samples, got 1"),
        ([], ValueError, "x must hold at least 2 samples, got 0"),
        ([X, X[:, :4]], ValueError, r"x must have 6 features in all batches, got \(40, 4\)"),
        (X.log(), ValueError, "x must hold finite numbers"),
        ([X, X / 0], ValueError, "x must hold finite numbers"),
        ([X.numpy()], TypeError, "a batch of x must be a tensor, got ndarray"),
        ([()], TypeError, "a batch of x must be a tensor, got tuple"),
    ],
)
def test_fit_checks_its_samples(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PCA(3).fit(x)


def test_a_failed_fit_changes_nothing() -> None:
    pca = PCA(3).fit(X)
    before = copy.deepcopy(pca.state_dict())
    with pytest.raises(ValueError, match="finite"):
        pca.fit([X + 1, X / 0])
    assert all(torch.equal(value, before[name]) for name, value in pca.state_dict().items())


def test_use_is_checked() -> None:
    with pytest.raises(RuntimeError, match="PCA is not fitted: call fit, or load the state of a fitted one"):
        PCA(2)(X)
    pca = PCA(2).fit(X)
    for call, message in [
        (lambda: pca(X[:, :5]), r"x must have shape \(N, 6\), got \(40, 5\)"),
        (lambda: pca(X[0]), r"x must have shape \(N, 6\), got \(6,\)"),
        (lambda: pca.inverse(X), r"z must have shape \(N, 2\), got \(40, 6\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


# ---- neighborhood_preservation


def neighbors_in_a_loop(points: list[list[float]], k: int) -> list[set[int]]:
    found = []
    for i, p in enumerate(points):
        others = [(math.dist(p, q), j) for j, q in enumerate(points) if j != i]
        found.append({j for _, j in sorted(others)[:k]})
    return found


@given(st.integers(2, 9), st.integers(1, 8), st.integers(0, 10**6))
def test_preservation_equals_a_loop_with_ties(n: int, k: int, seed: int) -> None:
    k = min(k, n - 1)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 3, (n, 3), generator=generator).double()
    z = torch.randint(0, 3, (n, 2), generator=generator).double()
    near_x, near_z = neighbors_in_a_loop(x.tolist(), k), neighbors_in_a_loop(z.tolist(), k)
    expected = [len(a & b) / k for a, b in zip(near_x, near_z, strict=True)]
    torch.testing.assert_close(neighborhood_preservation(x, z, k).tolist(), expected, rtol=0, atol=1e-15)


def test_preservation_is_not_symmetric_in_its_ties_but_in_its_arguments() -> None:
    x, z = normal(20, 5), normal(20, 2, seed=1)
    assert torch.equal(neighborhood_preservation(x, z, 4), neighborhood_preservation(z, x, 4))


def test_a_picture_that_is_turned_scaled_and_moved_keeps_everything() -> None:
    x = normal(20, 3)
    turn, _ = torch.linalg.qr(normal(3, 3, seed=1))
    assert (neighborhood_preservation(x, 7 * x @ turn + 3, 5) == 1).all()
    assert (neighborhood_preservation(x, normal(20, 2, seed=2), 19) == 1).all()


def test_points_far_from_zero_keep_their_neighbors() -> None:
    """Distances by matrix products would cancel here."""
    x = (normal(30, 4) * 2**16).round() / 2**16  # multiples of 2**-16: adding 2**30 is exact
    assert (neighborhood_preservation(x + 2.0**30, x, 5) == 1).all()


def test_chance_keeps_k_of_the_others() -> None:
    kept = torch.stack(
        [neighborhood_preservation(normal(30, 4, seed=s), normal(30, 2, seed=s + 500), 6) for s in range(200)]
    )
    assert kept.mean().item() == pytest.approx(6 / 29, abs=0.01)


def test_images_and_integers_and_the_dtype_of_the_picture() -> None:
    x = images(9)
    flat = neighborhood_preservation(x.flatten(1).double(), normal(9, 2), 3)
    assert torch.equal(neighborhood_preservation(x, normal(9, 2), 3), flat)
    assert neighborhood_preservation(x, normal(9, 2, dtype=torch.float32), 3).dtype == torch.float32
    assert neighborhood_preservation(x, x.long(), 3).dtype == torch.get_default_dtype()


def test_all_preserved_is_fully_trustworthy_and_chance_is_not() -> None:
    """Of the relation to scikit-learn's score: 1 in one is 1 in the other, and both rank these pictures alike."""
    x = normal(60, 5)
    pictures = {"same": 2 * x, "shadow": x[:, :3], "chance": normal(60, 2, seed=9)}
    ours = [neighborhood_preservation(x, z, 7).mean().item() for z in pictures.values()]
    theirs = [trustworthiness(x.numpy(), z.numpy(), n_neighbors=7) for z in pictures.values()]
    assert ours[0] == theirs[0] == 1
    assert ours == sorted(ours, reverse=True) and theirs == sorted(theirs, reverse=True)
    assert ours[2] < 0.3 < theirs[2]


@pytest.mark.parametrize(
    ("n", "m", "k", "message"),
    [
        (4, 5, 2, "x and z must hold the same samples, got 4 and 5"),
        (4, 4, 0, r"k must be in \[1, N\) with N = 4, got 0"),
        (4, 4, 4, r"k must be in \[1, N\) with N = 4, got 4"),
    ],
)
def test_preservation_checks_its_sizes(n: int, m: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighborhood_preservation(normal(n, 3), normal(m, 2), k)


@pytest.mark.parametrize("name", ["x", "z"])
def test_preservation_needs_finite_numbers(name: str) -> None:
    points = {"x": normal(4, 3), "z": normal(4, 2)}
    points[name][1, 1] = math.inf
    with pytest.raises(ValueError, match=f"{name} must hold finite numbers"):
        neighborhood_preservation(**points, k=2)


def test_preservation_leaves_its_input() -> None:
    x, z = normal(5, 3), normal(5, 2)
    neighborhood_preservation(x, z, 2)
    assert torch.equal(x, normal(5, 3)) and torch.equal(z, normal(5, 2))


# ---- devices and randomness


def test_everything_stays_on_its_device(device: torch.device) -> None:
    x, y = normal(12, 5, dtype=torch.float32), torch.arange(12, device="cpu") % 3
    x[7] = x[2]
    there, labels = x.to(device), y.to(device)
    means = class_means(there, labels, 3)
    pca = PCA(2).fit(there)
    results: list[tuple[Tensor, Tensor]] = [
        (class_counts(labels, 3), class_counts(y, 3)),
        (find_duplicates(there)[0], find_duplicates(x)[0]),
        (means, class_means(x, y, 3)),
        (distance_to_class_mean(there, labels, means), distance_to_class_mean(x, y, class_means(x, y, 3))),
        (most_atypical(there[:, 0], 0.5), most_atypical(x[:, 0], 0.5)),
        *zip(mean_std(there), mean_std(x), strict=True),
        (constant_features(there), constant_features(x)),
        (pca(there), PCA(2).fit(x)(x)),
        (pca.inverse(pca(there)), PCA(2).fit(x).inverse(PCA(2).fit(x)(x))),
        (PCA(2).fit(there.split(5)).explained_variance_ratio, PCA(2).fit(x).explained_variance_ratio),
        (neighborhood_preservation(there, pca(there), 4), neighborhood_preservation(x, PCA(2).fit(x)(x), 4)),
    ]
    for result, expected in results:
        assert result.device.type == device.type
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-5, atol=1e-5)


def test_a_fit_moves_between_devices(device: torch.device) -> None:
    pca = PCA(2).fit(X)
    moved = PCA(2, device=device, dtype=torch.float64)
    moved.load_state_dict(pca.state_dict())
    for there in (moved, copy.deepcopy(pca).to(device)):
        assert there.components.device.type == device.type
        torch.testing.assert_close(there(X.to(device)).cpu(), pca(X), rtol=0, atol=1e-12)


def test_nothing_is_drawn(global_rng_untouched: None) -> None:
    PCA(2).fit(X)
    neighborhood_preservation(X, X[:, :2], 3)
    find_duplicates(X)
