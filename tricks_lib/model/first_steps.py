"""Before anything clever: what to beat, and whether the loop that is to beat it is right."""

from __future__ import annotations

import copy
import math
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

__all__ = ["SavedTensors", "constant_scores", "evaluation_faults", "loss_faults", "neighbor_votes", "training_faults"]

Loss = Callable[[Any, Any], Tensor]
Batches = Sequence[tuple[Tensor, Tensor]]
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
        Targets (N,) to fit and to score it with: labels as integers of any width that count from 0, or numbers in
        floating point.

    Returns
    -------
    dict[str, float]
        ``accuracy`` and ``loss`` (nats) for labels, ``mse`` and ``mae`` for numbers.

    Raises
    ------
    ValueError
        If one of them is empty or not of shape (N,), a label is negative, or one holds labels and the other numbers.

    Notes
    -----
    The loss is infinite if a class occurs in the test set only.

    Examples
    --------
    >>> y = torch.tensor([0, 1, 1, 1])
    >>> {name: round(score, 3) for name, score in constant_scores(y, y).items()}
    {'accuracy': 0.75, 'loss': 0.562}
    """
    fit, score = _checked_targets(y_train=y_train, y_test=y_test)
    if fit.dtype != score.dtype:
        raise ValueError(f"y_train and y_test must both be labels or numbers, got {y_train.dtype} and {y_test.dtype}")
    if fit.is_floating_point():
        # quantile() refuses more than 2^24 numbers
        median = fit.sort().values[[(len(fit) - 1) // 2, len(fit) // 2]].mean()
        mse, mae = (score - fit.mean()).square().mean(), (score - median).abs().mean()
        return {"mse": mse.item(), "mae": mae.item()}
    counts = torch.bincount(fit, minlength=int(score.max()) + 1).double()
    loss = -(counts / len(fit)).log()[score].mean()
    return {"accuracy": (score == counts.argmax()).double().mean().item(), "loss": loss.item()}


def neighbor_votes(x_train: Tensor, y_train: Tensor, x: Tensor, *, k: int = 5, p: float = 1.0) -> Tensor:
    r"""Let the nearest training samples vote on the class of each sample.

    .. math:: v_c = \#\{ i \in \text{nearest}_k(x) : y_i = c \}, \qquad d(x, x_i) = \lVert x - x_i \rVert_p

    Parameters
    ----------
    x_train, x
        Samples (N, ...) and (M, ...), laid flat, both float32 or both float64.
    y_train
        Labels (N,), integers of any width that count from 0.
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
        If shapes or types do not fit, a label is negative, or ``k`` is not between 1 and N.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    >>> neighbor_votes(x, torch.tensor([0, 0, 1]), torch.tensor([[0.0, 2.0]]), k=2)
    tensor([[2, 0]])
    """
    (labels,) = _checked_targets(y_train=y_train)
    if labels.is_floating_point():
        raise ValueError(f"y_train must hold labels as integers, got {y_train.dtype}")
    if x_train.dtype != x.dtype or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x_train and x must both be float32 or both float64, got {x_train.dtype} and {x.dtype}")
    if len(x_train) != len(y_train):
        raise ValueError(f"x_train and y_train must have one row per sample, got {len(x_train)} and {len(y_train)}")
    if x_train.shape[1:] != x.shape[1:]:
        raise ValueError(f"x must have samples of shape {tuple(x_train.shape[1:])}, got {tuple(x.shape[1:])}")
    if not 1 <= k <= len(x_train):
        raise ValueError(f"k must be between 1 and the {len(x_train)} training samples, got {k}")
    # by products, distances cancel where the data are far from the origin
    distances = torch.cdist(x.flatten(1), x_train.flatten(1), p=p, compute_mode="donot_use_mm_for_euclid_dist")
    voters = labels[distances.topk(k, largest=False).indices]
    return F.one_hot(voters, int(labels.max()) + 1).sum(1)


def training_faults(train: Callable[..., Any], *, loss: Loss = F.cross_entropy) -> dict[str, str]:
    """Look for faults in someone's training loop, by running it on a tiny model that watches.

    Parameters
    ----------
    train
        A pass over the data, called as ``train(model, batches, loss, optimizer)``. If it returns a number, a tensor
        of shape (), or a mapping that has one under ``"loss"``, that is the loss. In anything else only tensors with
        a graph are looked for.
    loss
        Mean over a batch, of outputs (B, 3) and labels (B,).

    Returns
    -------
    dict[str, str]
        What is wrong, by name: ``mode`` (the pass runs in eval mode), ``step`` (nothing is learned), ``gradients``
        (those of earlier batches are added, or it is not that of a batch), ``batches`` (those of some never reach a
        step), ``graph`` (what is returned holds on to a graph), ``average`` (it is not the mean over the samples).
        Empty if nothing was found.

    Notes
    -----
    The loop may shuffle samples or batches, accumulate gradients (with weights by samples or equal ones), clip them
    by norm or value, step with a closure, drop the short batch, and set the learning rate. Of a gradient only the
    direction counts. Outside the limits are loops that do not call ``backward``, that change samples or labels (noise,
    mixup), add penalties to the loss or the gradients, or take the gradient at other parameters; ``gradients`` may be
    a false alarm there. Up to two samples may miss their step unnoticed. The model and the data are on the CPU, in
    float64.

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
    recorder = _Steps(model, probe, batches, loss)
    optimizer.register_step_pre_hook(recorder)
    _call(train, model, batches, loss, optimizer)
    _call(train, model.eval(), batches, loss, optimizer)
    found = {"mode": "it trains in eval mode when it finds the model so: call model.train()"}
    found = {} if all(training for training, _ in probe.learned) else found
    still = probe.model(norm=False)
    optimizer, start = SGD(still.parameters(), lr=0.1), copy.deepcopy(still.state_dict())
    optimizer.register_step_post_hook(lambda *_: still.load_state_dict(start) and None)
    said = _call(train, still, batches, loss, optimizer)
    graph = {"graph": "the loss that is returned holds on to a graph: return loss.item()"} if _has_graph(said) else {}
    return found | recorder.faults() | graph | _average_fault(said, still, batches, loss)


