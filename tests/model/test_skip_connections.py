"""`tricks_lib.model.skip_connections`: residual sums, highways, blocks in five orders, cosines by depth."""

from __future__ import annotations

import copy
import math
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tricks_lib.model.skip_connections import (
    ORDERS,
    Highway,
    Residual,
    ResidualBlock,
    relu_cosine,
    residual_cosine,
)

F = nn.functional
DOUBLE: dict[str, Any] = {"dtype": torch.float64}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


# ---- Residual


def test_the_sum_by_hand() -> None:
    x = torch.tensor([[1.0, -2.0]])
    assert Residual(nn.ReLU())(x).tolist() == [[2.0, -2.0]]
    assert Residual(nn.ReLU(), scale=-3.0)(x).tolist() == [[-2.0, -2.0]]
    assert Residual(nn.ReLU(), nn.Flatten(0))(x[0]).tolist() == [2.0, -2.0]
    assert Residual(nn.Identity(), nn.ReLU())(x).tolist() == [[2.0, -2.0]]


@pytest.mark.parametrize("learned", [False, True])
def test_the_gradient_is_that_of_the_shortcut_and_of_the_body(learned: bool) -> None:
    block = Residual(nn.Tanh(), scale=0.3, learned=learned, **DOUBLE)
    x = normal(4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(block(x).sum(), x)
    close(gradient, 1 + 0.3 * (1 - x.detach().tanh() ** 2))
    assert torch.autograd.gradcheck(block, (x,))


def test_a_learned_scale_is_a_parameter() -> None:
    block, x = Residual(nn.Tanh(), scale=0.0, learned=True, **DOUBLE), normal(4, 3)
    assert [(name, tuple(p.shape), p.dtype) for name, p in block.named_parameters()] == [("scale", (1,), torch.float64)]
    assert torch.equal(block(x), x)
    (gradient,) = torch.autograd.grad(block(x).sum(), list(block.parameters()))
    close(gradient, x.tanh().sum().reshape(1))
    assert not list(Residual(nn.Tanh()).parameters())
    assert next(Residual(nn.Tanh(), learned=True).parameters()).dtype == torch.get_default_dtype()


def test_residuals_have_a_repr() -> None:
    assert "scale=0.5\n" in repr(Residual(nn.Tanh(), scale=0.5))
    assert "scale=0.25\n" in repr(Residual(nn.Tanh(), scale=0.25, learned=True))


@pytest.mark.parametrize("scale", [math.inf, math.nan, "2", None, torch.tensor(2.0), torch.ones(2), [1.0]])
def test_scales_are_finite_numbers(scale: Any) -> None:
    message = re.escape(f"scale must be a finite number, got {scale!r}")
    with pytest.raises(ValueError, match=message):
        Residual(nn.Tanh(), scale=scale)
    with pytest.raises(ValueError, match=message):
        Residual(nn.Tanh(), scale=scale, learned=True)
    with pytest.raises(ValueError, match=message):
        residual_cosine(torch.zeros(2), scale)


def test_scales_are_kept_as_floats() -> None:
    assert type(Residual(nn.Tanh(), scale=np.float32(0.5)).scale) is float  # type: ignore[arg-type]
    assert type(Residual(nn.Tanh(), scale=2).scale) is float


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scales_keep_the_dtype_of_the_stream(dtype: torch.dtype, learned: bool) -> None:
    x = torch.tensor([2.0, -2.0], dtype=dtype)
    for own in (torch.float32, torch.float64):
        block = Residual(nn.ReLU(), scale=0.5, learned=learned, dtype=own)
        found = block(x)
        assert found.dtype == dtype and found.tolist() == [3, -2]
        if learned:
            (gradient,) = torch.autograd.grad(found.sum(), list(block.parameters()))
            assert gradient.dtype == own and gradient.tolist() == [2]


def test_a_learned_scale_of_a_body_of_whole_numbers_is_not_rounded() -> None:
    x = torch.tensor([2, -2])
    assert Residual(nn.ReLU(), scale=0.5, learned=True)(x).tolist() == [3.0, -2.0]


@pytest.mark.parametrize("wrong", [None, torch.relu, [nn.ReLU()], nn.ReLU])
def test_bodies_and_shortcuts_are_modules(wrong: Any) -> None:
    for make in (lambda: Residual(wrong), lambda: Highway(wrong, 3)):
        with pytest.raises(TypeError, match=re.escape(f"body must be a module, got {wrong!r}")):
            make()
    if wrong is not None:
        with pytest.raises(TypeError, match=re.escape(f"shortcut must be a module, got {wrong!r}")):
            Residual(nn.ReLU(), wrong)


def test_shapes_of_body_and_shortcut_agree() -> None:
    for body, shortcut in [(nn.Linear(3, 1), None), (nn.Identity(), nn.Linear(3, 1))]:
        with pytest.raises(
            ValueError, match=r"body and shortcut must return the same shape, got \(2, .\) and \(2, .\)"
        ):
            Residual(body, shortcut)(torch.ones(2, 3))  # would broadcast


# ---- Highway


def test_a_highway_is_the_mixture_that_the_paper_writes() -> None:
    layer, x = Highway(nn.Tanh(), 3, gate_bias=-0.7, **DOUBLE), normal(4, 3)
    gate = torch.sigmoid(x @ layer.gate.weight.T + layer.gate.bias)
    close(layer(x), gate * x.tanh() + (1 - gate) * x)
    assert layer.gate.bias.tolist() == pytest.approx([-0.7] * 3)
    assert Highway(nn.Tanh(), 3).gate.bias.tolist() == [-2.0] * 3
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(),))


