"""`tricks_lib.data.whitening`: PCA and ZCA whitening, of samples, channels and colors."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data.whitening import PCAWhitening, ZCAWhitening

Whitening = PCAWhitening | ZCAWhitening
KINDS: list[Callable[..., Whitening]] = [PCAWhitening, ZCAWhitening]

every_kind = pytest.mark.parametrize("kind", KINDS)
every_method = pytest.mark.parametrize("method", ["eigh", "svd"])
every_per = pytest.mark.parametrize("per", ["sample", "channel", "pixel"])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


X = normal(40, 6) @ normal(6, 6, seed=1) + torch.arange(6, dtype=torch.float64)
IMAGES = torch.einsum("nchw,cd->ndhw", normal(30, 3, 4, 2), normal(3, 3, seed=2)) + normal(3, 4, 2, seed=3)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def eye(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)


# ---- by hand


def test_two_features_by_hand() -> None:
    """The covariance is [[5, 4], [4, 5]]: variance 9 along (1, 1), 1 along (1, -1)."""
    a, b = (9 * 3 / 4) ** 0.5, (3 / 4) ** 0.5
    x = torch.tensor([[a, a], [-a, -a], [b, -b], [-b, b]], dtype=torch.float64) + torch.tensor([1.0, -2.0])
    pca, zca = PCAWhitening().fit(x), ZCAWhitening().fit(x)
    close(pca.mean, torch.tensor([1.0, -2.0], dtype=torch.float64))
    close(pca.explained_variance, torch.tensor([9.0, 1.0], dtype=torch.float64))
    close(pca.scale, torch.tensor([3.0, 1.0], dtype=torch.float64))
    close(zca.matrix, torch.tensor([[4.0, -2.0], [-2.0, 4.0]], dtype=torch.float64) / 6)
    close(pca.matrix[0], torch.full((2,), 0.5**0.5 / 3, dtype=torch.float64))
    close(pca.matrix[1].abs(), torch.full((2,), 0.5**0.5, dtype=torch.float64))
    close(pca(x)[:2, 0], torch.tensor([a, -a], dtype=torch.float64) * 2**0.5 / 3)
    close(zca(x)[:1], torch.tensor([[a / 3, a / 3]], dtype=torch.float64))


def test_three_channels_by_hand() -> None:
    """Channel c is c + 1 times noise of its own; colors that go together, and channels that do not."""
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    one, two = signs * 0.75**0.5, torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64) * 0.75**0.5
    # four images of one pixel in height, two in width: channels 0 and 1 are the same in all pixels
    x = torch.stack([torch.stack([2 * one, one], -1), torch.stack([2 * one, one], -1), torch.stack([two, two], -1)], 1)
    x = x[:, :, None]
    assert x.shape == (4, 3, 1, 2)
    by_channel = PCAWhitening(per="channel").fit(x)
    close(by_channel.explained_variance, torch.tensor([[5.0, 0.0], [5.0, 0.0], [2.0, 0.0]], dtype=torch.float64))
    close(by_channel.components[0, 0], torch.tensor([2.0, 1.0], dtype=torch.float64) / 5**0.5)
    close(by_channel.components[2, 0], torch.tensor([1.0, 1.0], dtype=torch.float64) / 2**0.5)
    close(by_channel(x)[:, :, 0].T, torch.stack([one, one, two]))
    by_pixel = PCAWhitening(per="pixel").fit(x)  # 8 colors; 5/2 of variance in each of two channels that agree
    expected = torch.tensor([2 * 2.5 * 6 / 7, 6 / 7, 0.0], dtype=torch.float64)
    close(by_pixel.explained_variance, expected)
    close(by_pixel.components[0], torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64) / 2**0.5)
    close(by_pixel.components[1], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    close(by_pixel(x)[:, 1, 0, 1], two * (7 / 6) ** 0.5)
    together = PCAWhitening().fit(x)
    close(together.components[0], torch.tensor([2.0, 1, 2, 1, 0, 0], dtype=torch.float64) / 10**0.5)
    close(together(x)[:, 0], one)


@every_method
def test_a_loop_over_channels_and_pixels_gives_the_same(method: Any) -> None:
    for kind in KINDS:
        by_channel = kind(per="channel", method=method).fit(IMAGES)(IMAGES)
        for c in range(3):
            one = kind(method=method).fit(IMAGES[:, c])
            close(by_channel[:, c], one(IMAGES[:, c]), 1e-11)
        by_pixel = kind(per="pixel", method=method).fit(IMAGES)(IMAGES)
        colors = torch.stack([IMAGES[n, :, i, j] for n in range(30) for i in range(4) for j in range(2)])
        white = kind(method=method).fit(colors)(colors)
        close(torch.stack([by_pixel[n, :, i, j] for n in range(30) for i in range(4) for j in range(2)]), white, 1e-11)
        flat = kind(method=method).fit(IMAGES.flatten(1))(IMAGES.flatten(1))
        close(kind(method=method).fit(IMAGES)(IMAGES).flatten(1), flat, 1e-11)


# ---- against scikit-learn, and properties


@every_method
@pytest.mark.parametrize("k", [None, 1, 4])
def test_pca_equals_scikit_learn(method: Any, k: int | None) -> None:
    theirs = PCA(k, whiten=True, svd_solver={"eigh": "covariance_eigh", "svd": "full"}[method]).fit(X.numpy())
    ours = PCAWhitening(n_components=k, method=method).fit(X)
    close(ours.components, torch.from_numpy(theirs.components_), 1e-11)
    close(ours.explained_variance, torch.from_numpy(theirs.explained_variance_), 1e-11)
    close(ours(X), torch.from_numpy(theirs.transform(X.numpy())), 1e-10)
    z = normal(5, k or 6)
    close(ours.inverse(z), torch.from_numpy(theirs.inverse_transform(z.numpy())), 1e-11)


@every_method
@every_kind
def test_white_data_have_the_identity_as_covariance(kind: Any, method: Any) -> None:
    z = kind(method=method).fit(X)(X)
    close(z.T.cov(), eye(6), 1e-11)
    close(z.mean(dim=0), torch.zeros(6, dtype=torch.float64))
    half = kind(method=method, eps=0.5).fit(X)
    variance = half.explained_variance
    ridge = (variance / (variance + 0.5)).diag()
    expected = ridge if kind is PCAWhitening else half.components.T @ ridge @ half.components
    close(half(X).T.cov(), expected, 1e-11)


@every_per
@every_kind
def test_zca_is_pca_turned_back_and_symmetric(kind: Any, per: Any) -> None:
    pca, zca = PCAWhitening(per=per, eps=0.1).fit(IMAGES), ZCAWhitening(per=per, eps=0.1).fit(IMAGES)
    close(zca.matrix, pca.components.mT @ pca.matrix)
    close(zca.matrix, zca.matrix.mT)
    assert zca(IMAGES).shape == IMAGES.shape
    shapes = {"sample": (30, 24), "channel": (30, 3, 8), "pixel": (30, 3, 4, 2)}
    assert pca(IMAGES).shape == shapes[per]


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_no_whitening_is_closer_than_zca(seed: int, size: int) -> None:
    x = normal(12, size, seed=seed) @ normal(size, size, seed=seed + 1)
    zca = ZCAWhitening().fit(x)
    turn, _ = torch.linalg.qr(normal(size, size, seed=seed + 2))
    centered = x - x.mean(dim=0)
    z = zca(x)
    moved = (z - centered).square().sum() / 11
    assert moved <= ((z @ turn) - centered).square().sum() / 11 + 1e-9
    close(moved, (zca.scale - 1).square().sum(), 1e-8 * float(1 + moved))


@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-100, 100))
def test_scale_and_place_of_the_data_do_not_matter(seed: int, factor: float, shift: float) -> None:
    x = normal(9, 3, seed=seed)
    plain, moved = ZCAWhitening().fit(x), ZCAWhitening().fit(factor * x + shift)
    close(moved(factor * x + shift), plain(x), 1e-6)


@every_per
@every_method
@every_kind
@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_inverse_is_exact(kind: Any, method: Any, per: Any, eps: float) -> None:
    whiten = kind(per=per, method=method, eps=eps).fit(IMAGES)
    close(whiten.inverse(whiten(IMAGES)), IMAGES, 1e-11)


@every_per
@every_kind
def test_with_fewer_axes_the_inverse_is_the_nearest_point(kind: Any, per: Any) -> None:
    whiten = kind(per=per, n_components=2).fit(IMAGES)
    once = whiten.inverse(whiten(IMAGES))
    close(whiten.inverse(whiten(once)), once, 1e-11)
    full = kind(per=per).fit(IMAGES)
    lost = (IMAGES - once).square().sum()
    n = {"sample": 30, "channel": 30, "pixel": 30 * 8}[per]
    close(lost, full.explained_variance[..., 2:].sum() * (n - 1), 1e-9)
    assert whiten.explained_variance.shape[-1] == 2


def test_eps_can_be_changed_after_the_fit() -> None:
    whiten = PCAWhitening().fit(X)
    whiten.eps = 0.7
    close(whiten(X), PCAWhitening(eps=0.7).fit(X)(X))


# ---- directions without variance, rounding, precision


@every_method
@every_kind
def test_a_direction_without_variance_is_not_stretched(kind: Any, method: Any) -> None:
    x = torch.cat([X, X[:, :1] + X[:, 1:2], torch.full((40, 2), 0.1)], dim=1)
    whiten = kind(method=method).fit(x)
    assert (whiten.explained_variance[6:] == 0).all() and (whiten.explained_variance[:6] > 0.01).all()
    assert (whiten.scale[6:] == 1).all()
    new = x + normal(40, 9, seed=5)
    close(whiten.inverse(whiten(new)), new, 1e-10)
    assert whiten(new).abs().max() < 50


@every_method
def test_constant_data_stay_put(method: Any) -> None:
    for n in range(2, 30):  # the mean of many equal numbers is not always that number
        x = torch.full((n, 3), 0.1, dtype=torch.float64)
        whiten = PCAWhitening(method=method).fit(x)
        assert whiten.explained_variance.tolist() == [0, 0, 0]
        close(whiten(x + 1).norm(dim=1), torch.full((n,), 3.0, dtype=torch.float64).sqrt())


@every_method
@every_kind
def test_fewer_samples_than_features(kind: Any, method: Any) -> None:
    x = X[:4]
    whiten = kind(method=method).fit(x)
    assert whiten.components.shape == (6, 6)
    close(whiten.components @ whiten.components.T, eye(6), 1e-12)
    assert (whiten.explained_variance[3:] == 0).all() and (whiten.explained_variance[:3] > 0).all()
    close(whiten.inverse(whiten(X)), X, 1e-10)
    close(kind(method="eigh").fit(x).explained_variance, whiten.explained_variance, 1e-12)


def conditioned(condition: float) -> Tensor:
    x = normal(60, 5)
    turn, _ = torch.linalg.qr(normal(5, 5, seed=1))
    widths = torch.logspace(0, -np.log10(condition), 5, dtype=torch.float64)
    return torch.linalg.qr(x - x.mean(dim=0))[0] * widths @ turn * 8


def test_float64_keeps_what_float32_loses_and_svd_keeps_more() -> None:
    defect = {
        (method, c): (PCAWhitening(method=method).fit(x)(x).T.cov() - eye(5)).abs().max().item()
        for method in ("eigh", "svd")
        for c in (1e4, 1e6)
        for x in [conditioned(c)]
    }
    assert defect["eigh", 1e4] < 1e-6 and defect["eigh", 1e6] < 1e-2
    assert defect["svd", 1e6] < 1e-8 < defect["eigh", 1e6]
    assert PCAWhitening(method="svd").fit(conditioned(1e9)).explained_variance.all()
    narrow = conditioned(1e4).float()
    assert (PCAWhitening().fit(narrow)(narrow).double().T.cov() - eye(5)).abs().max() < 0.01


def test_the_fit_is_in_float64_whatever_the_data() -> None:
    x = (X + 1000).float()
    narrow, wide = ZCAWhitening().fit(x), ZCAWhitening().fit(x.double())
    assert narrow.components.dtype == torch.float32 and narrow(x).dtype == torch.float32
    assert torch.equal(narrow.components, wide.components.float())
    assert torch.equal(narrow.explained_variance, wide.explained_variance.float())
    assert narrow(x.double()).dtype == torch.float32


@every_method
@every_per
@every_kind
def test_integers_are_fitted_in_the_default_dtype(kind: Any, per: Any, method: Any) -> None:
    x = (40 * IMAGES + 128).clamp(0, 255).to(torch.uint8)
    before = x.clone()
    whiten = kind(per=per, eps=1.0, method=method).fit(x)
    assert whiten.mean.dtype == torch.get_default_dtype()
    expected = kind(per=per, eps=1.0).fit(x.double())(x).to(whiten.mean.dtype)
    torch.testing.assert_close(whiten(x), expected, rtol=0, atol=1e-4)
    assert torch.equal(x, before)


# ---- batches


@every_per
@every_method
@every_kind
def test_batches_give_the_same_fit(kind: Any, method: Any, per: Any) -> None:
    whole = kind(per=per, method=method).fit(IMAGES)
    loader = DataLoader(TensorDataset(IMAGES, torch.arange(30)), batch_size=7)
    for batches in (loader, [IMAGES[:1], IMAGES[:0], (IMAGES[1:], "labels")], (b for b in IMAGES.split(11))):
        streamed = kind(per=per, method=method).fit(batches)
        for name, value in whole.state_dict().items():
            close(streamed.state_dict()[name], value, 1e-11)


def test_pixels_may_come_from_images_of_different_sizes() -> None:
    small, large = IMAGES[:9, :, :3], IMAGES[9:]
    whiten = ZCAWhitening(per="pixel").fit([small, large])
    colors = torch.cat([small.movedim(1, -1).flatten(0, -2), large.movedim(1, -1).flatten(0, -2)])
    close(whiten.matrix, ZCAWhitening().fit(colors).matrix, 1e-11)
    assert whiten(normal(2, 3, 7, 5)).shape == (2, 3, 7, 5)
    close(ZCAWhitening(per="pixel").fit(X)(X), ZCAWhitening().fit(X)(X))


@every_per
@every_kind
def test_batches_of_one_and_none(kind: Any, per: Any) -> None:
    whiten = kind(per=per).fit(IMAGES)
    close(whiten(IMAGES[:1]), whiten(IMAGES)[:1])
    assert whiten(IMAGES[:0]).shape == (0, *whiten(IMAGES).shape[1:])
    assert whiten.inverse(whiten(IMAGES[:0])).shape == (0, 3, 4, 2)


# ---- gradients, saving, copying, devices


@every_per
@every_kind
def test_gradients_flow_through_the_transform_and_not_through_the_fit(kind: Any, per: Any) -> None:
    x = IMAGES.clone().requires_grad_()
    whiten = kind(per=per, eps=0.2).fit(x)
    assert torch.equal(x, IMAGES) and not any(buffer.requires_grad for buffer in whiten.buffers())
    assert torch.autograd.gradcheck(whiten, IMAGES[:2].clone().requires_grad_())
    assert torch.autograd.gradcheck(whiten.inverse, whiten(IMAGES[:2]).detach().requires_grad_())


@every_per
@every_kind
def test_an_unfitted_one_loads_a_saved_fit(kind: Any, per: Any) -> None:
    file, fitted = io.BytesIO(), kind(per=per, n_components=2).fit(IMAGES)
    torch.save(nn.Sequential(fitted).state_dict(), file)
    file.seek(0)
    loaded = kind(per=per, n_components=2, dtype=torch.float64)
    nn.Sequential(loaded).load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(loaded(IMAGES), fitted(IMAGES))
    assert torch.equal(loaded.inverse(fitted(IMAGES)), fitted.inverse(fitted(IMAGES)))
    narrow = kind(per=per, n_components=2)
    narrow.load_state_dict(fitted.state_dict())
    assert narrow.mean.dtype == torch.get_default_dtype()
    fresh = kind(per=per, n_components=2)
    fresh.load_state_dict(kind(per=per, n_components=2).state_dict())  # none is a state, too
    with pytest.raises(RuntimeError, match="is not fitted"):
        fresh(IMAGES)


def test_one_fit_serves_both() -> None:
    pca, zca = PCAWhitening().fit(IMAGES), ZCAWhitening(dtype=torch.float64)
    zca.load_state_dict(pca.state_dict())
    assert torch.equal(zca(IMAGES), ZCAWhitening().fit(IMAGES)(IMAGES))


@pytest.mark.parametrize(
    ("per", "change"),
    [
        ("sample", {"mean": torch.zeros(23)}),
        ("sample", {"components": torch.zeros(23, 24)}),
        ("sample", {"explained_variance": torch.zeros(3)}),
        ("sample", {"mean": torch.zeros(())}),
        ("channel", {"mean": torch.zeros(24)}),
        ("channel", {"components": torch.zeros(2, 8, 8)}),
        ("channel", {"explained_variance": torch.zeros(24)}),
        ("pixel", {"mean": torch.zeros(3, 1)}),
        ("pixel", {"components": torch.zeros(3, 4)}),
        ("pixel", {"mean": torch.zeros(0)}),
    ],
)
def test_a_state_of_another_shape_changes_nothing(per: Any, change: dict[str, Tensor]) -> None:
    whiten = ZCAWhitening(per=per).fit(2 * IMAGES)
    before = copy.deepcopy(whiten.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        whiten.load_state_dict(ZCAWhitening(per=per).fit(IMAGES).state_dict() | change)
    assert all(torch.equal(value, before[name]) for name, value in whiten.state_dict().items())


def test_another_number_of_axes_does_not_load() -> None:
    for k, other in ((2, 3), (None, 3), (3, None), (25, None)):
        with pytest.raises(RuntimeError, match="size mismatch"):
            PCAWhitening(n_components=k).load_state_dict(PCAWhitening(n_components=other).fit(IMAGES).state_dict())


def test_more_axes_than_features_do_not_load() -> None:
    state = {"mean": torch.zeros(3), "components": torch.zeros(4, 3), "explained_variance": torch.zeros(4)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        PCAWhitening(n_components=4).load_state_dict(state)


@every_kind
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda whiten: pickle.loads(pickle.dumps(whiten))])
def test_copies_are_equal_and_apart(kind: Any, copied: Callable[[Whitening], Whitening]) -> None:
    whiten = kind(eps=0.5).fit(X)
    other, before = copied(whiten), whiten(X)
    assert torch.equal(other(X), before)
    other.fit(2 * X + 1)
    assert torch.equal(whiten(X), before)


@every_method
@every_per
@every_kind
def test_everything_stays_on_its_device(kind: Any, per: Any, method: Any, device: torch.device) -> None:
    x = IMAGES.float()
    there, here = kind(per=per, method=method, eps=0.1).fit(x.to(device)), kind(per=per, method=method, eps=0.1).fit(x)
    z = there(x.to(device))
    assert z.device.type == there.matrix.device.type == device.type
    torch.testing.assert_close(z.cpu(), here(x), rtol=0, atol=1e-4)
    torch.testing.assert_close(there.inverse(z).cpu(), x, rtol=0, atol=1e-4)
    moved = kind(per=per, method=method, eps=0.1, device=device)
    moved.load_state_dict(here.state_dict())
    assert moved.mean.device.type == device.type


def test_without_float64_the_cpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device that has no float64: `wide` gives back the CPU, and the fit returns to the samples' device."""
    from tests import pretend_gpu

    monkeypatch.setattr("tricks_lib.data.fitted._float64_device", lambda device: torch.device("cpu"))
    x = X.float()
    for method in ("eigh", "svd"):
        whiten = ZCAWhitening(method=method).fit(x.to(pretend_gpu.NAME))
        assert whiten.mean.device.type == pretend_gpu.NAME
        torch.testing.assert_close(whiten(x.to(pretend_gpu.NAME)).cpu(), ZCAWhitening().fit(x)(x), rtol=0, atol=1e-4)


