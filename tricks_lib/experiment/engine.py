"""Train a model under many settings with many seeds, as many at once as can be stacked."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tricks_lib.experiment.arms import Arm, read_setting
from tricks_lib.experiment.feed import Sets, stacked_sets
from tricks_lib.experiment.results import Results
from tricks_lib.experiment.settings import Setting
from tricks_lib.experiment.stack import fingerprint
from tricks_lib.experiment.training import Training
from tricks_lib.learning.losses import accuracy, cross_entropy
from tricks_lib.learning.optimizers import SGD, RuleOptimizer

__all__ = ["sweep"]

METRICS: Mapping[str, Callable[..., Any]] = {"loss": cross_entropy, "accuracy": accuracy}
CACHED = 2_000_000  # parameters of one stack: with more, they leave the cache, and training slows down


def sweep(
    make_model: Callable[..., nn.Module],
    data: Any,
    settings: Iterable[Setting] = ({},),
    *,
    seeds: Sequence[int],
    epochs: int,
    batch_size: int = 32,
    optimizer: type[RuleOptimizer] = SGD,
    loss: Callable[..., Tensor] = cross_entropy,
    schedule: Callable[[int], float] | None = None,
    augment: Callable[..., Any] | None = None,
    metrics: Mapping[str, Callable[..., Any]] | None = None,
    eval_every: int = 1,
    device: torch.device | str | None = None,
    max_stack: int = 64,
    keep: bool = False,
) -> Results:
    r"""Train a model under every setting with every seed.

    Models with the same architecture train as one; what cannot be stacked takes turns. Neither this nor
    ``max_stack`` nor the other settings and seeds change the result of a setting with a seed: on the CPU with one
    thread not by a bit.

    Parameters
    ----------
    make_model
        Returns a new model on the CPU, initialized from torch's global generator, which is seeded with the seed.
        Same seed in two settings: same data, order and noise, and the same initial values up to the first layer that
        draws differently.
    data
        ``{"train": (x, y), "val": (x, y), ...}``: tensors with one sample per row; or a function of the seed that
        returns that (torch's global generator is seeded with it, too). More tensors than two reach the loss and the
        metrics as further targets.
    settings
        Dicts, say from `grid` or `random`. A name goes to the one that takes it: ``make_model``, the optimizer (its
        rule: ``lr``, ``momentum``, ...), the loss (``label_smoothing``), the augmentation, or the sweep: ``max_norm``
        (clips the norm of the gradient), ``ema`` (evaluates a running average of the weights with this decay),
        ``label`` (a name for the table), and ``data``, ``epochs``, ``batch_size``, ``optimizer``, ``loss``,
        ``schedule``, ``augment`` in place of the keywords.
    seeds
        Whole numbers, all different.
    epochs, batch_size
        The last batch of an epoch may be smaller. With 0 epochs the new models are evaluated.
    optimizer
        A class from `tricks_lib.learning.optimizers`.
    loss
        (outputs, \*targets, \*\*options) for the batch of one model -> a number, or one for each sample; if the name of
        its first parameter is ``model``: (model, x, \*targets, \*\*options).
    schedule
        Step (0, 1, ...) -> factor of the learning rate.
    augment
        (x, generator=...) -> x, or (x, \*targets, generator=...) -> all of them, for the training batch of one seed.
    metrics
        (outputs, \*targets) of one model -> a number, by name. Default: ``loss`` (without smoothing), ``accuracy``.
    eval_every
        Epochs from one evaluation to the next; there is always one at the end.
    device
        Where to train; ``None``: where the data are.
    max_stack
        The largest number of models at a time.
    keep
        Keep the trained models.

    Returns
    -------
    Results
        Curves ``train_loss`` (what is minimized, mean over the epochs since the last evaluation) and ``val_loss``,
        ``val_accuracy`` and so on for each part of the data but ``train``.

    Raises
    ------
    TypeError, ValueError
        If an argument or a setting is wrong: the message names it, and what is allowed.
    RuntimeError
        If a model draws random numbers otherwise than with `tricks_lib.learning.draws`, or anything else draws from
        torch's global generator during training: results would then depend on what else is in the sweep.

    Notes
    -----
    A model that diverges gets NaN and leaves the others alone. An interrupt (Ctrl-C) returns what there is, with
    ``complete=False``: final and best values of what is not finished are NaN. While they train, all modules are in
    train mode. Metrics of a model with ``ema`` use the average; buffers such as the statistics of batch norm are never
    averaged.

    Examples
    --------
    >>> x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    >>> data = {"train": (x[:40], (x[:40, 0] > 0).long()), "test": (x[40:], (x[40:, 0] > 0).long())}
    >>> settings = [{"lr": 0.001}, {"lr": 0.5, "momentum": 0.9}]
    >>> results = sweep(lambda: nn.Linear(3, 2), data, settings, seeds=[1, 2, 3, 4], epochs=9)
    >>> results.final("test_accuracy").mean(1) > 0.9
    array([False,  True])
    """
    seeds, metrics = _different(seeds), METRICS if metrics is None else metrics
    run = {"data": data, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "loss": loss}
    run |= {"schedule": schedule, "augment": augment}
    arms = [read_setting(i, dict(setting), make_model, run) for i, setting in enumerate(settings)]
    _check_counts(arms, eval_every=eval_every, max_stack=max_stack)
    with torch.random.fork_rng(devices=[]):
        sources = {id(arm.run["data"]): arm.run["data"] for arm in arms}
        sets = {key: stacked_sets(source, seeds, device) for key, source in sources.items()}
        results = _empty(arms, seeds, sets, metrics, eval_every)
        try:
            members = _members(make_model, arms, seeds)
            results.same_start = _same_start(members, len(arms))
            for group in _groups(members, max_stack):
                models, group_arms, places = ([getattr(m, part) for m in group] for part in ("model", "arm", "j"))
                training = Training(models, group_arms, places, seeds, sets[id(group_arms[0].run["data"])])
                _train(training, group, results, metrics, eval_every)
                if keep:
                    _keep(training, group, results)
        except KeyboardInterrupt:
            results.complete = False
    return results


@dataclass(frozen=True)
class _Member:
    """A model with its place in the results: setting i, seed j."""

    i: int
    j: int
    arm: Arm
    model: nn.Module


def _members(make_model: Callable[..., nn.Module], arms: Sequence[Arm], seeds: Sequence[int]) -> list[_Member]:
    members = []
    for j, seed in enumerate(seeds):  # seeds in the outer loop: models with one seed in one stack share its noise
        for i, arm in enumerate(arms):
            torch.default_generator.manual_seed(seed)
            members.append(_Member(i, j, arm, make_model(**arm.model)))
    if len({id(member.model) for member in members}) < len(members):
        raise ValueError("make_model must return a new model with each call, got one of them twice")
    return members


def _same_start(members: Sequence[_Member], settings: int) -> list[bool]:
    """Tell which settings start from the values of the first one, in all parameters that both have."""
    first = {member.j: dict(member.model.named_parameters()) for member in members if member.i == 0}
    same = [True] * settings
    for member in members:
        for name, value in member.model.named_parameters():
            start = first[member.j].get(name, value)
            same[member.i] &= start.shape != value.shape or torch.equal(start, value)
    return same


def _groups(members: Sequence[_Member], max_stack: int) -> list[list[_Member]]:
    """Collect models that can be stacked, in equal groups that are not too large."""
    alike: dict[Any, list[_Member]] = {}
    for member in members:
        alike.setdefault((member.arm.key(), fingerprint(member.model)), []).append(member)
    if len(alike) == len(members) > 8:
        warnings.warn(
            f"no two of the {len(members)} models can be stacked: does make_model define classes or functions anew "
            "with each call, or keep tensors as plain attributes?",
            stacklevel=3,
        )
    groups = []
    for same in alike.values():
        parameters = sum(p.numel() for p in same[0].model.parameters())
        size = max(1, min(max_stack, CACHED // max(1, parameters)))
        parts = -(-len(same) // size)
        groups += [same[part * len(same) // parts : (part + 1) * len(same) // parts] for part in range(parts)]
    return groups


def _empty(
    arms: Sequence[Arm], seeds: list[int], sets: Mapping[int, Sets], metrics: Mapping[str, Any], eval_every: int
) -> Results:
    """Return results with a place for everything that will be measured, all NaN."""
    evaluated = [_evaluated(arm.run["epochs"], eval_every) for arm in arms]
    epochs = sorted(set().union(*evaluated))
    parts = dict.fromkeys(part for some in sets.values() for part in some if part != "train")
    names = ["train_loss", *(f"{part}_{metric}" for part in parts for metric in metrics)]
    curves = {name: np.full((len(arms), len(seeds), len(epochs)), np.nan) for name in names}
    return Results([arm.setting for arm in arms], seeds, epochs, curves, [epochs.index(e[-1]) for e in evaluated])


def _train(
    training: Training,
    group: Sequence[_Member],
    results: Results,
    metrics: Mapping[str, Callable[..., Any]],
    eval_every: int,
) -> None:
    due = _evaluated(group[0].arm.run["epochs"], eval_every)
    settings, seeds = [member.i for member in group], [member.j for member in group]
    losses = []
    for epoch in range(due[-1] + 1):
        if epoch:
            losses.append(training.epoch())
        if epoch in due:
            scores: dict[str, Any] = training.evaluate(metrics)
            if losses:
                scores["train_loss"] = torch.stack(losses, 1).mean(1).cpu().tolist()
                losses.clear()
            for name, values in scores.items():
                results.curves[name][settings, seeds, results.epochs.index(epoch)] = values
    results.stacks.append(len(group))


def _keep(training: Training, group: Sequence[_Member], results: Results) -> None:
    training.finish()
    if results.models is None:
        results.models = [[None] * len(results.seeds) for _ in results.settings]
    for member in group:
        results.models[member.i][member.j] = member.model


def _evaluated(epochs: int, every: int) -> list[int]:
    """Return after how many epochs there is an evaluation."""
    return [*range(every, epochs, every), epochs]


def _different(seeds: Sequence[int]) -> list[int]:
    try:
        whole = [operator.index(seed) for seed in seeds]
    except TypeError:
        raise TypeError(f"seeds must be a list of whole numbers, got {seeds!r}") from None
    if not whole or len(set(whole)) < len(whole):
        raise ValueError(f"seeds must be different, and at least one, got {whole}")
    return whole


def _check_counts(arms: Sequence[Arm], **counts: Any) -> None:
    if not arms:
        raise ValueError("settings must hold at least one setting: [{}] is the one without choices")
    for name, value in counts.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, got {value!r}")
