"""``{chapter-times}`` and ``{prerequisites}``: what a chapter needs and how long it takes, read off the chapters."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from sphinx.application import Sphinx

if TYPE_CHECKING:
    from book._ext.book_results import Results
else:  # Sphinx puts this folder on the path
    from book_results import Results

Graph = dict[str, list[str]]
PER_MINUTE = 238  # words, the mean over studies of silent reading of English non-fiction (Brysbaert 2019)
CELLS = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FORMULAS = re.compile(r"^\$\$.*?^\$\$.*?$", re.MULTILINE | re.DOTALL)
BEFORE = re.compile(r"^\*\*Before you start:\*\*.*$", re.MULTILINE)
LINK = re.compile(r"\]\(#?([\w./-]+)\)")
COLUMN, ROW, WIDTH, HEIGHT = 185, 46, 150, 32  # of the drawing, in CSS pixels


def words(text: str) -> int:
    """Count the words of a chapter that are read: those outside of code, formulas and headers."""
    prose = FORMULAS.sub("", CELLS.sub("", text.split("---\n", 2)[-1]))
    return len(re.findall(r"[^\W\d_][\w'-]*", prose))


def needs(texts: dict[str, str], anchors: dict[str, str]) -> Graph:
    """Return for each chapter those that its *Before you start* links to, by page or by a trick's anchor."""
    found: Graph = {}
    for name, text in texts.items():
        said = BEFORE.search(text)
        targets = LINK.findall(said[0] if said else "")
        pages = [anchors.get(target, f"{Path(name).parent}/{target.removesuffix('.md')}") for target in targets]
        found[name] = [page for page in texts if page in pages and page != name]
    return found


def depths(graph: Graph) -> dict[str, int]:
    """Return how many chapters have to be read one after the other before each.

    Raises
    ------
    ValueError
        If chapters need each other.
    """
    found: dict[str, int] = {}
    while len(found) < len(graph):
        ready = [name for name, before in graph.items() if name not in found and set(before) <= found.keys()]
        if not ready:
            raise ValueError(f"chapters need each other: {', '.join(sorted(graph.keys() - found.keys()))}")
        found |= {name: 1 + max((found[one] for one in graph[name]), default=-1) for name in ready}
    return found


def direct(graph: Graph) -> Graph:
    """Leave out what another prerequisite asks for already."""

    def all_before(name: str) -> set[str]:
        return set(graph[name]).union(*(all_before(one) for one in graph[name]))

    return {
        name: [one for one in before if not any(one in all_before(other) for other in before)]
        for name, before in graph.items()
    }


def drawing(graph: Graph) -> str:
    """Draw the chapters as boxes, from left to right, with a line from each to those that need it."""
    depth = depths(graph)
    columns = [[name for name in graph if depth[name] == column] for column in range(max(depth.values()) + 1)]
    place = {name: (x * COLUMN + 4, y * ROW + 4) for x, column in enumerate(columns) for y, name in enumerate(column)}
    size = f"{len(columns) * COLUMN} {max(map(len, columns)) * ROW}"
    lines = [_line(place[one], place[name]) for name, before in direct(graph).items() for one in before]
    boxes = [_box(*place[name], _short(name)) for name in graph]
    needing = {_short(name): " and ".join(map(_short, before)) for name, before in graph.items() if before}
    said = "; ".join(f"{name} needs {before}" for name, before in needing.items())
    label = escape(f"Chapters as boxes with lines to those that need them: {said}.")
    drawn = "".join(lines + boxes)
    svg = f'<svg class="prerequisites" viewBox="0 0 {size}" role="img" aria-label="{label}">{drawn}</svg>'
    return f'<div class="wide" role="region" aria-label="Prerequisites" tabindex="0">{svg}</div>'  # keys scroll it


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1].replace("_", " ")


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    middle = (x1 + x2) // 2
    return f'<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"/>'


def _box(x: int, y: int, text: str) -> str:
    words = f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2 + 4}">{text}</text>'
    return f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>{words}'


class Chapters(Results):
    """What both directives read: the chapters in the order of the book, and who needs whom."""

    def texts(self) -> dict[str, str]:
        runs = self.load("build/run_times.json")
        files = {name: Path(self.env.srcdir) / f"{name}.md" for name in runs}
        for path in files.values():
            self.env.note_dependency(str(path))
        return {name: path.read_text("utf8") for name, path in files.items()}

    def graph(self) -> Graph:
        tricks = yaml.safe_load((Path(self.env.srcdir) / "book/tricks.yml").read_text("utf8"))["tricks"]
        return needs(self.texts(), {trick["anchor"]: f"book/{trick['chapter']}" for trick in tricks})


class ChapterTimes(Chapters):
    """For each chapter what it needs, its words, minutes to read them, formulas, exercises, and seconds to run."""

    def lines(self) -> list[str]:
        runs, texts, graph = self.load("build/run_times.json"), self.texts(), self.graph()
        table = [
            "| chapter | after | words | minutes | formulas | exercises | run, s |",
            "|---|---|--:|--:|--:|--:|--:|",
        ]
        for name, text in texts.items():
            before = ", ".join(f"[](/{one}.md)" for one in graph[name])
            counted, formulas = words(text), len(FORMULAS.findall(text))
            exercises = text.count("{exercise-start}") + text.count("{exercise}")
            row = (f"[](/{name}.md)", before, f"{counted:,}", f"{counted / PER_MINUTE:.0f}", formulas, exercises)
            table.append(f"| {' | '.join(map(str, row))} | {runs[name]['seconds']:.0f} |")
        counted = sum(map(words, texts.values()))
        seconds = sum(run["seconds"] for run in runs.values())
        return [*table, f"| **all** | | {counted:,} | {counted / PER_MINUTE:.0f} | | | {seconds:.0f} |"]


class Prerequisites(Chapters):
    """The chapters and what each of them needs, as a drawing; on paper as a list."""

    def lines(self) -> list[str]:
        graph = self.graph()
        said = [
            f"- [](/{name}.md): {', '.join(f'[](/{one}.md)' for one in graph[name])}" for name in graph if graph[name]
        ]
        return ["```{raw} html", drawing(graph), "```", "", ":::{only} latex", *said, ":::"]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("chapter-times", ChapterTimes)
    app.add_directive("prerequisites", Prerequisites)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
