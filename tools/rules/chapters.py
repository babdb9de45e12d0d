"""Rules for chapters: pages that run.  A chapter is a text notebook, ``book/<part>/<name>.md``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tools.rules.code import aliases, at, calls, dotted, public_names
from tools.rules.pages import Cell, Directive, cells, code, directives, parse, statements

__all__ = [
    "anchors_are_registered",
    "claim_ids",
    "drawings_are_described",
    "exercises_have_solutions",
    "figures_have_alternatives",
    "first_cell_sets_up",
    "imports_public_names",
    "is_assignment",
    "is_chapter",
    "narrow_cells",
    "nothing_goes_unread",
    "nothing_is_excused",
    "nothing_is_hidden",
    "plain_python",
    "reads_and_shows_nothing_itself",
    "seeds_are_its_own",
    "short_cells",
    "standard_header",
    "takeaways_name_claims",
]

HEADER = {
    "jupytext": {"text_representation": {"extension": ".md", "format_name": "myst", "format_version": 0.13}},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
}
LONGEST, TYPICAL, WIDEST = 25, 5.5, 100
READERS = """open numpy.load numpy.loadtxt numpy.genfromtxt torch.load pathlib.Path matplotlib.pyplot.imread
pandas.read_csv PIL.Image.open""".split()
PLT = "matplotlib.pyplot."
DRAWS_NOTHING = {f"{PLT}{name}" for name in ("close", "ioff", "rc", "rcParams.update", "style.use")}
UNREAD = {"raw", "include", "literalinclude", "eval-rst"}
TAGS = {"hide-input", "hide-output", "remove-cell", "remove-input", "timing"}
CLAIM, SEEDS = "tricks_lib.experiment.claims.claim", "tricks_lib.experiment.seeding.seeds"


def is_chapter(text: str) -> bool:
    """Tell whether a page runs, or means to."""
    return "jupytext:" in text.split("\n---", 1)[0] or bool(cells(text))


def is_assignment(text: str) -> bool:
    """Tell whether a text is the source of an assignment, from which otter-grader makes the versions."""
    return "\n# ASSIGNMENT CONFIG\n" in text


def chapter_name(path: Path) -> str:
    """Return ``data/looking`` for ``book/data/looking.md``."""
    return path.relative_to("book").with_suffix("").as_posix()


def standard_header(path: Path, text: str) -> list[str]:
    """The header holds what notebooks need and nothing that one person's Jupyter wrote into it."""
    block = text[4:].split("\n---", 1)[0] if text.startswith("---\n") else ""
    if yaml.safe_load(block) == HEADER:
        return []
    return [at(path, 1, f"the header should be exactly\n---\n{yaml.safe_dump(HEADER, sort_keys=False)}---")]


