"""Print what the rules and the register's checks find, and fail if they find anything: ``python -m tools.rules``."""

from __future__ import annotations

import sys
from pathlib import Path

from tools import register
from tools.rules import tree

ROOT = Path(__file__).resolve().parents[2]


def main(root: Path = ROOT) -> int:
    """Return 1 if anything is wrong with the project at ``root``, and print what."""
    found = tree.problems(root) + register.problems(register.load(root / register.PATH), root)
    print("\n".join(found) or f"{len(tree.RULES)} rules and the register hold")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
