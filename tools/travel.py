"""Run the notebooks that the pages offer as their readers do: from the wheel, away from the repository.

python -m tools.travel                      every notebook of the built site
python -m tools.travel book/data/looking    these
python -m tools.travel quickest             the one whose chapter runs quickest

A notebook gets an environment and an empty folder of its own, and its first cell has to bring the package, from the
wheel in the folder TRICKS_DIST, as `make dist` leaves it, else from one of the work tree.  It finds `ipykernel`, torch
and what else the package needs, as in Colab.  When all are run, the first of them finds `ipykernel` alone, so that its
first cell brings torch, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools.chapters import BUILD, ROOT
from tools.dist import from_tree

OFFERED = ROOT / "_build" / "html" / "_sources"
LOCK = ROOT / "constraints.txt"
OURS = ("PYTHON", "VIRTUAL_ENV", "TRICKS_", "JUPYTER", "IPYTHON")


def dependencies() -> Path:
    """Return an environment with what the package asks for, but not the package."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]["dependencies"]
    return _kept("dependencies", wanted)


def elsewhere() -> list[Path]:
    """Return what a notebook finds in Colab: that, and a kernel."""
    packages = dependencies()
    return [packages, _kept("kernel", ["ipykernel"], packages)]


def _kept(name: str, wanted: list[str], *below: Path) -> Path:
    """Return an environment that is kept in build/ as long as the lock and what is wanted stay the same."""
    key = hashlib.sha256(LOCK.read_bytes() + repr((sorted(wanted), below, sys.version_info[:2])).encode()).hexdigest()[
        :12
    ]
    folder = BUILD / f"{name}-{key}"
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / f".{name}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            call(environment(folder, *below), "-m", "pip", "install", "-q", *wanted, env=outside())
            (folder / "complete").touch()
    return folder


def environment(folder: Path, *below: Path) -> Path:
    """Make an environment; return its Python. What is installed in those ``below`` is there, and stays as it is."""
    venv.create(folder, with_pip=not below, symlinks=os.name != "nt")
    if below:
        (packages,) = folder.glob("lib/*/site-packages")
        lower = [str(path) for place in below for path in place.glob("lib/*/site-packages")]
        (packages / "below.pth").write_text("\n".join(lower))
    return folder / "bin" / "python"


def outside(wheel: Path | None = None) -> dict[str, str]:
    """Return an environment of variables without the repository; pip keeps to the lock, and finds the wheel."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PIP_CONSTRAINT": str(LOCK)}
    links = [str(wheel.parent)] if wheel else []
    return kept | {"PIP_FIND_LINKS": " ".join([*links, os.environ.get("PIP_FIND_LINKS", "")])}


def travel(notebook: Path, wheel: Path, below: list[Path]) -> str:
    """Run a notebook in an environment of its own; return what went wrong, if anything did.

    ``TRICKS_STRICT`` makes it fail also if a claim does not hold there, or if it would have to tune something first.
    """
    with tempfile.TemporaryDirectory() as name:
        home, empty = Path(name) / "home", Path(name) / "empty"
        empty.mkdir()
        python = environment(Path(name) / "environment", *below)
        variables = outside(wheel) | {"TRICKS_STRICT": "1", "IPYTHONDIR": str(home)}
        if not below:
            call(python, "-m", "pip", "install", "-q", "ipykernel", env=variables)
        read = nbformat.read(notebook, as_version=4)
        client = NotebookClient(read, km=_kernels(python, home), timeout=600, resources={"metadata": {"path": empty}})
        try:
            client.execute(env=variables, cleanup_kc=True)
        except CellExecutionError as error:
            return f"{_said(read.cells[0])}{error}"  # pip stops no notebook: where it failed, a later cell does
        return "" if _installed(python, wheel) else f"its first cell did not install the wheel\n{_said(read.cells[0])}"


def call(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what a command says.

    Raises
    ------
    RuntimeError
        If it fails, with all that it said.
    """
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def _kernels(python: Path, home: Path) -> KernelManager:
    """Return a manager that knows one kernel, that Python's, so that nothing here can stand in for it."""
    quiet = "--IPKernelApp.log_level=40"  # it warns that it talks without encryption
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet]
    path = home / "kernels" / "away" / "kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"argv": argv, "display_name": "away", "language": "python"}))
    manager = KernelSpecManager(kernel_dirs=[str(path.parents[1])], ensure_native_kernel=False)
    return KernelManager(kernel_name="away", kernel_spec_manager=manager)


def _installed(python: Path, wheel: Path) -> bool:
    """Whether that environment's own `tricks_lib` holds, file by file, what is in the wheel."""
    found = list(python.parents[1].glob("lib/*/site-packages/tricks_lib-*.dist-info/RECORD"))
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        hashes = set(archive.read(record).decode().split()) - {f"{record},,"}
    return bool(found) and hashes <= set(found[0].read_text("utf8").split())


def _said(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def offered(names: list[str]) -> list[Path]:
    """Return the notebooks of these chapters, or of all."""
    if names == ["quickest"]:
        times = json.loads((BUILD / "run_times.json").read_text("utf8"))
        names = [min(times, key=lambda name: times[name]["seconds"])]
    paths = [OFFERED / f"{name}.ipynb" for name in names] or sorted(OFFERED.rglob("*.ipynb"))
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise SystemExit(f"not there: {', '.join(missing)}. Name chapters like book/data/looking, after `make book`")
    if not paths:
        raise SystemExit(f"no notebook in {OFFERED}: build the book first, by `make book`")
    return paths


def main(names: list[str]) -> int:
    paths = offered(names)
    with tempfile.TemporaryDirectory() as folder:
        made = os.environ.get("TRICKS_DIST") or from_tree(Path(folder))
        (wheel,) = (ROOT / made).glob("*.whl")
        failed = 0 if names else _report(paths[0], wheel, [])
        with ThreadPoolExecutor(2) as pool:
            beside = partial(_report, wheel=wheel, below=elsewhere())
            failed += sum(pool.map(beside, paths if names else paths[1:]))
    print(f"{len(paths)} notebooks away from the repository, {failed} failed")
    return int(failed > 0)


def _report(path: Path, wheel: Path, below: list[Path]) -> bool:
    start = time.monotonic()
    problem = travel(path, wheel, below)
    name = path.relative_to(OFFERED).with_suffix("")
    how = "beside torch" if below else "bare"
    print(
        f"{name}, {how}: {time.monotonic() - start:.0f} s{f' FAILED{chr(10)}{problem}' if problem else ''}", flush=True
    )
    return bool(problem)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
