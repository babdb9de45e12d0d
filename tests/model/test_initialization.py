"""`tricks_lib.model.initialization`: first weights, gains, signal flow measured and predicted, alpha dropout."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import Tensor, nn

from tricks_lib.learning.draws import ModelStreams
from tricks_lib.model.initialization import (
    AlphaDropout,
    Flow,
    Moments,
    alpha_dropout,
    fans,
    gain,
    initialize_,
    moments,
    predicted_flow,
    self_normalizing,
    signal_flow,
    variance_scaling_,
)

FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
MODES = ["fan_in", "fan_out", "average", "geometric"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=dtype)


def chain(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers[:-1]).double()


# ---- fans


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Linear(7, 3), (7, 3)),
        (nn.Conv1d(2, 5, 3), (6, 15)),
        (nn.Conv2d(3, 5, (2, 7)), (42, 70)),
        (nn.Conv3d(2, 3, (1, 2, 4)), (16, 24)),
    ],
)
def test_fans_count_inputs_and_outputs(layer: nn.Linear, expected: tuple[int, int]) -> None:
    assert fans(layer.weight) == expected
    assert fans(layer.weight) == nn.init._calculate_fan_in_and_fan_out(layer.weight)


@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 0)])
def test_fans_need_two_dimensions(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"weight must have shape \(n_out, n_in, \.\.\.\), nothing empty, got \("):
        fans(torch.zeros(shape))


# ---- variance_scaling_


def torchs(weight: Tensor, rule: str, seed: int) -> Tensor:
    """What torch makes of a weight with a rule of its own."""
    rules: dict[str, Callable[..., Tensor]] = {
        "fan_in normal": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
        "fan_in uniform": lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g),
        "fan_out normal": lambda w, g: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu", generator=g),
        "fan_out uniform": lambda w, g: nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu", generator=g),
        "average normal": lambda w, g: nn.init.xavier_normal_(w, gain=2**0.5, generator=g),
        "average uniform": lambda w, g: nn.init.xavier_uniform_(w, gain=2**0.5, generator=g),
    }
    return rules[rule](torch.empty_like(weight), rng(seed))


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("mode", MODES[:3])
@pytest.mark.parametrize("shape", [(40, 7), (5, 3, 2, 4)])
def test_rules_that_torch_has_are_torchs(shape: tuple[int, ...], mode: str, distribution: str) -> None:
    weight = torch.empty(shape, dtype=torch.float64)
    made = variance_scaling_(weight, mode=mode, gain=2**0.5, distribution=distribution, generator=rng(3))
    torch.testing.assert_close(made, torchs(weight, f"{mode} {distribution}", 3), rtol=1e-15, atol=0)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(("mode", "n"), [("fan_in", 500), ("fan_out", 80), ("average", 290), ("geometric", 200)])
def test_mean_and_variance(mode: str, n: float, distribution: str) -> None:
    weight = variance_scaling_(torch.empty(80, 500), mode=mode, gain=1.5, distribution=distribution, generator=rng())
    assert n * weight.var().item() == pytest.approx(2.25, rel=0.03)
    assert weight.mean().abs().item() < 4 * weight.std().item() / math.sqrt(weight.numel())


def test_shapes_of_the_distributions() -> None:
    uniform = variance_scaling_(torch.empty(300, 100), distribution="uniform", generator=rng())
    assert uniform.abs().max().item() == pytest.approx(math.sqrt(3 / 100), rel=1e-3)
    normal_ = variance_scaling_(torch.empty(300, 100), generator=rng())
    assert stats.kurtosis(normal_.flatten().numpy()) == pytest.approx(0, abs=0.06)
    assert stats.kurtosis(uniform.flatten().numpy()) == pytest.approx(-1.2, abs=0.06)


@given(st.sampled_from(MODES), st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 10), st.integers(0, 99))
def test_the_gain_is_a_factor(mode: str, n_out: int, n_in: int, factor: float, seed: int) -> None:
    one = variance_scaling_(torch.empty(n_out, n_in, dtype=torch.float64), mode=mode, generator=rng(seed))
    other = variance_scaling_(torch.empty_like(one), mode=mode, gain=factor, generator=rng(seed))
    torch.testing.assert_close(other, factor * one, rtol=1e-12, atol=0)


def test_weights_change_in_place_and_without_a_gradient() -> None:
    layer = nn.Linear(4, 3)
    before = layer.weight.data_ptr()
    assert variance_scaling_(layer.weight, generator=rng()) is layer.weight
    assert layer.weight.data_ptr() == before and layer.weight.requires_grad and layer.weight.grad_fn is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "fan_avg"}, "mode must be one of fan_in, fan_out, average, geometric, got 'fan_avg'"),
        ({"gain": 0.0}, "gain must be positive and finite, got 0.0"),
        ({"gain": -1.0}, "gain must be positive and finite, got -1.0"),
        ({"gain": math.inf}, "gain must be positive and finite, got inf"),
        ({"gain": math.nan}, "gain must be positive and finite, got nan"),
        ({"distribution": "cauchy"}, "distribution must be normal or uniform, got 'cauchy'"),
    ],
)
def test_bad_rules_leave_the_weight(arguments: dict[str, Any], message: str) -> None:
    weight = torch.ones(2, 3)
    with pytest.raises(ValueError, match=message):
        variance_scaling_(weight, **arguments)
    assert torch.equal(weight, torch.ones(2, 3))


def test_same_generator_same_weights(global_rng_untouched: None) -> None:
    for distribution in ("normal", "uniform"):
        one, two, other = (
            variance_scaling_(torch.empty(3, 4), distribution=distribution, generator=rng(seed)) for seed in (1, 1, 2)
        )
        assert torch.equal(one, two) and not torch.equal(one, other)


def test_without_a_generator_torchs_own_is_drawn_from() -> None:
    torch.manual_seed(5)
    one = variance_scaling_(torch.empty(3, 4))
    assert torch.equal(one, variance_scaling_(torch.empty(3, 4), generator=rng(5)))


# ---- moments and gain


def integrated(f: Callable[[float], float], mean: float, sd: float) -> float:
    """E f(h) for normal h, by another quadrature."""
    pieces = [-math.inf, *sorted({-1.0, 0.0, 1.0, mean}), math.inf]
    return math.fsum(
        integrate.quad(lambda h: f(h) * stats.norm.pdf(h, mean, sd), a, b, epsabs=1e-12)[0] for a, b in pairwise(pieces)
    )


@pytest.mark.parametrize("var", [0.25, 1.0, 9.0])
def test_moments_of_relu_in_closed_form(var: float) -> None:
    made = moments(torch.relu, var=var)
    assert made.mean == pytest.approx(math.sqrt(var / (2 * math.pi)), rel=1e-13)
    assert made.mean_square == pytest.approx(var / 2, rel=1e-13)
    assert made.var == pytest.approx(var / 2 - var / (2 * math.pi), rel=1e-12)
    assert made.slope_square == pytest.approx(0.5, rel=1e-13)


def test_moments_of_exp_in_closed_form() -> None:
    made = moments(torch.exp, mean=0.3, var=0.49)
    assert made.mean == pytest.approx(math.exp(0.3 + 0.245), rel=1e-12)
    assert made.mean_square == made.slope_square == pytest.approx(math.exp(0.6 + 0.98), rel=1e-12)


def test_selu_keeps_mean_zero_and_variance_one() -> None:
    made = moments(nn.SELU())
    assert made.mean == pytest.approx(0, abs=1e-12) and made.mean_square == pytest.approx(1, rel=1e-12)
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    below = alpha**2 * math.exp(2) * stats.norm.cdf(-2)
    assert made.slope_square == pytest.approx(scale**2 * (0.5 + below), rel=1e-12)


@pytest.mark.parametrize(("mean", "var"), [(0.0, 1.0), (0.7, 0.5), (-2.0, 4.0)])
@pytest.mark.parametrize("name", ["tanh", "elu"])
def test_moments_equal_another_quadrature(name: str, mean: float, var: float) -> None:
    functions: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[float], float], Callable[[float], float]]] = {
        "tanh": (torch.tanh, math.tanh, lambda h: 1 - math.tanh(h) ** 2),
        "elu": (nn.ELU(), lambda h: max(h, math.expm1(min(h, 0))), lambda h: math.exp(min(h, 0))),
    }
    f, value, slope = functions[name]
    made, sd = moments(f, mean=mean, var=var), math.sqrt(var)
    assert made.mean == pytest.approx(integrated(value, mean, sd), rel=1e-8, abs=1e-9)
    assert made.mean_square == pytest.approx(integrated(lambda h: value(h) ** 2, mean, sd), rel=1e-8)
    assert made.slope_square == pytest.approx(integrated(lambda h: slope(h) ** 2, mean, sd), rel=1e-8)


def test_a_kink_elsewhere_costs_a_little_accuracy() -> None:
    inside = stats.norm.cdf(1) - stats.norm.cdf(-1)
    assert moments(nn.Hardtanh()).slope_square == pytest.approx(inside, abs=2e-2)
    square = inside - 2 * stats.norm.pdf(1) + 2 * stats.norm.cdf(-1)
    assert moments(nn.Hardtanh()).mean_square == pytest.approx(square, abs=1e-3)


def test_moments_of_a_number() -> None:
    made = moments(torch.square, mean=3.0, var=0.0)
    assert [round(v, 12) for v in made] == [9.0, 81.0, 36.0]


def test_activations_that_work_in_place_and_no_grad() -> None:
    with torch.no_grad():
        assert moments(nn.ReLU(inplace=True)) == moments(torch.relu)


@given(st.floats(-3, 3), st.floats(0.01, 9))
@settings(max_examples=30)
def test_moments_of_nothing_are_those_of_the_input(mean: float, var: float) -> None:
    made = moments(nn.Identity(), mean=mean, var=var)
    assert made.mean == pytest.approx(mean, abs=1e-11)
    assert made.var == pytest.approx(var, rel=1e-10, abs=1e-10)
    assert made.slope_square == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(("mean", "var"), [(0.0, -1.0), (math.nan, 1.0), (math.inf, 1.0), (0.0, math.inf)])
def test_moments_check_their_input(mean: float, var: float) -> None:
    with pytest.raises(ValueError, match="mean must be finite and var finite and not negative, got"):
        moments(torch.relu, mean=mean, var=var)


def test_var_is_what_is_left_of_the_mean_square() -> None:
    assert Moments(mean=2.0, mean_square=7.0, slope_square=1.0).var == 3.0


@pytest.mark.parametrize(
    ("activation", "name", "parameter"),
    [(nn.Identity(), "linear", None), (torch.relu, "relu", None), (nn.LeakyReLU(0.2), "leaky_relu", 0.2)],
)
def test_gains_where_torchs_are_right(activation: Callable[[Tensor], Tensor], name: Any, parameter: float) -> None:
    for backward in (False, True):
        expected = nn.init.calculate_gain(name, parameter)
        assert gain(activation, backward=backward) == pytest.approx(expected, rel=1e-13)


def test_gains_where_torchs_are_not() -> None:
    """5/3 for tanh keeps neither signal nor gradient, 3/4 for SELU does not either."""
    samples = normal(400_000).tanh()
    assert gain(torch.tanh) == pytest.approx(1 / samples.square().mean().sqrt().item(), rel=0.005)
    slopes = (1 - samples.square()).square().mean().sqrt()
    assert gain(torch.tanh, backward=True) == pytest.approx(1 / slopes.item(), rel=0.005)
    assert gain(torch.tanh) < 5 / 3 - 0.05 and gain(nn.SELU()) == pytest.approx(1, rel=1e-12)


def test_nothing_can_make_up_for_zero() -> None:
    with pytest.raises(ValueError, match=r"activation must let something through, got E = 0\.0"):
        gain(lambda h: 0 * h)
    with pytest.raises(ValueError, match=r"activation must let something through, got E = 0\.0"):
        gain(torch.zeros_like)
    assert moments(torch.ones_like) == pytest.approx((1.0, 1.0, 0.0))


# ---- initialize_


def test_all_layers_get_their_variance_and_no_bias() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 20, (3, 5)), nn.ReLU(), nn.Sequential(nn.Conv1d(40, 30, 3, bias=False)), nn.Linear(300, 50)
    )
    assert initialize_(model, torch.relu, generator=rng()) is model
    for weight, n in ((model[0].weight, 45), (model[2][0].weight, 120), (model[3].weight, 300)):
        assert n * weight.var().item() == pytest.approx(2, rel=0.1)
    assert not model[0].bias.any() and not model[3].bias.any()


def test_a_model_is_initialized_layer_by_layer() -> None:
    model = initialize_(chain(6, 5, 4), 1.5, mode="average", distribution="uniform", generator=rng(7))
    own = rng(7)
    for layer in (model[0], model[2]):
        expected = torch.empty_like(layer.weight)
        variance_scaling_(expected, mode="average", gain=1.5, distribution="uniform", generator=own)
        assert torch.equal(layer.weight, expected)


def test_an_activation_stands_for_its_gain() -> None:
    one, two = (initialize_(chain(6, 5), a, generator=rng(1)) for a in (torch.tanh, gain(torch.tanh)))
    assert torch.equal(one[0].weight, two[0].weight)


def test_other_layers_keep_what_they_have() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Embedding(5, 6))
    nn.init.constant_(model[1].bias, 7.0)
    embedding = model[2].weight.detach().clone()
    initialize_(model, torch.relu, generator=rng())
    assert (model[1].weight == 1).all() and (model[1].bias == 7).all() and torch.equal(model[2].weight, embedding)


def test_a_model_without_layers_is_refused() -> None:
    for call in (lambda m: initialize_(m, 1.0), lambda m: predicted_flow(m, torch.relu)):
        with pytest.raises(ValueError, match="model must have a linear layer or a convolution, got none"):
            call(nn.ReLU())


def test_bad_gains_of_a_model_are_refused() -> None:
    with pytest.raises(ValueError, match="gain must be positive"):
        initialize_(chain(3, 2), 0.0)


# ---- signal_flow


def test_flow_equals_the_pass_by_hand() -> None:
    model, x, wanted = initialize_(chain(4, 7, 5, 3), 1.3, generator=rng()), normal(6, 4), normal(6, 3, seed=1)
    first, second, third = (layer for layer in model if isinstance(layer, nn.Linear))
    h1 = first(x)
    h2 = second(h1.relu())
    h3 = third(h2.relu())
    g3 = 2 * (h3 - wanted)
    g2 = g3 @ third.weight * (h2 > 0)
    g1 = g2 @ second.weight * (h1 > 0)
    flow = signal_flow(model, x, lambda output: (output - wanted).square().sum())
    assert flow.names == ["0", "2", "4"]
    for i, (h, g, inputs) in enumerate(((h1, g1, x), (h2, g2, h1.relu()), (h3, g3, h2.relu()))):
        for part, value in {
            "mean": h.mean(),
            "mean_square": h.square().mean(),
            "var": h.var(correction=0),
            "gradient": g.square().mean(),
            "weight_gradient": (g.T @ inputs).square().mean(),
        }.items():
            torch.testing.assert_close(getattr(flow, part)[i], value.detach(), rtol=1e-12, atol=1e-15)
    assert not any(getattr(flow, part).requires_grad for part in flow._fields[1:])


def test_without_a_loss_there_is_no_gradient() -> None:
    flow = signal_flow(chain(3, 4, 2), normal(5, 3))
    assert flow.gradient.isnan().all() and flow.weight_gradient.isnan().all() and flow.mean.isfinite().all()


def test_activations_in_place_change_nothing() -> None:
    plain = initialize_(chain(4, 6, 5, 2), torch.relu, generator=rng())
    in_place = copy.deepcopy(plain)
    for layer in in_place:
        if isinstance(layer, nn.ReLU):
            layer.inplace = True
    flows = [signal_flow(model, normal(7, 4), lambda y: y.square().sum()) for model in (plain, in_place)]
    for one, other in zip(flows[0][1:], flows[1][1:], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_other_kinds_of_layers() -> None:
    model, x = chain(4, 6, 2, activation=nn.Tanh), normal(9, 4)
    flow = signal_flow(model, x, lambda y: y.sum(), kinds=(nn.Tanh,))
    after = model[0](x).tanh()
    assert flow.names == ["1"] and flow.weight_gradient.isnan().all()
    torch.testing.assert_close(flow.mean_square[0], after.square().mean().detach(), rtol=1e-13, atol=0)
    expected = model[2].weight.sum(0).square().mean().detach()
    torch.testing.assert_close(flow.gradient[0], expected, rtol=1e-12, atol=0)


def test_a_layer_that_runs_twice_stands_there_twice() -> None:
    layer = nn.Linear(3, 3).double()
    flow = signal_flow(nn.Sequential(layer, nn.Tanh(), layer), normal(4, 3), lambda y: y.sum())
    assert flow.names == ["0", "0"] and flow.gradient[1] == 1 and flow.gradient[0] != 1
    assert flow.weight_gradient[0] == flow.weight_gradient[1]


def test_frozen_layers_and_layers_that_do_not_run() -> None:
    model = chain(3, 4, 2)
    model[0].requires_grad_(False)
    flow = signal_flow(model, normal(5, 3), lambda y: y.sum())
    assert flow.gradient.isnan().tolist() == [True, False] == flow.weight_gradient.isnan().tolist()

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    assert signal_flow(Half(), torch.ones(4, 3), lambda y: y.sum()).names == ["used"]


def hooks(model: nn.Module) -> int:
    return sum(len(layer._forward_hooks) for layer in model.modules())


def test_the_hooks_are_gone_whatever_happens() -> None:
    model = chain(3, 4, 2)
    signal_flow(model, normal(5, 3), lambda y: y.sum())
    assert hooks(model) == 0

    def fails(y: Tensor) -> Tensor:
        raise ArithmeticError("no loss today")

    with pytest.raises(ArithmeticError):
        signal_flow(model, normal(5, 3), fails)
    with pytest.raises(RuntimeError):
        signal_flow(model, normal(5, 2))
    assert hooks(model) == 0


def test_flow_leaves_gradients_modes_and_inputs() -> None:
    model, x = chain(3, 4, 2).eval(), normal(5, 3)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    state = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        flow = signal_flow(model, x, lambda y: y.square().sum())
        assert not torch.is_grad_enabled()
    assert flow.gradient.isfinite().all() and not model.training and torch.equal(x, normal(5, 3))
    assert all((p.grad == 3).all() for p in model.parameters() if p.grad is not None)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_flow_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="kinds: no layer of the model that runs is one of Conv2d, Tanh"):
        signal_flow(chain(3, 2), normal(4, 3), kinds=(nn.Conv2d, nn.Tanh))
    with pytest.raises(ValueError, match="model must have a parameter that requires a gradient"):
        signal_flow(chain(3, 2).requires_grad_(False), normal(4, 3), lambda y: y.sum())


# ---- predicted_flow


def test_prediction_by_hand() -> None:
    """Widths 4, 6, 3, 5 with weights of given size and ReLU: a product of fans, squares and halves."""
    model = chain(4, 6, 3, 5)
    for layer, size in zip((model[0], model[2], model[4]), (1.0, 2.0, 0.5), strict=True):
        nn.init.constant_(layer.weight, size)
    flow = predicted_flow(model, torch.relu, mean_square=3.0, gradient=7.0)
    q1 = 4 * 1.0 * 3.0
    q2 = 6 * 4.0 * q1 / 2
    q3 = 3 * 0.25 * q2 / 2
    d2 = 5 * 0.25 * 7.0 / 2
    d1 = 3 * 4.0 * d2 / 2
    expected = torch.tensor([q1, q2, q3], dtype=torch.float64)
    torch.testing.assert_close(flow.mean_square, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(flow.gradient, expected.new_tensor([d1, d2, 7.0]), rtol=1e-12, atol=0)
    assert flow.names == ["0", "2", "4"] and not flow.mean.any() and flow.weight_gradient.isnan().all()


def test_prediction_follows_tanh_from_layer_to_layer() -> None:
    model = initialize_(chain(50, 50, 50, 50, activation=nn.Tanh), 1.2, generator=rng())
    squares = [layer.weight.square().mean().item() for layer in model if isinstance(layer, nn.Linear)]
    q, expected, slopes = 2.0, [], []
    for square in squares:
        expected.append(50 * square * q)
        made = moments(torch.tanh, var=expected[-1])
        q = made.mean_square
        slopes.append(made.slope_square)
    flow = predicted_flow(model, torch.tanh, mean_square=2.0)
    assert flow.mean_square.tolist() == pytest.approx(expected, rel=1e-12)
    assert flow.gradient[1].item() == pytest.approx(50 * squares[2] * slopes[1], rel=1e-12)
    assert flow.gradient[0].item() == pytest.approx(50 * squares[1] * slopes[0] * flow.gradient[1].item(), rel=1e-12)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.SELU])
def test_measured_as_predicted_in_wide_layers(activation: type[nn.Module]) -> None:
    ratios = []
    for seed in range(6):
        model = initialize_(chain(40, 300, 200, 400, 300, activation=activation), 1.2, generator=rng(seed))
        x, wanted = normal(64, 40, seed=seed + 50), normal(64, 300, seed=seed + 90)
        measured = signal_flow(model, x, lambda y, wanted=wanted: (y * wanted).sum())  # type: ignore[misc]
        hoped = predicted_flow(model, activation(), gradient=measured.gradient[-1].item())
        ratios.append(
            torch.stack([(getattr(measured, p) / getattr(hoped, p)).log() for p in ("mean_square", "gradient")])
        )
    assert torch.stack(ratios).mean(dim=0).abs().max().item() < 0.06


def test_an_input_of_a_grouped_convolution_feeds_only_its_group() -> None:
    layers = [nn.Conv2d(6, 24, 3, padding=1, padding_mode="circular"), nn.ReLU()]
    layers += [nn.Conv2d(24, 36, 3, groups=4, padding=1, padding_mode="circular")]
    model, x = initialize_(nn.Sequential(*layers).double(), torch.relu, generator=rng()), normal(8, 6, 12, 10)
    wanted = normal(8, 36, 12, 10, seed=1)
    measured = signal_flow(model, x, lambda y: (y * wanted).sum())
    hoped = predicted_flow(model, torch.relu, gradient=measured.gradient[-1].item())
    assert measured.mean_square.tolist() == pytest.approx(hoped.mean_square.tolist(), rel=0.15)
    assert measured.gradient.tolist() == pytest.approx(hoped.gradient.tolist(), rel=0.15)


def test_a_layer_that_returns_more_than_a_tensor_is_named() -> None:
    with pytest.raises(TypeError, match="layer 'rnn' must return one tensor, got tuple"):
        signal_flow(nn.Sequential(OrderedDict(rnn=nn.GRU(3, 2))), torch.ones(4, 3), kinds=(nn.GRU,))


def test_gains_do_not_care_about_the_mode_of_their_caller() -> None:
    expected = gain(torch.tanh, backward=True)
    with torch.inference_mode():
        assert gain(torch.tanh, backward=True) == expected


def test_a_convolution_is_predicted_with_its_kernel_and_stride() -> None:
    layers = [nn.Conv2d(3, 30, 3, padding=1, padding_mode="circular"), nn.ReLU()]
    layers += [nn.Conv2d(30, 40, 4, stride=2, padding=1, padding_mode="circular")]
    model, x = initialize_(nn.Sequential(*layers).double(), torch.relu, generator=rng()), normal(8, 3, 12, 12)
    wanted = normal(8, 40, 6, 6, seed=1)
    measured = signal_flow(model, x, lambda y: (y * wanted).sum())
    hoped = predicted_flow(model, torch.relu, gradient=measured.gradient[-1].item())
    assert measured.mean_square.tolist() == pytest.approx(hoped.mean_square.tolist(), rel=0.1)
    assert measured.gradient.tolist() == pytest.approx(hoped.gradient.tolist(), rel=0.1)


def test_variance_of_a_flow() -> None:
    flow = signal_flow(chain(3, 4, 2), normal(50, 3))
    torch.testing.assert_close(flow.var, flow.mean_square - flow.mean**2, rtol=0, atol=0)
    assert isinstance(flow, Flow)


# ---- self_normalizing


def test_self_normalizing_layers_and_weights() -> None:
    model = self_normalizing([70, 50, 60, 10], generator=rng(2))
    assert [type(layer).__name__ for layer in model] == ["Linear", "SELU", "Linear", "SELU", "Linear"]
    assert [tuple(p.shape) for p in model.parameters()] == [(50, 70), (50,), (60, 50), (60,), (10, 60), (10,)]
    own = rng(2)
    for layer in (model[0], model[2], model[4]):
        assert torch.equal(layer.weight, variance_scaling_(torch.empty_like(layer.weight), generator=own))
        assert not layer.bias.any()


def test_self_normalizing_with_dropout_after_each_selu() -> None:
    model = self_normalizing([4, 3, 2], p=0.25, dtype=torch.float64)
    assert [type(layer).__name__ for layer in model] == ["Linear", "SELU", "AlphaDropout", "Linear"]
    assert model[2].p.item() == 0.25 and model[0].weight.dtype == model[2].p.dtype == torch.float64
    assert model(normal(5, 4)).shape == (5, 2)


def test_self_normalizing_draws_from_its_generator_only(global_rng_untouched: None) -> None:
    one, two = (self_normalizing([5, 4, 3], generator=rng(1)) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("sizes", [[], [3], [3, 0], [0, 3]])
def test_self_normalizing_checks_its_sizes(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"sizes must hold two or more numbers, at least 1, got \["):
        self_normalizing(sizes)


def test_fifty_layers_keep_mean_and_variance() -> None:
    model = self_normalizing([200] * 51, generator=rng())
    flow = signal_flow(model, 2 * normal(100, 200, dtype=torch.get_default_dtype()), kinds=(nn.SELU,))
    assert flow.var[0].item() > 2.5
    assert flow.var[-20:].mean().item() == pytest.approx(1, abs=0.1)
    assert flow.mean[-20:].mean().item() == pytest.approx(0, abs=0.05)


# ---- alpha dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_kept_and_dropped_numbers_are_torchs(p: float) -> None:
    x = normal(2000)
    ours = alpha_dropout(x, p, generator=rng(1))
    torch.manual_seed(0)
    theirs = nn.functional.alpha_dropout(x, p, training=True)
    a = 1 / math.sqrt((1 - p) * (1 + p * FLOOR**2))
    lowest = a * FLOOR * (1 - p)
    for y in (ours, theirs):
        dropped = (y - lowest).abs() < 1e-6
        torch.testing.assert_close(y[~dropped], a * x[~dropped] - a * p * FLOOR, rtol=0, atol=1e-6)
        assert dropped.double().mean().item() == pytest.approx(p, abs=0.05)
    assert ((ours - lowest).abs() < 1e-12).double().mean().item() == pytest.approx(p, abs=0.05)


@given(st.floats(0, 0.95), st.integers(0, 50))
@settings(max_examples=20)
def test_mean_and_variance_stay(p: float, seed: int) -> None:
    x = normal(40_000, seed=seed)
    x = (x - x.mean()) / x.std(correction=0)
    y = alpha_dropout(x, p, generator=rng(seed + 1))
    assert y.mean().item() == pytest.approx(0, abs=0.05) and y.var().item() == pytest.approx(1, abs=0.06)


def test_the_mask_is_that_of_the_generator() -> None:
    x, p = normal(4, 5), 0.3
    keep = torch.rand(4, 5, generator=rng(9), dtype=torch.float64) >= p
    a = ((1 - p) * (1 + p * FLOOR**2)) ** -0.5
    expected = a * torch.where(keep, x, FLOOR) - a * p * FLOOR
    torch.testing.assert_close(alpha_dropout(x, p, generator=rng(9)), expected, rtol=1e-12, atol=1e-14)


def test_without_dropout_nothing_changes() -> None:
    assert torch.equal(alpha_dropout(normal(5), 0.0), normal(5))


def test_alpha_dropout_has_the_gradient_of_what_it_keeps() -> None:
    x = normal(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: alpha_dropout(x, 0.4, generator=rng(2)), x)


def test_rates_as_a_tensor() -> None:
    x = normal(2, 500)
    y = alpha_dropout(x, torch.tensor([[0.0], [0.6]]), generator=rng())
    torch.testing.assert_close(y[0], x[0], rtol=1e-12, atol=0)
    assert 0.5 < (y[1] == y[1].mode().values).double().mean().item() < 0.7


def test_models_that_train_at_once_draw_their_own() -> None:
    layer, streams = AlphaDropout(0.5), ModelStreams([3, 4, 3])
    with streams.at(step=0):
        y = torch.func.vmap(layer, randomness="different")(torch.ones(3, 50))
    assert torch.equal(y[0], y[2]) and not torch.equal(y[0], y[1])


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0, math.nan])
def test_rates_are_checked(p: float) -> None:
    for call in (lambda: alpha_dropout(normal(2), p), lambda: AlphaDropout(p)):
        with pytest.raises(ValueError, match=r"p must be in \[0, 1\), got"):
            call()


def test_the_module_drops_in_training_alone(global_rng_untouched: None) -> None:
    x, layer = normal(30), AlphaDropout(0.5, generator=rng(4))
    assert torch.equal(layer(x), alpha_dropout(x, 0.5, generator=rng(4)))
    assert torch.equal(layer.eval()(x), x) and repr(layer) == "AlphaDropout(p=0.5)"


def test_states_copies_and_pickles() -> None:
    model = self_normalizing([4, 3, 2], p=0.5, generator=rng())
    assert list(model.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    stored = io.BytesIO()
    torch.save(model.state_dict(), stored)
    stored.seek(0)
    loaded = self_normalizing([4, 3, 2], p=0.1)
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    x = normal(6, 4, dtype=torch.get_default_dtype())
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.eval()(x), model.eval()(x))


# ---- devices and inputs


def test_everything_stays_on_its_device(device: torch.device) -> None:
    weight = variance_scaling_(torch.empty(4, 3, device=device), generator=rng(1))
    assert weight.device.type == device.type
    torch.testing.assert_close(weight.cpu(), variance_scaling_(torch.empty(4, 3), generator=rng(1)), rtol=0, atol=0)
    ours = self_normalizing([3, 5, 2], p=0.2, generator=rng(), device=device).eval()
    there = self_normalizing([3, 5, 2], p=0.2, generator=rng()).eval()
    x = normal(6, 3, dtype=torch.get_default_dtype())
    flows = [signal_flow(m, x.to(m[0].weight.device), lambda y: y.square().sum()) for m in (ours, there)]
    flows += [predicted_flow(m, nn.SELU()) for m in (ours, there)]
    for one, other in ((flows[0], flows[1]), (flows[2], flows[3])):
        for a, b in zip(one[1:], other[1:], strict=True):
            assert a.device.type == device.type
            torch.testing.assert_close(a.cpu(), b, rtol=1e-5, atol=1e-6, equal_nan=True)
    dropped = alpha_dropout(x.to(device), 0.5, generator=rng(3))
    torch.testing.assert_close(dropped.cpu(), alpha_dropout(x, 0.5, generator=rng(3)), rtol=1e-6, atol=1e-6)


def test_inputs_are_left_alone() -> None:
    x = normal(5, 4)
    alpha_dropout(x, 0.5, generator=rng())
    predicted_flow(model := chain(4, 3, 2), torch.relu)
    before = copy.deepcopy(model.state_dict())
    signal_flow(model, x, lambda y: y.sum())
    assert torch.equal(x, normal(5, 4))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
