"""The forward pass of many models that share an architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tricks_lib.learning.draws import ModelStreams
from tricks_lib.learning.dropout import Dropout, dropped

__all__ = ["HOOKS", "Layers", "named_tensors"]

ELEMENTWISE = {nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid, nn.Tanh}
POOLING = {nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d}
HOOKS = {name for name in vars(nn.Module()) if "hooks" in name and "state_dict" not in name}
"""Where a module keeps the hooks that change what is computed."""


class Layers:
    """A model as a function of the parameters of many models.

    It runs through `torch.func.vmap`; the layers of an ``nn.Sequential`` do one by one, and those for which there is
    something faster use it: functions of single numbers and dropout need no mapping, ``nn.Linear`` is a product of
    batches of matrices, and convolution and pooling treat the models as groups of channels, which lie next to each
    other in memory.

    Parameters
    ----------
    model
        Lends its code.

    Examples
    --------
    >>> models = [nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.LayerNorm(2)) for _ in range(4)]
    >>> tensors = {name: torch.stack([named_tensors(m)[name] for m in models]) for name in named_tensors(models[0])}
    >>> x = torch.randn(4, 5, 3)
    >>> outputs = Layers(models[0])(tensors, x)
    >>> torch.allclose(outputs[2], models[2](x[2]))
    True
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        first: dict[int, str] = {}
        tied = {name: first.setdefault(id(t), name) for name, t in named_tensors(model, remove_duplicate=False).items()}
        self._layers = [
            (layer, {name: tied[prefix + name] for name in named_tensors(layer, remove_duplicate=False)})
            for prefix, layer in _in_a_row("", model)
        ]

    def __call__(self, tensors: Mapping[str, Tensor], x: Any) -> Any:
        """Return the outputs (R, N, ...) for inputs (R, N, ...), given tensors (R, ...) by name."""
        for layer, names in self._layers:
            x = _forward(layer, {name: tensors[full] for name, full in names.items()}, x)
        return x

    def map(self, function: Callable[..., Any], tensors: Mapping[str, Tensor], *args: Any) -> Any:
        """Return ``function(model, *args)`` for each of the models; the arguments are mapped, too."""

        def one(tensors: dict[str, Tensor], *args: Any) -> Any:
            return function(lambda *inputs: functional_call(self._model, tensors, inputs), *args)

        return _mapped(self._model, one, dict(tensors), *args)


def named_tensors(model: nn.Module, *, remove_duplicate: bool = True) -> dict[str, Tensor]:
    """Return the parameters and buffers of a model by name.

    Examples
    --------
    >>> list(named_tensors(nn.BatchNorm1d(3)))
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """
    parameters = model.named_parameters(remove_duplicate=remove_duplicate)
    return {**dict(parameters), **dict(model.named_buffers(remove_duplicate=remove_duplicate))}


def _in_a_row(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is nn.Sequential and _is_plain(module):
        for name, layer in zip(module._modules, module, strict=True):  # named_children() would drop a repeated layer
            yield from _in_a_row(f"{prefix}{name}.", layer)
    else:
        yield prefix, module


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a call of the module is the ``forward`` of its class, and nothing else."""
    return "forward" not in vars(module) and not any(vars(module)[name] for name in HOOKS)


def _forward(layer: nn.Module, tensors: dict[str, Tensor], x: Any) -> Any:
    kind = type(layer) if _is_plain(layer) else None
    if kind in ELEMENTWISE and not getattr(layer, "inplace", False):
        return layer(x)
    if kind is Dropout and layer.training:
        return dropped(x, tensors["p"].view(-1, *[1] * (x.ndim - 1)), generator=ModelStreams.active())
    if isinstance(layer, nn.Linear) and kind is nn.Linear and tensors.keys() == {"weight", "bias"} and x.ndim == 3:
        return torch.baddbmm(tensors["bias"].unsqueeze(1), x, tensors["weight"].mT)
    if isinstance(layer, nn.Conv2d) and kind is nn.Conv2d and layer.padding_mode == "zeros" and x.ndim == 5:
        return _spread(_convolved(layer, tensors, _folded(x)), len(x))
    if kind in POOLING and x.ndim == 5:
        return _spread(layer(_folded(x)), len(x))
    if isinstance(x, Tensor) and x.stride(0):  # images may lie in memory as `_folded` left them; 0: they are shared
        x = x.contiguous()
    return _mapped(layer, lambda own, x: functional_call(layer, own, (x,), tie_weights=False), tensors, x)


def _convolved(layer: nn.Conv2d, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    weight, bias = tensors["weight"], tensors.get("bias")
    groups = len(weight) * layer.groups
    flat = None if bias is None else bias.flatten()
    return nn.functional.conv2d(x, weight.flatten(0, 1), flat, layer.stride, layer.padding, layer.dilation, groups)


def _folded(x: Tensor) -> Tensor:
    """(R, N, C, H, W) -> (N, R * C, H, W), in memory (N, H, W, R, C)."""
    together = x.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
    return together.contiguous(memory_format=torch.channels_last)


def _spread(x: Tensor, rows: int) -> Tensor:
    """(N, R * C, H, W) -> (R, N, C, H, W), a view."""
    n, channels, h, w = x.shape
    return x.view(n, rows, channels // rows, h, w).transpose(0, 1)


def _mapped(module: nn.Module, one: Callable[..., Any], *args: Any) -> Any:
    try:
        return vmap(one, randomness="error")(*args)
    except RuntimeError as error:
        error.add_note(
            f"{type(module).__name__} ran under torch.func.vmap, as one of many models. Random layers must draw with "
            "tricks_lib.learning.draws (torch.nn.Dropout does not: use tricks_lib.learning.dropout), recurrent ones "
            "come from tricks_lib.model.recurrent, and no value may decide what is computed."
        )
        raise
