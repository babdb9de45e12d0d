"""Before anything clever: what to beat, and whether the loop that is to beat it is right."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

__all__ = [
    "SavedTensors",
    "constant_scores",
    "evaluation_faults",
    "loss_faults",
    "neighbor_votes",
    "training_faults",
]

Loss = Callable[[Any, Any], Tensor]
SIZES = [4, 4, 2]  # of the batches of a check: the last one is short, though not too short for batch norm
SAME = 1e-6  # relative: what float64 in another order, or float32, may differ by


def constant_scores(y_train: Tensor, y_test: Tensor) -> dict[str, float]:
    r"""Score the best answer that does not look at the input.

    For labels it is the most frequent class, and for the loss their shares :math:`q_k`; for numbers it is the mean,
    and for the absolute error the median:

    .. math:: \text{loss} = -\frac1N \sum_i \ln q_{y_i}, \qquad \text{mse} = \frac1N \sum_i (y_i - \bar y)^2

    Parameters
    ----------
    y_train, y_test
        Targets (N,) to fit and to score it with: labels as integers that count from 0, or numbers in floating point.

    Returns
    -------
    dict[str, float]
        ``accuracy`` and ``loss`` (nats) for labels, ``mse`` and ``mae`` for numbers.

    Raises
    ------
    ValueError
        If one of them is empty or not of shape (N,), or one holds labels and the other numbers.

    Notes
    -----
    The loss is infinite if a class occurs in the test set only.

    Examples
    --------
    >>> y = torch.tensor([0, 1, 1, 1])
    >>> {name: round(score, 3) for name, score in constant_scores(y, y).items()}
    {'accuracy': 0.75, 'loss': 0.562}
    """
    _check_targets(y_train=y_train, y_test=y_test)
    if y_train.is_floating_point() != y_test.is_floating_point():
        raise ValueError(f"y_train and y_test must both be labels or numbers, got {y_train.dtype} and {y_test.dtype}")
    if y_train.is_floating_point():
        fit, score = y_train.double(), y_test.double()
        mse, mae = (score - fit.mean()).square().mean(), (score - fit.quantile(0.5)).abs().mean()
        return {"mse": mse.item(), "mae": mae.item()}
    counts = torch.bincount(y_train, minlength=int(y_test.max()) + 1).double()
    loss = -(counts / len(y_train)).log()[y_test].mean()
    return {"accuracy": (y_test == counts.argmax()).double().mean().item(), "loss": loss.item()}


def neighbor_votes(x_train: Tensor, y_train: Tensor, x: Tensor, *, k: int = 5, p: float = 1.0) -> Tensor:
    r"""Let the nearest training samples vote on the class of each sample.

    .. math:: v_c = \#\{ i \in \text{nearest}_k(x) : y_i = c \}, \qquad d(x, x_i) = \lVert x - x_i \rVert_p

    Parameters
    ----------
    x_train, x
        Samples (N, ...) and (M, ...), laid flat, of one floating-point type.
    y_train
        Labels (N,), integers that count from 0.
    k
        How many vote, at most N.
    p
        Of the norm: 1 adds up the differences, 2 is the distance in space.

    Returns
    -------
    Tensor
        Votes (M, K) for the K classes, int64; ``argmax(1)`` takes the first of the classes that lead.

    Raises
    ------
    ValueError
        If shapes do not fit, or ``k`` is not between 1 and N.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    >>> neighbor_votes(x, torch.tensor([0, 0, 1]), torch.tensor([[0.0, 2.0]]), k=2)
    tensor([[2, 0]])
    """
    _check_targets(y_train=y_train)
    if len(x_train) != len(y_train):
        raise ValueError(f"x_train and y_train must have one row per sample, got {len(x_train)} and {len(y_train)}")
    if x_train.shape[1:] != x.shape[1:]:
        raise ValueError(f"x must have samples of shape {tuple(x_train.shape[1:])}, got {tuple(x.shape[1:])}")
    if not 1 <= k <= len(x_train):
        raise ValueError(f"k must be between 1 and the {len(x_train)} training samples, got {k}")
    distances = torch.cdist(x.flatten(1), x_train.flatten(1), p=p)
    voters = y_train[distances.topk(k, largest=False).indices]
    return F.one_hot(voters, int(y_train.max()) + 1).sum(1)


def training_faults(train: Callable[..., Any], *, loss: Loss = F.cross_entropy) -> dict[str, str]:
    """Look for faults in someone's training loop, by running it on a tiny model that watches.

    Parameters
    ----------
    train
        A pass over the data, called as ``train(model, batches, loss, optimizer)``. What it returns, if it returns
        something, is a loss, or a mapping that has it under ``"loss"``.
    loss
        Mean over a batch, of outputs (B, 3) and labels (B,).

    Returns
    -------
    dict[str, str]
        What is wrong, by name: ``mode`` (the pass runs in eval mode), ``step`` (nothing is learned), ``gradients``
        (those of earlier batches are added, or it is not that of a batch), ``graph`` (what is returned holds on to a
        graph), ``average`` (it is not the mean over the samples). Empty if nothing was found.

    Notes
    -----
    The loop may shuffle, clip the norm, and step once per pass. A gradient counts as that of a batch if it has its
    direction. The model and the data are on the CPU, in float64.

    Examples
    --------
    >>> def train(model, batches, loss, optimizer):
    ...     for x, y in batches:
    ...         value = loss(model(x), y)
    ...         value.backward()
    ...         optimizer.step()
    ...     return value
    >>> for name, text in training_faults(train).items():
    ...     print(f"{name}: {text}")
    mode: it trains in eval mode when it finds the model so: call model.train()
    gradients: those of earlier batches are added to those of this one: call optimizer.zero_grad()
    graph: the loss that is returned holds on to a graph: return loss.item()
    average: the loss that is returned is that of the last batch, not the mean over the samples
    """
    batches, probe = _batches(), _Probe()
    model = probe.model(norm=False)
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = _Steps(model, batches, loss)
    optimizer.register_step_pre_hook(recorder)
    train(model, batches, loss, optimizer)
    train(model.eval(), batches, loss, optimizer)
    found = {"mode": "it trains in eval mode when it finds the model so: call model.train()"}
    found = {} if all(probe.modes) else found
    still = probe.model(norm=False)
    said = train(still, batches, loss, SGD(still.parameters(), lr=0.0))
    return found | recorder.faults() | _said(said, still, batches, loss)


def evaluation_faults(evaluate: Callable[..., Any], *, loss: Loss = F.cross_entropy) -> dict[str, str]:
    """Look for faults in someone's evaluation, by running it on a tiny model that watches.

    Parameters
    ----------
    evaluate
        Called as ``evaluate(model, batches, loss)``; returns the loss, or a mapping that has it under ``"loss"``.
    loss
        Mean over a batch, of outputs (B, 3) and labels (B,).

    Returns
    -------
    dict[str, str]
        What is wrong, by name: ``mode`` (it runs in train mode), ``graph`` (a graph is recorded), ``left`` (the model
        comes back in another mode), ``state`` (its buffers or parameters change), ``average`` (not the mean over the
        samples). Empty if nothing was found.

    Examples
    --------
    >>> @torch.no_grad()
    ... def evaluate(model, batches, loss):
    ...     model.eval()
    ...     return sum(loss(model(x), y).item() for x, y in batches) / len(batches)
    >>> for name, text in evaluation_faults(evaluate).items():
    ...     print(f"{name}: {text}")
    left: the model comes back in another mode: put it back, or training goes on without dropout
    average: the loss that is returned is the mean over the batches, not over the samples
    """
    batches, probe = _batches(), _Probe()
    model = probe.model(norm=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, batches, loss)
    same = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    checks = {
        "mode": (not any(probe.modes), "it runs in train mode, with dropout: call model.eval()"),
        "graph": (not any(probe.graphs), "a graph is recorded, which takes memory: use torch.no_grad()"),
        "left": (
            model.training,
            "the model comes back in another mode: put it back, or training goes on without dropout",
        ),
        "state": (same, "the model changes, as batch norm does in train mode"),
    }
    plain = probe.model(norm=False)
    found = {name: text for name, (right, text) in checks.items() if not right}
    return found | _said(evaluate(plain, batches, loss), plain, batches, loss, graph=False)


def loss_faults(loss: Loss, *, classes: int = 10) -> dict[str, str]:
    r"""Look for faults in a loss for classes: what it says of a sure and right answer, and of a larger batch.

    Parameters
    ----------
    loss
        Mean over a batch, of logits (B, K) and labels (B,).
    classes
        K, at least 2.

    Returns
    -------
    dict[str, str]
        What is wrong, by name: ``floor`` (a sure and right answer does not cost nothing), ``sum`` (a batch twice as
        large costs another amount). Empty if nothing was found.

    Raises
    ------
    ValueError
        If ``classes`` is below 2.

    Examples
    --------
    >>> loss_faults(lambda outputs, y: F.cross_entropy(outputs.softmax(1), y))
    {'floor': 'a sure and right answer costs 1.461 instead of 0: is there a second softmax?'}
    """
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    y = torch.arange(classes, device="cpu")
    sure = 100 * torch.eye(classes, dtype=torch.float64, device="cpu")
    one, two = (loss(torch.cat(n * [0 * sure]), torch.cat(n * [y])).item() for n in (1, 2))
    found, floor = {}, loss(sure, y).item()
    if abs(floor) > SAME:
        found["floor"] = f"a sure and right answer costs {floor:.3f} instead of 0: is there a second softmax?"
    if not _near(two, one):
        found["sum"] = f"a batch twice as large costs {two / one:.1f} times as much: take the mean"
    return found


@dataclass
class SavedTensors:
    """Measure the memory that autograd keeps for the backward pass: a context manager.

    Attributes
    ----------
    now, peak
        Bytes that are kept at this moment, and the most that were; each piece of memory counts once.

    Notes
    -----
    Only tensors that are saved inside the context count, parameters among them.

    Examples
    --------
    >>> x = torch.zeros(50, 2, dtype=torch.float32, requires_grad=True)
    >>> with SavedTensors() as saved:
    ...     y = x.exp()
    >>> saved.now
    400
    >>> del y
    >>> saved.now, saved.peak
    (0, 400)
    """

    now: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    _held: Counter[tuple[int, int]] = field(default_factory=Counter, init=False, repr=False)
    _hooks: Any = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self._hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda t: _Held(t.detach(), self), lambda held: held.tensor
        )
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def _add(self, key: tuple[int, int], count: int) -> None:
        before = self._held[key] > 0
        self._held[key] += count
        self.now += key[1] * ((self._held[key] > 0) - before)
        self.peak = max(self.peak, self.now)


class _Held:
    """A tensor that autograd keeps; when it lets go, the meter is told."""

    def __init__(self, tensor: Tensor, meter: SavedTensors) -> None:
        self.tensor, storage = tensor, tensor.untyped_storage()
        key = storage._cdata, storage.nbytes()  # which piece of memory; some kinds of tensors have no data_ptr
        meter._add(key, 1)
        weakref.finalize(self, meter._add, key, -1)


class _Probe(nn.Module):
    """A layer that notes at each forward pass whether it trains, and whether a graph is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []
        self.graphs: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.graphs.append(torch.is_grad_enabled())
        return x

    def model(self, *, norm: bool) -> nn.Sequential:
        options: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
        linear = nn.utils.skip_init(nn.Linear, 5, 3, **options)  # type: ignore[no-untyped-call]
        layers = [self, *([nn.BatchNorm1d(5, **options)] if norm else []), linear]
        model = nn.Sequential(*layers)
        with torch.no_grad():
            for parameter in linear.parameters():  # the same for everybody, and nobody's random state is touched
                parameter.copy_(_wave(parameter.numel(), 2.0).view_as(parameter))
        return model.train()


