"""`tricks_lib.data.augmentation_policies`: operations with a strength, RandAugment and its kin, grades of policies."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tricks_lib.data.augmentation import affine, affine_matrix
from tricks_lib.data.augmentation_camera import adjust_brightness, adjust_contrast, adjust_saturation
from tricks_lib.data.augmentation_policies import (
    MAGNITUDES,
    OPERATIONS,
    AutoAugment,
    Operation,
    Policy,
    RandAugment,
    RandomOperations,
    TrivialAugment,
    best_so_far,
    density_match,
    random_policy,
)
from tricks_lib.data.augmentation_tones import adjust_sharpness, autocontrast, equalize, posterize

NAMES = list(OPERATIONS)
MOVES = {name: op for name, op in OPERATIONS.items() if op.moves}
POLICY: Policy = [
    [("rotate", 0.5, 5), ("solarize", 0.7, 4)],
    [("color", 1.0, 3)],
    [("shear-y", 1, 10), ("equalize", 1, 0)],
]
MAKERS: Mapping[str, Callable[[], RandomOperations]] = {
    "RandAugment": lambda: RandAugment(2, 6),
    "TrivialAugment": TrivialAugment,
    "AutoAugment": lambda: AutoAugment(POLICY),
}


def images(
    n: int = 5, c: int = 1, h: int = 9, w: int = 7, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    return torch.rand(n, c, h, w, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- operations


def test_there_are_the_fourteen_of_the_paper() -> None:
    paper = "identity autocontrast equalize rotate solarize color posterize contrast brightness sharpness"
    assert sorted(NAMES) == sorted([*paper.split(), "shear-x", "shear-y", "translate-x", "translate-y"])


@pytest.mark.parametrize("name", NAMES)
def test_without_strength_nothing_happens_but_for_two(name: str) -> None:
    x = (255 * images(3, 3, dtype=torch.float32)).round() / 255
    out = OPERATIONS[name](x, torch.zeros(3), torch.ones(3))
    if name in ("autocontrast", "equalize"):  # these have no strength
        assert not torch.allclose(out, x, atol=1e-3)
    else:
        torch.testing.assert_close(out, x, rtol=0, atol=1e-5)


ones = torch.ones(2, dtype=torch.float64)
FULL: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "identity": lambda x, sign: x,
    "rotate": lambda x, sign: affine(x, angle=30 * sign),
    "shear-x": lambda x, sign: affine(x, shear=math.degrees(math.atan(0.3 * sign))),
    "translate-x": lambda x, sign: affine(x, translate=torch.tensor([[sign * 7 * 150 / 331, 0.0]] * len(x))),
    "translate-y": lambda x, sign: affine(x, translate=torch.tensor([[0.0, sign * 9 * 150 / 331]] * len(x))),
    "brightness": lambda x, sign: adjust_brightness(x, 1 + 0.9 * sign),
    "contrast": lambda x, sign: adjust_contrast(x, 1 + 0.9 * sign),
    "color": lambda x, sign: adjust_saturation(x, 1 + 0.9 * sign),
    "sharpness": lambda x, sign: adjust_sharpness(x, 1 + 0.9 * sign),
    "posterize": lambda x, sign: posterize(x, 4),
    "solarize": lambda x, sign: 1 - x,
    "autocontrast": lambda x, sign: autocontrast(x),
    "equalize": lambda x, sign: equalize(x),
}


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_full_strength(name: str, sign: float) -> None:
    x = images(2, 3)
    torch.testing.assert_close(OPERATIONS[name](x, ones, sign * ones), FULL[name](x, sign), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [-0.3, 0.0, 0.7])
def test_shear_y_by_its_matrix(value: float) -> None:
    x = images(1, 1, 5, 5)
    arguments = OPERATIONS["shear-y"].function(x, torch.tensor([value], dtype=torch.float64))
    expected = torch.tensor([[[1.0, 0.0, 0.0], [value, 1.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(affine_matrix(x, **arguments), expected, rtol=0, atol=1e-12)
    turned = OPERATIONS["shear-x"](x.mT, torch.tensor([abs(value)]), torch.tensor([math.copysign(1, value)])).mT
    op = replace(OPERATIONS["shear-y"], largest=0.3)
    if abs(value) <= 0.3:
        sheared = op(x, torch.tensor([abs(value)]), torch.tensor([math.copysign(1, value)]))
        torch.testing.assert_close(sheared, turned, rtol=0, atol=1e-6)


def test_operation_checks_strength_and_sign() -> None:
    x, good = images(2), torch.ones(2)
    for bad in (torch.ones(3), 2 * good, -good, good * math.nan):
        with pytest.raises(ValueError, match=r"strength must have shape \(2,\), from 0 to 1"):
            OPERATIONS["rotate"](x, bad, good)
    with pytest.raises(ValueError, match=r"sign must have shape \(2,\), from -1 to 1"):
        OPERATIONS["rotate"](x, good, 2 * good)
    with pytest.raises(ValueError, match="3 channels"):
        OPERATIONS["color"](x, good, good)


# ---- how they are put together


def one_by_one(augment: RandomOperations, x: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Change image by image: what moves pixels first, then the rest, each on its own."""
    out = []
    for i, image in enumerate(x[:, None]):
        steps = list(zip(*(draws[name][i] for name in ("operation", "strength", "sign")), strict=True))
        for moves in (True, False):
            for k, strength, sign in steps:
                name = list(augment.operations)[int(k)] if k >= 0 else "identity"
                op = augment.operations.get(name, OPERATIONS["identity"])
                if op.moves == moves:
                    image = op(image, strength[None].to(x), sign[None].to(x))
        out.append(image)
    return torch.cat(out)


