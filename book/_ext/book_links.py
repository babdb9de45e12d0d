"""Links between the text and the library, and addresses that stay.

* a trick's section is addressed by its anchor (`#trick-d09`), not by its heading, which may change; so is each claim;
* below its heading stand the trick's id and the names in the library that implement it;
* in the API reference, each name leads back to its trick, or to the chapters that use it, or whose code does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

Trick = dict[str, Any]
IMPORT = re.compile(r"^ *from (tricks_lib\.[\w.]+) import (\([^)]*\)|.+)$", re.MULTILINE)
FULL = re.compile(r"\btricks_lib(?:\.\w+)+")
FEW = 4
CLAIM = re.compile(r'<code class="claim-id">([\w-]+)</code>')


class StableAnchors(SphinxTransform):
    """Put a trick's anchor before the id made of its heading, and below the heading the names that implement it."""

    default_priority = 600  # after docutils has given anchors to sections

    def apply(self, **_: Any) -> None:
        path = Path(self.env.srcdir) / "book" / "tricks.yml"
        tricks = {trick["anchor"]: trick for trick in register(path, path.stat().st_mtime_ns)}
        for section in list(self.document.findall(nodes.section)):
            for anchor in tricks.keys() & set(section["ids"]):
                section["ids"].sort(key=lambda one, first=anchor: one != first)
                section.insert(1, self._line(tricks[anchor]))
                self.env.note_dependency(str(path))

    def _line(self, trick: Trick) -> nodes.paragraph:
        line = nodes.paragraph("", f"Trick {trick['id']}", classes=["trick-line"])
        for count, symbol in enumerate(trick.get("symbols", [])):
            line += nodes.Text(", " if count else ". In the library: ")
            line += self._reference(symbol)
        line += nodes.Text(".")
        return line

    def _reference(self, symbol: str) -> addnodes.pending_xref:
        where = {"refdomain": "py", "reftype": "obj", "refexplicit": True, "refwarn": True}
        shown = nodes.literal("", short(symbol), classes=["xref", "py", "py-obj"])
        return addnodes.pending_xref("", shown, reftarget=symbol, refdoc=self.env.docname, **where)


@lru_cache(maxsize=1)
def register(path: Path, _: int) -> list[Trick]:
    """Return the tricks of the register; its time of change makes a changed one be read again."""
    tricks: list[Trick] = yaml.safe_load(path.read_text("utf8"))["tricks"]
    return tricks


def short(symbol: str) -> str:
    """Return a name without its packages and module, which are in small letters."""
    return re.sub(r"^([a-z_]\w*\.)*", "", symbol)


def imported(text: str) -> set[str]:
    """Return the names that a text imports from the library, in full."""
    return {f"{module}.{name}" for module, names in IMPORT.findall(text) for name in re.findall(r"\w+", names)}


def used(text: str) -> set[str]:
    """Return the names of the library, in full, that a chapter imports or says, and their modules."""
    return imported(text) | set(FULL.findall(text))


def places(symbol: str, tricks: list[Trick], chapters: dict[str, str]) -> Iterator[str]:
    """Yield where the book teaches or uses a name, as reStructuredText; ``chapters`` maps each to its text.

    A trick that names it comes first; else the chapter of its module; else the chapters that use it.
    """
    taught = [
        trick for trick in tricks if symbol in trick.get("symbols", []) and f"book/{trick['chapter']}" in chapters
    ]
    if taught:
        yield from (f":ref:`{trick['name']} ({trick['id']}) <{trick['anchor']}>`" for trick in taught)
        return
    named = [chapter for chapter in chapters if f"{symbol}.".startswith(_module(chapter))]
    uses = {chapter: used(text) for chapter, text in chapters.items()}
    users = [chapter for chapter in uses if symbol in uses[chapter]]
    yield from (f":doc:`/{chapter}`" for chapter in named or users)


def behind(symbol: str, chapters: dict[str, str], imports: dict[str, set[str]]) -> Iterator[str]:
    """Yield the chapters that use a module whose code imports the name, if only through other modules.

    ``imports`` maps each module of the library to what it imports from the others.
    """
    uses = {chapter: modules(used(text)) for chapter, text in chapters.items()}
    level, seen = {module for module, names in imports.items() if symbol in names}, set[str]()
    while level:
        if found := [chapter for chapter in chapters if level & uses[chapter]]:
            yield from (f":doc:`/{chapter}`" for chapter in found)
            return
        seen |= level
        level = {module for module, names in imports.items() if level & modules(names)} - seen


@lru_cache(maxsize=1)
def library(folder: Path) -> dict[str, set[str]]:
    """Return for each module of the library what it imports from the others."""
    files = {".".join(path.relative_to(folder.parent).with_suffix("").parts): path for path in folder.rglob("*.py")}
    return {module: imported(path.read_text("utf8")) for module, path in files.items()}


def modules(names: set[str]) -> set[str]:
    """Return names with those of what holds them: some are modules, some are in one."""
    return names | {name.rpartition(".")[0] for name in names}


def _module(chapter: str) -> str:
    return chapter.replace("book/", "tricks_lib/").replace("/", ".") + "."


def add_places(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Say below each public name where it is taught or used, or whose code uses it."""
    if what not in ("class", "function", "data", "exception"):
        return
    folder = Path(app.srcdir)
    path, toc = folder / "book" / "tricks.yml", folder / "_toc.yml"
    pages = re.findall(r"file: (book/\S+)", toc.read_text("utf8"))
    sources = {page: _sources(folder / f"{page}.md") for page in pages if "reference" not in page}
    chapters = {page: "".join(file.read_text("utf8") for file in files) for page, files in sources.items()}
    for dependency in (path, toc, *chain(*sources.values()), *(folder / "tricks_lib").rglob("*.py")):
        app.env.note_dependency(str(dependency))
    direct = places(name, register(path, path.stat().st_mtime_ns), chapters)
    if found := listed(direct):
        lines += ["", f"**In the book**: {found}.", ""]
    elif found := listed(behind(name, chapters, library(folder / "tricks_lib"))):
        lines += ["", f"**Behind the code of** {found}.", ""]


def _sources(page: Path) -> list[Path]:
    """Return the file of a page; the page of assignments is made from all in its folder."""
    return sorted(page.parent.glob("*.md")) if page.parent.name == "assignments" else [page]


def listed(found: Iterator[str]) -> str:
    """Return the first few, and how many more there are."""
    first, rest = list(islice(found, FEW)), len(list(found))
    return ", ".join(first) + (f" and {rest} more" if rest else "")


def link_claims(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make the id on each claim's card a link to the claim."""
    if "claim-id" in context.get("body", ""):
        context["body"] = CLAIM.sub(_claim_link, context["body"])


def _claim_link(match: re.Match[str]) -> str:
    return f'<a class="claim-id" href="#claim-{match[1]}" title="Link to this claim"><code>{match[1]}</code></a>'


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(StableAnchors)
    app.connect("autodoc-process-docstring", add_places, priority=900)  # after napoleon
    app.connect("html-page-context", link_claims, priority=300)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
