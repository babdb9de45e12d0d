"""The files that a visitor reads first agree with the project: citation, licenses, changelog, how to contribute."""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

import tricks_lib
from tools.rules import chapters

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf8")

# Citation File Format 1.2.0: what it requires, and what it allows at the top
REQUIRED = {"authors", "cff-version", "message", "title"}
ALLOWED = REQUIRED | set(
    """abstract commit contact date-released doi identifiers keywords license license-url preferred-citation references
    repository repository-artifact repository-code type url version""".split()
)


def test_the_citation_is_in_its_format():
    assert CITATION["cff-version"] == "1.2.0"
    assert set(CITATION) >= REQUIRED
    assert set(CITATION) <= ALLOWED
    assert CITATION["type"] in ("software", "dataset")
    assert all(set(author) == {"name"} for author in CITATION["authors"])


def test_the_citation_names_the_book_its_version_and_the_license_of_its_code():
    title = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["title"]
    assert CITATION["title"] == title
    assert str(CITATION["version"]) == tricks_lib.__version__
    assert PROJECT["project"]["dynamic"] == ["version"]  # so that it is the same there
    assert CITATION["license"] == PROJECT["project"]["license"].split(" AND ")[0]


def identity_problems(citation, identity):
    """Return the keys in which a citation and the table of identities in pyproject.toml differ."""
    keys = {"repository-code": "repository", "url": "site", "doi": "doi"}
    found = [key for key, known in keys.items() if citation.get(key, "") != identity[known]]
    names = [author["name"] for author in citation["authors"]]
    return found + (["authors"] if identity["authors"] and names != identity["authors"] else [])


def test_the_citation_says_who_and_where_exactly_if_that_is_known():
    assert identity_problems(CITATION, PROJECT["tool"]["tricks"]) == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("repository", "https://example.org/a", "repository-code"),
        ("site", "https://example.org", "url"),
        ("doi", "10.5281/zenodo.1", "doi"),
        ("authors", ["A"], "authors"),
    ],
)
def test_a_citation_that_lacks_or_invents_an_identity_is_found(key, value, expected):
    nothing = {"repository": "", "site": "", "doi": "", "authors": []}
    citation = {"authors": [{"name": "The authors"}]}
    assert identity_problems(citation, nothing) == []
    assert identity_problems(citation, nothing | {key: value}) == [expected]
    if expected != "authors":
        assert identity_problems(citation | {expected: value}, nothing) == [expected]


def test_the_licenses_are_the_published_texts():
    mit = " ".join((ROOT / "LICENSE").read_text("utf8").split())
    terms = mit[mit.index("Permission is hereby granted") :]
    assert mit.startswith("MIT License Copyright (c) ")
    assert (
        hashlib.sha256(terms.encode()).hexdigest() == "fe2a9817987f862eaced948f0468c7f51d2fedfc48c5c505b246a49a3870e9a5"
    )
    creative = " ".join((ROOT / "book/LICENSE").read_text("utf8").split())
    assert (
        hashlib.sha256(creative.encode()).hexdigest()
        == "1f5a529dc95849305307f0d6861169d8cae9e99807e4abcec68ef9ad19235652"
    )


def test_the_changelog_has_an_entry_for_this_version():
    headings = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", CHANGELOG, re.MULTILINE)
    assert [name for name, _ in headings] == ["Unreleased"] + [name for name, day in headings if day]
    assert all(date.fromisoformat(day) for _, day in headings[1:])
    released = [name for name, _ in headings[1:]]
    assert tricks_lib.__version__ in released[:1] or f"This will be {tricks_lib.__version__}" in CHANGELOG
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_commands_and_files_that_contributors_are_told_about_exist():
    made = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE))
    told = set(re.findall(r"(?:^|`)make ([a-z]+)\b", CONTRIBUTING, re.MULTILINE))
    assert {"test", "book", "lint", "claims", "repro"} <= told <= made
    files = re.findall(r"`((?:book|tests|tools|tricks_lib)/[\w./]+)`", CONTRIBUTING)
    links = re.findall(r"\]\(([^)#:]+)\)", CONTRIBUTING)
    assert [name for name in files + links if not (ROOT / name).exists()] == []
    assert files and links


def test_contributors_are_told_the_limits_that_the_rules_have():
    for number in (chapters.LONGEST, 250, 60, 10):
        assert re.search(rf"\b{number}\b", CONTRIBUTING)


def test_make_calls_no_make() -> None:
    """An inner one would not know what was said to the outer one, as tests say that the environment is ready."""
    assert "$(MAKE)" not in (ROOT / "Makefile").read_text("utf8")