@given(st.floats(-4, 4), st.integers(0, 1000))
def test_the_gate_decides(bias: float, seed: int) -> None:
    layer, x = Highway(nn.Tanh(), 3, gate_bias=bias, **DOUBLE), normal(4, 3, seed=seed)
    low, high = torch.minimum(x, x.tanh()), torch.maximum(x, x.tanh())
    assert (layer(x) >= low - 1e-12).all() and (layer(x) <= high + 1e-12).all()
    nn.init.zeros_(layer.gate.weight)
    share = 1 / (1 + math.exp(-bias))
    close(layer(x), share * x.tanh() + (1 - share) * x)


def test_gates_start_as_linear_layers_do() -> None:
    torch.manual_seed(3)
    ours = Highway(nn.Tanh(), 4)
    torch.manual_seed(3)
    assert torch.equal(ours.gate.weight, nn.Linear(4, 4).weight)


def test_arguments_of_highways_are_checked() -> None:
    wrong: Any
    for wrong in (0, -1, 2.0, 2.5, math.nan, True, "3", None, (3,)):
        with pytest.raises(ValueError, match=re.escape(f"width must be a whole number, at least 1, got {wrong!r}")):
            Highway(nn.Tanh(), wrong)
    for wrong in (math.nan, -math.inf, "0", None, torch.zeros(3)):
        with pytest.raises(ValueError, match=re.escape(f"gate_bias must be a finite number, got {wrong!r}")):
            Highway(nn.Tanh(), 3, gate_bias=wrong)
    with pytest.raises(ValueError, match=r"body must return the shape of its input, \(2, 3\), got \(2, 1\)"):
        Highway(nn.Linear(3, 1), 3)(torch.ones(2, 3))
    assert Highway(nn.Identity(), 1)(torch.ones(2, 1)).shape == (2, 1)


# ---- ResidualBlock


def bn(layer: Any, x: Tensor) -> Tensor:
    """Batch normalization by hand, in training mode, with scale and shift of a layer."""
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean = x.mean(axes, keepdim=True)
    var = ((x - mean) ** 2).mean(axes, keepdim=True)
    return (x - mean) / (var + layer.eps).sqrt() * layer.weight.view(shape) + layer.bias.view(shape)


