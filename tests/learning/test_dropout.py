"""Dropout: what is kept, the scale, and one rate for each model."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, vmap

from tests import pretend_gpu
from tricks_lib.learning.draws import ModelStreams
from tricks_lib.learning.dropout import Dropout, dropped

pretend_gpu.register()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(6)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drops_where_the_draw_is_below_the_rate(p: float, dtype: torch.dtype, global_rng_untouched: None) -> None:
    x = torch.arange(1.0, 16.0, dtype=dtype).view(3, 5)
    noise = torch.rand(3, 5, dtype=dtype, generator=generator())
    expected = [
        0.0 if u < p else v / (1 - p) for u, v in zip(noise.flatten().tolist(), x.flatten().tolist(), strict=True)
    ]
    for rate in (p, torch.tensor(p, dtype=torch.float64)):
        y = dropped(x, rate, generator=generator())
        assert y.dtype == dtype
        torch.testing.assert_close(
            y, torch.tensor(expected, dtype=dtype).view(3, 5), rtol=1e-6 if dtype.itemsize < 8 else 1e-12, atol=0
        )
    assert torch.equal(x, torch.arange(1.0, 16.0, dtype=dtype).view(3, 5))


@given(st.floats(0.05, 0.95))
def test_the_mean_stays(p: float) -> None:
    n = 20_000
    y = dropped(torch.ones(n, dtype=torch.float64), p, generator=generator())
    assert abs(y.mean() - 1) < 6 * math.sqrt(p / (1 - p) / n)


def test_rates_by_row() -> None:
    x = torch.ones(3, 7)
    y = dropped(x, torch.tensor([[0.0], [0.5], [1.0]]), generator=generator())
    assert torch.equal(y[0], x[0]) and set(y[1].tolist()) == {0.0, 2.0} and not y[2].any()


@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_gradient_is_the_mask(p: float) -> None:
    x = torch.randn(4, 3, dtype=torch.float64, generator=generator()).requires_grad_()
    torch.autograd.gradcheck(lambda x: dropped(x, p, generator=generator()), x)
    (gradient,) = torch.autograd.grad(dropped(x, torch.tensor(p), generator=generator()).sum(), x)
    assert gradient.isfinite().all()


def test_nothing_is_dropped_in_evaluation(global_rng_untouched: None) -> None:
    x = torch.ones(5)
    assert Dropout(0.7).eval()(x) is x


def test_module_draws_from_its_generator_on_any_device(device: torch.device, global_rng_untouched: None) -> None:
    x = torch.ones(4, 3)
    layer = Dropout(0.4, generator=generator(), device=device)
    y = layer(x.to(device))
    assert y.device.type == device.type
    assert torch.equal(y.cpu(), dropped(x, torch.tensor(0.4), generator=generator()))


def test_models_at_once_have_their_own_rates_and_masks() -> None:
    layers = [Dropout(p) for p in (0.2, 0.8, 0.8, 0.8)]
    rates = torch.stack([layer.p for layer in layers])
    x = torch.ones(4, 50, 40)
    with ModelStreams([1, 2, 3, 2]).at(1):
        y = vmap(lambda p, x: functional_call(layers[0], {"p": p}, (x,)), randomness="error")(rates, x)
    for row, p in zip(y, (0.2, 0.8, 0.8, 0.8), strict=True):
        assert abs((row == 0).float().mean().item() - p) < 5 * math.sqrt(0.16 / 2000)
    assert torch.equal(y[1], y[3]) and not torch.equal(y[1], y[2])
    with ModelStreams([3]).at(1):
        assert torch.equal(layers[2](x[2]), y[2])


def test_rate_is_a_buffer_that_checkpoints_leave_out() -> None:
    layer = Dropout(0.3, dtype=torch.float64)
    assert dict(layer.named_buffers())["p"].dtype == torch.float64 and not layer.state_dict()
    model = nn.Sequential(nn.Linear(3, 2), Dropout(0.3))
    model.load_state_dict(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).state_dict())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.p.item() == 0.3
    assert repr(layer) == "Dropout(p=0.3)" and repr(Dropout()) == repr(nn.Dropout()).split(",")[0] + ")"
    x = torch.ones(4)
    assert torch.equal(Dropout(0)(x), x) and not Dropout(1)(x).any()


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_a_bad_rate_is_named(p: Any) -> None:
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got"):
        Dropout(p)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got"):
        dropped(torch.ones(2), p)
