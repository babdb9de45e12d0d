"""Make the assignments: one version for students, one with solutions and hidden checks, from one source each.

python -m tools.assignments     write both versions of all to build/assignments

Who grades runs `otter run -a autograder.zip NOTEBOOK` there; `grade` does the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

from tools import chapters
from tools.chapters import BUILD, ROOT

VERSIONS = BUILD / "assignments"


def make(name: str, folder: Path = VERSIONS, root: Path = ROOT) -> Path:
    """Write the notebook for students and the one with solutions, the page and the autograder; return their folder."""
    made = folder / Path(name).name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = chapters.convert(name, Path(scratch), root)
        _otter("assign", "--no-pdfs", "--no-run-tests", str(source), f"{scratch}/out", cwd=scratch)
        (archive,) = Path(scratch, "out/autograder").glob("*.zip")
        shutil.copy(archive, made / "autograder.zip")
        for version, theirs in {"student": "student", "solution": "autograder"}.items():
            (made / version).mkdir()
            nbformat.write(_numbered(Path(scratch, "out", theirs, source.name)), made / version / source.name)
    student = nbformat.read(made / "student" / source.name, as_version=4)
    (made / "student.md").write_text("\n\n".join(map(_as_markdown, student.cells)) + "\n", "utf8")
    return made


def grade(notebook: Path, autograder: Path) -> dict[str, tuple[float, float]]:
    """Run a notebook and all its checks; return points and highest points of each question."""
    with tempfile.TemporaryDirectory() as scratch:
        _otter("run", "-a", str(autograder), "-o", scratch, "--no-logo", str(notebook), cwd=scratch)
        results = json.loads(Path(scratch, "results.json").read_text("utf8"))
    return {test["name"]: (test["score"], test["max_score"]) for test in results["tests"] if "max_score" in test}


def _otter(*arguments: str, cwd: str) -> None:
    # the programs of this environment before those of others: it starts a kernel
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "otter", *arguments]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _numbered(path: Path) -> Any:
    """Read a notebook and name its cells by their numbers: two builds of one source are the same."""
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def _as_markdown(cell: Any) -> str:
    return str(cell.source) if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"


if __name__ == "__main__":
    for each in chapters.assignments():
        print(make(each).relative_to(ROOT))
