"""Many models of one architecture as one: their parameters are the rows of a matrix."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.utils.parametrize import type_before_parametrizations

from tricks_lib.experiment.layers import HOOKS, Layers, named_tensors

__all__ = ["FEWEST", "LANES", "Stack", "fingerprint", "token"]

LANES = 32
"""How many numbers one pass of the widest vector loop takes (two registers of 512 bits, float32)."""

FEWEST = 8
"""The smallest number of rows of a convolutional network: with fewer channels another algorithm is chosen."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
Run = Callable[..., Any]


class Stack:
    r"""K models with one architecture, trained as one.

    The parameters are the rows of ``flat`` (K, P). Beside the K models there are spare rows, copies that are never
    trained. They sit where vector loops end: the last few numbers of an elementwise function or of a sum are computed
    by other instructions, which round differently, and no model that counts may be there, or its result would depend
    on how many others there are. (That leaves functions such as exp of a single number per model: in a vector of
    those, the last bit does depend on the place.) Convolutions of few channels are computed in another way, too:
    hence the `FEWEST`.

    Parameters
    ----------
    models
        At least one; all have the same `fingerprint`. The first one lends its code.
    batch
        The smallest number of samples that a call will see.
    device
        Where the rows live.

    Attributes
    ----------
    flat
        Parameters (K, P): update rules change them in place.
    gradients
        Of the last call of `losses`, one (K, n) for each of the `columns` of ``flat``.

    Examples
    --------
    >>> models = [nn.Linear(3, 1), nn.Linear(3, 1)]
    >>> stack = Stack(models, batch=5, device="cpu")
    >>> stack.flat.shape
    torch.Size([2, 4])
    >>> x = torch.randn(5, 3)
    >>> outputs = stack.outputs(x.expand(stack.rows(5), 5, 3))
    >>> torch.allclose(outputs[1], models[1](x))
    True
    """

    def __init__(self, models: Sequence[nn.Module], *, batch: int, device: torch.device | str) -> None:
        self.count = len(models)
        self._convolves = any(isinstance(module, CONVOLUTIONS) for module in models[0].modules())
        self._model, self._layers, self._narrowest = models[0], Layers(models[0]), _narrowest(models[0])
        padded = [*models, *[models[0]] * (self.rows(batch) - self.count)]
        trained = {name for name, p in models[0].named_parameters() if p.requires_grad}
        tensors = [named_tensors(model) for model in padded]
        stacked = {name: torch.stack([t[name].detach() for t in tensors]).to(device) for name in tensors[0]}
        self.fixed = {name: value for name, value in stacked.items() if name not in trained}  # buffers, frozen weights
        rows = {name: _stored(value) for name, value in stacked.items() if name in trained}
        self._check(rows)
        self._shapes = {name: row.shape[1:] for name, row in rows.items()}
        self._all = torch.cat([row.flatten(1) for row in rows.values()], 1)
        self.flat = self._all[: self.count]
        self.gradients: list[Tensor] = []
        self._leaves = cache(lambda rows: {n: p.requires_grad_() for n, p in self._unpack(self._all[:rows]).items()})

    def rows(self, batch: int) -> int:
        """Return how many rows a call with this many samples needs: the models, and spare ones."""
        rows = self.count + -(-LANES // min(batch, self._narrowest))
        return max(rows, FEWEST) if self._convolves else rows

    @torch.enable_grad()
    def losses(
        self, loss: Run, hyper: Mapping[str, Tensor], x: Tensor, *targets: Tensor, model: bool = False
    ) -> Tensor:
        r"""Return the losses (K,) of the models in train mode, and leave their gradients in ``gradients``.

        Parameters
        ----------
        loss
            For one model: (outputs, \*targets, \*\*hyper) -> a number, or one for each sample.
        hyper, x, targets
            Tensors with `rows` rows.
        model
            Whether the loss is a function of (model, x, \*targets, \*\*hyper) instead.
        """
        self._model.train()
        leaves = self._leaves(len(x))
        tensors = {**leaves, **self._fixed(len(x))}

        def value(first: Any, hyper: dict[str, Tensor], *data: Tensor) -> Tensor:
            losses: Tensor = loss(first, *data, **hyper)
            return losses.mean() if losses.ndim else losses

        if model:
            values = self._layers.map(value, tensors, dict(hyper), x, *targets)
        else:
            values = vmap(value)(self._layers(tensors, x), dict(hyper), *targets)
        return self._differentiated(values[: self.count], leaves)

    def _differentiated(self, values: Tensor, leaves: dict[str, Tensor]) -> Tensor:
        grads = torch.autograd.grad(values.sum(), list(leaves.values()), allow_unused=True)
        if idle := [name for name, grad in zip(leaves, grads, strict=True) if grad is None]:
            raise ValueError(f"the loss does not depend on {', '.join(idle)}: freeze it with requires_grad_(False)")
        self.gradients = [_stored(grad)[: self.count].flatten(1) for grad in grads]
        return values.detach()

    @torch.no_grad()
    def outputs(self, x: Tensor, flat: Tensor | None = None) -> Any:
        """Return what the models say in eval mode to x (`rows`, N, ...): the first K rows count.

        Parameters
        ----------
        x
            Inputs: the rows may be one and the same, expanded.
        flat
            Parameters (K, P) to use instead of the models' own, say an average of them.
        """
        self._model.eval()
        full = self._all[: len(x)] if flat is None else torch.cat([flat, self._all[self.count : len(x)]])
        return self._layers({**self._unpack(full), **self._fixed(len(x))}, x)

    def load(self, k: int, model: nn.Module, flat: Tensor | None = None) -> nn.Module:
        """Put row k into an ordinary model of the same architecture, and return it, in eval mode."""
        values = {**self._unpack(self.flat if flat is None else flat), **self.fixed}
        model.to(self.flat.device)
        with torch.no_grad():
            for name, tensor in named_tensors(model).items():
                tensor.copy_(values[name][k])
        return model.eval()

    def _fixed(self, rows: int) -> dict[str, Tensor]:
        return {name: value[:rows] for name, value in self.fixed.items()}

    def columns(self, matrix: Tensor) -> list[Tensor]:
        """Return the parts of a matrix (K, P) that belong to one parameter each, as views (K, n)."""
        return list(torch.split(matrix, [shape.numel() for shape in self._shapes.values()], 1))

    def _unpack(self, flat: Tensor) -> dict[str, Tensor]:
        """(K, P) -> {name: (K, *shape)}, as views."""
        parts = zip(self.columns(flat), self._shapes.items(), strict=True)
        return {name: _stored(part.view(len(part), *shape)) for part, (name, shape) in parts}

    def _check(self, rows: dict[str, Tensor]) -> None:
        kinds = {value.dtype for value in rows.values()}
        if len(kinds) != 1:
            kinds_found = ", ".join(sorted(map(str, kinds))) or "none"
            raise ValueError(f"a model needs parameters to train, all of one type, got {kinds_found}")


def fingerprint(model: nn.Module) -> Hashable:
    """Return a value that is equal for two models only if they may share a stack.

    It holds the class of each module, its plain attributes and hooks, and the shapes, types and ties of all tensors.
    What cannot be compared for sure (a tensor that is no buffer, a lambda, an object) counts as different, and so do
    classes that a factory defines anew with each call.

    Examples
    --------
    >>> fingerprint(nn.Linear(3, 2)) == fingerprint(nn.Linear(3, 2))
    True
    >>> fingerprint(nn.Linear(3, 2)) == fingerprint(nn.Linear(3, 2, bias=False))
    False
    """
    modules = [
        (name, id(type_before_parametrizations(module)), _attributes(module))
        for name, module in model.named_modules(remove_duplicate=False)
    ]
    first: dict[int, str] = {}
    tensors = [
        (name, first.setdefault(id(t), name), tuple(t.shape), t.dtype, t.requires_grad)
        for name, t in named_tensors(model, remove_duplicate=False).items()
    ]
    return tuple(modules), tuple(tensors)


def token(value: Any) -> Hashable:
    """Return a value that is equal for two objects only if they are surely the same: plain data, or one object.

    The objects must be kept while their tokens are compared.

    Examples
    --------
    >>> token([1, "a"]) == token([1, "a"]), token([1]) == token([1.0])
    (True, False)
    """
    if isinstance(value, _PLAIN):
        return type(value), repr(value)
    if isinstance(value, tuple | list):
        return type(value), tuple(map(token, value))
    if isinstance(value, Mapping):
        return type(value), tuple((token(key), token(item)) for key, item in value.items())
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(token, value))
    return type(value), id(value)


