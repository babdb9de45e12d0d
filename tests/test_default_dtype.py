"""What goes in decides the dtype: torch's default one, float32 or float64, changes no bit of what comes out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.data.registry import AUGMENTATIONS, FITTED
from tests.experiment.tasks import data, mlp
from tricks_lib.data.augmentation_policies import random_policy
from tricks_lib.data.curvature import descent_weights, least_squares_hessian, newton_step
from tricks_lib.data.looking import class_means, distance_to_class_mean, mean_std
from tricks_lib.data.mixing import cutmix, mixup
from tricks_lib.data.normalization_effects import place_effect, same_sign_share, successive_cosines
from tricks_lib.data.representation import CodeScores, WordScores, colorize, compose_codes, contrastive_loss
from tricks_lib.data.word_embeddings import (
    build_corpus,
    pmi,
    skip_gram_loss,
    subsample,
    svd_embedding,
    window_pairs,
)
from tricks_lib.experiment.engine import sweep
from tricks_lib.learning.averaging import ema_step
from tricks_lib.learning.clipping import clip_factor
from tricks_lib.learning.draws import ModelStreams
from tricks_lib.learning.dropout import Dropout, dropped
from tricks_lib.learning.learning_rate import largest_eigenvalue, range_test
from tricks_lib.learning.losses import accuracy, cross_entropy
from tricks_lib.learning.optimizers import SGD, AdamW
from tricks_lib.learning.schedules import Cosine
from tricks_lib.model.initialization import alpha_dropout, initialize_, predicted_flow, self_normalizing, signal_flow
from tricks_lib.model.initialization_from_data import gate_bias_, lsuv_, output_bias_, place_hyperplanes_, relu_census
from tricks_lib.model.recurrent import LSTM, RNN

Y = torch.arange(12) % 4
CODES = compose_codes(torch.eye(3), torch.eye(2))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng(7), dtype=torch.float64).to(dtype)


def images(dtype: torch.dtype) -> Tensor:
    return torch.rand(12, 3, 11, 9, generator=rng(7), dtype=torch.float64).to(dtype)


def network(dtype: torch.dtype) -> Any:
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4)).to(dtype)
    return initialize_(model, torch.relu, generator=rng())


def augmented(name: str, dtype: torch.dtype) -> Any:
    augmentation, x = AUGMENTATIONS[name](rng()), images(dtype)
    draws = augmentation.draw(x)
    return draws, augmentation(x, draws=draws)


def fitted(name: str, dtype: torch.dtype) -> Any:
    x = normal(dtype, 30, 6)
    transform = FITTED[name]().fit(x)
    z = transform(x)
    return dict(transform.state_dict()), z, transform.inverse(z)


def flows(dtype: torch.dtype) -> Any:
    model = network(dtype)
    measured = signal_flow(model, normal(dtype, 12, 5), lambda y: y.square().sum())
    return measured[1:], predicted_flow(model, torch.relu)[1:]


def from_data(dtype: torch.dtype) -> Any:
    model, x = network(dtype), normal(dtype, 12, 5)
    output_bias_(model[2], torch.tensor([1, 2, 3, 4]))
    place_hyperplanes_(model[0], x, share=0.3)
    found = relu_census(model, x)["1"].on
    return found, lsuv_(model, x, generator=rng()), list(model.parameters())


def recurrent(dtype: torch.dtype) -> Any:
    layers = [gate_bias_(LSTM(3, 2, dtype=dtype), forget=1.0), RNN(3, 2, dtype=dtype)]
    for layer in layers:
        layer.reset_parameters(generator=rng())
    return [(layer(normal(dtype, 4, 7, 3)), list(layer.parameters())) for layer in layers]


def dropouts(dtype: torch.dtype) -> Any:
    x = normal(dtype, 4, 50)
    with ModelStreams([3, 1, 4, 3]).at(2):
        stacked = torch.func.vmap(Dropout(0.3, dtype=dtype))(x)
    model = self_normalizing([50, 3, 2], p=0.1, generator=rng(), dtype=dtype)
    return stacked, dropped(x, 0.5, generator=rng()), alpha_dropout(x, 0.5, generator=rng()), model.eval()(x)


def steps(kind: Any, dtype: torch.dtype) -> Any:
    p = nn.Parameter(normal(dtype, 3, 5))
    optimizer = kind([p], lr=0.1, weight_decay=0.01)
    for _ in range(3):
        p.grad = p.detach() ** 2 + 0.1
        optimizer.step()
    return p


def searched(dtype: torch.dtype) -> Any:
    model, batches = network(dtype), [(normal(dtype, 12, 5), Y)]
    loss = cross_entropy(model(batches[0][0]), Y)
    value, vectors = largest_eigenvalue(loss, model.parameters(), tol=0.1, generator=rng())
    found = range_test(model, batches, cross_entropy, SGD(model.parameters(), 0.1), steps=9)
    return value, vectors, found.lr, found.loss


def swept(dtype: torch.dtype) -> Any:
    def make_model() -> Any:
        return initialize_(mlp().to(dtype), torch.tanh, generator=rng())

    run = {"epochs": 2, "batch_size": 8, "schedule": Cosine(9), "optimizer": AdamW}
    results = sweep(make_model, data(dtype=dtype), [{"lr": 0.1, "ema": 0.9, "max_norm": 1.0}], seeds=[1, 2], **run)
    return [torch.tensor(curve, dtype=torch.float64) for curve in results.curves.values()]


def scores(dtype: torch.dtype) -> Any:
    words = WordScores(CODES, 4, generator=rng(), dtype=dtype)
    z = normal(dtype, 6, 4)
    return words(z), contrastive_loss(words(z), Y[:6]), CodeScores(CODES.to(dtype))(normal(dtype, 6, 5))


def averages(dtype: torch.dtype) -> Any:
    average, value = normal(dtype, 3, 5), normal(dtype, 3, 5) ** 2
    ema_step(average, value, 0.9)
    return (
        average,
        clip_factor(value, 0.3),
        accuracy(average, Y[:3]),
        cross_entropy(average, Y[:3], label_smoothing=0.1),
    )


def quadratic(dtype: torch.dtype) -> Any:
    x = normal(dtype, 30, 6)
    hessian, moment = least_squares_hessian(x).to(dtype), normal(dtype, 7)
    newton = newton_step(moment, hessian, damping=0.1)
    return least_squares_hessian(x), newton, descent_weights(hessian, moment, 5, lr=0.01)


def looked_at(dtype: torch.dtype) -> Any:
    x = normal(dtype, 12, 5)
    means = class_means(x, Y, 4)
    signs = same_sign_share(x), successive_cosines(x), place_effect(x[:, None])
    return means, mean_std(x), distance_to_class_mean(x, Y, means), *signs


def of_words(dtype: torch.dtype) -> Any:
    u, v, noise = normal(dtype, 3, 12, 4)
    reduced = svd_embedding(normal(dtype, 9, 7), 2, generator=rng())
    return pmi(normal(dtype, 4, 4).exp()), skip_gram_loss(u, v, noise), reduced


def pairs(_: torch.dtype) -> Any:
    text = torch.randint(0, 9, (40, 25), generator=rng()).tolist()
    corpus = build_corpus([[str(k * k // 9) for k in line] for line in text], min_count=1)
    thinned = subsample(corpus, 0.05, generator=rng())
    return thinned.ids, window_pairs(thinned, 3, generator=rng())


CASES: dict[str, Callable[[torch.dtype], Any]] = {
    **{name: partial(augmented, name) for name in AUGMENTATIONS},
    **{name: partial(fitted, name) for name in FITTED},
    "random_policy": lambda dtype: [q for sub_policy in random_policy(generator=rng()) for _, q, _ in sub_policy],
    "mixup": lambda dtype: mixup(images(dtype), Y, 4, generator=rng()),
    "cutmix": lambda dtype: cutmix(images(dtype), Y, 4, generator=rng()),
    "colorize": lambda dtype: colorize(images(dtype)[:, :1], images(dtype)[:, :, 0, 0]),
    "SGD": partial(steps, SGD),
    "AdamW": partial(steps, AdamW),
    **{f.__name__: f for f in (flows, from_data, recurrent, dropouts, searched, swept, scores, averages)},
    **{f.__name__: f for f in (quadratic, looked_at, of_words, pairs)},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_the_default_dtype_changes_nothing(name: str, dtype: torch.dtype) -> None:
    before, results = torch.get_default_dtype(), []
    try:
        for default in (torch.float32, torch.float64):
            torch.set_default_dtype(default)
            results.append(CASES[name](dtype))
    finally:
        torch.set_default_dtype(before)
    torch.testing.assert_close(*results, rtol=0, atol=0, equal_nan=True)
