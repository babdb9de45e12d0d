"""Claims: when they hold, what they refuse, what the card says, and that the record reaches the notebook."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment import notebook
from tricks_lib.experiment import card
from tricks_lib.experiment.claims import Claim, ClaimError, Kind, claim
from tricks_lib.experiment.seeding import seeds
from tricks_lib.experiment.statistics import Estimate, Proportion, over_seeds, paired, proportion

GOOD = Estimate(n=32, mean=3.21, low=2.914, high=3.506, se=0.145, wins=31)
SMALL = Estimate(n=16, mean=-0.05, low=-0.27, high=0.17, se=0.1, wins=7)
LEVEL = Estimate(n=8, mean=96.04, low=95.9, high=96.18, se=0.06, wins=None)
OFTEN = Proportion(n=32, mean=0.96875, low=0.8426, high=0.9945, se=0.03076, wins=31)
ARGUMENTS = {
    "effect": {"result": GOOD, "margin": 0.5, "unit": "points"},
    "null": {"result": SMALL, "margin": 0.5, "unit": "points"},
    "theory": {"result": LEVEL, "margin": 100.0},
    "exact": {"result": -2.5e-13, "margin": 1e-12},
    "rate": {"result": OFTEN, "margin": 0.8},
    "report": {"result": LEVEL, "unit": "%"},
    "fact": {"result": None, "source": "yadav2019", "regime": ""},
}
FAILING = {
    "effect": {"result": SMALL, "margin": 0.5},
    "null": {"result": GOOD, "margin": 0.5},
    "theory": {"result": LEVEL, "margin": 96.0},
    "exact": {"result": math.nan, "margin": 1e-12},
    "rate": {"result": OFTEN, "margin": 0.9},
}


def make(kind: str, **changes) -> Claim:
    arguments = {"id": "d03-constant-pixels", "sentence": "It helps.", "regime": "digits8", "kind": kind}
    return claim(**{**arguments, **ARGUMENTS[kind], **changes})


def interval(low: float, high: float) -> Estimate:
    return Estimate(n=9, mean=(low + high) / 2, low=low, high=high, se=(high - low) / 4, wins=5)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("TRICKS_STRICT", "TRICKS_CHAPTER"):
        monkeypatch.delenv(name, raising=False)


# When a claim holds


def test_the_examples_cover_all_kinds():
    assert set(ARGUMENTS) == set(get_args(Kind)) and set(FAILING) == set(get_args(Kind)) - {"report", "fact"}


@pytest.mark.parametrize(
    ("kind", "result", "margin", "holds"),
    [
        ("effect", interval(0.6, 1.0), 0.5, True),
        ("effect", interval(0.5, 1.0), 0.5, False),  # the lower end must be above, not at
        ("effect", interval(0.4, 9.0), 0.5, False),
        ("effect", interval(-9.0, -4.0), 0.5, False),
        ("null", interval(-0.4, 0.4), 0.5, True),
        ("null", interval(-0.5, 0.4), 0.5, False),
        ("null", interval(-0.4, 0.5), 0.5, False),
        ("null", interval(0.1, 0.6), 0.5, False),
        ("null", interval(-0.6, -0.1), 0.5, False),
        ("theory", interval(-0.02, 0.01), 0.05, True),
        ("theory", interval(-0.05, 0.01), 0.05, False),
        ("theory", interval(0.04, 0.06), 0.05, False),
        ("theory", interval(-0.07, -0.01), 0.05, False),
        ("exact", 0.0, 0.0, True),
        ("exact", 1e-12, 1e-12, True),
        ("exact", -1e-12, 1e-12, True),
        ("exact", 1.1e-12, 1e-12, False),
        ("exact", -1.1e-12, 1e-12, False),
        ("exact", math.nan, 1.0, False),
        ("exact", -math.inf, 1.0, False),
        ("rate", Proportion(9, 0.8, 0.51, 0.9, 0.1, 7), 0.5, True),
        ("rate", Proportion(9, 0.8, 0.5, 0.9, 0.1, 7), 0.5, False),
        ("report", interval(-9.0, -4.0), 0.0, None),
        ("report", OFTEN, 0.0, None),
        ("fact", None, 0.0, None),
    ],
)
def test_holds(kind, result, margin, holds):
    assert make(kind, result=result, margin=margin).holds is holds


@pytest.mark.parametrize("kind", FAILING)
def test_the_failing_examples_fail_and_the_others_hold(kind):
    assert make(kind, **FAILING[kind]).holds is False
    assert make(kind).holds is True


def test_z_is_the_distance_to_the_margin_on_the_safe_side():
    assert make("effect").z == pytest.approx((3.21 - 0.5) / 0.145, rel=1e-14)
    assert make("null").z == pytest.approx((0.5 - 0.05) / 0.1, rel=1e-14)
    assert make("null", result=GOOD).z == pytest.approx((0.5 - 3.21) / 0.145, rel=1e-14)
    assert make("theory").z == pytest.approx((100 - 96.04) / 0.06, rel=1e-12)
    assert make("rate").z == OFTEN.z(0.8) == pytest.approx((0.96875 - 0.8) / math.sqrt(0.8 * 0.2 / 32), rel=1e-14)
    assert make("exact").z is make("report").z is make("fact").z is None
    point = Estimate(3, 1.0, 1.0, 1.0, 0.0, 3)
    assert make("effect", result=point).z == math.inf and make("null", result=point).z == -math.inf


# The same against the same


def train(seed_list: list[int], lr: float) -> torch.Tensor:
    """Accuracies in percent of one softmax regression per seed on 8x8 digits, with its own split, start and order."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = (torch.as_tensor(a) for a in datasets.load_digits(return_X_y=True))
    x, k = (x.to(torch.get_default_dtype()) - 4.9) / 6, len(seed_list)
    generators = [torch.Generator().manual_seed(s) for s in seed_list]
    order = torch.stack([torch.randperm(len(x), generator=g) for g in generators])
    w = torch.stack([0.01 * torch.randn(64, 10, generator=g) for g in generators])
    for step in range(60):
        i = order[:, 32 * (step % 10) : 32 * (step % 10 + 1)]
        error = torch.bmm(x[i], w).softmax(-1) - torch.nn.functional.one_hot(y[i], 10)
        w -= lr * torch.bmm(x[i].mT, error) / 32
    test = order[:, -500:]
    assert w.shape == (k, 64, 10)
    return 100 * (torch.bmm(x[test], w).argmax(-1) == y[test]).double().mean(-1)


