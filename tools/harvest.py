"""pytest plugin: keep what nbval ran, as executed notebooks with their key, times and machine.

``--executed FOLDER`` says where.  A notebook with a failed cell leaves nothing there, so it runs again.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.displayhook import DisplayHook
from nbval.plugin import IPyNbCell, IPyNbFile

from tools.cache_key import cache_key
from tools.chapters import ROOT

FILES = """__import__("json").dumps(sorted(__import__("sys").files_read | {
    module.__file__ for name, module in list(__import__("sys").modules.items())
    if name.split(".")[0] == "tricks_lib" and getattr(module, "__file__", None)}))"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--executed", type=Path, help="folder for the executed notebooks")
    parser.addoption("--notebooks", type=Path, help="folder of the notebooks: their names are relative to it")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell the kernel, which the first cell starts, whose chapter it runs; stop a chapter at its first failure."""
    if isinstance(item, IPyNbCell):
        os.environ["TRICKS_CHAPTER"] = _name(item.parent)
        item.parent.__dict__.setdefault("tricks_start", time.time())
        if not all(ok for ok, _, _ in item.parent.__dict__.get("tricks_run", [])):
            pytest.skip("an earlier cell failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if isinstance(item, IPyNbCell) and call.when == "call":
        run = item.parent.__dict__.setdefault("tricks_run", [])
        run.append((call.excinfo is None, round(call.duration, 3), copy.deepcopy(item.test_outputs or [])))
        if len(run) == sum(cell.cell_type == "code" for cell in item.parent.nb.cells):
            _keep(item.parent, run)
    return report


def _keep(file: IPyNbFile, run: list[tuple[bool, float, list[Any]]]) -> None:
    out = file.config.getoption("executed") / f"{_name(file)}.ipynb"
    if not all(ok and _is_clean(outputs) for ok, _, outputs in run):
        return
    files = _files_read(file.kernel.kc)
    if changed := [name for name in files if (ROOT / name).stat().st_mtime > file.tricks_start]:
        print(f"{_name(file)}: not kept, since these changed while it ran: {', '.join(changed)}")
        return
    notebook = copy.deepcopy(file.nb)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, (cell, (_, _, outputs)) in enumerate(zip(code, run, strict=True), 1):
        cell.execution_count = count
        cell.outputs = [nbformat.from_dict(output) for output in _shown(cell.source, outputs)]
    notebook.metadata["tricks"] = {
        "key": cache_key(notebook, files, ROOT),
        "seconds": [seconds for _, seconds, _ in run],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {version('torch')}",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, out)  # in one step: a killed build leaves no half a run


def _files_read(kernel: Any) -> list[str]:
    """Ask the kernel which files of this repository it has read."""
    reply = kernel.execute("", silent=True, user_expressions={"files": FILES}, reply=True, timeout=60)
    names = json.loads(ast.literal_eval(reply["content"]["user_expressions"]["files"]["data"]["text/plain"]))
    paths = {Path(name).resolve() for name in names}
    if foreign := [str(path) for path in paths if "tricks_lib" in path.parts and not path.is_relative_to(ROOT)]:
        raise RuntimeError(f"the chapter ran with a tricks_lib that is not this repository's: {foreign[0]}")
    inside = {path.relative_to(ROOT) for path in paths if path.is_relative_to(ROOT) and path.is_file()}
    skip = {"build", "_build", ".venv", "tools", "__pycache__"}
    return sorted(path.as_posix() for path in inside if not skip & set(path.parts))


def _is_clean(outputs: list[Any]) -> bool:
    """Whether a cell raised nothing, not even what a ``raises-exception`` tag would excuse."""
    return all(output["output_type"] != "error" for output in outputs)


def _shown(source: str, outputs: list[Any]) -> list[Any]:
    """Drop the value behind a closing ``;``: nbval runs cells outside the history, where IPython misses it."""
    if DisplayHook.semicolon_at_end_of_expression(source):
        return [output for output in outputs if output.output_type != "execute_result"]
    return outputs


def _name(file: IPyNbFile) -> str:
    folder = file.config.getoption("notebooks").resolve()
    name: str = file.path.resolve().relative_to(folder).with_suffix("").as_posix()
    return name
