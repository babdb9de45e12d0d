"""Small models and data for the tests of the engine, and the plain loop that it must agree with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.stack import Stack
from tricks_lib.learning.averaging import ema_step
from tricks_lib.learning.draws import ModelStreams, stream
from tricks_lib.learning.dropout import Dropout
from tricks_lib.learning.loop import update
from tricks_lib.learning.losses import accuracy, cross_entropy
from tricks_lib.learning.optimizers import RuleOptimizer

FEATURES, CLASSES, IMAGE = 6, 4, (1, 7, 6)
Sets = dict[str, tuple[Tensor, Tensor]]


def mlp(width: int = 9) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, width), nn.Tanh(), nn.Linear(width, CLASSES))


def normed_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 9), nn.BatchNorm1d(9), nn.SELU(), nn.Linear(9, CLASSES))


def dropout_mlp(p: float = 0.3) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 9), nn.Sigmoid(), Dropout(p), nn.Linear(9, CLASSES), Dropout(p / 2))


def cnn() -> nn.Module:
    layers = [nn.Conv2d(1, 5, 3, 2, 1), nn.ELU(), nn.Conv2d(5, 3, 2, 2), nn.Flatten(), nn.Linear(6, CLASSES)]
    return nn.Sequential(*layers)


MODELS: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "normed_mlp": normed_mlp, "dropout": dropout_mlp, "cnn": cnn}


def data(seed: int = 0, *, train: int = 43, val: int = 29, image: bool = False, dtype: Any = torch.float64) -> Sets:
    """Random inputs with classes that depend on them: 43 = 5 * 8 + 3, the last batch is short."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(train + val, *(IMAGE if image else (FEATURES,)), generator=rng, dtype=torch.float64)
    y = x.flatten(1)[:, :CLASSES].argmax(1)
    return {"train": (x[:train].to(dtype), y[:train]), "val": (x[train:].to(dtype), y[train:])}


def of_type(make_model: Callable[..., nn.Module], dtype: torch.dtype) -> Callable[..., nn.Module]:
    return lambda: make_model().to(dtype)


def train_alone(
    make_model: Callable[[], nn.Module],
    sets: Sets,
    seed: int,
    optimizer: Callable[..., torch.optim.Optimizer],
    *,
    epochs: int,
    batch_size: int,
    label_smoothing: float = 0.0,
    max_norm: float | None = None,
    ema: float | None = None,
    schedule: Callable[[int], float] = lambda step: 1.0,
    **options: Any,
) -> tuple[nn.Module, list[Tensor], float]:
    """Train one model with the library's own loop; return it, its averaged parameters and the last epoch's loss."""
    torch.manual_seed(seed)
    model, (x, y), order = make_model(), sets["train"], stream(seed, "order")
    rule = optimizer(model.parameters(), **options)
    factors, streams = LambdaLR(rule, schedule), ModelStreams([seed])
    average = [p.detach().clone() for p in model.parameters()]
    step = 0
    for _ in range(epochs):
        losses = []
        for index in torch.randperm(len(x), generator=order).split(batch_size):
            step += 1
            with streams.at(step):
                losses.append(
                    update(
                        model,
                        [(x[index], y[index])],
                        lambda z, t: cross_entropy(z, t, label_smoothing=label_smoothing),
                        rule,
                        schedule=factors,
                        max_norm=max_norm,
                    )["loss"]
                )
            for a, p in zip(average, model.parameters(), strict=True):
                ema_step(a, p.detach(), 0.0 if ema is None else ema)
    return model.eval(), average, sum(losses) / len(losses)


def deviation(
    make_model: Callable[[], nn.Module],
    sets: Any,
    settings: list[dict[str, Any]],
    seeds: list[int],
    optimizer: type[RuleOptimizer],
    reference: Callable[..., torch.optim.Optimizer],
) -> float:
    """Return how far `sweep` ends from one model at a time: the largest difference of a parameter, buffer or score."""
    options: dict[str, Any] = {"epochs": 3, "batch_size": 8}
    results = sweep(make_model, sets, settings, seeds=seeds, optimizer=optimizer, eval_every=3, keep=True, **options)
    assert results.models is not None and results.complete and results.epochs == [3]
    largest = 0.0
    for i, setting in enumerate(settings):
        for j, seed in enumerate(seeds):
            own, kept = sets(seed) if callable(sets) else sets, results.models[i][j]
            assert kept is not None
            alone, *_ = train_alone(make_model, own, seed, reference, **options, **setting)
            outputs, target = alone(own["val"][0]).detach(), own["val"][1]
            pairs = [(alone.state_dict()[name], value) for name, value in kept.state_dict().items()]
            for name, metric in {"val_loss": cross_entropy, "val_accuracy": accuracy}.items():
                pairs.append((metric(outputs, target), torch.tensor(results.final(name)[i, j])))
            distances = [(a.double() - b.double()).abs().max().item() for a, b in pairs]
            assert np.isfinite(distances).all() and alone.state_dict().keys() == kept.state_dict().keys()
            largest = max(largest, *distances)
    return largest


def stacked(make_model: Callable[[], nn.Module], seeds: list[int], batch: int = 5) -> tuple[Stack, list[nn.Module]]:
    models = []
    for seed in seeds:
        torch.manual_seed(seed)
        models.append(make_model().double())
    return Stack(models, batch=batch, device="cpu"), models
