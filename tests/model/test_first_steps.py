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


NARROW = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16]


@pytest.mark.parametrize("dtype", NARROW)
def test_labels_may_be_integers_of_any_width(dtype: torch.dtype) -> None:
    train, test = torch.tensor([2, 2, 2, 0]), torch.tensor([2, 0, 0])
    assert constant_scores(train.to(dtype), test.to(dtype)) == constant_scores(train, test)
    x = normal(4, 2)
    assert torch.equal(neighbor_votes(x, train.to(dtype), x, k=2), neighbor_votes(x, train, x, k=2))


def test_labels_may_be_true_or_false() -> None:
    yes = torch.tensor([True, False, True, True])
    assert constant_scores(yes, yes) == constant_scores(yes.long(), yes.long())


def test_the_median_of_many_numbers() -> None:
    y = torch.zeros(2**24 + 2, dtype=torch.float32)
    y[: len(y) // 2] = 1.0
    assert constant_scores(y, torch.tensor([0.0]))["mae"] == 0.5


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


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_neighbors_far_from_the_origin_are_the_same(p: float) -> None:
    x = (1000 + 0.01 * normal(200, 5)).float()  # by x^2 - 2xy + y^2, float32 would not tell them apart
    assert torch.equal(neighbor_votes(x, torch.arange(200), x, k=1, p=p), torch.eye(200, dtype=torch.int64))


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
    (lambda: constant_scores(labels(2), torch.tensor([1, -1])), "y_test must hold labels that count from 0, got -1"),
    (lambda: constant_scores(torch.zeros(1) * 1j, torch.zeros(1)), "y_train must hold labels or real numbers, got"),
    (lambda: neighbor_votes(normal(2, 2), torch.tensor([-1, 0]), normal(1, 2)), "y_train must .* from 0, got -1"),
    (lambda: neighbor_votes(normal(3, 2), normal(3), normal(1, 2)), "y_train must hold labels as integers, got torch"),
    (lambda: neighbor_votes(normal(3, 2).half(), labels(3), normal(1, 2)), "must both be float32 or both .*float16"),
    (lambda: neighbor_votes(normal(3, 2), labels(3), normal(1, 2).bfloat16()), "x_train and x must .* and torch.bf"),
    (lambda: neighbor_votes(normal(3, 2), labels(3), normal(1, 2).float()), "must .*float64 and torch.float32"),
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


def test_accumulated_gradients_may_be_weighted_by_samples_or_equally() -> None:
    assert training_faults(lambda *a: update(*a, accumulate=2)) == {}

    def equal(model: nn.Module, batches: Any, loss: Any, optimizer: Any, clear: bool = True) -> None:
        for n, (x, y) in enumerate(batches):
            (loss(model.train()(x), y) / 2).backward()
            if n % 2 or n == len(batches) - 1:
                optimizer.step()
                if clear:
                    optimizer.zero_grad()

    assert training_faults(equal) == {}
    assert training_faults(lambda *a: equal(*a, clear=False)) == {"gradients": ADDED}


def test_the_samples_may_be_shuffled_and_the_short_batch_dropped() -> None:
    def mixed(model: nn.Module, batches: Any, loss: Any, optimizer: Any, size: int = 4) -> Any:
        x, y = (torch.cat(parts)[[3, 7, 1, 9, 0, 5, 2, 8, 6, 4]] for parts in zip(*batches, strict=True))
        return loop(model, list(zip(x.split(size), y.split(size), strict=True)), loss, optimizer)

    def dropped(model: nn.Module, batches: Any, *rest: Any) -> Any:
        return loop(model, batches[:-1], *rest)

    assert training_faults(mixed) == training_faults(lambda *a: mixed(*a, size=3)) == {}
    text = "the loss that is returned is the mean without the short batch, not over all samples"
    assert training_faults(dropped) == {"average": text}


def test_gradients_may_be_clipped_by_value() -> None:
    def clipped(model: nn.Module, batches: Any, loss: Any, optimizer: Any, clear: bool = True) -> None:
        for x, y in batches:
            if clear:
                optimizer.zero_grad()
            loss(model.train()(x), y).backward()
            nn.utils.clip_grad_value_(model.parameters(), 0.1)
            optimizer.step()

    assert training_faults(clipped) == {}
    assert "gradients" in training_faults(lambda *a: clipped(*a, clear=False))


def test_a_gradient_with_a_part_that_is_too_large_is_not_taken_for_a_clipped_one() -> None:
    def bent(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> None:
        for x, y in batches:
            optimizer.zero_grad()
            loss(model.train()(x), y).backward()
            next(model.parameters()).grad[0] *= 1.3  # type: ignore[index]
            optimizer.step()

    text = "what the optimizer is given is not the gradient of the loss of a batch"
    assert training_faults(bent) == {"gradients": text}


@pytest.mark.parametrize("keyword", [True, False])
def test_a_step_may_have_a_closure(keyword: bool) -> None:
    def closed(model: nn.Module, batches: Any, loss: Any, optimizer: Any, clear: bool = True) -> float:
        total = 0.0
        for x, y in batches:

            def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                if clear:
                    optimizer.zero_grad()
                value: Tensor = loss(model.train()(x), y)
                value.backward()  # type: ignore[no-untyped-call]
                return value

            value = optimizer.step(closure=closure) if keyword else optimizer.step(closure)
            total += len(y) * value.item() / 10
        return total

    assert training_faults(closed) == {}
    assert training_faults(lambda *a: closed(*a, clear=False)) == {"gradients": ADDED}


BATCHES = {"batches": "the gradients of some batches reach no step: is optimizer.step() inside the loop?"}


@pytest.mark.parametrize("backward", [True, False])
def test_a_step_after_the_loop_is_found(backward: bool) -> None:
    def outdented(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> None:
        for x, y in batches:
            optimizer.zero_grad()
            value = loss(model.train()(x), y)
            if backward:
                value.backward()
        if not backward:
            value.backward()
        optimizer.step()

    assert training_faults(outdented) == BATCHES


def test_always_the_same_batch_is_found() -> None:
    def same(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> None:
        loop(model, [batches[0]] * len(batches), loss, optimizer)

    assert training_faults(same) == BATCHES


def test_the_loop_may_set_the_learning_rate() -> None:
    def scheduled(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> Any:
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 3.0, total_steps=10)
        for group in optimizer.param_groups:
            group["lr"] = 3.0
        return loop(model, batches, loss, optimizer)

    assert training_faults(scheduled) == {}


def test_an_evaluation_within_the_pass_is_no_fault() -> None:
    def watched(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> Any:
        answer = loop(model, batches, loss, optimizer)
        for x, _ in batches:
            model.eval()(x)
        return answer

    assert training_faults(watched) == {}


@pytest.mark.parametrize("other", [(3.0, 0.5), [3.0], "done", True, nn.ReLU(), {"loss": [3.0]}, torch.ones(2)])
def test_what_is_no_loss_is_not_read(other: Any) -> None:
    def returning(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> Any:
        loop(model, batches, loss, optimizer)
        return other

    assert training_faults(returning) == evaluation_faults(lambda *a: (assess(*a), other)[1]) == {}


@pytest.mark.parametrize("wrap", [lambda v: (v, 0.5), lambda v: {"history": [v]}])
def test_a_graph_is_found_wherever_it_is_returned(wrap: Any) -> None:
    assert list(training_faults(lambda *a: wrap(loop(*a, returns="graph")))) == ["graph"]


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
        "left": "the model comes back in another mode: put it back, or training goes on without dropout, "
        "unless the training loop calls model.train() itself",
        "state": "the model changes, as batch norm does in train mode",
        "average": "the loss that is returned is the mean over the batches, not over the samples",
    }
    assert found == {name: texts[name] for name in names}


def test_gradients_that_stay_switched_off_are_found_and_switched_on() -> None:
    def switch(model: nn.Module, batches: Any, loss: Any) -> Any:
        torch.set_grad_enabled(False)
        return assess(model, batches, loss)

    def train(model: nn.Module, batches: Any, loss: Any, optimizer: Any) -> Any:
        answer = loop(model, batches, loss, optimizer)
        switch(model, batches, loss)
        return answer

    off = "gradients stay switched off, for the training as well: use torch.no_grad() as a context"
    assert evaluation_faults(switch) == {"left": off}
    assert torch.is_grad_enabled()
    assert training_faults(train) == {} and torch.is_grad_enabled()
    with torch.no_grad():
        assert training_faults(loop) == {} and list(evaluation_faults(lambda *a: assess(*a, "graph"))) == ["graph"]
        assert not torch.is_grad_enabled()


def test_the_loop_of_the_library_has_no_fault(global_rng_untouched: None) -> None:
    assert evaluation_faults(evaluate) == {}


# ---- loss_faults


def test_faults_of_losses() -> None:
    assert loss_faults(F.cross_entropy) == loss_faults(nn.CrossEntropyLoss(), classes=2) == {}
    found = loss_faults(lambda o, y: F.cross_entropy(o.softmax(1), y), classes=7)
    assert list(found) == ["floor"] and f"{math.log(1 + 6 / math.e):.3g} instead" in found["floor"]
    assert "is there a second softmax?" in found["floor"]
    found = loss_faults(nn.CrossEntropyLoss(reduction="sum"))
    assert list(found) == ["sum"] and "costs 2.0 times as much" in found["sum"]
    assert list(loss_faults(lambda o, y: -F.cross_entropy(o, y) - 1)) == ["floor"]
    smooth = loss_faults(nn.CrossEntropyLoss(label_smoothing=0.1))
    assert smooth == {"floor": "a sure and right answer costs 9 instead of 0"}


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


def test_a_tensor_that_was_changed_in_place_raises_under_the_meter() -> None:
    x = torch.ones(3, requires_grad=True)
    with SavedTensors() as saved:
        a = x.exp()
        a.mul_(10)
        with pytest.raises(RuntimeError, match=r"shape \(3,\) that the backward pass needs has been changed in place"):
            a.sum().backward()
    del a
    assert saved.now == 0


def test_what_may_be_changed_in_place_may_be_under_the_meter() -> None:
    torch.manual_seed(3)
    norm = nn.BatchNorm1d(4)
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(inplace=True), norm, nn.ReLU(inplace=True))
    x = torch.ones(5, 4).cumsum(0)
    with SavedTensors():
        (model(x) + model(x)).sum().backward()
    assert norm.weight.grad is not None


def test_of_two_meters_the_inner_one_counts() -> None:
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    with SavedTensors() as outer:
        with SavedTensors() as inner:
            a = x.exp()
        assert (outer.now, inner.now) == (0, 24)
        b = x.exp()
        assert (outer.now, inner.now) == (24, 24)
    del a, b
    assert (outer.now, inner.now) == (0, 0)
