"""Update rules against torch.optim, bit for bit, and against closed forms; the same rules on a matrix of models."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from tests import pretend_gpu
from tricks_lib.learning.optimizers import (
    SGD,
    AdamW,
    Each,
    Interval,
    RuleOptimizer,
    adam_step,
    adamw_step,
    in_use,
    sgd_step,
)

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once

SHAPES = [(3, 5), (5,), (), (2, 4, 3)]
SGD_OPTIONS: list[dict[str, Any]] = [
    {"momentum": m, "weight_decay": w, "nesterov": n, "maximize": up}
    for m, w, n, up in itertools.product([0.0, 0.9], [0.0, 0.01], [False, True], [False, True])
    if m or not n
]
ADAM_OPTIONS: list[dict[str, Any]] = [
    {"weight_decay": w, "betas": b, "eps": e, "maximize": up}
    for w, b, e, up in itertools.product([0.0, 0.1], [(0.9, 0.999), (0.0, 0.5)], [1e-8, 1e-3], [False, True])
]
CASES = [(SGD, torch.optim.SGD, o) for o in SGD_OPTIONS] + [(AdamW, torch.optim.AdamW, o) for o in ADAM_OPTIONS]


def parameters(dtype: torch.dtype = torch.float64, device: Any = "cpu") -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=rng, dtype=dtype).to(device)) for shape in SHAPES]


def set_gradients(ps: list[nn.Parameter], step: int, skip: int | None = None) -> None:
    rng = torch.Generator().manual_seed(100 + step)
    for k, p in enumerate(ps):
        g = torch.randn(p.shape, generator=rng, dtype=p.dtype) * 10 ** (k - 1)
        p.grad = None if k == skip and step % 3 == 1 else g.to(p.device)


def run(optimizer: torch.optim.Optimizer, ps: list[nn.Parameter], steps: range, skip: int | None = None) -> None:
    for step in steps:
        set_gradients(ps, step, skip)
        optimizer.step()


def assert_same(a: list[Any], b: list[Any]) -> None:
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.mark.parametrize("foreach", [None, True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_equals_torch_bit_for_bit(ours: Any, theirs: Any, options: Any, dtype: torch.dtype, foreach: Any) -> None:
    a, b = parameters(dtype), parameters(dtype)
    run(ours(a, lr=0.03, foreach=foreach, **options), a, range(12), skip=1)
    run(theirs(b, lr=0.03, foreach=False, **options), b, range(12), skip=1)
    assert_same(a, b)
    assert not torch.equal(a[0], parameters(dtype)[0])


def test_defaults_are_those_of_torch() -> None:
    for ours, theirs in [(SGD, torch.optim.SGD), (AdamW, torch.optim.AdamW)]:
        mine, other = ours(parameters()).defaults, theirs(parameters()).defaults
        assert {k: v for k, v in mine.items() if k != "foreach"} == {k: other[k] for k in mine if k != "foreach"}


def test_rules_have_the_defaults_of_their_classes() -> None:
    for kind, rule in [(SGD, sgd_step), (AdamW, adamw_step), (AdamW, adam_step)]:
        defaults = kind.hyper(kind(parameters()).defaults)
        options = {p.name: p.default for p in inspect.signature(rule).parameters.values() if p.kind is p.KEYWORD_ONLY}
        assert options == {name: defaults[name] for name in options}


def test_groups_keep_their_own_hyper_parameters() -> None:
    results = []
    for kind in (AdamW, torch.optim.AdamW):
        ps = parameters()
        groups = [{"params": ps[:2], "weight_decay": 0.5, "lr": 0.1}, {"params": ps[2:], "betas": (0.5, 0.6)}]
        run(kind(groups, lr=0.01), ps, range(5))
        results.append(ps)
    assert_same(*results)


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize(("kind", "options"), [(SGD, {"momentum": 0.9, "weight_decay": 0.1}), (AdamW, {})])
def test_learning_rate_may_be_a_tensor_and_stays_one(kind: Any, options: Any, foreach: bool) -> None:
    a, b = parameters(), parameters()
    lr = torch.tensor(0.03, dtype=torch.float64)
    optimizer = kind(a, lr=lr, foreach=foreach, **options)
    run(optimizer, a, range(6))
    run(kind(b, lr=0.03, **options), b, range(6))
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
    assert optimizer.param_groups[0]["lr"] is lr


def test_is_driven_by_torch_schedulers() -> None:
    results = []
    for kind in (SGD, torch.optim.SGD):
        ps = parameters()
        optimizer = kind(ps, lr=0.5, momentum=0.9)
        schedule = LambdaLR(optimizer, lambda step: 1 / (step + 1))
        for step in range(5):
            set_gradients(ps, step)
            optimizer.step()
            schedule.step()
        results.append(ps)
    assert_same(*results)


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize(("kind", "options"), [(SGD, {"momentum": 0.9, "weight_decay": 0.1}), (AdamW, {})])
@pytest.mark.parametrize("maximize", [True, False])
def test_gradients_are_left_alone(kind: Any, options: Any, foreach: bool, maximize: bool) -> None:
    ps = parameters()
    optimizer = kind(ps, lr=0.1, foreach=foreach, maximize=maximize, **options)
    for step in range(3):
        set_gradients(ps, step)
        kept = [p.grad for p in ps]
        copies = [g.clone() for g in kept if g is not None]
        optimizer.step()
        assert all(p.grad is g for p, g in zip(ps, kept, strict=True))
        assert_same(kept, copies)


@pytest.mark.parametrize(("ours", "theirs"), [(SGD, torch.optim.SGD), (AdamW, torch.optim.AdamW)])
@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle", "to torch", "from torch"])
def test_goes_on_as_if_it_had_never_stopped(ours: Any, theirs: Any, way: str) -> None:
    options = {"momentum": 0.9} if ours is SGD else {}
    whole, ps = parameters(), parameters()
    run(ours(whole, lr=0.1, **options), whole, range(8))
    first = (theirs if way == "from torch" else ours)(ps, lr=0.1, **options)
    run(first, ps, range(4))
    if way == "deepcopy":
        ps, second = copy.deepcopy((ps, first))
    elif way == "pickle":
        ps, second = pickle.loads(pickle.dumps((ps, first)))
    else:
        ps = [nn.Parameter(p.detach().clone()) for p in ps]
        second = (theirs if way == "to torch" else ours)(ps, lr=7.0, **({"momentum": 0.1} if options else {}))
        state = first.state_dict()
        for group, new in zip(state["param_groups"], second.state_dict()["param_groups"], strict=True):
            group |= {name: value for name, value in new.items() if name not in group}
        second.load_state_dict(state)
    run(second, ps, range(4, 8))
    assert_same(ps, whole)


def test_closure_is_called_with_gradients_on_and_its_loss_returned() -> None:
    p = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    optimizer = SGD([p], lr=0.25)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    assert optimizer.step(closure) == 9.0
    assert p.item() == 3 - 0.25 * 6


def test_parameters_without_a_gradient_stay() -> None:
    ps = parameters()
    optimizer = AdamW(ps, lr=0.1)
    ps[0].grad = torch.ones_like(ps[0])
    optimizer.step()
    assert_same(ps[1:], parameters()[1:])
    assert len(optimizer.state) == 1


def test_momentum_buffer_exists_only_with_momentum() -> None:
    for momentum, names in [(0.0, {"step"}), (0.5, {"step", "momentum_buffer"})]:
        ps = parameters()
        optimizer = SGD(ps, momentum=momentum)
        run(optimizer, ps, range(1))
        assert set(optimizer.state[ps[0]]) == names


def test_state_stays_on_the_device(device: torch.device) -> None:
    a, b = parameters(torch.float32, device), parameters(torch.float32)
    optimizer = AdamW(a, lr=0.1)
    run(optimizer, a, range(3))
    run(AdamW(b, lr=0.1), b, range(3))
    assert_same([p.detach().cpu() for p in a], [p.detach() for p in b])
    state = optimizer.state[a[0]]
    assert state["exp_avg"].device.type == device.type and state["step"].device.type == "cpu"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -1.0}, r"lr must be in \[0, inf\), got -1.0"),
        (SGD, {"lr": float("nan")}, r"lr must be in \[0, inf\), got nan"),
        (SGD, {"lr": float("inf")}, r"lr must be in \[0, inf\), got inf"),
        (SGD, {"lr": torch.ones(2)}, r"lr must be one number, got a tensor of shape \(2,\)"),
        (SGD, {"momentum": -0.1}, "momentum must be in"),
        (SGD, {"weight_decay": -0.1}, "weight_decay must be in"),
        (SGD, {"nesterov": True}, "nesterov needs a momentum above 0, got 0.0"),
        (AdamW, {"lr": -1.0}, "lr must be in"),
        (AdamW, {"betas": (1.0, 0.9)}, r"beta1 must be in \[0, 1\), got 1.0"),
        (AdamW, {"betas": (0.9, -0.1)}, r"beta2 must be in \[0, 1\), got -0.1"),
        (AdamW, {"eps": -1.0}, "eps must be in"),
        (AdamW, {"weight_decay": -1.0}, "weight_decay must be in"),
    ],
)
def test_bad_hyper_parameters_are_named(kind: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(parameters(), **options)
    with pytest.raises(ValueError, match=message):
        kind([{"params": parameters(), **options}])


def test_sparse_and_complex_gradients_are_refused() -> None:
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3).to_sparse()
    with pytest.raises(TypeError, match=r"SGD takes dense real gradients, got .*sparse_coo"):
        SGD([p]).step()
    p = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    p.grad = torch.ones_like(p)
    with pytest.raises(TypeError, match="complex64"):
        AdamW([p]).step()


@given(st.floats(0.01, 1.9), st.floats(0.1, 1.0), st.integers(1, 20))
def test_descent_on_a_parabola_is_geometric(lr: float, curvature: float, steps: int) -> None:
    p = torch.tensor([2.0], dtype=torch.float64)
    for t in range(1, steps + 1):
        sgd_step(p, curvature * p, {}, t, lr=lr)
    torch.testing.assert_close(p, torch.tensor([2 * (1 - lr * curvature) ** steps], dtype=torch.float64))


def test_momentum_sums_a_constant_gradient() -> None:
    p, m = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for t in range(1, 4):
        sgd_step(p, torch.ones(1, dtype=torch.float64), {"momentum_buffer": m}, t, lr=0.1, momentum=0.5)
    torch.testing.assert_close(p.item(), -0.1 * (1 + 1.5 + 1.75))


@given(st.floats(1e-3, 1e3), st.sampled_from([-1.0, 1.0]))
def test_adam_steps_as_far_for_any_scale_of_the_gradient(scale: float, sign: float) -> None:
    p = torch.zeros(1, dtype=torch.float64)
    state = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
    for t in range(1, 4):
        adamw_step(p, torch.full_like(p, sign * scale), state, t, lr=0.1, eps=0.0, weight_decay=0.0)
    torch.testing.assert_close(p.item(), -0.3 * sign)


GRID: dict[Any, dict[str, list[float]]] = {
    SGD: {"lr": [0.1, 0.0, 1.0], "momentum": [0.0, 0.9, 0.5], "weight_decay": [0.0, 0.1, 0.2]},
    AdamW: {
        "lr": [0.1, 0.0, 1.0],
        "beta1": [0.0, 0.9, 0.5],
        "beta2": [0.99, 0.9, 0.5],
        "eps": [1e-8, 1e-2, 1e-5],
        "weight_decay": [0.0, 0.1, 0.2],
    },
}


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_each_row_of_a_matrix_has_its_own_hyper_parameters(kind: type[RuleOptimizer]) -> None:
    columns = {name: torch.tensor(values, dtype=torch.float64).unsqueeze(1) for name, values in GRID[kind].items()}
    rng = torch.Generator().manual_seed(4)
    start, gradients = torch.randn(3, 7, generator=rng).double(), torch.randn(6, 3, 7, generator=rng).double()

    def train(p: Tensor, g: Tensor, hyper: dict[str, Any]) -> Tensor:
        p = p.clone()
        state = {name: torch.zeros_like(p) for name in kind.slots}
        for step, gradient in enumerate(g, 1):
            kind.rule(p, gradient, state, step, **hyper)
        return p

    together = train(start, gradients, columns)
    for k in range(3):
        alone = train(start[k], gradients[:, k], {name: values[k] for name, values in GRID[kind].items()})
        torch.testing.assert_close(together[k], alone, rtol=1e-12, atol=1e-12)


def test_a_row_that_diverges_leaves_the_others_alone() -> None:
    p, m = torch.ones(2, 3), torch.zeros(2, 3)
    g = torch.tensor([[1.0, 1.0, 1.0], [torch.nan, torch.inf, 1.0]])
    sgd_step(p, g, {"momentum_buffer": m}, 1, lr=torch.tensor([[0.5], [1.0]]), momentum=torch.tensor([[0.9], [0.9]]))
    assert_same([p[0]], [torch.full((3,), 0.5)])
    assert p[1, 0].isnan()


def test_each_spreads_calls_over_its_tensors() -> None:
    a, b = [torch.ones(2), torch.full((3, 1), 2.0)], [torch.full((2,), 3.0), torch.ones(3, 1)]
    out = Each(a).mul(2.0).addcmul_(Each(b), torch.tensor(10.0)).tensors
    assert_same(out, [torch.full((2,), 32.0), torch.full((3, 1), 14.0)])
    assert_same(a, [torch.ones(2), torch.full((3, 1), 2.0)])
    each = Each(a)
    assert each.add_(1.0) is each and a[0][0] == 2
    with pytest.raises(AttributeError):
        each.no_such_operation()


@pytest.mark.parametrize("value, used", [(0, False), (0.0, False), (1e-9, True), (True, True), (torch.zeros(1), True)])
def test_terms_are_in_use(value: Any, used: bool) -> None:
    assert in_use(value) is used


@pytest.mark.parametrize("ends, text", [("[)", "[1, 2)"), ("(]", "(1, 2]"), ("[]", "[1, 2]"), ("()", "(1, 2)")])
def test_intervals_have_ends(ends: str, text: str) -> None:
    interval = Interval(1, 2, ends)
    assert str(interval) == text
    assert (1 in interval) == (ends[0] == "[") and (2 in interval) == (ends[1] == "]")
    assert 1.5 in interval and 0.9 not in interval and 2.1 not in interval and float("nan") not in interval
