"""`tricks_lib.data.mixing`: mixup and CutMix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest
from torch import Tensor

from tricks_lib.data.mixing import beta_like, cutmix, mixup, soft_labels
from tricks_lib.learning.losses import cross_entropy

Mix = Callable[..., tuple[Tensor, Tensor]]


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, channels: int = 2, height: int = 5, width: int = 7) -> Tensor:
    """Images, each filled with its own number."""
    return torch.arange(float(n), dtype=torch.float64).view(-1, 1, 1, 1).expand(n, channels, height, width).clone()


# ---- soft_labels


def test_labels_become_probabilities_and_probabilities_stay() -> None:
    soft = soft_labels(torch.tensor([2, 0]), 3, dtype=torch.float64)
    assert soft.tolist() == [[0, 0, 1], [1, 0, 0]] and soft.dtype == torch.float64
    assert soft_labels(torch.tensor([1]), 2).dtype == torch.get_default_dtype()
    given_ = torch.tensor([[0.25, 0.75]])
    assert torch.equal(soft_labels(given_, 2), given_)
    assert soft_labels(torch.zeros(0, dtype=torch.int64), 4).shape == (0, 4)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (torch.tensor([0, 3]), ValueError, r"y must have shape \(N,\), labels in \[0, 3\)"),
        (torch.tensor([0, -1]), ValueError, "labels in"),
        (torch.tensor([[0, 1]]), ValueError, r"y must have shape \(N,\)"),
        (torch.ones(2, 4).float(), ValueError, r"y of torch.float32 must have shape \(N, 3\), got \(2, 4\)"),
        (torch.tensor([0, 1], dtype=torch.uint8), TypeError, "y must hold labels .* got torch.uint8"),
    ],
)
def test_labels_are_checked(y: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        soft_labels(y, 3)


# ---- beta_like


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_numbers_follow_the_beta_distribution(alpha: float) -> None:
    """Kolmogorov and Smirnov's test: a fixed seed, so it cannot flake; another seed fails once in a thousand."""
    drawn = beta_like(torch.zeros(5000, 1, dtype=torch.float64), alpha, generator=source(11))
    assert kstest(drawn.numpy(), beta(alpha, alpha).cdf).pvalue > 1e-3
    assert ((drawn >= 0) & (drawn <= 1)).all()


def test_tiny_alphas_give_no_nan() -> None:
    drawn = beta_like(torch.zeros(20_000), 0.02, generator=source())
    assert drawn.isfinite().all() and ((drawn < 0.01) | (drawn > 0.99)).double().mean() > 0.9


def test_alpha_zero_gives_ones_and_alpha_is_checked() -> None:
    assert (beta_like(torch.zeros(4, 2), 0.0, generator=source()) == 1).all()
    for alpha in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="alpha must be a finite number, at least 0, got"):
            beta_like(torch.zeros(4), alpha)


# ---- mixup and cutmix


def test_mixup_of_numbered_images_mixes_number_and_label_alike() -> None:
    """Labels of one hot: their mean class is the number in the image, if both are mixed in one proportion."""
    x, y = numbered(9), torch.arange(9)
    mixed, targets = mixup(x, y, 9, alpha=1.0, generator=source(1))
    means = targets @ torch.arange(9.0, dtype=torch.float64)
    torch.testing.assert_close(mixed, means.view(-1, 1, 1, 1).expand_as(mixed), rtol=0, atol=1e-12)
    assert ((targets > 0).sum(1) <= 2).all() and (targets > 0).sum() > 12
    partners = targets.clone().fill_diagonal_(0).argmax(1)[targets.diagonal() < 1]
    assert len(set(partners.tolist())) == len(partners)  # a permutation: nobody is a partner twice


