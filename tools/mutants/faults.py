"""The faults that are planted: what may stand in for a piece of code.

Left alone are imports, annotations, decorators, docstrings, `__all__`, the wording of error messages, and in drawings
the sizes of letters and lines.
"""

from __future__ import annotations

import ast
import copy
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Fault", "faults"]

SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Break: (ast.Pass,),
    ast.Continue: (ast.Pass,),
}
SKIPPED = {"annotation", "returns", "decorator_list", "ctx"}
LOOKS = {"fontsize", "frameon", "labelpad", "labelsize", "linewidth", "linewidths", "markersize", "xytext", "zorder"}
WIDTH = 80
Step = tuple[str, int | None]


@dataclass(frozen=True)
class Fault:
    """Something else in one place of a top-level statement."""

    statement: ast.stmt
    path: tuple[Step, ...]  # from the statement to the place
    new: ast.AST
    lines: range  # a test that runs one of them may notice
    line: int

    @property
    def loads(self) -> bool:
        """Whether it runs as the module loads: then all lines of the file are its lines."""
        return self.lines.start == 1

    def planted(self) -> ast.stmt:
        """Return the statement with the fault in it."""
        faulty = ast.Module([copy.deepcopy(self.statement)], [])
        path: tuple[Step, ...] = (("body", 0), *self.path)
        owner, (field, index) = _follow(faulty, path[:-1]), path[-1]
        if index is None:
            setattr(owner, field, self.new)
        else:
            getattr(owner, field)[index] = self.new
        return ast.fix_missing_locations(faulty).body[0]

    def __str__(self) -> str:
        """Say what was there and what is there now: the expression around the place, or the statement."""
        before, after = (_text(statement, self.path) for statement in (self.statement, self.planted()))
        same = next((k for k, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
        return "  ->  ".join(textwrap.shorten(text[max(0, same - WIDTH // 2) :], WIDTH) for text in (before, after))


def faults(source: str) -> list[Fault]:
    """Return all faults of a file, in its order."""
    tree = ast.parse(source)
    file = range(1, len(source.splitlines()) + 1)
    return [
        Fault(statement, path, new, lines, line)
        for statement in tree.body
        for path, node, lines, line in _places((), statement, file, statement.lineno)
        for new in _changes(node)
    ]


Place = tuple[tuple[Step, ...], ast.AST, range, int]


def _places(path: tuple[Step, ...], node: ast.AST, lines: range, line: int, loads: bool = True) -> Iterator[Place]:
    """Yield each node with its path, the lines that run with it (for what loads: of the file), and its own line."""
    if _is_left_alone(node):
        return
    line = getattr(node, "lineno", line)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        lines, loads = _all_lines(node), False  # its defaults matter to all of it
    elif isinstance(node, ast.stmt) and not loads:
        lines = _own_lines(node)
    yield path, node, lines, line
    for step, child in _children(node):
        yield from _places((*path, step), child, lines, line, loads)


def _children(node: ast.AST) -> Iterator[tuple[Step, ast.AST]]:
    """Yield the parts of a node, and how to reach them; what an error says is left alone."""
    for field, value in ast.iter_fields(node):
        if field in SKIPPED or isinstance(node, ast.Raise):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            is_wording = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
            if isinstance(child, ast.AST) and not is_wording:
                yield (field, index), child


def _all_lines(statement: ast.stmt) -> range:
    return range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


def _own_lines(statement: ast.stmt) -> range:
    """Return the lines of a statement, without those of its body."""
    body = getattr(statement, "body", None)
    return range(statement.lineno, max(body[0].lineno, statement.lineno + 1)) if body else _all_lines(statement)


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # a docstring
    if isinstance(node, ast.keyword):
        return node.arg in LOOKS
    if isinstance(node, ast.Assign):
        called = node.value.func if isinstance(node.value, ast.Call) else None
        return ast.unparse(node.targets[0]) == "__all__" or getattr(called, "id", "") in {"TypeVar", "ParamSpec"}
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in for a node."""
    yield from (swap() for swap in SWAPS.get(type(node), ()))
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=str(value)):
            yield ast.Constant(f"{value}XX")
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield operand
        case ast.If() | ast.IfExp():
            for value in (True, False):
                other = copy.copy(node)
                other.test = ast.Constant(value)
                yield other
        case ast.While():
            yield ast.Pass()
        case ast.Raise() | ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(node.target, node.iter, [], node.is_async)


def _follow(node: ast.AST, way: tuple[Step, ...]) -> ast.AST:
    for field, index in way:
        value = getattr(node, field)
        node = value if index is None else value[index]
    return node


def _text(statement: ast.stmt, path: tuple[Step, ...]) -> str:
    """Return the code of the innermost expression that holds the place, or of the place if that is a statement."""
    node, around = _follow(statement, path), _follow(statement, path[:-1])
    shown = around if isinstance(around, ast.expr | ast.keyword | ast.arguments | ast.comprehension) else node
    return " ".join(ast.unparse(shown).split())
