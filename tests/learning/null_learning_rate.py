"""What stands in for each trick of the chapter on the learning rate when it is switched off."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from tricks_lib.experiment import engine
from tricks_lib.learning import learning_rate

_sweep, _range_test = engine.sweep, learning_rate.range_test
RATE = 0.2


def sweep_at_one_rate(make_model: Any, data: Any, settings: Any = ({},), **options: Any) -> Any:
    """Train every arm at the same learning rate, whatever it asks for, and for as long."""
    return _sweep(make_model, data, [{**setting, "lr": RATE} for setting in settings], **options)


def sweep_without_drop(make_model: Any, data: Any, settings: Any = ({},), **options: Any) -> Any:
    """Keep the learning rate of every arm as it is."""
    constant = [{name: value for name, value in setting.items() if name != "schedule"} for setting in settings]
    return _sweep(make_model, data, constant, **(options | {"schedule": None}))


def range_test_at_one_rate(*arguments: Any, **options: Any) -> learning_rate.RangeTest:
    """See what a test sees, but at one rate."""
    found = _range_test(*arguments, **options)
    return dataclasses.replace(found, lr=torch.full_like(found.lr, RATE))


NULLS = {
    "L11": {
        "tricks_lib.experiment.engine.sweep": sweep_at_one_rate,
        "tricks_lib.learning.learning_rate.range_test": range_test_at_one_rate,
    },
    "L16": {"tricks_lib.experiment.engine.sweep": sweep_without_drop},
}
