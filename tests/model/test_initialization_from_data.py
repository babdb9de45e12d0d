"""`tricks_lib.model.initialization_from_data`: biases of outputs and gates, hyperplanes of ReLU units, LSUV."""

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
from torch import Tensor, nn

from tests import pretend_gpu
from tricks_lib.model.initialization_from_data import (
    Activity,
    gate_bias_,
    lsuv_,
    output_bias_,
    place_hyperplanes_,
    relu_census,
    span_bias,
)
from tricks_lib.model.recurrent import LSTM, RNN

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def drawn(module: nn.Module, seed: int = 1, scale: float = 1.0) -> Any:
    """Fill all parameters with normal numbers."""
    for k, parameter in enumerate(module.parameters()):
        parameter.data.copy_(scale * normal(*parameter.shape, seed=seed + k, dtype=parameter.dtype))
    return module


# ---- output_bias_


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=7))
def test_softmax_of_the_bias_is_the_share_of_each_class(counts: list[int]) -> None:
    bias = output_bias_(torch.zeros(len(counts), dtype=torch.float64), torch.tensor(counts))
    expected = [count / sum(counts) for count in counts]
    torch.testing.assert_close(
        bias.exp().tolist(), expected, rtol=1e-12, atol=0
    )  # normalized, not only up to a constant


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=5))
def test_sigmoid_of_the_bias_is_the_frequency(p: list[float]) -> None:
    bias = output_bias_(torch.zeros(len(p), dtype=torch.float64), torch.tensor(p).double(), link="sigmoid")
    torch.testing.assert_close(
        bias.tolist(), [math.log(q / (1 - q)) for q in torch.tensor(p).tolist()], rtol=1e-9, atol=1e-12
    )


def test_the_first_loss_is_the_entropy() -> None:
    layer = nn.Linear(4, 3, dtype=torch.float64)
    layer.weight.data.zero_()
    y = torch.tensor([0] * 7 + [1] * 2 + [2])
    assert output_bias_(layer, torch.bincount(y)) is layer.bias
    entropy = -sum(q * math.log(q) for q in (0.7, 0.2, 0.1))
    loss = nn.functional.cross_entropy(layer(normal(10, 4)), y)
    assert loss.item() == pytest.approx(entropy, rel=1e-14)


def test_frequencies_of_half_precision_are_taken_in_single() -> None:
    bias = output_bias_(torch.zeros(2, dtype=torch.float16), torch.tensor([60000, 5000]))  # their sum is no float16
    torch.testing.assert_close(bias.float().exp().tolist(), [60 / 65, 5 / 65], rtol=2e-3, atol=0)


def test_output_bias_leaves_its_input_and_the_weights() -> None:
    layer, p = nn.Conv2d(2, 3, 1), torch.tensor([2.0, 5.0, 3.0])
    weight = layer.weight.detach().clone()
    output_bias_(layer, p)
    assert p.tolist() == [2, 5, 3] and torch.equal(layer.weight, weight) and layer.bias is not None
    assert layer.bias.requires_grad and layer.bias.grad_fn is None


