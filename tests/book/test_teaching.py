"""`book_teaching`: what chapters need and how long they take is read off them; the syllabus holds them all."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tools.chapters import chapters

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book/_ext"))
spec = importlib.util.spec_from_file_location("book_teaching", ROOT / "book/_ext/book_teaching.py")
assert spec is not None and spec.loader is not None
teaching = importlib.util.module_from_spec(spec)
spec.loader.exec_module(teaching)

GRAPH = {"a/one": [], "a/two": ["a/one"], "a/three": ["a/one", "a/two"], "b/four": []}


def test_only_words_that_are_read_count() -> None:
    text = "---\nkey: some words here\n---\n\n# Two words\n\nIt's a $x$ well-known one.\n\n"
    text += "$$\na b c\n$$ (eq-label)\n\n```{code-cell}\nmore = words\n```\nEnd.\n"
    assert teaching.words(text) == len("Two words It's a x well-known one End".split())


def test_what_a_chapter_links_to_before_it_starts_it_needs() -> None:
    before = "**Before you start:** [it](#trick-a), [](two.md), [](../b/four.md), [signs](#notation).\n\n[](three.md)"
    texts = {"a/one": "", "a/two": "", "a/three": before, "a/five": "[](one.md)"}
    found = teaching.needs(texts, {"trick-a": "a/one"})
    assert found == {"a/one": [], "a/two": [], "a/three": ["a/one", "a/two"], "a/five": []}


def test_depth_is_the_longest_way_there() -> None:
    assert teaching.depths(GRAPH) == {"a/one": 0, "a/two": 1, "a/three": 2, "b/four": 0}
    with pytest.raises(ValueError, match="need each other: a, b"):
        teaching.depths({"a": ["b"], "b": ["a"], "c": []})


def test_a_line_that_others_imply_is_not_drawn_and_all_are_told() -> None:
    assert teaching.direct(GRAPH)["a/three"] == ["a/two"]
    drawn = teaching.drawing(GRAPH)
    assert drawn.count("<path") == 2 and drawn.count("<rect") == 4
    assert "three needs one and two" in drawn


def test_every_chapter_has_its_week_in_the_longer_course() -> None:
    text = (ROOT / "book/reference/teaching.md").read_text("utf8")
    weeks = text[text.index("## Twelve weeks") : text.index("## Six weeks")]
    assert set(re.findall(r"\(\.\./([\w/]+)\.md\)", weeks)) >= {name.removeprefix("book/") for name in chapters()}
    assert len(re.findall(r"^\d+\. ", weeks, re.MULTILINE)) == 12
    assert len(re.findall(r"^\d+\. ", text, re.MULTILINE)) == 12 + 6