def steps(*names: str, strength: float = 0.8, sign: float = 1.0) -> dict[str, Tensor]:
    return {
        "operation": torch.tensor([[NAMES.index(name) for name in names]]),
        "strength": torch.full((1, len(names)), strength, dtype=torch.float64),
        "sign": torch.full((1, len(names)), sign, dtype=torch.float64),
    }


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", ["TrivialAugment", "RandAugment"])
def test_a_batch_equals_a_loop_over_images(name: str, channels: int) -> None:
    """At most one operation that moves pixels: then one warp is what a loop does, too."""
    x = images(60, channels)
    augment = RandAugment(1, 7) if name == "RandAugment" else TrivialAugment()
    draws = augment.draw(x, generator=generator())
    assert len(set(draws["operation"].flatten().tolist())) == (14 if channels == 3 else 13)
    torch.testing.assert_close(augment(x, draws=draws), one_by_one(augment, x, draws), rtol=0, atol=1e-6)


def test_several_steps_equal_a_loop_where_none_of_them_moves_twice() -> None:
    x = images(40, 3)
    still = {name: op for name, op in OPERATIONS.items() if not op.moves}
    augment = RandAugment(3, 6, operations=still)
    draws = augment.draw(x, generator=generator())
    assert torch.equal(augment(x, draws=draws), one_by_one(augment, x, draws))


def test_moves_come_first_and_then_the_order_of_the_draws() -> None:
    x = images(1)
    augment = RandAugment(2, 8)
    dark_then_moved = augment(x, draws=steps("solarize", "rotate"))
    assert torch.equal(dark_then_moved, augment(x, draws=steps("rotate", "solarize")))
    assert not torch.equal(
        augment(x, draws=steps("solarize", "contrast")), augment(x, draws=steps("contrast", "solarize"))
    )


def test_moves_are_merged_into_one_warp() -> None:
    """A rotation and its reverse are nothing; one after the other, they blur."""
    x = images(1)
    there_and_back = steps("rotate", "rotate")
    there_and_back["sign"][0, 1] = -1
    torch.testing.assert_close(RandAugment()(x, draws=there_and_back), x, rtol=0, atol=1e-6)
    strength, sign = torch.tensor([0.8]), torch.tensor([1.0])
    apart = OPERATIONS["rotate"](OPERATIONS["rotate"](x, strength, sign), strength, -sign)
    assert (apart - x).abs().mean() > 0.03


def test_the_order_of_merged_moves() -> None:
    """First to the right by four pixels of twenty, then a quarter turn: a dot right of the middle ends above it."""
    x = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    x[0, 0, 10, 10] = 1
    own = {
        "right": replace(OPERATIONS["translate-x"], largest=4 / 21),
        "turn": replace(OPERATIONS["rotate"], largest=90.0),
    }
    augment, one = RandAugment(operations=own), torch.ones(1, 2, dtype=torch.float64)
    for order, (row, column) in {(0, 1): (6, 10), (1, 0): (10, 14)}.items():
        out = augment(x, draws={"operation": torch.tensor([order]), "strength": one, "sign": one})
        assert out[0, 0, row, column].item() == pytest.approx(1, abs=1e-5)


