"""`tricks_lib.learning.learning_rate`: range test, largest eigenvalue, edge of stability, noise floor."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from tricks_lib.learning.learning_rate import (
    RangeTest,
    largest_eigenvalue,
    noise_floor,
    range_test,
    stability_edge,
)
from tricks_lib.learning.optimizers import AdamW

curvatures, momenta = st.floats(0.01, 100), st.floats(0, 0.95)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- RangeTest


def test_lowest_and_steepest_by_hand() -> None:
    lr = torch.tensor([1e-3, 1e-2, 1e-1, 1.0, 10.0], dtype=torch.float64)
    found = RangeTest(lr, torch.tensor([4.0, 3.5, 2.0, 1.9, 9.0]), diverged=True)
    assert found.lowest == 1.0
    assert found.steepest == 1e-2  # (4 - 2) / 2 a decade; a decade later (3.5 - 1.9) / 2


def test_a_fall_beyond_the_lowest_point_does_not_count() -> None:
    lr = torch.logspace(-3, 2, 6, dtype=torch.float64)
    found = RangeTest(lr, torch.tensor([2.0, 1.9, 1.5, 1.4, 90.0, 3.0]), diverged=False)
    assert found.lowest == lr[3] and found.steepest == lr[1]  # (2 - 1.5) / 2; from 90 to 3 it falls faster


def test_slopes_are_per_decade() -> None:
    lr = torch.tensor([1e-3, 1e-2, 1e-1, 1.0, 1.1], dtype=torch.float64)
    found = RangeTest(lr, torch.tensor([5.0, 4.5, 2.0, 1.0, 0.99]), diverged=False)
    assert found.steepest == 1e-1  # (4.5 - 1) / 2; by the rate itself it would be steepest at the left


def test_smoothing_is_centered_and_shorter_at_the_ends() -> None:
    found = RangeTest(torch.arange(1.0, 6), torch.tensor([1.0, 4.0, 7.0, 1.0, 9.0]), diverged=False)
    assert found.smoothed(1).tolist() == pytest.approx([2.5, 4.0, 4.0, 17 / 3, 5.0])
    assert found.smoothed(0).tolist() == found.loss.tolist() == found.smoothed().tolist()
    long = RangeTest(torch.arange(60), torch.arange(60.0), diverged=False)
    torch.testing.assert_close(long.smoothed(), long.smoothed(2))
    assert not torch.equal(long.smoothed(), long.smoothed(1))
    with pytest.raises(ValueError, match="reach must be 0 or more, got -1"):
        found.smoothed(-1)


def test_infinite_losses_are_not_lowest() -> None:
    lr = torch.tensor([0.1, 1.0, 10.0])
    assert RangeTest(lr, torch.tensor([2.0, 1.0, math.inf]), diverged=True).lowest == 1.0
    assert RangeTest(lr, torch.tensor([2.0, 1.0, math.nan]), diverged=True).lowest == 1.0
    assert math.isnan(RangeTest(lr, torch.tensor([1.0, 2.0, math.inf]), diverged=True).steepest)


# ---- range_test

X = normal(32, 3).to(torch.get_default_dtype())
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]])


def batches(size: int = 8) -> list[tuple[Tensor, Tensor]]:
    return list(zip(X.split(size), Y.split(size), strict=True))


def linear() -> nn.Linear:
    model = nn.Linear(3, 1)
    nn.init.constant_(model.weight, 3.0)
    nn.init.zeros_(model.bias)
    return model


def test_equals_a_loop_with_rising_rates() -> None:
    model, other = linear(), linear()
    found = range_test(
        model, batches(), nn.functional.mse_loss, SGD(model.parameters(), 1.0), low=1e-3, high=0.1, steps=7
    )
    rates = [1e-3 * 100 ** (t / 6) for t in range(7)]
    torch.testing.assert_close(found.lr.tolist(), rates, rtol=1e-12, atol=0)
    losses = []
    for t, lr in enumerate(rates):
        x, y = batches()[t % 4]
        loss = nn.functional.mse_loss(other(x), y)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        with torch.no_grad():
            for p, g in zip(other.parameters(), gradients, strict=True):
                p -= lr * g
    torch.testing.assert_close(found.loss.tolist(), losses, rtol=1e-5, atol=0)
    assert not found.diverged and found.loss.dtype == torch.float64


def test_ends_when_the_loss_is_too_large() -> None:
    model = linear()
    optimizer = SGD(model.parameters(), 1.0)
    found = range_test(model, batches(), nn.functional.mse_loss, optimizer, low=0.1, high=100, steps=50, stop=3)
    assert found.diverged and len(found.lr) == len(found.loss) < 50
    assert found.loss[-1] > 3 * found.loss[0] >= found.loss[:-1].max()


def test_ends_when_the_loss_is_not_finite() -> None:
    model = linear()

    def fails(outputs: Tensor, targets: Tensor) -> Tensor:
        calls.append(1)
        return nn.functional.mse_loss(outputs, targets) * (math.nan if len(calls) == 3 else 1)

    calls: list[int] = []
    found = range_test(model, batches(), fails, SGD(model.parameters(), 1.0))
    assert found.loss[-1] == math.inf and len(found.loss) == 3 and found.diverged


def make(optimizer: type[Optimizer], **options: Any) -> tuple[nn.Module, Optimizer]:
    """A model with batch norm and dropout, and its optimizer, both after some training."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    model.register_buffer("counter", torch.zeros(2), persistent=False)
    made = optimizer(model.parameters(), lr=0.01, **options)
    for x, y in batches():
        made.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        made.step()
    return model, made


