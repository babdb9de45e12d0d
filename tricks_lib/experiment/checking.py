"""Answers to exercises: accept the right ones, and say to a known wrong one what is wrong with it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import cast

from torch import Tensor

__all__ = ["Answer", "Check", "Verdict"]

Answer = bool | float | str
ROUNDED = 0.01  # of a known wrong answer that is no whole number: with more or fewer digits it is the same mistake


@dataclass(frozen=True)
class Verdict:
    """What a `Check` says about an answer. True if the answer is right.

    Examples
    --------
    >>> Verdict(False, "That is the number of images.")
    Not yet. That is the number of images.
    """

    right: bool
    hint: str = ""

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return " ".join([("Not yet.", "Right.")[self.right], self.hint]).strip()


class Check:
    """Accept right answers to an exercise and reject known wrong ones with a hint.

    Parameters
    ----------
    accept
        Right answers: numbers, texts (case and outer blanks do not matter) or bools. At least one.
    reject
        Known wrong answers, each with the hint that it earns.
    tolerance
        How far a number may be from one in `accept` and still be right.

    Raises
    ------
    ValueError
        If nothing is accepted, a right answer is also rejected, or `tolerance` is negative.

    Examples
    --------
    >>> check = Check(accept=[0.25], reject={4: "The other way round: divide by the classes."}, tolerance=0.01)
    >>> check(0.251)
    Right.
    >>> check(4)
    Not yet. The other way round: divide by the classes.
    >>> check(7)
    Not yet.
    """

    def __init__(
        self, accept: Sequence[Answer], reject: Mapping[Answer, str] | None = None, *, tolerance: float = 0.0
    ) -> None:
        if not tolerance >= 0:
            raise ValueError(f"tolerance must be 0 or more, got {tolerance}")
        if isinstance(accept, str) or not len(accept):
            raise ValueError(f"accept must be a sequence of right answers, got {accept!r}")
        self.accept = tuple(_plain("accept", a) for a in accept)
        self.reject = {_plain("reject", a): hint for a, hint in (reject or {}).items()}
        self.tolerance = tolerance
        if both := [a for a in self.reject if self._accepts(a)]:
            raise ValueError(f"reject must hold no right answer, got {both} with accept={list(self.accept)}")
        if bare := [a for a, hint in self.reject.items() if not hint.strip()]:
            raise ValueError(f"reject must have a hint for each answer, got none for {bare}")

    def __call__(self, answer: Answer | Tensor | None) -> Verdict:
        """Judge an answer; ``None`` stands for no answer yet.

        With ``TRICKS_STRICT=1``, as in the build, a wrong answer raises ValueError: what the book itself answers, in
        its solutions, is right. ``None`` passes.
        """
        if answer is None:
            return Verdict(False, "Put your answer in place of None.")
        given = _plain("answer", answer)
        if self._accepts(given):
            return Verdict(True)
        if os.environ.get("TRICKS_STRICT") == "1":
            raise ValueError(f"answer must be one of {list(self.accept)}, got {given!r}")
        near = [wrong for wrong in self.reject if _same(given, wrong, _slack(wrong))]
        return Verdict(False, self.reject[min(near, key=lambda wrong: _distance(given, wrong))] if near else "")

    def _accepts(self, answer: Answer) -> bool:
        return any(_same(answer, right, self.tolerance) for right in self.accept)


def _same(a: Answer, b: Answer, tolerance: float) -> bool:
    """Compare answers of one type: True is not 1, and 1 is not '1'."""
    if type(a) is not type(b) or isinstance(a, (bool, str)):
        return type(a) is type(b) and a == b
    return _distance(a, b) <= tolerance


def _distance(a: Answer, b: Answer) -> float:
    return 0.0 if isinstance(a, str) else abs(a - cast(float, b))


def _slack(wrong: Answer) -> float:
    return ROUNDED * abs(wrong) if isinstance(wrong, float) and not wrong.is_integer() else 0.0


def _plain(name: str, answer: object) -> Answer:
    """Return a bool, a float, or a text in lower case."""
    if isinstance(answer, Tensor) and answer.numel() == 1:
        answer = answer.item()
    if isinstance(answer, bool):
        return answer
    if isinstance(answer, str):
        return answer.strip().lower()
    if isinstance(answer, Real) and not math.isnan(answer):
        return float(answer)
    raise TypeError(f"{name} must be a number, a text or a bool, got {answer!r}")
