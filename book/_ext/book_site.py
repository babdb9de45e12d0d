"""An offline, accessible site.

* one local MathJax file instead of a CDN; no Thebe (it names a CDN and logs an error on every page);
* a warning, hence a failed build, on an image without alternative text;
* on each page the version of the book, and date and machine of its run; identity of the project (`[tool.tricks]` in
  pyproject.toml) where it is known;
* a changed style sheet or extension is a changed site.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import tricks_lib

logger = logging.getLogger(__name__)
MATHJAX = "tex-svg-full.js"  # one file: no fonts, no further TeX packages to load


def configure(app: Sphinx, config: Any) -> None:
    """Fill in what is known of the project; leave out what is not."""
    identity = _identity(app)
    config.mathjax_path = f"mathjax/{MATHJAX}"
    config.version = config.release = tricks_lib.__version__
    config.html_context |= {"repository": identity["repository"]}  # for book_launch.py and book_notebooks.py
    if identity["authors"]:
        config.author = ", ".join(identity["authors"])
    if site := identity["site"].rstrip("/"):  # tools/pages.py lays it out
        config.html_baseurl = f"{site}/{'dev' if 'dev' in tricks_lib.__version__ else 'latest'}/"
    if identity["repository"]:
        config.html_theme_options |= {"repository_url": identity["repository"], "use_repository_button": True}


def add_footer(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Name the version of the book, and the run that the page shows; on a page without one, the book's last."""
    path = Path(app.srcdir) / "build" / "run_times.json"
    runs = json.loads(path.read_text("utf8")) if path.is_file() else {}
    run = runs.get(page) or max(runs.values(), key=lambda run: run["date"], default=None)
    site = _identity(app)["site"].rstrip("/")
    others = f' (<a href="{site}/versions.html">all versions</a>)' if site else ""
    ran = f", run on {run['date']} ({run['machine']})" if run else ""
    context["theme_extra_footer"] = f"<p>Version {tricks_lib.__version__} of book and package{others}{ran}</p>"


def _identity(app: Sphinx) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((Path(app.srcdir) / "pyproject.toml").read_text("utf8"))["tool"]["tricks"]
    return found


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if exception is None and app.builder.format == "html" and package and package.origin:
        to = Path(app.outdir) / "_static" / "mathjax" / MATHJAX
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(package.origin).parent / "static" / "mathjax" / MATHJAX, to)


def drop_removed_pages(app: Sphinx, exception: Exception | None) -> None:
    """Delete what an earlier build left of pages that are no longer in the book."""
    if exception is None and app.builder.format == "html":
        for path in (Path(app.outdir) / "book").rglob("*.html"):
            if path.relative_to(app.outdir).with_suffix("").as_posix() not in app.env.found_docs:
                path.unlink()


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    def names(asset: Any) -> str:
        return f"{getattr(asset, 'filename', asset)} {getattr(asset, 'attributes', {}).get('body', '')}".lower()

    for key in ("script_files", "css_files"):
        context[key] = [asset for asset in context[key] if "thebe" not in names(asset)]


def check_alt(app: Sphinx, doctree: nodes.document, page: str) -> None:
    for image in doctree.findall(nodes.image):
        if not (image.get("alt") or "").strip():
            logger.warning("image without alternative text: %s", image.get("uri"), location=(page, image.line))


def outdated(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
    """Write every page anew when a style sheet, picture or extension changed, or the last build was cut short."""
    mark = unfinished(app)
    if mark.exists():
        return list(env.all_docs)
    mark.touch()
    files = [path for folder in ("_static", "_ext") for path in (Path(app.srcdir) / "book" / folder).rglob("*.*")]
    newest = max(path.stat().st_mtime for path in files)
    return [page for page, read in env.all_docs.items() if read < newest * 1e6]


def unfinished(app: Sphinx) -> Path:
    """Return the file that is there from a build's beginning to its end: Sphinx takes half a page for a whole one."""
    return Path(app.doctreedir) / "unfinished"


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and not app._warncount:  # a page that a full disk cut short is but a warning
        unfinished(app).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", configure, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", drop_removed_pages)
    app.connect("build-finished", finish)
    app.connect("html-page-context", drop_thebe)
    app.connect("html-page-context", add_footer, priority=900)  # after the theme has set its own
    app.connect("doctree-resolved", check_alt)
    app.connect("env-get-outdated", outdated)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
