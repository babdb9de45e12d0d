"""Check a built site: nothing from the network, no broken internal link, every image described, no heavy page.

python -m tools.check_site _build/html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    *((tag, "src") for tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "input")),
    *(("object", "data"), ("link", "href"), ("video", "poster"), ("use", "href")),
}
NAMES_ONLY = {
    "canonical",
    "next",
    "prev",
    "index",
    "search",
    "author",
    "copyright",
    "license",
}  # <link rel=...>
LIMIT = 1_000_000
REMOTE = re.compile(r"^(https?:)?//", re.I)
STYLE_URL = re.compile(r"""url\(\s*['"]?((?:https?:)?//[^'")]+)|@import\s+['"]((?:https?:)?//[^'"]+)""", re.I)
CDN = re.compile(
    r"https?://(?:unpkg\.com|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|maxcdn\.[\w.]+|cdn\.plot\.ly|fonts\.g\w+\.com)"
    r"[^\s\"'<)]*"
)


class Page(HTMLParser):
    """What a page loads, links to and offers as anchors, and what it shows without words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text("utf8")
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.undescribed: list[str] = []
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        self.anchors |= {attributes[key] for key in ("id", "name") if key in attributes}
        if not (tag == "link" and attributes.get("rel") in NAMES_ONLY):
            self.loads += [value for key, value in attributes.items() if (tag, key) in LOADS and value]
        self.loads += [part.split()[0] for part in attributes.get("srcset", "").split(",") if part.split()]
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if self._lacks_words(tag, attributes):
            self.undescribed.append(f"<{tag}> {attributes.get('src', '')[:80]}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    @staticmethod
    def _lacks_words(tag: str, attributes: dict[str, str]) -> bool:
        if tag in ("iframe", "video"):
            return not (attributes.get("title") or attributes.get("aria-label"))
        return tag == "img" and not attributes.get("alt", "").strip() and attributes.get("role") != "presentation"


def check(root: Path) -> list[str]:
    """Return a line for each problem of the site below ``root``."""
    root = root.resolve()
    files = sorted(path for path in root.rglob("*.html") if "_static" not in path.relative_to(root).parts)
    pages = {path: Page(path) for path in files}
    problems = [f"{path.relative_to(root)}: {what}" for path in pages for what in _faults(path, pages)]
    for path in sorted(root.rglob("*.css")):
        problems += [f"{path.relative_to(root)}: loads {url}" for url in _style_urls(path.read_text("utf8", "replace"))]
    return problems if pages else [f"{root}: no page at all"]


def _faults(path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    page = pages[path]
    for url in page.loads:
        if REMOTE.match(url):
            yield f"loads {url}"
        elif not url.startswith(("data:", "#")) and not (path.parent / unquote(urlsplit(url).path)).exists():
            yield f"missing file {url}"
    yield from (f"names a CDN: {url}" for url in sorted(set(CDN.findall(page.text))))
    yield from (f"style loads {url}" for url in _style_urls(page.text))
    yield from (f"no text alternative: {what}" for what in page.undescribed)
    yield from filter(None, (_broken(path, url, pages) for url in page.links))
    if len(page.text) > LIMIT:
        yield f"{len(page.text):,} characters, more than {LIMIT:,}"
    if "system-message" in page.text:
        yield "holds a docutils system message"


def _broken(path: Path, url: str, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return f"broken link {url}"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return f"no such anchor {url}"
    return None


def _style_urls(text: str) -> list[str]:
    return [url or imported for url, imported in STYLE_URL.findall(text)]


if __name__ == "__main__":
    found = check(Path(sys.argv[1]))
    print("\n".join(found) or "site: no problem found")
    sys.exit(bool(found))
