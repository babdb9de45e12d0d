"""`tricks_lib.experiment.checking`: answers to exercises, here and in the book."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jupytext
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tricks_lib.experiment.checking import Answer, Check, Verdict

BOOK = Path(__file__).parents[2] / "book"


@pytest.fixture(autouse=True)
def gentle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRICKS_STRICT", raising=False)


def test_right_wrong_and_known_wrong() -> None:
    check = Check(accept=[3, 7], reject={4: "One too many."})
    assert check(3) == check(7.0) == Verdict(True)
    assert check(4) == Verdict(False, "One too many.")
    assert check(5) == Verdict(False)
    assert check(None) == Verdict(False, "Put your answer in place of None.")
    assert check(3) and not check(4)


def test_verdicts_are_read_as_words() -> None:
    assert [repr(Verdict(True)), repr(Verdict(False)), repr(Verdict(False, "Why?"))] == [
        "Right.",
        "Not yet.",
        "Not yet. Why?",
    ]


@given(st.floats(-100, 100), st.floats(0, 1))
def test_tolerance_is_a_closed_interval(answer: float, tolerance: float) -> None:
    assert bool(Check(accept=[2.0], tolerance=tolerance)(answer)) == (abs(answer - 2.0) <= tolerance)


def test_known_wrong_answers_may_be_rounded_but_have_no_tolerance() -> None:
    check = Check(accept=[1.0], reject={2: "Twice as much.", -4.02421: "The sign."}, tolerance=0.5)
    assert check(2.1) == check(1.9) == Verdict(False)
    assert check(2).hint == "Twice as much." and not check(2.001).hint
    assert check(-4).hint == check(-4.02).hint == "The sign." and not check(4.02421).hint and not check(-4.07).hint


def test_of_two_near_mistakes_the_nearest_is_meant() -> None:
    check = Check(accept=[1.0], reject={0.5: "Half.", 0.503: "A little more than half."})
    assert [check(answer).hint for answer in (0.501, 0.502)] == ["Half.", "A little more than half."]


def test_texts_are_compared_without_case_and_blanks() -> None:
    check = Check(accept=["The first half"], reject={"the last": "Look again."})
    assert check(" the FIRST half\n")
    assert check("The Last").hint == "Look again."
    assert not check("first half")


@pytest.mark.parametrize(
    ("accepted", "given"), [(1, True), (True, 1), (1, "1"), ("1", 1), ("true", True), (0, False), (0.0, "")]
)
def test_types_are_kept_apart(accepted: Answer, given: Answer) -> None:
    assert not Check(accept=[accepted])(given)
    assert Check(accept=[accepted])(accepted)


def test_tensors_and_numpy_numbers_are_numbers() -> None:
    check = Check(accept=[3])
    assert check(torch.tensor(3)) and check(torch.tensor([3.0])) and check(torch.ones(3).sum().numpy()[()])
    assert Check(accept=[True])(torch.tensor(True))


def test_a_right_answer_is_not_rejected() -> None:
    with pytest.raises(ValueError, match=r"reject must hold no right answer, got \[1.04\] with accept=\[1.0\]"):
        Check(accept=[1], reject={1.04: "Close."}, tolerance=0.05)
    Check(accept=[1], reject={1.06: "Close."}, tolerance=0.05)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"accept": []}, ValueError, r"accept must be a sequence of right answers, got \[\]"),
        ({"accept": "yes"}, ValueError, "accept must be a sequence of right answers, got 'yes'"),
        ({"accept": [1], "tolerance": -0.1}, ValueError, "tolerance must be 0 or more, got -0.1"),
        ({"accept": [1], "tolerance": math.nan}, ValueError, "tolerance must be 0 or more, got nan"),
        (
            {"accept": [1], "reject": {2: " "}},
            ValueError,
            r"reject must have a hint for each answer, got none for \[2.0\]",
        ),
        ({"accept": [math.nan]}, TypeError, "accept must be a number, a text or a bool, got nan"),
        ({"accept": [None]}, TypeError, "accept must be a number, a text or a bool, got None"),
        ({"accept": [1], "reject": {(1, 2): "No."}}, TypeError, "reject must be a number, a text or a bool"),
    ],
)
def test_checks_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Check(**options)


@pytest.mark.parametrize("answer", [math.nan, [3], torch.tensor([1, 2]), 1j])
def test_other_answers_are_refused(answer: Any) -> None:
    with pytest.raises(TypeError, match="answer must be a number, a text or a bool, got"):
        Check(accept=[3])(answer)


def test_the_book_itself_must_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check(accept=[3], reject={4: "One too many."})
    monkeypatch.setenv("TRICKS_STRICT", "1")
    assert check(3)
    assert not check(None)
    for wrong in (4, 5):
        with pytest.raises(ValueError, match=rf"answer must be one of \[3.0\], got {wrong}.0"):
            check(wrong)
    monkeypatch.setenv("TRICKS_STRICT", "0")
    assert not check(5)


def cells_with_checks() -> list[Any]:
    """Return each cell of the book that makes a check, with the page it is on."""
    found = []
    for page in sorted(BOOK.rglob("*.md")):
        if "Check(" in (text := page.read_text("utf8")):
            cells = jupytext.reads(text, fmt="md:myst").cells
            found += [
                pytest.param(cell.source, id=f"{page.relative_to(BOOK).as_posix()}-{n}")
                for n, cell in enumerate(c for c in cells if c.cell_type == "code")
                if "Check(" in cell.source
            ]
    return found


@pytest.mark.parametrize("source", cells_with_checks())
def test_checks_of_the_book_accept_and_reject(source: str) -> None:
    """Such a cell runs by itself; what it lists as right is right, what it lists as wrong is wrong, with its hint."""
    names: dict[str, Any] = {"Check": Check}  # an earlier cell may have imported it
    exec(source, names)
    checks = [value for value in names.values() if isinstance(value, Check)]
    assert checks
    for check in checks:
        assert all(check(answer) for answer in check.accept)
        assert check.reject, "a check of the book knows at least one wrong answer"
        assert [check(answer) for answer in check.reject] == [Verdict(False, hint) for hint in check.reject.values()]


def test_the_book_has_checks() -> None:
    assert cells_with_checks()