def everything(model: nn.Module, optimizer: Optimizer) -> Any:
    """All that training changes, as a copy."""
    tensors = [*model.parameters(), *model.buffers()]
    gradients = [p.grad for p in model.parameters()]
    flags = [module.training for module in model.modules()]
    state = [dict(optimizer.state[p]) for p in model.parameters()]
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    return copy.deepcopy([[t.detach() for t in tensors], gradients, flags, state, groups, torch.get_rng_state()])


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


OPTIMIZERS = [
    (SGD, {}),
    (SGD, {"momentum": 0.9}),
    (Adam, {"amsgrad": True}),
    (torch.optim.RMSprop, {"centered": True}),
    (AdamW, {}),
]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_everything_is_put_back(optimizer: type[Optimizer], options: dict[str, Any]) -> None:
    model, made = make(optimizer, **options)
    model[1].eval()
    before, objects = everything(model, made), [id(value) for value in made.state.values()]
    found = range_test(model, batches(), nn.functional.mse_loss, made, low=1e-4, high=1.0, steps=9, stop=1e9)
    assert len(found.loss) == 9
    assert same(before, everything(model, made))
    assert [id(value) for value in made.state.values()] == objects


def test_an_optimizer_without_state_has_none_afterwards() -> None:
    model = linear()
    optimizer = Adam(model.parameters())
    range_test(model, batches(), nn.functional.mse_loss, optimizer, steps=5)
    assert not optimizer.state


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_everything_is_put_back_after_an_error(error: type[BaseException]) -> None:
    model, made = make(Adam)
    before = everything(model, made)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        torch.rand(1)
        calls.append(1)
        if len(calls) > 4:
            raise error
        return nn.functional.mse_loss(outputs, targets)

    calls: list[int] = []
    with pytest.raises(error):
        range_test(model, batches(), loss, made, low=1e-3, high=1.0, steps=20, stop=1e9)
    assert same(before, everything(model, made))


def test_training_goes_on_as_if_there_had_been_no_test() -> None:
    def run(tested: bool) -> list[Tensor]:
        model, made = make(SGD, momentum=0.9)
        order = draw(5)
        loader = DataLoader(TensorDataset(X, Y), batch_size=6, shuffle=True, generator=order)
        next(iter(loader))
        if tested:
            range_test(model, loader, nn.functional.mse_loss, made, steps=15, stop=1e9)
        for x, y in loader:
            made.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            made.step()
        return [p.detach() for p in model.parameters()]

    assert same(run(False), run(True))


