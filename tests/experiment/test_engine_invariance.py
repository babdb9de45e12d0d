"""The result of a setting with a seed does not depend on what else is in the sweep: not by a bit, on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.experiment.tasks import CLASSES, FEATURES, MODELS, data, of_type
from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.results import Results
from tricks_lib.experiment.settings import grid
from tricks_lib.learning.dropout import Dropout
from tricks_lib.learning.optimizers import SGD, AdamW

SEEDS = [11, 4_000_000_000, 5]
SGD_GRID = grid(
    lr=[0.01, 0.3], momentum=[0.9], weight_decay=[0.01], max_norm=[1.0], ema=[0.5], label_smoothing=[0.0, 0.1]
)
ADAM_GRID = grid(lr=[0.003, 0.03], beta1=[0.5, 0.9], label_smoothing=[0.1])
FUNCTIONS = [nn.ReLU, nn.Sigmoid, nn.GELU, nn.SELU, nn.Softplus, nn.SiLU, nn.Mish, nn.LogSigmoid, nn.PReLU]


def jitter(x: Tensor, *, generator: torch.Generator) -> Tensor:
    return x + 0.1 * torch.randn(x.shape, generator=generator, dtype=x.dtype)


def curves(results: Results, i: list[int], j: list[int]) -> dict[str, Any]:
    return {name: values[np.ix_(i, j)] for name, values in results.curves.items()}


def weights(results: Results, i: int, j: int) -> dict[str, Tensor]:
    assert results.models is not None and results.models[i][j] is not None
    return dict(results.models[i][j].state_dict())  # type: ignore[union-attr]


def check(make_model: Any, sets: Any, optimizer: Any, settings: Any, batch_size: int, **options: Any) -> None:
    """Train all at once, in small stacks, in another order, and some of them alone."""

    def run(chosen: Any, seeds: list[int], max_stack: int = 64) -> Results:
        return sweep(
            make_model,
            sets,
            chosen,
            seeds=seeds,
            epochs=2,
            batch_size=batch_size,
            optimizer=optimizer,
            max_stack=max_stack,
            keep=True,
            **options,
        )

    n, m = len(settings), len(SEEDS)
    together = run(settings, SEEDS)
    assert together.stacks == [n * m]
    others = [(run(settings, SEEDS, k), list(range(n)), list(range(m))) for k in (1, 2, 5)]
    others.append((run(settings[::-1], SEEDS[::-1]), list(range(n))[::-1], list(range(m))[::-1]))
    others += [(run(settings[i : i + 1], SEEDS[j : j + 1]), [i], [j]) for i, j in [(0, 0), (n - 1, 1)]]
    for results, i, j in others:
        expected = curves(together, i, j)
        for name, values in results.curves.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=f"{name}, stacks of {results.stacks}")
        for a, b in [(0, 0), (len(i) - 1, len(j) - 1)]:
            for name, value in weights(results, a, b).items():
                assert torch.equal(value, weights(together, i[a], j[b])[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_and_updates(name: str, dtype: torch.dtype) -> None:
    sets = data(image=name == "cnn", dtype=dtype)
    check(of_type(MODELS[name], dtype), sets, SGD, SGD_GRID, 8)
    check(of_type(MODELS[name], dtype), sets, AdamW, ADAM_GRID, 32)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_with_odd_sizes(function: Any) -> None:
    """Vector loops end with other instructions: here the last batches have one sample."""

    def make_model() -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, 11), function(), nn.Linear(11, CLASSES))

    check(make_model, data(train=17, val=1, dtype=torch.get_default_dtype()), SGD, SGD_GRID, 8)


def test_layers_that_normalize() -> None:
    def make_model() -> nn.Module:
        layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Conv2d(6, 4, 3), nn.GroupNorm(2, 4), nn.GELU()]
        head = [nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 3), nn.BatchNorm1d(3), nn.SELU(), nn.Linear(3, CLASSES)]
        return nn.Sequential(*layers, *head)

    check(make_model, data(image=True, dtype=torch.get_default_dtype()), SGD, SGD_GRID, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [nn.Softplus, nn.Mish, nn.SiLU])
def test_convolutions_of_few_channels(function: Any, dtype: torch.dtype) -> None:
    """The numbers of one model that lie next to each other are its channels, not its samples."""

    def make_model() -> nn.Module:
        layers = [nn.Conv2d(1, 3, 2, 2), function(), nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1), function()]
        return nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(1, CLASSES)).to(dtype)

    check(make_model, data(image=True, train=35, dtype=dtype), SGD, SGD_GRID, 32)
    check(make_model, data(image=True, train=35, dtype=dtype), AdamW, ADAM_GRID, 32)


def test_own_data_and_augmentation() -> None:
    check(MODELS["dropout"], lambda seed: data(seed, dtype=torch.get_default_dtype()), SGD, SGD_GRID, 8, augment=jitter)


SGD_TERMS = {"momentum": [0.9], "weight_decay": [0.01], "max_norm": [1.0], "ema": [0.5], "label_smoothing": [0.1]}
ADAM_TERMS = {"weight_decay": [0.01], "ema": [0.5]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("optimizer", "terms"), [(SGD, {"momentum": [0.9]}), (SGD, SGD_TERMS), (AdamW, ADAM_TERMS)])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_that_diverges_leaves_its_neighbors_alone(
    name: str, optimizer: Any, terms: dict[str, list[float]], dtype: torch.dtype
) -> None:
    def run(*rates: float) -> Results:
        options: Any = {"seeds": SEEDS, "epochs": 3, "batch_size": 8, "keep": True, "optimizer": optimizer}
        sets = data(image=name == "cnn", dtype=dtype)
        return sweep(of_type(MODELS[name], dtype), sets, grid(lr=rates, **terms), **options)

    mixed, calm = run(0.01, 1e308, 0.2), run(0.01, 0.2)
    assert mixed.stacks == [9] and np.isnan(mixed.final("val_loss")[1]).all()
    for name in calm.curves:
        np.testing.assert_array_equal(mixed.curves[name][[0, 2]], calm.curves[name])
        assert np.isfinite(calm.curves[name]).all()
    for j in range(len(SEEDS)):
        for i, k in [(0, 0), (2, 1)]:
            for name, value in weights(mixed, i, j).items():
                assert torch.equal(value, weights(calm, k, j)[name])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_data_with_nan_leave_other_seeds_alone(name: str) -> None:
    def sets(seed: int, bad: int) -> Any:
        parts = data(seed, image=name == "cnn", dtype=torch.get_default_dtype())
        return {part: (x * float("nan") if seed == bad else x, y) for part, (x, y) in parts.items()}

    options: Any = {"seeds": SEEDS, "epochs": 2, "batch_size": 8}
    calm, mixed = (sweep(MODELS[name], lambda s, b=b: sets(s, b), SGD_GRID, **options) for b in (-1, SEEDS[1]))
    for metric, values in mixed.curves.items():
        np.testing.assert_array_equal(values[:, ::2], calm.curves[metric][:, ::2])
    assert np.isnan(mixed.final("val_loss")[:, 1]).all() and np.isfinite(calm.final("val_loss")).all()


def test_terms_that_others_use_do_not_count() -> None:
    options: Any = {"seeds": SEEDS, "epochs": 2, "batch_size": 8}
    settings = [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.0, "label_smoothing": 0.0},
        {"lr": 0.2, "ema": 0.9, "max_norm": 1.0},
    ]
    together = sweep(MODELS["mlp"], data(dtype=torch.get_default_dtype()), settings, **options)
    for i, setting in enumerate(settings):
        alone = sweep(MODELS["mlp"], data(dtype=torch.get_default_dtype()), [setting], **options)
        for name, values in alone.curves.items():
            np.testing.assert_array_equal(values[0], together.curves[name][i])


def test_same_seed_means_same_start_order_and_noise() -> None:
    seen: dict[tuple[Any, int], list[Tensor]] = {}

    class Spy(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.drop, self.last = nn.Linear(FEATURES, width), Dropout(0.5), nn.Linear(width, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.drop(self.first(x)))  # type: ignore[no-any-return]

    def watch(x: Tensor, *, generator: torch.Generator) -> Tensor:
        seen.setdefault((current, len(x)), []).append(torch.cat([x.flatten(), torch.rand(2, generator=generator)]))
        return x

    for current in (3, 9):  # two architectures
        sets = data(dtype=torch.get_default_dtype())
        sweep(Spy, sets, [{"width": current}], seeds=[7], epochs=2, batch_size=8, augment=watch)
    for size in (8, 3):
        a, b = (torch.stack(seen[width, size]) for width in (3, 9))
        assert torch.equal(a, b)
        assert len({tuple(x.tolist()) for x in a}) == len(a)
