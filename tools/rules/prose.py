"""No experimental number is typed: what a page says in digits is glued from its run, cited, or registered.

The rule reads what a reader reads: paragraphs, headings, lists, tables, admonitions, captions, alternative texts
and the sentences of claims.  It passes over code, formulas, targets of links and the content of roles.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it.token import Token

from tools.rules.code import at, calls, keywords
from tools.rules.pages import CODE, Cell, as_directive, code, has_prose, parse

__all__ = ["canonical", "no_number_in_a_claim", "no_typed_number", "numbers", "passages", "typed_numbers"]

SMALL = "[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u208b\u2150-\u218b\u2460-\u249b]"  # 10\u207b\u00b3, \u00bd
# A word with digits in it is a name: D03, AdamW2, float64, v1.4, MNIST-14, 3rd.  "x5" is a factor, not a name.
NAME = re.compile(
    rf"(?![xX\u00d7]\d|{SMALL})[^\W\d]\w*(?:(?<=\d)(?:\.\d+)+|(?:-[^\W\d]\w*)*-\d+(?![\w.,]*[\d%]))?|\d+(?:st|nd|rd|th)\b"
)
NUMBER = re.compile(
    rf"""(?:(?<![\w.,)])[-\u2212])?                                   # a sign, where it is not a dash
    (?:[xX\u00d7])?(?:\d+(?:[,\u00a0\u202f ]\d{{3}}(?!\d))+|\d+)?      # 60,000
    (?:(?<=\d)\.\d+|(?<!\d)\.\d+|(?<=\d))(?:[eE][-+]?\d+)?           # .93, 1e-5
    (?:\s?[xX\u00d7]\s?\d+(?!\.?\d)|/\d+)*{SMALL}*                   # 28x28, 1/3
    (?:[\s\u00a0\u202f]?(?:%|percent\b|[xX\u00d7](?!\w)|times\b))?   # 93 %, 3 times
    |{SMALL}+""",
    re.VERBOSE,
)
SPACES = re.compile(r"[\s\u00a0\u202f,]+")
TEX_FILLING = re.compile(r"\\(?:text|mathrm|mathbf|,|;|:|!|quad|times|cdot|approx|sim|pm|%|\s)|[{}~$]")
TEX_NUMBER = re.compile(r"[-+<>=.,/^%\d\s\u00d7\u2212]*\d[-+<>=.,/^%\d\s\u00d7\u2212]*(?:percent|times)?\s*")
CODE_NUMBER = re.compile(r"\d*\.\d+\s?%?|\d+\s?%")  # `93.1` is a result in disguise; `255` may be a value in the code
SPOKEN = {"alt", "caption", "summary", "subtitle", "title"}  # options that a reader sees or hears
NOT_SPOKEN = re.compile(  # directives whose argument is not text
    r"(auto|glue|grid)|(button-link|button-ref|container|div|figure|figure-md|image|index|only|solution|solution-start)$"
)
TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
SPOKEN_ATTRIBUTE = re.compile(r"\b(?:alt|title|aria-label)=([\"'])(.*?)\1", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """A block of text: pieces, each with its line, and whether a source is cited in it."""

    pieces: list[tuple[int, str]]
    cited: bool


def no_typed_number(path: Path, text: str, constants: frozenset[str] = frozenset()) -> list[str]:
    """Every number in the text of a page is glued, cited, or one of ``constants`` (in canonical form)."""
    return [
        at(path, line, f"{number!r} is typed: glue it from the run, cite its source, or register it in book/tricks.yml")
        for line, number in typed_numbers(text)
        if canonical(number) not in constants
    ]


def no_number_in_a_claim(path: Path, text: str, constants: frozenset[str] = frozenset()) -> list[str]:
    """The sentence of a claim says no number but its margin, which the run has to clear, or a registered one."""
    return [
        at(
            path,
            line,
            f"{number!r} in the sentence of a claim: say it as the margin, or register it in book/tricks.yml",
        )
        for line, number, margin in claimed_numbers(text)
        if canonical(number) not in constants and not _is_margin(number, margin)
    ]


def typed_numbers(text: str) -> list[tuple[int, str]]:
    """Return line and spelling of each number that a page says without a source beside it."""
    return [
        (line, number)
        for passage in passages(text)
        if not passage.cited
        for line, piece in passage.pieces
        for number in numbers(piece)
    ]


def claimed_numbers(text: str) -> list[tuple[int, str, Any]]:
    """Return line, spelling and the claim's margin for each number in the sentence of a claim."""
    found: list[tuple[int, str, Any]] = []
    for call, name in calls(ast.parse(code(text))):
        if name == "tricks_lib.experiment.claims.claim":
            margin = getattr(keywords(call).get("margin"), "value", None)
            sentences = [*call.args[1:2], *(v for k, v in keywords(call).items() if k == "sentence")]
            for node in (part for sentence in sentences for part in ast.walk(sentence)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found += [(node.lineno, number, margin) for number in numbers(node.value)]
    return found


def numbers(text: str) -> list[str]:
    """Return the numbers in a piece of text, each with its unit if that is %, x or times, as they are written."""
    found, position = [], 0
    while position < len(text):
        name, number = NAME.match(text, position), NUMBER.match(text, position)
        if name:
            position = name.end()
        elif number and number.end() > position and any(map(str.isnumeric, number[0])):
            found.append(number[0].strip())
            position = number.end()
        else:
            position += 1
    return found


def canonical(number: str) -> str:
    """Return one spelling for all spellings of a number: no spaces, no thousands separators, x for a cross."""
    plain = SPACES.sub("", str(number)).replace("\u00d7", "x").replace("X", "x").replace("\u2212", "-")
    return plain.replace("percent", "%").replace("times", "x")


def passages(text: str, line: int = 1) -> Iterator[Passage]:
    """Yield the blocks of text of a page; the cells of one row of a table are one block."""
    row: list[Passage] | None = None
    for token in parse(text):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield Passage([piece for cell in row for piece in cell.pieces], any(cell.cited for cell in row))
            row = None
        elif token.type == "inline":
            block = _inline(token.children or [], line + (token.map or [0])[0])
            if row is None:
                yield block
            else:
                row.append(block)
        else:
            yield from _other(token, line)


def _other(token: Token, line: int) -> Iterator[Passage]:
    """Yield the text of a block that is not Markdown's own: a directive, a cell's caption, HTML."""
    start = line + (token.map or [0])[0]
    if token.type == "html_block":
        spoken = [match[2] for match in SPOKEN_ATTRIBUTE.finditer(token.content)]
        yield Passage([(start, TAG.sub(" ", token.content)), *((start, value) for value in spoken)], False)
    directive = as_directive(token, line)
    if directive is None:
        return
    if isinstance(directive, Cell):
        yield from _captions(directive, token)
    elif directive.name not in CODE and not NOT_SPOKEN.match(directive.name):
        yield from _text(directive.argument, start)
    if not isinstance(directive, Cell):
        for key in SPOKEN & directive.options.keys():
            yield from _text(str(directive.options[key]), start)
    if has_prose(directive):
        yield from passages(directive.body, directive.body_line)


def _captions(cell: Cell, token: Token) -> Iterator[Passage]:
    """Yield caption and alternative text of the figure that a code cell makes."""
    lines = token.content.splitlines()
    for key in ("caption", "alt"):
        offset = next((n for n, line in enumerate(lines, 1) if f"{key}:" in line), 0)
        yield from _text(cell.figure[key], cell.line + offset)


def _text(text: str, line: int) -> Iterator[Passage]:
    for token in parse(text):
        if token.type == "inline":
            yield _inline(token.children or [], line + (token.map or [0])[0])


def _inline(children: list[Token], line: int) -> Passage:
    """Return what a reader sees of the inside of a block."""
    pieces: list[tuple[int, str]] = []
    cited = bare_link = False
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        elif child.type == "link_open":
            bare_link = child.markup == "autolink"
        elif child.type == "link_close":
            bare_link = False
        elif child.type == "myst_role":
            cited |= child.meta["name"].startswith("cite")
            is_formula = child.meta["name"] == "math"
            pieces.append((line, _number_in_math(child.content) if is_formula else _title(child.content)))
        elif child.type == "code_inline":
            pieces.append((line, child.content if CODE_NUMBER.fullmatch(child.content) else ""))
        elif child.type == "math_inline":
            pieces.append((line, _number_in_math(child.content)))
        elif child.type in ("text", "image") and not bare_link:
            pieces.append((line, child.content))
    return Passage(pieces, cited)


def _title(role: str) -> str:
    """Return the text that a role shows in place of its target: ``text`` of ``text <target>``."""
    match = re.fullmatch(r"(.*\S)\s*<[^<>]*>", role, re.DOTALL)
    return match[1] if match else ""


def _number_in_math(formula: str) -> str:
    """Return a formula that is a number and nothing else, as text: ``93 %`` for ``93\\,\\%``."""
    plain = TEX_FILLING.sub(lambda match: {r"\times": "\u00d7", r"\%": "%"}.get(match[0], " "), formula)
    return plain if TEX_NUMBER.fullmatch(plain.strip()) else ""


def _is_margin(number: str, margin: Any) -> bool:
    """Tell whether a number is the margin: 0.05 or, in points or percent, 5."""
    try:
        value = float(canonical(number).rstrip("%x"))
    except ValueError:
        return False
    return isinstance(margin, int | float) and margin != 0 and any(abs(value - margin * s) < 1e-9 for s in (1, 100))
