"""`tricks_lib.model.batch_norm`: the layer against torch's, its gradient, recalibration, folding."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.model.batch_norm import (
    BatchNorm,
    batch_moments,
    fold,
    folded,
    input_gradient,
    normalized,
    normalized_chain,
    recalibrate,
)

SHAPES = [(7, 3), (5, 3, 4), (2, 3, 4, 5), (2, 3, 2, 4, 3)]
TORCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def same_state(a: nn.Module, b: nn.Module) -> None:
    ours, theirs = a.state_dict(), b.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        close(value, theirs[name])


def trained(norm: Any, features: int = 3, seed: int = 5) -> Any:
    """Give a normalization a state that is not the first one."""
    norm.double()
    with torch.no_grad():
        norm.running_mean.copy_(normal(features, seed=seed))
        norm.running_var.copy_(normal(features, seed=seed + 1).square() + 0.1)
        if norm.weight is not None:
            norm.weight.copy_(normal(features, seed=seed + 2))
            norm.bias.copy_(normal(features, seed=seed + 3))
    return norm


# ---- batch_moments, normalized


def test_moments_by_hand() -> None:
    x = torch.tensor([[1.0, 10.0, 0.0], [3.0, 10.0, -3.0]])
    mean, var = batch_moments(x)
    assert mean.tolist() == [2.0, 10.0, -1.5] and var.tolist() == [1.0, 0.0, 2.25]


@pytest.mark.parametrize("shape", SHAPES)
def test_moments_are_those_of_all_values_of_a_channel(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    mean, var = batch_moments(x)
    for c in range(3):
        values = x[:, c].flatten().tolist()
        center = sum(values) / len(values)
        assert mean[c].item() == pytest.approx(center, abs=1e-13)
        assert var[c].item() == pytest.approx(sum((v - center) ** 2 for v in values) / len(values), abs=1e-13)


@pytest.mark.parametrize("shape", [(4,), (1, 3), (0, 3), (1, 3, 1)])
def test_moments_need_two_values(shape: tuple[int, ...]) -> None:
    message = r"x must have shape \(N, C, \.\.\.\), with two values or more a channel, got \("
    with pytest.raises(ValueError, match=message):
        batch_moments(torch.ones(shape))


def test_two_values_are_enough() -> None:
    assert batch_moments(torch.ones(2, 3))[1].tolist() == [0, 0, 0]
    assert batch_moments(torch.ones(1, 3, 2))[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_normalized_is_torchs_function(shape: tuple[int, ...]) -> None:
    x, mean, var = normal(*shape), normal(3, seed=1), normal(3, seed=2).square()
    weight, bias = normal(3, seed=3), normal(3, seed=4)
    theirs = nn.functional.batch_norm
    close(normalized(x, mean, var), theirs(x, mean, var))
    close(normalized(x, mean, var, weight, bias, eps=0.3), theirs(x, mean, var, weight, bias, eps=0.3))
    close(normalized(x, mean, var, weight), theirs(x, mean, var, weight))
    close(normalized(x, mean, var, bias=bias), theirs(x, mean, var, bias=bias))


# ---- input_gradient


def test_gradient_by_hand() -> None:
    x, g = torch.tensor([[-2.0], [0.0], [2.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    hat = [-math.sqrt(1.5), 0, math.sqrt(1.5)]  # the variance is 8/3
    mean_of_products = -math.sqrt(1.5) / 3
    expected = [(a - 1 / 3 - b * mean_of_products) / math.sqrt(8 / 3) for a, b in zip((1, 0, 0), hat, strict=True)]
    assert input_gradient(x, g, eps=0.0).flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_gradient_is_that_of_autograd(shape: tuple[int, ...], eps: float) -> None:
    x, g = normal(*shape).requires_grad_(), normal(*shape, seed=1)
    y = normalized(x, *batch_moments(x), eps=eps)
    close(input_gradient(x, g, eps=eps), torch.autograd.grad(y, x, g)[0])


def test_the_epsilon_of_the_gradient_is_torchs() -> None:
    x, g = 1e-3 * normal(6, 3), normal(6, 3, seed=1)
    leaf = x.clone().requires_grad_()
    theirs = torch.autograd.grad(nn.BatchNorm1d(3, affine=False).double()(leaf), leaf, g)[0]
    close(input_gradient(x, g), theirs, atol=1e-9)


@given(st.integers(0, 1000))
def test_gradient_has_no_mean_and_no_slope(seed: int) -> None:
    x, g = normal(6, 4, seed=seed), normal(6, 4, seed=seed + 1)
    found = input_gradient(x, g, eps=0.0)
    close(found.sum(0), torch.zeros_like(found[0]), atol=1e-9)
    close((found * x).sum(0), torch.zeros_like(found[0]), atol=1e-9)


def test_shapes_of_a_gradient_are_checked() -> None:
    with pytest.raises(ValueError, match=r"gradient must have the shape of x, \(4, 3\), got \(3, 4\)"):
        input_gradient(torch.ones(4, 3), torch.ones(3, 4))


# ---- BatchNorm


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0, None])
@pytest.mark.parametrize("affine", [True, False])
def test_the_layer_is_torchs(shape: tuple[int, ...], momentum: float | None, affine: bool) -> None:
    ours = trained(BatchNorm(3, momentum=momentum, affine=affine, eps=0.01))
    theirs = TORCH[len(shape)](3, momentum=momentum, affine=affine, eps=0.01).double()
    theirs.load_state_dict(ours.state_dict())
    for seed in range(4):
        x = normal(*shape, seed=seed).requires_grad_()
        outputs = [norm(x) for norm in (ours, theirs)]
        grads = [
            torch.autograd.grad(y.cos().sum(), [x, *n.parameters()])
            for y, n in zip(outputs, (ours, theirs), strict=True)
        ]
        close(outputs[0], outputs[1])
        for a, b in zip(*grads, strict=True):
            close(a, b, atol=1e-11)
        same_state(ours, theirs)
    x = normal(*shape, seed=9)
    close(ours.eval()(x), theirs.eval()(x))
    same_state(ours, theirs)
    assert int(ours.num_batches_tracked) == 4


def test_defaults_are_torchs() -> None:
    ours, theirs = BatchNorm(3), nn.BatchNorm1d(3)
    x = 1e-2 * normal(5, 3, dtype=torch.get_default_dtype())
    close(ours(x), theirs(x), atol=1e-5)
    assert (ours.eps, ours.momentum) == (theirs.eps, theirs.momentum)
    for (name, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert name == other and a.dtype == b.dtype
        torch.testing.assert_close(a, b)


def test_running_moments_by_hand() -> None:
    norm = BatchNorm(1, momentum=0.25)
    norm(torch.tensor([[1.0], [3.0]]))
    assert norm.running_mean.item() == 0.5  # a quarter of 2
    assert norm.running_var.item() == 0.75 + 0.25 * 2  # the variance of two values is 1, unbiased 2
    cumulative = BatchNorm(1, momentum=None)
    for batch in ([[1.0], [3.0]], [[5.0], [5.0]], [[0.0], [6.0]]):
        cumulative(torch.tensor(batch))
    assert cumulative.running_mean.item() == pytest.approx(10 / 3)
    assert cumulative.running_var.item() == pytest.approx(20 / 3)
    assert cumulative.num_batches_tracked.item() == 3


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-100, 100))
def test_scale_and_shift_of_the_inputs_do_not_matter(seed: int, scale: float, shift: float) -> None:
    x, norm = normal(6, 4, seed=seed), BatchNorm(4, eps=0.0, dtype=torch.float64)
    close(norm(scale * x + shift), norm(x), atol=1e-9)


@given(st.integers(0, 1000))
def test_outputs_have_mean_zero_and_variance_one(seed: int) -> None:
    y = BatchNorm(4, eps=0.0, affine=False, dtype=torch.float64)(normal(3, 4, 5, seed=seed))
    mean, var = batch_moments(y)
    close(mean, torch.zeros_like(mean))
    close(var, torch.ones_like(var))


def test_the_layer_has_a_right_gradient() -> None:
    norm, x = trained(BatchNorm(3)), normal(4, 3).requires_grad_()

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))

    for mode in (True, False):
        norm.train(mode)
        leaves = [p.detach().clone().requires_grad_() for p in (norm.weight, norm.bias)]
        assert torch.autograd.gradcheck(run, (x, *leaves))
    assert norm.running_mean.grad_fn is None and norm.running_var.grad_fn is None


def test_the_layer_goes_where_it_is_sent(device: torch.device) -> None:
    norm = BatchNorm(3, device=device, dtype=torch.float32)
    kinds = {(t.device.type, t.dtype) for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)}  # type: ignore[union-attr]
    assert kinds == {(device.type, torch.float32)}
    assert norm.num_batches_tracked.device.type == device.type and norm.num_batches_tracked.dtype == torch.int64
    x = normal(5, 3, dtype=torch.float32)
    expected = BatchNorm(3, dtype=torch.float32)
    torch.testing.assert_close(norm(x.to(device)).detach().cpu(), expected(x).detach())
    torch.testing.assert_close(norm.running_var.cpu(), expected.running_var)
    cumulative = BatchNorm(3, momentum=None, device=device, dtype=torch.float32)
    cumulative(x.to(device))
    torch.testing.assert_close(cumulative.running_mean.cpu(), x.mean(0))


def test_the_layer_can_be_copied_and_saved(global_rng_untouched: None) -> None:
    norm, x = trained(BatchNorm(3, momentum=0.4)), normal(4, 3)
    other = BatchNorm(3, momentum=0.4, dtype=torch.float64)
    other.load_state_dict(norm.state_dict())
    for same in (other, copy.deepcopy(norm), pickle.loads(pickle.dumps(norm))):
        assert torch.equal(same.eval()(x), norm.eval()(x))
        fresh = copy.deepcopy(norm).train()
        assert torch.equal(same.train()(x), fresh(x)) and torch.equal(same.running_mean, fresh.running_mean)


def test_inputs_stay_and_evaluation_moves_nothing() -> None:
    norm, x = trained(BatchNorm(3)).eval(), normal(4, 3)
    before, kept = copy.deepcopy(norm.state_dict()), x.clone()
    norm(x)
    norm(x[:1])  # a single sample has no variance, and needs none
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())
    norm.train()(x)
    assert torch.equal(x, kept)


def test_the_layer_says_what_it_is() -> None:
    assert repr(BatchNorm(3, momentum=None, affine=False)) == "BatchNorm(3, eps=1e-05, momentum=None, affine=False)"
    assert repr(BatchNorm(2, eps=0.0)) == "BatchNorm(2, eps=0.0, momentum=0.1, affine=True)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 0}, "features must be a whole number, at least 1, got 0"),
        ({"eps": -1e-9}, "eps must be 0 or more, got -1e-09"),
        ({"eps": math.nan}, "eps must be 0 or more, got nan"),
        ({"momentum": 0.0}, "momentum must be above 0 and at most 1, or None, got 0.0"),
        ({"momentum": 1.1}, "momentum must be above 0 and at most 1, or None, got 1.1"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchNorm(**{"features": 3} | options)
    assert BatchNorm(1, eps=0, momentum=1).features == 1


@pytest.mark.parametrize("shape", [(5, 2), (3,), (5, 4, 3)])
def test_inputs_are_checked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3, \.\.\.\), got \("):
        BatchNorm(3)(torch.ones(shape))


def test_many_models_at_once() -> None:
    norms, x = [trained(BatchNorm(3), seed=k) for k in range(4)], normal(4, 5, 3)
    tensors = {n: torch.stack([m.state_dict()[n].clone() for m in norms]) for n in norms[0].state_dict()}
    together = torch.func.vmap(lambda own, x: torch.func.functional_call(norms[0], own, (x,)))(tensors, x)
    for k, norm in enumerate(norms):
        close(together[k], norm(x[k]))
        close(tensors["running_var"][k], norm.running_var)


def like_torch(x: Tensor, autocast: torch.dtype | None = None, **options: Any) -> None:
    """Compare layers of float32, or of the input's dtype, with torch's: a step of training, and evaluation."""
    for dtype in (torch.float32, x.dtype):
        ours, theirs = BatchNorm(3, dtype=dtype, **options), nn.BatchNorm1d(3, dtype=dtype, **options)
        close_by: dict[str, float] = {"rtol": 2 * torch.finfo(x.dtype).eps, "atol": 2 * torch.finfo(x.dtype).eps}
        leaves = [x.clone().requires_grad_() for _ in range(2)]
        for mode in (True, True, False):
            with torch.autocast("cpu", autocast, enabled=autocast is not None):
                outputs = [norm.train(mode)(leaf) for norm, leaf in zip((ours, theirs), leaves, strict=True)]
            grads = [torch.autograd.grad(y, leaf, x)[0] for y, leaf in zip(outputs, leaves, strict=True)]
            assert outputs[0].dtype == x.dtype and outputs[0].isfinite().all() and outputs[0].std() > 0.1
            torch.testing.assert_close(*outputs, **close_by)
            close_by["atol"] *= 10
            torch.testing.assert_close(*grads, **close_by)
        states = [[norm.running_mean, norm.running_var] for norm in (ours, theirs)]
        for mine, other in zip(*states, strict=True):
            precise = torch.finfo(dtype).eps
            torch.testing.assert_close(mine, other, rtol=8 * precise, atol=8 * precise)
        assert ours.running_var.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_half_precision_is_that_of_torch(dtype: torch.dtype, momentum: float | None) -> None:
    x = normal(64, 3)
    like_torch((2 * x + 1).to(dtype), momentum=momentum)
    like_torch((60 * x).to(dtype), autocast=dtype, momentum=momentum)


def test_half_precision_neither_overflows_nor_vanishes() -> None:
    x = normal(64, 3)
    large, small = (300 * x).half(), (1e-4 * x).half()
    ours, theirs = BatchNorm(3, dtype=torch.float32), nn.BatchNorm1d(3, dtype=torch.float32)
    torch.testing.assert_close(ours(large), theirs(large))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert 8e3 < ours.running_var.mean() < 1e4
    sharp, other = (kind(3, eps=1e-12, dtype=torch.float32) for kind in (BatchNorm, nn.BatchNorm1d))
    torch.testing.assert_close(sharp(small), other(small), rtol=0, atol=4e-3)
    half = BatchNorm(3, eps=1e-12, dtype=torch.float16).eval()
    half.running_var.fill_(0)
    assert half(small).isfinite().all()


def test_the_gradient_in_half_precision_is_that_of_torch() -> None:
    x, g = (300 * normal(64, 3)).half(), (1e3 * normal(64, 3, seed=1)).half()
    leaf = x.clone().requires_grad_()
    theirs = torch.autograd.grad(nn.BatchNorm1d(3, affine=False, dtype=torch.float32)(leaf), leaf, g)[0]
    found = input_gradient(x, g)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found, theirs, rtol=2e-3, atol=1e-3)


def test_plain_averages_of_half_precision_are_those_of_torch() -> None:
    ours, theirs = (kind(1, momentum=None, dtype=torch.float32) for kind in (BatchNorm, nn.BatchNorm1d))
    narrow = BatchNorm(1, momentum=None, dtype=torch.bfloat16)
    for k in range(300):  # a share of 1/257 is none of bfloat16's numbers
        x = (normal(16, 1, seed=k) + 4).bfloat16()
        for norm in (ours, theirs, narrow):
            norm(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(narrow.running_mean.float(), theirs.running_mean, rtol=0, atol=2**-6)  # torch's: 0.09


def test_a_state_without_a_count_of_batches_loads_as_in_torch() -> None:
    for norm in (BatchNorm(3), nn.BatchNorm1d(3)):
        norm.num_batches_tracked.fill_(7)  # type: ignore[operator, union-attr]
        old = {name: value + 1 for name, value in norm.state_dict().items() if name != "num_batches_tracked"}
        model = nn.Sequential(norm)
        model.load_state_dict({f"0.{name}": value for name, value in old.items()})
        assert norm.num_batches_tracked == 7 and norm.running_var.tolist() == [2] * 3  # type: ignore[operator, union-attr]
        assert len(old) == 4, "the caller's state is not changed"
        recent = norm.state_dict()
        del recent["num_batches_tracked"]
        with pytest.raises(RuntimeError, match=r"Missing key.*num_batches_tracked"):
            norm.load_state_dict(recent)


def test_the_number_of_features_is_a_whole_one() -> None:
    for bad in ("3", 3.0, None):
        with pytest.raises(ValueError, match=f"features must be a whole number, at least 1, got {bad!r}"):
            BatchNorm(bad)  # type: ignore[arg-type]


# ---- normalized_chain


def test_a_chain_has_the_layers_it_says() -> None:
    def kinds(**options: Any) -> list[str]:
        return [type(layer).__name__ for layer in normalized_chain([4, 5, 6, 3], nn.Tanh, **options)]

    assert kinds(place="none") == ["Flatten", "Linear", "Tanh", "Linear", "Tanh", "Linear"]
    assert kinds() == kinds(place="before")
    assert kinds()[1:5] == ["Linear", "BatchNorm", "Tanh", "Linear"]
    assert kinds(place="after")[1:5] == ["Linear", "Tanh", "BatchNorm", "Linear"]
    model = normalized_chain([4, 5, 6, 3], place="after")
    assert [layer.features for layer in model if isinstance(layer, BatchNorm)] == [5, 6]
    assert isinstance(model[2], nn.ReLU) and model(torch.zeros(7, 1, 2, 2)).shape == (7, 3)
    assert [tuple(layer.weight.shape) for layer in model if isinstance(layer, nn.Linear)] == [(5, 4), (6, 5), (3, 6)]
    assert [type(layer) for layer in normalized_chain([4, 3])] == [nn.Flatten, nn.Linear]


def test_a_chain_starts_as_torch_has_it() -> None:
    torch.manual_seed(3)
    ours = normalized_chain([4, 5, 3])
    torch.manual_seed(3)
    theirs = [p for layer in (nn.Linear(4, 5), nn.Linear(5, 3)) for p in layer.parameters()]
    linear = [p for layer in ours if isinstance(layer, nn.Linear) for p in layer.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(linear, theirs, strict=True))


def test_a_chain_goes_where_it_is_sent(device: torch.device) -> None:
    for place in ("before", "after"):
        model = normalized_chain([4, 5, 3], place=place, device=device, dtype=torch.float32)
        assert {(p.device.type, p.dtype) for p in model.parameters()} == {(device.type, torch.float32)}
        assert {b.device.type for b in model.buffers()} == {device.type}
    assert {p.dtype for p in normalized_chain([4, 5, 3], dtype=torch.float64).parameters()} == {torch.float64}


@pytest.mark.parametrize("sizes", [[4], [], [4, 0, 3]])
def test_sizes_of_a_chain_are_checked(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"sizes must hold two or more numbers, at least 1, got \["):
        normalized_chain(sizes)
    assert len(normalized_chain([1, 1, 1])) == 5
    with pytest.raises(ValueError, match="place must be before, after or none, got 'behind'"):
        normalized_chain([4, 3], place="behind")


# ---- recalibrate


def chain(norm: Callable[[int], nn.Module] = BatchNorm) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(4, 5), norm(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3), norm(3)).double()
    for k, p in enumerate(model.parameters()):
        p.data.copy_(normal(*p.shape, seed=k))
    return model


@pytest.mark.parametrize("norm", [BatchNorm, nn.BatchNorm1d])
def test_one_batch_gives_its_own_moments(norm: Callable[[int], nn.Module], global_rng_untouched: None) -> None:
    model, x = chain(norm), normal(9, 4)
    assert recalibrate(model, x) is model
    first = nn.functional.linear(x, model[0].weight, model[0].bias)
    close(model[1].running_mean, first.mean(0))
    close(model[1].running_var, first.var(0))
    hidden = normalized(first, *batch_moments(first), model[1].weight, model[1].bias).relu()
    second = nn.functional.linear(hidden, model[4].weight, model[4].bias)
    close(model[5].running_mean, second.mean(0))
    close(model[5].running_var, second.var(0))
    assert model[1].num_batches_tracked == 1


def test_one_batch_is_that_of_torch() -> None:
    ours, theirs = chain(nn.BatchNorm1d), chain(nn.BatchNorm1d)
    theirs[3] = ours[3] = nn.Identity()
    x = normal(9, 4)
    recalibrate(ours, x)
    update_bn([x], theirs)
    same_state(ours, theirs)


def test_batches_are_taken_together() -> None:
    x = normal(9, 4)
    model, whole = chain(), chain()
    recalibrate(model, [x[:2], x[2:6], x[6:]])
    recalibrate(whole, x)
    close(model[1].running_mean, whole[1].running_mean)  # its inputs do not depend on the batch
    close(model[1].running_var, whole[1].running_var)
    assert not torch.allclose(model[5].running_mean, whole[5].running_mean)
    assert model[1].num_batches_tracked == model[5].num_batches_tracked == 3


def test_what_torch_leaves_out_is_between_batches() -> None:
    x = normal(8, 4)
    ours, theirs = (nn.Sequential(nn.BatchNorm1d(4)).double() for _ in range(2))
    recalibrate(ours, x.split(4))
    update_bn(list(x.split(4)), theirs)
    close(ours[0].running_mean, theirs[0].running_mean)
    between = torch.stack([part.mean(0) for part in x.split(4)]).var(0, correction=0)
    close(ours[0].running_var, (6 * theirs[0].running_var + 8 * between) / 7)


def test_recalibrating_images_from_a_loader(device: torch.device) -> None:
    x = normal(6, 3, 2, 4, dtype=torch.float32)
    model = nn.Sequential(BatchNorm(3, dtype=torch.float32)).to(device)
    loader = DataLoader(TensorDataset(x, torch.arange(6)), batch_size=4)
    recalibrate(model, loader)
    torch.testing.assert_close(model[0].running_mean.cpu(), x.mean((0, 2, 3)))
    torch.testing.assert_close(model[0].running_var.cpu(), x.transpose(0, 1).flatten(1).var(1))


def test_recalibration_changes_running_moments_alone() -> None:
    model, x = chain(), normal(9, 4)
    model.eval()
    model[3].train()
    model[5].train()
    model[1].momentum = 0.3
    modes, kept = [m.training for m in model.modules()], x.clone()
    parameters = [p.clone() for p in model.parameters()]
    recalibrate(model, x)
    assert [m.training for m in model.modules()] == modes
    assert model[1].momentum == 0.3 and torch.equal(x, kept)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(parameters, model.parameters(), strict=True))
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert not model[1].running_mean.requires_grad


def test_a_failed_recalibration_leaves_everything_as_it_was() -> None:
    model = chain()
    before = copy.deepcopy(model.state_dict())
    for bad, error in [([normal(4, 4), normal(4, 3)], RuntimeError), ([normal(4, 4), normal(4, 4) / 0], ValueError)]:
        with pytest.raises(error):
            recalibrate(model, bad)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert model.training and not any(m._forward_pre_hooks for m in model.modules())


def test_layers_that_do_not_run_or_do_not_track_stay() -> None:
    model = nn.Sequential(BatchNorm(4), nn.BatchNorm1d(4, track_running_stats=False)).double()
    model[0].spare = BatchNorm(4).double()
    recalibrate(model, normal(5, 4))
    assert model[0].spare.num_batches_tracked == 0 and model[0].spare.running_var.tolist() == [1] * 4  # type: ignore[union-attr]
    assert model[1].running_mean is None and model[0].num_batches_tracked == 1


def test_a_layer_that_runs_twice_sees_both() -> None:
    norm, x = BatchNorm(2, dtype=torch.float64), 3 * normal(5, 2) + 1
    recalibrate(nn.Sequential(norm, norm), x)
    assert norm.num_batches_tracked == 2
    both = torch.cat([x, normalized(x, *batch_moments(x))])
    close(norm.running_mean, both.mean(0))
    close(norm.running_var, both.var(0))


def unchanged_by(model: nn.Module, batches: Any, message: str) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        recalibrate(model, batches)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("norm", [BatchNorm, nn.BatchNorm1d])
def test_a_batch_of_one_has_no_variance(norm: Callable[[int], nn.Module]) -> None:
    message = r"batches must give two values or more a channel each.*\(1, 5\).*drop_last=True"
    unchanged_by(chain(norm), normal(65, 4).split(64), message)
    recalibrate(BatchNorm(3, dtype=torch.float64), normal(1, 3, 2))  # of one sample, but of two places


def test_moments_that_overflow_are_not_written() -> None:
    first, second = BatchNorm(2, dtype=torch.float64), BatchNorm(2, dtype=torch.float32)

    class Late(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 3e19 * x.float().sign()

    model = nn.Sequential(first, Late(), second)
    unchanged_by(model, normal(8, 2), "batches must give moments that are finite in torch.float32, and do not")
    unchanged_by(model, normal(8, 2) / 0, "inputs of a batch normalization must hold finite numbers")


def test_what_recalibrate_needs() -> None:
    with pytest.raises(ValueError, match="model must have a batch normalization with running moments, and has none"):
        recalibrate(nn.Linear(2, 3), torch.ones(3, 2))
    for nothing in ([], [torch.ones(0, 3)]):
        with pytest.raises(ValueError, match="batches must hold samples that reach a batch normalization, and none"):
            recalibrate(BatchNorm(3), nothing)
    with pytest.raises(TypeError, match="a batch of x must be a tensor, got str"):
        recalibrate(BatchNorm(3), ["x"])


# ---- folded, fold


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ours", [True, False])
def test_a_folded_linear_layer_is_torchs(bias: bool, ours: bool) -> None:
    layer = nn.Linear(4, 3, bias=bias, dtype=torch.float64)
    theirs = trained(nn.BatchNorm1d(3, eps=0.1)).eval()
    norm = trained(BatchNorm(3, eps=0.1)).eval() if ours else theirs
    made, expected = folded(layer, norm), fuse_linear_bn_eval(layer.eval(), theirs)
    close(made.weight, expected.weight)
    close(made.bias, expected.bias)
    x = normal(5, 4)
    close(made(x), norm(layer(x)))
    assert type(made) is nn.Linear and made is not layer and made.weight.requires_grad


@pytest.mark.parametrize("bias", [True, False])
def test_a_folded_convolution_is_torchs(bias: bool) -> None:
    layer = nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2, bias=bias, dtype=torch.float64)
    theirs, norm = trained(nn.BatchNorm2d(6), 6).eval(), trained(BatchNorm(6), 6).eval()
    made, expected = folded(layer, norm), fuse_conv_bn_eval(layer.eval(), theirs)
    close(made.weight, expected.weight)
    close(made.bias, expected.bias)
    x = normal(2, 4, 7, 8)
    close(made(x), norm(layer(x)))


@pytest.mark.parametrize("dims", [1, 3])
def test_other_convolutions_fold_without_scale_and_shift(dims: int) -> None:
    layer = {1: nn.Conv1d, 3: nn.Conv3d}[dims](2, 3, 2, dtype=torch.float64)
    norm = trained(BatchNorm(3, affine=False)).eval()
    x = normal(4, 2, *[5] * dims)
    close(folded(layer, norm)(x), norm(layer(x)))


def test_folding_leaves_its_arguments_and_frozen_weights() -> None:
    layer, norm = nn.Linear(4, 3, dtype=torch.float64).requires_grad_(False), trained(BatchNorm(3)).eval()
    before = [copy.deepcopy(m.state_dict()) for m in (layer, norm)]
    made = folded(layer, norm)
    for module, state in zip((layer, norm), before, strict=True):
        assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
    assert not made.weight.requires_grad and not made.bias.requires_grad
    assert made.weight.is_leaf and folded(nn.Linear(4, 3, dtype=torch.float64), norm).bias.requires_grad


def test_what_can_be_folded() -> None:
    norm = BatchNorm(3).eval()
    with pytest.raises(TypeError, match=r"layer must be an nn.Linear or a convolution, got ReLU"):
        folded(nn.ReLU(), norm)
    with pytest.raises(TypeError, match=r"layer must be an nn.Linear or a convolution, got ConvTranspose2d"):
        folded(nn.ConvTranspose2d(2, 3, 2), norm)
    with pytest.raises(TypeError, match="norm must be a batch normalization, got LayerNorm"):
        folded(nn.Linear(2, 3), nn.LayerNorm(3))
    for bad in (BatchNorm(3), nn.BatchNorm1d(3, track_running_stats=False).eval()):
        with pytest.raises(ValueError, match="norm must be in evaluation mode and have running moments"):
            folded(nn.Linear(2, 3), bad)
    with pytest.raises(ValueError, match="norm must have 4 channels, got 3"):
        folded(nn.Linear(3, 4), norm)


def test_a_model_folds_where_it_can(device: torch.device) -> None:
    inner = nn.Sequential(nn.Linear(5, 6), BatchNorm(6), nn.ReLU(), BatchNorm(6))
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), inner, nn.Linear(6, 2)).to(torch.float32)
    for seed in range(3):
        model(2 * normal(8, 4, seed=seed, dtype=torch.float32) + 1)
    model.to(device)
    made, x = fold(model), normal(7, 4, dtype=torch.float32).to(device)
    names = ["Linear", "Identity", "Tanh", "Sequential", "Linear"]
    assert [type(layer).__name__ for layer in made] == names  # type: ignore[union-attr]
    assert [type(layer).__name__ for layer in made[3]] == ["Linear", "Identity", "ReLU", "BatchNorm"]  # type: ignore[index]
    assert model.training and not made.training and isinstance(model[1], nn.BatchNorm1d)
    expected = copy.deepcopy(model).eval()(x)
    torch.testing.assert_close(made(x).detach().cpu(), expected.detach().cpu(), rtol=0, atol=1e-5)


def test_folding_needs_running_moments_and_neighbors() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.BatchNorm1d(5))
    assert [type(layer) for layer in fold(model).children()] == [type(layer) for layer in model]
    with pytest.raises(ValueError, match="norm must have 5 channels, got 3"):
        fold(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(3)))


class Doubled(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Negative(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return -super().forward(x)


def hooked(module: nn.Module, kind: str) -> nn.Module:
    if kind == "before":
        module.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    elif kind == "backward":
        module.register_full_backward_hook(lambda module, grads, outputs: None)
    elif kind == "before backward":
        module.register_full_backward_pre_hook(lambda module, outputs: None)
    else:
        module.register_forward_hook(lambda module, inputs, output: 3 * output)
    return module


STAYS: dict[str, Callable[[], list[nn.Module]]] = {
    "weight norm": lambda: [nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), BatchNorm(3)],
    "spectral norm": lambda: [nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)), nn.BatchNorm1d(3)],
    "hook before the layer": lambda: [hooked(nn.Linear(4, 3), "before"), BatchNorm(3)],
    "hook behind the layer": lambda: [hooked(nn.Linear(4, 3), "behind"), BatchNorm(3)],
    "hook before the norm": lambda: [nn.Linear(4, 3), hooked(BatchNorm(3), "before")],
    "hook behind the norm": lambda: [nn.Linear(4, 3), hooked(nn.BatchNorm1d(3), "behind")],
    "backward hook": lambda: [hooked(nn.Linear(4, 3), "backward"), BatchNorm(3)],
    "hook before backward": lambda: [nn.Linear(4, 3), hooked(BatchNorm(3), "before backward")],
    "own forward": lambda: [Negative(4, 3), BatchNorm(3)],
}


@pytest.mark.parametrize("name", STAYS)
def test_what_is_more_than_its_weights_is_not_folded(name: str) -> None:
    model = nn.Sequential(*STAYS[name]()).double()
    x = normal(8, 4)
    model(x)
    made = fold(model)
    close(made(x), model.eval()(x))
    assert [type(layer) for layer in made.children()] == [type(layer) for layer in model]
    with pytest.raises(ValueError, match="layer and norm must have no hooks, no parametrization and no forward of"):
        folded(model[0], model[1])


def test_a_chain_with_a_forward_of_its_own_is_not_folded() -> None:
    class Named(nn.Sequential):
        """A chain by another name, which runs as any."""

    x = normal(8, 4)
    for chain, expected in ((Doubled, BatchNorm), (Named, nn.Identity), (nn.Sequential, nn.Identity)):
        model = chain(nn.Linear(4, 3), trained(BatchNorm(3))).double().eval()
        assert type(fold(model)[1]) is expected  # type: ignore[index]
        close(fold(model)(x), model(x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_folded_layer_keeps_its_dtype(bias: bool, dtype: torch.dtype) -> None:
    layer, norm = nn.Conv2d(2, 3, 3, bias=bias, dtype=torch.bfloat16), trained(BatchNorm(3)).to(dtype).eval()
    made = folded(layer, norm)
    assert {p.dtype for p in made.parameters()} == {torch.bfloat16}
    x, exact = normal(2, 2, 5, 5).bfloat16(), copy.deepcopy(layer).double()
    torch.testing.assert_close(made(x).double(), norm.double()(exact(x.double())), rtol=0.05, atol=0.1)
    wide = folded(nn.Linear(2, 3, bias=bias, dtype=torch.float32), BatchNorm(3, dtype=torch.bfloat16).eval())
    assert {p.dtype for p in wide.parameters()} == {torch.float32}
