"""Pages name who and where only as `[tool.tricks]` sets it; links to a known site go to its newest release."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tricks_lib
from book._ext.book_site import configure


def configured(folder: Path, **known: Any) -> SimpleNamespace:
    identity = {"authors": [], "repository": "", "site": "", "doi": ""} | known
    lines = [f"{key} = {value!r}" for key, value in identity.items()]
    (folder / "pyproject.toml").write_text("\n".join(["[tool.tricks]", *lines]))
    config = SimpleNamespace(html_theme_options={}, html_baseurl="", author="The authors")
    configure(SimpleNamespace(srcdir=folder), config)
    return config


def test_nothing_is_known(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert config.html_baseurl == "" and config.author == "The authors"
    assert config.html_theme_options == {"extra_footer": f"<p>Version {tricks_lib.__version__}</p>"}


@pytest.mark.parametrize("site", ["https://example.org/book", "https://example.org/book/"])
def test_a_known_site_has_a_folder_for_each_version(tmp_path: Path, site: str) -> None:
    config = configured(tmp_path, site=site)
    assert config.html_baseurl == "https://example.org/book/latest/"
    assert '<a href="https://example.org/book/versions.html">' in config.html_theme_options["extra_footer"]


def test_authors_and_repository(tmp_path: Path) -> None:
    config = configured(tmp_path, authors=["A", "B"], repository="https://example.org/code")
    assert config.author == "A, B"
    assert config.html_theme_options["repository_url"] == "https://example.org/code"
