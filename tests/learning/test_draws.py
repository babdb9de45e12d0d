"""Draws from a generator, and from one stream per model: what they depend on, and what they do not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import vmap

from tests import pretend_gpu
from tricks_lib.learning.draws import ModelStreams, normal_like, stream, uniform_like

pretend_gpu.register()

BOTH = pytest.mark.parametrize("draw", [uniform_like, normal_like])


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_generator_decides(draw: Any, dtype: torch.dtype, global_rng_untouched: None) -> None:
    x = torch.zeros(3, 5, dtype=dtype)
    a, b = (draw(x, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    other = torch.rand if draw is uniform_like else torch.randn
    assert a.dtype == dtype and torch.equal(a, b)
    assert torch.equal(a, other(3, 5, dtype=dtype, generator=torch.Generator().manual_seed(1)))
    assert not x.any()


def test_without_a_generator_the_global_one() -> None:
    torch.manual_seed(3)
    a = uniform_like(torch.zeros(4))
    torch.manual_seed(3)
    assert torch.equal(a, torch.rand(4))


@BOTH
def test_drawn_on_the_generators_device_then_moved(draw: Any, device: torch.device) -> None:
    x = torch.zeros(3, 5)
    a = draw(x.to(device), generator=torch.Generator().manual_seed(1))
    assert a.device.type == device.type
    assert torch.equal(a.cpu(), draw(x, generator=torch.Generator().manual_seed(1)))
    with ModelStreams([1, 2, 3]).at(0):
        mine = vmap(draw)(x.to(device))
    with ModelStreams([1, 2, 3]).at(0):
        assert torch.equal(mine.cpu(), vmap(draw)(x)) and mine.device.type == device.type


def drawn(seeds: list[int], step: int = 1, call: int = 1, draw: Any = uniform_like, dtype: Any = None) -> Tensor:
    x = torch.zeros(len(seeds), 4, 3, dtype=dtype, requires_grad=True)
    with ModelStreams(seeds).at(step):
        for _ in range(call):
            noise: Tensor = vmap(draw)(x)
    return noise


@BOTH
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6), st.integers(0, 99), st.integers(1, 3))
def test_depends_on_seed_step_and_call_and_nothing_else(draw: Any, seeds: list[int], step: int, call: int) -> None:
    together = drawn(seeds, step, call, draw)
    for seed, mine in zip(seeds, together, strict=True):
        assert torch.equal(mine, drawn([seed], step, call, draw)[0])
        assert torch.equal(mine, drawn([7, seed, seed], step, call, draw)[2])


def test_other_seeds_steps_and_calls_are_other_numbers() -> None:
    seen = [drawn([seed], step, call) for seed in (1, 2) for step in (1, 2) for call in (1, 2)]
    assert len({round(x.sum().item(), 6) for x in seen}) == 8


def test_streams_stay_what_they_were() -> None:
    """Every number in the book that comes from noise depends on them."""
    found = torch.stack([drawn([7], 1, call, dtype=torch.float32)[0, 0] for call in (1, 2)]).flatten()
    expected = torch.tensor([0.7018, 0.7818, 0.0418, 0.1951, 0.0152, 0.4029], dtype=torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_one_model_outside_vmap_draws_the_same() -> None:
    with ModelStreams([9, 9]).at(4):
        alone = uniform_like(torch.zeros(4, 3))
    assert torch.equal(alone, drawn([5, 9], step=4)[1])


def test_what_all_models_share_cannot_have_numbers_of_its_own() -> None:
    with ModelStreams([1, 2]).at(1), pytest.raises(RuntimeError, match=r"shape \(4, 3\) is the same for all models"):
        vmap(lambda factor, x: factor * uniform_like(x), in_dims=(0, None))(torch.ones(2), torch.zeros(4, 3))


@BOTH
def test_streams_as_a_generator_fill_a_row_for_each_model(draw: Any) -> None:
    streams = ModelStreams([5, 9, 5, 1])
    with streams.at(2):
        assert ModelStreams.active() is streams
        stacked = draw(torch.zeros(3, 4, 3), generator=streams)  # the first three of them
    assert ModelStreams.active() is None
    assert torch.equal(stacked, drawn([5, 9, 5], step=2, draw=draw))


def test_the_mapped_dimension_may_be_any() -> None:
    with ModelStreams([1, 2]).at(1):
        noise = vmap(uniform_like, in_dims=1)(torch.zeros(4, 2, 3))
    assert torch.equal(noise, drawn([1, 2]))


def test_streams_end_with_their_block_even_after_an_error(global_rng_untouched: None) -> None:
    streams, generator = ModelStreams([1]), torch.Generator().manual_seed(0)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ZeroDivisionError), streams.at(1):
        raise ZeroDivisionError
    assert torch.equal(uniform_like(torch.zeros(3), generator=generator), expected)
    with streams.at(1):
        first = uniform_like(torch.zeros(3))
    with streams.at(1):
        assert torch.equal(uniform_like(torch.zeros(3)), first)


def test_gradients_pass_by_the_noise() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    with ModelStreams([1, 2]).at(1):
        y = vmap(lambda x: x * uniform_like(x))(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())


def test_noise_has_no_gradient() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    with ModelStreams([1, 2]).at(1):
        noise = vmap(uniform_like)(x)
        slope = vmap(torch.func.grad(lambda x: (x * uniform_like(x)).sum()))(x.detach())
    assert not noise.requires_grad and (slope > 0).all() and not torch.equal(slope, noise)


def test_distribution() -> None:
    x = torch.zeros(20, 5000)
    with ModelStreams(list(range(20))).at(3):
        u, z = vmap(uniform_like)(x), vmap(normal_like)(x)
    assert 0 <= u.min() and u.max() < 1
    n = u.numel()
    assert abs(u.mean() - 0.5) < 5 / math.sqrt(12 * n) and abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs(torch.corrcoef(u).fill_diagonal_(0)).max() < 6 / math.sqrt(5000)  # seeds are unrelated


def test_streams_are_named(global_rng_untouched: None) -> None:
    def numbers(*key: Any) -> list[float]:
        return torch.rand(3, generator=stream(*key)).tolist()

    assert numbers(1, "order") == numbers(1, "order")
    different = [
        numbers(*key) for key in [(1, "order"), (1, "augment"), (2, "order"), (1,), ("1", "order"), (12,), (1, 2)]
    ]
    assert len({tuple(x) for x in different}) == 7