def test_generators_of_loaders_samplers_and_callers_are_put_back() -> None:
    data, (one, two, three) = TensorDataset(X, Y), (draw(1), draw(2), draw(3))

    class Noisy:
        """Batches that draw noise from a generator that only the caller knows."""

        batch_sampler = torch.utils.data.BatchSampler(RandomSampler(data, generator=two), 4, drop_last=False)

        def __iter__(self) -> Iterator[Any]:
            for rows in self.batch_sampler:
                yield X[rows] + torch.randn(1, generator=one), Y[rows] * torch.rand(1, generator=three)

    before = [generator.get_state() for generator in (one, two, three)]
    model = linear()
    optimizer = SGD(model.parameters(), 0.1)
    range_test(model, Noisy(), nn.functional.mse_loss, optimizer, steps=5, generators=[one, three])
    assert same(before, [generator.get_state() for generator in (one, two, three)])


def test_tensor_rates_groups_and_foreign_parameters() -> None:
    model, extra = linear(), nn.Parameter(torch.ones(1))
    rate = torch.tensor(0.02)
    groups = [{"params": [model.weight], "lr": rate}, {"params": [model.bias, extra], "lr": 0.5}]
    optimizer = SGD(groups, lr=0.1)
    seen = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append([group["lr"] for group in optimizer.param_groups])
        return nn.functional.mse_loss(outputs + extra, targets)

    range_test(model, batches(), loss, optimizer, low=0.01, high=0.1, steps=2)
    assert seen == [[pytest.approx(0.01)] * 2, [pytest.approx(0.1)] * 2]
    assert optimizer.param_groups[0]["lr"] is rate and rate == torch.tensor(0.02)
    assert optimizer.param_groups[1]["lr"] == 0.5
    assert extra.item() == 1 and extra.grad is None


def test_buffers_that_are_replaced_are_put_back() -> None:
    class Counts(nn.Linear):
        steps: Tensor

        def forward(self, x: Tensor) -> Tensor:
            self.steps = self.steps + 1
            return super().forward(x)

    model = Counts(3, 1)
    model.register_buffer("steps", torch.zeros(()))
    own = model.steps
    range_test(model, batches(), nn.functional.mse_loss, SGD(model.parameters(), 0.1), steps=3)
    assert model.steps is own and own == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.0}, r"need 0 < low < high, .*low=0.0, high=10.0"),
        ({"low": 1.0, "high": 1.0}, r"low=1.0, high=1.0"),
        ({"high": math.inf}, "high=inf"),
        ({"steps": 1}, "steps=1"),
        ({"stop": 1.0}, "stop=1.0"),
    ],
)
def test_range_test_checks_its_arguments(options: dict[str, Any], message: str) -> None:
    model = linear()
    with pytest.raises(ValueError, match=message):
        range_test(model, batches(), nn.functional.mse_loss, SGD(model.parameters(), 0.1), **options)


def test_batches_must_be_there_and_be_there_again() -> None:
    model = linear()
    optimizer = SGD(model.parameters(), 0.1)
    with pytest.raises(TypeError, match="batches can be read only once"):
        range_test(model, iter(batches()), nn.functional.mse_loss, optimizer)
    with pytest.raises(ValueError, match="batches must hold at least one batch"):
        range_test(model, [], nn.functional.mse_loss, optimizer)


def test_range_test_on_any_device(device: torch.device) -> None:
    model = linear().to(device)
    before = model.weight.detach().cpu().clone()
    found = range_test(model, batches(), nn.functional.mse_loss, SGD(model.parameters(), 0.1), steps=5)
    here = linear()
    expected = range_test(here, batches(), nn.functional.mse_loss, SGD(here.parameters(), 0.1), steps=5)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-5, atol=1e-6)
    assert found.loss.device.type == found.lr.device.type == "cpu"
    assert torch.equal(model.weight.detach().cpu(), before) and model.weight.device.type == device.type


def test_a_result_can_be_kept() -> None:
    model = linear()
    found = range_test(model, batches(), nn.functional.mse_loss, SGD(model.parameters(), 0.1), steps=5)
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert torch.equal(again.loss, found.loss) and again.lowest == found.lowest


# ---- largest_eigenvalue


def tanh_net() -> tuple[nn.Module, Tensor, Tensor]:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    for i, p in enumerate(model.parameters()):
        nn.init.normal_(p, generator=draw(i))
    return model, normal(11, 3), torch.arange(11) % 2


