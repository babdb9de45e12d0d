"""What the README shows and links to is there."""

from __future__ import annotations

import re
from pathlib import Path

from tools.rules.tree import tracked

ROOT = Path(__file__).resolve().parents[2]


def test_every_local_target_of_the_readme_is_in_the_repository() -> None:
    text = (ROOT / "README.md").read_text("utf8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert "book/_static/page.png" in targets
    assert {Path(target) for target in targets} <= set(tracked(ROOT))


def test_every_target_of_make_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text("utf8"))) <= targets
