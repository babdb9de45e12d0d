"""Data for stacked models: each sees its own samples, in the order that its seed gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tricks_lib.learning.draws import stream

__all__ = ["Feed", "Sets", "batch_sizes", "stacked_sets"]

Sets = dict[str, tuple[Tensor, ...]]
"""The parts of the data by name: tensors (S, N, ...), S = 1 where all seeds share them."""


class Feed:
    r"""Minibatches for the rows of a stack.

    Each seed has a stream for the order and one for the augmentation, whatever else is in the stack: rows with the
    same seed get the same samples, augmented in the same way.

    Parameters
    ----------
    arrays
        Training inputs and targets (S, N, ...).
    seeds
        All seeds of the sweep.
    rows
        For each row of the stack the place of its seed among them.
    batch_size
        Samples per batch; the last one of an epoch may be smaller.
    augment
        (x, \*targets, generator) -> as many tensors, for the batch of one seed.

    Examples
    --------
    >>> x = torch.arange(5.0).expand(1, 5)
    >>> feed = Feed((x,), seeds=[7, 8], rows=[0, 1, 0], batch_size=3)
    >>> [batch.shape for (batch,) in feed.epoch(lambda samples: 2)]
    [torch.Size([2, 3]), torch.Size([2, 2])]
    """

    def __init__(
        self,
        arrays: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        rows: Sequence[int],
        batch_size: int,
        augment: Callable[..., Any] | None = None,
    ) -> None:
        device, self._samples = arrays[0].device, arrays[0].shape[1]
        places = list(dict.fromkeys(rows))
        self._orders = [stream(seeds[place], "order") for place in places]
        self._noises = [stream(seeds[place], "augment") for place in places]
        self._rows = torch.tensor([places.index(row) for row in rows], device=device)
        start = torch.tensor(places, device=device).unsqueeze(1) * self._samples
        self._arrays = [(a.flatten(0, 1), start if len(a) > 1 else 0) for a in arrays]
        self._batch_size, self._augment = batch_size, augment

    def epoch(self, rows: Callable[[int], int]) -> Iterator[list[Tensor]]:
        """Yield the batches of one epoch, tensors (R, B, ...), for the first R = ``rows(B)`` rows."""
        orders = torch.stack([torch.randperm(self._samples, generator=g, device=g.device) for g in self._orders])
        for index in torch.split(orders.to(self._rows.device), self._batch_size, 1):
            yield self._batch(index, self._rows[: rows(index.shape[1])])

    def _batch(self, index: Tensor, rows: Tensor) -> list[Tensor]:
        if self._augment is None:
            return [_taken(a, (index + start).index_select(0, rows)) for a, start in self._arrays]
        batches = zip(*(_taken(a, index + start) for a, start in self._arrays), strict=True)
        changed = [self._augment(*batch, generator=g) for batch, g in zip(batches, self._noises, strict=True)]
        return [torch.stack(parts).index_select(0, rows) for parts in zip(*changed, strict=True)]


def batch_sizes(samples: int, batch_size: int) -> list[int]:
    """Return how many samples the batches of one epoch hold.

    Examples
    --------
    >>> batch_sizes(70, 32)
    [32, 32, 6]
    """
    whole, rest = divmod(samples, batch_size)
    return [batch_size] * whole + ([rest] if rest else [])


def stacked_sets(data: Any, seeds: Sequence[int], device: torch.device | str | None) -> Sets:
    """Return the parts of the data, one copy per seed where the data are a function of the seed.

    Parameters
    ----------
    data
        ``{"train": (x, y), "val": (x, y), ...}``, tensors with as many samples each, or a function of a seed that
        returns that. Torch's global generator is seeded with it, too, and afterwards as it was before.
    seeds
        For the function.
    device
        Where the data go; ``None``: they stay.

    Raises
    ------
    TypeError, ValueError
        If the data do not look like that, or differ in shape from seed to seed.

    Examples
    --------
    >>> sets = stacked_sets(lambda seed: {"train": (torch.full((5, 2), seed), torch.zeros(5))}, [3, 4], None)
    >>> [a.shape for a in sets["train"]]
    [torch.Size([2, 5, 2]), torch.Size([2, 5])]
    """
    with torch.random.fork_rng(devices=[]):
        one_for_each = [_drawn(data, seed) for seed in seeds] if callable(data) else [_checked(data)]
    first = one_for_each[0]
    return {
        name: tuple(_stacked(name, [d[name] for d in one_for_each], k, device) for k in range(len(first[name])))
        for name in first
    }


def _drawn(data: Callable[[int], Any], seed: int) -> Mapping[str, Any]:
    torch.default_generator.manual_seed(seed)  # who draws from it gets the same, whichever seeds came before
    return _checked(data(seed))


def _stacked(name: str, parts: list[Any], k: int, device: torch.device | str | None) -> Tensor:
    tensors = [part[k] for part in parts]
    if all(tensor is tensors[0] for tensor in tensors):  # a function may return one test set for all seeds
        return tensors[0].unsqueeze(0).to(device)  # type: ignore[no-any-return]
    if len({(tensor.shape, tensor.dtype) for tensor in tensors}) > 1:
        shapes = sorted({f"{tuple(tensor.shape)} of {tensor.dtype}" for tensor in tensors})
        raise ValueError(f"data: {name}[{k}] must be alike for all seeds, got {' and '.join(shapes)}")
    return torch.stack(tensors).to(device)


def _checked(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or "train" not in data:
        raise TypeError(f"data must be a dict with 'train', or a function that returns one, got {_brief(data)}")
    for name, part in data.items():
        if not isinstance(part, tuple | list) or not part or not all(isinstance(t, Tensor) and t.ndim for t in part):
            raise TypeError(f"data: {name!r} must be a tuple of tensors (inputs, targets, ...), got {_brief(part)}")
        if len({len(tensor) for tensor in part}) > 1 or not len(part[0]):
            raise ValueError(f"data: {name!r} must hold as many inputs as targets, got {[len(t) for t in part]}")
    return data


def _brief(value: Any) -> str:
    return f"a dict with {', '.join(map(repr, value))}" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _taken(array: Tensor, index: Tensor) -> Tensor:
    """array[index], by the call that is fast for whole samples."""
    return array.index_select(0, index.flatten()).unflatten(0, index.shape)  # type: ignore[no-untyped-call,no-any-return]
