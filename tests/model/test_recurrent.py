"""The recurrent layers against torch's, with torch's own parameters."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from tests import pretend_gpu
from tricks_lib.model.recurrent import LSTM, RNN

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once

INPUTS, HIDDEN, SAMPLES, STEPS = 3, 5, 4, 7
KINDS: list[tuple[Any, Any, dict[str, Any]]] = [
    (RNN, nn.RNN, {}),
    (RNN, nn.RNN, {"nonlinearity": "relu"}),
    (LSTM, nn.LSTM, {}),
]
ALL = pytest.mark.parametrize(("ours", "theirs", "options"), KINDS)


def sequences(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(SAMPLES, STEPS, INPUTS, generator=torch.Generator().manual_seed(2), dtype=dtype)


@ALL
def test_equals_torch_in_value_and_gradient(ours: Any, theirs: Any, options: Any) -> None:
    mine = ours(INPUTS, HIDDEN, dtype=torch.float64, **options)
    other = theirs(INPUTS, HIDDEN, batch_first=True, dtype=torch.float64, **options)
    other.load_state_dict(mine.state_dict())
    results = []
    for layer in (mine, other):
        x = sequences().requires_grad_()
        outputs, last = layer(x)
        last = [t.view(SAMPLES, HIDDEN) for t in (last if isinstance(last, tuple) else (last,))]
        value = (outputs**2).sum() + sum((k + 2) * t.sum() for k, t in enumerate(last))
        results.append([outputs, *last, *torch.autograd.grad(value, [x, *layer.parameters()])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@ALL
def test_starts_as_torch_does(ours: Any, theirs: Any, options: Any) -> None:
    layers = []
    for kind in (ours, theirs):
        torch.manual_seed(8)
        layers.append(kind(INPUTS, HIDDEN, **options))
    for (name, a), (other, b) in zip(layers[0].named_parameters(), layers[1].named_parameters(), strict=True):
        assert name == other and torch.equal(a, b)


@ALL
def test_draws_from_a_generator(ours: Any, theirs: Any, options: Any) -> None:
    layer = ours(INPUTS, HIDDEN, **options)
    state, global_state = copy.deepcopy(layer.state_dict()), torch.get_rng_state()
    layer.reset_parameters(generator=torch.Generator().manual_seed(1))
    first = copy.deepcopy(layer.state_dict())
    layer.reset_parameters(generator=torch.Generator().manual_seed(1))
    assert torch.equal(global_state, torch.get_rng_state())
    for name, value in layer.state_dict().items():
        assert torch.equal(value, first[name]) and not torch.equal(value, state[name])
        assert value.abs().max() <= HIDDEN**-0.5


@ALL
def test_many_at_once(ours: Any, theirs: Any, options: Any) -> None:
    layers = [ours(INPUTS, HIDDEN, dtype=torch.float64, **options) for _ in range(3)]
    parameters, _ = stack_module_state(layers)
    outputs = vmap(lambda p, x: functional_call(layers[0], p, (x,))[0], in_dims=(0, None))(parameters, sequences())
    for k, layer in enumerate(layers):
        torch.testing.assert_close(outputs[k], layer(sequences())[0], rtol=1e-12, atol=1e-12)


@ALL
def test_runs_on_the_device_of_its_input(ours: Any, theirs: Any, options: Any, device: torch.device) -> None:
    layer = ours(INPUTS, HIDDEN, **options)
    expected = layer(sequences(torch.get_default_dtype()))[0]
    moved = copy.deepcopy(layer).to(device)
    out = moved(sequences(torch.get_default_dtype()).to(device))[0]
    assert out.device.type == device.type
    torch.testing.assert_close(out.detach().cpu(), expected.detach(), rtol=0, atol=0)


@ALL
def test_round_trips(ours: Any, theirs: Any, options: Any) -> None:
    layer, x = ours(INPUTS, HIDDEN, **options), sequences(torch.get_default_dtype())
    fresh = ours(INPUTS, HIDDEN, **options)
    fresh.load_state_dict(layer.state_dict())
    for other in (fresh, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x)[0], layer(x)[0])
    assert repr(layer) == f"{ours.__name__}(3, 5)"


@pytest.mark.parametrize("shape", [(4, 3), (4, 7, 2), (4, 0, 3), (1, 4, 7, 3)])
def test_bad_inputs_are_named(shape: tuple[int, ...]) -> None:
    for kind in (RNN, LSTM):
        with pytest.raises(ValueError, match=r"x must have shape \(N, T, 3\) with T >= 1, got \("):
            kind(INPUTS, HIDDEN)(torch.zeros(shape))


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu', got 'sine'"):
        RNN(3, 4, nonlinearity="sine")  # type: ignore[arg-type]
    assert RNN(1, 1)(torch.zeros(1, 1, 1))[0].shape == (1, 1, 1)
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        LSTM(3, 0)
    with pytest.raises(ValueError, match="input_size must be at least 1, got -1"):
        LSTM(-1, 3)
