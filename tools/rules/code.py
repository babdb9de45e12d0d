"""Reading Python without running it: names, calls, doctests, lines that hold code."""

from __future__ import annotations

import ast
import doctest
import io
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "Definition",
    "Rule",
    "aliases",
    "at",
    "calls",
    "code_lines",
    "docstrings",
    "doctest_code",
    "dotted",
    "keywords",
    "public_names",
]

Rule = Callable[[Path, str], list[str]]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def at(path: Path, line: int, message: str) -> str:
    """Return a message in the form that editors make a link of."""
    return f"{path.as_posix()}:{line}: {message}"


def aliases(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for: ``{"np": "numpy", "F": "torch.nn.functional"}``."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                first = name.name.split(".")[0]
                known[name.asname or first] = name.name if name.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return known


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    """Return ``torch.nn.init.normal_`` for a chain of names, spelled out, and ``""`` for anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value, known)):
        return f"{owner}.{node.attr}"
    return ""


def calls(tree: ast.AST, known: dict[str, str] | None = None) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call in ``tree`` with the full name of what it calls."""
    known = aliases(tree) if known is None else known
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func, known)


def keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    """Return the keyword arguments of a call; the key of ``**rest`` is ``None``."""
    return {keyword.arg: keyword.value for keyword in call.keywords}


def public_names(tree: ast.Module) -> list[str] | None:
    """Return ``__all__``, or ``None`` where it is not a list of plain strings."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            value = node.value if isinstance(node, ast.Assign) else None
            names = [getattr(item, "value", None) for item in value.elts] if isinstance(value, ast.List) else [None]
            return [name for name in names if isinstance(name, str)] if all(map(_is_text, names)) else None
    return None


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield every string that stands alone as a statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and _is_text(node.value.value):
            yield node.value


def doctest_code(text: str) -> str:
    """Return the code of all doctests, each line where it stands in ``text``, and nothing else."""
    lines = [""] * len(text.splitlines())
    for docstring in docstrings(ast.parse(text)):
        for example in doctest.DocTestParser().get_examples(str(docstring.value)):
            first = docstring.lineno - 1 + example.lineno
            code = example.source.splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold code: no blank line, comment or docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for docstring in docstrings(ast.parse(text)):
        lines -= set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return lines


def _is_text(value: object) -> bool:
    return isinstance(value, str)