def full_hessian(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Row by row, by differentiating every entry of the gradient."""
    parameters = list(model.parameters())
    loss = nn.functional.cross_entropy(model(x), y)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, create_graph=True)])
    rows = [torch.autograd.grad(g, parameters, retain_graph=True) for g in gradient]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def test_equals_the_eigenvalue_of_the_full_hessian() -> None:
    model, x, y = tanh_net()
    values, vectors = torch.linalg.eigh(full_hessian(model, x, y))
    loss = nn.functional.cross_entropy(model(x), y)
    value, vector = largest_eigenvalue(loss, model.parameters(), tol=1e-10, generator=draw())
    assert value.item() == pytest.approx(values[-1].item(), rel=1e-12)
    assert [v.shape for v in vector] == [p.shape for p in model.parameters()]
    overlap = torch.cat([v.flatten() for v in vector]) @ vectors[:, -1]
    assert abs(overlap.item()) == pytest.approx(1, abs=1e-9)
    assert not value.requires_grad and not vector[0].requires_grad


@pytest.mark.parametrize("diagonal", [[3.0, 1.0, -50.0], [-1.0, -2.0, -7.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
def test_the_sign_counts(diagonal: list[float]) -> None:
    w, d = torch.zeros(3, dtype=torch.float64, requires_grad=True), torch.tensor(diagonal, dtype=torch.float64)
    value, (vector,) = largest_eigenvalue((d * w**2).sum() / 2, [w], tol=1e-9, generator=draw())
    assert value.item() == pytest.approx(max(diagonal), abs=1e-12)
    torch.testing.assert_close(d * vector, value * vector, rtol=0, atol=1e-8)


def test_the_tolerance_bounds_the_residual() -> None:
    root = normal(60, 60)
    matrix = root @ root.T
    w = torch.zeros(60, dtype=torch.float64, requires_grad=True)
    residuals = []
    for tol in (0.1, 1e-3, 1e-6):
        value, (v,) = largest_eigenvalue(w @ matrix @ w / 2, [w], tol=tol, generator=draw())
        residuals.append((matrix @ v - value * v).norm() / value)
        assert residuals[-1] <= tol * 1.01
    assert residuals[0] > 1e-3 > residuals[1] > 1e-6  # it stops when it is good enough


def test_too_few_products_are_an_error() -> None:
    w = torch.zeros(60, requires_grad=True)
    loss = (torch.linspace(1, 1.1, 60) * w**2).sum()
    with pytest.raises(RuntimeError, match=r"max_steps=3 products did not reach tol=1e-06"):
        largest_eigenvalue(loss, [w], tol=1e-6, max_steps=3, generator=draw())


def test_parameters_without_influence_count_as_flat() -> None:
    w, idle = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    value, (_, flat) = largest_eigenvalue((2 * w**2).sum(), [w, idle], generator=draw())
    assert value.item() == pytest.approx(4, rel=1e-5) and flat.abs().max() < 1e-3
    linear_value, _ = largest_eigenvalue(3 * w.sum(), [w], generator=draw())
    assert linear_value == 0


def test_gradients_and_parameters_stay_as_they_are() -> None:
    model, x, y = tanh_net()
    before = [p.detach().clone() for p in model.parameters()]
    largest_eigenvalue(nn.functional.cross_entropy(model(x), y), model.parameters(), generator=draw())
    assert same(before, [p.detach() for p in model.parameters()])
    assert all(p.grad is None for p in model.parameters())


def test_same_generator_same_vector() -> None:
    model, x, y = tanh_net()
    before = torch.get_rng_state()
    loss = nn.functional.cross_entropy(model(x), y)
    one, again, other = (largest_eigenvalue(loss, model.parameters(), tol=0.1, generator=draw(s))[0] for s in (0, 0, 1))
    assert one == again != other
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("loss", "parameters", "message"),
    [
        (torch.ones(2, requires_grad=True) * 2, [torch.ones(2, requires_grad=True)], "loss must be a finite scalar"),
        (torch.tensor(1.0), [torch.ones(2, requires_grad=True)], "loss must be a finite scalar with a graph"),
        (torch.tensor(math.nan, requires_grad=True) * 1, [torch.ones(2, requires_grad=True)], "finite scalar"),
        (torch.tensor(1.0, requires_grad=True) * 1, [], "parameters must hold at least one tensor"),
    ],
)
def test_largest_eigenvalue_checks_its_arguments(loss: Tensor, parameters: list[Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        largest_eigenvalue(loss, parameters)


def test_largest_eigenvalue_on_any_device(device: torch.device) -> None:
    scale = torch.tensor([1.0, 5.0, 2.0])
    w = torch.zeros(3).to(device).requires_grad_()
    value, (vector,) = largest_eigenvalue((scale.to(device) * w**2).sum(), [w], generator=draw())
    assert value.device.type == vector.device.type == device.type and value.dtype == torch.get_default_dtype()
    assert value.item() == pytest.approx(10, rel=1e-4)


# ---- stability_edge


def radius(curvature: float, lr: float, momentum: float, nesterov: bool = False) -> float:
    """Spectral radius of the step (w, m) -> (w', m') of torch's SGD on a quadratic."""
    look = lr * curvature
    if nesterov:  # m' = b m + g, w' = w - lr (g + b m')
        step = [[1 - look * (1 + momentum), -lr * momentum**2], [curvature, momentum]]
    else:
        step = [[1 - look, -lr * momentum], [curvature, momentum]]
    return float(torch.linalg.eigvals(torch.tensor(step, dtype=torch.float64)).abs().max())


@given(curvatures, momenta, st.booleans())
def test_the_edge_is_where_the_step_stops_to_contract(curvature: float, momentum: float, nesterov: bool) -> None:
    edge = stability_edge(torch.tensor(curvature, dtype=torch.float64), momentum=momentum, nesterov=nesterov).item()
    assert radius(curvature, 0.999 * edge, momentum, nesterov) < 1 < radius(curvature, 1.001 * edge, momentum, nesterov)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.7, False), (0.7, True)])
