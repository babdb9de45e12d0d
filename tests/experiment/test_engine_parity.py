"""The engine against training one model at a time: with the library's loop and optimizers, and with torch.optim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.experiment.tasks import (
    CLASSES,
    FEATURES,
    MODELS,
    cnn,
    data,
    deviation,
    mlp,
    normed_mlp,
    of_type,
    train_alone,
)
from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.settings import grid
from tricks_lib.learning.losses import cross_entropy
from tricks_lib.learning.optimizers import SGD, AdamW
from tricks_lib.model.recurrent import LSTM

SEEDS = [11, 4_000_000_000, 5]
DOUBLE = torch.float64
SGD_GRID = grid(lr=[0.05, 0.3], momentum=[0.0, 0.9], weight_decay=[0.01], label_smoothing=[0.0, 0.2])
ADAM_GRID = grid(lr=[0.003, 0.03], weight_decay=[0.0, 0.1], label_smoothing=[0.1])


def check(make_model: Any, sets: Any, optimizer: Any, settings: Any, tolerance: float, reference: Any = None) -> None:
    assert deviation(make_model, sets, settings, SEEDS, optimizer, reference or optimizer) < tolerance


@pytest.mark.parametrize("optimizer", [SGD, torch.optim.SGD])
@pytest.mark.parametrize("name", ["mlp", "normed_mlp", "dropout", "cnn"])
def test_sgd_with_momentum_decay_and_smoothing(name: str, optimizer: Any) -> None:
    check(of_type(MODELS[name], DOUBLE), data(image=name == "cnn"), SGD, SGD_GRID, 1e-12, optimizer)


@pytest.mark.parametrize("optimizer", [AdamW, torch.optim.AdamW])
@pytest.mark.parametrize("name", ["mlp", "normed_mlp", "dropout", "cnn"])
def test_adamw(name: str, optimizer: Any) -> None:
    # a bias before batch norm has no gradient but rounding, and Adam makes steps of full length of it
    tolerance = 1e-7 if name == "normed_mlp" else 1e-12
    check(of_type(MODELS[name], DOUBLE), data(image=name == "cnn"), AdamW, ADAM_GRID, tolerance, optimizer)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_each_seed_has_its_own_data(name: str) -> None:
    check(of_type(MODELS[name], DOUBLE), lambda seed: data(seed, image=name == "cnn"), SGD, SGD_GRID[:2], 1e-12)


def test_nesterov() -> None:
    check(of_type(mlp, DOUBLE), data(), SGD, grid(lr=[0.1], momentum=[0.5, 0.9], nesterov=[True]), 1e-12)


def test_clipping() -> None:
    check(of_type(mlp, DOUBLE), data(), SGD, grid(lr=[0.5], momentum=[0.9], max_norm=[0.05, 0.5, 50.0]), 1e-12)


def test_schedules() -> None:
    schedules = [lambda step: 1 / (step + 1), lambda step: 0.5 + step % 3]
    settings = [*grid(lr=[0.1, 0.2], momentum=[0.9], schedule=schedules), {"lr": 0.1, "momentum": 0.9}]
    check(of_type(mlp, DOUBLE), data(), SGD, settings, 1e-12)


def test_betas_of_adam() -> None:
    settings = grid(lr=[0.01], beta1=[0.5, 0.9], beta2=[0.9, 0.999], eps=[1e-6])
    results = sweep(
        of_type(mlp, DOUBLE), data(), settings, seeds=[3], epochs=3, batch_size=8, optimizer=AdamW, keep=True
    )
    for i, s in enumerate(settings):
        options = {"lr": s["lr"], "betas": (s["beta1"], s["beta2"]), "eps": s["eps"]}
        alone, *_ = train_alone(of_type(mlp, DOUBLE), data(), 3, AdamW, epochs=3, batch_size=8, **options)
        kept = results.models[i][0]  # type: ignore[index]
        for a, b in zip(alone.parameters(), kept.parameters(), strict=True):  # type: ignore[union-attr]
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_average_of_the_weights() -> None:
    decays = [0.0, 0.5, 0.9]
    results = sweep(
        of_type(mlp, DOUBLE), data(), grid(lr=[0.3], ema=decays), seeds=SEEDS, epochs=2, batch_size=8, keep=True
    )
    for i, decay in enumerate(decays):
        for j, seed in enumerate(SEEDS):
            alone, average, _ = train_alone(
                of_type(mlp, DOUBLE), data(), seed, SGD, epochs=2, batch_size=8, lr=0.3, ema=decay
            )
            for a, b in zip(average, results.models[i][j].parameters(), strict=True):  # type: ignore[index,union-attr]
                torch.testing.assert_close(a, b.detach(), rtol=1e-12, atol=1e-12)
            for p, a in zip(alone.parameters(), average, strict=True):
                p.data = a
            expected = cross_entropy(alone(data()["val"][0]), data()["val"][1])
            assert results.final("val_loss")[i, j] == pytest.approx(expected.item(), abs=1e-11)


def test_training_loss_is_what_was_minimized() -> None:
    results = sweep(mlp64, data(), grid(lr=[0.1], label_smoothing=[0.3]), seeds=SEEDS, epochs=2, batch_size=8)
    for j, seed in enumerate(SEEDS):
        *_, loss = train_alone(mlp64, data(), seed, SGD, epochs=2, batch_size=8, lr=0.1, label_smoothing=0.3)
        assert results.final("train_loss")[0, j] == pytest.approx(loss, abs=1e-12)


def mlp64() -> nn.Module:
    return mlp().double()


class Sentence(nn.Module):
    """A recurrent net with an embedding whose weights are also those of the output: tied, and partly frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(CLASSES, 5)
        self.memory = LSTM(5, 5)
        self.out = nn.Linear(5, CLASSES)
        self.out.weight = self.words.weight
        self.memory.bias_hh_l0.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.memory(self.words(x))[1][0])  # type: ignore[no-any-return]


