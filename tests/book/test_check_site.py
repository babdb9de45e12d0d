"""The static check of the built site finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_site import check

PAGE = '<html lang="en"><head><title>t</title></head><body><h1 id="top">t</h1>{}</body></html>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE.format(""))
    return tmp_path


def test_clean_page(site: Path) -> None:
    (site / "index.html").write_text(PAGE.format('<a href="#top">up</a><img src="data:," alt="a dot">'))
    assert check(site) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<script src="//example.org/x.js"></script>', "loads //example.org/x.js"),
        (
            '<img src="data:," alt="a" srcset="https://example.org/a.png 2x">',
            "loads https://example.org/a.png",
        ),
        ('<link rel="stylesheet" href="https://example.org/x.css">', "loads https://example.org/x.css"),
        ("<style>@import 'https://example.org/x.css'</style>", "style loads https://example.org/x.css"),
        ('<p style="background:url(https://example.org/x.png)">', "style loads https://example.org/x.png"),
        ("<script>load('https://cdn.jsdelivr.net/npm/x')</script>", "names a CDN"),
        ('<img src="data:,">', "no text alternative"),
        ('<iframe src="index.html"></iframe>', "no text alternative"),
        ('<img src="gone.png" alt="gone">', "missing file gone.png"),
        ('<a href="gone.html">x</a>', "broken link gone.html"),
        ('<a href="#gone">x</a>', "no such anchor #gone"),
        ('<a href="index.html#gone">x</a>', "no such anchor index.html#gone"),
        ('<div class="system-message">x</div>', "system message"),
        ("x" * 1_000_001, "more than 1,000,000"),
    ],
)
def test_faulty_page(site: Path, body: str, problem: str) -> None:
    (site / "index.html").write_text(PAGE.format(body))
    assert [line for line in check(site) if problem in line]


def test_style_sheet_that_loads_from_elsewhere(site: Path) -> None:
    (site / "x.css").write_text("a { background: url('https://example.org/x.png') }")
    assert [line for line in check(site) if "x.css: loads https://example.org/x.png" in line]


def test_a_site_without_pages_is_no_site(tmp_path: Path) -> None:
    assert check(tmp_path) == [f"{tmp_path}: no page at all"]
