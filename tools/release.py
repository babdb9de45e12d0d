"""Is this commit the release that a tag says?  Prints the notes of the release, from CHANGELOG.md.

python -m tools.release v0.1.0     exit 1, and say why, where tag, version, changelog, citation or API list disagree
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import tricks_lib
from tools.pages import RELEASE

ROOT = Path(__file__).resolve().parents[1]


def problems(tag: str, version: str, root: Path = ROOT) -> list[str]:
    """Return what keeps ``tag`` from being the release of ``version``."""
    citation = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text("utf8"), re.MULTILINE)
    api = json.loads((root / "tests/api.json").read_text("utf8"))["version"]
    found = {
        f"the tag is {tag}, the version {version}: it should be v{version}": tag != f"v{version}",
        f"the version {version} is no release: it should be like 1.2.0": not RELEASE.fullmatch(version),
        f"CHANGELOG.md has no notes under '## [{version}] - <date>'": not notes(version, root),
        "CHANGELOG.md still has notes under [Unreleased]": bool(notes("Unreleased", root)),
        f"CITATION.cff does not have the version {version}": citation is None or citation[1] != version,
        f"tests/api.json is the list of {api}: run `make api`": api != version,
    }
    return [text for text, wrong in found.items() if wrong]


def notes(name: str, root: Path = ROOT) -> str:
    """Return what the changelog says under a version, without its heading; empty where it has none."""
    text = (root / "CHANGELOG.md").read_text("utf8")
    day = r"" if name == "Unreleased" else r" - \d{4}-\d\d-\d\d"
    match = re.search(rf"^## \[{re.escape(name)}\]{day}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else ""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("which tag? python -m tools.release v0.1.0")
    if wrong := problems(sys.argv[1], tricks_lib.__version__):
        sys.exit("\n".join(wrong))
    print(notes(tricks_lib.__version__))