def test_two_halves_of_the_seeds_of_one_setting_show_no_effect():
    for part in range(8):
        drawn = seeds(f"part-{part}", "train", 64, base=0)
        same = paired(train(drawn[:32], lr=0.1), train(drawn[32:], lr=0.1))
        assert same.se > 0.05  # the halves do differ
        assert make("effect", result=same).holds is False
        better = paired(train(drawn[:32], lr=0.1), train(drawn[:32], lr=0.003))
        assert make("effect", result=better).holds is True
        assert make("null", result=better).holds is False


def test_false_alarms_are_as_rare_as_the_margin_makes_them():
    g = np.random.default_rng(5)
    same = [paired(g.normal(96, 0.7, 32), g.normal(96, 0.7, 32)) for _ in range(2000)]
    alarms = {m: sum(make("effect", result=e, margin=m).holds for e in same) for m in (1e-9, 0.5)}
    assert alarms[0.5] == 0
    assert abs(alarms[1e-9] / 2000 - 0.025) < 3.5 * math.sqrt(0.025 * 0.975 / 2000)  # without a margin: 1 in 40


# What is refused


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        *[
            ({"id": bad}, ValueError, "id must be trick and name in kebab case")
            for bad in (
                "d3-x",
                "D03-x",
                "x03-x",
                "d03",
                "d03-",
                "d03-X",
                "d03-a--b",
                "d03-a_b",
                "d03-a\n",
                "d03-\u00e4",
                3,
            )
        ],
        *[
            ({"sentence": bad}, ValueError, "sentence must be one line that ends with a period")
            for bad in ("", ".", "...", "It helps", "It helps. ", " It helps.", "It\nhelps.", "It\u2028helps.", None)
        ],
        *[({"regime": bad}, ValueError, "regime must say in one line") for bad in ("", " ", "a\nb", None)],
        *[({"unit": bad}, ValueError, "unit must be one line or empty") for bad in (" ", "a\nb", None)],
        *[({"source": bad}, ValueError, "source must be one key") for bad in ("", "two keys", "a,b", 7)],
        *[
            ({"margin": bad}, ValueError, "margin must be a finite")
            for bad in (-1, math.nan, math.inf, "1", True, None)
        ],
    ],
)
def test_bad_words_and_margins(changes, error, message):
    with pytest.raises(error, match=message):
        make("effect", **changes)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("effect", {"result": LEVEL}, r"must be the difference of two arms: paired\(a, b\); got Estimate\(n=8"),
        ("effect", {"result": OFTEN}, "must be the difference of two arms"),
        ("effect", {"result": 3.0}, "must be the difference of two arms"),
        ("effect", {"result": None}, "must be the difference of two arms"),
        ("null", {"result": OFTEN}, "must be an Estimate"),
        ("null", {"result": 0.0}, "must be an Estimate"),
        ("theory", {"result": OFTEN}, "must be an Estimate of measured - predicted"),
        ("theory", {"result": 0.0}, "must be an Estimate of measured - predicted"),
        ("exact", {"result": GOOD}, "must be one number"),
        ("exact", {"result": True}, "must be one number"),
        ("exact", {"result": torch.tensor(True)}, "must be one number"),
        ("exact", {"result": torch.zeros(2)}, "must be one number"),
        ("exact", {"result": "0"}, "must be one number"),
        ("rate", {"result": LEVEL}, "must be proportion"),
        ("rate", {"result": 0.9}, "must be proportion"),
        ("report", {"result": 0.9}, "must be an Estimate"),
        ("report", {"result": None}, "must be an Estimate"),
        ("fact", {"result": LEVEL}, "must be None: a fact is cited"),
    ],
)
def test_a_result_of_the_wrong_type(kind, changes, message):
    with pytest.raises(TypeError, match=f"result of a claim of kind '{kind}' {message}"):
        make(kind, **changes)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        *[
            (k, {"margin": 0}, f"margin of a claim of kind '{k}' must be above 0")
            for k in ("effect", "null", "theory", "rate")
        ],
        ("rate", {"margin": 1.0}, "margin of a rate must be below 1, got 1.0"),
        ("report", {"margin": 0.5}, "margin must be 0 for a report: it is not judged, got 0.5"),
        ("fact", {"margin": 0.5}, "margin must be 0 for a fact"),
        ("fact", {"source": None}, "source must be given for a fact"),
        ("report", {"regime": ""}, "regime must say"),
        ("fact", {"regime": " "}, "regime must say"),
    ],
)
def test_a_kind_refuses(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        make(kind, **changes)


@pytest.mark.parametrize("kind", ["guess", "Effect", "", None])
def test_an_unknown_kind(kind):
    with pytest.raises(ValueError, match=f"kind must be one of effect, null, .*, fact, got {kind!r}"):
        claim("d03-a", "It helps.", GOOD, regime="digits8", margin=0.5, kind=kind)


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), np.int64(2), torch.tensor(2.0), torch.tensor(2)])
def test_numbers_of_every_library(number, device):
    if isinstance(number, torch.Tensor):
        number = number.to(device)
    made = make("exact", result=number, margin=number)
    assert made.holds and (type(made.result), type(made.margin), made.result, made.margin) == (float, float, 2.0, 2.0)


