"""What readers do: search, open a solution, move the slider by keyboard."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from nbclient import NotebookClient
from playwright.sync_api import expect

from tests.browser.conftest import SITE, Visit


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


def test_the_download_is_a_notebook_that_runs(visit: Visit, tmp_path: Path) -> None:
    page = visit.open("book/data/looking")
    page.get_by_label("Download this page").click()
    offered = page.locator(".btn-download-notebook-button")
    expect(offered).to_be_visible()
    address = offered.evaluate("link => link.href")
    notebook = nbformat.read(Path(unquote(urlsplit(address).path)), as_version=4)
    assert "tricks-lib[chapters]" in notebook.cells[0].source
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
