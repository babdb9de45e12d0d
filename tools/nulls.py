"""Does a claim die with its trick?  Run chapters with a trick switched off: every `effect` claim of it must fail.

python -m tools.nulls              all tricks, and for each chapter an A/A comparison
python -m tools.nulls D07 D08      these tricks alone
python -m tools.nulls A/A          the A/A comparisons alone

What stands in for a trick is in ``tests/<part>/null_<chapter>.py``: for each trick the public names it replaces.  In an
A/A comparison `paired` compares one half of an arm's seeds with the other half: two equal arms, on disjoint seeds.
"""

from __future__ import annotations

import functools
import importlib
import json
import operator
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from filelock import FileLock

from tools import collect
from tools.chapters import BUILD, ROOT
from tools.notebooks import execute

AA = "A/A"
Replacements = Mapping[str, Callable[..., Any]]


def main(arguments: list[str]) -> int:
    todo = [(name, trick) for name, trick in effects() if not arguments or trick in arguments]
    if unknown := set(arguments) - {trick for _, trick in todo}:
        raise SystemExit(f"no chapter claims an effect of {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(2) as pool:  # a run is a process of its own: two at a time, as everywhere
        problems = [line for lines in pool.map(lambda one: _problems(*one), todo) for line in lines]
    print(f"{len(todo)} runs of chapters with a trick switched off, {len(problems)} problems")
    print("\n".join(problems), end="\n" if problems else "")
    return bool(problems)


def effects() -> list[tuple[str, str]]:
    """Return (chapter, trick) for each trick with an effect claim, and (chapter, A/A) for each chapter with one."""
    claims = json.loads((BUILD / "claims.json").read_text("utf8"))
    found = [(claim["chapter"], claim["trick"]) for claim in claims if claim["kind"] == "effect"]
    return list(dict.fromkeys([*found, *((name, AA) for name, _ in found)]))


def switch_off(trick: str, chapter: str) -> None:
    """Put the null of a trick in its place, wherever the library has it; called in a chapter's kernel."""
    for name, replacement in replacements(trick, chapter).items():
        replace(name, replacement)


def replacements(trick: str, chapter: str) -> Replacements:
    """Return what stands in for a trick, by public name."""
    if trick == AA:
        return {"tricks_lib.experiment.statistics.paired": _one_arm_twice()}
    _, part, name = chapter.split("/")
    module = importlib.import_module(f"tests.{part}.null_{name}")
    nulls: Mapping[str, Replacements] = module.NULLS
    return nulls[trick]


def replace(name: str, replacement: Callable[..., Any]) -> None:
    """Replace a public function, class or method, in its module and where others have imported it."""
    owner, _, last = name.rpartition(".")
    place = resolve(owner)
    original = getattr(place, last)
    setattr(place, last, replacement)
    for module in [m for key, m in sys.modules.items() if key.split(".")[0] == "tricks_lib"]:
        if getattr(module, last, None) is original:
            setattr(module, last, replacement)


def resolve(name: str) -> Any:
    """Return the module or the class of that dotted name."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[count:], module)
    raise ValueError(f"no module in {name!r}")


def _one_arm_twice() -> Callable[..., Any]:
    from tricks_lib.experiment.statistics import paired

    def aa(a: Any, b: Any) -> Any:
        half = operator.floordiv(len(a), 2)
        return paired(a[:half], a[half : 2 * half])

    return aa


def _problems(name: str, trick: str) -> list[str]:
    """Run a chapter with a trick switched off, and return a line for each effect that did not vanish."""
    try:
        replacements(trick, name)
    except (ModuleNotFoundError, KeyError):
        _, part, chapter = name.split("/")
        return [f"{trick}: NULLS of tests/{part}/null_{chapter}.py does not say what stands in for it"]
    folder = BUILD / "nulls" / trick.replace("/", "") / name
    if execute([name], folder, strict=False, TRICKS_NULL=trick, PYTHONPATH=str(ROOT)):
        return [f"{trick}: {name} does not run with its null: is that what switching it off means?"]
    claims = [c for c in collect.claims([name], folder) if c["kind"] == "effect" and trick in (AA, c["trick"])]
    return [
        f"{c['id']} holds with {trick} switched off: mean {c['mean']}, low {c['low']}" for c in claims if c["holds"]
    ]


if __name__ == "__main__":
    with FileLock(BUILD / ".lock"):
        sys.exit(main(sys.argv[1:]))
