"""The pages that `_toc.yml` names, and the chapters (text notebooks) among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml

from tools.rules.chapters import is_assignment

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
EXECUTED = BUILD / "executed"


def pages(root: Path = ROOT) -> list[str]:
    """Return the names in `_toc.yml` (``book/data/looking``), in reading order."""
    names = _files(yaml.safe_load((root / "_toc.yml").read_text("utf8")))
    if not names:
        raise SystemExit("_toc.yml names no page: nothing to build")
    missing = [name for name in names if not (root / f"{name}.md").is_file()]
    if missing:
        raise SystemExit(f"_toc.yml names pages that do not exist: {', '.join(missing)}")
    there = {path.relative_to(root).with_suffix("").as_posix() for path in (root / "book").rglob("*.md")}
    if lost := sorted(there - set(names) - set(assignments(root))):
        raise SystemExit(f"_toc.yml does not name these pages, so nobody would build them: {', '.join(lost)}")
    return names


def chapters(root: Path = ROOT) -> list[str]:
    """Return the pages that are notebooks: those with a jupytext header."""
    return [name for name in pages(root) if "jupytext" in header((root / f"{name}.md").read_text("utf8"))]


def assignments(root: Path = ROOT) -> list[str]:
    """Return the sources of assignments: with their solutions they are no pages (tools/assignments.py)."""
    paths = sorted((root / "book/assignments").glob("*.md"))
    return [f"book/assignments/{path.stem}" for path in paths if is_assignment(path.read_text("utf8"))]


def header(text: str) -> dict[str, Any]:
    """Return the YAML header of a page, empty where it has none."""
    if not text.startswith("---\n"):
        return {}
    return yaml.safe_load(text[4:].split("\n---", 1)[0]) or {}


def read(name: str, root: Path = ROOT) -> Any:
    """Return the text notebook ``name`` as a notebook without outputs."""
    return jupytext.read(root / f"{name}.md")


def convert(name: str, folder: Path, root: Path = ROOT) -> Path:
    """Write the text notebook ``name`` as ``folder/<name>.ipynb`` without outputs."""
    path = folder / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(read(name, root), path)
    return path


def _files(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _files(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [name for value in node.values() for name in _files(value)]