class _Steps:
    """What an optimizer was given at each of its steps, against the gradients that it should have been given."""

    def __init__(self, model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], loss: Loss) -> None:
        self.model, self.loss = model, loss
        whole = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
        self.candidates = [*batches, whole]
        self.last: Tensor | float = 0.0
        self.steps, self.wrong = 0, list[bool]()  # for each wrong gradient, whether the last one was added to it

    def __call__(self, *_: Any) -> None:
        given = self._flat([p.grad for p in self.model.parameters()])
        right = [self._gradient(x, y) for x, y in self.candidates]
        self.steps += bool(given.any())
        if not any(_parallel(given, own) for own in right):
            self.wrong.append(any(_parallel(given, self.last + own) for own in right))
        self.last = given

    def faults(self) -> dict[str, str]:
        if not self.steps:
            return {"step": "no gradient reaches optimizer.step(): call loss.backward(), then optimizer.step()"}
        if not self.wrong:
            return {}
        if any(self.wrong):
            text = "those of earlier batches are added to those of this one: call optimizer.zero_grad()"
        else:
            text = "what the optimizer is given is not the gradient of the loss of a batch"
        return {"gradients": text}

    def _gradient(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.enable_grad():
            value = self.loss(self.model[1:](x), y)  # type: ignore[index]
            return self._flat(torch.autograd.grad(value, list(self.model.parameters())))

    def _flat(self, gradients: Any) -> Tensor:
        pairs = zip(self.model.parameters(), gradients, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g.detach().clone()).flatten() for p, g in pairs])