def test_recurrent_tied_and_frozen_weights() -> None:
    def sets(seed: int) -> Any:
        x = torch.randint(CLASSES, (25, 7), generator=torch.Generator().manual_seed(seed))
        return {"train": (x[:19], x[:19].sum(1) % CLASSES), "val": (x[19:], x[19:].sum(1) % CLASSES)}

    check(of_type(Sentence, DOUBLE), sets, SGD, grid(lr=[0.1, 1.0], momentum=[0.9]), 1e-12)


def test_float32_agrees_to_its_precision_after_an_epoch() -> None:
    sets, make_model = data(dtype=torch.float32), of_type(normed_mlp, torch.float32)
    results = sweep(make_model, sets, grid(lr=[0.05], momentum=[0.9]), seeds=SEEDS, epochs=1, batch_size=8)
    for j, seed in enumerate(SEEDS):
        alone, *_ = train_alone(make_model, sets, seed, torch.optim.SGD, epochs=1, batch_size=8, lr=0.05, momentum=0.9)
        expected = F.cross_entropy(alone(sets["val"][0]), sets["val"][1]).item()
        np.testing.assert_allclose(results.final("val_loss")[0, j], expected, rtol=1e-5)


def test_no_setting_means_the_optimizers_defaults() -> None:
    results = sweep(mlp64, data(), seeds=[2], epochs=1, batch_size=8, optimizer=AdamW, keep=True)
    alone, *_ = train_alone(mlp64, data(), 2, torch.optim.AdamW, epochs=1, batch_size=8)
    for a, b in zip(alone.parameters(), results.models[0][0].parameters(), strict=True):  # type: ignore[index,union-attr]
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_tasks_are_not_degenerate() -> None:
    results = sweep(mlp64, data(), grid(lr=[0.3], momentum=[0.9]), seeds=SEEDS, epochs=15, batch_size=8)
    assert FEATURES != CLASSES and results.final("train_loss").max() < 0.5 < results.final("val_accuracy").min()
    assert cnn()(torch.zeros(2, 1, 7, 6)).shape == (2, CLASSES)
