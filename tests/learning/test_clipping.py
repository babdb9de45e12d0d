"""The clipping factor against torch's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tricks_lib.learning.clipping import clip_factor


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 100.0, math.inf])
def test_clips_as_torch_does(max_norm: float) -> None:
    gradients = [torch.arange(6.0, dtype=torch.float64).view(2, 3), torch.tensor(-4.0, dtype=torch.float64)]
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    factor = clip_factor(norm, max_norm)
    for p, g in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(g * factor, p.grad, rtol=0, atol=0)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_norm_is_at_most_the_bound_and_small_gradients_stay(norm: float, bound: float) -> None:
    factor = clip_factor(torch.tensor(norm, dtype=torch.float64), bound).item()
    assert 0 < factor <= 1
    assert norm * factor <= bound
    if norm < 0.999 * bound:
        assert factor == 1 or norm + 1e-6 > bound


def test_one_norm_and_one_bound_for_each_model(device: torch.device) -> None:
    norms, bounds = torch.tensor([[2.0], [2.0], [torch.nan]]), torch.tensor([[1.0], [4.0], [1.0]])
    factors = clip_factor(norms.to(device), bounds.to(device)).cpu()
    torch.testing.assert_close(factors, torch.tensor([[0.5], [1.0], [torch.nan]]), equal_nan=True, rtol=1e-6, atol=0)
    assert torch.equal(norms[:2], torch.tensor([[2.0], [2.0]]))


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan])
def test_a_bad_bound_is_named(bound: float) -> None:
    with pytest.raises(ValueError, match=f"max_norm must be above 0, got {bound}"):
        clip_factor(torch.ones(()), bound)