def _parallel(a: Tensor, b: Tensor) -> bool:
    return bool(torch.dot(a, b) >= (1 - SAME) * a.norm() * b.norm())


def _said(
    value: Any, model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], loss: Loss, *, graph: bool = True
) -> dict[str, str]:
    """Name what is wrong with the loss that a pass returns, if it returns one."""
    value = value.get("loss") if isinstance(value, Mapping) else value
    if value is None:
        return {}
    found: dict[str, str] = {}
    if graph and isinstance(value, Tensor) and value.requires_grad:
        found["graph"] = "the loss that is returned holds on to a graph: return loss.item()"
    said = float(value.detach() if isinstance(value, Tensor) else value)
    with torch.no_grad():
        means = [float(loss(model[1:](x), y)) for x, y in batches]  # type: ignore[index]
    total = sum(mean * len(y) for mean, (_, y) in zip(means, batches, strict=True))
    samples = sum(len(y) for _, y in batches)
    wrong = {
        "the mean over the batches, not over the samples": sum(means) / len(means),
        "that of the last batch, not the mean over the samples": means[-1],
        "the sum over the batches, not the mean over the samples": sum(means),
        "the sum over the samples, not their mean": total,
    }
    if not _near(said, total / samples):
        text = next((text for text, number in wrong.items() if _near(said, number)), "not the mean over the samples")
        found["average"] = f"the loss that is returned is {text}"
    return found


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * abs(b)


def _batches() -> list[tuple[Tensor, Tensor]]:
    x = _wave(5 * sum(SIZES), 3.0).view(-1, 5)
    y = torch.arange(sum(SIZES), device="cpu") % 3
    return list(zip(torch.split(x, SIZES), torch.split(y, SIZES), strict=True))


def _wave(n: int, speed: float) -> Tensor:
    """Numbers without a pattern that matters, without a random generator."""
    return (speed * torch.arange(1, n + 1, dtype=torch.float64, device="cpu").square()).sin()


def _check_targets(**targets: Tensor) -> None:
    for name, y in targets.items():
        if y.ndim != 1 or not len(y):
            raise ValueError(f"{name} must have shape (N,) with at least one sample, got {tuple(y.shape)}")