def test_images_without_an_operation_stay() -> None:
    x = images(3)
    draws = {"operation": torch.tensor([[-1], [NAMES.index("rotate")], [0]])}
    draws |= {"strength": torch.ones(3, 1), "sign": torch.ones(3, 1)}
    out = RandAugment()(x, draws=draws)
    assert torch.equal(out[0], x[0]) and torch.equal(out[2], x[2]) and not torch.equal(out[1], x[1])
    assert torch.equal(RandAugment(0, 5)(x, generator=generator()), x)


def test_mode_and_padding_reach_the_warp() -> None:
    x = images(4, dtype=torch.float32)
    draws = {"operation": torch.full((4, 1), NAMES.index("rotate")), "strength": torch.ones(4, 1)}
    draws["sign"] = torch.tensor([[1.0], [-1.0], [1.0], [1.0]])
    out = RandAugment(mode="nearest", padding="border")(x, draws=draws)
    angle = 30 * draws["sign"][:, 0]
    torch.testing.assert_close(out, affine(x, angle=angle, mode="nearest", padding="border"))
    assert torch.isin(out, x).all()


# ---- draws


def test_randaugment_draws_uniformly_and_one_strength() -> None:
    x = images(26_000, 1, 1, 1, dtype=torch.float32)
    draws = RandAugment(2, 3.5).draw(x, generator=generator())
    counts = torch.bincount(draws["operation"].flatten(), minlength=14)
    assert counts[NAMES.index("color")] == 0
    assert counts[counts > 0].tolist() == pytest.approx([4000] * 13, abs=4 * 4000**0.5)
    assert (draws["strength"] == 0.35).all()
    assert set(draws["sign"].flatten().tolist()) == {-1.0, 1.0} and abs(draws["sign"].mean()) < 0.02
    twice = (draws["operation"][:, 0] == draws["operation"][:, 1]).float().mean()
    assert twice.item() == pytest.approx(1 / 13, abs=0.01)  # with replacement


def test_randaugment_has_two_operations_at_half_strength_unless_told() -> None:
    draws = RandAugment().draw(images(), generator=generator())
    assert draws["operation"].shape[1] == 2 and (draws["strength"] == 0.5).all()


def test_trivialaugment_draws_one_operation_and_any_strength() -> None:
    draws = TrivialAugment().draw(images(14_000, 3, 1, 1, dtype=torch.float32), generator=generator())
    assert draws["operation"].shape == (14_000, 1)
    counts = torch.bincount(draws["operation"].flatten(), minlength=14)
    assert counts.tolist() == pytest.approx([1000] * 14, abs=4 * 1000**0.5)
    quarters = torch.histc(draws["strength"], 4, 0, 1) / 14_000
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.02)
    assert abs(np.corrcoef(draws["strength"][:, 0], draws["sign"][:, 0])[0, 1]) < 0.04


def test_autoaugment_draws_sub_policies_and_steps() -> None:
    policy = [[("rotate", 0.25, 5), ("solarize", 1.0, 4)], [("shear-x", 0.8, 10)]]
    draws = AutoAugment(policy).draw(images(20_000, 1, 1, 1, dtype=torch.float32), generator=generator())
    first = draws["operation"][:, 1] == NAMES.index("solarize")
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.02)
    turned, sheared = (draws["operation"][:, 0] == NAMES.index(name) for name in ("rotate", "shear-x"))
    assert turned[first].float().mean().item() == pytest.approx(0.25, abs=0.02) and not turned[~first].any()
    assert sheared[~first].float().mean().item() == pytest.approx(0.8, abs=0.02) and not sheared[first].any()
    assert (draws["operation"][~first, 1] == -1).all()
    assert (draws["strength"][first] == torch.tensor([0.5, 0.4]).float()).all()
    signs = draws["sign"][first, 0]
    for done in (signs[turned[first]], signs[~turned[first]]):  # whether it is done does not tell which way
        assert abs(done.mean()) < 0.06


def test_autoaugment_leaves_out_colors_of_gray_images() -> None:
    augment = AutoAugment([[("color", 1.0, 10)]])
    with pytest.raises(ValueError, match="all need 3 channels, got images of 1"):
        AutoAugment([[("color", 1.0, 10)]], operations={"color": OPERATIONS["color"]}).draw(images())
    assert (augment.draw(images(4))["operation"] == -1).all()
    assert (augment.draw(images(4, 3))["operation"] == NAMES.index("color")).all()


