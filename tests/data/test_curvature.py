"""`tricks_lib.data.curvature`: the Hessian of least squares, speed of gradient descent, Newton steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data.curvature import (
    condition_number,
    descent_weights,
    least_squares_hessian,
    newton_step,
    step_bound,
    steps_needed,
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def symmetric(*eigenvalues: float, seed: int = 3) -> tuple[Tensor, Tensor]:
    """Return a matrix with these eigenvalues, and its eigenvectors in their order."""
    turn, _ = torch.linalg.qr(normal(len(eigenvalues), len(eigenvalues), seed=seed))
    return turn @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ turn.T, turn


def descent(hessian: Tensor, moment: Tensor, steps: int, lr: float) -> Tensor:
    weights = torch.zeros_like(moment)
    for _ in range(steps):
        weights = weights - lr * (hessian @ weights - moment)
    return weights


def excess(hessian: Tensor, moment: Tensor, weights: Tensor) -> float:
    """Loss above the minimum, from the loss itself."""

    def loss(w: Tensor) -> Tensor:
        return 0.5 * (w * (hessian @ w)).sum() - (w * moment).sum()

    return float(loss(weights) - loss(torch.linalg.pinv(hessian, hermitian=True) @ moment))


X = normal(9, 2, 3, seed=1) + torch.arange(6.0, dtype=torch.float64).view(2, 3)
Y = normal(9, 4, seed=2)
FLAT = nn.functional.pad(X.flatten(1), (0, 1), value=1)
H, M = FLAT.T @ FLAT / 9, FLAT.T @ Y / 9

eigenvalues = st.lists(st.floats(0.01, 100), min_size=1, max_size=5)


# ---- least_squares_hessian


def test_hessian_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert least_squares_hessian(x, bias=False).tolist() == [[5.0, 1.0], [1.0, 2.0]]
    assert least_squares_hessian(x).tolist() == [[5.0, 1.0, 2.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0]]


@pytest.mark.parametrize("bias", [True, False])
def test_hessian_is_that_of_autograd(bias: bool) -> None:
    layer = nn.Linear(6, 1, bias=bias, dtype=torch.float64)
    shapes = [p.shape for p in layer.parameters()]

    def loss(w: Tensor) -> Tensor:
        parts = [part.view(shape) for part, shape in zip(w.split([6, 1][: len(shapes)]), shapes, strict=True)]
        return (nn.functional.linear(X.flatten(1), *parts)[:, 0] - Y[:, 0]).square().mean() / 2

    theirs = torch.autograd.functional.hessian(loss, normal(7 if bias else 6))
    assert isinstance(theirs, Tensor)
    close(least_squares_hessian(X, bias=bias), theirs)


@pytest.mark.parametrize("sizes", [(9,), (1, 8), (4, 0, 5), (1,) * 9], ids=str)
def test_batches_do_not_matter_to_the_hessian(sizes: tuple[int, ...]) -> None:
    close(least_squares_hessian(list(X.split(list(sizes)))), H)


def test_hessian_of_a_loader_and_of_integers() -> None:
    close(least_squares_hessian(DataLoader(TensorDataset(X, Y), batch_size=4)), H)
    pixels = torch.tensor([[200, 3], [250, 5]], dtype=torch.uint8)  # their products do not fit into a byte
    assert least_squares_hessian(pixels, bias=False).tolist() == [[51250.0, 925.0], [925.0, 17.0]]


def test_hessian_is_summed_in_float64() -> None:
    x = (1000 + normal(3000, 2)).float()
    hessian = least_squares_hessian(x)
    assert hessian.dtype == torch.float64
    wide = nn.functional.pad(x.double(), (0, 1), value=1)
    torch.testing.assert_close(hessian, wide.T @ wide / 3000, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (X[:0], ValueError, "x must hold at least 1 sample, got 0"),
        ([X, X[:, :1]], ValueError, "x must have the same features in all batches, got 3 and 6"),
        (X / 0, ValueError, "x must hold finite numbers"),
        (X[:, 0, 0], ValueError, r"x must have shape \(N, ...\)"),
        ([X.numpy()], TypeError, "a batch of x must be a tensor, got ndarray"),
    ],
)
def test_hessian_checks_its_samples(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        least_squares_hessian(x)


# ---- condition_number


def test_condition_number_by_hand() -> None:
    matrix, _ = symmetric(6.0, 0.5, 2.0)
    assert condition_number(matrix) == pytest.approx(12, rel=1e-12)
    assert condition_number(torch.eye(4)) == 1.0
    assert condition_number(torch.tensor([[7]])) == 1.0


def test_condition_number_is_that_of_torch() -> None:
    assert condition_number(H) == pytest.approx(float(torch.linalg.cond(H)), rel=1e-10)


def test_a_singular_hessian_is_called_singular() -> None:
    matrix, _ = symmetric(8.0, 2.0, 0.0, 0.0)
    assert condition_number(matrix) == math.inf
    assert condition_number(matrix, nonzero=True) == pytest.approx(4, rel=1e-12)
    rank = int(torch.linalg.matrix_rank(matrix, hermitian=True))
    assert rank == 2


def test_what_counts_as_zero_is_up_to_rtol_and_the_dtype() -> None:
    matrix = torch.diag(torch.tensor([4.0, 1.0, 4e-7])).float()
    assert condition_number(matrix.double()) == pytest.approx(1e7)
    assert condition_number(matrix) == math.inf  # 3 times the precision of float32 is 3.6e-7
    assert condition_number(matrix, rtol=1e-8) == pytest.approx(1e7)
    assert condition_number(matrix.double(), nonzero=True, rtol=1e-3) == pytest.approx(4)
    assert condition_number(torch.diag(torch.tensor([4.0, 1.0])), rtol=0.25) == math.inf  # a share up to rtol is zero


@given(eigenvalues, st.floats(0.1, 10))
def test_condition_number_does_not_depend_on_scale_or_turn(values: list[float], scale: float) -> None:
    matrix, _ = symmetric(*values)
    expected = max(values) / min(values)
    assert condition_number(matrix) == pytest.approx(expected, rel=1e-9)
    assert condition_number(scale * matrix) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("hessian", "message"),
    [
        (torch.ones(2, 3), r"hessian must have shape \(P, P\), got \(2, 3\)"),
        (torch.ones(0, 0), r"hessian must have shape \(P, P\), got \(0, 0\)"),
        (torch.ones(2), r"hessian must have shape \(P, P\), got \(2,\)"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "hessian must be symmetric"),
        (torch.eye(2) * math.nan, "hessian must hold finite numbers"),
        (torch.zeros(2, 2), "hessian must have positive eigenvalues and no negative one, got 0 to 0"),
        (torch.diag(torch.tensor([3.0, -1.0])), "hessian must have positive eigenvalues .* got -1 to 3"),
    ],
)
def test_the_hessian_is_checked(hessian: Tensor, message: str) -> None:
    moment = torch.ones(len(hessian))
    calls: list[Callable[[], Any]] = [
        lambda: condition_number(hessian),
        lambda: steps_needed(hessian, moment, 0.1, lr=0.1),
        lambda: descent_weights(hessian, moment, 3, lr=0.1),
    ]
    if "positive" not in message:
        calls.append(lambda: newton_step(moment, hessian))
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("rtol", [-0.1, 1.0, math.nan])
def test_rtol_is_checked(rtol: float) -> None:
    for call in (
        lambda: condition_number(H, rtol=rtol),
        lambda: steps_needed(H, M, 0.1, lr=0.01, rtol=rtol),
        lambda: descent_weights(H, M, 3, lr=0.01, rtol=rtol),
        lambda: newton_step(M, H, rtol=rtol),
    ):
        with pytest.raises(ValueError, match="rtol must be at least 0 and below 1, got"):
            call()


# ---- step_bound


def test_step_bound_by_hand() -> None:
    # rho = 3/4: 0.75**16 = 0.01002 is not enough, 0.75**18 = 0.0056 is
    assert step_bound(4, 0.01) == 9
    # rho = 3/5: 0.6**8 = 0.0168, 0.6**10 = 0.0060
    assert step_bound(4, 0.01, minimax=True) == 5
    assert step_bound(1, 1e-9) == step_bound(1, 0.5, minimax=True) == 1
    assert step_bound(math.inf, 0.1) == step_bound(math.inf, 0.1, minimax=True) == math.inf
    assert step_bound(torch.tensor(4.0), 0.01) == 9


def test_step_bound_does_not_lose_large_condition_numbers() -> None:
    assert step_bound(1e17, 0.01) == pytest.approx(0.5e17 * math.log(100), rel=1e-12)
    assert step_bound(1e17, 0.01, minimax=True) == pytest.approx(0.25e17 * math.log(100), rel=1e-12)


@given(st.floats(1.001, 1e6), st.floats(1e-6, 0.9), st.booleans())
def test_step_bound_is_the_first_that_is_enough(kappa: float, tolerance: float, minimax: bool) -> None:
    steps = step_bound(kappa, tolerance, minimax=minimax)
    log_rho = math.log1p(-2 / (kappa + 1)) if minimax else math.log1p(-1 / kappa)
    assert 2 * steps * log_rho <= math.log(tolerance) + 1e-9
    assert steps == 1 or 2 * (steps - 1) * log_rho > math.log(tolerance) - 1e-9


@pytest.mark.parametrize("condition", [0.999, -3.0, math.nan])
def test_condition_is_checked(condition: float) -> None:
    with pytest.raises(ValueError, match=f"condition must be at least 1, got {condition}"):
        step_bound(condition, 0.1)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, math.nan])
def test_tolerance_is_checked(tolerance: float) -> None:
    for call in (lambda: step_bound(4, tolerance), lambda: steps_needed(H, M, tolerance, lr=0.01)):
        with pytest.raises(ValueError, match=f"tolerance must be between 0 and 1, got {tolerance}"):
            call()


# ---- steps_needed


@pytest.mark.parametrize("tolerance", [0.9, 0.3, 0.02, 1e-4])
@pytest.mark.parametrize("share", [0.3, 1.0, 1.7])
def test_steps_needed_are_those_of_a_loop(tolerance: float, share: float) -> None:
    matrix, turn = symmetric(4.0, 1.0, 0.3, 0.0)
    moment = turn[:, :3] @ normal(3, 2)
    lr = share / 4
    steps, start = 0, excess(matrix, moment, torch.zeros_like(moment))
    while excess(matrix, moment, descent(matrix, moment, steps, lr)) > tolerance * start:
        steps += 1
    assert steps_needed(matrix, moment, tolerance, lr=lr) == steps


def test_steps_needed_by_hand() -> None:
    hessian, along = torch.diag(torch.tensor([4.0, 1.0])), torch.tensor([0.0, 3.0])
    assert steps_needed(hessian, along, 0.01, lr=0.25) == 9  # 0.75**18 = 0.0056, 0.75**16 = 0.01002
    assert steps_needed(hessian, along[[1, 0]], 0.01, lr=0.25) == 1
    assert steps_needed(torch.eye(3), torch.ones(3), 1e-9, lr=1.0) == 1
    assert steps_needed(hessian, along.round().long(), 0.01, lr=0.25) == 9


def test_steps_needed_over_millions() -> None:
    hessian, moment = torch.diag(torch.tensor([1.0, 1e-9], dtype=torch.float64)), torch.tensor([0.0, 1.0])
    assert steps_needed(hessian, moment, 0.01, lr=1.0) == pytest.approx(0.5e9 * math.log(100), rel=1e-8)


@given(eigenvalues, st.integers(0, 1000), st.floats(1e-4, 0.5), st.booleans())
def test_no_start_needs_more_than_the_bound(values: list[float], seed: int, tolerance: float, minimax: bool) -> None:
    matrix, _ = symmetric(*values)
    lr = 2 / (max(values) + min(values)) if minimax else 1 / max(values)
    steps = steps_needed(matrix, normal(len(values), seed=seed), tolerance, lr=lr)
    assert steps <= step_bound(condition_number(matrix), tolerance, minimax=minimax) + 1  # of rounding


def test_the_bound_is_reached_along_the_flattest_direction() -> None:
    matrix, turn = symmetric(5.0, 2.0, 0.01)
    for minimax, lr in {False: 1 / 5, True: 2 / 5.01}.items():
        assert steps_needed(matrix, turn[:, 2], 1e-3, lr=lr) == step_bound(500, 1e-3, minimax=minimax)


@pytest.mark.parametrize("lr", [0.0, -0.1, 0.5, 1.0, math.nan])
def test_lr_of_steps_needed_is_checked(lr: float) -> None:
    with pytest.raises(ValueError, match=f"lr must be above 0 and below 0.5, got {lr}"):
        steps_needed(torch.diag(torch.tensor([4.0, 1.0])), torch.ones(2), 0.1, lr=lr)


def test_moment_is_checked() -> None:
    with pytest.raises(ValueError, match="moment must not be zero: the start is the minimum"):
        steps_needed(torch.eye(2), torch.zeros(2), 0.1, lr=1.0)
    message = r"moment must have shape \(7,\) or \(7, K\), got \(3,\)"
    for call in (lambda: steps_needed(H, M[:3, 0], 0.1, lr=0.01), lambda: descent_weights(H, M[:3, 0], 3, lr=0.01)):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="moment must hold finite numbers"):
        descent_weights(H, M / 0, 3, lr=0.01)


# ---- descent_weights


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("share", [0.01, 0.4, 1.0, 1.5, 1.9])
def test_descent_weights_are_those_of_a_loop(steps: int, share: float) -> None:
    lr = share / float(torch.linalg.eigvalsh(H)[-1])
    torch.testing.assert_close(descent_weights(H, M, steps, lr=lr), descent(H, M, steps, lr), rtol=1e-11, atol=1e-12)
    single = descent_weights(H, M[:, 1], steps, lr=lr)
    assert single.shape == (7,)
    torch.testing.assert_close(single, descent(H, M[:, 1], steps, lr), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("damping", [0.0, 0.1, 5.0])
@pytest.mark.parametrize("lr", [0.2, 1.0, 1.6])
def test_damped_weights_are_those_of_newton_steps(damping: float, lr: float) -> None:
    singular = torch.block_diag(H, torch.zeros(2, 2, dtype=torch.float64))
    moment = nn.functional.pad(M, (0, 0, 0, 2))
    weights = torch.zeros_like(moment)
    for _ in range(6):
        weights = weights + lr * newton_step(singular @ weights - moment, singular, damping=damping)
    close(descent_weights(singular, moment, 6, lr=lr, damping=damping), weights, atol=1e-10)


def test_descent_in_the_long_run_is_the_pseudo_inverse() -> None:
    matrix, turn = symmetric(4.0, 1e-6, 0.0)
    moment = turn[:, :2] @ normal(2)
    weights, limit = descent_weights(matrix, moment, 10**9, lr=0.25), torch.linalg.pinv(matrix) @ moment
    torch.testing.assert_close(weights, limit, rtol=1e-8, atol=0)  # an eigenvalue of 1e-6 beside 4 has ten digits
    first = descent_weights(torch.tensor([[1e-13]], dtype=torch.float64), torch.ones(1), 1000, lr=1e-3)
    close(first, torch.ones(1, dtype=torch.float64), atol=1e-9)  # a thousand steps of a thousandth


@pytest.mark.parametrize(("steps", "lr"), [(-1, 0.1), (2.0, 0.1), (3, 0.0), (3, -0.1), (3, math.inf), (3, math.nan)])
def test_steps_and_lr_are_checked(steps: Any, lr: float) -> None:
    message = f"steps must be a whole number, 0 or more, and lr above 0, got {steps} and {lr}"
    with pytest.raises(ValueError, match=message):
        descent_weights(H, M, steps, lr=lr)


# ---- newton_step


def test_newton_step_by_hand() -> None:
    hessian, gradient = torch.diag(torch.tensor([4.0, -2.0, 0.0])), torch.tensor([4.0, 4.0, 6.0])
    assert newton_step(gradient, hessian).tolist() == [-1.0, 2.0, 0.0]
    assert newton_step(gradient, hessian, absolute=True).tolist() == [-1.0, -2.0, 0.0]
    assert newton_step(gradient, hessian, damping=3.0).tolist() == pytest.approx([-4 / 7, -4, -2])
    assert newton_step(gradient, hessian, damping=3.0, absolute=True).tolist() == pytest.approx([-4 / 7, -4 / 5, -2])
    assert newton_step(gradient, torch.zeros(3, 3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("damping", [0.0, 1e-3, 2.0])
def test_newton_step_is_a_solve(damping: float) -> None:
    gradient = normal(7, 4, seed=5)
    expected = -torch.linalg.solve(H + damping * torch.eye(7, dtype=torch.float64), gradient)
    torch.testing.assert_close(newton_step(gradient, H, damping=damping), expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(newton_step(gradient[:, 2], H, damping=damping), expected[:, 2], rtol=1e-9, atol=1e-11)


def test_newton_step_of_a_singular_hessian_is_that_of_the_pseudo_inverse() -> None:
    matrix, _ = symmetric(3.0, -0.5, 0.0, 0.0, seed=8)
    gradient = normal(4, 2)
    close(newton_step(gradient, matrix), -torch.linalg.pinv(matrix, hermitian=True) @ gradient)


def test_one_newton_step_solves_least_squares() -> None:
    start = normal(7, 4, seed=9)
    step = newton_step(H @ start - M, H)
    theirs, *_ = np.linalg.lstsq(FLAT.numpy(), Y.numpy(), rcond=None)
    close(start + step, torch.from_numpy(theirs), atol=1e-10)


@pytest.mark.parametrize("damping", [1e-3, 0.7])
def test_a_damped_step_from_zero_is_ridge_regression(damping: float) -> None:
    ridge = Ridge(alpha=9 * damping, fit_intercept=False).fit(FLAT.numpy(), Y.numpy())
    close(newton_step(-M, H, damping=damping), torch.from_numpy(ridge.coef_.T), atol=1e-10)


@given(eigenvalues, st.integers(0, 1000))
def test_damping_shortens_the_step_towards_the_gradient(values: list[float], seed: int) -> None:
    matrix, _ = symmetric(*values)
    gradient = normal(len(values), seed=seed)
    lengths = [newton_step(gradient, matrix, damping=d).norm().item() for d in (0.0, 0.1, 10.0, 1e9)]
    assert sorted(lengths, reverse=True) == lengths
    close(1e9 * newton_step(gradient, matrix, damping=1e9), -gradient, atol=1e-5)


@given(st.lists(st.floats(-50, 50).filter(lambda v: abs(v) > 0.01), min_size=1, max_size=5), st.integers(0, 1000))
def test_with_absolute_values_every_step_goes_downhill(values: list[float], seed: int) -> None:
    matrix, _ = symmetric(*values)
    gradient = normal(len(values), seed=seed)
    assert (newton_step(gradient, matrix, absolute=True) * gradient).sum() < 0


def test_rtol_of_newton_step_counts_after_damping() -> None:
    hessian, gradient = torch.diag(torch.tensor([1.0, 1e-3, 0.0])), torch.ones(3)
    assert newton_step(gradient, hessian, rtol=0.01).tolist() == [-1.0, 0.0, 0.0]
    assert newton_step(gradient, hessian, rtol=1e-4).tolist() == pytest.approx([-1.0, -1000.0, 0.0])
    damped = newton_step(gradient, hessian, damping=0.1, rtol=0.01)
    assert damped.tolist() == pytest.approx([-1 / 1.1, -1 / 0.101, -10])
    small = torch.diag(torch.tensor([1.0, 1e-8])).float()
    assert newton_step(torch.ones(2), small).tolist() == [-1.0, 0.0]  # rounding, in float32
    assert newton_step(torch.ones(2), small.double()).tolist() == pytest.approx([-1.0, -1e8])


@pytest.mark.parametrize("damping", [-1e-9, math.inf, math.nan])
def test_damping_is_checked(damping: float) -> None:
    for call in (lambda: newton_step(M, H, damping=damping), lambda: descent_weights(H, M, 1, lr=1.0, damping=damping)):
        with pytest.raises(ValueError, match=f"damping must be finite and at least 0, got {damping}"):
            call()


def test_gradient_is_checked() -> None:
    with pytest.raises(ValueError, match=r"gradient must have shape \(7,\) or \(7, K\), got \(4, 7\)"):
        newton_step(M.T, H)
    with pytest.raises(ValueError, match=r"gradient must have shape \(7,\) or \(7, K\), got \(7, 2, 2\)"):
        newton_step(normal(7, 2, 2), H)
    with pytest.raises(ValueError, match="gradient must hold finite numbers"):
        newton_step(M / 0, H)


# ---- all of them


def test_results_have_the_dtype_of_the_hessian() -> None:
    for dtype, expected in [
        (torch.float32, torch.float32),
        (torch.float16, torch.float16),
        (torch.int64, torch.get_default_dtype()),
    ]:
        hessian, gradient = 3 * torch.eye(2, dtype=dtype), torch.ones(2)
        assert newton_step(gradient, hessian).dtype == expected
        weights = descent_weights(hessian, gradient, 1, lr=0.1)
        assert weights.dtype == expected
        assert weights.tolist() == pytest.approx([0.1, 0.1], rel=1e-3)


def test_inputs_stay_and_nothing_is_drawn(global_rng_untouched: None) -> None:
    hessian, moment, x = H.clone(), M.clone(), X.clone()
    least_squares_hessian(x)
    condition_number(hessian, rtol=0.5, nonzero=True)
    steps_needed(hessian, moment, 0.5, lr=0.01)
    descent_weights(hessian, moment, 3, lr=0.01, damping=0.1)
    newton_step(moment, hessian, damping=0.1, absolute=True)
    assert torch.equal(hessian, H) and torch.equal(moment, M) and torch.equal(x, X)


def test_everything_stays_on_its_device(device: torch.device) -> None:
    x = X.float()
    here = least_squares_hessian(x).float()
    there, moment = least_squares_hessian(x.to(device)).to(device, torch.float32), M.float()
    close(there.cpu(), here, atol=1e-4)
    assert condition_number(there) == pytest.approx(condition_number(here), rel=1e-3)
    assert steps_needed(there, moment.to(device), 0.5, lr=0.01) == steps_needed(here, moment, 0.5, lr=0.01)
    for result, expected in [
        (newton_step(moment.to(device), there, damping=0.1), newton_step(moment, here, damping=0.1)),
        (descent_weights(there, moment.to(device), 5, lr=0.01), descent_weights(here, moment, 5, lr=0.01)),
    ]:
        assert result.device.type == device.type
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-3, atol=1e-4)


def test_indefinite_hessians_only_stop_what_needs_a_minimum() -> None:
    saddle, _ = symmetric(2.0, -1.0)
    assert newton_step(torch.ones(2), saddle).shape == (2,)
    nearly = torch.diag(torch.tensor([1.0, -1e-18], dtype=torch.float64))  # negative by rounding alone
    assert condition_number(nearly) == math.inf
