"""The key of a run changes with what a program can notice, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tools.cache_key import cache_key, is_fresh

CODE = '''"""Module."""

def f(x):
    """Add one."""
    return x + 1  # why


class C:
    """Only words."""
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "constraints.txt").write_text("torch==1\n")
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "a.npz").write_bytes(b"\x00\x01")
    return tmp_path


def notebook(source: str = "print(1)", prose: str = "# T") -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_markdown_cell(prose), nbformat.v4.new_code_cell(source)]
    return nbformat.v4.new_notebook(cells=cells)


def fresh_after(root: Path, name: str, content: bytes) -> bool:
    key = cache_key(notebook(), ["a.py", "a.npz"], root)
    (root / name).write_bytes(content)
    return is_fresh(key, notebook(), root)


@pytest.mark.parametrize(
    ("old", "new"),
    [("Add one.", "Add 1."), ("Module.", ""), ("  # why", ""), ("x + 1", "(x + 1)"), ("Only words.", "Others.")],
)
def test_words_do_not_count(root: Path, old: str, new: str) -> None:
    assert fresh_after(root, "a.py", CODE.replace(old, new).encode())


@pytest.mark.parametrize(("old", "new"), [("x + 1", "x + 2"), ("f(x)", "g(x)"), ("class C:", "class C(int):")])
def test_code_counts(root: Path, old: str, new: str) -> None:
    assert not fresh_after(root, "a.py", CODE.replace(old, new).encode())


def test_data_and_lock_count(root: Path) -> None:
    assert not fresh_after(root, "a.npz", b"\x00\x02")
    assert not fresh_after(root, "constraints.txt", b"torch==2\n")


def test_a_file_that_went_away_counts(root: Path) -> None:
    key = cache_key(notebook(), ["a.py"], root)
    (root / "a.py").unlink()
    assert not is_fresh(key, notebook(), root)


def test_cells_count_and_prose_does_not(root: Path) -> None:
    key = cache_key(notebook(), [], root)
    assert is_fresh(key, notebook(prose="# Another title"), root)
    assert not is_fresh(key, notebook("print(2)"), root)
    assert not is_fresh(None, notebook(), root)


def test_a_docstring_alone_is_not_an_empty_class(root: Path) -> None:
    assert not fresh_after(root, "a.py", CODE.replace('"""Only words."""', "size = 3").encode())


def test_what_is_installed_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = cache_key(notebook(), [], root)
    monkeypatch.setattr("tools.cache_key._installed", lambda: "torch==9")
    assert not is_fresh(key, notebook(), root)