@pytest.mark.parametrize("name", MAKERS)
def test_same_generator_same_result(name: str, global_rng_untouched: None) -> None:
    x = images(8)
    before = x.clone()
    augment = MAKERS[name]()
    once, again = augment(x, generator=generator(3)), augment(x, generator=generator(3))
    assert torch.equal(once, again) and torch.equal(x, before) and once.data_ptr() != x.data_ptr()
    assert not torch.equal(once, augment(x, generator=generator(4)))
    augment.generator = generator(3)
    assert torch.equal(once, augment(x))
    assert torch.equal(augment.eval()(x), x)


@pytest.mark.parametrize("name", MAKERS)
def test_draws_can_be_replayed(name: str) -> None:
    augment, x = MAKERS[name](), images(9)
    draws = augment.draw(x, generator=generator())
    kept = {key: value.clone() for key, value in draws.items()}
    assert torch.equal(augment(x, draws=draws), augment.eval()(x, draws=draws))
    assert all(torch.equal(draws[key], kept[key]) for key in kept)
    wide = augment(x.float(), draws=draws)
    torch.testing.assert_close(wide.double(), augment(x, draws=draws), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", MAKERS)
def test_some_images_are_left_alone(name: str) -> None:
    augment, x = MAKERS[name](), images(400, h=4, w=5)
    augment.p = 0.3
    draws = augment.draw(x, generator=generator())
    same = (augment(x, draws=draws) == x).flatten(1).all(dim=1)
    assert same[~draws["applied"]].all() and draws["applied"].float().mean().item() == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("name", MAKERS)
def test_any_device_dtype_and_number(name: str, device: torch.device) -> None:
    augment = MAKERS[name]().to(device)
    for dtype in (torch.float32, torch.float64):
        x = images(30, 3, dtype=dtype).to(device)
        draws = augment.draw(x, generator=generator())
        out = augment(x, draws=draws)
        assert out.dtype == dtype and out.device.type == device.type and out.shape == x.shape
        ours = MAKERS[name]()(x.cpu(), draws={key: value.cpu() for key, value in draws.items()})
        torch.testing.assert_close(out.cpu(), ours)
    assert augment(x[:1], generator=generator()).shape == (1, 3, 9, 7)
    assert augment(x[:0], generator=generator()).shape == (0, 3, 9, 7)


@pytest.mark.parametrize("name", MAKERS)
def test_saved_copied_and_pickled(name: str) -> None:
    augment, x = MAKERS[name](), images(8)
    expected = augment(x, generator=generator())
    for other in (copy.deepcopy(augment), pickle.loads(pickle.dumps(augment))):
        assert torch.equal(other(x, generator=generator()), expected)
    buffer = io.BytesIO()
    torch.save(augment.state_dict(), buffer)
    buffer.seek(0)
    fresh = MAKERS[name]()
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(fresh(x, generator=generator()), expected)


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_pass_through(name: str) -> None:
    x = images(20).requires_grad_()
    MAKERS[name]()(x, generator=generator()).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandAugment(-1), "n must be a whole number, at least 0, got -1"),
        (lambda: RandAugment(1.5), "n must be a whole number, at least 0, got 1.5"),  # type: ignore[arg-type]
        (lambda: RandAugment(1, 10.5), r"m: a magnitude must be in \[0, 10\], got 10.5"),
        (lambda: RandAugment(1, math.nan), r"m: a magnitude must be in \[0, 10\]"),
        (lambda: RandAugment(operations={}), "operations must hold at least one operation, got none"),
        (lambda: TrivialAugment(mode="cubic"), "mode must be one of"),
        (lambda: TrivialAugment(padding="mean"), "padding must be one of"),
        (lambda: TrivialAugment(p=2.0), r"p must be in \[0, 1\]"),
        (lambda: AutoAugment([]), "policy must hold a sub-policy with a step"),
        (lambda: AutoAugment([[]]), "policy must hold a sub-policy with a step"),
        (lambda: AutoAugment([[("turn", 1, 1)]]), "operation 'turn' is not among identity, shear-x"),
        (lambda: AutoAugment([[("rotate", 1.1, 1)]]), r"rotate: a probability must be in \[0, 1\], got 1.1"),
        (lambda: AutoAugment([[("rotate", -0.1, 1)]]), r"rotate: a probability must be in \[0, 1\], got -0.1"),
        (lambda: AutoAugment([[("rotate", 1, -1)]]), r"rotate: a magnitude must be in \[0, 10\], got -1"),
        (lambda: AutoAugment([[("rotate", 1, 11)]]), r"rotate: a magnitude must be in \[0, 10\], got 11"),
        (lambda: random_policy(0), "at least 1 sub-policy, step and operation, got 0, 2, 14"),
        (lambda: random_policy(1, 0), "got 1, 0, 14"),
        (lambda: random_policy(operations=[]), "got 5, 2, 0"),
        (lambda: RandAugment()(images()[0]), r"x must have shape \(N, C, H, W\)"),
        (lambda: best_so_far(torch.zeros(3), torch.zeros(2)), "scores and outcomes must have one shape"),
        (lambda: best_so_far(torch.tensor([0.5, math.nan, 0.7]), torch.zeros(3)), "scores must not hold NaN"),
    ],
)
def test_bad_arguments(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_whole_numbers_are_no_images() -> None:
    with pytest.raises(TypeError, match="x must be a tensor of floating-point numbers"):
        TrivialAugment()(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))


