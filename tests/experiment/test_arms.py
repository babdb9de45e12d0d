"""Sorting a setting by who takes what, and the messages when nobody does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tricks_lib.experiment.arms import Arm, read_setting
from tricks_lib.learning.losses import CrossEntropy, cross_entropy
from tricks_lib.learning.optimizers import SGD, AdamW


def make_model(width: int = 3, gain: float = 1.0) -> nn.Module:
    return nn.Linear(width, 2)


def shift(x: Tensor, *, by: float = 1.0, generator: torch.Generator) -> Tensor:
    return x + by


def mix(x: Tensor, y: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return x.flip(0), y.flip(0)


def distance(outputs: Tensor, target: Tensor, temperature: float = 2.0, *, power: int = 1) -> Tensor:
    return ((outputs - target) / temperature).abs() ** power


def attacked(model: Any, x: Tensor, y: Tensor, *, eps: float = 0.0) -> Tensor:
    return cross_entropy(model(x + eps), y)


RUN = {
    "data": {},
    "epochs": 1,
    "batch_size": 4,
    "optimizer": SGD,
    "loss": cross_entropy,
    "schedule": None,
    "augment": None,
}


def read(setting: dict[str, Any], **run: Any) -> Arm:
    return read_setting(3, setting, make_model, {**RUN, **run})


def test_everything_finds_its_taker() -> None:
    setting = {
        "width": 7,
        "gain": 2.0,
        "lr": np.float64(0.5),
        "momentum": torch.tensor(0.5),
        "nesterov": True,
        "label_smoothing": 0,
        "max_norm": 1,
        "ema": 0.9,
        "by": 3.0,
        "epochs": 9,
        "label": "all",
    }
    arm = read(setting, augment=shift)
    assert arm.model == {"width": 7, "gain": 2.0}
    assert arm.numbers == {
        "optimizer": {"lr": 0.5, "momentum": 0.5},
        "loss": {"label_smoothing": 0.0},
        "sweep": {"max_norm": 1.0, "ema": 0.9},
    }
    assert all(type(v) is float for numbers in arm.numbers.values() for v in numbers.values())
    assert arm.fixed == {"optimizer": {"nesterov": True}, "loss": {}, "augment": {"by": 3.0}}
    assert arm.run["epochs"] == 9 and arm.run["batch_size"] == 4 and arm.setting is setting


def test_learning_rate_is_always_a_number() -> None:
    assert read({"epochs": 0, "batch_size": np.int64(1)}).run["batch_size"] == 1
    assert read({}).numbers == {"optimizer": {"lr": 1e-3}, "loss": {}, "sweep": {}}
    assert read({"optimizer": AdamW, "beta1": 0.5}).numbers["optimizer"] == {"beta1": 0.5, "lr": 1e-3}


def test_floats_of_a_loss_vary_and_the_rest_is_shared() -> None:
    arm = read({"temperature": 4, "power": 2}, loss=distance)
    assert arm.numbers["loss"] == {"temperature": 4.0} and arm.fixed["loss"] == {"power": 2}
    loss, takes_model = arm.loss()
    assert not takes_model and loss(torch.tensor([9.0]), torch.tensor([1.0]), temperature=4.0).item() == 4
    loss, takes_model = read({"eps": 0.5}, loss=attacked).loss()
    assert takes_model and loss(lambda x: x, torch.zeros(2, 3), torch.tensor([0, 1])).shape == ()
    assert not read({}, loss=CrossEntropy(label_smoothing=0.1)).loss()[1]


def test_augmentations_with_and_without_targets() -> None:
    x, y, rng = torch.arange(3.0), torch.arange(3), torch.Generator()
    assert read({}).augment() is None
    augment = read({"by": 2.0}, augment=shift).augment()
    assert augment is not None
    a, b = augment(x, y, generator=rng)
    assert torch.equal(a, x + 2) and b is y
    augment = read({}, augment=mix).augment()
    assert augment is not None
    a, b = augment(x, y, generator=rng)
    assert torch.equal(a, x.flip(0)) and torch.equal(b, y.flip(0))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ({"lr": 0.1}, {"lr": 0.2}, True),
        ({"lr": 0.1, "label": "a"}, {"lr": 0.1, "label": "b"}, True),
        ({"lr": 0.1}, {}, True),
        ({"momentum": 0.0}, {}, False),
        ({"label_smoothing": 0.1}, {"label_smoothing": 0.0}, True),
        ({"label_smoothing": 0.1}, {"ema": 0.1}, False),
        ({"width": 3}, {"width": 5}, True),  # the fingerprint of the models decides that
        ({"epochs": 1}, {"epochs": 2}, False),
        ({"batch_size": 4}, {"batch_size": 5}, False),
        ({"optimizer": AdamW}, {}, False),
        ({"loss": distance}, {}, False),
        ({"augment": shift}, {}, False),
        ({"augment": shift, "by": 1.0}, {"augment": shift, "by": 2.0}, False),
        ({"schedule": math.sqrt}, {"schedule": math.exp}, True),
        ({"data": {"train": ()}}, {}, False),
        ({"momentum": 0.5, "nesterov": True}, {"momentum": 0.5, "nesterov": False}, False),
        ({"loss": distance, "power": 1}, {"loss": distance, "power": 2}, False),
    ],
)
def test_key_says_who_may_share_a_stack(a: Any, b: Any, same: bool) -> None:
    assert (read(a).key() == read(b).key()) == same
    assert read(a).key() == read(dict(a)).key()


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (
            {"momentun": 0.9},
            TypeError,
            r"settings\[3\]: nobody takes 'momentun': sweep takes .*max_norm.*make_model takes",
        ),
        (
            {"momentun": 0.9},
            TypeError,
            "optimizer takes lr, momentum, weight_decay, nesterov; loss takes label_smoothing",
        ),
        ({"beta1": 0.9}, TypeError, "nobody takes 'beta1'"),
        ({"by": 1.0}, TypeError, "nobody takes 'by'"),
        ({"lr": "fast"}, TypeError, r"settings\[3\]: lr must be a number, got 'fast'"),
        ({"lr": True}, TypeError, "lr must be a number, got True"),
        ({"lr": torch.ones(2)}, TypeError, "lr must be a number, got tensor"),
        ({"lr": -0.1}, ValueError, r"settings\[3\]: lr must be in \[0, inf\), got -0.1"),
        ({"momentum": math.nan}, ValueError, "momentum must be in"),
        ({"nesterov": True}, ValueError, "nesterov needs a momentum above 0"),
        ({"optimizer": AdamW, "beta2": 1.0}, ValueError, r"beta2 must be in \[0, 1\), got 1.0"),
        ({"label_smoothing": 1.1}, ValueError, r"label_smoothing must be in \[0, 1\], got 1.1"),
        ({"max_norm": 0}, ValueError, r"max_norm must be in \(0, inf\], got 0.0"),
        ({"ema": 1.0}, ValueError, r"ema must be in \[0, 1\), got 1.0"),
        (
            {"optimizer": torch.optim.SGD},
            TypeError,
            "optimizer must be a class such as tricks_lib.learning.optimizers.SGD",
        ),
        ({"optimizer": "sgd"}, TypeError, "got sgd"),
    ],
)
def test_bad_settings_are_named(setting: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        read(setting)


def test_a_name_that_two_would_take_is_refused() -> None:
    def ambiguous(momentum: float = 0.1) -> nn.Module:
        return nn.BatchNorm1d(3, momentum=momentum)

    with pytest.raises(TypeError, match=r"settings\[0\]: 'momentum' is taken by make_model and by optimizer: rename"):
        read_setting(0, {"momentum": 0.2}, ambiguous, RUN)


def test_no_clipping_is_an_infinite_norm() -> None:
    assert read({"max_norm": math.inf}).numbers["sweep"] == {"max_norm": math.inf}
