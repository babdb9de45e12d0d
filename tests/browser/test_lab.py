"""`make lab` in a browser: JupyterLab shows a chapter as a notebook, and saves what it was."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Response, expect

from tests.lab_server import ROOT, lab

NAME = "book/data/looking.md"


def saved(answer: Response) -> bool:
    return answer.request.method == "PUT" and f"/api/contents/{NAME}" in answer.url


def test_a_chapter_opens_as_a_notebook_and_is_saved_as_its_text(browser: Browser, tmp_path: Path) -> None:
    with lab(tmp_path) as server:
        context = browser.new_context()
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"http://{server.address}/lab/tree/{NAME}?token={server.token}")
        expect(page.locator(".jp-NotebookPanel .jp-CodeCell").first).to_contain_text("import torch")
        expect(page.locator(".jp-NotebookPanel")).to_contain_text("Python 3")  # its kernel is known, hence its header
        with page.expect_response(saved) as answer:
            page.keyboard.press("Control+S")
        assert answer.value.ok
        context.close()
        assert (tmp_path / NAME).read_bytes() == (ROOT / NAME).read_bytes()
