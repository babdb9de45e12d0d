"""`tricks_lib.learning.schedules`: functions of the step against torch's schedulers, and the plateau rule."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, Optimizer, lr_scheduler

from tricks_lib.learning.loop import load_checkpoint, save_checkpoint, update
from tricks_lib.learning.schedules import (
    Cosine,
    Cyclical,
    Exponential,
    InverseSqrt,
    InverseTime,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Restarts,
    Schedule,
    StepDecay,
    Then,
    Warmup,
    factors,
)

EXAMPLES: list[Schedule] = [
    InverseTime(0.3),
    InverseSqrt(0.7),
    Exponential(0.9),
    StepDecay(7, 0.3),
    Linear(11, 0.2, 0.9),
    Polynomial(13, 2.5, 0.1),
    Cosine(17, 0.05),
    Warmup(5),
    Then(Warmup(4), 3, Then(Linear(6, end=0.4), 8, Cosine(9))),
    Restarts(3, 2, 0.1),
    Cyclical(4, 0.2, 7, 0.6),
    OneCycle(19, 0.4, 0.2, 0.01),
]
IDS = [type(schedule).__name__ for schedule in EXAMPLES]


def optimizer(lr: float = 1.0, **options: float) -> Optimizer:
    return SGD([nn.Parameter(torch.zeros(2, dtype=torch.float64))], lr=lr, **options)


def rates(make: Callable[[Optimizer], Any], steps: int, lr: float = 1.0, **options: float) -> list[float]:
    """What a torch scheduler sets, from the first step on."""
    own, found = optimizer(lr, **options), []
    scheduler = make(own)
    for _ in range(steps):
        found.append(own.param_groups[0]["lr"])
        own.step()
        scheduler.step()
    return found


def close(ours: Callable[[int], float], theirs: list[float], atol: float = 1e-12) -> None:
    np.testing.assert_allclose(factors(ours, len(theirs)).numpy(), theirs, rtol=0, atol=atol)


# ---- values computed by hand


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (InverseTime(), [1, 1 / 2, 1 / 3, 1 / 4]),
        (InverseTime(0.5), [1, 2 / 3, 1 / 2, 2 / 5]),
        (InverseSqrt(), [1, 2**-0.5, 3**-0.5, 1 / 2]),
        (InverseSqrt(3.0), [1, 1 / 2, 7**-0.5, 10**-0.5]),
        (Exponential(0.5), [1, 0.5, 0.25, 0.125]),
        (StepDecay(2, 0.25), [1, 1, 0.25, 0.25, 0.0625]),
        (StepDecay(3), [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        (Linear(4), [1, 0.75, 0.5, 0.25, 0, 0, 0]),
        (Linear(2, 0.25, 0.75), [0.25, 0.5, 0.75, 0.75]),
        (Polynomial(4), [1, 9 / 16, 1 / 4, 1 / 16, 0, 0]),
        (Polynomial(2, 1.0, 0.5), [1, 0.75, 0.5, 0.5]),
        (Cosine(3), [1, 0.75, 0.25, 0, 0, 0]),
        (Cosine(2, 0.5), [1, 0.75, 0.5, 0.5]),
        (Warmup(4), [0.25, 0.5, 0.75, 1, 1, 1]),
        (Warmup(1), [1, 1]),
        (Then(Warmup(2), 2, Linear(2)), [0.5, 1, 1, 0.5, 0, 0]),
        (Then(Linear(2), 1, Warmup(4)), [1, 0.25, 0.5, 0.75, 1, 1]),
        (Restarts(2), [1, 0.5, 1, 0.5, 1]),
        (Restarts(1, 2), [1, 1, 0.5, 1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5, 1]),
        (Restarts(2, 1, 0.5), [1, 0.75, 1, 0.75]),
        (Cyclical(2, 0.5), [0.5, 0.75, 1, 0.75, 0.5, 0.75]),
        (Cyclical(1, 0.0, 3), [0, 1, 2 / 3, 1 / 3, 0, 1]),
        (Cyclical(1, 0.0, shrink=0.5), [0, 1, 0, 0.5, 0, 0.25]),
        (OneCycle(6, 0.5, 0.5, 0.0), [0.5, 0.75, 1, 0.75, 0.25, 0, 0, 0]),
    ],
)
def test_values_computed_by_hand(schedule: Schedule, expected: list[float]) -> None:
    np.testing.assert_allclose([schedule(step) for step in range(len(expected))], expected, rtol=0, atol=1e-15)


def test_defaults() -> None:
    assert [InverseTime(), InverseSqrt()] == [InverseTime(1.0), InverseSqrt(1.0)]
    assert [StepDecay(9), Linear(9), Polynomial(9)] == [StepDecay(9, 0.5), Linear(9, 1.0, 0.0), Polynomial(9, 2.0, 0.0)]
    assert [Cosine(9), Restarts(9)] == [Cosine(9, 0.0), Restarts(9, 1, 0.0)]
    assert OneCycle(9) == OneCycle(9, 0.3, 0.04, 4e-6)
    assert factors(Cyclical(9), 60).equal(factors(Cyclical(9, 0.25, 9, 1.0), 60))
    plateau = Plateau()
    assert (plateau.factor, plateau.patience, plateau.threshold, plateau.relative) == (0.5, 5, 1e-4, True)
    assert (plateau.cooldown, plateau.lowest, plateau.highest, plateau.multiplier) == (0, 0.0, False, 1.0)


# ---- the same as torch's schedulers, in float64


def test_lambda_lr_is_driven_by_every_schedule() -> None:
    for schedule in EXAMPLES:
        found = rates(lambda own, s=schedule: lr_scheduler.LambdaLR(own, s), 60, lr=0.3)
        assert found == [0.3 * schedule(step) for step in range(60)]


@given(st.integers(1, 20), st.floats(0.05, 1))
def test_steps_as_in_torch(every: int, gamma: float) -> None:
    close(StepDecay(every, gamma), rates(lambda own: lr_scheduler.StepLR(own, every, gamma), 50))


@given(st.floats(0.5, 1))
def test_exponential_as_in_torch(gamma: float) -> None:
    close(Exponential(gamma), rates(lambda own: lr_scheduler.ExponentialLR(own, gamma), 50))


@given(st.integers(1, 60), st.floats(0.01, 1), st.floats(0, 1))
def test_linear_as_in_torch(steps: int, start: float, end: float) -> None:
    close(Linear(steps, start, end), rates(lambda own: lr_scheduler.LinearLR(own, start, end, steps), 50))


@given(st.integers(1, 60), st.floats(0.5, 4))
def test_polynomial_as_in_torch(steps: int, power: float) -> None:
    close(Polynomial(steps, power), rates(lambda own: lr_scheduler.PolynomialLR(own, steps, power), 50))


@given(st.integers(2, 60), st.floats(0, 0.9))
def test_cosine_as_in_torch_up_to_its_end(steps: int, end: float) -> None:
    theirs = rates(lambda own: lr_scheduler.CosineAnnealingLR(own, steps, end), steps + 1)
    close(Cosine(steps, end), theirs)


def test_torch_s_cosine_goes_up_again_after_its_end() -> None:
    theirs = rates(lambda own: lr_scheduler.CosineAnnealingLR(own, 10), 21)
    assert theirs[10] == pytest.approx(0, abs=1e-12) and theirs[20] == pytest.approx(1, abs=1e-12)
    assert Cosine(10)(10) == Cosine(10)(15) == Cosine(10)(20) == 0


def test_warmup_as_torch_s_linear_that_starts_one_step_late() -> None:
    close(Warmup(8), rates(lambda own: lr_scheduler.LinearLR(own, 1 / 8, 1.0, 7), 20))


@given(st.integers(1, 9), st.integers(1, 4), st.floats(0, 0.9))
def test_restarts_as_in_torch(steps: int, mult: int, end: float) -> None:
    theirs = rates(lambda own: lr_scheduler.CosineAnnealingWarmRestarts(own, steps, mult, end), 100)
    close(Restarts(steps, mult, end), theirs)


def test_torch_misses_a_restart_when_it_is_told_the_epoch() -> None:
    """1 + 3 + 9 + 27 + 81 = 121: but log(243, 3) is below 5."""
    own = optimizer()
    lr_scheduler.CosineAnnealingWarmRestarts(own, 1, 3).step(121)
    assert own.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
    assert Restarts(1, 3)(121) == 1
    assert [step for step in range(122) if Restarts(1, 3)(step) == 1] == [0, 1, 4, 13, 40, 121]


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 0.9), st.sampled_from(["triangular", "triangular2"]))
def test_cycles_as_in_torch(up: int, down: int, low: float, mode: Any) -> None:
    def make(own: Optimizer) -> Any:
        return lr_scheduler.CyclicLR(own, low, 1.0, up, down, mode=mode, cycle_momentum=False)

    close(Cyclical(up, low, down, 0.5 if mode == "triangular2" else 1.0), rates(make, 60))


@given(st.integers(7, 60), st.floats(0.2, 0.9), st.floats(2, 40), st.floats(2, 1e5))
def test_one_cycle_as_in_torch(steps: int, rise: float, start: float, end: float) -> None:
    def make(own: Optimizer) -> Any:
        options: dict[str, Any] = {"pct_start": rise, "div_factor": start, "final_div_factor": end}
        return lr_scheduler.OneCycleLR(own, 1.0, steps, cycle_momentum=False, **options)

    close(OneCycle(steps, rise, 1 / start, 1 / start / end), rates(make, steps))


def test_torch_s_one_cycle_goes_up_after_its_end_and_then_fails() -> None:
    own = optimizer()
    scheduler = lr_scheduler.OneCycleLR(own, 1.0, 10, cycle_momentum=False)
    found = []
    for _ in range(10):
        own.step()
        scheduler.step()
        found.append(own.param_groups[0]["lr"])
    assert found[9] > 100 * found[8]
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        scheduler.step()
    ours = OneCycle(10, 0.3, 1 / 25, 1 / 25e4)
    assert ours(9) == ours(10) == ours(99) == pytest.approx(found[8], abs=1e-15)


def test_a_chain_as_in_torch() -> None:
    def make(own: Optimizer) -> Any:
        parts = [lr_scheduler.LinearLR(own, 1 / 5, 1.0, 4), lr_scheduler.CosineAnnealingLR(own, 12)]
        return lr_scheduler.SequentialLR(own, parts, milestones=[5])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SequentialLR passes the epoch, which torch has deprecated
        theirs = rates(make, 18)
    close(Then(Warmup(5), 5, Cosine(12)), theirs)


def test_warm_up_and_inverse_square_root_are_the_transformer_s() -> None:
    width = 10
    paper = [min(t**-0.5, t * width**-1.5) * width**0.5 for t in range(1, 101)]
    close(Then(Warmup(width), width - 1, InverseSqrt(1 / width)), paper)


def test_a_rate_of_one_over_the_step_is_the_running_mean() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w = torch.zeros(3, dtype=torch.float64)
    for t, sample in enumerate(x):
        w = w - InverseTime()(t) * (w - sample)
    torch.testing.assert_close(w, x.mean(0), rtol=0, atol=1e-14)


# ---- what all schedules have in common


@pytest.mark.parametrize("schedule", EXAMPLES, ids=IDS)
def test_factors_stay_between_zero_and_one(schedule: Schedule) -> None:
    table = factors(schedule, 300)
    assert (table >= 0).all() and (table <= 1 + 1e-15).all()
    assert type(schedule(0)) is type(schedule(250)) is float


@pytest.mark.parametrize("end", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("make", [Linear, Polynomial, Cosine, OneCycle])
def test_the_last_value_is_held_for_ever(make: Any, end: float) -> None:
    schedule = make(12, end=end)
    assert schedule(12) == schedule(13) == schedule(10**9) == pytest.approx(end, abs=1e-15)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=IDS)
def test_steps_may_be_asked_for_in_any_order(schedule: Schedule) -> None:
    there = [schedule(step) for step in range(40)]
    assert [schedule(step) for step in reversed(range(40))] == there[::-1]
    assert [schedule(np.int64(step)) for step in range(40)] == there
    assert [schedule(torch.tensor(step)) for step in range(40)] == there  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", EXAMPLES, ids=IDS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_are_equal_frozen_and_hashable(schedule: Schedule, copied: Callable[[Schedule], Schedule]) -> None:
    assert copied(schedule) == schedule and hash(copied(schedule)) == hash(schedule)
    name = dataclasses.fields(schedule)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, name, 3)


@given(st.integers(2, 200), st.floats(0, 1))
def test_decays_never_rise_and_a_warm_up_never_falls(steps: int, end: float) -> None:
    for schedule in (Linear(steps, 1.0, end), Polynomial(steps, 1.5, end), Cosine(steps, end), InverseSqrt(1 / steps)):
        assert (factors(schedule, 2 * steps).diff() <= 1e-15).all()
    assert (factors(Warmup(steps), 2 * steps).diff() >= 0).all() and Warmup(steps)(0) > 0


@given(st.integers(1, 30), st.integers(1, 200))
def test_warm_up_and_decay_meet_without_a_jump(warm: int, rest: int) -> None:
    table = factors(Then(Warmup(warm), warm, Cosine(rest)), warm + rest + 1)
    assert table[warm - 1] == table[warm] == 1 and table[-1] == 0
    assert table.diff().abs().max() <= max(1 / warm, math.pi / 2 / rest) + 1e-12


@given(st.integers(1, 20), st.integers(2, 4), st.integers(0, 3000))
def test_restarts_by_exact_fractions(steps: int, mult: int, step: int) -> None:
    cycle = 0
    while Fraction(steps * (mult ** (cycle + 1) - 1), mult - 1) <= step:
        cycle += 1
    since = step - Fraction(steps * (mult**cycle - 1), mult - 1)
    expected = (1 + math.cos(math.pi * float(since / (steps * mult**cycle)))) / 2
    assert Restarts(steps, mult)(step) == pytest.approx(expected, abs=1e-12)


def test_restarts_of_equal_length_far_out_take_no_time() -> None:
    assert Restarts(10)(10**15 + 5) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=IDS)
def test_the_step_is_checked(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="step must be 0 or more, got -1"):
        schedule(-1)
    with pytest.raises(TypeError):
        schedule(0.5)  # type: ignore[arg-type]


def test_a_schedule_without_a_formula_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Schedule()  # type: ignore[abstract]


WHOLE = "must be a whole number, at least 1, got"
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *(
        (lambda k=k: InverseTime(k), ValueError, "k must be a finite number above 0")
        for k in (0, -1, math.inf, math.nan, "1")
    ),
    *((lambda k=k: InverseSqrt(k), ValueError, "k must be a finite number above 0") for k in (0, -0.1, None)),
    *(
        (lambda g=g: Exponential(g), ValueError, r"gamma must be in \(0, 1\], got")
        for g in (0, 1.01, -1, math.nan, "a")
    ),
    *((lambda e=e: StepDecay(e), ValueError, f"every {WHOLE}") for e in (0, -3, 2.0, True, None)),
    (lambda: StepDecay(3, 0), ValueError, r"gamma must be in \(0, 1\], got 0"),
    (lambda: Linear(0), ValueError, f"steps {WHOLE} 0"),
    (lambda: Linear(3, 1.5), ValueError, r"start must be in \[0, 1\], got 1.5"),
    (lambda: Linear(3, 1, -0.5), ValueError, r"end must be in \[0, 1\], got -0.5"),
    (lambda: Polynomial(2.5), ValueError, f"steps {WHOLE} 2.5"),  # type: ignore[arg-type]
    (lambda: Polynomial(3, 0), ValueError, "power must be a finite number above 0, got 0"),
    (lambda: Polynomial(3, 1, 2), ValueError, r"end must be in \[0, 1\], got 2"),
    (lambda: Cosine(0), ValueError, f"steps {WHOLE} 0"),
    (lambda: Cosine(3, math.nan), ValueError, r"end must be in \[0, 1\], got nan"),
    (lambda: Warmup(0), ValueError, f"steps {WHOLE} 0"),
    (lambda: Then(Warmup(2), 0, Cosine(3)), ValueError, f"steps {WHOLE} 0"),
    (lambda: Then(1.0, 2, Cosine(3)), TypeError, "first must be a schedule, a function of the step, got 1.0"),  # type: ignore[arg-type]
    (lambda: Then(Warmup(2), 2, None), TypeError, "second must be a schedule, a function of the step, got None"),  # type: ignore[arg-type]
    (lambda: Restarts(0), ValueError, f"steps {WHOLE} 0"),
    (lambda: Restarts(3, 0), ValueError, f"mult {WHOLE} 0"),
    (lambda: Restarts(3, 1.5), ValueError, f"mult {WHOLE} 1.5"),  # type: ignore[arg-type]
    (lambda: Restarts(3, 2, 1.5), ValueError, r"end must be in \[0, 1\], got 1.5"),
    (lambda: Cyclical(0), ValueError, f"up {WHOLE} 0"),
    (lambda: Cyclical(3, 2), ValueError, r"low must be in \[0, 1\], got 2"),
    (lambda: Cyclical(3, 0.1, 0), ValueError, f"down {WHOLE} 0"),
    (lambda: Cyclical(3, 0.1, 3, 0), ValueError, r"shrink must be in \(0, 1\], got 0"),
    (lambda: OneCycle(0), ValueError, f"steps {WHOLE} 0"),
    (lambda: OneCycle(10, 0.1), ValueError, r"rise must be in \(1 / steps, 1\) with steps = 10, got 0.1"),
    (lambda: OneCycle(10, 1), ValueError, r"rise must be in \(1 / steps, 1\) with steps = 10, got 1"),
    (lambda: OneCycle(10, "a"), ValueError, "rise must be in"),  # type: ignore[arg-type]
    (lambda: OneCycle(10, start=1.5), ValueError, r"start must be in \[0, 1\], got 1.5"),
    (lambda: OneCycle(10, end=-1), ValueError, r"end must be in \[0, 1\], got -1"),
    *((lambda f=f: Plateau(f), ValueError, r"factor must be in \(0, 1\), got") for f in (0, 1, 1.5, math.nan)),
    (lambda: Plateau(patience=-1), ValueError, "patience must be a whole number, at least 0, got -1"),
    (lambda: Plateau(threshold=-1), ValueError, "threshold must be a finite number, 0 or more, got -1"),
    (lambda: Plateau(threshold=math.inf), ValueError, "threshold must be a finite number, 0 or more, got inf"),
    (lambda: Plateau(cooldown=0.5), ValueError, "cooldown must be a whole number, at least 0, got 0.5"),  # type: ignore[arg-type]
    (lambda: Plateau(lowest=2), ValueError, r"lowest must be in \[0, 1\], got 2"),
    (lambda: factors(Cosine(3), -1), ValueError, "steps must be a whole number, at least 0, got -1"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_arguments_are_checked(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_limits_that_are_allowed() -> None:
    assert Exponential(1)(9) == Linear(1, 0, 1)(9) == Polynomial(1, 1, 1)(9) == Cosine(1, 1)(9) == 1
    assert Cyclical(1, 1, 1, 1)(5) == Restarts(1, 1, 1)(7) == OneCycle(3, 0.34, 1, 1)(2) == 1
    assert Plateau(0.5, 0, 0, lowest=1).step(math.nan) == 1


# ---- factors


def test_factors_are_a_table_on_the_device_asked_for(device: torch.device) -> None:
    table = factors(StepDecay(2), 5, device=device)
    assert table.device.type == device.type and table.dtype == torch.float64
    assert table.cpu().tolist() == [1, 1, 0.5, 0.5, 0.25]
    assert factors(Cosine(3), 0).shape == (0,)
    assert factors(lambda step: step, 3).tolist() == [0, 1, 2]


def test_nothing_is_drawn(global_rng_untouched: None) -> None:
    for schedule in EXAMPLES:
        factors(schedule, 30)
    Plateau().step(1.0)


# ---- resuming


def run(folder: Path, schedule: Callable[[int], float], stops: tuple[int, ...], scores: list[float]) -> list[float]:
    """Train one batch per score in one go or with stops, in which everything is built anew; return the rates."""
    found: list[float] = []

    def build() -> tuple[nn.Module, Optimizer, Any, Any]:
        rule = copy.deepcopy(schedule)
        model = nn.Linear(3, 2)
        own = SGD(model.parameters(), lr=0.1)
        return model, own, lr_scheduler.LambdaLR(own, rule), rule

    model, own, scheduler, rule = build()
    batch = [(torch.ones(4, 3), torch.zeros(4, 2))]
    for epoch, score in enumerate(scores):
        if epoch in stops:
            save_checkpoint(folder / "run.pt", model=model, optimizer=own, schedule=scheduler)
            model, own, scheduler, rule = build()
            load_checkpoint(folder / "run.pt", model=model, optimizer=own, schedule=scheduler)
        found.append(own.param_groups[0]["lr"])
        update(model, batch, nn.functional.mse_loss, own, schedule=scheduler)
        if isinstance(rule, Plateau):
            rule.step(score)
    return found


@pytest.mark.parametrize("schedule", [*EXAMPLES, Plateau(0.5, 1, cooldown=1)], ids=[*IDS, "Plateau"])
def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(schedule: Any, tmp_path: Path) -> None:
    scores = [3.0, 2, 2, 2, 1, 1, 2, 3, 2, 1, 1, 0.5, 1, 1, 1, 1, 1, 1]
    once = run(tmp_path, schedule, (), scores)
    assert run(tmp_path, schedule, (2, 5, 9, 14), scores) == once
    assert len(set(once)) > 2


# ---- the plateau rule


def test_counts_by_hand() -> None:
    plateau = Plateau(factor=0.1, patience=2, threshold=0.0)
    found = [plateau.step(score) for score in (5, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3)]
    np.testing.assert_allclose(found, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01], rtol=1e-15)
    assert (plateau.best, plateau.failures, plateau(7), plateau(0)) == (3, 0, plateau.multiplier, plateau.multiplier)


def test_a_cooldown_forgives_failures() -> None:
    plateau = Plateau(patience=0, cooldown=2)
    assert [plateau.step(1.0) for _ in range(8)] == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_the_factor_has_a_floor() -> None:
    plateau = Plateau(patience=0, lowest=0.3)
    assert [plateau.step(1.0) for _ in range(5)] == [1, 0.5, 0.3, 0.3, 0.3]


SCORES = st.lists(st.floats(0.01, 10) | st.sampled_from([1.0, 0.5, math.nan, math.inf]), max_size=40)


@given(SCORES, st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.0, 1e-4, 0.1]), st.booleans(), st.booleans())
def test_plateau_as_in_torch(
    scores: list[float], patience: int, cooldown: int, threshold: float, relative: bool, highest: bool
) -> None:
    own = optimizer()
    theirs = lr_scheduler.ReduceLROnPlateau(
        own,
        "max" if highest else "min",
        0.5,
        patience,
        threshold,
        "rel" if relative else "abs",
        cooldown,
        min_lr=0.01,
        eps=0.0,
    )
    ours = Plateau(0.5, patience, threshold, relative, cooldown, 0.01, highest)
    for score in scores:
        theirs.step(score)
        assert ours.step(torch.tensor(score, dtype=torch.float64)) == own.param_groups[0]["lr"]
        theirs_now = (theirs.best, theirs.num_bad_epochs, max(theirs.cooldown_counter, 0))
        assert (ours.best, ours.failures, ours.cooling) == theirs_now


@pytest.mark.parametrize("highest", [False, True])
def test_negative_scores_that_stand_still_are_no_improvement(highest: bool) -> None:
    """torch takes them for one, since its threshold lies on the wrong side."""
    own = optimizer()
    mode: Any = "max" if highest else "min"
    theirs, ours = lr_scheduler.ReduceLROnPlateau(own, mode, 0.5, 1), Plateau(patience=1, highest=highest)
    for _ in range(10):
        theirs.step(-1.0)
        ours.step(-1.0)
    assert own.param_groups[0]["lr"] == 1 and ours.multiplier == 0.5**4


def test_negative_scores_have_to_beat_the_threshold() -> None:
    lower, higher = Plateau(threshold=0.1), Plateau(threshold=0.1, highest=True)
    for score, best in ((-1.0, -1.0), (-1.05, -1.0), (-1.2, -1.2)):
        lower.step(score)
        assert lower.best == best
    for score, best in ((-1.0, -1.0), (-0.95, -1.0), (-0.8, -0.8)):
        higher.step(score)
        assert higher.best == best


def test_an_absolute_threshold_is_an_amount() -> None:
    plateau = Plateau(threshold=0.5, relative=False)
    for score, best in ((4.0, 4.0), (3.6, 4.0), (3.4, 3.4)):
        plateau.step(score)
        assert plateau.best == best


@given(SCORES.filter(len), st.integers(0, 39))
def test_a_state_goes_on_where_it_was_taken(scores: list[float], cut: int) -> None:
    whole, first = Plateau(patience=1, cooldown=1), Plateau(patience=1, cooldown=1)
    expected = [whole.step(score) for score in scores]
    found = [first.step(score) for score in scores[:cut]]
    second = Plateau(patience=1, cooldown=1)
    second.load_state_dict(first.state_dict())
    assert found + [second.step(score) for score in scores[cut:]] == expected
    assert second.state_dict() == whole.state_dict() and second == whole


def test_state_is_plain_and_checked() -> None:
    plateau = Plateau(highest=True)
    assert plateau.state_dict() == {"multiplier": 1.0, "best": -math.inf, "failures": 0, "cooling": 0}
    with pytest.raises(ValueError, match="state must hold multiplier, best, failures, cooling, got best"):
        plateau.load_state_dict({"best": 3})
    assert plateau.best == -math.inf


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_of_a_plateau_are_apart(copied: Callable[[Plateau], Plateau]) -> None:
    plateau = Plateau(patience=0)
    plateau.step(1.0)
    other = copied(plateau)
    assert other == plateau
    other.step(1.0)
    assert (plateau.multiplier, other.multiplier) == (1.0, 0.5)


def test_a_plateau_can_be_multiplied_with_a_warm_up() -> None:
    own, plateau, warmup = optimizer(0.4), Plateau(patience=0), Warmup(4)
    scheduler = lr_scheduler.LambdaLR(own, lambda step: warmup(step) * plateau(step))
    found = []
    for _ in range(6):
        found.append(own.param_groups[0]["lr"])
        own.step()
        plateau.step(1.0 if len(found) != 1 else 2.0)
        scheduler.step()
    np.testing.assert_allclose(found, [0.1, 0.2, 0.3, 0.2, 0.1, 0.05], rtol=1e-12)
