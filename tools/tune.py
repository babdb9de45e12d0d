"""Tune the settings that chapters use: each writes what it found into ``book/<part>/<chapter>.tuned.json``.

python -m tools.tune                            all chapters that tune something
python -m tools.tune book/data/normalization    these
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from tools import chapters
from tools.chapters import BUILD, ROOT
from tools.notebooks import execute

IMPORT = "from tricks_lib.experiment.tuning import"


def main(arguments: list[str]) -> int:
    names = arguments or [name for name in chapters.chapters() if IMPORT in (ROOT / f"{name}.md").read_text("utf8")]
    for name in names:
        (ROOT / f"{name}.tuned.json").unlink(missing_ok=True)  # arms that are no more do not stay
    code = execute(names, BUILD / "tuning", strict=False, TRICKS_TUNE="1")
    found = [line for name in names for line in report(ROOT / f"{name}.tuned.json")]
    print("\n".join(found))
    return code


def report(path: Path) -> Iterator[str]:
    """Yield a line for each arm: what was the best, and whether that was at the border of what was tried."""
    kept = json.loads(path.read_text("utf8")) if path.is_file() else {}
    for arm, one in kept.items():
        border = f"  AT THE BORDER of {', '.join(one['border'])}: widen the grid" if one["border"] else ""
        yield f"{path.name.removesuffix('.tuned.json')}, {arm}: {one['settings'][one['best']]}{border}"


def at_border(root: Path = ROOT) -> list[str]:
    """Return a line for each arm whose best setting is at the border of what was tried."""
    lines = [line for path in sorted((root / "book").rglob("*.tuned.json")) for line in report(path)]
    return [line for line in lines if "AT THE BORDER" in line]


if __name__ == "__main__":
    with FileLock(BUILD / ".lock"):
        sys.exit(main(sys.argv[1:]))
