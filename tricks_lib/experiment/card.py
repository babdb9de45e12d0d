"""How a claim looks: a card in HTML for the book and JupyterLab, the same in plain text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from tricks_lib.experiment.statistics import Estimate, Proportion

if TYPE_CHECKING:
    from tricks_lib.experiment.claims import Claim

__all__ = ["as_html", "as_text", "bar", "measured", "needed", "rows", "verdict"]

_WIDTH, _HEIGHT, _EDGE = 240, 24, 6  # of the bar, in CSS pixels; the edge leaves room for the dot
_ONE_SIDED, _TWO_SIDED = ("effect", "rate"), ("null", "theory")


def verdict(claim: Claim) -> str:
    """Return in a few words whether the claim holds."""
    if claim.holds is None:
        return "cited" if claim.kind == "fact" else "reported, not judged"
    return "holds" if claim.holds else "does not hold here"


def measured(claim: Claim) -> str:
    """Return the measured numbers in words, with the digits that the interval can bear; empty for a fact."""
    result = claim.result
    if not isinstance(result, Estimate):
        return "" if result is None else _with_unit(f"deviation {_deviation(result, claim.margin)}", claim)
    sign = "+" if _is_difference(claim) else ""
    spec = _format_spec([result.low, result.high], (result.high - result.low) / 2, _landmarks(claim))
    mean, low, high = (format(v, sign + spec) for v in (result.mean, result.low, result.high))
    if isinstance(result, Proportion):
        return f"{result.wins} of {result.n} ({_with_unit(mean, claim)}, 95 % interval {low} to {high})"
    seeds = f"{result.n} seeds" if result.wins is None else f"above 0 in {result.wins} of {result.n} seeds"
    return f"{_with_unit(mean, claim)} (95 % interval {low} to {high}), {seeds}"


def needed(claim: Claim) -> str:
    """Return what the claim needs to hold; empty where it is not judged."""
    margin = _with_unit(f"{claim.margin:g}", claim)
    if claim.kind in _ONE_SIDED:
        return f"interval above {margin}"
    if claim.kind in _TWO_SIDED:
        return f"interval between -{claim.margin:g} and {margin}"
    return f"absolute value at most {margin}" if claim.kind == "exact" else ""


def rows(claim: Claim) -> list[tuple[str, str]]:
    """Return what the card lists below the sentence, as pairs of label and text."""
    spare = "" if claim.z is None else f"z = {claim.z:.1f} (standard errors between mean and margin)"
    listed = {
        "Measured": measured(claim),
        "Needed": needed(claim),
        "Spare": spare,
        "Regime": claim.regime,
        "Source": claim.source or "",
    }
    return [(label, text) for label, text in listed.items() if text]


def as_text(claim: Claim) -> str:
    """Return the card as lines of plain text.

    Examples
    --------
    >>> from tricks_lib.experiment.claims import Claim
    >>> print(as_text(Claim("d01-writers", "Two groups wrote MNIST.", None, "fact", source="grother2019")))
    Claim d01-writers (fact): cited
      Two groups wrote MNIST.
      Source: grother2019
    """
    lines = [claim.sentence, *(f"{label}: {text}" for label, text in rows(claim))]
    return "\n  ".join([f"Claim {claim.id} ({claim.kind}): {verdict(claim)}", *lines])


def as_html(claim: Claim) -> str:
    """Return the card as HTML that needs no style sheet; its classes all begin with ``claim``."""
    state = {True: "holds", False: "fails", None: "unjudged"}[claim.holds]
    listed = "".join(f"<div><dt>{k}</dt><dd>{_readable(v)}</dd></div>\n" for k, v in rows(claim))
    return (
        f'<div class="claim claim-{claim.kind} claim-{state}" id="card-{claim.id}" role="group"'
        f' aria-label="Claim {claim.id}">\n'
        f'<p class="claim-head"><span class="claim-kind">{claim.kind}</span>: '
        f'<span class="claim-verdict">{verdict(claim)}</span> <code class="claim-id">{claim.id}</code></p>\n'
        f'<p class="claim-sentence"><strong>{escape(claim.sentence)}</strong></p>\n'
        f'{bar(claim)}<dl class="claim-rows">\n{listed}</dl>\n</div>'
    )


def bar(claim: Claim) -> str:
    """Return the interval as a small drawing with its key; nothing where the result has no natural zero."""
    e = claim.result
    if not isinstance(e, Estimate) or not (_is_difference(claim) or isinstance(e, Proportion)):
        return ""
    marks = _landmarks(claim)
    ends = [0.0, e.low, e.high, *marks, *([1.0] if isinstance(e, Proportion) else [])]
    if not math.isfinite(max(ends) - min(ends)):
        return ""
    x = _scale(min(ends), max(ends))
    drawn = _line("zero", x(0), x(0), 'stroke-opacity="0.5"')
    drawn += "".join(_line("margin", x(m), x(m), 'stroke-dasharray="3 2"') for m in marks)
    drawn += _line("interval", x(e.low), x(e.high), 'stroke-width="3"')
    scale = "from 0 to 1" if isinstance(e, Proportion) else "line: 0"
    key = scale + (f", dashed: {' and '.join(f'{m:g}' for m in marks)}" if marks else "")
    return (
        f'<p class="claim-figure"><svg class="claim-bar" role="img" aria-label="{_readable(_alt(claim))}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" stroke="currentColor">{drawn}'
        f'<circle class="claim-bar-mean" cx="{x(e.mean):.1f}" cy="{_HEIGHT // 2}" r="4.5"'
        f' fill="currentColor"/></svg> <small class="claim-key">{_readable(key)}</small></p>\n'
    )


def _is_difference(claim: Claim) -> bool:
    """Whether the sign of the result says something, and so does its distance from zero."""
    compared = isinstance(claim.result, Estimate) and claim.result.wins is not None
    return not isinstance(claim.result, Proportion) and (compared or claim.kind in _TWO_SIDED)


def _landmarks(claim: Claim) -> list[float]:
    """Return the values that the interval has to clear."""
    if claim.kind in _TWO_SIDED:
        return [-claim.margin, claim.margin]
    return [claim.margin] if claim.kind in _ONE_SIDED else []


def _deviation(value: float, margin: float) -> str:
    return format(value, _format_spec([abs(value)], 0.0, [margin]))


def _format_spec(values: list[float], half: float, landmarks: list[float]) -> str:
    """Return a format that shows an interval's half-width with two digits, or more if the verdict would look wrong."""
    return next(  # the last one shows every digit of a number
        spec
        for spec in _finer_and_finer(values, half)
        if all(_side(float(format(v, spec)), m) == _side(v, m) for v in values for m in landmarks)
    )


