"""The regimes: what they hold, what a seed moves, and that training, validation and test never share a sample."""

from __future__ import annotations

import copy
import hashlib
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tricks_lib.data.datasets import load_digits8, load_mnist_small
from tricks_lib.experiment import regimes
from tricks_lib.experiment.regimes import Regime, digits8, digits8_noisy, mnist14_5k, mnist14_n500

SIZES = {
    "digits8": (1000, 297, 500),
    "digits8-noisy": (1000, 297, 500),
    "mnist14-n500": (500, 1000, 2000),
    "mnist14-5k": (4000, 1000, 2000),
}
WORDS = {
    "digits8": "1,000 training digits of 8 x 8 pixels",
    "digits8-noisy": "1,000 training digits of 8 x 8 pixels, a fifth of the training labels wrong",
    "mnist14-n500": "500 training digits of MNIST at 14 x 14 pixels",
    "mnist14-5k": "4,000 training digits of MNIST at 14 x 14 pixels",
}
HASH = {  # of all numbers of seed 0
    "digits8": "320e8f1511e501b9c70f0368f54c3af520ff419edd81c9a0a8fcb194d37aa471",
    "digits8-noisy": "71adf46dc416c5a813c59f5748f943d01a579addd0f5b303a00fb5cb1ee9038f",
    "mnist14-n500": "1d0af6f5746b703552297d8ffc3bfc82319c83b067603611e9067cc83e4b4d06",
    "mnist14-5k": "18a97c5a0cf6a2c5e34180c4cdf332d613a941e5d99fbd41470d3926f5f95bae",
}


@pytest.fixture(params=SIZES)
def regime(request: pytest.FixtureRequest) -> Regime:
    found: Regime = getattr(regimes, request.param.replace("-", "_"))
    assert found.name == request.param
    return found


def keys(x: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in x}


def test_shapes_types_and_range(regime: Regime) -> None:
    side = 8 if "digits8" in regime.name else 14
    sets = regime(7)
    assert tuple(len(x) for x, _ in sets.values()) == SIZES[regime.name]
    for x, y in sets.values():
        assert x.shape == (len(y), 1, side, side) and x.dtype == torch.float32 and y.dtype == torch.int64
        assert x.min() == 0 and x.max() == 1 and y.unique().tolist() == list(range(10))
    assert list(sets) == ["train", "val", "test"]


def test_a_seed_draws_the_split_and_nothing_else_does(regime: Regime) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    a, b, c = regime(7), regime(7), regime(8)
    assert torch.equal(before, torch.get_rng_state())
    for part in a:
        for mine, same, other in zip(a[part], b[part], c[part], strict=True):
            assert torch.equal(mine, same) and not torch.equal(mine, other)
    x = a["train"][0]
    x.zero_()  # a copy: what one user does to it does not reach the next
    assert torch.equal(regime(7)["train"][0], b["train"][0])


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_digits8_is_dealt_out_without_loss(seed: int) -> None:
    """All 1,797 digits, each once, with its own label."""
    x, y = load_digits8()
    parts = digits8(seed).values()
    dealt = torch.cat([part for part, _ in parts]).flatten(1).mul(16), torch.cat([labels for _, labels in parts])
    rows = [sorted(torch.cat([a.flatten(1), b[:, None]], 1).tolist()) for a, b in [(x.float(), y.float()), dealt]]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("regime", ["mnist14-n500", "mnist14-5k"], indirect=True)
def test_mnist14_takes_validation_from_training_and_test_from_test_digits(regime: Regime) -> None:
    x, y, x_test, y_test = load_mnist_small(side=14)
    sets = regime(3)
    label = {image.numpy().tobytes(): int(k) for image, k in zip(x / 255, y, strict=True)}
    label |= {image.numpy().tobytes(): int(k) for image, k in zip(x_test / 255, y_test, strict=True)}
    for part in sets.values():
        assert all(label[image.numpy().tobytes()] == k for image, k in zip(*part, strict=True))
    train, val, test = (keys(part) for part, _ in sets.values())
    assert not train & val and train | val <= keys(x / 255) and test <= keys(x_test / 255)
    assert [len(train), len(val), len(test)] == [len(part) for part, _ in sets.values()]  # no sample twice
    first = keys(x_test[:5000] / 255)  # both halves of the test set are drawn from
    assert 0.4 < len(test & first) / len(test) < 0.6


def test_the_small_regime_trains_on_the_first_of_the_large_one() -> None:
    small, large = mnist14_n500(5), mnist14_5k(5)
    for part, length in {"train": 500, "val": 1000, "test": 2000}.items():
        assert all(torch.equal(a, b[:length]) for a, b in zip(small[part], large[part], strict=True))


def test_a_fifth_of_the_training_labels_is_wrong() -> None:
    shifts = []
    for seed in range(5):
        clean, noisy = digits8(seed), digits8_noisy(seed)
        for part in ("val", "test"):
            assert all(torch.equal(a, b) for a, b in zip(clean[part], noisy[part], strict=True))
        assert torch.equal(clean["train"][0], noisy["train"][0])
        right, given_labels = clean["train"][1], noisy["train"][1]
        wrong = right != given_labels
        assert wrong.sum() == 200 and given_labels.min() >= 0 and given_labels.max() <= 9
        shifts.append((given_labels - right)[wrong] % 10)
    counts = torch.cat(shifts).bincount(minlength=10)[1:]
    assert counts.sum() == 1000 and counts.min() > 70 and counts.max() < 155  # each of nine: 111, within 4 sd


def test_a_split_stays_what_it_was(regime: Regime) -> None:
    """Every number in the book depends on it."""
    parts = regime(0).values()
    assert (
        hashlib.sha256(b"".join(t.numpy().tobytes() for part in parts for t in part)).hexdigest() == HASH[regime.name]
    )


def test_words_for_the_card(regime: Regime) -> None:
    assert str(regime) == f"{regime.name}: {WORDS[regime.name]}; seeds redraw the split"


def test_round_trips(regime: Regime) -> None:
    assert copy.deepcopy(regime).name == regime.name
    if regime in (digits8, digits8_noisy):
        assert pickle.loads(pickle.dumps(regime)) == regime
