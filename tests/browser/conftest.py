"""The built site in a real browser: Chromium of the system, or the one that Playwright installed, from files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tools import browser as browsers

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
SHOTS = ROOT / "build" / "screenshots"


def pages() -> list[str]:
    """Return the pages that a reader may stay on, without `.html`: not the one that leads to the first."""
    found = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    return sorted(path.relative_to(SITE).with_suffix("").as_posix() for path in found if path != SITE / "index.html")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", pages() or ["no page: build the book first, by `make book`"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = browsers.find()
    assert path, "no browser here: `make browser` installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page, what it logged, and what it asked other hosts for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.outside.append(url)

    def open(self, name: str, query: str = "") -> Page:
        """Open a page of the site and wait until its formulas stand."""
        path = SITE / f"{name}.html"
        assert path.is_file(), f"{path} is missing: build the book first, by `make book`"
        self.page.goto(path.as_uri() + query, wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        return self.page


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    yield Visit(context.new_page())
    context.close()
