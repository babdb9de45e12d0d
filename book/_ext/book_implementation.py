"""``{implementation} tricks_lib.data.looking.PCA.fit``: the library's own code in the text, without its docstring."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Definition = ast.ClassDef | ast.FunctionDef


class Implementation(SphinxDirective):
    """Show the source of one class, method or function of `tricks_lib`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            path, names = locate(self.arguments[0], Path(self.env.srcdir))
            shown = source(path.read_text("utf8"), names)
        except ValueError as error:
            raise self.error(str(error)) from error
        self.env.note_dependency(str(path))
        code = nodes.literal_block("", shown, language="python")
        code["classes"].append("implementation")
        self.set_source_info(code)
        link = f"{{py:obj}}`{self.arguments[0]}`"
        caption, _ = self.state.inline_text(link, self.lineno)
        return [code, nodes.paragraph("", "", *caption, classes=["implementation-name"])]


def locate(target: str, root: Path) -> tuple[Path, list[str]]:
    """Split ``tricks_lib.data.looking.PCA.fit`` into the file and the names within it."""
    parts = target.split(".")
    for end in range(len(parts), 0, -1):
        path = root.joinpath(*parts[:end]).with_suffix(".py")
        if path.is_file():
            return path, parts[end:]
    raise ValueError(f"{target}: no such module")


def source(text: str, names: list[str]) -> str:
    """Return the code of ``names`` in ``text``, decorators included, docstring left out."""
    node: Any = ast.parse(text)
    for name in names:
        found = [n for n in node.body if isinstance(n, Definition) and n.name == name]
        if not found:
            raise ValueError(f"{'.'.join(names)}: no {name!r} there")
        node = found[-1]
    lines = text.splitlines()
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    kept = set(range(first, node.end_lineno + 1)) - _docstring_lines(node, lines)
    return textwrap.dedent("\n".join(lines[number - 1] for number in sorted(kept)))


def _docstring_lines(node: Definition, lines: list[str]) -> set[int]:
    """Return the lines of all docstrings in ``node``, each with the blank lines that follow it."""
    dropped: set[int] = set()
    for inner in ast.walk(node):
        if isinstance(inner, Definition) and ast.get_docstring(inner) is not None and len(inner.body) > 1:
            end = inner.body[0].end_lineno or 0
            while not lines[end].strip():
                end += 1
            dropped |= set(range(inner.body[0].lineno, end + 1))
    return dropped


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("implementation", Implementation)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