def test_effect_is_the_default_and_a_claim_cannot_be_changed():
    made = claim("m01-a", "It helps.", GOOD, regime="digits8", margin=1)
    assert (made.kind, made.trick, made.unit, made.source) == ("effect", "M01", "", None)
    with pytest.raises(FrozenInstanceError):
        made.margin = 0.0
    made.record["holds"] = False
    assert made.record["holds"] is True


# Strict under the build, gentle for a reader


@pytest.mark.parametrize("kind", FAILING)
def test_strict_raises_with_everything_one_needs_to_know(kind, monkeypatch):
    gentle = make(kind, **FAILING[kind])
    assert card.verdict(gentle) == "does not hold here"
    monkeypatch.setenv("TRICKS_STRICT", "1")
    monkeypatch.setenv("TRICKS_CHAPTER", "data/looking")
    with pytest.raises(ClaimError) as error:
        make(kind, **FAILING[kind])
    start = "claim d03-constant-pixels of data/looking does not hold: It helps. Measured: "
    assert isinstance(error.value, AssertionError) and str(error.value).startswith(start)
    for _, text in card.rows(gentle):
        assert text in str(error.value)


def test_the_message_in_full(monkeypatch):
    monkeypatch.setenv("TRICKS_STRICT", "1")
    with pytest.raises(ClaimError) as error:
        make("effect", result=SMALL, margin=0.5)
    assert str(error.value) == (
        "claim d03-constant-pixels does not hold: It helps. "
        "Measured: -0.05 points (95 % interval -0.27 to +0.17), above 0 in 7 of 16 seeds. "
        "Needed: interval above 0.5 points. Spare: z = -5.5 (standard errors between mean and margin). Regime: digits8."
    )


