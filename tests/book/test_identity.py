"""Pages name who and where only as `[tool.tricks]` sets it; links to a known site go to its newest release."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tricks_lib
from book._ext.book_site import add_footer, configure

RUN = {"seconds": 1, "date": "2026-11-22", "machine": "2 cores, torch 2.13.0"}


def project(folder: Path, **known: Any) -> SimpleNamespace:
    identity = {"authors": [], "repository": "", "site": "", "doi": ""} | known
    lines = [f"{key} = {value!r}" for key, value in identity.items()]
    (folder / "pyproject.toml").write_text("\n".join(["[tool.tricks]", *lines]))
    return SimpleNamespace(srcdir=folder)


def configured(folder: Path, **known: Any) -> SimpleNamespace:
    config = SimpleNamespace(html_theme_options={}, html_context={}, html_baseurl="", author="The authors")
    configure(project(folder, **known), config)
    return config


def footer(app: SimpleNamespace, page: str) -> str:
    context: dict[str, str] = {}
    add_footer(app, page, "page.html", context, None)
    return context["theme_extra_footer"]


def test_nothing_is_known(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert config.html_baseurl == "" and config.author == "The authors" and config.html_theme_options == {}
    assert footer(project(tmp_path), "a") == f"<p>Version {tricks_lib.__version__} of book and package</p>"


@pytest.mark.parametrize("site", ["https://example.org/book", "https://example.org/book/"])
def test_a_known_site_has_a_folder_for_each_version(tmp_path: Path, site: str) -> None:
    assert configured(tmp_path, site=site).html_baseurl == "https://example.org/book/latest/"
    assert '<a href="https://example.org/book/versions.html">' in footer(project(tmp_path, site=site), "a")


def test_a_page_names_its_own_run_or_the_last(tmp_path: Path) -> None:
    runs = {"a": RUN, "b": RUN | {"date": "2026-11-23"}}
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "run_times.json").write_text(json.dumps(runs))
    assert footer(project(tmp_path), "a").endswith(", run on 2026-11-22 (2 cores, torch 2.13.0)</p>")
    assert "run on 2026-11-23" in footer(project(tmp_path), "reference")


def test_authors_and_repository(tmp_path: Path) -> None:
    config = configured(tmp_path, authors=["A", "B"], repository="https://example.org/code")
    assert config.author == "A, B"
    assert config.html_theme_options["repository_url"] == "https://example.org/code"
