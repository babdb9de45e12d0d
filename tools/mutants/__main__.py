"""Mutation score: small faults are planted in the library, one at a time; how many do its tests notice?

python -m tools.mutants                                  all modules of tricks_lib, 100 faults each
python -m tools.mutants tricks_lib.data.whitening ...    these modules or packages
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tools.mutants.faults import Fault, faults
from tools.mutants.trials import Trials

ENOUGH = 85  # percent
REPORT = Path("build/mutants")
IGNORED = ["--ignore=tests/book", "--ignore=tests/browser", "--ignore=tests/test_package.py"]
OPTIONS = ["-q", "-p", "no:cacheprovider", "--capture=sys", "--hypothesis-profile=mutants"]
NOTICED = ("killed", "timed out")
Record = dict[str, Any]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("names", nargs="*", default=["tricks_lib"], help="modules or packages, all unless named")
    parser.add_argument("--count", type=int, default=100, help="faults for each module, at most")
    parser.add_argument("--seed", type=int, default=0, help="which faults")
    chosen = parser.parse_args(arguments)
    files = {module: path for name in chosen.names for module, path in modules(name).items()}
    picked = {module: sample(path, f"{chosen.seed} {module}", chosen.count) for module, path in files.items()}
    start = time.time()
    trials = Trials({module: some for module, some in picked.items() if some}, chosen.names[0].split(".")[0], tell)
    if code := pytest.main([*OPTIONS, *IGNORED, *tests(chosen.names)], plugins=[trials]):
        return int(code)
    records = [
        {"module": module, "line": fault.line, "fault": str(fault), "end": end} for module, fault, end in trials.ends
    ]
    lines = [*report(records), f"{time.time() - start:.0f} s"]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.with_suffix(".json").write_text(json.dumps(records, indent=1, ensure_ascii=False), "utf8")
    REPORT.with_suffix(".txt").write_text("\n".join(lines) + "\n", "utf8")
    print("", *lines, sep="\n")
    return any(score(of) < ENOUGH for of in by_module(records).values())


def modules(name: str) -> dict[str, Path]:
    """Return the files of a module, or of all modules of a package, by the modules' names."""
    path = Path(*name.split("."))
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    if not found or not found[0].is_file():
        raise SystemExit(f"no module {name}: expected a name such as tricks_lib.data.whitening or tricks_lib.data")
    return {".".join(one.with_suffix("").parts).removesuffix(".__init__"): one for one in found}


def tests(names: list[str]) -> list[str]:
    """Return where the tests of modules are: of their part: ``tests/data``, and the examples in docstrings."""
    package, *_ = names[0].split(".")
    parts = {tuple(name.split(".")[1:2]) for name in names}
    if not all(part and Path("tests", *part).is_dir() for part in parts):
        return ["tests", package]
    return [str(Path(folder, *part)) for part in sorted(parts) for folder in ("tests", package)]


def sample(path: Path, seed: str, count: int) -> list[Fault]:
    """Return ``count`` faults of a file, or all if it has fewer."""
    found = faults(path.read_text("utf8"))
    return random.Random(seed).sample(found, min(count, len(found)))


def tell(module: str, fault: Fault, end: str) -> None:
    """Say at once what went unnoticed."""
    if end not in NOTICED:
        print(f"{module.replace('.', '/')}.py:{fault.line}: {end}: {fault}", flush=True)


def by_module(records: list[Record]) -> dict[str, list[Record]]:
    """Return the records of each module, in the order of its lines."""
    names = dict.fromkeys(record["module"] for record in records)
    return {name: sorted((r for r in records if r["module"] == name), key=lambda r: int(r["line"])) for name in names}


def score(records: list[Record]) -> float:
    """Return the percentage of faults that tests noticed."""
    return 100 * sum(record["end"] in NOTICED for record in records) / len(records)


def report(records: list[Record]) -> list[str]:
    """Return a line for each module, and one for each fault that went unnoticed."""
    table = [f"{'module':50} faults  killed  timed out  score"]
    survivors = []
    for module, of in by_module(records).items():
        ends = [record["end"] for record in of]
        killed, late = ends.count("killed"), ends.count("timed out")
        table.append(f"{module:50} {len(of):6} {killed:7} {late:10} {score(of):4.0f} %")
        left = [record for record in of if record["end"] not in NOTICED]
        survivors += [f"{module.replace('.', '/')}.py:{r['line']}: {r['end']}: {r['fault']}" for r in left]
    return [*table, f"{len(survivors)} of {len(records)} faults went unnoticed:", *survivors]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