def test_strict_lets_pass_what_holds_or_is_not_judged(monkeypatch):
    monkeypatch.setenv("TRICKS_STRICT", "1")
    for kind in get_args(Kind):
        make(kind)
    make("report", result=interval(-9.0, -4.0))


@pytest.mark.parametrize("value", ["0", "", "true", "11"])
def test_only_1_is_strict(value, monkeypatch):
    monkeypatch.setenv("TRICKS_STRICT", value)
    assert make("effect", **FAILING["effect"]).holds is False


# The record


def test_the_record_in_full():
    assert make("effect", source="lecun1998").record == {
        "id": "d03-constant-pixels",
        "trick": "D03",
        "kind": "effect",
        "sentence": "It helps.",
        "regime": "digits8",
        "mean": 3.21,
        "low": 2.914,
        "high": 3.506,
        "se": 0.145,
        "of": "Estimate",
        "margin": 0.5,
        "unit": "points",
        "n": 32,
        "wins": 31,
        "z": GOOD.z(0.5),
        "holds": True,
        "source": "lecun1998",
    }
    measured = ["mean", "low", "high", "margin", "n", "wins", "z", "holds"]
    assert [make("exact").record[k] for k in measured] == [-2.5e-13, None, None, 1e-12, None, None, None, True]
    assert [make("report").record[k] for k in measured] == [96.04, 95.9, 96.18, 0.0, 8, None, None, None]
    assert [make("fact").record[k] for k in measured] == [None, None, None, 0.0, None, None, None, None]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_record_is_json(kind):
    for changes in ({}, FAILING.get(kind, {})):
        record = make(kind, **changes).record
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert list(record) == list(make("effect").record)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_record_becomes_the_claim_again(kind):
    for changes in ({}, FAILING.get(kind, {})):
        made = make(kind, **changes)
        again = Claim.from_record(json.loads(json.dumps(made.record)))
        assert card.as_html(again) == card.as_html(made) and again.record == made.record
        assert type(again.result) is type(made.result)


def test_what_json_cannot_hold_is_none():
    nothing = Estimate(n=3, mean=math.nan, low=-math.inf, high=math.inf, se=0.0, wins=0)
    record = make("report", result=nothing).record
    assert record["mean"] is record["low"] is record["high"] is None
    assert make("effect", result=Estimate(3, 1.0, 1.0, 1.0, 0.0, 3)).record["z"] is None
    assert make("exact", result=math.inf).record["mean"] is None
    assert "deviation inf" in str(make("exact", result=math.inf)) and "nan" in str(make("report", result=nothing))
    assert "svg" not in card.as_html(make("null", result=nothing))


# The card