@pytest.mark.parametrize(
    ("layer", "p", "link", "message"),
    [
        (nn.Linear(2, 3, bias=False), [1, 1, 1], "softmax", "layer must have a bias, got Linear without one"),
        (nn.ReLU(), [1], "softmax", "layer must have a bias, got ReLU without one"),
        (nn.Linear(2, 3), [1, 1], "softmax", r"p must have shape \(3,\) as the bias, got \(2,\)"),
        (nn.Linear(2, 2), [1, 0], "softmax", r"p must be above 0, got \[1, 0\]"),
        (nn.Linear(2, 2), [1.0, math.nan], "softmax", "p must be above 0, got"),
        (nn.Linear(2, 2), [1.0, math.inf], "softmax", "p must be above 0, got"),
        (nn.Linear(2, 1), [1.0], "sigmoid", r"p must be in \(0, 1\), got \[1.0\]"),
        (nn.Linear(2, 1), [0.0], "sigmoid", r"p must be in \(0, 1\), got \[0.0\]"),
        (nn.Linear(2, 1), [0.5], "probit", "link must be 'softmax' or 'sigmoid', got 'probit'"),
    ],
)
def test_output_bias_checks_its_arguments(layer: nn.Module, p: list[float], link: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        output_bias_(layer, torch.tensor(p), link=link)


# ---- span_bias


@given(st.floats(0.05, 1e6))
def test_the_gate_keeps_one_part_in_e_over_the_span(steps: float) -> None:
    gate = torch.tensor(span_bias(steps), dtype=torch.float64)
    assert steps * nn.functional.logsigmoid(gate).item() == pytest.approx(-1, rel=1e-9)


def test_spans_are_about_the_exponential_of_the_bias() -> None:
    assert span_bias(100) == pytest.approx(math.log(99.5), abs=1e-4)
    for steps in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"steps must be above 0, got {steps}"):
            span_bias(steps)
    for steps in (1e-3, math.inf):
        with pytest.raises(ValueError, match=f"steps must be a span that a finite bias gives, got {steps}"):
            span_bias(steps)


# ---- gate_bias_

LAYERS: list[Any] = [
    lambda: nn.LSTM(3, 5, num_layers=2, bidirectional=True),
    lambda: nn.LSTM(3, 5, proj_size=2),
    lambda: nn.LSTMCell(3, 5),
    lambda: LSTM(3, 5),
]


def biases(layer: nn.Module) -> Iterator[Tensor]:
    """The sum of the two biases of each layer and direction, as four rows: i, f, g, o."""
    named = dict(layer.named_parameters())
    for name, first in named.items():
        if name.startswith("bias_ih"):
            yield (first + named[name.replace("_ih", "_hh")]).detach().view(4, 5)


@pytest.mark.parametrize("make", LAYERS)
def test_each_gate_gets_its_bias_in_all_layers(make: Any) -> None:
    layer = drawn(make())
    before = [both.clone() for both in biases(layer)]
    weights = {name: value.detach().clone() for name, value in layer.named_parameters() if "weight" in name}
    assert gate_bias_(layer, forget=3.0, input=-2.0, output=0.5) is layer
    after = list(biases(layer))
    assert len(after) == (4 if getattr(layer, "num_layers", 1) == 2 else 1)
    for old, new in zip(before, after, strict=True):
        assert new[0].eq(-2).all() and new[1].eq(3).all() and new[3].eq(0.5).all()
        assert torch.equal(new[2], old[2])
    assert all(torch.equal(dict(layer.named_parameters())[name], value) for name, value in weights.items())


@pytest.mark.parametrize("gate", ["input", "forget", "cell", "output"])
def test_a_gate_that_is_not_named_stays(gate: str) -> None:
    layer = drawn(LSTM(3, 5))
    (before,) = biases(layer)
    given = torch.arange(5.0)
    gate_bias_(layer, **{gate: given})
    (after,) = biases(layer)
    changed = ["input", "forget", "cell", "output"].index(gate)
    for row in range(4):
        assert torch.equal(after[row], given if row == changed else before[row])


def test_the_forget_gate_is_the_one_that_keeps_the_cell() -> None:
    """Without inputs, the cell of torch shrinks by the forget gate, and shows what the output gate lets through."""
    cell = nn.LSTMCell(1, 2, dtype=torch.float64)
    for parameter in cell.parameters():
        parameter.data.zero_()
    gate_bias_(cell, forget=torch.tensor([3.0, -1.0]).double(), output=2.0)
    h, c = cell(torch.zeros(1, 1).double(), (torch.zeros(1, 2).double(), torch.ones(1, 2).double()))
    kept = torch.tensor([3.0, -1.0]).double().sigmoid()
    torch.testing.assert_close(c[0], kept, rtol=1e-12, atol=0)
    torch.testing.assert_close(h[0], torch.tensor(2.0).double().sigmoid() * kept.tanh(), rtol=1e-12, atol=0)


