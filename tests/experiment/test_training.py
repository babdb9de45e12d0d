"""One stack in training, in the smallest runs that show each part at work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.experiment.tasks import CLASSES, FEATURES, data, mlp
from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.results import Results
from tricks_lib.learning.losses import cross_entropy

FLOAT = torch.get_default_dtype()
CHUNKED = 300  # samples of an evaluation: more than one batch of it


def train(settings: Any = ({},), *, sets: Any = None, epochs: int = 1, **options: Any) -> Results:
    """Train for two steps an epoch, unless the sets say otherwise."""
    sets = data(train=16, val=8, dtype=FLOAT) if sets is None else sets
    return sweep(mlp, sets, settings, seeds=[1, 2], epochs=epochs, batch_size=8, keep=True, **options)


def moved(results: Results, i: int) -> float:
    """Return how far the model of setting ``i`` and the first seed is from where it started."""
    assert results.models is not None
    torch.manual_seed(1)
    pairs = zip(mlp().parameters(), results.models[i][0].parameters(), strict=True)  # type: ignore[union-attr]
    return float(torch.stack([(a - b).square().sum() for a, b in pairs]).sum().sqrt().item())


def test_a_step_is_as_long_as_the_clipped_gradient_allows() -> None:
    settings = [{"lr": 0.5}, {"lr": 0.5, "max_norm": 1e-3}, {"lr": 0.5, "max_norm": 2e-3}]
    results = train(settings, sets=data(train=8, val=8, dtype=FLOAT))
    assert moved(results, 0) > 0.05
    assert [moved(results, 1), moved(results, 2)] == pytest.approx([0.5e-3, 1e-3], rel=1e-3)


def test_an_average_stays_behind() -> None:
    results = train([{"lr": 0.5}, {"lr": 0.5, "ema": 0.0}, {"lr": 0.5, "ema": 0.999}])
    assert moved(results, 1) == pytest.approx(moved(results, 0), rel=1e-5)
    assert 0 < moved(results, 2) < 0.01 * moved(results, 0)


def test_a_schedule_belongs_to_its_setting() -> None:
    schedules = [lambda step: 0.0, lambda step: float(step == 0)]
    results = train([{"lr": 0.1}, *({"lr": 0.1, "schedule": one} for one in schedules)])
    assert results.stacks == [6]
    assert moved(results, 1) == 0 and 0 < moved(results, 2) < moved(results, 0)


def test_two_seeds_with_data_of_their_own() -> None:
    """As many sets as the smallest number that is more than one."""
    both = train(sets=lambda seed: data(seed, train=16, val=8, dtype=FLOAT), epochs=2)
    for j, seed in enumerate((1, 2)):
        own = sweep(mlp, data(seed, train=16, val=8, dtype=FLOAT), seeds=[seed], epochs=2, batch_size=8)
        for name, values in own.curves.items():
            np.testing.assert_array_equal(both.curves[name][:, j], values[:, 0])


class Pair(nn.Module):
    """Return a tensor, and a tuple of one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        z = self.layer(x)
        return z, (z.exp(),)


@pytest.mark.parametrize("mapped", [True, False])
def test_an_evaluation_takes_all_samples_in_their_order(mapped: bool) -> None:
    def score(outputs: Any, y: Tensor) -> Any:
        z, (power,) = outputs
        value = cross_entropy(z, y) + (power * torch.arange(len(y)).unsqueeze(1)).mean()
        return value if mapped else float(value.numpy())

    x, y = data(train=16, val=CHUNKED, dtype=FLOAT)["val"]
    sets = {"train": (x[:16], y[:16]), "test": (x, y)}
    loss = lambda outputs, y: cross_entropy(outputs[0], y)  # noqa: E731
    results = sweep(Pair, sets, seeds=[1, 2, 3], epochs=0, loss=loss, metrics={"score": score})
    for j, seed in enumerate(results.seeds):
        torch.manual_seed(seed)
        with torch.no_grad():
            expected = float(score(Pair()(x), y))
        assert results.final("test_score")[0, j] == pytest.approx(expected, rel=1e-5)
