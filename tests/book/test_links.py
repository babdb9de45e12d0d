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
