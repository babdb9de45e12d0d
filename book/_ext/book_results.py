"""``{trick-index}`` and ``{run-times}``: tables over what the build collected.  Nothing in them is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Record = dict[str, Any]


class Results(SphinxDirective):
    """A directive that writes MyST Markdown from collected results and lets the parser read it."""

    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["results"])
        self.state.nested_parse(StringList(self.lines(), self.get_source_info()[0]), self.content_offset, box)
        return [box]

    def lines(self) -> list[str]:
        raise NotImplementedError

    def load(self, name: str) -> Any:
        """Read a file below the root and note that this page depends on it."""
        path = Path(self.env.srcdir) / name
        self.env.note_dependency(str(path))
        text = path.read_text("utf8")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)

    def is_written(self, chapter: str) -> bool:
        return f"book/{chapter}" in self.env.found_docs


class TrickIndex(Results):
    """All tricks of the register: those of finished chapters with links, then the names of the others."""

    def lines(self) -> list[str]:
        tricks, claims = self.load("book/tricks.yml")["tricks"], self.load("build/claims.json")
        written = [trick for trick in tricks if self.is_written(trick["chapter"])]
        waiting = [trick for trick in tricks if not self.is_written(trick["chapter"])]
        table = ["| trick | chapter | claims that hold | reported, cited |", "|---|---|---|---|"]
        table += [self._row(trick, [c for c in claims if c["trick"] == trick["id"]]) for trick in written]
        by_part: dict[str, list[str]] = {}
        for trick in waiting:
            by_part.setdefault(trick["part"], []).append(f"{trick['name']} ({trick['id']})")
        rest = [f"- *{part}*: {'; '.join(names)}." for part, names in by_part.items()]
        return [*table, "", *(["The chapters on these are in preparation:", "", *rest] if rest else [])]

    def _row(self, trick: Record, claims: list[Record]) -> str:
        judged = [claim for claim in claims if claim["holds"] is not None]
        holding = sum(claim["holds"] for claim in judged)
        link = f"[{trick['id']} {trick['name']}](#{trick['anchor']})"
        return (
            f"| {link} | [](/book/{trick['chapter']}.md) | {holding} of {len(judged)} | {len(claims) - len(judged)} |"
        )


class RunTimes(Results):
    """Run time, claims, date and machine of each chapter."""

    def lines(self) -> list[str]:
        runs, claims = self.load("build/run_times.json"), self.load("build/claims.json")
        table = ["| chapter | seconds | claims | date | machine |", "|---|--:|--:|---|---|"]
        for name, run in runs.items():
            count = sum(claim["chapter"] == name for claim in claims)
            table.append(f"| [](/{name}.md) | {run['seconds']:.0f} | {count} | {run['date']} | {run['machine']} |")
        total = sum(run["seconds"] for run in runs.values())
        return [*table, f"| **all** | **{total:.0f}** | **{len(claims)}** | | |"]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("trick-index", TrickIndex)
    app.add_directive("run-times", RunTimes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
