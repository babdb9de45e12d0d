"""Grids, random settings, and the distributions they are drawn from."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tricks_lib.experiment.settings import LogUniform, Uniform, grid, random


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_grid_is_the_product_in_order() -> None:
    settings = grid(a=[1, 2], b=("x", None), c=range(2))
    assert len(settings) == 8 and settings[0] == {"a": 1, "b": "x", "c": 0}
    assert [(s["a"], s["b"], s["c"]) for s in settings[:3]] == [(1, "x", 0), (1, "x", 1), (1, None, 0)]
    assert grid() == [{}]
    settings[0]["a"] = 7
    assert settings[1]["a"] == 1


@given(st.integers(1, 9), st.integers(0, 2**32))
def test_random_settings_lie_in_their_ranges(n: int, seed: int) -> None:
    settings = random(n, generator=generator(seed), lr=LogUniform(1e-4, 10), p=Uniform(-1, 2), kind=["a", "b", "c"])
    assert len(settings) == n
    for s in settings:
        assert 1e-4 <= s["lr"] < 10 and -1 <= s["p"] < 2 and s["kind"] in "abc"
    assert settings == random(n, generator=generator(seed), lr=LogUniform(1e-4, 10), p=Uniform(-1, 2), kind=list("abc"))


def test_random_settings_are_spread_evenly(global_rng_untouched: None) -> None:
    n = 4000
    settings = random(n, generator=generator(), lr=LogUniform(1e-4, 1), p=Uniform(2, 6), kind=["a", "b"])
    logs, rates = torch.tensor([math.log10(s["lr"]) for s in settings]), torch.tensor([s["p"] for s in settings])
    assert abs(logs.mean() + 2) < 5 * 4 / math.sqrt(12 * n) and abs(rates.mean() - 4) < 5 * 4 / math.sqrt(12 * n)
    assert abs((logs < -3).float().mean() - 0.25) < 5 * math.sqrt(0.1875 / n)
    assert abs(sum(s["kind"] == "a" for s in settings) / n - 0.5) < 5 * 0.5 / math.sqrt(n)
    assert abs(torch.corrcoef(torch.stack([logs, rates]))[0, 1]) < 5 / math.sqrt(n)


def test_without_a_generator_the_global_one() -> None:
    torch.manual_seed(4)
    a = random(2, p=Uniform(0, 1))
    torch.manual_seed(4)
    assert a == random(2, p=Uniform(0, 1)) != random(2, p=Uniform(0, 1))


def test_distributions_by_hand_and_round_trips() -> None:
    assert Uniform(1, 3)(0.0) == 1 and Uniform(1, 3)(0.75) == 2.5
    assert LogUniform(1, 16)(0.0) == 1 and LogUniform(1, 16)(0.5) == pytest.approx(4, rel=1e-12)
    for f in (Uniform(1, 3), LogUniform(1, 16)):
        assert copy.deepcopy(f) == f == pickle.loads(pickle.dumps(f))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grid(lr=0.1), TypeError, "lr must be a list of values, got 0.1"),
        (lambda: grid(kind="adam"), TypeError, "kind must be a list of values, got 'adam'"),
        (lambda: grid(lr=[]), ValueError, "lr has no values"),
        (lambda: random(0, lr=[1]), ValueError, "n must be at least 1, got 0"),
        (lambda: random(1, lr=[]), ValueError, "lr has no values"),
        (lambda: random(1, lr=3.0), TypeError, "lr must be a list of values, got 3.0"),
        (lambda: Uniform(2, 2), ValueError, "low must be below high, got 2 and 2"),
        (lambda: LogUniform(0, 2), ValueError, "low must be above 0 and below high, got 0 and 2"),
        (lambda: LogUniform(3, 2), ValueError, "low must be above 0 and below high, got 3 and 2"),
    ],
)
def test_bad_arguments_are_named(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