def _stored(weight: Tensor) -> Tensor:
    """Swap rows and columns of (K, out, in): autograd returns gradients of matrices as (K, in, out)."""
    return weight.mT if weight.ndim == 3 else weight


_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)


def _narrowest(model: nn.Module) -> int:
    """Return how many numbers of one model lie next to each other where it is fewest.

    Those are the channels of a convolution, or a vector that is more to a layer than a factor or a summand.
    """
    layers = [module for module in model.modules() if not isinstance(module, (nn.Linear, nn.Embedding, *CONVOLUTIONS))]
    tensors = [t for m in layers for t in [*m.parameters(recurse=False), *m.buffers(recurse=False)]]
    vectors = [t.numel() for t in tensors if t.is_floating_point() and t.numel() > 1]
    channels = [module.out_channels for module in model.modules() if isinstance(module, CONVOLUTIONS)]
    return min([*vectors, *channels], default=LANES)


_INTERNAL = vars(nn.Module()).keys()  # tensors, modules, mode and hooks


def _attributes(module: nn.Module) -> Hashable:
    mine = {name: value for name, value in vars(module).items() if name not in _INTERNAL}
    hooks = {name: vars(module)[name] for name in sorted(HOOKS) if vars(module)[name]}
    return token(mine), token(hooks)
