"""The stack of models: gradients, spare rows, loading back; and which models may share one."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import pretend_gpu
from tests.experiment.tasks import FEATURES, cnn, mlp, normed_mlp, stacked
from tricks_lib.experiment.stack import FEWEST, LANES, Stack, fingerprint, token
from tricks_lib.learning.dropout import Dropout
from tricks_lib.learning.losses import cross_entropy

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once


def batch(stack: Stack, samples: int = 5, shape: tuple[int, ...] = (FEATURES,)) -> tuple[Tensor, Tensor]:
    rng, rows = torch.Generator().manual_seed(6), stack.rows(samples)
    return torch.randn(rows, samples, *shape, generator=rng).double(), torch.randint(4, (rows, samples), generator=rng)


@pytest.mark.parametrize("by_model", [False, True])
@pytest.mark.parametrize("make_model", [mlp, normed_mlp, cnn])
def test_losses_and_gradients_of_each_model(make_model: Any, by_model: bool) -> None:
    stack, models = stacked(make_model, [1, 2, 3], batch=5)
    x, y = batch(stack, 5, (1, 7, 6) if make_model is cnn else (FEATURES,))
    shares = torch.linspace(0, 0.3, len(x), dtype=torch.float64)

    def by(model: Any, x: Tensor, y: Tensor, share: Tensor) -> Tensor:
        return cross_entropy(model(x), y, label_smoothing=share)

    def of(outputs: Tensor, y: Tensor, share: Tensor) -> Tensor:
        return cross_entropy(outputs, y, label_smoothing=share, reduction="none")

    losses = stack.losses(by if by_model else of, {"share": shares}, x, y, model=by_model)
    assert losses.shape == (3,) and not losses.requires_grad
    parts = stack.columns(stack.flat)
    assert [g.shape for g in stack.gradients] == [p.shape for p in parts]
    for k, model in enumerate(copy.deepcopy(models)):
        loss = cross_entropy(model(x[k]), y[k], label_smoothing=shares[k].item())
        torch.testing.assert_close(losses[k], loss.detach(), rtol=1e-12, atol=1e-12)
        for grad, p in zip(torch.autograd.grad(loss, list(model.parameters())), stack.gradients, strict=True):
            torch.testing.assert_close(p[k], (grad.mT if grad.ndim == 2 else grad).flatten(), rtol=1e-12, atol=1e-12)


def test_rows_are_the_models_and_changes_reach_the_outputs() -> None:
    stack, models = stacked(mlp, [1, 2])
    x, _ = batch(stack)
    before = stack.outputs(x)
    torch.testing.assert_close(before[1], models[1](x[1]), rtol=1e-12, atol=1e-12)
    other = torch.cat([stack.flat[:1] * 2, stack.flat[1:]])
    doubled = stack.outputs(x, other)
    stack.flat[0] *= 2
    assert torch.equal(stack.outputs(x)[:2], doubled[:2])
    assert torch.equal(doubled[1:], before[1:]) and not torch.equal(doubled[0], before[0])


def test_load_puts_a_row_back() -> None:
    stack, models = stacked(normed_mlp, [1, 2])
    x, y = batch(stack)
    stack.outputs(x)
    stack.losses(cross_entropy, {}, x, y)  # in train mode again: this moves the statistics of batch norm
    stack.flat[1] += 0.5
    out = stack.outputs(x)
    for flat, expected in [(None, out), (stack.flat * 3, stack.outputs(x, stack.flat * 3))]:
        loaded = stack.load(1, copy.deepcopy(models[0]), flat)
        assert not loaded.training and loaded[0].weight.shape == (9, FEATURES)  # type: ignore[index,union-attr]
        torch.testing.assert_close(loaded(x[1]), expected[1], rtol=1e-12, atol=1e-12)
    assert loaded[1].num_batches_tracked == 1  # type: ignore[index,union-attr]


def test_frozen_parameters_have_no_place_in_the_matrix() -> None:
    def make_model() -> nn.Module:
        model = mlp()
        model[0].requires_grad_(False)  # type: ignore[index,operator]
        return model

    stack, models = stacked(make_model, [1, 2])
    assert stack.flat.shape == (2, 9 * 4 + 4)
    x, y = batch(stack)
    stack.losses(cross_entropy, {}, x, y)
    torch.testing.assert_close(stack.outputs(x)[1], models[1](x[1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make_model", "rows"),
    [
        (mlp, {32: 3, 100: 3, 31: 4, 8: 6, 1: 34}),
        (normed_mlp, {32: 6, 8: 6, 4: 10}),  # vectors of 9 numbers are narrower than 32 samples
        (cnn, {32: 13, 8: 13, 2: 18}),  # a convolution of 3 channels, which lie next to each other in memory
        (lambda: nn.Sequential(nn.Conv2d(1, 16, 3), nn.Flatten(), nn.Linear(16 * 20, 4)), {32: FEWEST, 4: 10}),
        (lambda: nn.Sequential(nn.Linear(FEATURES, 4), Dropout(0.1)), {32: 3}),
        (lambda: nn.Sequential(nn.Linear(FEATURES, 4), nn.LayerNorm(4)), {32: 10}),
        (lambda: nn.Sequential(nn.Linear(FEATURES, 4), nn.PReLU()), {32: 3}),
    ],
)
def test_spare_rows_cover_where_vector_loops_end(make_model: Any, rows: dict[int, int]) -> None:
    stack, _ = stacked(make_model, [1, 2], batch=min(rows))
    assert {n: stack.rows(n) for n in rows} == rows and LANES == 32


def test_lives_on_its_device(device: torch.device) -> None:
    models = [normed_mlp() for _ in range(2)]
    stack = Stack(copy.deepcopy(models), batch=5, device=device)
    reference = Stack(models, batch=5, device="cpu")
    x, y = (t.to(torch.get_default_dtype()) if t.is_floating_point() else t for t in batch(reference))
    a, b = (s.losses(cross_entropy, {}, x.to(d), y.to(d)) for s, d in [(stack, device), (reference, "cpu")])
    assert a.device.type == stack.flat.device.type == device.type
    torch.testing.assert_close(a.cpu(), b, rtol=1e-5, atol=1e-6)
    loaded = stack.load(0, models[1])
    assert all(t.device.type == device.type for t in loaded.state_dict().values())


def test_what_cannot_be_trained_is_named() -> None:
    with pytest.raises(ValueError, match="a model needs parameters to train, all of one type, got none"):
        stacked(lambda: nn.Identity(), [1])
    mixed = nn.Sequential(nn.Linear(2, 2).float(), nn.Linear(2, 2).double())
    with pytest.raises(ValueError, match=r"all of one type, got torch.float32, torch.float64"):
        Stack([mixed], batch=5, device="cpu")
    idle = nn.Module()
    idle.a, idle.b = nn.Linear(FEATURES, 4), nn.Linear(2, 2)
    idle.forward = lambda x: idle.a(x)  # type: ignore[method-assign,operator]
    stack = Stack([idle.double()], batch=5, device="cpu")
    with pytest.raises(ValueError, match=r"the loss does not depend on b.weight, b.bias: freeze it"):
        stack.losses(cross_entropy, {}, *batch(stack))


class Scaled(nn.Module):
    def __init__(self, factor: Any, buffer: float = 1.0) -> None:
        super().__init__()
        self.factor, self.layer = factor, nn.Linear(3, 2)
        self.register_buffer("gain", torch.tensor(buffer))


def hook(module: nn.Module, args: Any, output: Any) -> None:
    pass


def hooked(function: Any) -> nn.Module:
    model = nn.Linear(3, 2)
    model.register_forward_hook(function)
    return model


def local() -> nn.Module:
    class Local(nn.Linear):
        pass

    return Local(3, 2)


def frozen() -> nn.Module:
    return nn.Linear(3, 2).requires_grad_(False)


def tied(same: bool) -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    if same:
        model[1].weight = model[0].weight
    return model


ACTIVATION = torch.tanh


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (lambda: nn.Linear(3, 2), lambda: nn.Linear(3, 2), True),
        (lambda: nn.Linear(3, 2), lambda: nn.Linear(2, 3), False),
        (lambda: nn.Linear(3, 2), lambda: nn.Linear(3, 2, bias=False), False),
        (lambda: nn.Linear(3, 2), lambda: nn.Linear(3, 2).half(), False),
        (lambda: nn.Linear(3, 2), frozen, False),
        (lambda: nn.Linear(3, 2), lambda: nn.Linear(3, 2).eval(), True),
        (lambda: nn.Sequential(nn.ReLU()), lambda: nn.Sequential(nn.Tanh()), False),
        (lambda: nn.Sequential(nn.ReLU()), lambda: nn.ModuleList([nn.ReLU()]), False),
        (lambda: nn.Conv2d(1, 2, 3, stride=1), lambda: nn.Conv2d(1, 2, 3, stride=2), False),
        (lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2), False),
        (lambda: nn.BatchNorm1d(3), lambda: nn.BatchNorm1d(3), True),
        (lambda: nn.BatchNorm1d(3), lambda: nn.BatchNorm1d(3, momentum=0.2), False),
        (lambda: nn.BatchNorm1d(3), lambda: nn.BatchNorm1d(3, track_running_stats=False), False),
        (lambda: Dropout(0.1), lambda: Dropout(0.9), True),  # a buffer may differ, an attribute may not
        (lambda: nn.Dropout(0.1), lambda: nn.Dropout(0.9), False),
        (lambda: Scaled(1), lambda: Scaled(1, buffer=2.0), True),
        (lambda: Scaled(1), lambda: Scaled(2), False),
        (lambda: Scaled(1), lambda: Scaled(1.0), False),
        (lambda: Scaled([1, {"a": (2,)}]), lambda: Scaled([1, {"a": (2,)}]), True),
        (lambda: Scaled([1, {"a": (2,)}]), lambda: Scaled([1, {"a": (3,)}]), False),
        (lambda: Scaled({1, 2}), lambda: Scaled({2, 1}), True),
        (lambda: Scaled(ACTIVATION), lambda: Scaled(ACTIVATION), True),
        (lambda: Scaled(lambda x: x), lambda: Scaled(lambda x: x), False),
        (lambda: Scaled(torch.ones(2)), lambda: Scaled(torch.ones(2)), False),
        (lambda: tied(True), lambda: tied(True), True),
        (lambda: tied(True), lambda: tied(False), False),
        (lambda: hooked(hook), lambda: nn.Linear(3, 2), False),
        (local, local, False),
        (
            lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)),
            lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)),
            True,
        ),
    ],
)
def test_models_share_a_stack_only_if_they_are_surely_alike(a: Any, b: Any, same: bool) -> None:
    first, second = a(), b()
    assert (fingerprint(first) == fingerprint(second)) == same
    assert fingerprint(first) == fingerprint(first)
    assert isinstance(hash(fingerprint(first)), int)


def test_tokens() -> None:
    partial = functools.partial(max, 1)
    assert token(partial) == token(partial) != token(functools.partial(max, 1))
    assert token(True) != token(1) != token(1.0) and token("1") != token(1)
    assert token((1, 2)) != token([1, 2]) and token({"a": 1}) != token({"a": 2})
    assert token(torch.float32) == token(torch.float32) != token(torch.float64)
