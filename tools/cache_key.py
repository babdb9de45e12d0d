"""When must a chapter run again?  When its cells, the code or data that its kernel read, or the lock changed."""

from __future__ import annotations

import ast
import hashlib
import platform
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

Key = dict[str, Any]


def cache_key(notebook: Any, files: Iterable[str], root: Path) -> Key:
    """Return the key of one run: ``files`` are those that the kernel read, relative to ``root``."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return {
        "cells": _hash(repr(cells).encode()),
        "lock": _hash((root / "constraints.txt").read_bytes() + _installed().encode()),
        "files": {name: _content(root / name) for name in sorted(files)},
    }


def is_fresh(key: Key | None, notebook: Any, root: Path) -> bool:
    """Tell whether the run that left ``key`` is still the run of ``notebook`` under ``root``."""
    return key is not None and key == cache_key(notebook, key["files"], root)


@lru_cache
def _installed() -> str:
    """Return Python's version and those of all packages: what is installed counts, not what the lock asks for."""
    site = sysconfig.get_path("purelib")  # not sys.path, which is another one under pytest
    packages = sorted(f"{one.name}=={one.version}" for one in distributions(path=[site]))
    return "\n".join([platform.python_version(), *packages])


def _content(path: Path) -> str:
    """Hash what a program can notice: of Python files the code without its docstrings and comments."""
    if not path.is_file():
        return "missing"
    if path.suffix != ".py":
        return _hash(path.read_bytes())
    tree = ast.parse(path.read_text("utf8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return _hash(ast.dump(tree).encode())


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
