"""What stands in for the tricks of model/initialization_from_data when they are switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tricks_lib.model import initialization_from_data as real


def _leave_bias(layer: Any, *args: Any, **options: Any) -> Tensor:
    """Leave the bias of a layer as it is."""
    bias: Tensor = layer if isinstance(layer, Tensor) else layer.bias
    return bias


def _leave_layer(layer: nn.Module, **options: Any) -> nn.Module:
    return layer


def _leave_model(model: nn.Module, x: Tensor, **options: Any) -> dict[str, float]:
    return {}


def _all_half_on(model: nn.Module, x: Tensor) -> dict[str, real.Activity]:
    """A census that finds every unit on at half of the samples."""
    return {name: real.Activity(torch.full_like(found.on, 0.5)) for name, found in _census(model, x).items()}


_census = real.relu_census
_MODULE = "tricks_lib.model.initialization_from_data"
NULLS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "M21": {f"{_MODULE}.output_bias_": _leave_bias},
    "M22": {f"{_MODULE}.gate_bias_": _leave_layer},
    "D26": {f"{_MODULE}.place_hyperplanes_": _leave_bias, f"{_MODULE}.relu_census": _all_half_on},
    "M28": {f"{_MODULE}.lsuv_": _leave_model},
}