def plain_python(path: Path, text: str) -> list[str]:
    """Cells are Python: no magics, no shell; and none stands within a directive, where it would not run."""
    found = []
    for cell in cells(text):
        try:
            ast.parse(cell.body)
        except SyntaxError as error:
            line = cell.body_line - 1 + (error.lineno or 1)
            found.append(at(path, line, f"not plain Python: {error.msg}"))
    run = {cell.line for cell in cells(text)}
    fences = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*[`:~]{3,}\{code-cell\}", line)]
    inside = [
        at(path, n, "a cell within a directive does not run: use {exercise-start}") for n in fences if n not in run
    ]
    return found + inside


def imports_public_names(path: Path, text: str, root: Path = Path()) -> list[str]:
    """A chapter does what a user of the library can do: ``from tricks_lib.part.module import PublicName``."""
    found = []
    for node in ast.walk(ast.parse(code(text))):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names if name.name.split(".")[0] == "tricks_lib"]
            found += [at(path, node.lineno, f"import {name}: write from {name} import ...") for name in names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tricks_lib":
            public = _public(node.module or "", root)
            wrong = [name.name for name in node.names if name.name not in public]
            found += [at(path, node.lineno, f"{node.module} has no public name {name}") for name in wrong]
    return found


def short_cells(path: Path, text: str) -> list[str]:
    """No cell is longer than 25 lines, and half of them have five or fewer."""
    found = [
        at(path, cell.line, f"{length} lines in a cell, more than {LONGEST}: move code to tricks_lib, or split it")
        for cell in cells(text)
        if (length := len(cell.body.rstrip().splitlines())) > LONGEST
    ]
    middle = median([sum(bool(line.strip()) for line in cell.body.splitlines()) for cell in cells(text)] or [0])
    return found + (
        [at(path, 1, f"the median cell has {middle:g} lines, more than {TYPICAL}")] if middle > TYPICAL else []
    )


def narrow_cells(path: Path, text: str) -> list[str]:
    """No line of a cell is wider than the page: a reader should not have to scroll sideways."""
    return [
        at(path, cell.body_line + number, f"{len(line)} characters in a line of a cell, more than {WIDEST}: break it")
        for cell in cells(text)
        for number, line in enumerate(cell.body.splitlines())
        if len(line) > WIDEST
    ]


def first_cell_sets_up(path: Path, text: str) -> list[str]:
    """The first cell imports torch, keeps to one thread and picks the device."""
    first = next(iter(cells(text)), None)
    if first is None:
        return [at(path, 1, "no code cell")]
    module = ast.parse(code(text))
    known = aliases(module)
    called = [(name, call.args) for node in statements(first, module) for call, name in calls(node, known)]
    one = any(name == "torch.set_num_threads" and args and getattr(args[0], "value", 0) == 1 for name, args in called)
    missing = [] if one else ["torch.set_num_threads(1)"]
    if not any(name == "tricks_lib.device.default_device" for name, _ in called):
        missing.append("default_device() of tricks_lib.device")
    return [at(path, first.body_line, f"the first cell does not call {what}") for what in missing]


def nothing_goes_unread(path: Path, text: str) -> list[str]:
    """All text stands on the page as Markdown, where the other rules read it."""
    used = [at(path, d.line, f"{{{d.name}}} hides text from the rules") for d in directives(text) if d.name in UNREAD]
    blocks = [token for token in parse(text) if token.type.startswith("substitution")]
    inline = [t for t in parse(text) for child in t.children or [] if child.type.startswith("substitution")]
    return used + [at(path, (t.map or [0])[0] + 1, "a substitution hides text from the rules") for t in blocks + inline]


def nothing_is_excused(path: Path, text: str) -> list[str]:
    """No cell is skipped, or may fail: tags are known ones, and no comment speaks to nbval."""
    found = [
        at(path, cell.line, f"tags must be among {', '.join(sorted(TAGS))}, got {', '.join(sorted(unknown))}")
        for cell in cells(text)
        if (unknown := set(cell.options.get("tags") or []) - TAGS)
    ]
    spoken = [cell for cell in cells(text) if re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.body)]
    return found + [at(path, cell.line, "a comment that tells nbval to look away") for cell in spoken]


def nothing_is_hidden(path: Path, text: str) -> list[str]:
    """A cell that leaves no trace on the page, or no code, does no more than glue numbers."""
    module = ast.parse(code(text))
    return [
        at(path, cell.line, "a hidden cell may only call glue(...): readers see all code that makes a result")
        for cell in cells(text)
        if {"remove-cell", "remove-input"} & set(cell.options.get("tags") or [])
        and not all(_calls_glue(node) for node in statements(cell, module))
    ]


def figures_have_alternatives(path: Path, text: str) -> list[str]:
    """Every picture in the text says in words what it shows."""
    pictures = [d for d in directives(text) if d.name in ("figure", "image")]
    found = [at(path, d.line, "no :alt: text") for d in pictures if not str(d.options.get("alt", "")).strip()]
    for token in parse(text):
        line = (token.map or [0])[0] + 1
        images = [child for child in token.children or [] if child.type == "image" and not child.content.strip()]
        html = token.content if token.type == "html_block" else " ".join(_html(token.children or []))
        bare = [tag for tag in re.findall(r"<img\b[^>]*>", html) if not re.search(r"\balt=([\"'])\s*[^\"'\s]", tag)]
        found += [at(path, line, "picture without alternative text")] * (len(images) + len(bare))
    return found


def drawings_are_described(path: Path, text: str) -> list[str]:
    """A cell that draws names its figure, captions it and describes it; so does one that says it makes a figure."""
    module = ast.parse(code(text))
    drawing = list(_drawing_cells(cells(text), module))
    found = []
    for cell in cells(text):
        missing = [key for key, value in cell.figure.items() if not value]
        if (cell in drawing or "mystnb" in cell.options) and missing:
            found.append(at(path, cell.line, f"a cell that draws needs mystnb options: no {', '.join(missing)}"))
    return found


def reads_and_shows_nothing_itself(path: Path, text: str) -> list[str]:
    """No file by a literal path (notebooks run elsewhere), no ``plt.show`` (it leaves the caption without a figure)."""
    found = []
    for call, name in calls(ast.parse(code(text))):
        literal = bool(call.args) and isinstance(getattr(call.args[0], "value", None), str)
        if name in READERS and literal:
            found.append(at(path, call.lineno, f"{name} of a literal path: data come from tricks_lib.data.datasets"))
        if name in (f"{PLT}show", "plt.show"):
            found.append(at(path, call.lineno, "plt.show: end the cell with the figure"))
    return found


def seeds_are_its_own(path: Path, text: str) -> list[str]:
    """``seeds("data/looking", ...)`` in book/data/looking.md, spelled out: no two chapters share random numbers."""
    own = chapter_name(path)
    return [
        at(path, call.lineno, f'the first argument of seeds should be "{own}"')
        for call, name in calls(ast.parse(code(text)))
        if name == SEEDS and (not call.args or getattr(call.args[0], "value", None) != own)
    ]


def anchors_are_registered(path: Path, text: str, anchors: frozenset[str]) -> list[str]:
    """Each ``(trick-x01)=`` stands once, right above a heading, and is in book/tricks.yml."""
    tokens, seen, found = parse(text), set(), []
    for token, following in pairwise([*tokens, None]):
        if token is not None and token.type == "myst_target" and token.content.startswith("trick-"):
            line = (token.map or [0])[0] + 1
            if token.content not in anchors:
                found.append(at(path, line, f"{token.content} is not an anchor of this chapter in book/tricks.yml"))
            if following is None or following.type != "heading_open":
                found.append(at(path, line, f"{token.content} should stand right above its heading"))
            if token.content in seen:
                found.append(at(path, line, f"{token.content} stands here twice"))
            seen.add(token.content)
    return found


def exercises_have_solutions(path: Path, text: str) -> list[str]:
    """At least three exercises, each with a label and a solution that folds away."""
    found, all_directives = [], list(directives(text))
    tasks = [d for d in all_directives if d.name in ("exercise", "exercise-start")]
    answers = [d for d in all_directives if d.name in ("solution", "solution-start")]
    if len(tasks) < 3:
        found.append(at(path, 1, f"{len(tasks)} exercises: a chapter has at least three"))
    solved = {d.argument for d in answers}
    found += [at(path, d.line, "exercise without a label") for d in tasks if not d.options.get("label")]
    found += [at(path, d.line, "exercise without a solution") for d in tasks if d.options.get("label") not in solved]
    open_ = [d for d in answers if "dropdown" not in str(d.options.get("class", "")).split()]
    found += [at(path, d.line, "solution without :class: dropdown") for d in open_]
    return found + _unclosed(path, all_directives)


def takeaways_name_claims(path: Path, text: str) -> list[str]:
    """A section of three to five takeaways, each with a link to a claim of the chapter."""
    items = list(_list_under("takeaway", text))
    ids = {identity for _, identity in claim_ids(text) if identity}
    if not 3 <= len(items) <= 5:
        return [at(path, 1, f"{len(items)} takeaways in a section of that name: three to five")]
    linked = re.compile("|".join(rf"(?<![\w]){re.escape(one)}(?![\w-])" for one in sorted(ids)) or r"(?!)")
    return [
        at(path, line, "takeaway without a link to a claim of this chapter")
        for line, targets in items
        if not linked.search(targets)
    ]


def claim_ids(text: str) -> list[tuple[int, str]]:
    """Return line and id of each claim that the cells make; an id that is not a plain string is empty."""
    return [
        (call.lineno, value if isinstance(value := getattr(call.args[0], "value", None), str) else "")
        for call, name in calls(ast.parse(code(text)))
        if name == CLAIM and call.args
    ]


def _public(module: str, root: Path) -> list[str]:
    """Return the public names of a module of the library, none if it is private or does not exist."""
    path = root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file() or any(part.startswith("_") for part in module.split(".")):
        return []
    return public_names(ast.parse(file.read_text("utf8"))) or []


def _calls_glue(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and dotted(node.value.func, {}) == "glue"


def _html(children: list[Any]) -> list[str]:
    return [child.content for child in children if child.type == "html_inline"]


def _drawing_cells(all_cells: list[Cell], module: ast.Module) -> Iterator[Cell]:
    """Yield the cells that draw when they run; a function of the chapter that draws makes its callers draw."""
    known = aliases(module)
    drawing: set[str] = set()
    for cell in all_cells:
        for node in statements(cell, module):
            draws = any(_draws(name) or name in drawing for _, name in calls(node, known))
            if draws and isinstance(node, ast.FunctionDef):
                drawing.add(node.name)
            elif draws:
                yield cell
                break


def _draws(name: str) -> bool:
    return name.startswith(("tricks_lib.plots.", PLT, "plt.")) and name not in DRAWS_NOTHING


def _unclosed(path: Path, all_directives: list[Directive]) -> list[str]:
    """Return a message for each ``{exercise-start}`` whose ``{exercise-end}`` does not come next of its kind."""
    found = []
    for kind in ("exercise", "solution"):
        gates = [d for d in all_directives if d.name in (f"{kind}-start", f"{kind}-end")]
        names = [gate.name for gate in gates] + [f"{kind}-start"]
        found += [
            at(path, gate.line, f"{{{kind}-start}} without {{{kind}-end}}")
            for gate, (name, following) in zip(gates, pairwise(names), strict=True)
            if name == following == f"{kind}-start"
        ]
    return found


def _list_under(word: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield line and link targets of each item of the top-level lists below a heading with ``word``."""
    tokens, below, item = parse(text), False, None
    for token, following in pairwise([*tokens, *tokens[-1:]]):
        if token.type == "heading_open":
            below = word in following.content.lower()
        elif below and token.type == "list_item_open" and token.level == 1:
            item = ((token.map or [0])[0] + 1, "")
        elif item and token.type == "inline":
            item = (item[0], " ".join([item[1], *_targets(token.children or [])]))
        elif item and token.type == "list_item_close" and token.level == 1:
            yield item
            item = None


def _targets(children: list[Any]) -> list[str]:
    links = [str(child.attrs.get("href", "")) for child in children if child.type == "link_open"]
    return links + [child.content for child in children if child.type == "myst_role"]
