"""What readers do: search, open a solution, move the slider by keyboard."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
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


@pytest.mark.parametrize(
    ("link", "address"),
    [("[id=trick-d09] > h2 > a.headerlink", "#trick-d09"), ("[id=card-d09-svd] a.claim-id", "#claim-d09-svd")],
)
def test_the_address_of_a_trick_or_claim_can_be_copied(visit: Visit, link: str, address: str) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.open("book/data/whitening")
    page.locator(link).locator("..").hover()  # the sign behind a heading shows then
    page.locator(link).click()
    expect(page.get_by_role("status").filter(has_text="link copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()").endswith(f"whitening.html{address}")
    assert visit.errors == []


def test_a_name_leads_to_its_trick_and_back(visit: Visit) -> None:
    page = visit.open("book/data/whitening")
    page.locator("[id=trick-d09] > .trick-line").get_by_role("link", name="PCAWhitening").click()
    page.wait_for_url("**/api_data.html#tricks_lib.data.whitening.PCAWhitening")
    entry = page.locator("dl.class", has=page.locator("[id='tricks_lib.data.whitening.PCAWhitening']"))
    entry.get_by_role("link", name="PCA whitening (D09)").click()
    page.wait_for_url("**/whitening.html#trick-d09")


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
