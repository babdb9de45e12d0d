"""A small project that keeps all rules, and what tests need to break it."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import yaml

from tools.rules import chapters

HERE = Path("book/data/looking.md")
MODULE = Path("tricks_lib/data/looking.py")
HEADER = f"---\n{yaml.safe_dump(chapters.HEADER, sort_keys=False)}---\n"

SETUP = """
```{code-cell} ipython3
import torch

from tricks_lib.data.looking import spread
from tricks_lib.device import default_device
from tricks_lib.experiment.claims import claim
from tricks_lib.experiment.seeding import seeds
from tricks_lib.plots.images import show_grid

torch.set_num_threads(1)
device = default_device()
```
"""
FIGURE = """
```{code-cell} ipython3
---
mystnb:
  figure:
    caption: Some digits, one row a class.
    name: fig-digits
  image:
    alt: A grid of handwritten digits, one row for each class.
---
show_grid(x)
```
"""
EXERCISE = """
:::{{exercise-start}}
:label: ex-{name}
:::
What changes?
:::{{exercise-end}}
:::

:::{{solution-start}} ex-{name}
:class: dropdown
:::
```{{code-cell}} ipython3
1 + 1
```
:::{{solution-end}}
:::
"""
CLAIM = """
```{code-cell} ipython3
number = spread(seeds("data/looking", "data", 8))
claim("d03-constant", "Some pixels never change.", number, margin=0.1)
```
"""
TAKEAWAYS = """
## Key takeaways

- Many pixels are constant ([measured](#card-d03-constant)).
- So are their {ref}`neighbors <d03-constant>`.
- And more ([measured](#card-d03-constant)).
"""
EXERCISES = "".join(EXERCISE.format(name=name) for name in "abc")
CHAPTER = (
    f"{HEADER}\n# Looking\n{SETUP}\n(trick-d03)=\n## Mean image\n\nA {{glue:text}}`n:.1f` of them.\n"
    f"{FIGURE}{CLAIM}{EXERCISES}{TAKEAWAYS}"
)
LIBRARY = '''"""Looking at data."""

import torch

__all__ = ["spread"]


def spread(x: torch.Tensor) -> torch.Tensor:
    """Return the spread."""
    return x.std(0)
'''
STUBS = {
    "tricks_lib/device.py": "default_device",
    "tricks_lib/experiment/claims.py": "claim",
    "tricks_lib/experiment/seeding.py": "seeds",
    "tricks_lib/plots/images.py": "show_grid",
}
REGISTER = """
infrastructure: [tricks_lib.device]
constants: {book/index.md: {"28x28": pixels}}
tricks:
  - {id: D03, part: Data, chapter: data/looking, name: Mean image, anchor: trick-d03, measures: pixels}
"""


def make_project(root: Path) -> Path:
    """Write the project into a folder, as a repository of git with nothing in it yet."""
    files = {str(MODULE): LIBRARY, str(HERE): CHAPTER, "book/tricks.yml": REGISTER}
    files |= {name: f'"""Stub."""\n\n__all__ = ["{one}"]\n{one} = len\n' for name, one in STUBS.items()}
    files |= {"book/index.md": "# Home\n\nImages of 28x28 pixels.\n", "README.md": "# Read me\n"}
    for name, text in files.items():
        write(root / name, text)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf8")


def line_of(text: str, needle: str) -> int:
    """Return the line on which ``needle`` begins."""
    assert needle in text
    return text[: text.index(needle)].count("\n") + 1


def lines(messages: list[str]) -> list[int]:
    return sorted(int(message.split(":")[1]) for message in messages)


def cell(body: str, options: str = "") -> str:
    return f"```{{code-cell}} ipython3\n{options}{textwrap.dedent(body).strip()}\n```\n"


def chapter(*blocks: str) -> str:
    """Return a chapter that sets up and then holds some blocks."""
    return "\n".join([HEADER, "# Looking", SETUP, *blocks])