def conv(layer: Any, x: Tensor) -> Tensor:
    """Do a convolution with zero padding, as a loop over the kernel; or a linear layer."""
    weight = layer.weight
    if weight.ndim == 2:
        return torch.einsum("oi,ni->no", weight, x)
    size, stride = weight.shape[-1], layer.stride[0]
    padded = F.pad(x, [size // 2] * 4)
    height, width = x.shape[2:]
    total = torch.zeros(())
    for i in range(size):
        for j in range(size):
            seen = padded[:, :, i : i + height : stride, j : j + width : stride]
            total = total + torch.einsum("oi,nihw->nohw", weight[:, :, i, j], seen)
    return total


def written_out(block: ResidualBlock, x: Tensor) -> Tensor:
    """Compute the five blocks of figure 4, each written down for itself; a projection reads ``x``."""
    b, after, relu = block.add.body, block.after, torch.relu
    carried = x
    for layer in block.add.shortcut.children():  # none for the identity
        carried = (
            conv(layer, carried) if hasattr(layer, "stride") or isinstance(layer, nn.Linear) else bn(layer, carried)
        )
    if block.order == "original":
        return relu(carried + bn(b[4], conv(b[3], relu(bn(b[1], conv(b[0], x))))))
    if block.order == "BN after addition":
        return relu(bn(after[0], carried + conv(b[3], relu(bn(b[1], conv(b[0], x))))))
    if block.order == "ReLU before addition":
        return carried + relu(bn(b[4], conv(b[3], relu(bn(b[1], conv(b[0], x))))))
    if block.order == "ReLU-only pre-activation":
        return carried + bn(b[5], conv(b[4], relu(bn(b[2], conv(b[1], relu(x))))))
    return carried + conv(b[5], relu(bn(b[3], conv(b[2], relu(bn(b[0], x))))))


def made(order: str, *, seed: int = 1, **options: Any) -> ResidualBlock:
    """Make a block whose scales and shifts are no ones and zeros."""
    own = torch.Generator().manual_seed(seed)
    block = ResidualBlock(4, order=order, generator=own, **(DOUBLE | options))
    for p in block.parameters():
        if p.ndim == 1:
            p.data.add_(torch.randn(p.shape, generator=own, dtype=p.dtype) / 2)
    return block


SHAPES: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ({}, (5, 4, 6, 3), (5, 4, 6, 3)),
    ({"kernel_size": 5}, (2, 4, 6, 7), (2, 4, 6, 7)),
    ({"n_out": 6, "stride": 2}, (5, 4, 7, 4), (5, 6, 4, 2)),
    ({"n_out": 3}, (5, 4, 2, 4), (5, 3, 2, 4)),
    ({"stride": 2}, (5, 4, 6, 4), (5, 4, 3, 2)),
    ({"kernel_size": None}, (7, 4), (7, 4)),
    ({"kernel_size": None, "n_out": 5}, (7, 4), (7, 5)),
    ({"kernel_size": 1, "n_out": 1}, (7, 4, 2, 3), (7, 1, 2, 3)),
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("options", "shape", "expected"), SHAPES)
def test_blocks_are_those_of_figure_4_and_project_the_input_itself(
    order: str, options: dict[str, Any], shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    block, x = made(order, **options), normal(*shape)
    found = block(x)
    assert found.shape == expected
    close(found, written_out(block, x))


def test_all_orders_have_the_same_parts() -> None:
    for order, kinds in ORDERS.items():
        assert sorted(kinds) == sorted("WNRWNR+")
        shapes = sorted(tuple(p.shape) for p in ResidualBlock(4, order=order).parameters())
        assert shapes == [(4,)] * 4 + [(4, 4, 3, 3)] * 2


@pytest.mark.parametrize("order", ORDERS)
def test_projections_are_normalized_if_the_body_is(order: str) -> None:
    kinds = [type(layer) for layer in ResidualBlock(4, 6, order=order).add.shortcut.children()]
    assert kinds == [nn.Conv2d, *([] if order in ("BN after addition", "full pre-activation") else [nn.BatchNorm2d])]
    linear = ResidualBlock(4, 6, order=order, kernel_size=None).add.shortcut
    assert isinstance(next(linear.children()), nn.Linear)
    assert isinstance(ResidualBlock(4, order=order).add.shortcut, nn.Identity)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel_size", [3, None])
def test_zero_init_starts_as_the_shortcut(order: str, kernel_size: int | None) -> None:
    block = ResidualBlock(4, order=order, zero_init=True, kernel_size=kernel_size, **DOUBLE)
    x = normal(5, 4, 3, 2) if kernel_size else normal(5, 4)
    expected = {
        "original": torch.relu(x),
        "BN after addition": torch.relu(bn(block.after[0], x) if len(block.after) == 2 else x),
    }
    close(block(x), expected.get(order, x))
    weights = [name for name, p in block.add.body.named_parameters() if name.endswith("weight") and not p.any()]
    assert weights == [f"{len(block.add.body) - 1 - (order == 'ReLU before addition')}.weight"]
    plain = ResidualBlock(4, order=order, kernel_size=kernel_size, **DOUBLE)
    assert all(p.any() for name, p in plain.named_parameters() if name.endswith("weight"))


def test_weights_are_drawn_by_hes_rule_from_the_generator(global_rng_untouched: None) -> None:
    one, two = (made("original", seed=5, n_out=40, kernel_size=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    first, second = one.add.body[0].weight, one.add.body[3].weight
    assert 4 * 25 * first.var().item() == pytest.approx(2, rel=0.1)
    assert 40 * 25 * second.var().item() == pytest.approx(2, rel=0.05)
    projection = ResidualBlock(50, 60, generator=torch.Generator().manual_seed(2)).add.shortcut[0]
    assert 50 * projection.weight.var().item() == pytest.approx(2, rel=0.1)
    assert not any("bias" in name for name, p in one.named_parameters() if p.ndim > 1)
    assert one.add.body[0].bias is None


def test_without_a_generator_weights_come_from_the_global_one() -> None:
    torch.manual_seed(3)
    one = ResidualBlock(4)
    torch.manual_seed(3)
    two = ResidualBlock(4)
    assert torch.equal(one.add.body[2].weight, two.add.body[2].weight)
    assert not torch.equal(one.add.body[2].weight, ResidualBlock(4).add.body[2].weight)


def test_blocks_learn_by_their_gradient() -> None:
    for order in ORDERS:
        block = made(order).eval()
        assert torch.autograd.gradcheck(block, (normal(2, 4, 3, 2).requires_grad_(),))


@pytest.mark.parametrize("order", ORDERS)
def test_in_evaluation_running_statistics_count(order: str) -> None:
    block, x = made(order), normal(5, 4, 3, 2)
    block(x)
    block.eval()
    close(block(x)[:2], block(x[:2]))
    assert not torch.allclose(block(x), block.train()(x))


def test_modules_can_be_copied_and_saved() -> None:
    x = normal(5, 4, dtype=torch.get_default_dtype())
    for make in (
        lambda: ResidualBlock(4, kernel_size=None),
        lambda: Highway(nn.Linear(4, 4), 4),
        lambda: Residual(nn.Linear(4, 4), scale=0.5, learned=True),
    ):
        module, other = make().eval(), make().eval()
        other.load_state_dict(module.state_dict())
        for same in (other, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(same(x), module(x))


def test_modules_go_where_they_are_sent(device: torch.device) -> None:
    to: dict[str, Any] = {"device": device, "dtype": torch.float32}
    x = normal(5, 4, dtype=torch.float32)
    for module in (
        ResidualBlock(4, 6, order="original", kernel_size=None, **to),
        Highway(nn.Tanh(), 4, **to),
        Residual(nn.Tanh(), learned=True, **to),
    ):
        assert {(t.device.type, t.dtype) for t in module.parameters()} == {(device.type, torch.float32)}
        assert {t.device.type for t in module.buffers()} <= {device.type}
        found = module(x.to(device))
        assert found.device.type == device.type
        close(found.cpu(), copy.deepcopy(module).cpu()(x), atol=1e-5)
    assert {p.dtype for p in ResidualBlock(4, **DOUBLE).parameters()} == {torch.float64}
    assert {p.dtype for p in ResidualBlock(4).parameters()} == {torch.get_default_dtype()}


def test_inputs_stay() -> None:
    x = normal(5, 4, 3, 2)
    before = x.clone()
    for order in ORDERS:
        made(order)(x)
    Residual(nn.ReLU())(x)
    Highway(nn.ReLU(), 2, **DOUBLE)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({name: wrong}, re.escape(f"{name} must be a whole number, at least 1, got {wrong!r}") + "$")
            for name in ("n_in", "n_out", "stride")
            for wrong in (0, -1, 1.5, 4.0, math.nan, True, "4", (2, 2), torch.tensor(4))
        ),
        *(({name: None}, f"{name} must be a whole number, at least 1, got None") for name in ("n_in", "stride")),
        *(
            (
                {"order": wrong},
                r"order must be one of 'original', 'BN after addition', .*, got " + re.escape(repr(wrong)),
            )
            for wrong in ("BN", "", 1, None, [1], {})
        ),
        *(
            ({"kernel_size": wrong}, re.escape(f"an odd whole number, at least 1, or None, got {wrong!r}") + "$")
            for wrong in (2, -1, 0, 3.0, 1.5, True, False, "3", (3, 3), [3])
        ),
        ({"kernel_size": -1}, "kernel_size must be"),
        ({"kernel_size": None, "stride": 2}, r"stride must be 1 for linear layers \(kernel_size=None\), got 2"),
    ],
)
def test_arguments_of_blocks_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResidualBlock(**({"n_in": 4} | options))


def test_sizes_may_be_whole_numbers_of_numpy() -> None:
    one, three = np.int64(1), np.int64(3)
    block: Any = ResidualBlock(one, three, kernel_size=three, stride=one)  # type: ignore[arg-type]
    assert block(torch.ones(2, 1, 4, 4)).shape == (2, 3, 4, 4)
    highway: Any = Highway(nn.ReLU(), three)  # type: ignore[arg-type]
    assert highway(torch.ones(2, 3)).shape == (2, 3)


def test_a_block_of_one_channel_and_its_repr() -> None:
    assert ResidualBlock(1)(torch.ones(2, 1, 1, 1)).shape == (2, 1, 1, 1)
    assert "'original'" in repr(ResidualBlock(1, order="original"))


# ---- cosines


def test_cosines_by_hand() -> None:
    found = relu_cosine(torch.tensor([-1.0, 0.0, 0.5, 1.0], dtype=torch.float64))
    expected = [0, 1 / math.pi, (math.sqrt(3) / 2 + math.pi / 3) / math.pi, 1]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    c = torch.tensor([0.5], dtype=torch.float64)
    assert residual_cosine(c, 2.0).item() == pytest.approx((0.5 + 4 * expected[2]) / 5, abs=1e-12)
    assert residual_cosine(c, 0.0).item() == 0.5


@given(st.floats(-1, 1), st.floats(-3, 3))
def test_cosines_grow_and_less_with_a_shortcut(cosine: float, scale: float) -> None:
    c = torch.tensor(cosine, dtype=torch.float64)
    plain, residual = relu_cosine(c).item(), residual_cosine(c, scale).item()
    assert -1e-12 <= plain <= 1 + 1e-12 and plain >= cosine - 1e-12
    assert cosine - 1e-12 <= residual <= plain + 1e-12


def test_cosines_are_what_is_measured() -> None:
    a, b = normal(2, 2000).unbind()
    x = torch.stack([a, 0.3 * a + math.sqrt(1 - 0.09) * b])
    x = x / x.norm(dim=1, keepdim=True)
    c = (x[0] @ x[1]).reshape(1)
    y = torch.relu(x) @ normal(2000, 2000, seed=1) * math.sqrt(2 / 2000)
    assert F.cosine_similarity(y[:1], y[1:]).item() == pytest.approx(relu_cosine(c).item(), abs=0.05)
    y = x + 0.5 * y
    assert F.cosine_similarity(y[:1], y[1:]).item() == pytest.approx(residual_cosine(c, 0.5).item(), abs=0.05)


def test_cosines_have_gradients_and_stay_on_their_device(device: torch.device) -> None:
    c = torch.tensor([-0.9, 0.0, 0.7], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: residual_cosine(c, 0.5), (c.requires_grad_(),))
    there = residual_cosine(c.detach().float().to(device), 0.5)
    assert there.device.type == device.type and there.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosines_of_parallel_vectors_may_be_rounded_beyond_the_ends(dtype: torch.dtype) -> None:
    a = normal(1000, 64, dtype=dtype)
    c = F.cosine_similarity(a, 3 * a)
    assert c.max() > 1  # else nothing is tested here
    atol = 64 * torch.finfo(dtype).eps
    for sign, expected in ((1, 1), (-1, 0)):
        found = relu_cosine(sign * c)
        close(found, torch.full_like(c, expected), atol=atol)
        assert found[c >= 1].unique().tolist() == [expected]
        found = residual_cosine(sign * c, 0.5)
        close(found, torch.full_like(c, (sign + expected / 4) / (5 / 4)), atol=atol)
        assert found.abs().max() <= 1
    with pytest.raises(ValueError, match=r"cosine must be in \[-1, 1\], got 0.0 to 1\.0{5,}\d*[1-9]$"):
        relu_cosine(torch.tensor([0, 1 + 10 * torch.finfo(dtype).eps], dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosines_have_finite_gradients_at_the_ends(dtype: torch.dtype) -> None:
    beyond = 1 + 2 * torch.finfo(dtype).eps
    c = torch.tensor([-beyond, -1, 0, 1, beyond], dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(relu_cosine(c).sum(), c)
    assert gradient.tolist() == [0, 0, 0.5, 1, 1]
    (gradient,) = torch.autograd.grad(residual_cosine(c, 1.0).sum(), c)
    assert gradient.tolist() == [0.5, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosines_in_range_are_those_of_the_formula_bit_by_bit(dtype: torch.dtype) -> None:
    c = torch.linspace(-1, 1, 2001, dtype=dtype)
    f = ((1 - c.square()).sqrt() + c * (math.pi - c.arccos())) / math.pi
    assert torch.equal(relu_cosine(c), f)
    assert torch.equal(residual_cosine(c, 0.7), (c + 0.7**2 * f) / (1 + 0.7**2))


@pytest.mark.parametrize("cosine", [1.1, -1.1, math.inf, math.nan])
def test_cosines_are_in_range(cosine: float) -> None:
    for check in (relu_cosine, lambda c: residual_cosine(c, 0.5)):
        with pytest.raises(ValueError, match=r"cosine must be in \[-1, 1\], got"):
            check(torch.tensor([0.0, cosine]))