def test_torchs_own_sgd_diverges_from_the_edge_on(momentum: float, nesterov: bool) -> None:
    edge = stability_edge(3.0, momentum=momentum, nesterov=nesterov).item()
    for factor, shrinks in ((0.98, True), (1.02, False)):
        w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimizer = SGD([w], lr=factor * edge, momentum=momentum, nesterov=nesterov)
        for _ in range(2000):
            optimizer.zero_grad()
            (1.5 * w**2).sum().backward()
            optimizer.step()
        assert (abs(w.item()) < 1e-3) == shrinks


def test_edge_by_hand_and_broadcast() -> None:
    assert stability_edge(4.0).item() == 0.5
    assert stability_edge(4.0, momentum=0.5).item() == 0.75
    assert stability_edge(4.0, momentum=0.5, nesterov=True).item() == 0.375
    edges = stability_edge(torch.tensor([1.0, 2.0])[:, None], momentum=torch.tensor([0.0, 0.5, 0.9]))
    assert edges.shape == (2, 3) and edges[1, 2].item() == pytest.approx(1.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"curvature": 0.0}, "curvature must be above 0, got 0"),
        ({"curvature": torch.tensor([1.0, -1.0])}, "curvature must be above 0"),
        ({"curvature": math.nan}, "curvature must be above 0, got nan"),
        ({"curvature": 1.0, "momentum": 1.0}, r"momentum must be in \[0, 1\), got 1"),
        ({"curvature": 1.0, "momentum": -0.1}, r"momentum must be in \[0, 1\)"),
    ],
)
def test_edge_checks_its_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stability_edge(**arguments)
    with pytest.raises(ValueError, match=message):
        noise_floor(**arguments, variance=1.0, lr=0.1)


# ---- noise_floor