@pytest.mark.parametrize(
    ("kind", "changes", "lines"),
    [
        (
            "effect",
            {"sentence": "A helps."},
            [
                "Claim d03-constant-pixels (effect): holds",
                "A helps.",
                "Measured: +3.21 points (95 % interval +2.91 to +3.51), above 0 in 31 of 32 seeds",
                "Needed: interval above 0.5 points",
                "Spare: z = 18.7 (standard errors between mean and margin)",
                "Regime: digits8",
            ],
        ),
        (
            "null",
            {"result": GOOD, "margin": 4, "source": "he2015"},
            [
                "Claim d03-constant-pixels (null): holds",
                "It helps.",
                "Measured: +3.21 points (95 % interval +2.91 to +3.51), above 0 in 31 of 32 seeds",
                "Needed: interval between -4 and 4 points",
                "Spare: z = 5.4 (standard errors between mean and margin)",
                "Regime: digits8",
                "Source: he2015",
            ],
        ),
        (
            "theory",
            {"margin": 96},
            [
                "Claim d03-constant-pixels (theory): does not hold here",
                "It helps.",
                "Measured: +96.04 (95 % interval +95.90 to +96.18), 8 seeds",
                "Needed: interval between -96 and 96",
                "Spare: z = -0.7 (standard errors between mean and margin)",
                "Regime: digits8",
            ],
        ),
        (
            "exact",
            {"unit": "px"},
            [
                "Claim d03-constant-pixels (exact): holds",
                "It helps.",
                "Measured: deviation -2.5e-13 px",
                "Needed: absolute value at most 1e-12 px",
                "Regime: digits8",
            ],
        ),
        (
            "rate",
            {},
            [
                "Claim d03-constant-pixels (rate): holds",
                "It helps.",
                "Measured: 31 of 32 (0.969, 95 % interval 0.843 to 0.995)",
                "Needed: interval above 0.8",
                "Spare: z = 2.4 (standard errors between mean and margin)",
                "Regime: digits8",
            ],
        ),
        (
            "report",
            {},
            [
                "Claim d03-constant-pixels (report): reported, not judged",
                "It helps.",
                "Measured: 96.04 % (95 % interval 95.90 to 96.18), 8 seeds",
                "Regime: digits8",
            ],
        ),
        (
            "fact",
            {},
            ["Claim d03-constant-pixels (fact): cited", "It helps.", "Source: yadav2019"],
        ),
    ],
)
def test_the_text_in_full(kind, changes, lines):
    assert str(make(kind, **changes)) == "\n  ".join(lines)


@pytest.mark.parametrize(
    ("low", "high", "margin", "shown"),
    [
        (2.914, 3.506, 0.5, "+3.21 (95 % interval +2.91 to +3.51)"),
        (0.31, 22.1, 0.1, "+11.2 (95 % interval +0.3 to +22.1)"),
        (120.0, 5300.0, 50.0, "+2710 (95 % interval +120 to +5300)"),
        (-0.0004, 0.0003, 0.5, "-0.00005 (95 % interval -0.00040 to +0.00030)"),
        (-0.001, 9.0, 0.5, "+4.5 (95 % interval +0.0 to +9.0)"),
        (1.2e-9, 3.4e-9, 1e-9, "+2.3e-09 (95 % interval +1.2e-09 to +3.4e-09)"),
        (1.0e6, 3.0e6, 1.0, "+2000000 (95 % interval +1000000 to +3000000)"),
        (1.2e-5, 3.4e-5, 1e-5, "+0.000023 (95 % interval +0.000012 to +0.000034)"),
        (1.0e9, 3.0e9, 1.0, "+2.0e+09 (95 % interval +1.0e+09 to +3.0e+09)"),
        (0.502, 1.9, 0.5, "+1.201 (95 % interval +0.502 to +1.900)"),
        (0.499996, 1.9, 0.5, "+1.199998 (95 % interval +0.499996 to +1.900000)"),
        (0.25, 0.25, 0.5, "+0.25 (95 % interval +0.25 to +0.25)"),
        (0.50000001, 0.50000001, 0.5, "+0.50000001 (95 % interval +0.50000001 to +0.50000001)"),
    ],
)
def test_as_many_digits_as_the_interval_can_bear(low, high, margin, shown):
    assert card.measured(make("effect", result=interval(low, high), margin=margin, unit="")).startswith(shown)


