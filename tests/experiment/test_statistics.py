"""Statistics: against tables, against scipy used another way, and by simulation."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from tricks_lib.experiment.statistics import Estimate, Proportion, over_seeds, paired, proportion

T975 = {2: 12.706204736, 5: 2.776445105, 16: 2.131449546, 32: 2.039513446}  # t table, n - 1 degrees of freedom
numbers = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-9)  # squares of less underflow in scipy
samples = st.lists(numbers, min_size=2, max_size=40)


def test_a_case_by_hand():
    e = paired([3.0, 5.0, 4.0, 8.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0])  # differences 2 3 1 4 0: mean 2, variance 2.5
    assert (e.n, e.mean, e.wins) == (5, 2.0, 4)
    assert e.se == pytest.approx(math.sqrt(0.5), rel=1e-14)
    assert e.low == pytest.approx(2 - T975[5] * math.sqrt(0.5), abs=1e-9)
    assert e.high == pytest.approx(2 + T975[5] * math.sqrt(0.5), abs=1e-9)


@pytest.mark.parametrize("n", T975)
def test_the_t_table(n, rng):
    x = torch.randn(n, generator=rng, dtype=torch.float64)
    e = over_seeds(x)
    assert (e.high - e.low) / 2 == pytest.approx(T975[n] * x.std().item() / n**0.5, rel=1e-9)
    assert (e.high + e.low) / 2 == pytest.approx(x.mean().item(), rel=1e-12)
    assert e.wins is None


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40))
def test_parity_with_the_two_sample_test_of_scipy(pairs):
    a, b = np.array(pairs).T
    exact = [Fraction(p) - Fraction(q) for p, q in zip(a, b, strict=True)]
    spread, size = max(exact) - min(exact), max(map(abs, exact))
    assume(spread > size * Fraction(1, 1000))  # scipy itself loses digits below
    e, theirs = paired(a, b), stats.ttest_rel(a, b).confidence_interval(0.95)
    room = 1e-11 * float(size)
    assert e.low == pytest.approx(theirs.low, abs=room)
    assert e.high == pytest.approx(theirs.high, abs=room)
    assert e.mean == pytest.approx(float(sum(exact) / len(exact)), abs=room)
    assert e.se == pytest.approx(stats.sem(a - b), abs=room)
    assert e.wins == sum(d > 0 for d in exact)


@given(samples, st.data())
def test_order_sign_and_shift(x, data):
    e = over_seeds(x)
    room = 1e-9 * max(1.0, max(map(abs, x)))
    y = over_seeds(data.draw(st.permutations(x)))
    assert [y.mean, y.low, y.high, y.se] == pytest.approx([e.mean, e.low, e.high, e.se], abs=room)
    minus = over_seeds([-v for v in x])
    assert [minus.mean, minus.low, minus.high] == pytest.approx([-e.mean, -e.high, -e.low], abs=room)
    moved = over_seeds([v + 1000 for v in x])
    assert [moved.low - 1000, moved.high - 1000, moved.se] == pytest.approx([e.low, e.high, e.se], abs=room)
    assert e.low <= e.mean <= e.high and e.se >= 0
    assert min(x) - room <= e.mean <= max(x) + room


@given(samples, st.floats(-1e6, 1e6))
def test_swapping_the_arms_turns_the_sign(a, shift):
    b = [v * 0.5 + shift for v in a]
    e, f = paired(a, b), paired(b, a)
    assert (f.mean, f.low, f.high, f.se) == (-e.mean, -e.high, -e.low, e.se)
    assert e.wins + f.wins + sum(p == q for p, q in zip(a, b, strict=True)) == len(a)
    assert paired(a, [0.0] * len(a)) == Estimate(**{**vars(over_seeds(a)), "wins": sum(v > 0 for v in a)})


@given(st.floats(-1e300, 1e300), st.integers(2, 20))
def test_equal_numbers_have_a_point_as_interval(value, n):
    assert over_seeds([value] * n) == Estimate(n, value, value, value, 0.0, None)
    e = paired([value] * n, [0.0] * n)
    assert e == Estimate(n, value, value, value, 0.0, n if value > 0 else 0)


def test_ties_are_no_wins():
    assert paired([1.0, 2.0, 3.0], [1.0, 2.0, 2.0]).wins == 1


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-8, 1.0, 1e8, 1e160, 1e300])
def test_no_size_overflows_or_underflows(scale):
    e = over_seeds([scale, 2 * scale, 3 * scale])
    assert e.se / scale == pytest.approx(3**-0.5, rel=1e-12)
    assert (e.low / scale, e.high / scale) == pytest.approx((2 - 2.484137712, 2 + 2.484137712), rel=1e-8)


def test_nearly_equal_numbers_keep_their_spread():
    x = [1.0, 1 + 2**-52, 1 + 2**-51]  # a variance from squares, or scipy on these, warns or gives 0
    assert over_seeds(x).se == pytest.approx(2**-52 / 3**0.5, rel=1e-12)


def test_an_interval_too_wide_for_floats_is_infinite_not_an_error():
    e = over_seeds([1.7e308, 0.0, 0.0])
    assert (e.low, e.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool]
)
def test_every_dtype_counts_in_double_precision(dtype):
    x = torch.tensor([1, 0, 1, 1, 0, 1, 1]).to(dtype)
    assert over_seeds(x) == over_seeds([1, 0, 1, 1, 0, 1, 1])


def test_every_container_gives_the_same(device, rng):
    x = torch.randn(7, generator=rng, dtype=torch.float32)
    expected = over_seeds(x.tolist())
    on_device = x.clone().to(device).requires_grad_()
    for same in (
        x,
        on_device,
        x.numpy(),
        tuple(x.tolist()),
        list(on_device),
        [v.numpy() for v in x],
        on_device.flip(0).flip(0),
    ):
        assert over_seeds(same) == expected
    assert paired(on_device, x.numpy()).mean == 0
    assert torch.equal(on_device.detach().cpu(), x)


def test_numpy_arrays_are_not_touched():
    a, b = np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])
    paired(a, b)
    assert a.tolist() == [3, 1, 2] and b.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: paired([1.0, 2.0, 3.0], [1.0, 2.0]),
            ValueError,
            "a and b must have one number per seed each, got 3 and 2",
        ),
        (lambda: paired([1.0], [2.0]), ValueError, r"a must have shape \(n,\) with n >= 2, .* got \(1,\)"),
        (lambda: paired([1.0, 2.0], 3.0), ValueError, r"b must have shape \(n,\) .* got \(\)"),
        (lambda: over_seeds([]), ValueError, r"x must have shape .* got \(0,\)"),
        (lambda: over_seeds(torch.ones(2, 3)), ValueError, r"x must have shape .* got \(2, 3\)"),
        (lambda: over_seeds([[1, 2], [3]]), ValueError, r"x must have shape \(n,\), one number per seed: "),
        (
            lambda: over_seeds([torch.ones(2), torch.ones(3)]),
            ValueError,
            r"x must have shape \(n,\), one number per seed: ",
        ),
        (lambda: over_seeds("123"), TypeError, "x must hold one real number per seed, got str of <U1"),
        (lambda: over_seeds([1.0, None]), TypeError, "x must hold one real number per seed, got list of object"),
        (lambda: over_seeds(torch.tensor([1j, 2.0])), TypeError, "x must hold .* got Tensor of complex128"),
        (lambda: paired([1.0, 2.0], ["a", "b"]), TypeError, "b must hold one real number per seed"),
        (
            lambda: paired([1.0, math.nan, math.inf, 2.0], [1.0] * 4),
            ValueError,
            "a: 2 of 4 entries are non-finite: compare a bounded metric",
        ),
        (
            lambda: paired([1.0] * 3, torch.tensor([1.0, -math.inf, 1.0])),
            ValueError,
            "b: 1 of 3 entries are non-finite",
        ),
        (lambda: over_seeds([math.nan, 1.0]), ValueError, "x: 1 of 2 entries are non-finite"),
        (lambda: paired([1e308, 1.0], [-1e308, 1.0]), ValueError, "a - b: 1 of 2 entries are non-finite"),
        (lambda: over_seeds([1e308, -1e308]), ValueError, "x: 1 of 2 entries are non-finite"),
        (lambda: proportion(3, 0), ValueError, "n must be at least 1, got 0"),
        (lambda: proportion(4, 3), ValueError, "successes must be between 0 and n = 3, got 4"),
        (lambda: proportion(-1, 3), ValueError, "successes must be between 0 and n = 3, got -1"),
        (lambda: proportion(0.5, 3), TypeError, "successes must be a whole number, got 0.5"),
        (lambda: proportion(1, 3.0), TypeError, "n must be a whole number, got 3.0"),
        (lambda: proportion(5, 9).z(1.5), ValueError, "margin of a proportion must be between 0 and 1, got 1.5"),
        (lambda: proportion(5, 9).z(-0.1), ValueError, "margin of a proportion must be between 0 and 1, got -0.1"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_z():
    e = Estimate(n=4, mean=2.0, low=1.0, high=3.0, se=0.5, wins=4)
    assert (e.z(), e.z(1.0), e.z(margin=3.0)) == (4.0, 2.0, -2.0)
    point = Estimate(n=4, mean=2.0, low=2.0, high=2.0, se=0.0, wins=4)
    assert (point.z(1.0), point.z(3.0)) == (math.inf, -math.inf)
    assert math.isnan(point.z(2.0))


@given(samples, st.floats(-1e6, 1e6))
def test_the_lower_end_clears_a_margin_when_z_does(x, margin):
    e = over_seeds(x)
    t = stats.t.ppf(0.975, len(x) - 1)
    assume(e.se > 0 and abs(e.low - margin) > 1e-9 * (abs(margin) + abs(e.low) + e.se))
    assert (e.low > margin) == (e.z(margin) > t)


@given(st.data(), st.integers(1, 300), st.floats(0.001, 0.999))
def test_wilson_from_its_formula_and_its_z(data, n, margin):
    k = data.draw(st.integers(0, n))
    e, q = proportion(k, n), stats.norm.ppf(0.975)
    center, half = k / n + q * q / (2 * n), q * math.sqrt(k * (n - k) / n**3 + q * q / (4 * n * n))
    assert e.low == pytest.approx((center - half) / (1 + q * q / n), abs=1e-12)
    assert e.high == pytest.approx((center + half) / (1 + q * q / n), abs=1e-12)
    assert isinstance(e, Proportion) and (e.n, e.wins, e.mean) == (n, k, k / n)
    assert e.se == pytest.approx(math.sqrt(k / n * (1 - k / n) / n), abs=1e-15)
    assert e.z(margin) == pytest.approx((k / n - margin) / math.sqrt(margin * (1 - margin) / n), rel=1e-12)
    assume(abs(e.low - margin) > 1e-9)
    assert (e.low > margin) == (e.z(margin) > q)


def test_certainty_needs_more_than_all_of_a_few():
    assert proportion(32, 32).z(0.9) < 1.96 and proportion(32, 32).low < 0.9
    assert proportion(0, 5).low == 0 and proportion(5, 5).high == 1
    assert proportion(3, 3).z(0.0) == math.inf and math.isnan(proportion(3, 3).z(1.0))
    assert proportion(torch.tensor([True, False, True]).sum(), np.int64(3)).wins == 2


@pytest.mark.parametrize(
    ("draw", "n"),
    [
        pytest.param(lambda g, n: (g.normal(0.3, 1, n), g.normal(0.0, 1, n)), 5, id="normal-5"),
        pytest.param(lambda g, n: (g.normal(0.3, 1, n), g.normal(0.0, 1, n)), 32, id="normal-32"),
        pytest.param(
            lambda g, n: (g.binomial(500, 0.96, n) / 500, g.binomial(500, 0.95, n) / 500), 16, id="accuracy-16"
        ),
        pytest.param(lambda g, n: (g.binomial(200, 0.80, n) / 200, g.binomial(200, 0.75, n) / 200), 8, id="accuracy-8"),
    ],
)
def test_the_interval_covers_in_95_of_100(draw, n):
    repeats, g = 2000, np.random.default_rng(12)
    truth = {5: 0.3, 32: 0.3, 16: 0.01, 8: 0.05}[n]
    intervals = [paired(*draw(g, n)) for _ in range(repeats)]
    covered = sum(e.low <= truth <= e.high for e in intervals) / repeats
    assert abs(covered - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / repeats)
    above = sum(e.low > truth for e in intervals) / repeats  # and it errs to both sides alike
    assert abs(above - 0.025) < 3.5 * math.sqrt(0.025 * 0.975 / repeats)


@settings(max_examples=20)
@given(samples)
def test_an_estimate_is_made_of_plain_numbers_and_cannot_be_changed(x):
    for e in (over_seeds(x), proportion(1, len(x))):
        assert [type(v) for v in (e.n, e.mean, e.low, e.high, e.se)] == [int, float, float, float, float]
        with pytest.raises(FrozenInstanceError):
            e.mean = 0.0
    assert type(paired(x, [0.0] * len(x)).wins) is int


def test_importing_does_not_load_scipy():
    code = (
        "import sys, tricks_lib.experiment.statistics as s; assert not any(m.startswith('scipy') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