@given(curvatures, st.floats(0, 10), st.floats(0.01, 0.99), momenta)
def test_floor_equals_the_discrete_lyapunov_equation(
    curvature: float, variance: float, share: float, momentum: float
) -> None:
    from scipy.linalg import solve_discrete_lyapunov

    lam = torch.tensor(curvature, dtype=torch.float64)
    lr = share * stability_edge(lam, momentum=momentum).item()
    step = [[1 - lr * curvature, -lr * momentum], [curvature, momentum]]
    kick = torch.tensor([[-lr], [1.0]], dtype=torch.float64)  # noise enters the gradient, hence both
    spread = solve_discrete_lyapunov(step, (variance * kick @ kick.T).numpy())
    expected = 0.5 * curvature * spread[0, 0]
    assert noise_floor(lam, variance, lr, momentum=momentum).item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_floor_equals_a_filter_of_white_noise() -> None:
    """Another road to the same number: the power of the impulse response."""
    lr, curvature, momentum = 0.3, 1.7, 0.6
    impulse = signal.lfilter([-lr], [1, -(1 + momentum - lr * curvature), momentum], [1.0] + [0.0] * 999)
    power = float((impulse**2).sum())
    floor = noise_floor(torch.tensor(curvature, dtype=torch.float64), 2.0, lr, momentum=momentum)
    assert floor.item() == pytest.approx(0.5 * curvature * 2.0 * power, rel=1e-10)


def test_floor_by_hand() -> None:
    assert noise_floor(1.0, 4.0, 0.5).item() == pytest.approx(0.5 * 4 / (2 * 1.5))
    assert noise_floor(1.0, 0.0, 0.5).item() == 0
    assert noise_floor(2.0, 4.0, 0.5, momentum=0.5).item() == pytest.approx(0.5 * 4 / 1 * 1.5 / 2)


def test_floor_is_infinite_from_the_edge_on() -> None:
    edge = stability_edge(4.0, momentum=0.5)
    floors = noise_floor(4.0, 1.0, edge * torch.tensor([0.999, 1.0, 1.5]), momentum=0.5)
    assert floors[0].isfinite() and floors[1:].tolist() == [math.inf, math.inf]


def test_small_rates_have_a_floor_in_proportion() -> None:
    rates = torch.tensor([1e-6, 2e-6], dtype=torch.float64)
    for momentum in (0.0, 0.9):
        floors = noise_floor(3.0, 5.0, rates, momentum=momentum)
        torch.testing.assert_close(floors, rates * 5 / (4 * (1 - momentum)), rtol=1e-4, atol=0)


def test_floor_broadcasts_and_is_differentiable() -> None:
    lam, variance = torch.tensor([1.0, 4.0], dtype=torch.float64), torch.tensor([2.0, 0.5], dtype=torch.float64)
    lr = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
    floors = noise_floor(lam, variance, lr)
    assert floors.shape == (3, 2)
    assert floors[2, 1].item() == pytest.approx(0.3 * 0.5 / (2 * (2 - 1.2)), rel=1e-14)
    inputs = [t.requires_grad_() for t in (lam, variance, lr)]
    assert torch.autograd.gradcheck(noise_floor, inputs)


def test_quadratics_on_any_device(device: torch.device) -> None:
    lam = torch.tensor([1.0, 4.0]).to(device)
    floors, edges = noise_floor(lam, 2.0, 0.1, momentum=0.5), stability_edge(lam, momentum=0.5)
    assert floors.device.type == edges.device.type == device.type
    torch.testing.assert_close(floors.cpu(), noise_floor(lam.cpu(), 2.0, 0.1, momentum=0.5))
    torch.testing.assert_close(edges.cpu(), torch.tensor([3.0, 0.75]))


@pytest.mark.parametrize(("variance", "lr"), [(-1.0, 0.1), (1.0, 0.0), (math.nan, 0.1), (1.0, -0.1)])
def test_floor_checks_its_arguments(variance: float, lr: float) -> None:
    with pytest.raises(ValueError, match="variance must be 0 or more and lr above 0"):
        noise_floor(1.0, variance, lr)


def test_arguments_stay_as_they_are() -> None:
    lam, lr = torch.tensor([1.0, 4.0]), torch.tensor([0.1, 0.2])
    noise_floor(lam, 1.0, lr, momentum=0.3)
    stability_edge(lam, momentum=0.3)
    assert lam.tolist() == [1.0, 4.0] and lr.tolist() == [pytest.approx(0.1), pytest.approx(0.2)]
