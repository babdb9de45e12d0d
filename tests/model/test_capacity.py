"""`tricks_lib.model.capacity`: random features, ridge paths, bias and variance, the risk of least squares."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from tricks_lib.data.curvature import least_squares_hessian, newton_step
from tricks_lib.model.capacity import (
    bias_variance,
    hidden_network,
    least_squares_risk,
    random_directions,
    relu_features,
    ridge_path,
    vote_parts,
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def classes(*shape: int, seed: int = 0, n: int = 3) -> Tensor:
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


# ---- hidden_network


def test_a_network_has_the_layers_it_says() -> None:
    network = hidden_network(6, 4, 3)
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    assert [tuple(p.shape) for p in network.parameters()] == [(4, 6), (4,), (3, 4), (3,)]
    assert network(torch.zeros(5, 1, 2, 3)).shape == (5, 3)
    assert [type(layer) for layer in hidden_network(6, 1, 3)] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


def test_width_zero_is_a_linear_model() -> None:
    network = hidden_network(6, 0, 3)
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear]
    assert [tuple(p.shape) for p in network.parameters()] == [(3, 6), (3,)]


@pytest.mark.parametrize("width", [0, 4])
def test_a_network_starts_as_torch_has_it(width: int) -> None:
    torch.manual_seed(3)
    ours = hidden_network(6, width, 2)
    torch.manual_seed(3)
    theirs = [nn.Linear(6, width), nn.Linear(width, 2)] if width else [nn.Linear(6, 2)]
    expected = [p for layer in theirs for p in layer.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), expected, strict=True))


@pytest.mark.parametrize("width", [0, 4])
def test_a_network_goes_where_it_is_sent(width: int, device: torch.device) -> None:
    network = hidden_network(6, width, 2, device=device, dtype=torch.float32)
    assert {(p.device.type, p.dtype) for p in network.parameters()} == {(device.type, torch.float32)}
    assert {p.dtype for p in hidden_network(6, width, 2, dtype=torch.float64).parameters()} == {torch.float64}
    assert {p.dtype for p in hidden_network(6, width, 2).parameters()} == {torch.get_default_dtype()}


def test_a_network_can_be_copied_and_saved() -> None:
    network, x = hidden_network(6, 4, 3), normal(5, 6, dtype=torch.get_default_dtype())
    other = hidden_network(6, 4, 3)
    other.load_state_dict(network.state_dict())
    for same in (other, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(same(x), network(x))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 3, 2), "n_in must be 1 or more, got 0"),
        ((4, 3, 0), "n_out must be 1 or more, got 0"),
        ((4, -1, 2), "width must be 0 or more, got -1"),
    ],
)
def test_sizes_of_a_network_are_checked(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hidden_network(*sizes)


# ---- random_directions, relu_features


def test_directions_come_from_the_generator(global_rng_untouched: None) -> None:
    first, second = (random_directions(6, 4, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    expected = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(first, expected)
    assert first.dtype == torch.get_default_dtype()


def test_directions_without_a_generator_come_from_the_global_one() -> None:
    torch.manual_seed(4)
    first = random_directions(3, 2)
    torch.manual_seed(4)
    assert torch.equal(first, torch.randn(3, 2))


def test_directions_go_where_they_are_sent(device: torch.device, rng: torch.Generator) -> None:
    drawn = random_directions(6, 4, generator=rng, device=device, dtype=torch.float32)
    assert drawn.device.type == device.type
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn.cpu(), torch.randn(6, 4, generator=rng.manual_seed(20), dtype=torch.float32))
    assert random_directions(6, 4, device=device).device.type == device.type
    assert random_directions(6, 4, generator=rng, dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize(("sizes", "name"), [((0, 3), "n_in"), ((3, 0), "width")])
def test_sizes_of_directions_are_checked(sizes: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be 1 or more, got 0"):
        random_directions(*sizes)
    assert random_directions(1, 1).shape == (1, 1)


def test_relu_features_by_hand() -> None:
    x = torch.tensor([[3.0, 1.0], [-1.0, 2.0]])
    directions = torch.tensor([[1.0, -1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    expected = [[2.0, 0, 2.5, 0, 0, 0, 0, 0.5], [0.5, 0.5, 0, 0, 0, 0, 0, 1.0]]
    assert relu_features(x, directions).tolist() == expected


def test_relu_features_keep_the_squared_length_on_average() -> None:
    x = normal(5, 7)
    lengths = relu_features(x, normal(7, 40_000, seed=1)).square().sum(1)
    torch.testing.assert_close(lengths, x.square().sum(1), rtol=0.03, atol=0)


def test_relu_features_of_many_models() -> None:
    x, directions = normal(5, 7), normal(3, 7, 4, seed=1)
    together = relu_features(x, directions)
    assert together.shape == (3, 5, 4)
    for one, own in zip(together, directions, strict=True):
        close(one, relu_features(x, own))


def test_relu_features_have_a_gradient() -> None:
    x, directions = normal(3, 4).requires_grad_(), normal(4, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(relu_features, (x, directions))


@pytest.mark.parametrize(("x", "directions"), [((3, 4), (5, 4)), ((4,), (4, 2)), ((3, 4), (4,))])
def test_shapes_of_features_are_checked(x: tuple[int, ...], directions: tuple[int, ...]) -> None:
    message = r"x and directions must have shapes \(N, D\) and \(D, P\), got \(.*\) and \(.*\)"
    with pytest.raises(ValueError, match=message):
        relu_features(torch.ones(x), torch.ones(directions))


# ---- ridge_path

PENALTIES = [0.0, 1e-3, 0.5, 20.0]


@pytest.mark.parametrize(("n", "p"), [(9, 4), (4, 9), (5, 5)])
def test_ridge_solves_its_equations(n: int, p: int) -> None:
    x, y = normal(n, p), normal(n, 3, seed=1)
    weights = ridge_path(x, y, PENALTIES)
    assert weights.shape == (4, p, 3)
    close(weights[0], torch.linalg.pinv(x) @ y, atol=1e-11)
    for penalty, found in zip(PENALTIES[1:], weights[1:], strict=True):
        expected = torch.linalg.solve(x.T @ x / n + penalty * torch.eye(p).to(x), x.T @ y / n)
        close(found, expected, atol=1e-11)


def test_ridge_is_that_of_scikit_learn() -> None:
    x, y = normal(9, 4), normal(9, 3, seed=1)
    for penalty, found in zip(PENALTIES[1:], ridge_path(x, y, PENALTIES[1:]), strict=True):
        theirs = Ridge(alpha=9 * penalty, fit_intercept=False).fit(x.numpy(), y.numpy())
        close(found, torch.from_numpy(theirs.coef_.T), atol=1e-11)


def test_ridge_is_a_damped_newton_step_from_zero() -> None:
    x, y = normal(9, 4), normal(9, 3, seed=1)
    hessian = least_squares_hessian(x, bias=False)
    for penalty, found in zip(PENALTIES, ridge_path(x, y, PENALTIES), strict=True):
        close(found, newton_step(-x.T @ y / 9, hessian, damping=penalty), atol=1e-11)


def test_ridge_of_many_models_is_that_of_each() -> None:
    x, y = normal(2, 6, 5, 4), normal(2, 6, 5, 3, seed=1)
    together = ridge_path(x, y, PENALTIES)
    assert together.shape == (2, 6, 4, 4, 3)
    for i in range(2):
        for j in range(6):
            close(together[i, j], ridge_path(x[i, j], y[i, j], PENALTIES))
    close(ridge_path(x, y[0, 0], PENALTIES)[1, 2], ridge_path(x[1, 2], y[0, 0], PENALTIES))  # targets in common


def test_without_a_penalty_the_solution_is_the_shortest() -> None:
    x, y = normal(3, 7), normal(3, 2, seed=1)
    (weights,) = ridge_path(x, y, [0])
    close(x @ weights, y, atol=1e-11)
    null_space = torch.eye(7).to(x) - torch.linalg.pinv(x) @ x
    close(null_space @ weights, torch.zeros_like(weights), atol=1e-11)


def test_small_singular_values_count_as_zero() -> None:
    x, y = torch.diag(torch.tensor([1.0, 1e-3, 0.0], dtype=torch.float64)), torch.ones(3, 1, dtype=torch.float64)
    assert ridge_path(x, y, [0])[0, :, 0].tolist() == pytest.approx([1, 1000, 0])
    assert ridge_path(x, y, [0], rtol=0.01)[0, :, 0].tolist() == [1, 0, 0]
    assert ridge_path(x, y, [0], rtol=1e-3)[0, :, 0].tolist() == [1, 0, 0]  # up to this share
    assert ridge_path(x, y, [1.0], rtol=0.01)[0, 1].item() == 0
    tiny = torch.diag(torch.tensor([1.0, 2e-7], dtype=torch.float32))
    assert ridge_path(tiny, torch.ones(2, 1), [0])[0, :, 0].tolist() == [1, 0]  # rounding, in float32
    assert ridge_path(tiny.double(), torch.ones(2, 1), [0])[0, 1, 0].item() == pytest.approx(5e6)
    tall = nn.functional.pad(tiny, (0, 0, 0, 8))  # ten samples: more rounding
    tall[1, 1] = 1e-6
    assert ridge_path(tall, torch.ones(10, 1), [0])[0, :, 0].tolist() == [1, 0]
    assert ridge_path(tall[:2], torch.ones(2, 1), [0])[0, 1, 0].item() == pytest.approx(1e6)
    assert ridge_path(tall.T, torch.ones(2, 1), [0])[0, :2, 0].tolist() == [1, 0]
    assert ridge_path(torch.zeros(3, 2), torch.ones(3, 1), [0.0, 1.0]).tolist() == [[[0.0], [0.0]]] * 2


@given(st.integers(2, 6), st.integers(1, 6), st.integers(0, 1000))
def test_a_larger_penalty_gives_shorter_weights_and_a_worse_fit(n: int, p: int, seed: int) -> None:
    x, y = normal(n, p, seed=seed), normal(n, 1, seed=seed + 1)
    weights = ridge_path(x, y, [0.01, 0.1, 1.0, 10.0])
    lengths, misfits = weights.norm(dim=(1, 2)), (x @ weights - y).norm(dim=(1, 2))
    assert (lengths.diff() <= 1e-12).all()
    assert (misfits.diff() >= -1e-12).all()


def test_penalties_may_be_a_tensor() -> None:
    x, y = normal(9, 4), normal(9, 3, seed=1)
    assert torch.equal(ridge_path(x, y, torch.tensor(PENALTIES, dtype=torch.float64)), ridge_path(x, y, PENALTIES))


def test_ridge_has_a_gradient() -> None:
    x, y = normal(6, 3).requires_grad_(), normal(6, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: ridge_path(x, y, [0.1, 1.0]), (x, y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_weights_have_the_dtype_of_the_samples(dtype: torch.dtype) -> None:
    x, y = torch.tensor([[2, 0], [0, 1]], dtype=dtype), torch.tensor([[4], [2]])
    weights = ridge_path(x, y, [0, 0.5])
    assert weights.dtype == (dtype if dtype.is_floating_point else torch.get_default_dtype())
    assert weights[..., 0].tolist() == [pytest.approx([2, 2]), pytest.approx([1.6, 1], rel=1e-3)]


def test_weights_stay_on_their_device(device: torch.device) -> None:
    x, y = normal(9, 4, dtype=torch.float32), normal(9, 3, seed=1, dtype=torch.float32)
    found = ridge_path(x.to(device), y.to(device), PENALTIES)
    assert found.device.type == device.type
    close(found.cpu(), ridge_path(x, y, PENALTIES), atol=1e-6)


@pytest.mark.parametrize("penalties", [[-0.1], [math.inf], [math.nan], []])
def test_penalties_are_checked(penalties: list[float]) -> None:
    with pytest.raises(ValueError, match=r"penalties must be finite numbers, 0 or more, and at least one, got \["):
        ridge_path(normal(9, 4), normal(9, 3), penalties)


@pytest.mark.parametrize(("x", "y"), [((9, 4), (8, 3)), ((9,), (9, 3)), ((9, 4), (9,)), ((9, 0), (9, 3))])
def test_shapes_of_ridge_are_checked(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x and y must have shapes \(N, P\) and \(N, K\), got \(9.* and \("):
        ridge_path(torch.ones(x), torch.ones(y), [0])


@pytest.mark.parametrize("rtol", [-1e-9, 1.0, math.nan])
def test_rtol_is_checked(rtol: float) -> None:
    with pytest.raises(ValueError, match=f"rtol must be at least 0 and below 1, got {rtol}"):
        ridge_path(normal(9, 4), normal(9, 3), [0], rtol=rtol)
    assert ridge_path(normal(9, 4), normal(9, 3), [0], rtol=0.0).isfinite().all()


def test_numbers_of_ridge_must_be_finite() -> None:
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        ridge_path(normal(9, 4) / 0, normal(9, 3), [0])
    with pytest.raises(ValueError, match="y must hold finite numbers"):
        ridge_path(normal(9, 4), normal(9, 3) / 0, [0])


# ---- bias_variance


def test_bias_and_variance_by_hand() -> None:
    predictions = torch.tensor([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]])
    bias, variance = bias_variance(predictions, torch.tensor([6.0, 2.0]))
    assert variance.tolist() == [4.0, 0.0]
    assert bias.tolist() == pytest.approx([9 - 4 / 3, 0])


@given(st.integers(2, 7), st.integers(0, 1000))
def test_bias_and_variance_sum_to_the_mean_squared_error(sets: int, seed: int) -> None:
    predictions, target = normal(sets, 4, 3, seed=seed), normal(4, 3, seed=seed + 1)
    parts = bias_variance(predictions, target)
    assert parts.bias.shape == parts.variance.shape == (4, 3)
    close(parts.bias + parts.variance, (predictions - target).square().mean(0))


def test_the_estimates_are_unbiased() -> None:
    predictions = 2 + 3 * normal(4, 200_000, seed=3)  # four training sets, bias 0.5, variance 9
    parts = bias_variance(predictions, torch.full((200_000,), 1.5).double())
    assert parts.bias.mean().item() == pytest.approx(0.25, abs=0.05)
    assert parts.variance.mean().item() == pytest.approx(9, abs=0.1)


def test_bias_and_variance_have_gradients() -> None:
    predictions, target = normal(3, 4).requires_grad_(), normal(4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(bias_variance, (predictions, target))


def test_bias_and_variance_stay_on_their_device(device: torch.device) -> None:
    predictions, target = normal(3, 4, dtype=torch.float32), normal(4, seed=1, dtype=torch.float32)
    found = bias_variance(predictions.to(device), target.to(device))
    for there, here in zip(found, bias_variance(predictions, target), strict=True):
        assert there.device.type == device.type
        close(there.cpu(), here, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 4, 3), (5, 4), (5, 3, 4), ()])
def test_training_sets_are_checked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"predictions must have shape \(S, 4, 3\), S >= 2, as target has, got \("):
        bias_variance(torch.ones(shape), torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"votes must have shape \(S, 4, 3\), S >= 2, as labels has, got \("):
        vote_parts(torch.ones(shape).long(), torch.ones(4, 3).long())


# ---- vote_parts


def test_votes_by_hand() -> None:
    votes = torch.tensor([[1, 0, 2], [1, 0, 2], [1, 1, 0], [0, 1, 1], [1, 2, 2]])
    parts = vote_parts(votes, torch.tensor([1, 1, 2]))
    # main predictions 1 (right), 0 (a tie of two, wrong), 2 (right)
    assert parts == pytest.approx((6 / 15, 1 / 3, 3 / 15, 2 / 15))
    assert parts.error == pytest.approx(parts.bias + parts.harm - parts.help)


def parts_of_a_loop(votes: Tensor, labels: Tensor) -> list[float]:
    total = [0.0] * 4
    for column, label in zip(votes.T.tolist(), labels.tolist(), strict=True):
        main = min(set(column), key=lambda c: (-column.count(c), c))
        total[0] += sum(vote != label for vote in column) / len(column)
        total[1] += main != label
        if main == label:
            total[2] += sum(vote != main for vote in column) / len(column)
        else:
            total[3] += sum(vote == label for vote in column) / len(column)
    return [part / len(labels) for part in total]


@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 1000))
def test_votes_are_those_of_a_loop(sets: int, n: int, seed: int) -> None:
    votes, labels = classes(sets, n, seed=seed, n=4), classes(n, seed=seed + 1, n=4)
    parts = vote_parts(votes, labels)
    assert list(parts) == pytest.approx(parts_of_a_loop(votes, labels))
    assert parts.error == pytest.approx(parts.bias + parts.harm - parts.help)


def test_votes_may_lie_anywhere(device: torch.device) -> None:
    votes, labels = classes(5, 9), classes(9, seed=1)
    assert vote_parts(votes.to(device), labels.to(device)) == vote_parts(votes, labels)


def test_votes_are_whole_numbers() -> None:
    for votes, labels in [(torch.ones(3, 2), torch.ones(2).long()), (torch.ones(3, 2).long(), torch.ones(2))]:
        with pytest.raises(TypeError, match=f"votes and labels must be whole numbers, got {votes.dtype} and"):
            vote_parts(votes, labels)


# ---- least_squares_risk


def test_risk_by_hand() -> None:
    assert least_squares_risk(21, 10, signal=5.0, noise=2.0) == pytest.approx(4.0)
    assert least_squares_risk(10, 21, signal=3.0, noise=2.0) == pytest.approx(3 * 11 / 21 + 2 * 2)
    assert least_squares_risk(10, 8, signal=1.0, noise=1.0) == pytest.approx(9)
    assert least_squares_risk(10, 12, signal=6.0, noise=1.0) == pytest.approx(12)
    assert [least_squares_risk(10, p, signal=1.0, noise=1.0) for p in (9, 10, 11)] == [math.inf] * 3
    assert least_squares_risk(10, 20, signal=0.0, noise=0.0) == 0
    assert least_squares_risk(3, 1, signal=1.0, noise=1.0) == 2
    assert least_squares_risk(1, 3, signal=0.0, noise=1.0) == 2


@pytest.mark.parametrize(("n", "p"), [(30, 10), (10, 30)])
def test_risk_is_what_is_measured(n: int, p: int) -> None:
    x, w = normal(4000, n, p), normal(p, 1, seed=1)
    found = ridge_path(x, x @ w + 0.7 * normal(4000, n, 1, seed=2), [0])[:, 0]
    measured = (found - w).square().sum((1, 2)).mean() + 0.49
    expected = least_squares_risk(n, p, signal=w.square().sum().item(), noise=0.49)
    assert measured.item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": 0}, "n_samples must be 1 or more, got 0"),
        ({"n_features": 0}, "n_features must be 1 or more, got 0"),
        ({"signal": -1.0}, "signal and noise must be finite, and 0 or more, got -1.0 and 1.0"),
        ({"signal": math.inf}, "signal and noise must be finite, and 0 or more, got inf and 1.0"),
        ({"noise": -1.0}, "signal and noise must be finite, and 0 or more, got 1.0 and -1.0"),
        ({"noise": math.nan}, "signal and noise must be finite, and 0 or more, got 1.0 and nan"),
        ({"noise": math.inf}, "signal and noise must be finite, and 0 or more, got 1.0 and inf"),
    ],
)
def test_arguments_of_the_risk_are_checked(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"n_samples": 10, "n_features": 5, "signal": 1.0, "noise": 1.0}
    with pytest.raises(ValueError, match=message):
        least_squares_risk(**(arguments | change))


def test_inputs_stay_and_nothing_is_drawn(global_rng_untouched: None) -> None:
    x, y, directions, votes = normal(9, 4), normal(9, 3, seed=1), normal(4, 5, seed=2), classes(3, 9)
    kept = [tensor.clone() for tensor in (x, y, directions, votes)]
    ridge_path(relu_features(x, directions), y, PENALTIES)
    bias_variance(torch.stack([y, 2 * y]), y)
    vote_parts(votes, votes[0])
    assert all(torch.equal(a, b) for a, b in zip((x, y, directions, votes), kept, strict=True))
