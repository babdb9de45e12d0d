"""`tricks_lib.model.first_steps`: baselines, and a check that finds planted faults in loops."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from tricks_lib.learning.loop import evaluate, update
from tricks_lib.model.first_steps import (
    SavedTensors,
    constant_scores,
    evaluation_faults,
    loss_faults,
    neighbor_votes,
    training_faults,
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(n: int, classes: int = 3, seed: int = 0) -> Tensor:
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


# ---- constant_scores


def test_a_constant_by_hand() -> None:
    train, test = torch.tensor([2, 2, 2, 0]), torch.tensor([2, 0, 0])
    found = constant_scores(train, test)
    assert found == pytest.approx({"accuracy": 1 / 3, "loss": -(math.log(0.75) + 2 * math.log(0.25)) / 3}, rel=1e-12)
    found = constant_scores(torch.tensor([0.0, 1.0, 8.0]), torch.tensor([1.0, 5.0]))
    assert found == pytest.approx({"mse": (4 + 4) / 2, "mae": (0 + 4) / 2}, rel=1e-12)


@given(st.integers(0, 1000))
def test_constants_are_those_of_scikit_learn(seed: int) -> None:
    train, test = labels(17, seed=seed), labels(11, seed=seed + 1)
    train = torch.cat([train, torch.arange(3)])
    dummy = DummyClassifier(strategy="prior").fit(train[:, None], train)
    theirs = log_loss(test, dummy.predict_proba(test[:, None]), labels=[0, 1, 2])
    found = constant_scores(train, test)
    assert found["loss"] == pytest.approx(theirs, rel=1e-12)
    assert found["accuracy"] == pytest.approx(dummy.score(test[:, None], test), rel=1e-12)
    x, y = normal(9, seed=seed), normal(7, seed=seed + 1)
    fitted = [DummyRegressor(strategy=s).fit(x[:, None], x).predict(y[:, None]) for s in ("mean", "median")]
    found = constant_scores(x, y)
    assert found["mse"] == pytest.approx(mean_squared_error(y, fitted[0]), rel=1e-12)
    assert found["mae"] == pytest.approx(mean_absolute_error(y, fitted[1]), rel=1e-12)


def test_a_class_that_only_the_test_set_has_costs_infinitely_much() -> None:
    found = constant_scores(torch.tensor([0, 0, 1]), torch.tensor([0, 2]))
    assert found == {"accuracy": 0.5, "loss": math.inf}


def test_on_its_own_data_the_loss_is_the_entropy() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 2])
    shares = [1 / 2, 1 / 3, 1 / 6]
    assert constant_scores(y, y)["loss"] == pytest.approx(-sum(p * math.log(p) for p in shares), rel=1e-12)


# ---- neighbor_votes


def test_votes_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 0.0], [2.0, 2.0], [9.0, 9.0]])
    y, query = torch.tensor([1, 0, 2, 1]), torch.tensor([[0.0, 0.0]])
    assert neighbor_votes(x, y, query, k=1).tolist() == [[0, 1, 0]]
    assert neighbor_votes(x, y, query, k=2).tolist() == [[1, 1, 0]]  # L1: 3 is nearer than 2 + 2
    assert neighbor_votes(x, y, query, k=2, p=2).tolist() == [[0, 1, 1]]  # L2: the root of 8 is nearer than 3
    assert neighbor_votes(x, y, query, k=4).tolist() == [[1, 2, 1]]
    assert neighbor_votes(x, y, query, k=1).dtype == torch.int64


@pytest.mark.parametrize(("k", "p"), [(1, 1.0), (5, 1.0), (4, 2.0)])
def test_votes_are_those_of_scikit_learn(k: int, p: float) -> None:
    x, y, queries = normal(31, 2, 3), labels(31, 4), normal(13, 2, 3, seed=1)
    theirs = KNeighborsClassifier(k, p=p).fit(x.flatten(1), y)
    votes = neighbor_votes(x, y, queries, k=k, p=p)
    assert votes.tolist() == (theirs.predict_proba(queries.flatten(1)) * k).round().astype(int).tolist()


def test_five_vote_by_the_sum_of_differences_unless_told_otherwise() -> None:
    x, y, queries = normal(31, 6), labels(31, 4), normal(13, 6, seed=1)
    assert torch.equal(neighbor_votes(x, y, queries), neighbor_votes(x, y, queries, k=5, p=1.0))
    assert not torch.equal(neighbor_votes(x, y, queries), neighbor_votes(x, y, queries, k=5, p=2.0))


@given(st.integers(1, 9), st.integers(0, 1000))
def test_each_of_k_has_one_vote(k: int, seed: int) -> None:
    x, y = normal(9, 2, seed=seed), labels(9, seed=seed)
    votes = neighbor_votes(x, y, normal(4, 2, seed=seed + 1), k=k)
    assert votes.sum(1).tolist() == [k] * 4 and votes.shape == (4, int(y.max()) + 1)


def test_votes_are_counted_where_the_data_are(device: torch.device) -> None:
    x, y, queries = normal(7, 2, dtype=torch.float32), labels(7), normal(3, 2, seed=1, dtype=torch.float32)
    before = x.clone()
    votes = neighbor_votes(x.to(device), y.to(device), queries.to(device), k=3)
    assert votes.device.type == device.type and torch.equal(x, before)
    assert torch.equal(votes.cpu(), neighbor_votes(x, y, queries, k=3))
    ours = constant_scores(y.to(device), y.to(device))
    assert ours == constant_scores(y, y)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: constant_scores(torch.zeros(0), torch.zeros(1)), r"y_train must have shape \(N,\) with at least one"),
    (lambda: constant_scores(torch.zeros(1), torch.zeros(1, 1)), r"y_test must have shape .* got \(1, 1\)"),
    (lambda: constant_scores(torch.zeros(1), labels(2)), r"both be labels or numbers, got torch.float\d+ and"),
    (lambda: neighbor_votes(normal(3, 2), labels(4), normal(1, 2)), "one row per sample, got 3 and 4"),
    (lambda: neighbor_votes(normal(3, 2), labels(3)[:, None], normal(1, 2)), r"y_train must have .* got \(3, 1\)"),
    (lambda: neighbor_votes(normal(3, 2), labels(3), normal(1, 4)), r"samples of shape \(2,\), got \(4,\)"),
    (lambda: neighbor_votes(normal(3, 2), labels(3), normal(1, 2), k=0), "k must be between 1 and the 3 .* got 0"),
    (lambda: neighbor_votes(normal(3, 2), labels(3), normal(1, 2), k=4), "k must be between 1 and the 3 .* got 4"),
    (lambda: loss_faults(F.cross_entropy, classes=1), "classes must be at least 2, got 1"),
])  # fmt: skip
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- training_faults


def loop(
    model: nn.Module, batches: Any, loss: Any, optimizer: Any, fault: str = "", returns: str = "mean"
) -> float | Tensor | None:
    total, samples, means = 0.0, 0, []
    if fault != "mode":
        model.train()
    if fault == "cleared once":
        optimizer.zero_grad()
    for x, y in batches:
        if fault not in ("never cleared", "cleared once"):
            optimizer.zero_grad()
        value = loss(model(x), y)
        if fault != "backward":
            (-value if fault == "uphill" else value).backward()
        if fault == "clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        if fault != "step":
            optimizer.step()
        means.append(value.item())
        total, samples = total + len(y) * value.item(), samples + len(y)
    answers = {"mean": total / samples, "batches": sum(means) / len(means), "last": means[-1], "batch sum": sum(means)}
    return {**answers, "sum": total, "graph": value, "none": None, "odd": 17.0}[returns]  # type: ignore[dict-item]


def with_fault(fault: str = "", returns: str = "mean") -> Any:
    return lambda *arguments: loop(*arguments, fault=fault, returns=returns)


ADDED = "those of earlier batches are added to those of this one: call optimizer.zero_grad()"
NO_STEP = "no gradient reaches optimizer.step(): call loss.backward(), then optimizer.step()"


@pytest.mark.parametrize(("fault", "name", "text"), [
    ("mode", "mode", "it trains in eval mode when it finds the model so: call model.train()"),
    ("never cleared", "gradients", ADDED),
    ("cleared once", "gradients", ADDED),
    ("uphill", "gradients", "what the optimizer is given is not the gradient of the loss of a batch"),
    ("backward", "step", NO_STEP),
    ("step", "step", NO_STEP),
])  # fmt: skip
def test_a_fault_in_training_is_named(fault: str, name: str, text: str) -> None:
    assert training_faults(with_fault(fault)) == {name: text}


@pytest.mark.parametrize(("returns", "text"), [
    ("batches", "the mean over the batches, not over the samples"),
    ("last", "that of the last batch, not the mean over the samples"),
    ("batch sum", "the sum over the batches, not the mean over the samples"),
    ("sum", "the sum over the samples, not their mean"),
    ("odd", "not the mean over the samples"),
])  # fmt: skip
def test_what_is_returned_is_named(returns: str, text: str) -> None:
    assert training_faults(with_fault(returns=returns)) == {"average": f"the loss that is returned is {text}"}


def test_a_loop_may_return_a_mapping() -> None:
    assert training_faults(lambda *a: {"loss": loop(*a)}) == {}
    assert list(training_faults(lambda *a: {"loss": 3 * loop(*a)})) == ["average"]  # type: ignore[operator]


def one_step(model: nn.Module, batches: Any, loss: Any, optimizer: Any, clear: bool = True) -> None:
    if clear:
        optimizer.zero_grad()
    samples = sum(len(y) for _, y in batches)
    for x, y in batches:
        (loss(model.train()(x), y) * len(y) / samples).backward()
    optimizer.step()


def test_one_step_a_pass_is_fine_if_gradients_are_cleared_between_passes() -> None:
    assert training_faults(one_step) == {}
    assert training_faults(lambda *a: one_step(*a, clear=False)) == {"gradients": ADDED}


def test_a_loss_with_its_graph_is_found() -> None:
    assert list(training_faults(with_fault(returns="graph"))) == ["graph", "average"]
    kept = training_faults(lambda *a: torch.tensor(loop(*a)).requires_grad_())
    assert list(kept) == ["graph"]
    assert training_faults(lambda *a: torch.tensor(loop(*a))) == {}


def test_sound_loops_have_no_fault(global_rng_untouched: None) -> None:
    for sound in (loop, with_fault("clipped"), with_fault(returns="none"), update):
        assert training_faults(sound) == {}
    assert training_faults(lambda *a: {"other": 3.0, "loss": loop(*a)}) == {}
    assert training_faults(lambda *a: {"other": [loop(*a)]}) == {}
    assert training_faults(lambda *a: update(*a, max_norm=0.1, accumulate=3)) == {}

    def shuffled(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> Any:
        return loop(model, random.Random(3).sample(batches, len(batches)), loss, optimizer)

    assert training_faults(shuffled) == {}


def test_all_faults_at_once() -> None:
    def careless(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> Tensor:
        for x, y in batches:
            value = loss(model(x), y)
            value.backward()
            optimizer.step()
        return value

    assert list(training_faults(careless)) == ["mode", "gradients", "graph", "average"]


def test_another_loss_may_be_used() -> None:
    def squared(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs - F.one_hot(y, 3)).square().mean()

    assert training_faults(update, loss=squared) == evaluation_faults(evaluate, loss=squared) == {}
    assert list(training_faults(with_fault("never cleared"), loss=squared)) == ["gradients"]


# ---- evaluation_faults


def assess(model: nn.Module, batches: Any, loss: Any, fault: str = "") -> Any:
    before, total, samples = model.training, 0.0, 0
    if fault != "mode":
        model.eval()
    with torch.set_grad_enabled(fault == "graph"):
        for x, y in batches:
            weight = 1 if fault == "average" else len(y)
            total, samples = total + weight * loss(model(x), y), samples + weight
    if fault == "weights":
        model[-1].bias.data += 1  # type: ignore[index, operator]
    if fault != "left":
        model.train(before)
    return total / samples


@pytest.mark.parametrize(("fault", "names"), [
    ("mode", ["mode", "state"]), ("graph", ["graph"]), ("left", ["left"]), ("average", ["average"]),
    ("weights", ["state"]), ("", []),
])  # fmt: skip
def test_a_fault_in_evaluation_is_named(fault: str, names: list[str]) -> None:
    def run(model: nn.Module, batches: Any, loss: Any) -> Any:
        return assess(model, batches, loss, fault)

    found = evaluation_faults(run)
    assert list(found) == names
    texts = {
        "mode": "it runs in train mode, with dropout: call model.eval()",
        "graph": "a graph is recorded, which takes memory: use torch.no_grad()",
        "left": "the model comes back in another mode: put it back, or training goes on without dropout",
        "state": "the model changes, as batch norm does in train mode",
        "average": "the loss that is returned is the mean over the batches, not over the samples",
    }
    assert found == {name: texts[name] for name in names}


def test_the_loop_of_the_library_has_no_fault(global_rng_untouched: None) -> None:
    assert evaluation_faults(evaluate) == {}


# ---- loss_faults


def test_faults_of_losses() -> None:
    assert loss_faults(F.cross_entropy) == loss_faults(nn.CrossEntropyLoss(), classes=2) == {}
    found = loss_faults(lambda o, y: F.cross_entropy(o.softmax(1), y), classes=7)
    assert list(found) == ["floor"] and f"{math.log(1 + 6 / math.e):.3f}" in found["floor"]
    found = loss_faults(nn.CrossEntropyLoss(reduction="sum"))
    assert list(found) == ["sum"] and "costs 2.0 times as much" in found["sum"]
    assert list(loss_faults(lambda o, y: -F.cross_entropy(o, y) - 1)) == ["floor"]
    assert list(loss_faults(nn.CrossEntropyLoss(label_smoothing=0.1))) == ["floor"]


# ---- SavedTensors


def test_saved_bytes_by_hand() -> None:
    x = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    with SavedTensors() as saved:
        a = x.exp()
        b = x.sin()  # saves x itself
        assert (saved.now, saved.peak) == (480, 480)
        c = x.cos()  # x again, which counts once
        assert saved.now == 480
        a.sum().backward()
        assert (saved.now, saved.peak) == (240, 480)
    del b
    assert saved.now == 240
    del c
    assert (saved.now, saved.peak) == (0, 480)


def test_a_meter_starts_at_zero_and_shows_two_numbers() -> None:
    assert repr(SavedTensors()) == "SavedTensors(now=0, peak=0)"
    for name in ("now", "peak", "_held", "_hooks"):
        with pytest.raises(TypeError, match=name):
            SavedTensors(**{name: None})


def test_nothing_is_saved_outside_or_without_a_graph() -> None:
    x = torch.ones(3, requires_grad=True)
    with SavedTensors() as saved, torch.no_grad():
        x.exp()
    y = x.exp()
    assert (saved.now, saved.peak) == (0, 0)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="stop"), SavedTensors():
        raise RuntimeError("stop")
    assert x.exp().grad_fn is not None and x.grad is not None


def test_gradients_are_the_same_under_the_meter(device: torch.device) -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3)).to(device)
    x, y = normal(5, 4, dtype=torch.get_default_dtype()).to(device), labels(5).to(device)
    plain = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
    with SavedTensors() as saved:
        value = F.cross_entropy(model(x), y)
        assert saved.now > 0
        metered = torch.autograd.grad(value, list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(plain, metered, strict=True))
    assert saved.now == 0


def test_a_batch_is_freed_by_its_backward_pass_and_kept_without_one() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 7, dtype=torch.float64), nn.Tanh())
    x = normal(5, 4)
    with SavedTensors() as saved:
        kept = [model(x) for _ in range(3)]
        three = saved.now
        more = model(x)
        assert saved.now - three == 5 * 7 * 8  # what tanh puts out
        del kept, more
    assert saved.now == 0
