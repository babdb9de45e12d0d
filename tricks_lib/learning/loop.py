"""The two halves of a training loop, `update` and `evaluate`, and checkpoints that resume it bit for bit."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import Dataset

from tricks_lib.learning import checkpoint

__all__ = ["evaluate", "load_checkpoint", "save_checkpoint", "update"]

Score = Callable[[Any, Any], Tensor]  # (outputs, targets) -> mean over the batch, a tensor of shape ()


def update(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Score,
    optimizer: Optimizer,
    *,
    metrics: Mapping[str, Score] | None = None,
    device: torch.device | str | None = None,
    schedule: LRScheduler | None = None,
    max_norm: float | None = None,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    accumulate: int = 1,
    progress: bool = False,
) -> dict[str, float]:
    r"""Train for one pass over the batches.

    For every batch: clear the gradients, forward, loss, backward, clip (if asked to), optimizer step, schedule
    step. A batch whose loss is not finite ends the pass before it changes a parameter.

    Parameters
    ----------
    model
        Called as ``model(inputs)``. A model in eval mode is put into train mode as a whole. In a model that is in
        train mode already, the submodules that are in eval mode stay so: to freeze batch norm, call
        ``model.train()``, then ``model.norm.eval()``. After the pass every module has the flag it came with.
    batches
        Iterable of pairs ``(inputs, targets)``, such as a ``DataLoader``. Each of the two is a tensor, or tuples,
        lists and dicts of tensors. The batch size is the length of the first tensor in the targets (if there is
        none, in the inputs).
    loss
        Maps (outputs, targets) to the *mean over the batch*, a tensor of shape ``()``.
    optimizer
        Built for parameters of this model. Their gradients are cleared before each batch; those of the last batch
        stay readable.
    metrics
        More to average, by name: functions of (outputs, targets) that return a batch mean. They see the outputs
        that the step is computed from (so with dropout on). They may be NaN; the loss may not. They run outside
        autocast: a tensor of outputs is given to them as float32, those in tuples and dicts as the model made them.
    device
        Where the batches are moved; default: the device of the model's first parameter. The model is not moved.
    schedule
        Advanced once per *optimizer step*, not per epoch, as in ``LambdaLR(optimizer, multiplier_of_the_step)``.
        Not ``ReduceLROnPlateau``: call its ``step`` yourself with a result of `evaluate`.
    max_norm
        Bound on the norm of the gradients of all the optimizer's parameters, taken as one vector.
    autocast
        ``torch.bfloat16`` or ``torch.float16``: forward pass and loss run under ``torch.autocast``.
    scaler
        Made once for a training, as in ``torch.amp.GradScaler(device.type)``: float16 needs one, and bfloat16, whose
        exponents are those of float32, does not. A step whose gradients overflow is then skipped, and the scale halved.
    accumulate
        How many batches make up one optimizer step; at the end perhaps fewer. They are read together, but moved to
        the device one by one. Their gradients are weighted by samples, which makes it the step of one large batch,
        but for layers that mix samples (batch normalization), and losses that do not divide by the number of samples
        (ignored targets, class weights, means over tokens).
    progress
        Show a progress bar.

    Returns
    -------
    dict[str, float]
        ``"loss"`` and the metrics, averaged over the samples: a short last batch counts for what it holds.

    Raises
    ------
    FloatingPointError
        If a loss, or a gradient norm to be clipped, is not finite. Earlier batches have been trained on; the
        parameters and the optimizer are as this batch found them (batch norm's running statistics are not: they
        belong to the forward pass). With a scaler, gradients that are not finite do not raise at once: the step is
        skipped. The step that finds a scale below ``2**-14``, after many skipped ones, does.
    TypeError, ValueError
        If a batch is not a pair, the loss not a scalar or declared as a sum, or there is no batch at all; before
        any step, if an argument is not what belongs in its place (a data set for a loader, the class of a loss,
        the optimizer of another model).

    Notes
    -----
    With :math:`n_b` samples in batch :math:`b`, and its mean :math:`\ell_b` under the parameters of that moment,

    .. math:: \bar\ell = \sum_b n_b \ell_b \Big/ \sum_b n_b ,

    summed in float64. To look at the loss before the step, the program must wait for the device once per batch;
    sums kept on the device would save nothing. A batch mean that does not divide by the number of samples (class
    weights, ignored targets) is averaged all the same, but the result is then no mean over samples.

    Gradients are clipped after the scaler has divided them by its scale: ``max_norm`` means the same with and without
    it. A step that it skips does not advance the schedule. To resume, save ``scaler.state_dict()`` among the extra
    values of `save_checkpoint`.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(20, 3)
    >>> batches = list(zip(x.split(8), x.sum(1, keepdim=True).split(8)))
    >>> model = nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> for epoch in range(30):
    ...     averages = update(model, batches, nn.functional.mse_loss, optimizer)
    >>> averages["loss"] < 1e-3
    True
    """
    _check_training(model, optimizer, schedule, max_norm)
    _check_arguments(batches, loss, metrics)
    _check_precision(autocast, scaler)
    if (accumulate := operator.index(accumulate)) < 1:
        raise ValueError(f"accumulate must be at least 1, got {accumulate}")
    place = device or _device(model)
    averages, scaler = _Averages(metrics), scaler or torch.amp.GradScaler(enabled=False)  # which does nothing
    with _mode(model, training=True):
        for group in _groups(_read(batches, progress), accumulate):
            optimizer.zero_grad(set_to_none=True)
            samples = sum(batch.size for batch in group)
            for batch in _moved(group, place):
                outputs, value = _forward(model, loss, batch, place, autocast)
                averages.add(batch, outputs, value)  # raises if the loss is not finite
                value = value * (batch.size / samples) if len(group) > 1 else value  # no product that does nothing
                scaler.scale(value).backward()  # type: ignore[no-untyped-call]
            if _step(optimizer, scaler, max_norm, group[-1]) and schedule is not None:
                schedule.step()
    return averages.result()


def evaluate(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Score,
    *,
    metrics: Mapping[str, Score] | None = None,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Average the loss and the metrics over the samples, and leave everything as it was.

    The whole model is in eval mode for the pass; after it, or after an exception, every module has the flag it
    came with. No gradient is recorded and none is touched. torch's global random states are put back (a
    ``DataLoader`` draws from them even when it does not shuffle), so that evaluating more or less often does not
    change the training around it. A generator that the caller gave to the loader belongs to the caller.

    Parameters
    ----------
    model, batches, loss, metrics, device, autocast, progress
        As for `update`.

    Returns
    -------
    dict[str, float]
        ``"loss"`` and the metrics, averaged over the samples as in `update`.

    Raises
    ------
    FloatingPointError
        If the loss of a batch is not finite.
    TypeError, ValueError
        As `update`.

    Notes
    -----
    Runs under ``torch.no_grad``, not ``torch.inference_mode``: what a model or a data set computes here and keeps
    (a mask, a table of positions) can be used in training later, and a metric may switch gradients on.

    Examples
    --------
    >>> model = nn.Identity()
    >>> batches = [(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)), (torch.tensor([4.0]), torch.zeros(1))]
    >>> evaluate(model, batches, nn.functional.l1_loss)
    {'loss': 2.5}
    """
    _check_arguments(batches, loss, metrics)
    _check_precision(autocast, torch.amp.GradScaler(enabled=False))
    averages, place = _Averages(metrics), device or _device(model)
    with _mode(model, training=False), checkpoint.random_states_kept(), torch.no_grad():
        for batch in _moved(_read(batches, progress), place):
            averages.add(batch, *_forward(model, loss, batch, place, autocast))
    return averages.result()


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    schedule: LRScheduler | None = None,
    generators: Mapping[str, torch.Generator] | None = None,
    **extra: Any,
) -> None:
    """Write all that a run needs to go on after an epoch as if it had never stopped.

    The file holds the states of the parts given, torch's global random states (of the CPU and the accelerator; not
    those of NumPy or ``random``) and the extra values. Buffers with ``persistent=False`` are not saved. The file
    appears under its name only when it is complete: a run that dies while saving leaves the previous checkpoint
    as it was.

    Parameters
    ----------
    path
        The file; one process at a time may write it. It is first written as ``.<name>.tmp`` beside it; what a
        killed run leaves there, the next save replaces.
    model, optimizer, schedule
        Their ``state_dict`` is stored, tensors on the CPU. A `LambdaLR` multiplier that is a frozen dataclass is
        not: it comes from the code, like the layers of the model.
    generators
        By name. With the generator of a ``DataLoader`` among them, the order of the samples goes on, too.
    **extra
        Plain data to get back: numbers, strings, tensors, and dicts, lists, tuples, sets of them.

    Raises
    ------
    TypeError
        If something is not plain data; the message says what. Nothing is written then.
    ValueError
        If the optimizer steps a parameter that the model does not hold, as nothing would save it.

    Examples
    --------
    See `load_checkpoint`.
    """
    parts = _parts(model, optimizer, schedule, generators)
    checkpoint.write(path, checkpoint.capture(parts, extra))


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    schedule: LRScheduler | None = None,
    generators: Mapping[str, torch.Generator] | None = None,
    map_location: torch.device | str | None = None,
) -> dict[str, Any]:
    """Put a saved run back into its parts, all of them or none, and return the extra values.

    Pass the parts that were saved, built as they were then: the run then goes on bit for bit, torch's global
    random states included. Pass the model alone to take only the weights: nothing else is touched, the random
    states neither, which come back only with an optimizer or generators.

    Parameters
    ----------
    path
        A file of `save_checkpoint`. It is read with ``weights_only=True``: no code in it is run.
    model, optimizer, schedule, generators
        What to restore. Everything stays on the device that it is on.
    map_location
        Where tensors among the extra values go; default: the CPU.

    Returns
    -------
    dict[str, Any]
        The extra values that were saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or is no checkpoint, or if it does not fit the parts; the message says which part,
        and which parameter (its shape and dtype count). Nothing has been changed then.

    Notes
    -----
    Random states of accelerators that this machine lacks are left out.

    Examples
    --------
    >>> import tempfile
    >>> model = nn.Linear(3, 2)
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.pt", model=model, optimizer=optimizer, epoch=7)
    ...     nn.init.zeros_(model.weight).sum().item()
    ...     load_checkpoint(f"{folder}/run.pt", model=model, optimizer=optimizer)
    0.0
    {'epoch': 7}
    >>> bool(model.weight.any())
    True
    """
    content = checkpoint.read(path)
    checkpoint.restore(_parts(model, optimizer, schedule, generators), content, path)
    return {name: _to(map_location, value) for name, value in content["extra"].items()}


