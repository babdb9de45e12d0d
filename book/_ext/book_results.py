"""``{trick-index}``, ``{scorecard}``, ``{run-times}``: pages of what the build collected.  Nothing in them is typed."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tricks_lib.experiment import card
from tricks_lib.experiment.claims import Claim

Record = dict[str, Any]
ORDER = ("effect", "rate", "theory", "null", "exact", "report", "fact")


class Results(SphinxDirective, ABC):
    """A directive that writes MyST Markdown from collected results and lets the parser read it."""

    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["results"])
        self.state.nested_parse(StringList(self.lines(), self.get_source_info()[0]), self.content_offset, box)
        return [box]

    @abstractmethod
    def lines(self) -> list[str]:
        """Return the Markdown to be read."""

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


class Scorecard(Results):
    """For each trick of a finished chapter: its claims with interval, seeds and regime; cost; when it hurts."""

    def lines(self) -> list[str]:
        tricks, claims = self.load("book/tricks.yml")["tricks"], self.load("build/claims.json")
        by_id = {claim["id"]: claim for claim in claims}
        written = [trick for trick in tricks if self.is_written(trick["chapter"])]
        found = [self._summary(written, claims)]
        for trick in written:
            found += self._trick(trick, by_id)
        return found

    def _summary(self, written: list[Record], claims: list[Record]) -> str:
        kinds = Counter(claim["kind"] for claim in claims)
        counted = ", ".join(f"{kinds[kind]} of kind *{kind}*" for kind in ORDER if kinds[kind])
        judged = [claim for claim in claims if claim["holds"] is not None]
        holding = sum(claim["holds"] for claim in judged)
        return (
            f"{len(written)} tricks, {len(claims)} claims: {counted}. Of the {len(judged)} claims that the build "
            f"judges, {holding} hold.\n"
        )

    def _trick(self, trick: Record, by_id: dict[str, Record]) -> list[str]:
        own = [by_id[one] for one in trick["claims"]]
        hurting = "; ".join(f"[{by_id[one]['sentence'].rstrip('.')}](#claim-{one})" for one in trick["hurts"])
        return [
            f"**[{trick['id']} {trick['name']}](#{trick['anchor']})**\n",
            *(line for claim in own if claim["kind"] != "fact" for line in self._claim(claim)),
            f"*Cost*: {trick['cost']}. *When it hurts or does nothing*: {hurting}.\n",
        ]

    def _claim(self, record: Record) -> list[str]:
        claim = Claim.from_record(record)
        bar = card.bar(claim)
        drawing = ["```{raw} html", bar.rstrip(), "```"] if bar else []
        verdict = claim.kind if claim.holds is None else f"{claim.kind}, {card.verdict(claim)}"
        said = f"[{claim.sentence}](#claim-{claim.id}) *({verdict})*"
        facts = f"{card.measured(claim)}. *Regime*: {claim.regime}."
        return [":::{container} score", said, "", *drawing, "", facts, ":::", ""]


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
    app.add_directive("scorecard", Scorecard)
    app.add_directive("run-times", RunTimes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
