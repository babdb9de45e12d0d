"""Where the book measures: a few small data sets, named, split anew by every seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from tricks_lib.data.datasets import load_digits8, load_mnist_small
from tricks_lib.learning.draws import stream

__all__ = ["Regime", "digits8", "digits8_noisy", "mnist14_5k", "mnist14_n500"]

Sets = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Regime:
    """A data set as a function of the seed, with the words for the card of a claim.

    Called with a seed, it returns ``{"train": (x, y), "val": (x, y), "test": (x, y)}``: images ``x`` (N, 1, H, W),
    float32 in [0, 1], and labels ``y`` (N,), int64. The seed draws which samples go where; nothing is shared between
    the three. As text it says what it is: ``claim(..., regime=f"{digits8}; 64-64-10 network")``.

    Examples
    --------
    >>> x, y = digits8(7)["train"]
    >>> tuple(x.shape), x.max().item()
    ((1000, 1, 8, 8), 1.0)
    >>> print(digits8)
    digits8: 1,000 training digits of 8 x 8 pixels; seeds redraw the split
    """

    name: str
    text: str
    draw: Callable[[int], Sets]

    def __call__(self, seed: int) -> Sets:
        return self.draw(seed)

    def __str__(self) -> str:
        return f"{self.name}: {self.text}; seeds redraw the split"


def _digits8(seed: int) -> Sets:
    x, y = _digits8_pixels()
    order = _shuffled(len(x), stream(seed, "split")).tensor_split([1000, 1297])
    return {part: (x[some].float() / 16, y[some]) for part, some in zip(("train", "val", "test"), order, strict=True)}


def _digits8_noisy(seed: int) -> Sets:
    """Replace the labels of a fifth of the training digits by another class."""
    sets = dict(_digits8(seed))
    (x, y), noise = sets["train"], stream(seed, "labels")
    wrong = _shuffled(len(y), noise)[: len(y) // 5]
    shift = torch.randint(1, 10, (len(wrong),), generator=noise, device=noise.device)
    return sets | {"train": (x, y.index_put((wrong,), (y[wrong] + shift) % 10))}


def _mnist14(seed: int, n_train: int) -> Sets:
    (x, y, x_test, y_test), split = _mnist14_pixels(), stream(seed, "split")
    train, val = _shuffled(len(x), split).tensor_split([4000])
    test = _shuffled(len(x_test), split)[:2000]
    return {
        "train": (x[train[:n_train]], y[train[:n_train]]),
        "val": (x[val], y[val]),
        "test": (x_test[test], y_test[test]),
    }


def _shuffled(n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator, device=generator.device)


@cache
def _digits8_pixels() -> tuple[Tensor, Tensor]:
    return load_digits8()


@cache  # unpacking the file takes longer than a split; the splits are copies
def _mnist14_pixels() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, y, x_test, y_test = load_mnist_small(side=14)
    return x / 255, y, x_test / 255, y_test


digits8 = Regime("digits8", "1,000 training digits of 8 x 8 pixels", _digits8)
digits8_noisy = Regime(
    "digits8-noisy", "1,000 training digits of 8 x 8 pixels, a fifth of the training labels wrong", _digits8_noisy
)
mnist14_n500 = Regime("mnist14-n500", "500 training digits of MNIST at 14 x 14 pixels", lambda s: _mnist14(s, 500))
mnist14_5k = Regime("mnist14-5k", "4,000 training digits of MNIST at 14 x 14 pixels", lambda s: _mnist14(s, 4000))
