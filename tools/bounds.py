"""The oldest versions that pyproject.toml allows, as constraints for pip: `make library CONSTRAINTS=build/oldest.txt`.

python -m tools.bounds     print them: the package's own dependencies and those of the chapters
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def oldest(requirements: list[str]) -> list[str]:
    """Return ``name==bound`` for each ``name>=bound``; one without a lower bound is an error."""
    found = []
    for text in requirements:
        match = re.match(r"([\w.-]+)>=([\w.]+)", text)
        if match is None:
            raise SystemExit(f"pyproject.toml: {text!r} should start with a name and its lower bound, as numpy>=1.26")
        found.append("{}=={}".format(*match.groups()))
    return found


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    print("\n".join(oldest(project["dependencies"] + project["optional-dependencies"]["chapters"])))
