"""The exponential moving average against its sum."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tricks_lib.learning.averaging import ema_step


@given(st.floats(0, 0.99), st.lists(st.floats(-10, 10), min_size=1, max_size=9))
def test_weights_fall_off_geometrically(decay: float, values: list[float]) -> None:
    average = torch.full((1,), 3.0, dtype=torch.float64)
    for value in values:
        ema_step(average, torch.full_like(average, value), decay)
    n = len(values)
    expected = 3 * decay**n + sum((1 - decay) * decay ** (n - 1 - k) * v for k, v in enumerate(values))
    torch.testing.assert_close(average.item(), expected, rtol=1e-9, atol=1e-9)


def test_one_decay_for_each_model(device: torch.device) -> None:
    average, value = torch.zeros(2, 3).to(device), torch.tensor([[1.0, 2.0, 3.0]] * 2).to(device)
    ema_step(average, value, torch.tensor([[0.0], [0.75]]).to(device))
    assert average.cpu().tolist() == [[1.0, 2.0, 3.0], [0.25, 0.5, 0.75]]
    assert value.cpu().tolist() == [[1.0, 2.0, 3.0]] * 2


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_a_bad_decay_is_named(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got"):
        ema_step(torch.zeros(1), torch.ones(1), decay)
