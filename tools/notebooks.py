"""Execute the chapters once and keep what they say: the one execution that tests and book share.

python -m tools.notebooks           run the chapters whose cells, code, data or lock changed; collect the results
python -m tools.notebooks list      say which chapters would run
python -m tools.notebooks repro     run all chapters once more and compare every output with the kept one
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from tools import chapters, collect
from tools.cache_key import is_fresh
from tools.chapters import BUILD, EXECUTED, ROOT

REPORT = BUILD / "reports" / "notebooks.xml"
JUPYTER_CACHE = ROOT / "_build" / ".jupyter_cache"


def main(arguments: list[str]) -> int:
    names = chapters.chapters()
    if arguments == ["repro"]:
        return repro(names)
    todo = stale(names)
    print(f"chapters: {len(names)}, to run: {', '.join(todo) or 'none'}", flush=True)
    if arguments == ["list"]:
        return 0
    if todo and (code := execute(todo, EXECUTED, report=REPORT)):
        return code
    if left := stale(todo):
        print(f"these chapters left no run that is theirs: {', '.join(left)}")
        return 1
    feed_sphinx(names)
    collect.write(names)
    return 0


def stale(names: list[str]) -> list[str]:
    """Return the chapters whose kept run is missing or no longer theirs."""
    fresh = [name for name in names if is_fresh(_kept_key(name), chapters.read(name), ROOT)]
    return [name for name in names if name not in fresh]


def execute(
    names: list[str], folder: Path, *, strict: bool = True, seed: int = 0, report: Path | None = None, **more: str
) -> int:
    """Run chapters in kernels of their own, with ``more`` environment, two at a time; keep the copies in ``folder``."""
    notebooks = folder.with_name(f"{folder.name}-notebooks")
    shutil.rmtree(notebooks, ignore_errors=True)
    paths = [str(chapters.convert(name, notebooks)) for name in names]
    for name in names:
        (folder / f"{name}.ipynb").unlink(missing_ok=True)
    shell = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env = shell | {
        "OMP_NUM_THREADS": "1",  # the same sums everywhere, and two chapters do not fight for cores
        "OMP_WAIT_POLICY": "PASSIVE",
        "IPYTHONDIR": str(ROOT / "tools" / "ipython"),
        "TRICKS_STRICT": str(int(strict)),
        "TRICKS_SEED": str(seed),
        "TRICKS_BOOK": str(ROOT / "book"),
        **more,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tools.harvest", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(ROOT), "-o", "addopts=", "-o", "filterwarnings=default"]
    command += ["--nbval-lax", "--nbval-cell-timeout=300", "--nbval-kernel-name=python3"]
    command += ["-n", "2", "--dist", "loadscope"] if len(names) > 1 else []
    command += ["--notebooks", str(notebooks), "--executed", str(folder)]
    command += [f"--junitxml={report}"] if report else []
    return subprocess.run(command + paths, cwd=ROOT, env=env).returncode


def repro(names: list[str]) -> int:
    """Run every chapter again and name each cell that now says something else."""
    again = BUILD / "repro"
    if code := main([]) or execute(names, again):
        return code
    differences = [line for name in names for line in _differences(name, EXECUTED, again)]
    print("\n".join(differences) or f"{len(names)} chapters say the same twice")
    return bool(differences)


def feed_sphinx(names: list[str]) -> None:
    """Put the executed copies where Sphinx looks for them, so that it executes nothing."""
    store = get_cache(JUPYTER_CACHE)
    store.clear_cache()  # what no chapter left there today must not be shown
    for name in names:
        notebook = nbformat.read(EXECUTED / f"{name}.ipynb", as_version=4)
        seconds = sum(notebook.metadata.pop("tricks")["seconds"])
        for cell, written in zip(_code(notebook), _code(chapters.read(name)), strict=True):
            cell.metadata = written.metadata  # captions and tags of today: Sphinx looks for a run that has them
        bundle = CacheBundleIn(notebook, str(ROOT / f"{name}.md"), data={"execution_seconds": seconds})
        store.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _kept_key(name: str) -> Any:
    try:
        return nbformat.read(EXECUTED / f"{name}.ipynb", as_version=4).metadata["tricks"]["key"]
    except (FileNotFoundError, nbformat.reader.NotJSONError, KeyError):  # never kept, or damaged: it runs
        return None


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _differences(name: str, first: Path, second: Path) -> list[str]:
    """Compare all outputs but those of cells tagged ``timing``."""
    one, two = (_code(nbformat.read(folder / f"{name}.ipynb", as_version=4)) for folder in (first, second))
    return [
        f"{name}: cell {count} says something else the second time:\n{a.source}"
        for count, (a, b) in enumerate(zip(one, two, strict=True))
        if "timing" not in b.metadata.get("tags", []) and a.outputs != b.outputs
    ]


if __name__ == "__main__":
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / ".lock"):  # `make book` beside `make test` waits, and finds the work done
        sys.exit(main(sys.argv[1:]))
