"""What readers do: search, open a solution, move the slider by keyboard."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, SITE, Visit


def test_the_address_of_the_site_leads_to_the_first_page(visit: Visit) -> None:
    visit.page.goto((SITE / "index.html").as_uri(), wait_until="commit")
    visit.page.wait_for_url((SITE / "book" / "index.html").as_uri())
    assert visit.errors == [] and visit.outside == []


def test_search_finds_a_word(visit: Visit) -> None:
    page = visit.open("search", "?q=standardize")
    expect(page.locator("#search-results li a").first).to_be_visible()
    assert any(
        "normalization" in link for link in page.locator("#search-results li a").evaluate_all("a => a.map(x => x.href)")
    )
    assert visit.errors == [] and visit.outside == []


def test_a_solution_opens(visit: Visit) -> None:
    page = visit.open("book/data/looking")
    solution = page.locator(".solution.dropdown, details.toggle-details, .admonition.solution").first
    body = solution.locator("p:not(.admonition-title)").first
    expect(body).to_be_hidden()
    solution.locator(".admonition-title, summary").first.click()
    expect(body).to_be_visible()


def test_the_slider_moves_by_keyboard(visit: Visit) -> None:
    page = visit.open("book/learning/learning_rate")
    slider = page.locator("input[type=range]").first
    slider.focus()
    before = slider.input_value()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() != before


def test_a_chapter_can_be_taken_as_notebook_and_as_text_with_its_settings(visit: Visit) -> None:
    page = visit.open("book/data/whitening")
    page.get_by_label("Download this page").click()
    taken = {}
    for what in ("notebook", "source", "settings"):
        button = page.locator(f".btn-download-{what}-button")
        expect(button).to_be_visible()
        taken[what] = Path(unquote(urlsplit(button.evaluate("link => link.href")).path))
    assert "tricks-lib[chapters]" in nbformat.read(taken["notebook"], as_version=4).cells[0].source
    for what, name in (("source", "whitening.md"), ("settings", "whitening.tuned.json")):
        assert taken[what].name == name
        assert taken[what].read_bytes() == (ROOT / "book/data" / name).read_bytes()
