"""What stands in for the tricks of `book/data/looking.md` when `make null` switches them off."""

from __future__ import annotations

import torch
from torch import Tensor

from tricks_lib.data import datasets, looking


def in_random_order(*, side: int = 28) -> datasets.ImageData:
    """Load the digits with the test file shuffled: its order says nothing."""
    data = _load(side=side)
    order = torch.randperm(len(data.y_test), generator=torch.Generator().manual_seed(1))
    return data._replace(x_test=data.x_test[order], y_test=data.y_test[order])


def at_random(score: Tensor, *, share: float) -> Tensor:
    """Return as many samples as the oddest, but any."""
    count = len(_most_atypical(score, share=share))
    shuffle = torch.Generator().manual_seed(int(score.double().sum().item()) % 2**31)
    return torch.randperm(len(score), generator=shuffle)[:count].to(score.device)


def one_constant(x: Tensor) -> Tensor:
    """Say of every feature but the first, a corner of the image, that it varies."""
    varies = torch.zeros_like(_constant_features(x))
    varies.flatten()[0] = True
    return varies


def blank(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation zero."""
    mean, std = _mean_std(x)
    return torch.zeros_like(mean), torch.zeros_like(std)


_load, _most_atypical = datasets.load_mnist_small, looking.most_atypical
_constant_features, _mean_std = looking.constant_features, looking.mean_std

NULLS = {
    "D01": {"tricks_lib.data.datasets.load_mnist_small": in_random_order},
    "D02": {"tricks_lib.data.looking.most_atypical": at_random},
    "D03": {
        "tricks_lib.data.looking.constant_features": one_constant,
        "tricks_lib.data.looking.mean_std": blank,
    },
}
