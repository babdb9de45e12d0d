"""Claims: sentences that are measured, and that stop the build when the measurement does not bear them."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, SupportsFloat, get_args

from torch import Tensor

from tricks_lib.experiment import card
from tricks_lib.experiment.statistics import Estimate, Proportion

__all__ = ["Claim", "ClaimError", "Kind", "claim"]

Kind = Literal["effect", "null", "exact", "theory", "rate", "report", "fact"]

_ID = re.compile(r"[dmlc]\d\d-[a-z0-9]+(-[a-z0-9]+)*")
_KEY = re.compile(r"[^\s,{}]+")


class ClaimError(AssertionError):
    """An enforced claim does not hold."""


@dataclass(frozen=True)
class Claim:
    """A sentence with its measurement; displayed in a notebook, it is a card. Made by `claim`.

    Examples
    --------
    >>> often = Proportion(n=10, mean=1.0, low=0.72, high=1.0, se=0.0, wins=10)
    >>> made = Claim("d01-balance", "No class is rare.", often, "rate", "mnist", margin=0.5)
    >>> made.trick, made.holds, round(made.z, 2)
    ('D01', True, 3.16)
    """

    id: str
    sentence: str
    result: Estimate | float | None
    kind: Kind
    regime: str = ""
    margin: float = 0.0
    unit: str = ""
    source: str | None = None

    def __post_init__(self) -> None:
        _check_words(self)
        _check_result(self)
        _check_margin(self)

    @property
    def trick(self) -> str:
        """The trick that the claim is about, as the register spells it."""
        return self.id.partition("-")[0].upper()

    @property
    def holds(self) -> bool | None:
        """Whether the measurement bears the sentence out. ``None`` for a report and a fact, which are not judged."""
        if isinstance(self.result, float):
            return abs(self.result) <= self.margin
        if self.result is None or self.kind == "report":
            return None
        above = self.result.low > self.margin
        inside = -self.margin < self.result.low and self.result.high < self.margin
        return above if self.kind in ("effect", "rate") else inside

    @property
    def z(self) -> float | None:
        """What the claim has to spare, the distance of the mean from the margin in standard errors."""
        if not isinstance(self.result, Estimate) or self.kind == "report":
            return None
        if self.kind in ("effect", "rate"):
            return self.result.z(self.margin)
        return -replace(self.result, mean=abs(self.result.mean)).z(self.margin)

    @property
    def record(self) -> dict[str, Any]:
        """The claim as a dict for JSON. What has no value, or none that JSON can hold, is ``None``."""
        r = self.result
        if isinstance(r, Estimate):
            mean, low, high, se, n, wins = *map(_finite, (r.mean, r.low, r.high, r.se)), r.n, r.wins
        else:
            mean, low, high, se, n, wins = _finite(r), None, None, None, None, None
        return {
            "id": self.id,
            "trick": self.trick,
            "kind": self.kind,
            "sentence": self.sentence,
            "regime": self.regime,
            "mean": mean,
            "low": low,
            "high": high,
            "se": se,
            "of": None if r is None else type(r).__name__,
            "margin": self.margin,
            "unit": self.unit,
            "n": n,
            "wins": wins,
            "z": _finite(self.z),
            "holds": self.holds,
            "source": self.source,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Claim:
        """Make the claim again that left this `record`."""
        kinds: dict[str, type[Estimate]] = {"Estimate": Estimate, "Proportion": Proportion}
        result: Estimate | float | None = None if record["of"] is None else _number(record["mean"])
        if record["of"] in kinds:
            mean, low, high, se = (_number(record[name]) for name in ("mean", "low", "high", "se"))
            result = kinds[record["of"]](record["n"], mean, low, high, se, record["wins"])
        words = {name: record[name] for name in ("id", "sentence", "kind", "regime", "margin", "unit", "source")}
        return cls(result=result, **words)

    def __str__(self) -> str:
        return card.as_text(self)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the card and its text, and the record as metadata of the output, for whoever collects claims."""
        shown = {"text/html": card.as_html(self), "text/plain": card.as_text(self)}
        return shown, {"tricks_claim": self.record}


