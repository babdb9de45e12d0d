"""Each page of the built site in a real browser: on a desk, in the dark, and on a phone."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import SHOTS, Visit

# faults of the theme and of docutils that a page cannot mend
THEIRS = {
    "label-content-name-mismatch",  # search and theme buttons, "Show code cell source"
    "aria-required-children",  # the list of references
    "aria-allowed-role",
    "aria-deprecated-role",
}
AXE = {"resultTypes": ["violations"], "preload": False}  # it would fetch style sheets, which files may not
CONTRAST = {"runOnly": ["color-contrast"]}  # all that the dark changes
NO_CONTRAST = {"rules": {"color-contrast": {"enabled": False}}}  # all that a phone may change; colors take longest
RUN = re.compile(r"Version \S+ of book and package, run on \d{4}-\d\d-\d\d \(.*cores.*torch")
UNSET = """() => [...document.querySelectorAll('.math')].filter(math => !math.querySelector('mjx-container'))
    .map(math => math.textContent.slice(0, 80))"""
WRONG = "() => [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(error => error.textContent)"
BROKEN = """() => [...document.images].filter(image => image.complete && !image.naturalWidth
    || !image.hasAttribute('alt')).map(image => image.outerHTML.slice(0, 120))"""
WIDE = """() => {
    const width = document.documentElement.clientWidth
    const scrolls = element => element && (['auto', 'scroll', 'hidden'].includes(getComputedStyle(element).overflowX)
        || scrolls(element.parentElement))
    return [...document.querySelectorAll('.bd-article *')]
        .filter(element => element.getBoundingClientRect().right > width + 1 && !scrolls(element.parentElement))
        .map(element => element.textContent.slice(0, 80)).slice(0, 5)
}"""


def test_page(visit: Visit, name: str) -> None:
    """One visit for both colors: loading a page and setting its formulas takes long.  A phone loads its own."""
    page = visit.open(name)
    assert faults(page) == []
    expect(page.locator(".extra_footer")).to_contain_text(RUN)
    shoot(page, name, "light")
    assert violations(page) == []
    page.evaluate("() => { document.documentElement.dataset.mode = document.documentElement.dataset.theme = 'dark' }")
    shoot(page, name, "dark")
    assert violations(page, **CONTRAST) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert faults(visit.open(name)) == []
    shoot(page, name, "phone")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390, page.evaluate(WIDE)
    assert violations(page, **NO_CONTRAST) == []
    assert visit.errors == []
    assert visit.outside == []


def faults(page: Page) -> list[str]:
    """Return formulas that are not set or wrong, and images that are missing or say nothing to who cannot see them."""
    page.evaluate("() => document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    return [fault for find in (UNSET, WRONG, BROKEN) for fault in page.evaluate(find)]


def shoot(page: Page, name: str, mode: str) -> None:
    """Keep a picture of what stands first, to be looked at."""
    path = SHOTS / mode / f"{name.replace('/', '-')}.png"
    page.screenshot(path=path, animations="disabled")


def violations(page: Page, **some: object) -> list[str]:
    """Return what axe, or some of it, finds in the text, apart from faults that are not ours."""
    found = Axe().run(page, context=".bd-article-container", options=AXE | some).response
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found["violations"]
        if rule["id"] not in THEIRS
        for node in rule["nodes"][:3]
    ]