# ---- policies and their grades


def test_random_policy_covers_the_space() -> None:
    policy = random_policy(3000, 2, operations=["rotate", "equalize"], generator=generator())
    assert len(policy) == 3000 and {len(steps) for steps in policy} == {2}
    names, shares, magnitudes = zip(*(step for steps in policy for step in steps), strict=True)
    assert names.count("rotate") / 6000 == pytest.approx(0.5, abs=0.03)
    assert sorted(set(shares)) == pytest.approx([k / 10 for k in range(11)])
    assert sorted(set(magnitudes)) == [float(k) for k in range(int(MAGNITUDES) + 1)]
    assert magnitudes.count(10.0) / 6000 == pytest.approx(1 / 11, abs=0.02)
    assert random_policy(4, generator=generator(1)) == random_policy(4, generator=generator(1))
    AutoAugment(random_policy(50, 3, generator=generator()))


def test_density_match_by_hand() -> None:
    """A model that returns the pixels: inverting them makes the first class as likely as the second one was."""
    x, y = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).view(2, 1, 1, 2) / 2, torch.tensor([0, 0])
    same, inverted = AutoAugment([[("identity", 1, 0)]]), AutoAugment([[("solarize", 1, 10)]])
    nll = math.log(1 + math.exp(-1))
    assert density_match(nn.Flatten(), same, x, y) == pytest.approx((nll + math.log(2)) / 2, rel=1e-6)
    assert density_match(nn.Flatten(), inverted, x, y) == pytest.approx((nll + 1 + math.log(2)) / 2, rel=1e-6)
    errors = density_match(nn.Flatten(), inverted, x, y, loss=lambda out, y: (out.argmax(1) != y).double().mean())
    assert errors == 0.5


def test_density_match_draws_and_leaves_the_mode_alone(global_rng_untouched: None) -> None:
    x, y, augment = images(20), torch.arange(20) % 3, TrivialAugment().eval()
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(63, 3, dtype=torch.float64)).eval()
    grades = [density_match(model, augment, x, y, generator=generator(seed)) for seed in (0, 0, 1)]
    assert grades[0] == grades[1] != grades[2]
    assert grades[0] != pytest.approx(nn.functional.cross_entropy(model(x), y).item())  # in evaluation, too
    assert not augment.training and all(p.grad is None for p in model.parameters())


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=8))
def test_best_so_far_equals_a_loop(pairs: list[tuple[int, int]]) -> None:
    scores, outcomes = zip(*pairs, strict=True)
    expected = [outcomes[max(range(k), key=lambda i: scores[i])] for k in range(1, len(pairs) + 1)]
    both = torch.tensor([scores, scores]), torch.tensor([outcomes, outcomes])
    assert best_so_far(*both).tolist() == [expected, expected]


def test_best_so_far_keeps_dtype_and_device(device: torch.device) -> None:
    scores, outcomes = torch.rand(2, 5, device=device), torch.arange(10).view(2, 5).to(device)
    out = best_so_far(scores, outcomes)
    assert out.dtype == torch.int64 and out.device.type == device.type
    assert torch.equal(out.cpu(), best_so_far(scores.cpu(), outcomes.cpu()))


def test_an_operation_of_ones_own() -> None:
    def mirror(x: Tensor, value: Tensor) -> Tensor:
        return torch.where(value[:, None, None, None] > 0, x.flip(3), x)

    x = images(3)
    out = RandAugment(1, 10, operations={"mirror": Operation(mirror)})(x, generator=generator())
    assert torch.equal(out, x.flip(3))


def test_best_so_far_goes_along_the_last_dimension() -> None:
    scores = torch.tensor([[[1.0, 3.0, 2.0], [2.0, 1.0, 3.0]]])
    assert best_so_far(scores, scores).tolist() == [[[1.0, 3.0, 3.0], [2.0, 2.0, 3.0]]]