@every_kind
def test_nothing_is_drawn_and_training_mode_does_not_matter(kind: Any, global_rng_untouched: None) -> None:
    whiten = kind().fit(X)
    assert torch.equal(whiten.train()(X), whiten.eval()(X))
    assert whiten.fit(X) is whiten


# ---- bad arguments


@every_kind
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be None or an integer, at least 1, got 0"),
        ({"n_components": True}, "n_components must be None or an integer, at least 1, got True"),
        ({"n_components": 2.0}, "n_components must be None or an integer, at least 1, got 2.0"),
        ({"per": "image"}, "per must be 'sample', 'channel' or 'pixel', got 'image'"),
        ({"eps": -1e-9}, "eps must be finite and at least 0, got -1e-09"),
        ({"eps": float("nan")}, "eps must be finite and at least 0, got nan"),
        ({"eps": float("inf")}, "eps must be finite and at least 0, got inf"),
        ({"method": "qr"}, "method must be 'eigh' or 'svd', got 'qr'"),
    ],
)
def test_options_are_checked(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


@every_method
@pytest.mark.parametrize(
    ("per", "x", "error", "message"),
    [
        ("sample", X[:0], ValueError, "x must hold at least 2 samples, got 0"),
        ("sample", [], ValueError, "x must hold at least 2 samples, got 0"),
        ("sample", X[:1], ValueError, "x must hold at least 2 samples, got 1"),
        ("sample", X[0], ValueError, r"x must have shape \(N, \.\.\.\), with features, got \(6,\)"),
        ("sample", X / 0, ValueError, "x must hold finite numbers"),
        ("sample", [X, X.log()], ValueError, "x must hold finite numbers"),
        ("sample", [X.numpy()], TypeError, "a batch of x must be a tensor, got ndarray"),
        ("sample", [X, X[:, :4]], ValueError, r"x must have shape \(N, 6\), got \(40, 4\)"),
        ("sample", [IMAGES, IMAGES.mT], ValueError, r"x must have shape \(N, 3, 4, 2\), got \(30, 3, 2, 4\)"),
        ("channel", X, ValueError, r"x must have shape \(N, C, \.\.\.\), to be whitened by channel, got \(40, 6\)"),
        ("channel", [IMAGES, IMAGES[:, :2]], ValueError, r"x must have shape \(N, 3, 4, 2\), got \(30, 2, 4, 2\)"),
        ("pixel", [IMAGES, IMAGES[:, :2]], ValueError, r"x must have shape \(N, 3, \.\.\.\), got \(30, 2, 4, 2\)"),
    ],
)
def test_fit_checks_its_samples(method: Any, per: Any, x: Any, error: type[Exception], message: str) -> None:
    whiten = PCAWhitening(per=per, method=method).fit(IMAGES)
    before = copy.deepcopy(whiten.state_dict())
    with pytest.raises(error, match=message):
        whiten.fit(x)
    assert all(torch.equal(value, before[name]) for name, value in whiten.state_dict().items())


@every_method
@every_kind
def test_too_many_components_for_the_samples(kind: Any, method: Any) -> None:
    for k, x, most in ((7, X, 6), (5, X[:4], 4)):
        with pytest.raises(ValueError, match=f"n_components must be at most {most} for x, got {k}"):
            kind(n_components=k, method=method).fit(x)
    assert kind(n_components=4, method=method).fit(X[:4]).components.shape == (4, 6)


def test_use_is_checked() -> None:
    for kind in KINDS:
        unfitted = kind()
        for call in (unfitted, unfitted.inverse):
            with pytest.raises(RuntimeError, match=f"{type(unfitted).__name__} is not fitted: call fit, or load"):
                call(X)
    pca, by_channel = PCAWhitening(n_components=2).fit(X), PCAWhitening(per="channel", n_components=2).fit(IMAGES)
    zca, by_pixel = ZCAWhitening().fit(IMAGES), PCAWhitening(per="pixel", n_components=2).fit(IMAGES)
    for use, message in [
        (lambda: pca(X[:, :5]), r"x must have shape \(N, 6\), got \(40, 5\)"),
        (lambda: pca(X[0]), r"x must have shape \(N, 6\), got \(6,\)"),
        (lambda: pca.inverse(X), r"z must have shape \(N, 2\), got \(40, 6\)"),
        (lambda: by_channel.inverse(X), r"z must have shape \(N, 3, 2\), got \(40, 6\)"),
        (lambda: zca(IMAGES.mT), r"x must have shape \(N, 3, 4, 2\), got \(30, 3, 2, 4\)"),
        (lambda: zca.inverse(IMAGES.flatten(1)), r"z must have shape \(N, 3, 4, 2\), got \(30, 24\)"),
        (lambda: by_pixel(IMAGES[:, :2]), r"x must have shape \(N, 3, \.\.\.\), got \(30, 2, 4, 2\)"),
        (lambda: by_pixel.inverse(IMAGES), r"z must have shape \(N, 2, \.\.\.\), got \(30, 3, 4, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            use()


def test_repr_names_the_options() -> None:
    assert repr(PCAWhitening()) == "PCAWhitening(n_components=None, per='sample', eps=0.0, method='eigh')"
    zca = ZCAWhitening(n_components=2, per="pixel", eps=0.5, method="svd")
    assert repr(zca) == "ZCAWhitening(n_components=2, per='pixel', eps=0.5, method='svd')"
