"""Collect what the executed chapters measured: claims, numbers in the prose, run times.

The Sphinx directives, ``make claims`` and readers' own tools take these files, never a typed copy.

build/claims.json     list of {id, trick, kind, chapter, sentence, regime, mean, low, high, margin, unit, n, ...}
build/numbers.json    list of {chapter, name, value, exact}
build/run_times.json  {chapter: {seconds, date, machine}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import yaml

from tools.chapters import BUILD, EXECUTED, ROOT

Record = dict[str, Any]


def write(names: list[str], executed: Path = EXECUTED, folder: Path = BUILD) -> None:
    """Write the three collections of the executed chapters ``names`` into ``folder``."""
    found = claims(names, executed)
    if lost := registered_claims() - {record["id"] for record in found}:
        raise SystemExit(f"claims of book/tricks.yml that no cell shows (last in its cell, no `;`): {sorted(lost)}")
    write_json(folder / "claims.json", found)
    write_json(folder / "numbers.json", numbers(names, executed))
    write_json(folder / "run_times.json", run_times(names, executed))


def claims(names: list[str], executed: Path = EXECUTED) -> list[Record]:
    """Return all claims, in reading order; an id that two claims share is an error."""
    found = [
        record | {"chapter": name, "seconds": seconds}
        for name in names
        for seconds, record in _outputs(executed / f"{name}.ipynb", "tricks_claim")
    ]
    ids = [record["id"] for record in found]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise SystemExit(f"claims that share an id: {', '.join(twice)}")
    return found


def registered_claims() -> set[str]:
    """Return the ids of all claims in the register."""
    tricks = yaml.safe_load((ROOT / "book" / "tricks.yml").read_text("utf8"))["tricks"]
    return {one for trick in tricks for one in trick.get("claims", [])}


def numbers(names: list[str], executed: Path = EXECUTED) -> list[Record]:
    """Return the numbers that chapters glue into their prose."""
    return [
        {"chapter": name} | record
        for name in names
        for _, record in _outputs(executed / f"{name}.ipynb", "tricks_number")
    ]


def run_times(names: list[str], executed: Path = EXECUTED) -> dict[str, Record]:
    """Return for each chapter its run time in seconds, the date and the machine of its run."""
    runs = {name: nbformat.read(executed / f"{name}.ipynb", as_version=4).metadata["tricks"] for name in names}
    return {
        name: {"seconds": round(sum(run["seconds"]), 1), "date": run["date"], "machine": run["machine"]}
        for name, run in runs.items()
    }


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` if it is news, in one step: a reader never sees half a file, nor a new date for old content."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if path.is_file() and path.read_text("utf8") == text:
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(text, "utf8")
    os.replace(part, path)


def _outputs(path: Path, key: str) -> Iterator[tuple[float, Record]]:
    """Yield the records that cells left under ``key`` in their outputs' metadata, with the cell's seconds."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, seconds in zip(code, notebook.metadata["tricks"]["seconds"], strict=True):
        for output in cell.outputs:
            if key in output.get("metadata", {}):
                yield seconds, dict(output.metadata[key])