def test_cutmix_mixes_labels_by_the_share_of_pixels_that_it_pastes() -> None:
    x, y = numbered(40), torch.arange(40)
    mixed, targets = cutmix(x, y, 40, generator=source(2))
    foreign = mixed != x
    for i in range(40):
        share = foreign[i].double().mean().item()
        assert targets[i, i].item() == pytest.approx(1 - share, abs=1e-12)
        if share:
            (number,) = set(mixed[i][foreign[i]].tolist())
            assert targets[i, int(number)].item() == pytest.approx(share, abs=1e-12)
            rows, columns = foreign[i, 0].any(1).nonzero().flatten(), foreign[i, 0].any(0).nonzero().flatten()
            box = foreign[i, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert box.all() and box.sum() == foreign[i].sum()  # one rectangle, the same in all channels
    assert (foreign.flatten(1).any(1)).sum() > 20


@pytest.mark.parametrize("size", [(12, 3), (3, 12)])
def test_cutmix_pastes_at_both_ends_of_a_long_image_alike(size: tuple[int, int]) -> None:
    x = torch.arange(4000.0).view(-1, 1, 1, 1).expand(-1, 1, *size)
    mixed, _ = cutmix(x, torch.arange(4000) % 2, 2, generator=source(4))
    shares = (mixed != x).double().mean(dim=(0, 1))
    torch.testing.assert_close(shares, shares.flip(0, 1), rtol=0, atol=0.05)  # a standard error is about 0.01


def test_cutmix_pastes_less_than_half_since_rectangles_stick_out() -> None:
    r"""Of a side of c the mean part within the image is c - c^2/4; its square, with c^2 uniform, has mean 77/240."""
    x = torch.zeros(20_000, 1, 30, 20)
    x[::2] = 1
    y = torch.arange(20_000) % 2
    _, targets = cutmix(x, y, 2, generator=source(3))
    own = targets.gather(1, y[:, None])
    partner_differs = 0.5
    assert (1 - own.mean()).item() == pytest.approx(partner_differs * 77 / 240, abs=0.01)  # eight standard errors


def test_cutmix_with_a_large_alpha_cuts_half_the_area() -> None:
    x, y = numbered(300, 1, 40, 60), torch.arange(300)
    mixed, _ = cutmix(x, y, 300, alpha=1e6, generator=source(4))
    whole = (mixed != x).flatten(1).double().mean(1).max().item()
    assert whole == pytest.approx(0.5, abs=0.03)  # the ones of which nothing sticks out


@pytest.mark.parametrize("mix", [mixup, cutmix])
@given(st.integers(0, 7), st.floats(0, 3), st.integers(0, 10**6))
@settings(max_examples=25)
def test_targets_are_probabilities_at_any_batch_size(mix: Mix, n: int, alpha: float, seed: int) -> None:
    x, y = torch.rand(n, 1, 4, 3, generator=source(seed)), torch.arange(n) % 3
    mixed, targets = mix(x, y, 3, alpha=alpha, generator=source(seed))
    assert mixed.shape == x.shape and targets.shape == (n, 3) and targets.dtype == x.dtype
    torch.testing.assert_close(targets.sum(1), torch.ones(n), rtol=0, atol=1e-5)
    assert (targets >= 0).all() and (mixed >= 0).all() and (mixed <= 1).all()


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_one_sample_and_alpha_zero_change_nothing(mix: Mix) -> None:
    x, y = torch.rand(1, 2, 3, 4), torch.tensor([2])
    mixed, targets = mix(x, y, 3, alpha=1.0, generator=source())
    assert torch.equal(mixed, x) and targets.tolist() == [[0, 0, 1]]
    many, labels = torch.rand(6, 2, 3, 4), torch.arange(6) % 3
    mixed, targets = mix(many, labels, 3, alpha=0.0, generator=source())
    assert torch.equal(mixed, many) and torch.equal(targets, soft_labels(labels, 3))


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_generators_inputs_and_the_loss(mix: Mix, global_rng_untouched: None) -> None:
    x, y = torch.rand(8, 1, 6, 5, generator=source(7)), torch.arange(8) % 3
    copies = x.clone(), y.clone()
    first = mix(x, y, 3, alpha=1.0, generator=source(1))
    again, other = (mix(x, y, 3, alpha=1.0, generator=source(seed)) for seed in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(x, copies[0]) and torch.equal(y, copies[1])
    assert cross_entropy(torch.zeros(8, 3), first[1]).item() == pytest.approx(torch.tensor(3.0).log().item())
    twice, targets = mix(*first, 3, alpha=1.0, generator=source(3))  # probabilities may be mixed again
    assert twice.shape == x.shape and targets.shape == (8, 3)


def test_every_sample_has_a_proportion_of_its_own() -> None:
    _, targets = mixup(numbered(30), torch.arange(30), 30, alpha=1.0, generator=source(5))
    own = targets.diagonal()
    assert len(set(own[own < 1].tolist())) > 20


def test_mixup_takes_rows_of_features() -> None:
    mixed, targets = mixup(torch.rand(5, 4), torch.arange(5), 5, generator=source())
    assert mixed.shape == (5, 4) and targets.shape == (5, 5)


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_gradients(mix: Mix) -> None:
    x = torch.rand(4, 1, 3, 4, dtype=torch.float64, generator=source(6)).requires_grad_()
    y = torch.arange(4)
    assert torch.autograd.gradcheck(lambda x: mix(x, y, 4, alpha=1.0, generator=source(8)), (x,))


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (torch.zeros(3, 1, 2, 2), torch.tensor([0, 1]), ValueError, "x and y must hold the same samples, got 3 and 2"),
        (torch.zeros(3, 1, 2, 2).byte(), torch.arange(3), TypeError, "x must be samples .* got torch.uint8"),
        (torch.zeros(3), torch.arange(3), TypeError, r"x must be samples \(N, ...\)"),
    ],
)
def test_arguments_are_checked(mix: Mix, x: Tensor, y: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mix(x, y, 3)
    with pytest.raises(ValueError, match="alpha must be"):
        mix(torch.zeros(3, 1, 2, 2), torch.arange(3), 3, alpha=-1.0)


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_devices(mix: Mix, device: torch.device) -> None:
    x, y = torch.rand(5, 1, 4, 6, generator=source(9)), torch.arange(5)
    here: Any = mix(x, y, 5, alpha=1.0, generator=source(1))
    there: Any = mix(x.to(device), y.to(device), 5, alpha=1.0, generator=source(1))
    for a, b in zip(here, there, strict=True):
        assert b.device.type == device.type
        torch.testing.assert_close(b.cpu(), a, rtol=0, atol=1e-6)
