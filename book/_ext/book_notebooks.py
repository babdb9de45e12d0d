"""Each chapter as a notebook to take along: what its page says as plain Markdown, its code, and what that put out.

The Markdown is made of the page itself, so that numbers, citations and references are filled in, and a reader needs no
extension of Jupyter.  The first cell installs the package where it is missing; the settings that were tuned for the
chapter come along, too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString
from markdownify import MarkdownConverter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx

import tricks_lib

INSTALL = """\
# Where the package of the book is missing, as in Colab, this brings it.
import importlib.util

if importlib.util.find_spec("tricks_lib") is None:
    %pip install -q "{requirement}\""""
TUNED = """\
# What was tuned for this chapter, beside the notebook: without it, it would be tuned again.
from pathlib import Path

if not Path("{name}").exists():
    Path("{name}").write_text({text!r})"""
FOLDED = {"jupyter": {"source_hidden": True}}
SOLUTION = {"jupyter": {"source_hidden": True, "outputs_hidden": True}}


def install(version: str, repository: str = "") -> str:
    """Return the first cell: it brings the release, or what comes after one from the repository, if that is known."""
    unreleased = f" @ git+{repository}" if repository else ""
    wanted = unreleased if "dev" in version else f"=={version}"
    return INSTALL.format(requirement=f"tricks-lib[chapters]{wanted}")


class Plain(MarkdownConverter):
    """HTML of a page to Markdown that every notebook shows: formulas between dollars, boxes as quotes."""

    def __init__(self, base: str) -> None:
        super().__init__(heading_style="ATX", bullets="-", escape_misc=False, code_language="")
        self.base = base

    def convert_span(self, element: Tag, text: str, parent_tags: set[str]) -> str:
        if "math" in _classes(element):
            formula = element.get_text().strip().removeprefix(r"\(").removesuffix(r"\)").strip()
            return f"${formula}$"
        return text

    def convert_a(self, element: Tag, text: str, parent_tags: set[str]) -> str:
        """Keep links to other sites, and those into the book where it is known where that is."""
        address = str(element.get("href", ""))
        if "headerlink" in _classes(element):
            return ""
        if re.match(r"https?:", address):
            return f"[{text}]({address})"
        return f"[{text}]({self.base}{address})" if self.base and not address.startswith("#") else text

    def convert_div(self, element: Tag, text: str, parent_tags: set[str]) -> str:
        if "math" in _classes(element):
            number = element.find(class_="eqno")
            formula = "".join(part for part in element.strings if part.parent is element)
            formula = formula.strip().removeprefix(r"\[").removesuffix(r"\]").strip()
            if isinstance(number, Tag):
                formula += rf" \tag{{{number.get_text().strip('()# ¶')}}}"
            return f"\n\n$$\n{formula}\n$$\n\n"
        if "admonition" in _classes(element):
            return "\n\n" + "\n".join(f"> {line}".rstrip() for line in text.strip().split("\n")) + "\n\n"
        return f"\n\n{text.strip()}\n\n" if text.strip() else ""

    def convert_p(self, element: Tag, text: str, parent_tags: set[str]) -> str:
        if "admonition-title" in _classes(element):
            return f"**{text.strip()}**\n\n"
        return str(super().convert_p(element, text, parent_tags))  # type: ignore[misc]  # not in its stubs

    def convert_pre(self, element: Tag, text: str, parent_tags: set[str]) -> str:
        boxes = " ".join(name for parent in element.parents for name in _classes(parent))
        language = "python" if re.search(r"highlight-(python|ipython|ipython3)\b", boxes) else ""
        return f"\n\n```{language}\n{element.get_text().strip()}\n```\n\n"


def notebook(body: str, run: Any, *, base: str = "", tuned: Path | None = None, repository: str = "") -> Any:
    """Return the notebook of a page: of its HTML and the executed cells behind it.

    ``base`` is where the page's links start, ``tuned`` the file of the chapter's settings, if it has one, and
    ``repository`` where versions come from that were not released.

    Raises
    ------
    ValueError
        If the page does not show the cells of that run.
    """
    page = BeautifulSoup(body, "html.parser")
    code = [cell for cell in run.cells if cell.cell_type == "code"]
    shown = [cell for cell in code if "remove-cell" not in cell.metadata.get("tags", [])]
    places = page.select("div.cell")
    if len(places) != len(shown):
        raise ValueError(f"the page shows {len(places)} cells, its run has {len(shown)}")
    cells = [new_code_cell(install(tricks_lib.__version__, repository))]
    if tuned is not None:
        text = json.dumps(json.loads(tuned.read_text("utf8")), separators=(",", ":"))
        cells.append(new_code_cell(TUNED.format(name=tuned.name, text=text), metadata=FOLDED))
    taken = _groups(code)
    cells += next(taken)
    for piece in _pieces(page):
        if isinstance(piece, Tag) and "cell" in _classes(piece):
            first, *hidden = next(taken)
            if piece.find_parent(class_="solution"):
                first.metadata |= SOLUTION
            cells += [first, *(new_markdown_cell(f"*{text}*") for text in _captions(piece, base)), *hidden]
        elif text := _markdown(piece, base):
            _append(cells, text)
    if cited := _cited(page):
        cells.append(new_markdown_cell("\n".join(["## References", "", *cited])))
    result = new_notebook(cells=cells, metadata={"kernelspec": run.metadata["kernelspec"]})
    for number, cell in enumerate(result.cells):
        cell.id = f"cell-{number}"  # else random: two builds would differ
    nbformat.validate(result)
    return result


