"""Lay out the branch that launch links point at: the notebooks of the built site, and what Binder needs to run them.

python -m tools.notebook_branch FOLDER    an empty folder, or a fresh checkout that holds `.git` alone
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path

import nbformat

import tricks_lib
from book._ext.book_launch import links
from tools.chapters import ROOT
from tools.travel import OFFERED, offered

INTRODUCTION = """\
# Notebooks of the book

Made from its pages, version {version}. Edits belong into the book itself: this branch is always made anew.

"""
# a PyTorch without CUDA: Binder has no GPU, and little disk
REQUIREMENTS = """\
--extra-index-url https://download.pytorch.org/whl/cpu
tricks-lib[chapters]=={version}
"""


def lay_out(folder: Path) -> None:
    """Write notebooks, README, and Binder's `requirements.txt` and `runtime.txt` into a folder.

    Raises
    ------
    SystemExit
        If the folder holds anything, or the site no notebook.
    """
    if folder.exists() and {path.name for path in folder.iterdir()} - {".git"}:
        raise SystemExit(f"{folder} must be empty, but for .git: it becomes the whole branch")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
    lines = []
    for path in offered([]):
        name = path.relative_to(OFFERED).with_suffix("").as_posix()
        to = folder / f"{name}.ipynb"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        places = links(project["tool"]["tricks"]["repository"], name)
        run = "".join(f" · [{service}]({url})" for service, url in places.items())
        lines.append(f"- [{_title(path)}]({name}.ipynb){run}\n")
    version = tricks_lib.__version__
    (oldest,) = re.findall(r"[\d.]+", project["project"]["requires-python"])
    (folder / "README.md").write_text(INTRODUCTION.format(version=version) + "".join(lines), "utf8")
    (folder / "requirements.txt").write_text(REQUIREMENTS.format(version=version), "utf8")
    (folder / "runtime.txt").write_text(f"python-{oldest}\n", "utf8")  # Binder's own Python is older


def _title(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    text = next(cell.source for cell in cells if cell.source.startswith("# ") and cell.cell_type == "markdown")
    return str(text.split("\n", 1)[0].removeprefix("# "))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    lay_out(Path(sys.argv[1]))