def test_an_open_gate_holds_its_span() -> None:
    layer = gate_bias_(LSTM(1, 3, dtype=torch.float64), forget=span_bias(7), input=0.0, cell=0.0)
    for name, parameter in layer.named_parameters():
        if "weight" in name:
            parameter.data.zero_()
    layer.weight_ih_l0.data[6:9] = 1.0  # the first input writes; the others are zero
    x = torch.zeros(1, 8, 1, dtype=torch.float64)
    x[0, 0] = 1.0
    first, last = layer(x[:, :1])[1][1], layer(x)[1][1]
    torch.testing.assert_close(last / first, torch.full((1, 3), math.exp(-1)).double(), rtol=1e-7, atol=0)


def test_gate_bias_checks_its_arguments() -> None:
    for layer in (nn.GRU(3, 5), RNN(3, 5), nn.Linear(3, 5)):
        with pytest.raises(TypeError, match=f"layer must be an LSTM .*, got {type(layer).__name__}"):
            gate_bias_(layer, forget=1.0)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="layer must have biases, got one with bias=False"):
        gate_bias_(nn.LSTM(3, 5, bias=False), forget=1.0)
    with pytest.raises(ValueError, match=r"a bias must be a number or have shape \(5,\), got \(3,\)"):
        gate_bias_(LSTM(3, 5), forget=torch.ones(3))
    for value in (math.nan, torch.tensor([1.0, math.inf, 1.0, 1.0, 1.0])):
        with pytest.raises(ValueError, match="a bias must be finite, got"):
            gate_bias_(LSTM(3, 5), forget=value)


def test_what_is_not_a_number_is_neither_on_nor_off() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    before, x = model[0].bias.detach().clone(), torch.tensor([[0.0, math.nan], [1.0, 2.0], [3.0, 1.0]])
    with pytest.raises(ValueError, match="neither on nor off"):
        relu_census(model, x)
    with pytest.raises(ValueError, match="must be finite"):
        place_hyperplanes_(model[0], x)
    assert torch.equal(model[0].bias, before) and not model[1]._forward_pre_hooks


def test_gates_survive_copies() -> None:
    layer = gate_bias_(LSTM(3, 5), forget=3.0)
    fresh = LSTM(3, 5)
    fresh.load_state_dict(layer.state_dict())
    for other in (fresh, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(next(biases(other)), next(biases(layer)))


# ---- relu_census


def two_layers() -> Any:
    return drawn(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 4), nn.LeakyReLU()))


def test_census_equals_counting() -> None:
    model, x = two_layers(), normal(11, 3, dtype=torch.get_default_dtype())
    found = relu_census(model, x)
    assert list(found) == ["1", "4"]
    first = model[0](x)
    second = model[3](first.relu())  # no dropout: it counts in eval mode
    for name, value in (("1", first), ("4", second)):
        expected = [sum(value[i, j].item() > 0 for i in range(11)) / 11 for j in range(value.shape[1])]
        torch.testing.assert_close(found[name].on.tolist(), expected)


def test_zero_is_off() -> None:
    assert relu_census(nn.Sequential(nn.ReLU()), torch.tensor([[0.0, -0.0], [0.0, 1.0]]))["0"].on.tolist() == [0, 0.5]


def test_channels_are_counted_over_samples_and_places() -> None:
    x = normal(3, 2, 4, 5)
    on = relu_census(nn.Sequential(nn.ReLU(inplace=True)), x.clone())["0"].on
    torch.testing.assert_close(on, (x > 0).double().mean((0, 2, 3)))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_shares_are_as_exact_as_the_samples_but_at_least_float32(dtype: torch.dtype, expected: torch.dtype) -> None:
    on = relu_census(nn.Sequential(nn.ReLU()), torch.tensor([[1], [0], [0]], dtype=dtype))["0"].on
    assert on.dtype == expected and on.item() == torch.tensor(1 / 3, dtype=expected).item()


