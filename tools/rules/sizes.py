"""Rules on length: a file for one sitting, a function for one screen."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

from tools.rules.code import at, code_lines

__all__ = ["function_lengths", "short_files", "short_functions", "typical_function_is_short"]

FILE = 250
FUNCTION = 60
TYPICAL = 10


def short_files(path: Path, text: str) -> list[str]:
    """No file holds more than 250 lines of code; docstrings, comments and blank lines are free."""
    length = len(code_lines(text))
    return [at(path, 1, f"{length} lines of code, more than {FILE}: split it by topic")] if length > FILE else []


def short_functions(path: Path, text: str) -> list[str]:
    """No function holds more than 60 lines of code."""
    return [
        at(path, line, f"{name} has {length} lines of code, more than {FUNCTION}")
        for name, line, length in function_lengths(text)
        if length > FUNCTION
    ]


def typical_function_is_short(files: dict[Path, str]) -> list[str]:
    """Over all files, half of the functions hold 10 lines of code or fewer."""
    lengths = [length for text in files.values() for _, _, length in function_lengths(text)]
    middle = median(lengths or [0])
    return [f"the median function has {middle:g} lines of code, more than {TYPICAL}"] if middle > TYPICAL else []


def function_lengths(text: str) -> list[tuple[str, int, int]]:
    """Return name, first line and lines of code of each function, its signature included."""
    lines = code_lines(text)
    return [
        (node.name, node.lineno, len(lines & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
