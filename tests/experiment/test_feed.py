"""Minibatches: every sample once per epoch, targets with their inputs, orders by seed; and the form of the data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests import pretend_gpu
from tricks_lib.experiment.feed import Feed, batch_sizes, stacked_sets
from tricks_lib.learning.draws import stream

pretend_gpu.register()

SAMPLES, SEEDS = 11, [70, 80, 90]


def arrays(sets: int, device: Any = "cpu") -> tuple[Tensor, Tensor]:
    """Inputs (S, 11, 2) that tell set and sample, and targets that are 10 times as large."""
    index = torch.arange(sets * SAMPLES).view(sets, SAMPLES)
    return torch.stack([index, index + 1000], -1).float().to(device), (10 * index).to(device)


def feed(sets: int, rows: list[int], device: Any = "cpu", **options: Any) -> Feed:
    return Feed(arrays(sets, device), seeds=SEEDS, rows=rows, batch_size=4, **options)


@pytest.mark.parametrize("sets", [1, 3])
def test_every_sample_once_with_its_target(sets: int, device: torch.device, global_rng_untouched: None) -> None:
    rows = [2, 0, 2, 1, 0]
    for epoch in (1, 2):
        batches = list(feed(sets, rows, device).epoch(lambda samples: 5))
        assert [x.shape for x, _ in batches] == [(5, 4, 2), (5, 4, 2), (5, 3, 2)], epoch
        x, y = (torch.cat(parts, 1).cpu() for parts in zip(*batches, strict=True))
        assert batches[0][0].device.type == device.type
        assert torch.equal(10 * x[..., 0], y.float()) and torch.equal(x[..., 1], x[..., 0] + 1000)
        for row, place in zip(x[..., 0], rows, strict=True):
            first = place * SAMPLES if sets > 1 else 0
            assert sorted(row.tolist()) == list(range(first, first + SAMPLES))


def test_order_is_the_stream_of_the_seed() -> None:
    mine = feed(1, [1, 0, 1])
    expected = [stream(seed, "order") for seed in (80, 70, 80)]
    orders = []
    for _ in range(2):
        x = torch.cat([x for x, _ in mine.epoch(lambda samples: 3)], 1)[..., 0]
        orders.append(x)
        assert torch.equal(x, torch.stack([torch.randperm(SAMPLES, generator=g) for g in expected]).float())
    assert not torch.equal(*orders) and not torch.equal(orders[0][0], orders[0][1])


def test_only_the_rows_that_are_asked_for() -> None:
    sizes = [len(x) for x, _ in feed(1, [0, 1, 2, 0, 1]).epoch(lambda samples: 2 if samples == 4 else 5)]
    assert sizes == [2, 2, 5]


@pytest.mark.parametrize("sets", [1, 3])
def test_augmentation_sees_one_seed_at_a_time(sets: int, device: torch.device) -> None:
    def augment(x: Tensor, y: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        assert x.shape[1:] == (2,) and len(x) == len(y)
        return x + torch.rand(1, generator=generator).to(x.device), y

    plain, changed = feed(sets, [2, 0, 2], device), feed(sets, [2, 0, 2], device, augment=augment)
    noises = [stream(90, "augment"), stream(70, "augment")]
    for (x, y), (x2, y2) in zip(plain.epoch(lambda s: 3), changed.epoch(lambda s: 3), strict=True):
        a, b = (torch.rand(1, generator=g) for g in noises)
        expected = x.cpu() + torch.stack([a, b, a]).unsqueeze(-1)
        assert torch.equal(x2.cpu(), expected) and torch.equal(y2.cpu(), y.cpu())


def test_augmentation_may_add_and_replace_targets() -> None:
    def augment(x: Tensor, y: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        return x, y.double(), y.flip(0)

    for x, a, b in feed(1, [0, 1], augment=augment).epoch(lambda samples: 2):
        assert torch.equal(a, 10 * x[..., 0].double()) and torch.equal(b.flip(1).double(), a)


@pytest.mark.parametrize("n, size, sizes", [(8, 4, [4, 4]), (3, 4, [3]), (9, 4, [4, 4, 1]), (1, 1, [1])])
def test_batch_sizes(n: int, size: int, sizes: list[int]) -> None:
    assert batch_sizes(n, size) == sizes


def test_sets_are_shared_or_one_for_each_seed(device: torch.device) -> None:
    test = torch.zeros(2, 3), torch.zeros(2)
    one = {"train": (torch.ones(5, 3), torch.arange(5)), "test": test}
    shared = stacked_sets(one, SEEDS, device)
    assert [t.shape for t in shared["train"]] == [(1, 5, 3), (1, 5)] and shared["train"][0].device.type == device.type
    each = stacked_sets(
        lambda seed: {"train": (torch.full((5, 3), float(seed)), torch.arange(5)), "test": test}, SEEDS, None
    )
    assert [t.shape for t in each["train"]] == [(3, 5, 3), (3, 5)] and [t.shape for t in each["test"]] == [
        (1, 2, 3),
        (1, 2),
    ]
    assert each["train"][0][:, 0, 0].tolist() == SEEDS


GOOD = (torch.zeros(4, 2), torch.zeros(4))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (GOOD, TypeError, "data must be a dict with 'train', or a function that returns one, got a tuple"),
        ({"test": GOOD}, TypeError, "data must be a dict with 'train'.*got a dict with 'test'"),
        ({"train": torch.zeros(4)}, TypeError, "data: 'train' must be a tuple of tensors .*got a Tensor"),
        ({"train": ()}, TypeError, "data: 'train' must be a tuple of tensors"),
        ({"train": (torch.zeros(4), [0])}, TypeError, "data: 'train' must be a tuple of tensors"),
        ({"train": (torch.tensor(1.0),)}, TypeError, "data: 'train' must be a tuple of tensors"),
        (
            {"train": GOOD, "val": (torch.zeros(4), torch.zeros(3))},
            ValueError,
            r"data: 'val' must hold as many .*\[4, 3\]",
        ),
        ({"train": (torch.zeros(0, 2), torch.zeros(0))}, ValueError, r"data: 'train' must hold as many inputs"),
        (lambda seed: GOOD, TypeError, "data must be a dict"),
        (
            lambda seed: {"train": (torch.zeros(seed, 2).float(), torch.zeros(seed))},
            ValueError,
            r"data: train\[0\] must be alike for all seeds, got \(70, 2\) of torch.float32 and \(80, 2\)",
        ),
        (
            lambda seed: {
                "train": (torch.zeros(4), torch.zeros(4, dtype=torch.int64 if seed == 70 else torch.float32))
            },
            ValueError,
            r"data: train\[1\] must be alike",
        ),
    ],
)
def test_bad_data_are_named(data: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        stacked_sets(data, SEEDS, None)