def claim(
    id: str,
    sentence: str,
    result: Estimate | SupportsFloat | None = None,
    *,
    regime: str = "",
    kind: Kind = "effect",
    margin: float = 0.0,
    unit: str = "",
    source: str | None = None,
) -> Claim:
    """State what a measurement shows. The last expression of a cell, it is displayed as a card.

    ======== ======================================================= =====================================
    kind     result                                                  holds if
    ======== ======================================================= =====================================
    effect   `paired` difference                                     low > margin
    null     an `Estimate`                                           -margin < low and high < margin
    exact    a deviation, one number                                 abs(result) <= margin
    theory   an `Estimate` of measured - predicted, or ratio - 1     -margin < low and high < margin
    rate     `proportion`                                            low > margin
    report   an `Estimate`                                           not judged
    fact     none                                                    not judged; cites its ``source``
    ======== ======================================================= =====================================

    Parameters
    ----------
    id
        Trick and name, e.g. ``"d03-constant-pixels"``.
    sentence
        What the book says: one line that ends with a period.
    result
        What was measured, in ``unit``.
    regime
        Where it was measured, e.g. ``"digits8"``. A fact may go without.
    kind
        What is claimed, see above.
    margin
        The smallest difference that matters, in ``unit``; above 0 except for ``exact`` (what rounding may
        do, perhaps 0), and between 0 and 1 for a rate. A report and a fact have none.
    unit
        Of result and margin, e.g. ``"points"``. Empty for a pure number.
    source
        Key of the bibliography; a fact needs one.

    Returns
    -------
    Claim

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit the kind.
    ClaimError
        If the environment has ``TRICKS_STRICT=1`` and the claim does not hold. Otherwise the card says so.

    Examples
    --------
    >>> from tricks_lib.experiment.statistics import paired
    >>> gain = paired([95.1, 94.8, 95.6, 95.0], [91.0, 91.2, 90.9, 91.3])
    >>> print(claim("d07-gain", "Standardizing helps.", gain, regime="digits8", margin=1, unit="points"))
    Claim d07-gain (effect): holds
      Standardizing helps.
      Measured: +4.02 points (95 % interval +3.23 to +4.82), above 0 in 4 of 4 seeds
      Needed: interval above 1 points
      Spare: z = 12.1 (standard errors between mean and margin)
      Regime: digits8
    """
    made = Claim(id, sentence, _plain(result), kind, regime, _plain(margin), unit, source)
    if made.holds is False and os.environ.get("TRICKS_STRICT") == "1":
        raise ClaimError(_failure(made))
    return made


def _plain(value: Any) -> Any:
    """Return a number of any type (0-dimensional tensor, numpy, int) as a float, all else as it is."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _finite(value: float | None) -> float | None:
    """Return ``None`` for what JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def _number(value: float | None) -> float:
    """Return what JSON could not hold as NaN."""
    return math.nan if value is None else value


def _check_words(c: Claim) -> None:
    if not (isinstance(c.id, str) and _ID.fullmatch(c.id)):
        raise ValueError(f"id must be trick and name in kebab case, like 'd03-constant-pixels', got {c.id!r}")
    if c.kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {c.kind!r}")
    if not (_is_line(c.sentence) and c.sentence.endswith(".") and c.sentence.strip(".")):
        raise ValueError(f"sentence must be one line that ends with a period, got {c.sentence!r}")
    if not (_is_line(c.regime) or (c.kind == "fact" and c.regime == "")):
        raise ValueError(f"regime must say in one line where this was measured, got {c.regime!r}")
    if not (_is_line(c.unit) or c.unit == ""):
        raise ValueError(f"unit must be one line or empty, got {c.unit!r}")
    if c.source is None and c.kind == "fact":
        raise ValueError("source must be given for a fact: the key of its reference in the bibliography")
    if c.source is not None and not (isinstance(c.source, str) and _KEY.fullmatch(c.source)):
        raise ValueError(f"source must be one key of the bibliography, got {c.source!r}")


def _is_line(text: object) -> bool:
    return isinstance(text, str) and text != "" and text.strip() == text and len(text.splitlines()) == 1


def _check_result(c: Claim) -> None:
    r = c.result
    is_mean = isinstance(r, Estimate) and not isinstance(r, Proportion)
    is_paired = is_mean and getattr(r, "wins", None) is not None
    fits, wanted = {
        "effect": (is_paired, "the difference of two arms: paired(a, b)"),
        "null": (is_mean, "an Estimate: paired(a, b) or over_seeds(x)"),
        "theory": (is_mean, "an Estimate of measured - predicted, or of their ratio minus 1"),
        "exact": (isinstance(r, float), "one number, the deviation"),
        "rate": (isinstance(r, Proportion), "proportion(successes, n)"),
        "report": (isinstance(r, Estimate), "an Estimate"),
        "fact": (r is None, "None: a fact is cited, not measured"),
    }[c.kind]
    if not fits:
        raise TypeError(f"result of a claim of kind {c.kind!r} must be {wanted}; got {r!r}")


def _check_margin(c: Claim) -> None:
    m = c.margin
    if not (isinstance(m, float) and math.isfinite(m) and m >= 0):
        raise ValueError(f"margin must be a finite number, 0 or more, got {m!r}")
    if c.kind in ("effect", "null", "theory", "rate") and m == 0:
        raise ValueError(f"margin of a claim of kind {c.kind!r} must be above 0: what matters at least")
    if c.kind == "rate" and m >= 1:
        raise ValueError(f"margin of a rate must be below 1, got {m}")
    if c.kind in ("report", "fact") and m:
        raise ValueError(f"margin must be 0 for a {c.kind}: it is not judged, got {m}")


def _failure(c: Claim) -> str:
    chapter = os.environ.get("TRICKS_CHAPTER")
    where = f" of {chapter}" if chapter else ""
    listed = ". ".join(f"{label}: {text}" for label, text in card.rows(c))
    return f"claim {c.id}{where} does not hold: {c.sentence} {listed}."