def _finer_and_finer(values: list[float], half: float) -> list[str]:
    if not (math.isfinite(half) and half > 0):  # no interval: digits of the number itself
        return [f"z.{digits}g" for digits in range(4, 18)]
    places = 1 - math.floor(math.log10(half))
    top = math.floor(math.log10(max(map(abs, values))))
    if top < 7 and places < 7:
        return [*(f"z.{max(places, 0) + more}f" for more in range(18)), "z.16e"]
    return [f"z.{digits}e" for digits in range(min(max(top + places, 1), 16), 17)]


def _side(value: float, landmark: float) -> int:
    return (value > landmark) - (value < landmark)


def _with_unit(number: str, claim: Claim) -> str:
    return f"{number} {claim.unit}".rstrip()


def _readable(text: str) -> str:
    """Escape text for HTML, with a minus sign before negative numbers: screen readers skip a hyphen."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\u2212", escape(text))


def _alt(claim: Claim) -> str:
    bound = f". Needed: {needed(claim)}" if needed(claim) else ""
    return f"Interval bar: {measured(claim)}{bound}."


def _scale(low: float, high: float) -> Callable[[float], float]:
    """Map [low, high] to the inside of the bar."""
    span = (high - low) or 1.0
    return lambda v: _EDGE + (v - low) / span * (_WIDTH - 2 * _EDGE)


def _line(name: str, x1: float, x2: float, look: str) -> str:
    """Return a vertical line over the whole height, or a horizontal one at half of it."""
    y1, y2 = (0, _HEIGHT) if x1 == x2 and name != "interval" else (_HEIGHT // 2, _HEIGHT // 2)
    return f'<line class="claim-bar-{name}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1}" y2="{y2}" {look}/>'