class _Batch(NamedTuple):
    number: int
    size: int
    inputs: Any
    targets: Any


class _Averages:
    """Sums of size * (batch mean), as Python floats, which are float64."""

    def __init__(self, metrics: Mapping[str, Score] | None) -> None:
        self.metrics = metrics or {}
        self.sums = dict.fromkeys(["loss", *self.metrics], 0.0)
        self.samples = 0

    def add(self, batch: _Batch, outputs: Any, loss: Tensor) -> None:
        values = {"loss": _number("loss", loss)}
        _check_finite("loss", values["loss"], batch)
        with torch.no_grad():
            values |= {name: _number(name, metric(outputs, batch.targets)) for name, metric in self.metrics.items()}
        for name, value in values.items():
            self.sums[name] += batch.size * value
        self.samples += batch.size

    def result(self) -> dict[str, float]:
        if not self.samples:
            raise ValueError("batches is empty: an iterator that is used up, or a loader that drops its only batch?")
        return {name: total / self.samples for name, total in self.sums.items()}


def _check_arguments(batches: Any, loss: Any, metrics: Mapping[str, Score] | None) -> None:
    if isinstance(batches, Dataset) and not hasattr(batches, "__iter__"):  # an IterableDataset may hold batches
        remedy = "wrap it in a DataLoader, as in DataLoader(dataset, batch_size=64)"
        raise TypeError(f"batches is {_kind(batches)}, which holds single samples; {remedy}")
    if isinstance(loss, type):
        raise TypeError(f"loss is a class; write {loss.__name__}()")
    if not callable(loss):
        raise TypeError(f"loss must be a function of (outputs, targets), got {_kind(loss)}")
    if _reduction(loss) == "sum":
        raise ValueError('loss must be a mean over the batch, but has reduction="sum"; scale the learning rate')
    if "loss" in (metrics or {}):
        raise ValueError('metrics must not use the name "loss": the result has the loss under it')


