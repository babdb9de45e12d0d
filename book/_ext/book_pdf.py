"""The book as LaTeX: what is made for a screen alone in the tree of the whole book, made for paper.

* parts become parts: Sphinx would put all chapters below the heading that holds the table of contents;
* cards of claims, HTML in the run of a chapter, become boxes; the code that states a claim, folded on its page, goes;
* columns of long tables get widths: LaTeX would not wrap them.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

SVG = re.compile(r"<svg .*?</svg>", re.S)
LONG, WIDE = 25, 50  # rows from which a table may break over pages; characters from which a column need not grow
KEY = re.compile(r'class="claim-key">(.*?)<', re.S)


class Parts(SphinxPostTransform):
    """Give the parts of ``_toc.yml`` a page each, and what comes before them one chapter without a number."""

    default_priority = 1
    formats = ("latex",)

    def run(self, **_: Any) -> None:
        book = next(iter(self.document.findall(nodes.section)))
        wrappers = [node for node in book.findall(nodes.compound) if "toctree-wrapper" in node["classes"]]
        contents = wrappers[0].parent
        for wrapper in wrappers:
            contents.remove(wrapper)
        if contents is not book:
            book.remove(contents)  # the heading "Contents": LaTeX makes its own
        title, *front = book.children
        about = nodes.section("", nodes.title("", "About this book"), *front, ids=["about-this-book"])
        book.children = []
        book += [title, about]
        for wrapper, part in zip(wrappers, self.config.external_site_map.root.subtrees, strict=True):
            book += [latex(rf"\bookpart{{{part.caption}}}"), wrapper]


class Cards(SphinxPostTransform):
    """Show claims as cards and their intervals as drawings, before myst-nb takes their plain text."""

    default_priority = 3
    formats = ("latex",)

    def run(self, **_: Any) -> None:
        for raw in [node for node in self.document.findall(nodes.raw) if 'class="claim' in node.astext()]:
            bundle = raw.parent.parent
            if bundle.get("nb_element") != "mime_bundle":  # the scorecard has bars alone
                raw.replace_self(self.bar(raw.astext()))
                continue
            output = bundle.parent
            bundle.replace_self(self.card(raw.astext()))
            if "tag_hide-input" in output.parent["classes"]:
                output.parent.remove(output.parent.children[0])

    def card(self, html: str) -> nodes.container:
        """Return the card as nodes: the words of the HTML, and the bar, if it has one."""
        card = BeautifulSoup(html, "html.parser").select_one(".claim")
        assert card is not None
        head = nodes.paragraph("", f"{said(card, '.claim-kind')}: {said(card, '.claim-verdict')}")
        head += [latex(r"\hfill "), nodes.literal("", said(card, ".claim-id"))]
        sentence = nodes.paragraph("", "", nodes.strong("", said(card, ".claim-sentence")))
        bar = [self.bar(html)] if SVG.search(html) else []
        rows = [
            nodes.paragraph("", "", nodes.emphasis("", said(row, "dt")), nodes.Text(f": {said(row, 'dd')}"))
            for row in card.select(".claim-rows > div")
        ]
        states = [name for name in card["class"] if name in ("claim-holds", "claim-fails", "claim-unjudged")]
        return nodes.container("", head, sentence, *bar, *rows, classes=states)

    def bar(self, html: str) -> nodes.raw:
        """Turn the bar into a PDF and return what includes it, with its key."""
        svg, key = SVG.findall(html)[0], unescape(KEY.findall(html)[0])
        name = f"bar-{hashlib.sha256(svg.encode()).hexdigest()[:16]}.pdf"
        to = Path(self.app.outdir) / name
        if not to.is_file():
            svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
            subprocess.run(["rsvg-convert", "--format=pdf", f"--output={to}"], input=svg, text=True, check=True)
        return latex(rf"\claimbar{{{name}}}{{{key}}}")


class LongTables(SphinxPostTransform):
    """Share the width of a page among the columns of a long table, by the longest text of each."""

    default_priority = 900
    formats = ("latex",)

    def run(self, **_: Any) -> None:
        for table in self.document.findall(nodes.table):
            rows = [[len(cell.astext()) for cell in row] for row in table.findall(nodes.row)]
            if len(rows) > LONG:
                table["classes"] += ["longtable", "colwidths-given"]
                columns = zip(*rows, strict=True)
                for spec, lengths in zip(table.findall(nodes.colspec), columns, strict=True):
                    spec["colwidth"] = min(max(lengths), WIDE)


def said(element: Tag, selector: str) -> str:
    found = element.select_one(selector)
    assert found is not None
    return " ".join(found.get_text().split())


def latex(code: str) -> nodes.raw:
    return nodes.raw("", code, format="latex")


def setup(app: Sphinx) -> dict[str, Any]:
    for transform in (Parts, Cards, LongTables):
        app.add_post_transform(transform)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
