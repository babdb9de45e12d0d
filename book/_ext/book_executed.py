"""Sphinx shows the run that the build checked and never executes anything itself.

* refuse to execute: a page without a kept run stops the build;
* read a page again when its kept run is newer than what Sphinx remembers of it;
* put the measured run time under the title of each chapter.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from docutils import nodes
from jupyter_cache import get_cache
from myst_nb.core import execute
from myst_nb.core.execute.cache import NotebookClientCache
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError


class FromCacheOnly(NotebookClientCache):  # type: ignore[misc]
    """myst-nb's client without its power to execute."""

    def start_client(self) -> None:
        with suppress(KeyError):  # jupyter-cache's word for "no match"
            get_cache(self.nb_config.execution_cache_path).match_cache_notebook(self.notebook)
            super().start_client()
            return
        raise ExtensionError(
            f"{self.path}: Sphinx would have to execute this page itself. `make notebooks` runs every page "
            "with a jupytext header that _toc.yml names; give the page that header, or no code cells."
        )


def check_mode(app: Sphinx, config: Any) -> None:
    if config.nb_execution_mode != "cache":
        raise ExtensionError(f"execute_notebooks must be 'cache', not {config.nb_execution_mode!r}")


def outdated(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
    """Name the chapters that ran since Sphinx last read them (``all_docs`` holds microseconds)."""
    runs = {name: _build(app) / "executed" / f"{name}.ipynb" for name in env.all_docs}
    return [name for name, run in runs.items() if run.is_file() and run.stat().st_mtime * 1e6 > env.all_docs[name]]


def add_run_time(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Insert the line that tells how long a chapter ran, where and when; LaTeX has all chapters in one tree."""
    path = _build(app) / "run_times.json"
    runs = json.loads(path.read_text("utf8")) if path.is_file() else {}
    pages = {name: doctree} | {page["docname"]: page for page in doctree.findall(addnodes.start_of_file)}
    for page in runs.keys() & pages.keys():
        run, title = runs[page], next(iter(pages[page].findall(nodes.title)))
        text = f"Run time: {run['seconds']:.0f} s on {run['date']} ({run['machine']})"
        title.parent.insert(1, nodes.paragraph("", text, classes=["run-time"]))


def _build(app: Sphinx) -> Path:
    return Path(app.srcdir) / "build"


def setup(app: Sphinx) -> dict[str, Any]:
    execute.NotebookClientCache = FromCacheOnly
    app.connect("config-inited", check_mode)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-resolved", add_run_time)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