def _check_training(model: nn.Module, optimizer: Any, schedule: Any, max_norm: float | None) -> None:
    if not isinstance(optimizer, Optimizer):
        order = "the order is update(model, batches, loss, optimizer)"
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {_kind(optimizer)}; {order}")
    if not set(_stepped(optimizer)) & set(model.parameters()):
        raise ValueError("optimizer steps no parameter of model: was it built for another one?")
    _check_schedule(schedule, optimizer)
    if max_norm is not None and not max_norm > 0:
        raise ValueError(f"max_norm must be positive, got {max_norm}")


def _check_precision(autocast: Any, scaler: Any) -> None:
    if autocast not in (None, torch.bfloat16, torch.float16):
        raise ValueError(f"autocast must be torch.bfloat16, torch.float16 or None, got {autocast}")
    if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
        raise TypeError(f"scaler must be a torch.amp.GradScaler, got {_kind(scaler)}")
    if autocast is torch.float16 and scaler is None:
        raise ValueError("scaler must be given with autocast=torch.float16; GradScaler(enabled=False) goes without")


def _check_schedule(schedule: Any, optimizer: Optimizer) -> None:
    if isinstance(schedule, ReduceLROnPlateau):
        raise TypeError(
            "schedule is advanced after each optimizer step, but ReduceLROnPlateau needs a value to watch: do not "
            'pass it; after each pass, call plateau.step(averages["loss"]) with the averages of evaluate'
        )
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ValueError("schedule drives another optimizer than the one passed as optimizer")


