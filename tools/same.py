"""Do two folders hold the same?  Two builds of one commit may differ in dates only.

python -m tools.same build/one build/two
"""

from __future__ import annotations

import re
import sys
from itertools import zip_longest
from pathlib import Path

DATE = re.compile(rb"\b\d{4}-\d\d-\d\d\b")


def differences(one: Path, two: Path) -> list[str]:
    """Return a line for each file that only one folder has, or that says something else, dates aside."""
    first, second = _files(one), _files(two)
    if not first or not second:
        return [f"{folder}: no file there" for folder, files in ((one, first), (two, second)) if not files]
    lost = [f"{name}: only in {one if name in first else two}" for name in sorted(first.keys() ^ second.keys())]
    return lost + [
        line for name in sorted(first.keys() & second.keys()) if (line := _difference(name, first[name], second[name]))
    ]


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _difference(name: str, one: Path, two: Path) -> str:
    """Name the first line in which two files differ, and show where it begins to; empty if none does."""
    lines = (DATE.sub(b"", path.read_bytes()).splitlines() for path in (one, two))
    for number, (a, b) in enumerate(zip_longest(*lines, fillvalue=b""), start=1):
        if a != b:
            start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            shown = (line[max(0, start - 20) : start + 40].decode("utf8", "replace") for line in (a, b))
            return f"{name}: line {number} differs: {' | '.join(shown)}"
    return ""


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found) or "the two say the same, dates aside")
    sys.exit(bool(found))
