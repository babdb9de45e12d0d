"""`make claims` names claims with too little spare, claims that break, and numbers that no seed moves."""

from __future__ import annotations

from typing import Any

import pytest

from tools.claims import broken, line, spare, unmoved, warnings


def claim(**changes: Any) -> dict[str, Any]:
    base = {"id": "d01-gain", "chapter": "book/data/x", "sentence": "It gains.", "kind": "effect", "holds": True}
    return base | {"mean": 2.0, "low": 1.5, "high": 2.5, "margin": 1.0, "n": 32, "z": 11.0} | changes


@pytest.mark.parametrize(("n", "z"), [(8, 12), (16, 12), (32, 10), (64, 10), (24, 12 - 2 * 0.5849625007)])
def test_spare(n: int, z: float) -> None:
    assert spare(n) == pytest.approx(z)


def test_a_claim_with_spare_has_no_mark() -> None:
    assert warnings(claim()) == []
    assert "holds" in line(claim()) and "z = 11.0" in line(claim())


def test_marks() -> None:
    assert warnings(claim(z=9.9)) == ["too little spare: z should be 10"]
    assert warnings(claim(margin=0.49)) == ["margin below a quarter of the effect"]
    assert warnings(claim(kind="null", margin=0.49)) == []
    assert warnings(claim(n=15, z=20.0)) == ["fewer than 16 seeds"]
    assert warnings(claim(z=None)) == ["no spread over seeds: what do the seeds move?"]
    assert warnings(claim(kind="report", z=None, n=4, margin=0.0)) == []
    assert warnings(claim(kind="exact", z=None, n=None)) == []


def test_broken_says_where_and_how_much() -> None:
    assert broken([claim(), claim(kind="report", holds=None)]) == []
    (said,) = broken([claim(holds=False, low=0.9)], " under the seed base 7")
    for word in ("book/data/x", "d01-gain", "It gains.", "0.9", "margin 1", "under the seed base 7"):
        assert word in said
    (said,) = broken([claim(kind="exact", holds=False, low=None, high=None, n=None, z=None)])
    assert "mean 2.0" in said
    assert "DOES NOT HOLD" in line(claim(holds=False))


def number(name: str, value: float, exact: bool = False) -> dict[str, Any]:
    return {"chapter": "book/data/x", "name": name, "value": value, "exact": exact}


def test_a_number_must_move_unless_it_is_exact() -> None:
    first = [number("gain", 1.0), number("side", 28, exact=True)]
    assert unmoved([[number("gain", 1.1), number("side", 28, exact=True)]], first) == []
    (stuck,) = unmoved([[number("gain", 1.0), number("side", 28, exact=True)]], first)
    assert "gain is the same under all seeds" in stuck
    (moved,) = unmoved([[number("gain", 1.1), number("side", 29, exact=True)]], first)
    assert "side is glued as exact, but seeds move it" in moved
