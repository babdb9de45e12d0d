"""`book_links`: text and library lead to each other, and addresses stay."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("book_links", ROOT / "book/_ext/book_links.py")
assert spec is not None and spec.loader is not None
links = importlib.util.module_from_spec(spec)
spec.loader.exec_module(links)

TRICK = {
    "id": "D09",
    "name": "PCA whitening",
    "anchor": "trick-d09",
    "chapter": "data/whitening",
    "symbols": ["tricks_lib.data.whitening.PCAWhitening"],
}
CHAPTERS = {
    "book/data/whitening": "from tricks_lib.device import default_device\n",
    "book/data/maps": """
from tricks_lib.data.whitening import (
    ZCAWhitening,
)
from tricks_lib.device import default_device

```{implementation} tricks_lib.data.fitted.covariance
```
""",
}
IMPORTS = {
    "tricks_lib.deeper": {"tricks_lib.deep.f"},
    "tricks_lib.data.fitted": {"tricks_lib.deeper.g", "tricks_lib.ring"},
    "tricks_lib.data.more": {"tricks_lib.data.fitted.covariance", "tricks_lib.deep.f"},
    "tricks_lib.ring": {"tricks_lib.ring.f", "tricks_lib.alone.f"},
    "tricks_lib.alone": {"tricks_lib.ring.f"},
}


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("tricks_lib.data.whitening.PCAWhitening", [":ref:`PCA whitening (D09) <trick-d09>`"]),
        ("tricks_lib.data.whitening.ZCAWhitening", [":doc:`/book/data/whitening`"]),
        ("tricks_lib.data.whitening", [":doc:`/book/data/whitening`"]),
        ("tricks_lib.device.default_device", [":doc:`/book/data/whitening`", ":doc:`/book/data/maps`"]),
        ("tricks_lib.device.nobody", []),
        ("tricks_lib.data.fitted.covariance", [":doc:`/book/data/maps`"]),
        ("tricks_lib.elsewhere.nobody", []),
        ("tricks_lib.data.whitening_more.x", []),
    ],
)
def test_a_name_leads_to_its_trick_or_its_chapter_or_to_those_that_use_it(symbol: str, expected: list[str]) -> None:
    assert list(links.places(symbol, [TRICK], CHAPTERS)) == expected


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("tricks_lib.deep.f", [":doc:`/book/data/maps`"]),  # through deeper and fitted, of which the chapter has a name
        ("tricks_lib.deep.nobody", []),  # another name of that module
        ("tricks_lib.ring.f", [":doc:`/book/data/maps`"]),  # ring and alone lead round in a circle, and to fitted
        ("tricks_lib.device.default_device", []),  # no other module has it
    ],
)
def test_a_name_of_the_machinery_leads_to_chapters_whose_code_imports_it(symbol: str, expected: list[str]) -> None:
    assert list(links.behind(symbol, CHAPTERS, IMPORTS)) == expected


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "0"), (4, "0, 1, 2, 3"), (5, "0, 1, 2, 3 and 1 more"), (9, "0, 1, 2, 3 and 5 more")],
)
def test_long_lists_are_cut(count: int, text: str) -> None:
    assert links.listed(map(str, range(count))) == text


def test_imports_are_read_from_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "tricks_lib"
    (folder / "data").mkdir(parents=True)
    (folder / "one.py").write_text("from tricks_lib.data import (\n    two,\n    three,\n)\nimport torch\n", "utf8")
    (folder / "data/two.py").write_text("def f():\n    from tricks_lib.one import x as y\n", "utf8")
    found = links.library(folder)
    assert found["tricks_lib.one"] == {"tricks_lib.data.two", "tricks_lib.data.three"}
    assert found["tricks_lib.data.two"] >= {"tricks_lib.one.x"}


def test_a_trick_of_a_chapter_to_come_is_no_place() -> None:
    waiting = TRICK | {"chapter": "data/later"}
    assert list(links.places(TRICK["symbols"][0], [waiting], CHAPTERS)) == [":doc:`/book/data/whitening`"]


def test_the_id_of_a_claim_becomes_a_link() -> None:
    context = {"body": '<p><code class="claim-id">d09-svd</code></p>'}
    links.link_claims(None, "", "", context, None)
    assert context["body"].startswith('<p><a class="claim-id" href="#claim-d09-svd" title="Link to this claim"><code>')


@pytest.mark.parametrize(
    ("symbol", "name"), [("tricks_lib.data.fitted.moments", "moments"), ("a.b_c.PCA.fit", "PCA.fit")]
)
def test_names_are_shown_without_their_module(symbol: str, name: str) -> None:
    assert links.short(symbol) == name