def _cited(page: BeautifulSoup) -> list[str]:
    """Return a line for each work that the page cites; sphinxcontrib-bibtex keeps its entry in the link's title."""
    links = page.select('a[href*="bibliography.html#"][title]')
    return sorted({f"- [{link.get_text()}] {link['title']}" for link in links})


def _pieces(element: Tag) -> Iterator[Tag | NavigableString]:
    """Yield cells, and what holds no cells, in their order; of what holds cells, its parts."""
    for child in element.children:
        if isinstance(child, Tag) and "cell" not in _classes(child) and child.select_one("div.cell"):
            yield from _pieces(child)
        elif isinstance(child, Tag | NavigableString):
            yield child


def _markdown(piece: Tag | NavigableString, base: str) -> str:
    text = Plain(base).convert(str(piece)) if isinstance(piece, Tag) else ""
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _append(cells: list[Any], text: str) -> None:
    if cells[-1].cell_type == "markdown" and not text.startswith(("#", "**Exercise", "**Solution")):
        cells[-1].source += f"\n\n{text}"
    else:
        cells.append(new_markdown_cell(text))


def _groups(code: list[Any]) -> Iterator[list[Any]]:
    """Yield what the page hides before its first cell, then each cell that it shows with the hidden ones behind it."""
    group: list[Any] = []
    for cell in code:
        if "remove-cell" not in cell.metadata.get("tags", []):
            yield group
            group = []
        group.append(_taken_along(cell))
    yield group


def _taken_along(cell: Any) -> Any:
    hidden = {"remove-cell", "remove-input", "hide-input"} & set(cell.metadata.get("tags", []))
    metadata = FOLDED if hidden else {}
    return new_code_cell(cell.source, outputs=cell.outputs, execution_count=cell.execution_count, metadata=metadata)


def _captions(piece: Tag, base: str) -> list[str]:
    return [text for caption in piece.select("figcaption") if (text := _markdown(caption, base))]


def _classes(element: Tag) -> list[str]:
    return list(element.get("class") or [])


def write(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Write the notebook of a chapter beside its source, and offer it in the page's menu."""
    run = Path(app.srcdir) / "build" / "executed" / f"{name}.ipynb"
    if not run.is_file() or "kernelspec" not in app.env.metadata.get(name, {}):
        return
    site = app.config.html_baseurl
    base = f"{site.rstrip('/')}/{name.rsplit('/', 1)[0]}/" if site else ""
    to = Path(app.outdir) / "_sources" / f"{name}.ipynb"
    to.parent.mkdir(parents=True, exist_ok=True)
    settings = Path(app.srcdir) / f"{name}.tuned.json"
    tuned = settings if settings.is_file() else None
    if tuned:
        shutil.copyfile(tuned, to.with_name(tuned.name))
        context["settings_source"] = f"{name}.tuned.json"
    executed, repository = nbformat.read(run, as_version=4), context["repository"]
    nbformat.write(notebook(context["body"], executed, base=base, tuned=tuned, repository=repository), to)
    context["ipynb_source"] = f"{name}.ipynb"


def offer_settings(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the file of the chapter's settings to the downloads: who takes the text needs it, too."""
    if "settings_source" in context:
        (menu,) = (group for group in context["header_buttons"] if group.get("label") == "download-buttons")
        button = {"type": "link", "text": ".tuned.json", "icon": "fas fa-sliders", "label": "download-settings-button"}
        url = f"{context['pathto']('_sources', 1)}/{context['settings_source']}"
        menu["buttons"].insert(2, button | {"url": url, "tooltip": "Download tuned settings, to lie beside the text"})


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", write, priority=400)  # before the theme makes its menu
    app.connect("html-page-context", offer_settings, priority=502)  # and after
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
