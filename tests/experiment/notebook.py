"""Run cells in a real IPython kernel, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
nbformat.write(notebook, sys.argv[1])
"""


def run(cells: list[str], folder: Path, **environment: str) -> Any:
    """Return the executed notebook, also written to ``folder/page.ipynb``; a cell may raise."""
    file = folder / "page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), file)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRICKS_")}
    private = {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    command = [sys.executable, "-c", RUN, str(file)]
    subprocess.run(command, env=clean | private | environment, check=True, timeout=120, capture_output=True)
    return nbformat.read(file, as_version=4)
