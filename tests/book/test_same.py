"""Two folders are compared: what only one has, what differs, and that dates may."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.same import differences

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        (tmp_path / name / "book").mkdir(parents=True)
        (tmp_path / name / "book/page.html").write_text("first\nrun on 2026-11-22, in 4 s\nlast")
        (tmp_path / name / "picture.png").write_bytes(b"\x89PNG\xff\x00")
    return tmp_path / "one", tmp_path / "two"


def test_equal_folders(folders: tuple[Path, Path]) -> None:
    assert differences(*folders) == []


def test_dates_may_differ_and_nothing_else(folders: tuple[Path, Path]) -> None:
    page = folders[1] / "book/page.html"
    page.write_text(page.read_text().replace("2026-11-22", "2027-01-01"))
    assert differences(*folders) == []
    page.write_text(page.read_text().replace("4 s", "5 s"))
    (line,) = differences(*folders)
    assert line == "book/page.html: line 2 differs: run on , in 4 s | run on , in 5 s"


@pytest.mark.parametrize("text", ["first\nrun on 2026-11-22, in 4 s", "first\nrun on 2026-11-22, in 4 s\nlast\nmore"])
def test_a_shorter_or_longer_file_differs(folders: tuple[Path, Path], text: str) -> None:
    (folders[1] / "book/page.html").write_text(text)
    assert len(differences(*folders)) == 1


def test_bytes_differ(folders: tuple[Path, Path]) -> None:
    (folders[1] / "picture.png").write_bytes(b"\x89PNG\xff\x01")
    (line,) = differences(*folders)
    assert line.startswith("picture.png: line 1 differs")


def test_a_file_that_only_one_has(folders: tuple[Path, Path]) -> None:
    (folders[0] / "old.html").touch()
    (folders[1] / "new.html").touch()
    assert differences(*folders) == [f"new.html: only in {folders[1]}", f"old.html: only in {folders[0]}"]


def test_nothing_is_not_the_same_as_nothing(tmp_path: Path) -> None:
    assert differences(tmp_path, tmp_path / "missing") == [
        f"{tmp_path}: no file there",
        f"{tmp_path}/missing: no file there",
    ]


def test_the_command_fails_where_they_differ(folders: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "tools.same", *map(str, folders)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    (folders[0] / "picture.png").unlink()
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1 and "picture.png: only in" in run.stdout