@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=6))
def test_dead_and_linear_units(on: list[float]) -> None:
    activity = Activity(torch.tensor(on))
    assert activity.dead.tolist() == [share == 0 for share in on]
    assert activity.linear.tolist() == [share == 1 for share in on]


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Any:
        return self.relu(self.relu(x) - 1)


def test_a_module_that_is_called_twice_is_counted_twice() -> None:
    found = relu_census(Twice(), torch.tensor([[0.5], [3.0]]))
    assert {name: activity.on.tolist() for name, activity in found.items()} == {"relu": [1.0], "relu#2": [0.5]}


def states(model: nn.Module) -> list[tuple[bool, int, int]]:
    return [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]


def test_census_leaves_the_model_as_it_was() -> None:
    model, x = two_layers(), normal(5, 3, dtype=torch.get_default_dtype())
    model[2].eval()
    before, parameters = states(model), copy.deepcopy(model.state_dict())
    relu_census(model, x)
    with pytest.raises(RuntimeError):
        relu_census(model, x[:, :2])
    assert states(model) == before and torch.is_grad_enabled()
    assert all(torch.equal(value, parameters[name]) for name, value in model.state_dict().items())
    assert torch.equal(x, normal(5, 3, dtype=torch.get_default_dtype()))


def test_census_does_not_touch_running_statistics() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    relu_census(model, 5 + normal(7, 3, dtype=torch.get_default_dtype()))
    assert not model.state_dict()["0.running_mean"].any()


def test_census_checks_its_arguments() -> None:
    with pytest.raises(ValueError, match=r"model must call an nn.ReLU or nn.LeakyReLU module, and calls none"):
        relu_census(nn.Sequential(nn.Linear(3, 2), nn.Tanh()), normal(4, 3, dtype=torch.get_default_dtype()))
    with pytest.raises(ValueError, match="x must hold at least 1 sample, got 0"):
        relu_census(two_layers(), torch.zeros(0, 3))


# ---- place_hyperplanes_


@given(st.integers(2, 30), st.floats(0.02, 0.98), st.integers(0, 1000))
def test_each_unit_is_on_for_its_share(n: int, share: float, seed: int) -> None:
    layer, x = drawn(nn.Linear(3, 4, dtype=torch.float64), seed), 9 + normal(n, 3, seed=seed + 500)
    assert place_hyperplanes_(layer, x, share=share) is layer.bias
    expected = min(max(round(share * n), 1), n - 1)
    assert (layer(x) > 0).sum(0).tolist() == [expected] * 4


def test_hyperplanes_stand_in_the_middle_between_two_samples() -> None:
    layer = nn.Linear(1, 2, dtype=torch.float64)
    layer.weight.data.copy_(torch.tensor([[1.0], [-2.0]]))
    x = torch.tensor([[7.0], [5.0], [1.0], [4.0]]).double()
    place_hyperplanes_(layer, x, share=0.25)
    torch.testing.assert_close(layer.bias.tolist(), [-6.0, 5.0], rtol=1e-14, atol=0)  # 6, and -2 * 2.5


def test_the_bias_before_does_not_matter() -> None:
    x, results = normal(9, 3), []
    for bias in (0.0, 100.0):
        layer = drawn(nn.Linear(3, 4, dtype=torch.float64))
        layer.bias.data.fill_(bias)
        results.append(place_hyperplanes_(layer, x).detach().clone())
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)


def test_only_the_units_of_the_mask_are_moved() -> None:
    layer, x = drawn(nn.Linear(3, 4, dtype=torch.float64)), 5 + normal(10, 3)
    before, mask = layer.bias.detach().clone(), torch.tensor([False, True, False, True])
    whole = place_hyperplanes_(copy.deepcopy(layer), x)
    place_hyperplanes_(layer, x, units=mask)
    assert torch.equal(layer.bias[mask], whole[mask]) and torch.equal(layer.bias[~mask], before[~mask])


