"""What `make lab` asks of Jupyter's server: a chapter that is saved keeps the style in which it was written.

jupytext reads a text notebook and writes it its own way: it wraps captions and adds blank lines.  Here a save changes
only what was edited, so that git shows that and nothing else.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import jupytext

HEADER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def keep_style(model: dict[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    """Before the text of a notebook is saved, take every line that was not edited from the file as it is."""
    file = Path(contents_manager.root_dir, path.strip("/"))
    if model["type"] == "file" and file.suffix == ".md" and file.is_file():
        model["content"] = restyled(file.read_text("utf8"), model["content"])


def restyled(old: str, new: str) -> str:
    """Return what jupytext would save in the style, and with the header, of what it read; other texts as they are."""
    if _rewritten(new) != new:
        return new  # from an editor
    base = _rewritten(old)
    if header := HEADER.match(base):  # JupyterLab writes into it how it names the kernel
        new = HEADER.sub(lambda _: header[0], new)
    merged = "".join(merge(*(text.splitlines(keepends=True) for text in (old, base, new))))
    return merged if _rewritten(merged) == new else new


def merge(old: list[str], base: list[str], new: list[str]) -> list[str]:
    """Return ``old`` with the changes from ``base`` to ``new``; where both differ from ``base``, it is ``new``."""
    in_old, in_new = _same(base, old), _same(base, new)
    merged: list[str] = []
    a = b = c = 0
    for i in [*(i for i in range(len(base)) if i in in_old and i in in_new), len(base)]:
        at_old, at_new = in_old.get(i, len(old)), in_new.get(i, len(new))
        merged += old[a:at_old] if base[b:i] == new[c:at_new] else new[c:at_new]
        merged += base[i : i + 1]
        a, b, c = at_old + 1, i + 1, at_new + 1
    return merged


def _same(one: list[str], other: list[str]) -> dict[int, int]:
    """Return which lines of one are lines of the other, in the same order."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return {block.a + k: block.b + k for block in blocks for k in range(block.size)}


def _rewritten(text: str) -> str:
    return str(jupytext.writes(jupytext.reads(text, "md"), "md"))