def evaluation_faults(evaluate: Callable[..., Any], *, loss: Loss = F.cross_entropy) -> dict[str, str]:
    """Look for faults in someone's evaluation, by running it on a tiny model that watches.

    Parameters
    ----------
    evaluate
        Called as ``evaluate(model, batches, loss)``. What it returns is read as in `training_faults`.
    loss
        Mean over a batch, of outputs (B, 3) and labels (B,).

    Returns
    -------
    dict[str, str]
        What is wrong, by name: ``mode`` (it runs in train mode), ``graph`` (a graph is recorded), ``left`` (the model
        comes back in another mode, or gradients stay switched off), ``state`` (its buffers or parameters change),
        ``average`` (not the mean over the samples). Empty if nothing was found.

    Examples
    --------
    >>> @torch.no_grad()
    ... def evaluate(model, batches, loss):
    ...     model.eval()
    ...     return sum(loss(model(x), y).item() for x, y in batches) / len(batches)
    >>> for name, text in evaluation_faults(evaluate).items():
    ...     print(f"{name}: {text[:49]} ...")
    left: the model comes back in another mode: put it back ...
    average: the loss that is returned is the mean over the ba ...
    """
    batches, probe = _batches(), _Probe()
    model = probe.model(norm=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    enabled = _call(lambda: (evaluate(model, batches, loss), torch.is_grad_enabled())[1])
    same = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    mode = "the model comes back in another mode: put it back, or training goes on without dropout, "
    mode += "unless the training loop calls model.train() itself"
    off = "gradients stay switched off, for the training as well: use torch.no_grad() as a context"
    checks = {
        "mode": (not any(probe.modes), "it runs in train mode, with dropout: call model.eval()"),
        "graph": (not any(probe.graphs), "a graph is recorded, which takes memory: use torch.no_grad()"),
        "left": (model.training and enabled, off if model.training else mode),
        "state": (same, "the model changes, as batch norm does in train mode"),
    }
    plain = probe.model(norm=False)
    said = _call(evaluate, plain, batches, loss)
    found = {name: text for name, (right, text) in checks.items() if not right}
    return found | _average_fault(said, plain, batches, loss)


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
    {'floor': 'a sure and right answer costs 1.46 instead of 0: is there a second softmax?'}
    """
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    y = torch.arange(classes, device="cpu")
    sure = 100 * torch.eye(classes, dtype=torch.float64, device="cpu")
    one, two = (loss(torch.cat(n * [0 * sure]), torch.cat(n * [y])).item() for n in (1, 2))
    found, floor = {}, loss(sure, y).item()
    if abs(floor) > SAME:
        twice = math.log(1 + (classes - 1) / math.e)  # what a softmax of the softmax leaves
        guess = ": is there a second softmax?" if _near(floor, twice) else ""
        found["floor"] = f"a sure and right answer costs {floor:.3g} instead of 0{guess}"
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
    Only tensors that are saved inside the context count, parameters among them. What is saved inside a second meter,
    within the first, counts for the second alone. A backward pass through a tensor that was changed in place raises a
    RuntimeError, as it does without the meter.

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
        self._hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: _Held(t.detach(), self), _Held.unchanged)
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def _add(self, key: tuple[int, int], count: int) -> None:
        before = self._held[key] > 0
        self._held[key] += count
        self.now += key[1] * ((self._held[key] > 0) - before)
        self.peak = max(self.peak, self.now)


class _Held:
    """A tensor that autograd keeps; when it lets go, the meter is told."""

    def __init__(self, tensor: Tensor, meter: SavedTensors) -> None:
        self.tensor, self.version, storage = tensor, tensor._version, tensor.untyped_storage()
        key = storage._cdata, storage.nbytes()  # which piece of memory; some kinds of tensors have no data_ptr
        meter._add(key, 1)
        weakref.finalize(self, meter._add, key, -1)

    def unchanged(self) -> Tensor:
        if self.tensor._version != self.version:  # PyTorch leaves this check to whoever sets the hooks
            shape = tuple(self.tensor.shape)
            raise RuntimeError(f"a tensor of shape {shape} that the backward pass needs has been changed in place")
        return self.tensor


class _Probe(nn.Module):
    """A layer that notes how it is called, and which batches a backward pass goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []
        self.graphs: list[bool] = []
        self.learned: list[tuple[bool, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.graphs.append(torch.is_grad_enabled())
        if not torch.is_grad_enabled():
            return x
        watched = x.detach().requires_grad_()
        watched.register_hook(lambda _, note=(self.training, x): self.learned.append(note))  # type: ignore[no-untyped-call]
        return watched

    def model(self, *, norm: bool) -> nn.Sequential:
        options: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
        linear = nn.utils.skip_init(nn.Linear, 5, 3, **options)  # type: ignore[no-untyped-call]
        model = nn.Sequential(self, *([nn.BatchNorm1d(5, **options)] if norm else []), linear)
        with torch.no_grad():
            for parameter in linear.parameters():  # the same for everybody, and nobody's random state is touched
                parameter.copy_(_wave(parameter.numel(), 2.0).view_as(parameter))
        return model.train()


class _Steps:
    """What an optimizer was given at each of its steps, against the gradients that it should have been given."""

    def __init__(self, model: nn.Module, probe: _Probe, batches: Batches, loss: Loss) -> None:
        self.model, self.probe, self.loss = model, probe, loss
        self.x, self.y = (torch.cat(parts) for parts in zip(*batches, strict=True))
        self.reached = torch.zeros(len(self.y), dtype=torch.bool, device="cpu")
        self.last: Tensor | float = 0.0
        # of what the probe learned; and for each wrong gradient, whether the last one was added to it
        self.seen, self.steps, self.wrong = 0, 0, list[bool]()

    def __call__(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is not None:  # the gradients come with it: it is called now, and the optimizer gets its answer
            value = _call(closure)
            args, kwargs = (args[0], lambda: value), {}
        self._look(self._flat([p.grad for p in self.model.parameters()]))
        return args, kwargs

    def _look(self, given: Tensor) -> None:
        group = [self._rows(x) for _, x in self.probe.learned[self.seen :]]
        self.seen = len(self.probe.learned)
        self.steps += bool(given.any())
        right = self._right(group)
        fits = [rows for own, rows in right if _same_step(given, own)]
        if fits:
            self.reached[fits[0]] |= bool(given.any())
        else:
            self.wrong.append(any(_same_step(given, self.last + own) for own, _ in right))
        self.last = given

    def faults(self) -> dict[str, str]:
        if not self.steps:
            return {"step": "no gradient reaches optimizer.step(): call loss.backward(), then optimizer.step()"}
        if any(self.wrong):
            return {"gradients": "those of earlier batches are added to those of this one: call optimizer.zero_grad()"}
        if self.wrong:
            return {"gradients": "what the optimizer is given is not the gradient of the loss of a batch"}
        if (~self.reached).sum() > SIZES[-1]:  # the short batch may be dropped
            return {"batches": "the gradients of some batches reach no step: is optimizer.step() inside the loop?"}
        return {}

    def _rows(self, x: Tensor) -> Tensor:
        """Which samples a batch holds, however it was drawn."""
        return (x.detach()[:, None] == self.x).all(2).nonzero()[:, 1]

    def _right(self, group: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Gradients that fit the batches since the last step, and the samples in them: of all of them, or the last."""
        if not group:
            return []
        every = torch.cat(group)
        own = torch.stack([self._gradient(self.x[rows], self.y[rows]) for rows in group])
        sizes = torch.tensor([len(rows) for rows in group], dtype=own.dtype, device="cpu")
        return [(sizes @ own / sizes.sum(), every), (own.mean(0), every), (own[-1], group[-1])]

    def _gradient(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.enable_grad():
            value = self.loss(self.model[1:](x), y)  # type: ignore[index]
            return self._flat(torch.autograd.grad(value, list(self.model.parameters())))

    def _flat(self, gradients: Any) -> Tensor:
        pairs = zip(self.model.parameters(), gradients, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g.detach().clone()).flatten() for p, g in pairs])


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it with gradients switched on, as they usually are, and undo what it switches itself."""
    with torch.enable_grad():
        return function(*arguments)


def _same_step(given: Tensor, own: Tensor) -> bool:
    """Whether a gradient has the direction of another, or is that one with clipped values."""
    parallel = torch.dot(given, own) >= (1 - SAME) * given.norm() * own.norm()
    bound = float(given.abs().max())
    return bool(parallel) or torch.allclose(given, own.clamp(-bound, bound), rtol=0.0, atol=SAME * bound)


def _has_graph(value: Any) -> bool:
    if isinstance(value, Mapping | tuple | list):
        return any(_has_graph(part) for part in (value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, Tensor) and value.requires_grad


def _number(value: Any) -> float | None:
    """The loss in what a pass returns, if there is one."""
    value = value.get("loss") if isinstance(value, Mapping) else value
    if isinstance(value, Tensor) and not value.ndim:
        return float(value.detach())
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def _average_fault(value: Any, model: nn.Module, batches: Batches, loss: Loss) -> dict[str, str]:
    """Name what is wrong with the loss that a pass returns, if it returns one."""
    said = _number(value)
    if said is None:
        return {}
    with torch.no_grad():
        means = [float(loss(model[1:](x), y)) for x, y in batches]  # type: ignore[index]
    total = sum(mean * len(y) for mean, (_, y) in zip(means, batches, strict=True))
    samples = sum(len(y) for _, y in batches)
    wrong = {
        "the mean over the batches, not over the samples": sum(means) / len(means),
        "that of the last batch, not the mean over the samples": means[-1],
        "the mean without the short batch, not over all samples": sum(means[:-1]) / len(means[:-1]),
        "the sum over the batches, not the mean over the samples": sum(means),
        "the sum over the samples, not their mean": total,
    }
    if _near(said, total / samples):
        return {}
    text = next((text for text, number in wrong.items() if _near(said, number)), "not the mean over the samples")
    return {"average": f"the loss that is returned is {text}"}


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * abs(b)


def _batches() -> list[tuple[Tensor, Tensor]]:
    x = _wave(5 * sum(SIZES), 3.0).view(-1, 5)
    y = torch.arange(sum(SIZES), device="cpu") % 3
    return list(zip(torch.split(x, SIZES), torch.split(y, SIZES), strict=True))


def _wave(n: int, speed: float) -> Tensor:
    """Numbers without a pattern that matters, without a random generator."""
    return (speed * torch.arange(1, n + 1, dtype=torch.float64, device="cpu").square()).sin()


def _checked_targets(**targets: Tensor) -> list[Tensor]:
    """Numbers as float64, and labels as int64: as an index, uint8 would be a mask."""
    checked = []
    for name, y in targets.items():
        if y.ndim != 1 or not len(y):
            raise ValueError(f"{name} must have shape (N,) with at least one sample, got {tuple(y.shape)}")
        if y.is_complex():
            raise ValueError(f"{name} must hold labels or real numbers, got {y.dtype}")
        checked.append(y.double() if y.is_floating_point() else y.long())
        if not y.is_floating_point() and checked[-1].min() < 0:
            raise ValueError(f"{name} must hold labels that count from 0, got {int(checked[-1].min())}")
    return checked