def test_dead_channels_of_a_convolution_come_back() -> None:
    layer, x = drawn(nn.Conv2d(2, 5, 3, dtype=torch.float64)), normal(4, 2, 6, 7)
    layer.bias.data.fill_(-1000.0)
    model = nn.Sequential(layer, nn.ReLU())
    assert relu_census(model, x)["1"].dead.all()
    place_hyperplanes_(layer, x, share=0.3)
    torch.testing.assert_close(relu_census(model, x)["1"].on, torch.full((5,), 24 / 80, dtype=torch.float64))


@pytest.mark.parametrize(
    ("layer", "options", "error", "message"),
    [
        (nn.ReLU(), {}, TypeError, "layer must be an nn.Linear or a convolution, got ReLU"),
        (nn.Linear(3, 4, bias=False), {}, ValueError, "layer must have a bias, got Linear without one"),
        (nn.Linear(3, 4), {"share": 0.0}, ValueError, r"share must be in \(0, 1\), got 0.0"),
        (nn.Linear(3, 4), {"share": 1.0}, ValueError, r"share must be in \(0, 1\), got 1.0"),
        (nn.Linear(3, 4), {"units": torch.ones(4).float()}, TypeError, "units must be bool, got torch.float32"),
        (nn.Linear(3, 4), {"units": torch.ones(3).bool()}, ValueError, r"units must have shape \(4,\), got \(3,\)"),
    ],
)
def test_placing_checks_its_arguments(layer: nn.Module, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        place_hyperplanes_(layer, normal(5, 3, dtype=torch.get_default_dtype()), **options)


def test_placing_needs_two_samples() -> None:
    with pytest.raises(ValueError, match="x must hold at least 2 samples, got 1"):
        place_hyperplanes_(nn.Linear(3, 4), torch.zeros(1, 3))


# ---- lsuv_


def deep(bias: bool = True) -> Any:
    layers: list[nn.Module] = [nn.Conv2d(2, 4, 3, bias=bias), nn.Tanh(), nn.Flatten()]
    layers += [nn.Linear(80, 7, bias=bias), nn.ReLU(), nn.Linear(7, 3, bias=bias)]
    return drawn(nn.Sequential(*layers).double(), scale=0.1)


def outputs(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    found = {}
    for name, layer in model.named_children():
        x = layer(x)
        if hasattr(layer, "weight"):
            found[name] = x.detach()
    return found


IMAGES = 3 + normal(20, 2, 6, 7)


@pytest.mark.parametrize("orthogonal", [False, True])
def test_every_layer_has_unit_variance(orthogonal: bool) -> None:
    model = deep()
    before = lsuv_(model, IMAGES, tol=1e-9, max_iter=50, orthogonal=orthogonal)
    after = outputs(model, IMAGES)
    assert list(before) == list(after) == ["0", "3", "5"]
    for value in after.values():
        assert value.var(correction=0).item() == pytest.approx(1, abs=1e-8)


def test_lsuv_equals_the_published_procedure() -> None:
    """One layer at a time, and a whole forward pass for each division."""
    model, other = deep(), deep()
    before = lsuv_(model, IMAGES, orthogonal=False, tol=0.001)
    for name, layer in other.named_children():
        if hasattr(layer, "weight"):
            assert outputs(other, IMAGES)[name].var(correction=0).item() == pytest.approx(before[name], rel=1e-12)
            for _ in range(10):
                variance = outputs(other, IMAGES)[name].var(correction=0)
                if abs(variance - 1) > 0.001:
                    layer.weight.data /= variance.sqrt()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_without_biases_once_is_enough() -> None:
    model = deep(bias=False)
    lsuv_(model, IMAGES, orthogonal=False, max_iter=1)
    for value in outputs(model, IMAGES).values():
        assert value.var(correction=0).item() == pytest.approx(1, abs=1e-12)


def test_a_layer_within_the_tolerance_stays() -> None:
    model = deep()
    lsuv_(model, IMAGES, tol=1e-6, max_iter=50)
    before = copy.deepcopy(model.state_dict())
    lsuv_(model, IMAGES, tol=0.01, orthogonal=False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_orthogonal_weights_come_from_the_generator() -> None:
    models: list[Any] = [deep(), deep(), deep()]
    state = torch.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        lsuv_(model, IMAGES, generator=torch.Generator().manual_seed(seed))
        weight = model[3].weight  # (7, 80): orthogonal rows of one length, and no bias
        square = weight @ weight.T
        torch.testing.assert_close(square, square[0, 0] * torch.eye(7, dtype=torch.float64), rtol=0, atol=1e-10)
        assert not model[3].bias.any()
    assert torch.equal(models[0][3].weight, models[1][3].weight)
    assert not torch.equal(models[0][3].weight, models[2][3].weight)
    assert torch.equal(state, torch.get_rng_state())


class Shared(nn.Module):
    """Calls one layer twice, and its own after it though it was made first."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.twice = nn.Linear(3, 2, bias=False), nn.Linear(3, 3, bias=False)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.twice(self.twice(x).tanh()))


def test_layers_are_scaled_in_the_order_of_their_calls_and_once() -> None:
    model, x = drawn(Shared().double()), normal(30, 3)
    assert list(lsuv_(model, x, orthogonal=False)) == ["twice", "last"]
    assert model.twice(x).var(correction=0).item() == pytest.approx(1, abs=1e-12)
    assert model(x).var(correction=0).item() == pytest.approx(1, abs=1e-12)


def test_lsuv_leaves_mode_hooks_and_gradients() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.Linear(4, 2))
    model[1].eval()
    before, x = states(model), normal(9, 3, dtype=torch.get_default_dtype())
    lsuv_(model, x)
    with pytest.raises(RuntimeError):
        lsuv_(model, x[:, :2])
    assert states(model) == before and torch.is_grad_enabled()
    assert torch.equal(x, normal(9, 3, dtype=torch.get_default_dtype()))
    assert all(p.requires_grad and p.grad is None and p.is_leaf for p in model.parameters())


def test_lsuv_checks_its_arguments() -> None:
    model: Any = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"the outputs of layer '0' have variance 0.0, which no scale makes 1"):
        lsuv_(model, torch.zeros(5, 3))
    model[0].bias.data.fill_(-99.0)
    with pytest.raises(ValueError, match=r"the outputs of layer '2' have variance 0.0"):
        lsuv_(model, normal(5, 3, dtype=torch.get_default_dtype()), orthogonal=False, max_iter=1)
    with pytest.raises(ValueError, match=r"tol must be above 0 and max_iter at least 1, got 0.0 and 10"):
        lsuv_(model, torch.ones(5, 3), tol=0.0)
    with pytest.raises(ValueError, match=r"tol must be above 0 and max_iter at least 1, got 0.01 and 0"):
        lsuv_(model, torch.ones(5, 3), max_iter=0)


# ---- devices and randomness


def test_everything_stays_on_its_device(device: torch.device) -> None:
    results = []
    for place in (torch.device("cpu"), device):
        x = normal(12, 3, dtype=torch.get_default_dtype()).to(place)
        model = drawn(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))).to(place)
        lstm = gate_bias_(drawn(LSTM(3, 2)).to(place), forget=torch.ones(2, device=place), input=-1.0)
        output_bias_(model[2], torch.tensor([3, 1], device=place))
        place_hyperplanes_(model[0], x, units=torch.tensor([True, True, False, True], device=place))
        variance = lsuv_(model, x, generator=torch.Generator().manual_seed(4))
        on = relu_census(model, x)["1"].on
        assert on.device.type == place.type
        results.append([on.cpu(), *(p.detach().cpu() for m in (model, lstm) for p in m.parameters()), variance["2"]])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_nothing_is_drawn() -> None:
    model, x, lstm = two_layers(), normal(9, 3, dtype=torch.get_default_dtype()), LSTM(3, 2)
    state = torch.get_rng_state()
    relu_census(model, x)
    place_hyperplanes_(model[0], x)
    lsuv_(model.eval(), x, orthogonal=False)
    output_bias_(model[3], torch.ones(4))
    gate_bias_(lstm, forget=span_bias(9))
    assert torch.equal(state, torch.get_rng_state())
