"""What stands in for the tricks of ``book/model/initialization.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from tricks_lib.model.initialization import initialize_


def as_torch_has_them(model: nn.Module, *_: object, **__: object) -> nn.Module:
    """Leave a model the weights and biases that torch gave it."""
    return model


def all_equal(model: nn.Module, *_: object, **__: object) -> nn.Module:
    """Make all weights of a layer equal, and positive, and its biases zero."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 2 / layer.in_features)  # with less, twenty layers underflow
            nn.init.zeros_(layer.bias)  # random ones would break the symmetry
    return model


def relu_with_he(sizes: list[int], **_: Any) -> nn.Sequential:
    """Make a network with ReLU and He's weights instead of a self-normalizing one."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    initialize_(model, torch.relu)
    return model


INITIALIZE = "tricks_lib.model.initialization.initialize_"
NULLS = {
    "M18": {INITIALIZE: as_torch_has_them},
    "M19": {INITIALIZE: all_equal},
    "M20": {INITIALIZE: as_torch_has_them},
    "M29": {"tricks_lib.model.initialization.self_normalizing": relu_with_he},
}
