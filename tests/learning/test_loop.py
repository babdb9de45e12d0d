"""update() and evaluate() against a loop written out, closed forms, and everything they must leave alone."""

from __future__ import annotations

import copy
import math
import sys
import types
from collections import namedtuple
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from tests import pretend_gpu
from tricks_lib.learning.loop import evaluate, update

FEATURES, HIDDEN, CLASSES, SAMPLES = 5, 7, 3, 43
Pair = namedtuple("Pair", "inputs targets")


def network(device: Any = "cpu", dropout: float = 0.4) -> nn.Sequential:
    torch.manual_seed(11)
    layers = [nn.Linear(FEATURES, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, CLASSES)).double().to(device)


def data(samples: int = SAMPLES) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(12)
    x = torch.randn(samples, FEATURES, generator=rng, dtype=torch.float64)
    return x, torch.randint(CLASSES, (samples,), generator=rng)


def batches(size: int = 8) -> list[tuple[Tensor, Tensor]]:
    x, y = data()
    return list(zip(x.split(size), y.split(size), strict=True))  # 43 = 5 * 8 + 3: the last one is short


def line(weight: float = 2.0) -> nn.Linear:
    """f(x) = weight * x in float64: every number of it can be worked out by hand."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, weight)
    return model


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def sgd(model: nn.Module, lr: float = 0.1, **options: Any) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr, **options)


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean() / 2


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).double().mean()


def everything(model: nn.Module, *others: Any) -> list[Any]:
    """A deep copy of all state, to compare before and after."""
    return copy.deepcopy([model.state_dict(), *(other.state_dict() for other in others)])


def flags(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def assert_same(actual: Any, expected: Any) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


# --- update: what it computes --------------------------------------------------------------------------------------


def test_one_step_by_hand() -> None:
    model = line(2.0)  # loss = mean((2x - y)^2) / 2 over x = 1, 3; y = 0, 4: (4 + 4) / 4; gradient (2 * 1 + 2 * 3) / 2
    assert update(model, [(column(1, 3), column(0, 4))], half_square, sgd(model)) == {"loss": 2.0}
    assert model.weight.item() == 2.0 - 0.1 * 4.0


def test_averages_count_samples_and_take_the_loss_before_each_step() -> None:
    model = line(1.0)  # first batch: losses 0, 0, 9/2; gradient 2 * 3 / 3 = 2, so that the weight becomes 0
    pairs = [(column(2, 2, 2), column(2, 2, -1)), (column(4), column(0))]
    assert update(model, pairs, half_square, sgd(model, 0.5)) == {"loss": (3 * 1.5 + 1 * 0.0) / 4}


def written_out(model: nn.Module, pairs: Any, optimizer: Any, schedule: Any, max_norm: Any) -> dict[str, float]:
    loss_sum, right, seen = 0.0, 0.0, 0
    model.train()
    for x, y in pairs:
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        if max_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        if schedule:
            schedule.step()
        loss_sum += len(x) * loss.item()
        right += len(x) * accuracy(logits, y).item()
        seen += len(x)
    return {"loss": loss_sum / seen, "accuracy": right / seen}


@pytest.mark.parametrize("max_norm", [None, 0.3])
@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize(
    "kind, options",
    [(torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3}), (torch.optim.AdamW, {"lr": 0.01})],
)
def test_equals_the_loop_written_out(
    kind: Any, options: dict[str, Any], scheduled: bool, max_norm: float | None, device: torch.device
) -> None:
    ours, theirs = network(device), network()
    optimizers = [kind(model.parameters(), **options) for model in (ours, theirs)]
    schedules = [LambdaLR(o, lambda step: 0.5 + 0.1 * step) if scheduled else None for o in optimizers]
    results: list[list[dict[str, float]]] = [[], []]
    torch.manual_seed(13)
    for _ in range(3):
        results[0].append(
            update(
                ours,
                batches(),
                F.cross_entropy,
                optimizers[0],
                metrics={"accuracy": accuracy},
                schedule=schedules[0],
                max_norm=max_norm,
            )
        )
    after = torch.get_rng_state()
    torch.manual_seed(13)
    for _ in range(3):
        results[1].append(written_out(theirs, batches(), optimizers[1], schedules[1], max_norm))
    assert results[0] == results[1]
    assert_same({k: v.cpu() for k, v in ours.state_dict().items()}, dict(theirs.state_dict()))
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.device.type == device.type
        for key, value in optimizers[1].state[q].items():
            assert_same(optimizers[0].state[p][key].cpu(), value)
    assert optimizers[0].param_groups[0]["lr"] == optimizers[1].param_groups[0]["lr"]
    assert torch.equal(after, torch.get_rng_state())  # dropout drew as often


def test_schedule_counts_optimizer_steps() -> None:
    model = line()
    optimizer = sgd(model, 1.0)
    schedule = LambdaLR(optimizer, lambda step: 1 / (step + 2))
    seen: list[float] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(optimizer.param_groups[0]["lr"]))
    update(model, [(column(0), column(0))] * 3, half_square, optimizer, schedule=schedule)
    assert seen == [1 / 2, 1 / 3, 1 / 4]
    assert schedule.last_epoch == 3


def test_clipping_bounds_the_norm_and_keeps_the_direction() -> None:
    x, y = data()
    free, clipped, loose = (network(dropout=0.0) for _ in range(3))
    update(free, [(x, y)], F.cross_entropy, sgd(free))
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in free.parameters()))  # type: ignore[operator]
    update(clipped, [(x, y)], F.cross_entropy, sgd(clipped), max_norm=norm / 3)
    update(loose, [(x, y)], F.cross_entropy, sgd(loose), max_norm=norm * 3)
    for p, q, r in zip(free.parameters(), clipped.parameters(), loose.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad / 3, rtol=1e-5, atol=0)  # torch adds 1e-6 to the norm
        assert_same(r.grad, p.grad)
    clipped_norm = math.sqrt(sum(float((p.grad**2).sum()) for p in clipped.parameters()))  # type: ignore[operator]
    assert norm / 3 * (1 - 1e-5) < clipped_norm <= norm / 3


def test_clips_all_that_the_optimizer_steps_and_nothing_else() -> None:
    head, scale = line(1.0), nn.Parameter(torch.tensor(3.0, dtype=torch.float64))
    body = line(1.0).requires_grad_(True)
    model = nn.Sequential(body, head)
    optimizer = torch.optim.SGD([{"params": head.parameters()}, {"params": [scale]}], lr=1.0)
    pair = (column(1), column(0))  # loss = scale * (body * head * x): gradients 3 for head and body, 1 for scale
    update(model, [pair], lambda o, _: scale * o.mean(), optimizer, max_norm=1.0)
    assert head.weight.grad is not None and scale.grad is not None and body.weight.grad is not None
    torch.testing.assert_close(head.weight.grad.item(), 3 / math.sqrt(10), rtol=1e-6, atol=0)
    torch.testing.assert_close(scale.grad.item(), 1 / math.sqrt(10), rtol=1e-6, atol=0)
    assert body.weight.grad.item() == 3.0


def test_old_gradients_are_cleared_and_the_last_ones_stay() -> None:
    model = line(2.0)
    model.weight.grad = torch.full_like(model.weight, 100.0)
    update(model, [(column(5), column(0)), (column(1), column(0))], half_square, sgd(model, 0.0))
    assert model.weight.grad is not None and model.weight.grad.item() == 2.0


def test_gradients_are_set_to_none_so_that_unused_parameters_do_not_move() -> None:
    model = nn.ModuleList([line(1.0), line(1.0)])
    model.forward = lambda x: model[int(x[0].item())](x)  # type: ignore[method-assign, assignment, operator]
    optimizer = sgd(model, 0.5, momentum=0.9)
    update(model, [(column(1), column(0)), (column(0), column(0))], half_square, optimizer)
    assert model[1].weight.item() == 0.5  # one step; its momentum did not carry it on in the second batch


def test_metrics_see_the_outputs_before_the_step_without_a_graph() -> None:
    model = line(2.0)
    seen: list[tuple[float, bool]] = []

    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append((model.weight.item(), (outputs * 2).requires_grad))
        return (outputs - targets).abs().mean()

    result = update(model, [(column(1, 3), column(0, 4))], half_square, sgd(model), metrics={"l1": metric})
    assert result == {"loss": 2.0, "l1": 2.0} and list(result) == ["loss", "l1"]
    assert seen == [(2.0, False)]


def test_a_metric_may_be_nan_and_is_averaged_over_samples() -> None:
    model, pairs = line(), [(column(1, 2, 3), column(0, 0, 0)), (column(10), column(0))]
    metrics = {"nan": lambda o, t: o.mean() * math.nan, "size": lambda o, t: torch.tensor(float(len(o)))}
    result = evaluate(model, pairs, half_square, metrics=metrics)
    assert math.isnan(result["nan"]) and result["size"] == (3 * 3 + 1 * 1) / 4


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_any_partition_gives_the_mean_of_the_whole(sizes: list[int]) -> None:
    x, y = data(sum(sizes))
    pairs = list(zip(x.split(sizes), y.split(sizes), strict=True))
    model = nn.Linear(FEATURES, CLASSES).double()
    whole = {"loss": F.cross_entropy(model(x), y).item(), "accuracy": accuracy(model(x), y).item()}
    frozen = sgd(model, 0.0)
    for result in (
        update(model, pairs, F.cross_entropy, frozen, metrics={"accuracy": accuracy}),
        evaluate(model, pairs, F.cross_entropy, metrics={"accuracy": accuracy}),
    ):
        torch.testing.assert_close(result, whole, rtol=1e-12, atol=1e-12)


def test_sums_are_kept_in_float64() -> None:
    model = nn.Identity()
    pairs = [(torch.tensor([value]), torch.zeros(1)) for value in (2.0**24, 1.0, 1.0)]  # 2^24 + 1 is no float32
    assert evaluate(model, pairs, lambda o, t: o.mean()) == {"loss": (2**24 + 2) / 3}


def test_tied_weights_stay_tied_and_get_the_sum_of_gradients() -> None:
    model = nn.Sequential(line(1.0), line(1.0))
    model[1].weight = model[0].weight
    update(model, [(column(2), column(0))], lambda o, _: o.mean(), sgd(model, 0.1))  # d(w w x)/dw = 2 w x = 4
    assert model[0].weight is model[1].weight and model[0].weight.item() == 1.0 - 0.1 * 4.0


# --- modes ---------------------------------------------------------------------------------------------------------


def test_update_trains_a_model_found_in_eval_mode_and_puts_it_back() -> None:
    model, during = network().eval(), []
    model[1].register_forward_pre_hook(lambda *_: during.append(flags(model)))
    update(model, batches(), F.cross_entropy, sgd(model))
    assert all(map(all, during)) and len(during) == 6
    assert not any(flags(model))
    assert model[1].num_batches_tracked.item() == 6


def test_update_leaves_a_frozen_submodule_frozen() -> None:
    model = network().train()
    model[1].eval()
    before, statistics = flags(model), everything(model[1])[0]
    scale = model[1].weight.detach().clone()
    update(model, batches(), F.cross_entropy, sgd(model))
    assert flags(model) == before and before.count(False) == 1
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert_same(model[1].state_dict()[name], statistics[name])
    assert not torch.equal(model[1].weight, scale)  # its parameters are trained: freezing those is requires_grad


def test_evaluate_uses_eval_mode_everywhere_and_restores_each_flag() -> None:
    model, during = network().eval(), []
    model[3].train()
    model[1].register_forward_pre_hook(lambda *_: during.append(flags(model)))
    before, state = flags(model), everything(model)
    first = evaluate(model, batches(), F.cross_entropy)
    assert not any(map(any, during)) and len(during) == 6
    assert flags(model) == before and before.count(True) == 1
    assert_same(everything(model), state)
    x, y = data()
    with torch.no_grad():
        whole = F.cross_entropy(copy.deepcopy(model).eval()(x), y).item()
    torch.testing.assert_close(first["loss"], whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", [True, False])
def test_flags_come_back_after_an_exception(mode: bool) -> None:
    model = network().train(mode)
    model[3].train(not mode)
    before, grad = flags(model), torch.is_grad_enabled()
    broken = [*batches()[:2], (torch.randn(4, 99, dtype=torch.float64), torch.zeros(4, dtype=torch.long))]
    for run in (
        lambda: update(model, broken, F.cross_entropy, sgd(model)),
        lambda: evaluate(model, broken, F.cross_entropy),
    ):
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            run()
        assert flags(model) == before
        assert torch.is_grad_enabled() is grad


def test_a_model_with_its_own_train_method_is_asked() -> None:
    class Merging(nn.Linear):
        """Folds something into its weight for eval mode, as adapters do."""

        def train(self, mode: bool = True) -> Merging:
            if mode != self.training:
                with torch.no_grad():
                    self.weight += -1.0 if mode else 1.0
            return super().train(mode)

    model = Merging(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    assert evaluate(model, [(torch.ones(1, 1), torch.zeros(1, 1))], F.l1_loss) == {"loss": 3.0}
    assert model.weight.item() == 2.0 and model.training


# --- what is not finite --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_parameters_change(value: float) -> None:
    pairs = batches()
    twin, model = network(), network()
    optimizers = [torch.optim.AdamW(m.parameters()) for m in (twin, model)]
    schedules = [LambdaLR(o, lambda step: 1 / (1 + step)) for o in optimizers]
    torch.manual_seed(14)
    update(twin, pairs[:3], F.cross_entropy, optimizers[0], schedule=schedules[0])

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets) * (value if targets is pairs[3][1] else 1.0)

    torch.manual_seed(14)
    with pytest.raises(FloatingPointError, match=rf"loss is {value} at batch 3 \(counted from 0\).*learning rate"):
        update(model, pairs, loss, optimizers[1], schedule=schedules[1], device="cpu")
    assert_same(list(model.parameters()), list(twin.parameters()))  # three steps, then none
    assert_same(*(everything(nn.Identity(), o, s) for o, s in zip(optimizers, schedules, strict=True)))
    assert all(p.grad is None for p in model.parameters())


def test_evaluate_raises_on_a_loss_that_is_not_finite() -> None:
    with pytest.raises(FloatingPointError, match=r"loss is nan at batch 1"):
        evaluate(line(), [(column(1), column(0)), (column(math.nan), column(0))], half_square)


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("max_norm", [1.0, math.inf])
def test_a_gradient_norm_that_is_not_finite_stops_before_the_step(max_norm: float, pieces: int) -> None:
    model = line(0.0)  # sqrt(|0|) = 0, with an infinite slope
    optimizer = sgd(model, momentum=0.9)
    pairs, root = [(column(1), column(0))] * pieces, lambda o, _: (o**2).sqrt().sqrt().mean()
    last = rf"^the norm of the gradients is (inf|nan) at batch {pieces - 1}"  # the one that completes the step
    with pytest.raises(FloatingPointError, match=last):
        update(model, pairs, root, optimizer, max_norm=max_norm, accumulate=pieces)
    assert model.weight.item() == 0.0 and not optimizer.state


# --- what evaluate leaves alone ------------------------------------------------------------------------------------


def test_evaluate_leaves_gradients_random_states_and_buffers_alone() -> None:
    model = network()
    update(model, batches(), F.cross_entropy, sgd(model))
    state, gradients = everything(model), [p.grad.clone() for p in model.parameters()]  # type: ignore[union-attr]
    loader = DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True)  # draws its order from the global state
    random_state = torch.get_rng_state()
    recorded: list[bool] = []
    watch = {"graph": lambda o, t: torch.tensor(float(recorded.append(o.requires_grad) or 0))}
    evaluate(model, loader, F.cross_entropy, metrics=watch)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert recorded == [False] * 6
    assert_same(everything(model), state)
    assert_same([p.grad for p in model.parameters()], gradients)
    with pytest.raises(IndexError):
        evaluate(model, loader, lambda o, t: [][0])
    assert torch.equal(torch.get_rng_state(), random_state)


def test_what_a_model_keeps_from_evaluation_can_be_trained_with() -> None:
    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.scale = nn.Parameter(torch.ones(1)), None

        def forward(self, x: Tensor) -> Tensor:
            if self.scale is None:
                self.scale = x.new_full((1,), 2.0) * 1.0
            return self.weight * self.scale * x

    model = Caching()
    evaluate(model, [(torch.ones(2, 1), torch.zeros(2, 1))], F.mse_loss)
    update(model, [(torch.ones(2, 1), torch.zeros(2, 1))], F.mse_loss, sgd(model))  # inference_mode would raise here


def test_evaluate_may_take_gradients_inside_a_metric() -> None:
    model = line(3.0)

    def slope(outputs: Tensor, targets: Tensor) -> Tensor:
        with torch.enable_grad():
            x = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
            return torch.autograd.grad(model(x).sum(), x)[0].mean()

    assert evaluate(model, [(column(1), column(0))], half_square, metrics={"slope": slope})["slope"] == 3.0


def test_neither_draws_random_numbers_of_its_own() -> None:
    model, pairs = line(), [(column(1, 2), column(0, 1))]
    random_state = torch.get_rng_state()
    update(model, pairs, half_square, sgd(model), max_norm=1.0)
    evaluate(model, pairs, half_square)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_batches_are_not_changed() -> None:
    pairs, kept = batches(), copy.deepcopy(batches())
    model = network()
    update(model, pairs, F.cross_entropy, sgd(model), metrics={"accuracy": accuracy}, max_norm=0.1)
    evaluate(model, pairs, F.cross_entropy, metrics={"accuracy": accuracy})
    assert_same(pairs, kept)
    assert not any(x.requires_grad for x, _ in pairs)


# --- batches and devices -------------------------------------------------------------------------------------------


def test_batches_follow_the_model(device: torch.device) -> None:
    model = nn.Linear(FEATURES, CLASSES).double().to(device)
    on_cpu = copy.deepcopy(model).cpu()
    seen: list[str] = []
    where = {"where": lambda o, t: torch.tensor(float(seen.append(t.device.type) or 0))}
    ours = evaluate(model, batches(), F.cross_entropy, metrics=where)
    assert ours["loss"] == evaluate(on_cpu, batches(), F.cross_entropy)["loss"]
    assert seen == [device.type] * 6


def test_an_explicit_device_moves_the_batches_and_not_the_model(device: torch.device) -> None:
    seen: list[str] = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.extend([outputs.device.type, targets.device.type])
        return (outputs - targets).mean()

    evaluate(nn.Identity(), [(torch.ones(2, 3), torch.zeros(2, 3))], loss, device=device)
    evaluate(nn.Identity(), [(torch.ones(2, 3), torch.zeros(2, 3))], loss, device=str(device))
    assert seen == [device.type] * 4


def test_without_parameters_the_data_stay_where_they_are(device: torch.device) -> None:
    seen: list[str] = []
    pair = (torch.ones(2, 3).to(device), torch.zeros(2, 3).to(device))
    evaluate(nn.Identity(), [pair], lambda o, t: seen.append(o.device.type) or (o - t).mean())  # type: ignore[func-returns-value]
    assert seen == [device.type]


def test_a_model_on_another_device_than_asked_for_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"expected all tensors on pretend"):
        evaluate(line(), [(column(1), column(0))], half_square, device=pretend_gpu.NAME)


def test_nested_inputs_and_targets(device: torch.device) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(FEATURES, 2), nn.Linear(4, 1)

        def forward(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
            return self.first(inputs["x"]), self.second(inputs["more"][0]) * inputs["factor"]

    def loss(outputs: tuple[Tensor, Tensor], targets: Any) -> Tensor:
        assert type(targets) is Pair
        return F.cross_entropy(outputs[0], targets.inputs) + F.mse_loss(outputs[1], targets.targets)

    torch.manual_seed(15)
    x, more, label, value = torch.randn(6, FEATURES), torch.randn(6, 4), torch.arange(6) % 2, torch.randn(6, 1)

    def pair(rows: slice) -> tuple[dict[str, Any], Pair]:
        return {"x": x[rows], "more": [more[rows]], "factor": 2.0}, Pair(label[rows], value[rows])

    model = Heads().to(device)
    whole = evaluate(model, [pair(slice(6))], loss)
    parts = evaluate(model, [pair(slice(5)), pair(slice(5, 6))], loss)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=0)
    update(model, [pair(slice(6))], loss, sgd(model, 0.01))
    assert evaluate(model, [pair(slice(6))], loss)["loss"] < whole["loss"]


def test_the_batch_size_is_that_of_the_targets_and_of_the_inputs_without_any() -> None:
    def first(outputs: Tensor, _: Any) -> Tensor:
        return outputs[0, 0]

    steps_first = [(torch.full((9, 2), 1.0), torch.zeros(2)), (torch.full((9, 4), 4.0), torch.zeros(4))]
    assert evaluate(nn.Identity(), steps_first, first) == {"loss": (2 * 1.0 + 4 * 4.0) / 6}
    unlabeled = [(torch.full((2, 3), 1.0), None), (torch.full((4, 3), 4.0), None)]
    assert evaluate(nn.Identity(), unlabeled, first) == {"loss": (2 * 1.0 + 4 * 4.0) / 6}
    mixed = [(torch.ones(3, 1), (torch.tensor(0.3), torch.zeros(3))), (torch.full((1, 1), 5.0), (0.3, torch.zeros(1)))]
    assert evaluate(nn.Identity(), mixed, first) == {"loss": (3 * 1.0 + 1 * 5.0) / 4}


def test_a_packed_sequence_is_moved_by_its_own_method(device: torch.device) -> None:
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 1), torch.ones(2, 1)])
    seen: list[Any] = []

    def loss(outputs: Any, targets: Tensor) -> Tensor:
        seen.append((type(outputs), outputs.data.device.type, outputs.batch_sizes.device.type))
        return targets.mean()

    evaluate(nn.Identity(), [(packed, torch.ones(2))], loss, device=device)
    assert seen == [(nn.utils.rnn.PackedSequence, device.type, "cpu")]


@pytest.mark.parametrize("kind", [list, tuple, Pair._make])
def test_any_sequence_of_two_is_a_pair_and_any_iterable_will_do(kind: Any) -> None:
    assert evaluate(line(), iter([kind([column(1), column(0)])]), half_square) == {"loss": 2.0}


def test_a_data_loader_will_do() -> None:
    model, loader = network(), DataLoader(TensorDataset(*data()), batch_size=8)
    twin = copy.deepcopy(model)
    torch.manual_seed(16)
    a = update(model, list(loader), F.cross_entropy, sgd(model))
    torch.manual_seed(16)
    next(iter(loader))  # a loader draws once from the global state when it starts
    state = torch.get_rng_state()
    assert a == update(twin, batches(), F.cross_entropy, sgd(twin)) and not torch.equal(state, torch.get_rng_state())


# --- progress ------------------------------------------------------------------------------------------------------


def test_a_progress_bar_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    def tqdm(iterable: Any, **options: Any) -> Any:
        shown.append(options)
        return iterable

    model, pairs = line(), [(column(1), column(0))]
    monkeypatch.setitem(sys.modules, "tqdm", None)  # importing it now raises
    expected = evaluate(model, pairs, half_square)
    update(model, pairs, half_square, sgd(model, 0.0))
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=tqdm))
    assert evaluate(model, pairs, half_square, progress=True) == expected
    assert update(model, pairs, half_square, sgd(model, 0.0), progress=True) == expected
    assert shown == [{"leave": False}] * 2


def test_the_real_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(line(), [(column(1), column(0))] * 3, half_square, progress=True)
    assert "0/3" in capsys.readouterr().err


# --- bad arguments -------------------------------------------------------------------------------------------------

GOOD = [(column(1, 2), column(0, 0))]


@pytest.mark.parametrize("bad, message", [
    ([torch.ones(2, 3)], r"batch 0 \(counted from 0\) is a tensor of shape \(2, 3\)"),
    ([*GOOD, [torch.ones(2, 3)]], r"batch 1 .* is a list of 1: a tensor of shape \(2, 3\)"),
    ([(torch.ones(1), 0, "a", 1)], r"is a tuple of 4: a tensor of shape \(1,\), a int, a str$"),
    ([{"x": torch.ones(2, 1), "y": torch.ones(2, 1)}], r"pairs \(inputs, targets\), but batch 0 .* is a dict"),
])  # fmt: skip
def test_batches_that_are_not_pairs(bad: Any, message: str) -> None:
    model = line()
    with pytest.raises(TypeError, match=message):
        update(model, bad, half_square, sgd(model))
    with pytest.raises(TypeError, match=message):
        evaluate(model, bad, half_square)


def test_two_tensors_instead_of_batches_of_them() -> None:
    with pytest.raises(TypeError, match=r"batch 0 .* is a tensor of shape \(2, 1\)"):
        evaluate(line(), (column(1, 2), column(0, 0)), half_square)


@pytest.mark.parametrize("bad", [
    (torch.ones(0, 1), torch.ones(0, 1)),
    (torch.tensor(1.0), torch.tensor(2.0)),
    (None, "no tensor"),
])  # fmt: skip
def test_batches_without_samples(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"batch 1 \(counted from 0\) holds no samples: a tuple of 2"):
        evaluate(nn.Identity(), [(torch.ones(1), torch.ones(1)), bad], lambda o, t: torch.tensor(1.0))


def test_no_batches() -> None:
    model, used_up = line(), iter([])
    for run in (
        lambda: update(model, used_up, half_square, sgd(model)),
        lambda: evaluate(line(), DataLoader(TensorDataset(*data(3)), batch_size=8, drop_last=True), half_square),
    ):
        with pytest.raises(ValueError, match=r"^batches is empty"):
            run()


@pytest.mark.parametrize("loss, kind, message", [
    (nn.MSELoss(reduction="none"), ValueError, r"loss must return the mean over the batch.*got shape \(2, 1\)"),
    (lambda o, t: (o - t).mean().reshape(1), ValueError, r"of shape \(\), got shape \(1,\)"),
    (lambda o, t: 0.5, TypeError, r"loss must return a tensor of shape \(\), got float"),
    (nn.MSELoss(reduction="sum"), ValueError, 'loss must be a mean over the batch, but has reduction="sum"'),
    (partial(F.mse_loss, reduction="sum"), ValueError, '^loss must be .* but has reduction="sum"'),
    (partial(nn.MSELoss(reduction="sum")), ValueError, '^loss must be .* but has reduction="sum"'),
    (nn.MSELoss, TypeError, r"^loss is a class; write MSELoss\(\)$"),
    (nn.CrossEntropyLoss, TypeError, r"^loss is a class; write CrossEntropyLoss\(\)$"),
    ("mse", TypeError, r"^loss must be a function of \(outputs, targets\), got a value of type str$"),
])  # fmt: skip
def test_losses_that_are_no_batch_mean(loss: Any, kind: type[Exception], message: str) -> None:
    model = line()
    with pytest.raises(kind, match=message):
        update(model, GOOD, loss, sgd(model))
    with pytest.raises(kind, match=message):
        evaluate(model, GOOD, loss)
    assert model.weight.item() == 2.0


def test_metrics_that_are_no_batch_mean() -> None:
    with pytest.raises(ValueError, match=r"l1 must return the mean over the batch, of shape \(\), got shape \(2, 1\)"):
        evaluate(line(), GOOD, half_square, metrics={"l1": lambda o, t: (o - t).abs()})
    with pytest.raises(TypeError, match="l1 must return a tensor"):
        evaluate(line(), GOOD, half_square, metrics={"l1": lambda o, t: 1.0})  # type: ignore[dict-item, return-value]
    model = line()
    for run in (
        lambda: update(model, GOOD, half_square, sgd(model), metrics={"loss": half_square}),
        lambda: evaluate(line(), GOOD, half_square, metrics={"loss": half_square}),
    ):
        with pytest.raises(ValueError, match='metrics must not use the name "loss"'):
            run()


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
def test_bad_norm_bounds(max_norm: float) -> None:
    model = line()
    with pytest.raises(ValueError, match=rf"^max_norm must be positive, got {max_norm}"):
        update(model, GOOD, half_square, sgd(model), max_norm=max_norm)


def test_a_schedule_of_another_optimizer() -> None:
    model = line()
    schedule = LambdaLR(sgd(model), lambda step: 1.0)
    with pytest.raises(ValueError, match="schedule drives another optimizer"):
        update(model, GOOD, half_square, sgd(model), schedule=schedule)
    assert model.weight.item() == 2.0


def test_a_partial_that_declares_a_mean_will_do() -> None:
    assert evaluate(line(), GOOD, partial(F.mse_loss, reduction="mean")) == {"loss": 10.0}
    assert evaluate(line(), GOOD, partial(F.mse_loss)) == {"loss": 10.0}


def test_an_optimizer_of_another_model() -> None:
    model, other = line(), line()
    with pytest.raises(ValueError, match=r"^optimizer steps no parameter of model: was it built for another one\?$"):
        update(model, GOOD, half_square, sgd(other))
    assert model.weight.item() == other.weight.item() == 2.0
    assert other.weight.grad is None


def test_an_optimizer_of_a_part_of_the_model_and_of_more_will_do() -> None:
    model, extra = nn.Sequential(line(), line()), nn.Parameter(column(1))
    update(model, GOOD, half_square, torch.optim.SGD([extra, model[1].weight], lr=0.1))
    assert model[0].weight.item() == 2.0 != model[1].weight.item()


@pytest.mark.parametrize("swapped, kind", [
    (nn.CrossEntropyLoss(), "a value of type CrossEntropyLoss"),
    (half_square, "a value of type function"),
    (torch.optim.SGD, "the class SGD"),
    (None, "a value of type NoneType"),
])  # fmt: skip
def test_what_is_no_optimizer(swapped: Any, kind: str) -> None:
    order = r"the order is update\(model, batches, loss, optimizer\)$"
    model = line()
    for loss in (sgd(model), half_square):
        with pytest.raises(TypeError, match=rf"^optimizer must be a torch.optim.Optimizer, got {kind}; {order}"):
            update(model, GOOD, loss, swapped)  # type: ignore[arg-type]


def test_a_data_set_instead_of_a_loader() -> None:
    model, samples = line(), TensorDataset(column(1, 2, 3), column(0, 0, 0))
    message = r"^batches is a value of type TensorDataset, .* wrap it in a DataLoader, as in DataLoader\("
    with pytest.raises(TypeError, match=message):
        update(model, samples, half_square, sgd(model))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=message):
        evaluate(model, samples, half_square)  # type: ignore[arg-type]
    assert model.weight.item() == 2.0


def test_a_data_set_that_yields_batches_will_do() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter(GOOD)

    model = line()
    assert update(model, Stream(), half_square, sgd(model, 0.0)) == evaluate(model, Stream(), half_square)
    assert evaluate(model, Stream(), half_square) == evaluate(model, (pair for pair in GOOD), half_square)


def test_a_schedule_that_watches_a_value_is_refused_before_the_first_step() -> None:
    model = line()
    optimizer = sgd(model)
    message = r'ReduceLROnPlateau needs a value .* call plateau\.step\(averages\["loss"\]\)'
    with pytest.raises(TypeError, match=message):
        update(model, GOOD, half_square, optimizer, schedule=ReduceLROnPlateau(optimizer))
    assert model.weight.item() == 2.0 and model.weight.grad is None


# --- mixed precision and accumulation ------------------------------------------------------------------------------


ONE, NIL = torch.ones(1, 1, dtype=torch.float32), torch.zeros(1, 1, dtype=torch.float32)


def scaler(**options: Any) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", **options)


def single(p: float = 0.0) -> nn.Sequential:
    return network(dropout=p).float()


def single_batches() -> list[tuple[Tensor, Tensor]]:
    return [(x.float(), y) for x, y in batches()]


@pytest.mark.parametrize("pieces, sizes", [(2, [8, 3, 5]), (3, [4, 4, 1]), (4, [1, 6, 2, 7])])
def test_accumulated_steps_are_those_of_the_joined_batches(pieces: int, sizes: list[int], device: torch.device) -> None:
    layers = [nn.Linear(FEATURES, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES)]
    model = nn.Sequential(*layers).double().to(device)
    twin = copy.deepcopy(model)
    x, y = data(sum(sizes))
    pairs = list(zip(x.split(sizes), y.split(sizes), strict=True))
    groups = [pairs[i : i + pieces] for i in range(0, len(pairs), pieces)]
    joined = [tuple(torch.cat(parts) for parts in zip(*group, strict=True)) for group in groups]
    optimizers = [sgd(m, momentum=0.9) for m in (model, twin)]
    schedules = [LambdaLR(o, lambda step: 1 / (1 + step)) for o in optimizers]
    options = {"metrics": {"accuracy": accuracy}, "max_norm": 0.2}
    ours = update(model, pairs, F.cross_entropy, optimizers[0], accumulate=pieces, schedule=schedules[0], **options)
    theirs = update(twin, joined, F.cross_entropy, optimizers[1], schedule=schedules[1], **options)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(list(model.parameters()), list(twin.parameters()), **close)
    assert schedules[0].last_epoch == schedules[1].last_epoch == len(groups)


def test_a_loss_that_is_not_finite_stops_before_the_step_of_its_group() -> None:
    model = line()
    pairs = [(column(1), column(0)), (column(math.nan), column(0))]
    with pytest.raises(FloatingPointError, match="loss is nan at batch 1"):
        update(model, pairs, half_square, sgd(model), accumulate=2)
    assert model.weight.item() == 2.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_on_for_model_and_loss_and_off_for_the_rest(dtype: torch.dtype) -> None:
    model, seen = single(), []
    model[4].register_full_backward_pre_hook(lambda *_: seen.append(("backward", torch.is_autocast_enabled("cpu"))))

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append((outputs.dtype, torch.is_autocast_enabled("cpu")))
        return F.cross_entropy(outputs, targets)

    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(("metric", torch.is_autocast_enabled("cpu")))
        return outputs.mean()

    pairs, optimizer = single_batches()[:1], sgd(model)
    update(model, pairs, loss, optimizer, metrics={"m": metric}, autocast=dtype, scaler=scaler())
    assert seen == [(dtype, True), ("metric", False), ("backward", False)]
    evaluate(model, pairs, loss, autocast=dtype)
    assert seen[3:] == [(dtype, True)] and not torch.is_autocast_enabled("cpu")
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_without_autocast_a_scaler_changes_nothing() -> None:
    ours, theirs = single(), single()
    powers = {"init_scale": 2.0**10}  # of two: scaling is exact
    for model, how in ((ours, {"scaler": scaler(**powers)}), (theirs, {})):
        update(model, single_batches(), F.cross_entropy, sgd(model), max_norm=0.1, **how)  # type: ignore[arg-type]
    assert_same(list(ours.parameters()), list(theirs.parameters()))


def test_clipping_comes_after_the_division_by_the_scale() -> None:
    model = line(2.0).float()
    pair = (ONE, NIL)
    update(model, [pair], half_square, sgd(model, 1.0), scaler=scaler(init_scale=1024.0), max_norm=0.5)
    assert model.weight.item() == pytest.approx(1.5, rel=1e-5)  # gradient 2, clipped to 0.5
    assert model.weight.grad is not None and model.weight.grad.item() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_a_step_that_overflows_is_skipped_and_the_schedule_waits(max_norm: float | None) -> None:
    model = line(2.0).float()
    optimizer, grad_scaler = sgd(model, 0.5), scaler(init_scale=1e38)  # times a gradient of 8: infinite in float32
    schedule = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    pairs = [(2 * ONE, NIL)]
    options = {"schedule": schedule, "scaler": grad_scaler, "max_norm": max_norm}
    assert update(model, pairs, half_square, optimizer, **options) == {"loss": 8.0}  # type: ignore[arg-type]
    assert model.weight.item() == 2.0 and schedule.last_epoch == 0
    assert grad_scaler.get_scale() == pytest.approx(0.5e38, rel=1e-6)
    while model.weight.item() == 2.0:
        update(model, pairs, half_square, optimizer, **options)  # type: ignore[arg-type]
    assert schedule.last_epoch == 1


@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_gradients_that_are_never_finite_stop_before_the_scale_is_0(max_norm: float | None) -> None:
    model = line(2.0).float()
    optimizer, grad_scaler = sgd(model), scaler(init_scale=4.0)
    schedule = LambdaLR(optimizer, lambda step: 1.0)
    fits = [(ONE, 2 * ONE)] * 180  # sqrt(0): a loss of 0 with a gradient of 0 / 0

    def root(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets).sqrt()

    with pytest.raises(FloatingPointError, match=r"scale fell to 3\.05\S* before batch 17 \(.*gradients themselves"):
        update(model, fits, root, optimizer, schedule=schedule, scaler=grad_scaler, max_norm=max_norm)
    assert grad_scaler.get_scale() == 2.0**-15  # 17 halvings of 2**2
    assert model.weight.item() == 2.0 and schedule.last_epoch == 0


def test_a_scale_of_0_is_refused_before_the_step() -> None:
    model = line(2.0).float()
    with pytest.raises(FloatingPointError, match=r"scale fell to 0\.0 before batch 0"):
        update(model, [(ONE, NIL)], half_square, sgd(model), scaler=scaler(init_scale=0.0))
    assert model.weight.item() == 2.0


@pytest.mark.parametrize("max_norm", [None, 1.0])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_scaler_survives_a_step_that_raises(error: type[BaseException], max_norm: float | None) -> None:
    def fail(*_: Any) -> None:
        raise error("in a hook")

    model = line(2.0).float()
    optimizer, grad_scaler = sgd(model), scaler()
    options: dict[str, Any] = {"scaler": grad_scaler, "max_norm": max_norm}
    hook = optimizer.register_step_pre_hook(fail)
    with pytest.raises(error, match=r"^in a hook$"):
        update(model, [(ONE, NIL)], half_square, optimizer, **options)
    hook.remove()
    update(model, [(ONE, NIL)], half_square, optimizer, **options)
    assert model.weight.item() < 2.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_metrics_get_a_tensor_of_outputs_as_float32(dtype: torch.dtype) -> None:
    model = single()
    options: dict[str, Any] = {"metrics": {"again": F.cross_entropy}, "autocast": dtype}
    trained = update(model, single_batches(), F.cross_entropy, sgd(model), scaler=scaler(), **options)
    evaluated = evaluate(model, single_batches(), F.cross_entropy, **options)
    assert trained["again"] == trained["loss"] and evaluated["again"] == evaluated["loss"]


def test_accumulated_batches_are_moved_one_by_one() -> None:
    events: list[str] = []

    class Logged(Tensor):
        def to(self, *where: Any, **how: Any) -> Tensor:
            events.append("moved")
            return self.as_subclass(Tensor).to(*where, **how)

    model = line()
    model.register_forward_pre_hook(lambda *_: events.append("used"))
    pairs = [(column(1).as_subclass(Logged), column(0))] * 3
    update(model, pairs, half_square, sgd(model), accumulate=3)
    assert events == ["moved", "used"] * 3


def test_a_scale_that_grows_advances_the_schedule() -> None:
    model = line(2.0).float()
    optimizer, grad_scaler = sgd(model, 0.1), scaler(init_scale=4.0, growth_interval=1)
    schedule = LambdaLR(optimizer, lambda step: 1.0)
    pairs = [(ONE, NIL)] * 3
    update(model, pairs, half_square, optimizer, schedule=schedule, scaler=grad_scaler)
    assert grad_scaler.get_scale() == 32.0 and schedule.last_epoch == 3


def test_small_gradients_survive_float16_with_a_scaler_only() -> None:
    gradients = []
    for enabled in (False, True):
        model = line(2.0).float()
        options = {"autocast": torch.float16, "scaler": scaler(enabled=enabled)}
        pair = (ONE, NIL)
        update(model, [pair], lambda o, _: 1e-9 * o.float().mean(), sgd(model), **options)  # type: ignore[arg-type]
        assert model.weight.grad is not None
        gradients.append(model.weight.grad.item())
    assert gradients[0] == 0.0 and gradients[1] == pytest.approx(1e-9, rel=1e-2)


@pytest.mark.parametrize("bad, kind, message", [
    ({"accumulate": 0}, ValueError, "^accumulate must be at least 1, got 0"),
    ({"accumulate": 1.5}, TypeError, "float"),
    ({"autocast": torch.float32}, ValueError, r"^autocast must be torch.bfloat16, .* got torch.float32"),
    ({"autocast": torch.float16}, ValueError, r"^scaler must be given with autocast=torch.float16"),
    ({"scaler": torch.amp.GradScaler}, TypeError, "^scaler must be a torch.amp.GradScaler, got the class GradScaler"),
])  # fmt: skip
def test_bad_precision_and_accumulation(bad: dict[str, Any], kind: type[Exception], message: str) -> None:
    model = line()
    with pytest.raises(kind, match=message):
        update(model, GOOD, half_square, sgd(model), **bad)
    assert model.weight.item() == 2.0


def test_evaluate_refuses_another_precision_and_needs_no_scaler() -> None:
    with pytest.raises(ValueError, match=r"^autocast must be"):
        evaluate(line(), GOOD, half_square, autocast=torch.int8)
    assert evaluate(single(), single_batches(), F.cross_entropy, autocast=torch.float16)["loss"] > 0


def test_without_parameters_the_default_device_casts() -> None:
    seen: list[torch.dtype] = []
    matrix = torch.eye(2, dtype=torch.float32)

    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ matrix

    pairs = [(torch.ones(3, 2, dtype=torch.float32), torch.ones(3))]
    evaluate(Product(), pairs, lambda o, _: seen.append(o.dtype) or o.mean(), autocast=torch.bfloat16)  # type: ignore[func-returns-value]
    assert seen == [torch.bfloat16]
