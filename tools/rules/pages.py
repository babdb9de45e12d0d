"""Reading a page of the book as Sphinx will: its code cells, its directives, its blocks of text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from myst_parser.parsers.options import TokenizeError, options_to_items

__all__ = [
    "EXTENSIONS",
    "Cell",
    "Directive",
    "as_directive",
    "cells",
    "code",
    "directives",
    "has_prose",
    "parse",
    "statements",
]

EXTENSIONS = {"amsmath", "colon_fence", "deflist", "dollarmath", "substitution"}  # as in _config.yml
NAME = re.compile(r"\{([^}\s]+)\}\s*(.*)")
OPTION = re.compile(r"\s*:(?!::)")  # ":::" opens or closes a fence
CODE = {"code-cell", "raw-cell"}
# directives whose content is not read as text
SILENT = CODE | set(
    """bibliography code code-block contents doctest eval-rst highlight implementation include literalinclude math
    mermaid parity-table parsed-literal peer-table race-table raw run-times scorecard sourcecode tableofcontents
    testcode toctree trick-index""".split()
)


@dataclass(frozen=True)
class Directive:
    """A directive: ``{name} argument``, its options, and its body with the line on which that starts."""

    name: str
    argument: str
    options: dict[str, Any]
    body: str
    line: int
    body_line: int


class Cell(Directive):
    """A code cell; its options are what notebooks call metadata, read as YAML."""

    @property
    def figure(self) -> dict[str, str]:
        """What the options say of the figure that the cell makes: caption, name, alt; empty where they say nothing."""
        options = self.options.get("mystnb")
        parts = options if isinstance(options, dict) else {}
        figure, image = ((part if isinstance(part := parts.get(key), dict) else {}) for key in ("figure", "image"))
        found = {"caption": figure.get("caption"), "name": figure.get("name"), "alt": image.get("alt")}
        return {key: str(value or "").strip() for key, value in found.items()}


@lru_cache(maxsize=256)
def parse(text: str) -> list[Token]:
    """Return the Markdown tokens of ``text``, with MyST's syntax."""
    return create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), RendererHTML).parse(text + "\n")


def directives(text: str, line: int = 1) -> Iterator[Directive]:
    """Yield all directives of a page but its code cells, inner ones after the one that holds them."""
    for token in parse(text):
        directive = as_directive(token, line)
        if directive and directive.name not in CODE:
            yield directive
            if has_prose(directive):
                yield from directives(directive.body, directive.body_line)


def cells(text: str) -> list[Cell]:
    """Return the code cells of a page, in order."""
    found = [as_directive(token, 1) for token in parse(text)]
    return [cell for cell in found if isinstance(cell, Cell)]


def code(text: str) -> str:
    """Return the code of all cells, each line where it stands in the page, and nothing else: a chapter as a module."""
    lines = [""] * (len(text.splitlines()) + 1)
    for cell in cells(text):
        body = cell.body.splitlines() if _is_python(cell.body) else []
        lines[cell.body_line - 1 : cell.body_line - 1 + len(body)] = body
    return "\n".join(lines)


def statements(cell: Cell, tree: ast.Module) -> list[ast.stmt]:
    """Return the statements of ``tree``, the module that `code` makes of a page, that stand in ``cell``."""
    last = cell.body_line + len(cell.body.splitlines())
    return [node for node in tree.body if cell.body_line <= node.lineno < last]


def as_directive(token: Token, line: int) -> Directive | None:
    """Return the directive that a fence is, if it is one; ``line`` is the number of the text's first line."""
    match = NAME.match(token.info) if token.type in ("fence", "colon_fence") else None
    if not match:
        return None
    name, argument = match[1], match[2].strip()
    block, body, offset = split(token.content)
    start = line + (token.map or [0, 0])[0]
    kind = Cell if name == "code-cell" else Directive
    return kind(name, argument, read_options(block, as_yaml=name in CODE), body, start, start + 1 + offset)


def read_options(block: str, *, as_yaml: bool) -> dict[str, Any]:
    """Return options; a block that cannot be read has none (building the book says what is wrong with it)."""
    try:
        options = yaml.safe_load(block) if as_yaml else dict(options_to_items(block)[0])
    except (yaml.YAMLError, TokenizeError):
        return {}
    return options if isinstance(options, dict) else {}


def has_prose(directive: Directive) -> bool:
    """Tell whether the content of a directive is text for the reader."""
    return directive.name not in SILENT and not directive.name.startswith("auto")


def split(content: str) -> tuple[str, str, int]:
    """Split the content of a fence into options (as YAML), body, and the number of lines before the body."""
    lines = content.splitlines()
    if lines and lines[0].startswith("---"):
        end = next((n for n, line in enumerate(lines[1:], 1) if line.startswith("---")), len(lines))
        options, used = lines[1:end], end + 1
    else:
        used = next((n for n, line in enumerate(lines) if not OPTION.match(line)), len(lines))
        options = [line.lstrip()[1:] for line in lines[:used]]
    if lines[used:] and not lines[used].strip():
        used += 1
    return "\n".join(options), "\n".join(lines[used:]), used


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
