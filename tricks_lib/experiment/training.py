"""One stack of models in training: everything that has a row for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tricks_lib.experiment.arms import Arm
from tricks_lib.experiment.feed import Feed, Sets, batch_sizes
from tricks_lib.experiment.stack import Stack
from tricks_lib.learning.averaging import ema_step
from tricks_lib.learning.clipping import clip_factor
from tricks_lib.learning.draws import ModelStreams
from tricks_lib.learning.optimizers import Each

__all__ = ["Training"]

EVALUATED = 256  # samples at a time, at most


class Training:
    """Models that train together.

    Parameters
    ----------
    models, arms
        K of each; they have the same `fingerprint` and the same `Arm.key`.
    places
        For each model the place of its seed among the seeds.
    seeds
        All seeds of the sweep.
    sets
        The data, as `stacked_sets` returns them.
    """

    def __init__(
        self, models: Sequence[nn.Module], arms: Sequence[Arm], places: Sequence[int], seeds: Sequence[int], sets: Sets
    ) -> None:
        self._arm, self._models, self._sets = arms[0], models, sets
        (x, *_), batch_size = sets["train"], self._arm.run["batch_size"]
        device, self._sizes = x.device, batch_sizes(x.shape[1], batch_size)
        smallest = min(*self._sizes, *(min(_even(x.shape[1])) for x, *_ in sets.values()))
        self.stack = Stack(models, batch=smallest, device=device)
        spare = self.stack.rows(smallest) - len(models)
        rows, all_arms = [*places, *[places[0]] * spare], [*arms, *[self._arm] * spare]
        self._places = torch.tensor(rows, device=device)
        self._streams = ModelStreams([seeds[place] for place in rows])
        self._feed = Feed(sets["train"], seeds=seeds, rows=rows, batch_size=batch_size, augment=self._arm.augment())
        self._hyper = {taker: self._columns(taker, all_arms) for taker in self._arm.numbers}
        self._factors = self._schedules(arms)
        self._state = {slot: self._each(torch.zeros_like(self.stack.flat)) for slot in self._arm.run["optimizer"].slots}
        self._average = self.stack.flat.clone() if "ema" in self._hyper["sweep"] else None
        (self._loss, self._takes_model), self._step = self._arm.loss(), 0

    def epoch(self) -> Tensor:
        """Train for one epoch; return the mean of the losses (K,)."""
        before, total = torch.get_rng_state(), []
        for x, *targets in self._feed.epoch(self.stack.rows):
            self._step += 1
            hyper = {name: column[: len(x), 0] for name, column in self._hyper["loss"].items()}
            with self._streams.at(self._step):
                total.append(self.stack.losses(self._loss, hyper, x, *targets, model=self._takes_model))
            self._update()
        if not torch.equal(before, torch.get_rng_state()):
            raise RuntimeError(
                "model, loss or augment drew from torch's global generator, so that results would depend on what else "
                "is in the sweep: draw with tricks_lib.learning.draws, or with the generator that augment is given"
            )
        return torch.stack(total, 1).mean(1)  # along rows: sums down a column depend on where it stands

    def evaluate(self, metrics: Mapping[str, Callable[..., Any]]) -> dict[str, list[float]]:
        """Return each metric on each part of the data but ``train``, for the K models."""
        scores = {}
        for part, (x, *targets) in self._sets.items():
            if part != "train":
                outputs = self._outputs(x)
                rows = self._places[: len(_first(outputs))]
                own = [t.index_select(0, rows) if len(t) > 1 else t.expand(len(rows), *t.shape[1:]) for t in targets]
                for name, metric in metrics.items():
                    scores[f"{part}_{name}"] = _scores(name, metric, outputs, own, self.stack.count)
        return scores

    def finish(self) -> None:
        """Put the trained weights, or their running averages, into the models."""
        for k, model in enumerate(self._models):
            self.stack.load(k, model, self._average)

    @torch.no_grad()
    def _update(self) -> None:
        flat, own = self.stack.flat, self._hyper["sweep"]
        g = Each(self.stack.gradients)
        if "max_norm" in own:
            norms = [torch.linalg.vector_norm(part, dim=1) for part in g.tensors]
            norm = torch.linalg.vector_norm(torch.stack(norms, 1), dim=1, keepdim=True)
            g = g.mul(clip_factor(norm, own["max_norm"][: len(flat)]))
        hyper = {name: column[: len(flat)] for name, column in self._hyper["optimizer"].items()}
        hyper["lr"] = hyper["lr"] * self._factors[self._step - 1]
        fixed = self._arm.fixed["optimizer"]
        self._arm.run["optimizer"].rule(self._each(flat), g, self._state, self._step, **hyper, **fixed)
        if self._average is not None:
            ema_step(self._average, flat, own["ema"][: len(flat)])

    def _each(self, matrix: Tensor) -> Each:
        return Each(self.stack.columns(matrix))

    def _outputs(self, x: Tensor) -> Any:
        parts = []
        for chunk in torch.split(x, _even(x.shape[1]), 1):
            places = self._places[: self.stack.rows(chunk.shape[1])]
            own = chunk.index_select(0, places) if len(x) > 1 else chunk.expand(len(places), *chunk.shape[1:])
            parts.append(self.stack.outputs(own, self._average))
        return _joined(parts)

    def _columns(self, taker: str, arms: Sequence[Arm]) -> dict[str, Tensor]:
        """Return the numbers of all rows, (R, 1) by name."""
        return {
            name: self.stack.flat.new_tensor([[arm.numbers[taker][name]] for arm in arms])
            for name in self._arm.numbers[taker]
        }

    def _schedules(self, arms: Sequence[Arm]) -> Tensor:
        """Return the factors of the learning rates (steps, K, 1)."""
        schedules = [arm.run["schedule"] for arm in arms]
        steps = range(self._arm.run["epochs"] * len(self._sizes))
        known = {id(s): [float(s(step)) if s else 1.0 for step in steps] for s in schedules}
        return self.stack.flat.new_tensor([known[id(s)] for s in schedules]).T.unsqueeze(-1)


def _even(samples: int) -> list[int]:
    """Return the sizes of the batches of an evaluation: no more than `EVALUATED`, and as equal as they can be."""
    return [len(part) for part in torch.arange(samples, device="cpu").tensor_split(-(-samples // EVALUATED))]


def _scores(name: str, metric: Callable[..., Any], outputs: Any, targets: Sequence[Tensor], count: int) -> list[float]:
    """Return a metric for each model: at once if it can be, else one after the other."""
    values: list[Any]
    try:
        values = torch.func.vmap(metric)(outputs, *targets)[:count].cpu().double().tolist()
    except Exception:  # it uses NumPy, say, or decides by values: what is wrong with it in itself shows below
        values = [metric(_row(outputs, k), *(target[k] for target in targets)) for k in range(count)]
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"metric {name!r} must return one number, got {values[0]!r}") from None


def _joined(parts: list[Any]) -> Any:
    """Join outputs (R, N, ...), tensors or tuples of tensors, along N."""
    if isinstance(parts[0], Tensor):
        return torch.cat(parts, 1)
    return tuple(_joined(list(same)) for same in zip(*parts, strict=True))


def _row(outputs: Any, k: int) -> Any:
    return outputs[k] if isinstance(outputs, Tensor) else tuple(_row(output, k) for output in outputs)


def _first(outputs: Any) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else _first(outputs[0])