def test_a_deviation_just_beyond_its_margin_shows_that():
    assert card.measured(make("exact", result=1.00001e-12)) == "deviation 1.00001e-12"
    assert card.measured(make("exact", result=-0.25, margin=1)) == "deviation -0.25"


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.floats(1e-9, 1e9))
def test_the_shown_numbers_agree_with_the_verdict(low, width, margin):
    margin = float(f"{margin:.3g}")
    e = interval(low, low + width)
    for kind in ("effect", "null"):
        made = make(kind, result=e, margin=margin, unit="")
        shown_low, shown_high = map(float, re.search(r"interval (\S+) to (\S+?)\)", str(made)).groups())
        shown = {"effect": shown_low > margin, "null": -margin < shown_low and shown_high < margin}[kind]
        assert shown is made.holds
        room = 0.051 * (e.high - e.low) or 1e-3 * abs(low)  # half a unit of two digits of the half-width
        assert abs(shown_low - e.low) <= room and abs(shown_high - e.high) <= room


def parsed(made: Claim) -> ElementTree.Element:
    return ElementTree.fromstring(card.as_html(made))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_html_says_what_the_text_says(kind):
    for changes in ({}, FAILING.get(kind, {})):
        made = make(kind, **changes)
        div = parsed(made)
        state = {True: "holds", False: "fails", None: "unjudged"}[made.holds]
        assert div.attrib == {
            "class": f"claim claim-{kind} claim-{state}",
            "id": "card-d03-constant-pixels",
            "role": "group",
            "aria-label": "Claim d03-constant-pixels",
        }
        words = "".join(div.itertext()).replace("\u2212", "-")
        for text in (kind, made.sentence, card.verdict(made), made.id, *sum(card.rows(made), ())):
            assert text in words
        assert [dt.text for dt in div.iter("dt")] == [label for label, _ in card.rows(made)]
        assert not any("style" in e.attrib or e.tag in ("script", "style", "img") for e in div.iter())


words = (
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=30).map(str.strip).filter(bool)
)


@given(words, words, words)
def test_no_text_becomes_markup(sentence, regime, unit):
    evil = "</p><script>x</script> & \"'"
    made = make("effect", sentence=f"{sentence} {evil}.", regime=f"{regime} {evil}", unit=f"{unit} {evil}")
    div = parsed(made)
    assert div.findtext("p/strong") == made.sentence
    assert [e.tag for e in div.iter()] == [e.tag for e in parsed(make("effect")).iter()]
    pairs = zip(div.iter("dt"), div.iter("dd"), strict=True)
    details = {label.text: text.text.replace("\u2212", "-") for label, text in pairs}
    assert details == {label: text.replace("\u2212", "-") for label, text in card.rows(made)}
    assert "<script" not in card.as_html(made)


def test_a_minus_is_a_minus_sign_and_a_hyphen_stays():
    made = make("null", regime="mnist14-n500, base -3, 1e-3", margin=1e-5)
    details = [e.text for e in parsed(made).iter("dd")]
    assert details[0].startswith("\u22120.05 points (95 % interval \u22120.27 to +0.17)")
    assert details[1] == "interval between \u22121e-05 and 1e-05 points"
    assert details[3] == "mnist14-n500, base \u22123, 1e-3"


def bar(made: Claim) -> dict[str, list[float]]:
    """Where the parts of the bar stand, from left to right."""
    svg = parsed(made).find("p/svg")
    where = {"mean": [float(svg.find("circle").get("cx"))]}
    for line in svg.iter("line"):
        name = line.get("class").removeprefix("claim-bar-")
        x1, x2 = float(line.get("x1")), float(line.get("x2"))
        assert (
            (x1 == x2 and line.get("y1") != line.get("y2")) if name != "interval" else line.get("y1") == line.get("y2")
        )
        where.setdefault(name, []).extend([x1, x2] if name == "interval" else [x1])
    assert (svg.get("width"), svg.get("height"), svg.get("viewBox")) == ("240", "24", "0 0 240 24")
    assert svg.get("role") == "img" and svg.get("stroke") == "currentColor"
    return where


