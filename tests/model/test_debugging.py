"""`tricks_lib.model.debugging`: fitting one batch, watching layers, gradients against differences."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tricks_lib.learning.loop import update
from tricks_lib.model.debugging import (
    GradientCheck,
    Overfit,
    Watch,
    best_step,
    gradient_check,
    numeric_gradient,
    overfit_batch,
    relative_error,
    update_ratio,
    verdict,
)

F = nn.functional


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).to(dtype)
    for k, p in enumerate(model.parameters()):
        p.data.copy_(normal(*p.shape, seed=k, dtype=dtype) / 2)
    return model


X, Y = normal(2, 5, seed=9), torch.tensor([0, 2])


# ---- overfit_batch


def test_the_losses_are_those_of_a_plain_loop() -> None:
    model, (x, y) = network(), (X, Y)
    fit = overfit_batch(model, (x, y), F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1), steps=6)
    plain, losses = copy.deepcopy(model), []
    for _ in range(7):
        value = F.cross_entropy(plain(x), y)
        losses.append(value.item())
        for p, g in zip(plain.parameters(), torch.autograd.grad(value, list(plain.parameters())), strict=True):
            p.data -= 0.1 * g
    assert fit.losses.dtype == torch.float64
    assert fit.losses.tolist() == pytest.approx(losses[:6], rel=1e-12)
    assert fit.final == pytest.approx(losses[6], rel=1e-12)
    assert fit.evaluated == pytest.approx(losses[6], rel=1e-12)
    assert fit.tolerance == 0.01
    assert not fit.passed


def test_a_correct_model_passes_and_blank_inputs_stop_at_ln_2() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    assert overfit_batch(model, (X, Y), F.cross_entropy, optimizer).passed
    blank = overfit_batch(model, (0 * X, Y), F.cross_entropy, optimizer)
    assert blank.final == pytest.approx(math.log(2), abs=1e-3)
    assert len(blank.losses) == 300


def test_model_optimizer_batch_and_random_state_stay(global_rng_untouched: None) -> None:
    model = nn.Sequential(network(), nn.Dropout(0.5), nn.BatchNorm1d(3).double()).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())
    x, y = X.clone(), Y.clone()
    fit = overfit_batch(model, (x, y), F.cross_entropy, optimizer, steps=3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not optimizer.state and not model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(x, X) and torch.equal(y, Y)
    assert fit.final != fit.evaluated  # batch statistics against running ones


def test_the_copy_keeps_what_is_frozen_and_what_the_optimizer_has() -> None:
    model = network()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    trained: list[Any] = []

    def step(model: Any, batches: Any, loss: Any, optimizer: Any) -> dict[str, float]:
        trained.append((model, optimizer))
        return update(model, batches, loss, optimizer)

    overfit_batch(model, (X, Y), F.cross_entropy, optimizer, steps=2, step=step)
    copied, stepped = trained[-1]
    assert copied is not model and stepped is not optimizer
    assert torch.equal(copied[0].weight, model[0].weight)
    assert not torch.equal(copied[2].weight, model[2].weight)
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("final", "passed"), [(0.0, True), (0.01, True), (0.02, False), (-0.02, False), (math.nan, False)]
)
def test_passing_is_being_near_zero_in_train_mode(final: float, passed: bool) -> None:
    fit = Overfit(torch.zeros(1), final, 99.0, 0.01)
    assert fit.passed is passed
    assert pickle.loads(pickle.dumps(fit)).evaluated == 99.0


def test_final_is_measured_in_train_mode() -> None:
    model = nn.Sequential(nn.Linear(5, 3, dtype=torch.float64), nn.Dropout(1.0))
    fit = overfit_batch(model, (X, Y), F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1), steps=1)
    assert fit.final == pytest.approx(math.log(3), rel=1e-12)
    assert fit.evaluated != pytest.approx(math.log(3), rel=1e-3)


def test_bad_arguments_of_overfit_batch() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch, options, message in [
        ((X, Y), {"steps": 0}, "steps must be at least 1, got 0"),
        ((X, Y), {"tolerance": 0.0}, "tolerance must be above 0, got 0.0"),
        ((X[:1], Y[:1]), {}, "batch must hold at least 2 samples, got 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            overfit_batch(model, batch, F.cross_entropy, optimizer, **options)
    with pytest.raises(TypeError):
        overfit_batch(model, (X, Y), F.cross_entropy, optimizer, steps=1.5)  # type: ignore[arg-type]
    assert len(overfit_batch(model, (X, Y), F.cross_entropy, optimizer, steps=1).losses) == 1


# ---- Watch


def test_watch_is_a_dumb_loop() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    gradient, ratio, size, constant = [], [], [], []
    plain = copy.deepcopy(model)
    for _ in range(3):
        hidden = plain[1](plain[0](X))
        size.append([math.sqrt((hidden**2).sum().item() / hidden.numel())])
        constant.append([sum(len(set(unit)) == 1 for unit in hidden.T.tolist()) / 7])
        grads = torch.autograd.grad(F.cross_entropy(plain[2](hidden), Y), list(plain.parameters()))
        weights = [(p, g) for p, g in zip(plain.parameters(), grads, strict=True) if p.ndim == 2]
        gradient.append([math.sqrt((g**2).mean().item()) for _, g in weights])
        ratio.append([(0.1 * g).norm().item() / p.norm().item() for p, g in weights])
        for p, g in zip(plain.parameters(), grads, strict=True):
            p.data -= 0.1 * g
    with Watch(model, optimizer) as watch:
        update(model, [(X, Y)] * 3, F.cross_entropy, optimizer)
    assert watch.weights == ["0.weight", "2.weight"] and watch.layers == ["1"]
    for table, expected in zip(
        (watch.gradient, watch.ratio, watch.size, watch.constant), (gradient, ratio, size, constant), strict=True
    ):
        torch.testing.assert_close(table, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)
    assert 0 < watch.constant[0].item() < 1


def test_watch_changes_nothing_and_leaves_no_hooks(global_rng_untouched: None) -> None:
    model, plain = network(), network()
    optimizer, other = (torch.optim.Adam(m.parameters(), lr=0.1) for m in (model, plain))
    with Watch(model, optimizer) as watch:
        update(model, [(X, Y)] * 4, F.cross_entropy, optimizer)
    update(plain, [(X, Y)] * 4, F.cross_entropy, other)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    update(model, [(X, Y)], F.cross_entropy, optimizer)
    assert len(watch.ratio) == len(watch.size) == 4
    assert not any(m._forward_hooks for m in model.modules())
    with pytest.raises(RuntimeError, match="stop"), Watch(model, optimizer):
        raise RuntimeError("stop")
    assert not any(m._forward_hooks for m in model.modules())


def test_layers_that_do_not_learn_show() -> None:
    model = network()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with Watch(model, optimizer) as watch:
        update(model, [(X, Y)], F.cross_entropy, optimizer)
    assert watch.gradient[0, 0].isnan() and watch.gradient[0, 1] > 0
    assert watch.ratio[0, 0] == 0 and watch.ratio[0, 1] > 0
    still = network()
    optimizer = torch.optim.SGD(still[2].parameters(), lr=0.1)  # it has a gradient, and nobody takes it
    with Watch(still, optimizer) as watch:
        update(still, [(X, Y)], F.cross_entropy, optimizer)
    assert watch.gradient[0, 0] > 0 and watch.ratio[0, 0] == 0


def test_watch_of_convolutions_kinds_and_layers_that_do_not_run() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3))
    model.spare = nn.ReLU()
    optimizer = torch.optim.SGD([*model[0].parameters(), *model[3].parameters()], lr=0.1)
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 0, 0.5  # type: ignore[index, operator]
    loss = F.cross_entropy
    with Watch(model[:4], optimizer, kinds=(nn.Tanh, nn.ReLU)) as watch:
        loss(model[:4](normal(2, 1, 4, 4, dtype=model[0].weight.dtype)), Y).backward()
        optimizer.step()
    assert watch.layers == ["1"] and watch.constant.tolist() == [[0.25]]
    idle = Watch(nn.ModuleList([nn.Linear(2, 3), nn.ReLU()]), optimizer)
    with idle:
        optimizer.step()
    assert idle.size.isnan().all() and idle.constant.shape == (1, 1)
    assert Watch(network(), optimizer).ratio.shape == (0, 2)
    with pytest.raises(ValueError, match="model must have a parameter with two dimensions or more, and has none"):
        Watch(nn.BatchNorm1d(3), optimizer)


def test_update_ratio_by_hand_and_of_zero() -> None:
    assert update_ratio(torch.tensor([[3.0], [4.0]]), torch.tensor([[6.0], [0.0]])).item() == 1.0
    assert update_ratio(torch.tensor([0.0, 2.0]), torch.tensor([0.5, 2.0])).item() == 0.25
    assert update_ratio(torch.zeros(2), torch.ones(2)).item() == math.inf
    assert update_ratio(torch.zeros(2), torch.zeros(2)).isnan()
    with pytest.raises(ValueError, match=r"before and after must have one shape, got \(2,\) and \(1,\)"):
        update_ratio(torch.ones(2), torch.ones(1))


# ---- differences


def test_best_step_is_the_cube_root() -> None:
    assert best_step(torch.float64) ** 3 == pytest.approx(2**-52, rel=1e-12)
    assert best_step(torch.float32) / best_step(torch.float64) == pytest.approx(2 ** (29 / 3), rel=1e-12)


def test_numeric_gradient_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)

    def f() -> Tensor:
        return (x**3).sum()

    found = numeric_gradient(f, x, h=0.5)  # 3 x^2 + h^2, exactly
    assert found.tolist() == pytest.approx([3 * v**2 + 0.25 for v in (1, 2, 3, 4, 5, 6)], rel=1e-13)
    assert numeric_gradient(f, x, h=0.5, entries=[4, 1]).tolist() == pytest.approx([75.25, 12.25], rel=1e-13)
    assert numeric_gradient(f, x.T, h=0.5, entries=[1]).item() == pytest.approx(48.25, rel=1e-13)  # a view: x[1, 0]
    assert x.flatten().tolist() == [1, 2, 3, 4, 5, 6]


@given(st.integers(0, 1000), st.sampled_from([(4,), (2, 3), (1, 2, 3)]))
def test_differences_agree_with_autograd(seed: int, shape: tuple[int, ...]) -> None:
    x = normal(*shape, seed=seed).requires_grad_()

    def f() -> Tensor:
        return (x.tanh() * x.exp()).mean()

    (exact,) = torch.autograd.grad(f(), x)
    torch.testing.assert_close(numeric_gradient(f, x), exact.flatten(), rtol=1e-7, atol=1e-9)


def test_the_denominator_is_the_step_that_was_made() -> None:
    x = torch.tensor([1000.0], dtype=torch.float32)
    assert numeric_gradient(lambda: x.sum(), x, h=1e-4).item() == 1.0  # x + h is 1000.0001220703125


def test_the_entry_is_put_back_when_f_raises() -> None:
    x, calls = torch.ones(3, dtype=torch.float64), []

    def f() -> Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("stop")
        return x.sum()

    with pytest.raises(RuntimeError, match="stop"):
        numeric_gradient(f, x, h=0.1)
    assert x.tolist() == [1, 1, 1]


def test_bad_arguments_of_numeric_gradient() -> None:
    x = torch.ones(2, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"x must be of floating-point type, got torch.int64"):
        numeric_gradient(lambda: x.sum(), x.long())
    for h in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"h must be above 0, got {h}"):
            numeric_gradient(lambda: x.sum(), x, h=h)
    with pytest.raises(ValueError, match=r"h must change entry 1 of x, which is 1.0, and 1e-20 is too small"):
        numeric_gradient(lambda: x.sum(), x, h=1e-20, entries=[1])
    with pytest.raises(ValueError, match=r"f must return the same number at each call, got .* is dropout on"):
        numeric_gradient(lambda: F.dropout(x + 1, 0.5).sum() + torch.rand(()), x)
    assert numeric_gradient(lambda: x.sum() * math.nan, x).isnan().all()


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_relative_error_is_symmetric_and_between_0_and_1(a: float, n: float) -> None:
    one, two = torch.tensor([a], dtype=torch.float64), torch.tensor([n], dtype=torch.float64)
    error = relative_error(one, two).item()
    assert 0 <= error <= 1 and error == relative_error(two, one).item()
    assert error == (0 if a == n == 0 else abs(a - n) / (abs(a) + abs(n)))


def test_relative_error_of_what_is_not_finite_and_of_shapes() -> None:
    infinite = torch.tensor([math.inf, math.nan])
    assert relative_error(infinite, infinite).isnan().all()
    with pytest.raises(ValueError, match=r"a and n must have one shape, got \(2,\) and \(1,\)"):
        relative_error(infinite, infinite[:1])
    assert relative_error(torch.ones(2, dtype=torch.float32), torch.ones(2, dtype=torch.float32)).dtype == torch.float32


@pytest.mark.parametrize(
    ("error", "band"),
    [
        (0.0, "right"),
        (1e-7, "right"),
        (1.1e-7, "fine with kinks"),
        (1e-4, "fine with kinks"),
        (1.1e-4, "doubtful"),
        (1e-2, "doubtful"),
        (0.011, "wrong"),
        (math.nan, "wrong"),
    ],
)
def test_the_four_bands(error: float, band: str) -> None:
    assert verdict(error) == band
    assert verdict(torch.tensor([0.0, error], dtype=torch.float64)) == band


def test_a_verdict_needs_an_error() -> None:
    with pytest.raises(ValueError, match="error must hold at least one number, got none"):
        verdict(torch.zeros(0))


# ---- gradient_check


def test_gradient_check_of_autograd_and_of_a_wrong_gradient(global_rng_untouched: None) -> None:
    model = network()
    parameters = dict(model.named_parameters())

    def f() -> Tensor:
        return F.cross_entropy(model(X), Y)

    own = torch.Generator().manual_seed(3)
    checks = gradient_check(f, parameters, count=4, generator=own)
    assert {name: len(c.entries) for name, c in checks.items()} == {
        "0.weight": 4,
        "0.bias": 4,
        "2.weight": 4,
        "2.bias": 3,
    }
    assert all(c.error.max() < 1e-6 and c.verdict != "wrong" for c in checks.values())
    again = gradient_check(f, parameters, count=4, generator=own.manual_seed(3))
    assert all(again[name].entries == c.entries for name, c in checks.items())
    exact = dict(zip(parameters, torch.autograd.grad(f(), list(parameters.values())), strict=True))
    broken = exact | {"2.bias": 3 * exact["2.bias"]}
    found = gradient_check(f, parameters, gradients=broken, h=1e-5, generator=own)
    assert found["2.bias"].error.tolist() == pytest.approx([0.5] * 3, rel=1e-5)
    assert [name for name, c in found.items() if c.verdict == "wrong"] == ["2.bias"]
    torch.testing.assert_close(found["0.weight"].analytic, exact["0.weight"].flatten()[found["0.weight"].entries])
    assert len(found["0.weight"].entries) == 10
    assert all(p.requires_grad and p.grad is None for p in parameters.values())


def test_unused_and_plain_tensors_are_checked_too() -> None:
    used, unused = normal(3), normal(2, seed=1)
    checks = gradient_check(lambda: used.square().sum(), {"used": used, "unused": unused}, count=1)
    assert not used.requires_grad and not unused.requires_grad
    assert checks["unused"].analytic.item() == checks["unused"].numeric.item() == checks["unused"].error.item() == 0
    assert checks["used"].verdict == "right" and len(checks["used"].entries) == 1
    assert gradient_check(lambda: used.sum(), {"used": used}, h=0.1)["used"].numeric.tolist() == pytest.approx([1] * 3)


def test_flags_are_put_back_when_f_raises() -> None:
    x = normal(3)
    with pytest.raises(ZeroDivisionError):
        gradient_check(lambda: x.sum() / (1 // 0), {"x": x})
    assert not x.requires_grad


def test_bad_arguments_of_gradient_check() -> None:
    x = normal(2)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        gradient_check(lambda: x.sum(), {"x": x}, count=0)
    for gradients in ({}, {"x": x[:1]}, {"y": x}):
        with pytest.raises(ValueError, match=r"gradients must have the names and shapes of the parameters, .* got"):
            gradient_check(lambda: x.sum(), {"x": x}, gradients=gradients)


def test_a_check_knows_its_error() -> None:
    check = GradientCheck([1], torch.tensor([1.0]), torch.tensor([-1.0]))
    assert check.error.tolist() == [1.0] and check.verdict == "wrong"
    assert pickle.loads(pickle.dumps(check)).entries == [1]


def test_everything_stays_on_its_device(device: torch.device) -> None:
    model = network(torch.float32).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = X.float().to(device), Y.to(device)
    with Watch(model, optimizer) as watch:
        update(model, [(x, y)], F.cross_entropy, optimizer)
    assert watch.ratio.device.type == "cpu" and (watch.ratio > 0).all()
    bias = model[2].bias
    found = numeric_gradient(lambda: F.cross_entropy(model(x), y), bias, h=0.01)
    assert found.device.type == device.type
    here = copy.deepcopy(model).cpu()
    (exact,) = torch.autograd.grad(F.cross_entropy(here(x.cpu()), y.cpu()), here[2].bias)
    torch.testing.assert_close(found.cpu(), exact, rtol=1e-2, atol=1e-3)
    checks = gradient_check(lambda: F.cross_entropy(model(x), y), {"bias": bias}, h=0.01)
    assert checks["bias"].error.device.type == device.type
    fit = overfit_batch(model, (x, y), F.cross_entropy, optimizer, steps=2)
    assert fit.losses.device.type == "cpu"
