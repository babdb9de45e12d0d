"""All claims with their spare; with a number N, all of them again under N fresh seed bases.

python -m tools.claims       list; exit 1 if an enforced claim does not hold or has too little spare
python -m tools.claims 5     run the book under five seed bases nobody has tried: claims must hold,
                             and a number in the prose that no base moves must be registered as exact
"""

from __future__ import annotations

import json
import math
import secrets
import shutil
import sys
from typing import Any

from tools import chapters, collect, tune
from tools.chapters import BUILD
from tools.notebooks import execute

Record = dict[str, Any]
BASES = BUILD / "bases"


def main(arguments: list[str]) -> int:
    claims = json.loads((BUILD / "claims.json").read_text("utf8"))
    print("\n".join(line(claim) for claim in claims))
    kinds = [claim["kind"] for claim in claims]
    print(f"{len(claims)} claims:", ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
    bases = [secrets.randbelow(2**31) for _ in range(int(arguments[0]))] if arguments else []
    shutil.rmtree(BASES, ignore_errors=True)
    problems = broken(claims) + [f"{claim['id']}: {what}" for claim in claims for what in warnings(claim)]
    problems += [line for base in bases for line in _broken_under(base)]
    problems += tune.at_border()
    if bases:
        runs = [_numbers_under(base) for base in bases]
        problems += unmoved(runs, collect.numbers(chapters.chapters()))
        print(f"tried under the seed bases {', '.join(map(str, bases))}: {len(problems)} problems")
    print("\n".join(problems), end="\n" if problems else "")
    return bool(problems)


def line(claim: Record) -> str:
    """Return one line on one claim, with a mark where it has too little spare."""
    z = "" if claim["z"] is None else f"z = {claim['z']:.1f}"
    state = {True: "holds", False: "DOES NOT HOLD", None: "not judged"}[claim["holds"]]
    n = f"n = {claim['n'] or '-'}"
    return f"{claim['id']:40} {claim['kind']:7} {state:14} {n:9} {z:10} {'; '.join(warnings(claim))}"


def warnings(claim: Record) -> list[str]:
    """Return what a claim lacks to survive seeds that nobody has tried."""
    found = []
    if claim["kind"] == "effect" and claim["n"] < 16:
        found.append("fewer than 16 seeds")
    if claim["kind"] in ("effect", "null", "theory") and claim["z"] is None:
        found.append("no spread over seeds: what do the seeds move?")
    if claim["z"] is not None and claim["z"] < spare(claim["n"]):
        found.append(f"too little spare: z should be {spare(claim['n']):g}")
    if claim["kind"] == "effect" and claim["margin"] < claim["mean"] / 4:
        found.append("margin below a quarter of the effect")
    return found


def spare(n: int) -> float:
    """Return the z that a claim over ``n`` seeds needs: 12 at 16 seeds, 10 from 32 on, between them in between."""
    return 12 if n <= 16 else max(10.0, 12 - 2 * math.log2(n / 16))


def broken(claims: list[Record], where: str = "") -> list[str]:
    """Return a line for each enforced claim that does not hold."""
    return [
        f"{claim['chapter']}: {claim['id']} does not hold{where}: {claim['sentence']} "
        f"mean {claim['mean']}, interval {claim['low']} to {claim['high']}, margin {claim['margin']}"
        for claim in claims
        if claim["holds"] is False
    ]


def unmoved(runs: list[list[Record]], first: list[Record]) -> list[str]:
    """Return a line for each number in the prose that no seed base moves and that is not registered as exact.

    An exact number must be the same in all runs.
    """
    values = {(n["chapter"], n["name"]): {n["value"]} for n in first}
    for number in (number for run in runs for number in run):
        values.setdefault((number["chapter"], number["name"]), set()).add(number["value"])
    exact = {(n["chapter"], n["name"]) for n in first if n["exact"]}
    stuck = [
        f"{chapter}: {name} is the same under all seeds: measure it, or glue it with exact=True"
        for (chapter, name), seen in values.items()
        if len(seen) == 1 and (chapter, name) not in exact
    ]
    moved = [
        f"{chapter}: {name} is glued as exact, but seeds move it: {sorted(seen)}"
        for (chapter, name), seen in values.items()
        if len(seen) > 1 and (chapter, name) in exact
    ]
    return stuck + moved


def _broken_under(base: int) -> list[str]:
    names = chapters.chapters()
    if execute(names, BASES / str(base), strict=False, seed=base):
        return [f"a chapter does not run under the seed base {base}"]
    return broken(collect.claims(names, BASES / str(base)), f" under the seed base {base}")


def _numbers_under(base: int) -> list[Record]:
    folder = BASES / str(base)
    return collect.numbers([name for name in chapters.chapters() if (folder / f"{name}.ipynb").is_file()], folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