def test_the_bar_is_to_scale():
    b = bar(make("effect", result=interval(2.0, 4.0), margin=1.0))
    assert b == {"zero": [6.0], "margin": [63.0], "interval": [120.0, 234.0], "mean": [177.0]}
    b = bar(make("null", result=interval(-0.25, 0.75), margin=1.0))
    assert b == {"zero": [120.0], "margin": [6.0, 234.0], "interval": [91.5, 205.5], "mean": [148.5]}
    b = bar(make("rate", result=Proportion(9, 0.75, 0.5, 0.875, 0.1, 7), margin=0.25))
    assert b == {"zero": [6.0], "margin": [63.0], "interval": [120.0, 205.5], "mean": [177.0]}
    b = bar(make("report", result=Estimate(4, 0.0, 0.0, 0.0, 0.0, 0)))
    assert b == {"zero": [6.0], "interval": [6.0, 6.0], "mean": [6.0]}


def test_the_bar_in_words():
    svg = parsed(make("null")).find("p/svg")
    assert svg.get("aria-label") == (
        "Interval bar: \u22120.05 points (95 % interval \u22120.27 to +0.17), above 0 in 7 of 16 seeds. "
        "Needed: interval between \u22120.5 and 0.5 points."
    )
    assert parsed(make("null")).findtext("p/small") == "line: 0, dashed: \u22120.5 and 0.5"
    assert parsed(make("report", result=GOOD)).findtext("p/small") == "line: 0"
    assert parsed(make("rate")).findtext("p/small") == "from 0 to 1, dashed: 0.8"
    endless = make("effect", result=interval(-math.inf, 1.0))
    for without in (make("report"), make("exact"), make("fact"), endless):
        assert card.bar(without) == "" and parsed(without).find("p/svg") is None


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300), st.floats(1e-300, 1e300))
def test_nothing_leaves_the_bar(low, width, margin):
    where = bar(make("effect", result=interval(low, low + width), margin=margin))
    assert all(6 <= x <= 234 for xs in where.values() for x in xs)


# In the notebook


def test_the_bundle_is_deterministic():
    made = make("effect")
    bundle, metadata = made._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"text/html": card.as_html(made), "text/plain": str(made)}
    assert metadata == {"tricks_claim": made.record}
    assert (bundle, metadata) == make("effect")._repr_mimebundle_()


CELLS = [
    """from tricks_lib.experiment.claims import claim
from tricks_lib.experiment.statistics import paired, proportion
gain = paired([4.0, 5.0, 6.0], [1.0, 1.0, 1.0])
claim("d07-last", "The last expression is shown.", gain, regime="none", margin=0.1)""",
    'display(claim("d07-shown", "It is displayed.", proportion(3, 3), kind="rate", regime="none", margin=0.1))\nNone',
    'claim("d07-lost", "It is not the last.", gain, regime="none", margin=0.1)\nNone',
    'claim("d07-fails", "It does not hold.", gain, regime="none", margin=100)',
]


def test_the_record_reaches_the_notebook(tmp_path):
    cells = notebook.run(CELLS, tmp_path, TRICKS_STRICT="1", TRICKS_CHAPTER="data/whitening").cells
    (last,), (shown,), lost, (failed,) = (c.outputs for c in cells)
    assert (last.output_type, shown.output_type, lost) == ("execute_result", "display_data", [])
    gain = paired([4.0, 5.0, 6.0], [1.0, 1.0, 1.0])
    expected = claim("d07-last", "The last expression is shown.", gain, regime="none", margin=0.1)
    assert last.metadata == {"tricks_claim": expected.record}
    assert last.data == {"text/html": card.as_html(expected), "text/plain": str(expected)}
    assert shown.metadata["tricks_claim"]["id"] == "d07-shown" and shown.metadata["tricks_claim"]["wins"] == 3
    assert (failed.output_type, failed.ename) == ("error", "ClaimError")
    assert failed.evalue.startswith(
        "claim d07-fails of data/whitening does not hold: It does not hold. Measured: +4.0 "
    )


def test_importing_loads_neither_ipython_nor_scipy():
    code = (
        "import sys, tricks_lib.experiment.claims, tricks_lib.experiment.numbers\n"
        "assert not {'IPython', 'scipy', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_over_seeds_fits_theory():
    assert claim("m03-gain", "It is one.", over_seeds([0.01, -0.01, 0.02]), regime="x", kind="theory", margin=0.5).holds
    assert claim("m03-rate", "Often.", proportion(32, 32), regime="x", kind="rate", margin=0.8).holds