def _reduction(loss: Any) -> Any:
    if isinstance(loss, partial):
        return loss.keywords.get("reduction", _reduction(loss.func))
    return getattr(loss, "reduction", "mean")


def _stepped(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Train or eval mode; then each module's own flag again."""
    before = model.training
    flags = [(module, module.training) for module in model.modules()]
    try:
        if not (training and before):  # a model in train mode is as the caller wants it, frozen parts included
            model.train(training)
        yield
    finally:
        model.train(before)  # a model may do more in its own train() than set flags
        for module, flag in flags:
            module.training = flag


def _device(model: nn.Module) -> torch.device | None:
    return next((parameter.device for parameter in model.parameters()), None)


def _read(batches: Iterable[Any], progress: bool) -> Iterator[_Batch]:
    if progress:
        from tqdm import tqdm  # here: who shows no bar need not load it

        batches = tqdm(batches, leave=False)
    for number, batch in enumerate(batches):
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise TypeError(f"batches must hold pairs (inputs, targets), but {_ordinal(number)} is {_brief(batch)}")
        size = next((len(x) for x in _tensors(batch[::-1]) if x.ndim), 0)  # targets first
        if not size:
            raise ValueError(f"{_ordinal(number)} holds no samples: {_brief(batch)}")
        yield _Batch(number, size, *batch)


def _moved(batches: Iterable[_Batch], device: torch.device | str | None) -> Iterator[_Batch]:
    # One by one: whoever accumulates may lack the memory for more.
    return (_Batch(number, size, _to(device, x), _to(device, y)) for number, size, x, y in batches)


def _to(device: torch.device | str | None, data: Any) -> Any:
    """Move what can be moved, in tuples, lists and dicts, too; pass on the rest."""
    if device is None:
        return data
    if hasattr(data, "to"):
        return data.to(device)
    if isinstance(data, Mapping):
        return {key: _to(device, value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        moved = [_to(device, value) for value in data]
        return type(data)(*moved) if hasattr(data, "_fields") else type(data)(moved)
    return data


def _tensors(data: Any) -> Iterator[Tensor]:
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, Mapping | tuple | list):
        for value in data.values() if isinstance(data, Mapping) else data:
            yield from _tensors(value)


def _number(name: str, value: Any) -> float:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must return a tensor of shape (), got {type(value).__name__}")
    if value.ndim:
        raise ValueError(f"{name} must return the mean over the batch, of shape (), got shape {tuple(value.shape)}")
    return float(value.item())


def _check_finite(name: str, value: float, batch: _Batch) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{name} is {value} at {_ordinal(batch.number)}. Usual causes: a learning rate that is too high, the log "
            "of 0 or a division by it, inputs that are not finite. The parameters are as they were before this batch."
        )


def _groups(batches: Iterator[_Batch], size: int) -> Iterator[list[_Batch]]:
    return iter(lambda: list(islice(batches, size)), [])


def _precision(device: torch.device | str | None, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    if dtype is None:
        return nullcontext()
    return torch.autocast(torch.device(device or torch.get_default_device()).type, dtype)


def _forward(model: nn.Module, loss: Score, batch: _Batch, device: Any, autocast: Any) -> tuple[Any, Tensor]:
    """Outputs, as metrics get them, and the loss."""
    with _precision(device, autocast):
        outputs = model(batch.inputs)
        value = loss(outputs, batch.targets)
    coarse = isinstance(outputs, Tensor) and outputs.dtype == autocast  # as most losses do not take it, either
    return outputs.float() if coarse else outputs, value


def _step(optimizer: Optimizer, scaler: torch.amp.GradScaler, max_norm: float | None, batch: _Batch) -> bool:
    """Clip and step; false if the scaler skipped the step."""
    if (scale := scaler.get_scale()) < 2**-14:  # no gradient is so large; at 0, the scaler would divide by it
        what = f"scaler skipped so many steps that the scale fell to {scale} before {_ordinal(batch.number)}"
        raise FloatingPointError(f"{what}: the gradients themselves are not finite. The parameters were not changed.")
    scaler.unscale_(optimizer)  # before the clipping: the bound is one on the gradients, not on scaled ones
    try:
        if max_norm is not None:
            norm = nn.utils.clip_grad_norm_(_stepped(optimizer), max_norm)
            if not scaler.is_enabled():  # one that is knows what to do
                _check_finite("the norm of the gradients", norm.item(), batch)
        scaler.step(optimizer)
    finally:
        scaler.update()  # after an exception, too: else the scaler refuses the next step
    return scaler.get_scale() >= scale  # it is lower after a step that was skipped


def _ordinal(number: int) -> str:
    return f"batch {number} (counted from 0)"


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _brief(data: Any) -> str:
    if isinstance(data, Tensor):
        return f"a tensor of shape {tuple(data.shape)}"
    if isinstance(data, tuple | list):
        return f"a {type(data).__name__} of {len(data)}: " + ", ".join(_brief(x) for x in data[:3])
    return f"a {type(data).__name__}"


def _parts(model: nn.Module, optimizer: Any, schedule: Any, generators: Any) -> dict[str, Any]:
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "generators": generators or None}
    return {name: part for name, part in parts.items() if part is not None}
