"""Random numbers for layers and noise: from a generator, or, where many models train at once, one stream per model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

__all__ = ["ModelStreams", "normal_like", "stream", "uniform_like"]


def uniform_like(x: Tensor, *, generator: torch.Generator | ModelStreams | None = None) -> Tensor:
    """Draw numbers that are uniform in [0, 1), one for each number in ``x``.

    Parameters
    ----------
    x
        Of any shape and floating-point type.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator of the device of ``x``. Within
        `ModelStreams.at` each model draws from its own stream instead. `ModelStreams` themselves may be passed for
        an ``x`` with a row per model.

    Returns
    -------
    Tensor
        Of the shape, type and device of ``x``; without a gradient.

    Examples
    --------
    >>> x = torch.zeros(3, dtype=torch.float32)
    >>> [round(u, 4) for u in uniform_like(x, generator=torch.Generator().manual_seed(0)).tolist()]
    [0.4963, 0.7682, 0.0885]
    """
    return _draw("uniform_", x, generator)


def normal_like(x: Tensor, *, generator: torch.Generator | ModelStreams | None = None) -> Tensor:
    """Draw standard normal numbers, one for each number in ``x``.

    Parameters
    ----------
    x, generator
        As for `uniform_like`.

    Returns
    -------
    Tensor
        Of the shape, type and device of ``x``; without a gradient.

    Examples
    --------
    >>> normal_like(torch.zeros(3), generator=torch.Generator().manual_seed(0))
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    return _draw("normal_", x, generator)


def stream(*key: int | str) -> torch.Generator:
    """Return a generator whose state is hashed from a key: different keys are unrelated.

    Parameters
    ----------
    key
        Such as a seed and what the numbers are for.

    Returns
    -------
    torch.Generator
        On the CPU, so that the numbers are the same on every device.

    Examples
    --------
    >>> torch.randperm(5, generator=stream(0, "order"))
    tensor([1, 4, 3, 2, 0])
    """
    return torch.Generator().manual_seed(_hashed(*key))


class ModelStreams:
    """Numbers for models that are stacked: what a model draws depends on its seed, the step and the how-many-th call.

    It does not depend on the other models, nor on how many there are. Models with the same seed draw the same.

    Parameters
    ----------
    seeds
        One for each model.

    Examples
    --------
    >>> streams = ModelStreams([7, 8, 7])
    >>> with streams.at(step=1):
    ...     noise = torch.func.vmap(uniform_like)(torch.zeros(3, 2))
    >>> torch.equal(noise[0], noise[2]), torch.equal(noise[0], noise[1])
    (True, False)
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = list(dict.fromkeys(seeds))
        self._rows = torch.tensor([self._seeds.index(seed) for seed in seeds], device="cpu")
        self._generator = torch.Generator()
        self._step = self._calls = 0

    @contextmanager
    def at(self, step: int) -> Iterator[None]:
        """Make `uniform_like` and `normal_like` draw from these streams, as of a step."""
        self._step, self._calls = step, 0
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    @staticmethod
    def active() -> ModelStreams | None:
        """Return the streams of the block that the program is in, if any."""
        return _active.get()

    def draw(self, method: str, like: Tensor, shape: Sequence[int], models: int | None = None) -> Tensor:
        """Return numbers (models, \\*shape) for the first models; without ``models``, for the only one.

        Raises
        ------
        RuntimeError
            If there are several models, but the numbers were asked for once: for a tensor that they share.
        """
        if models is None and len(self._seeds) > 1:
            raise RuntimeError(f"a tensor of shape {tuple(shape)} is the same for all models: draw for one that is not")
        self._calls += 1
        noise = torch.empty(len(self._seeds), *shape, dtype=like.dtype, device="cpu")
        for seed, row in zip(self._seeds, noise, strict=True):
            getattr(row, method)(generator=self._generator.manual_seed(_hashed(seed, self._step, self._calls)))
        return noise.index_select(0, self._rows[:models]).to(like.device)


_active: ContextVar[ModelStreams | None] = ContextVar("_active", default=None)


def _draw(method: str, x: Tensor, generator: torch.Generator | ModelStreams | None) -> Tensor:
    if isinstance(generator, ModelStreams):
        return generator.draw(method, x, x.shape[1:], len(x))
    if (streams := _active.get()) is not None:
        return _OwnDraw.apply(x.detach(), method, streams)  # type: ignore[no-any-return, no-untyped-call]
    device = x.device if generator is None else generator.device
    noise = torch.empty(x.shape, dtype=x.dtype, device=device)
    return getattr(noise, method)(generator=generator).to(x.device)  # type: ignore[no-any-return]


class _OwnDraw(torch.autograd.Function):
    """A draw with a rule for `torch.func.vmap`, which sees one model and cannot tell which."""

    @staticmethod
    def forward(x: Tensor, method: str, streams: ModelStreams) -> Tensor:
        return streams.draw(method, x, x.shape)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """Keep nothing: `_draw` detaches x, so that noise has no gradient."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, method: str, streams: ModelStreams) -> tuple[Tensor, int]:
        shape = list(x.shape)
        if in_dims[0] is not None:
            del shape[in_dims[0]]
        return streams.draw(method, x, shape, info.batch_size), 0


def _hashed(*key: int | str) -> int:
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest())
