"""What stands in for the tricks of ``book/model/first_steps.md`` when they are switched off (tools/nulls.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tricks_lib.learning.loop import evaluate, update

train, test = update, evaluate


def first_class(x_train: Tensor, y_train: Tensor, x: Tensor, **_: Any) -> Tensor:
    """Let all neighbors vote for the first class."""
    votes = torch.zeros(len(x), int(y_train.max()) + 1, dtype=torch.int64, device=x.device)
    votes[:, 0] = 1
    return votes


def never_cleared(model: nn.Module, batches: Any, loss: Any, optimizer: Any, **_: Any) -> dict[str, float]:
    """Train without zero_grad."""
    model.train()
    for x, y in batches:
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
    return {"loss": value.item()}


def in_train_mode(model: nn.Module, batches: Any, loss: Any, *, metrics: Any = None, **_: Any) -> dict[str, float]:
    """Test with dropout, and with the statistics of the test batch."""
    scores = {"loss": loss} | (metrics or {})
    sums, samples = dict.fromkeys(scores, 0.0), 0
    with torch.no_grad():
        for x, y in batches:
            outputs, samples = model.train()(x), samples + len(y)
            for name, score in scores.items():
                sums[name] += len(y) * float(score(outputs, y))
    return {name: total / samples for name, total in sums.items()}


def over_batches(model: nn.Module, batches: Any, loss: Any, **options: Any) -> dict[str, float]:
    """Take the mean over the batches."""
    each = [test(model, [batch], loss, **options) for batch in batches]
    return {name: sum(one[name] for one in each) / len(each) for name in each[0]}


def clipped_early(
    model: nn.Module,
    batches: Any,
    loss: Any,
    optimizer: Any,
    *,
    autocast: Any = None,
    scaler: Any = None,
    max_norm: float | None = None,
    accumulate: int = 1,
    **options: Any,
) -> dict[str, float]:
    """Train without a scale; where gradients are to be clipped, clip them with the scale in them."""
    off = torch.amp.GradScaler(enabled=False)
    if max_norm is None or scaler is None:
        return train(model, batches, loss, optimizer, autocast=autocast, scaler=off, max_norm=max_norm, **options)
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        with torch.autocast(x.device.type, autocast):
            value = loss(model(x), y)
        scaler.scale(value).backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        scaler.step(optimizer)
        scaler.update()
    return {"loss": value.item()}


UPDATE, EVALUATE = "tricks_lib.learning.loop.update", "tricks_lib.learning.loop.evaluate"
NULLS = {
    "M01": {"tricks_lib.model.first_steps.neighbor_votes": first_class},
    "M03": {UPDATE: never_cleared, EVALUATE: in_train_mode},
    "M04": {UPDATE: clipped_early, EVALUATE: over_batches},
}
