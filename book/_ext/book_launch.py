"""Links that open a chapter's notebook elsewhere, if its repository is known (`[tool.tricks]` in pyproject.toml).

The theme's own would open the text of the page, which Colab cannot read.  These open the notebooks that
`book_notebooks.py` makes, on a branch of their own, which `tools/notebook_branch.py` lays out.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

import tricks_lib

BRANCH = "notebooks"
HOST = "https://github.com/"  # what both services read; elsewhere there are no links
ICONS = {"Colab": "_static/images/logo_colab.png", "Binder": "_static/images/logo_binder.svg"}  # the theme's


def links(repository: str, name: str) -> dict[str, str]:
    """Return where the notebook of a chapter can be run, by the name of the service."""
    if not repository.startswith(HOST):
        return {}
    place = repository.removeprefix(HOST).rstrip("/").removesuffix(".git")
    return {
        "Colab": f"https://colab.research.google.com/github/{place}/blob/{BRANCH}/{name}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/{place}/{BRANCH}?urlpath=lab/tree/{name}.ipynb",
    }


def offer(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add a menu with the links to the buttons of a page that has a notebook."""
    released = "dev" not in tricks_lib.__version__  # the branch holds the notebooks of the last release
    places = links(context["repository"], name) if released and "ipynb_source" in context else {}
    buttons = [
        {"type": "link", "url": url, "text": service, "tooltip": f"Open in {service}", "icon": ICONS[service]}
        for service, url in places.items()
    ]
    if buttons:
        group = {"type": "group", "tooltip": "Run this page", "icon": "fas fa-rocket", "label": "launch-buttons"}
        context["header_buttons"].insert(0, group | {"buttons": buttons})


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", offer, priority=502)  # after the theme made its buttons
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
