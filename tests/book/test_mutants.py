"""The mutation run finds what tests miss, and nothing else: a small package with good tests, weak ones and none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants.faults import faults

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "tiny/__init__.py": "",
    "tiny/tested.py": "def add(a, b):\n    return a + b\n",
    "tiny/weak.py": "def twice(x):\n    return 2 * x\n",
    "tiny/untested.py": "def half(x):\n    return x / 2\n",
    "tiny/table.py": "TABLE = {'a': 1}\n",
    "tests/test_table.py": "from tiny import table\n\n\ndef test_table():\n    assert table.TABLE == {'a': 1}\n",
    "tiny/loops.py": """def count(n):
    found = 0
    while n > 0:
        n -= 1
        found += 1
    return found
""",
    "tiny/kinds.py": """
from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

CONSTANT = 3


def default(a=1, *, b=20):
    return a + b


@cache
def cached():
    return CONSTANT


class Base:
    def __init__(self):
        self.value = 5


class Kind(Base):
    size = 7

    def __init__(self):
        super().__init__()

    @property
    def both(self):
        return self.size + self.value

    @staticmethod
    def static():
        return 11

    @classmethod
    def named(cls):
        return cls().both


@dataclass(frozen=True)
class Data:
    x: int = 13
    y: list[int] = field(default_factory=lambda: [17])
""",
    "tests/test_tiny.py": """
from tiny.kinds import CONSTANT, Data, Kind, cached, default
from tiny.loops import count
from tiny.tested import add
from tiny.weak import twice


def test_add():
    assert add(2, 3) == 5


def test_twice():
    assert twice(0) == 0


def test_count():
    assert count(4) == 4


def test_functions():
    assert (default(), cached(), CONSTANT) == (21, 3, 3)


def test_classes():
    kind = Kind()
    assert (kind.both, kind.static(), Kind.named(), Kind.size) == (12, 11, 12, 7)


def test_data():
    assert (Data().x, Data().y) == (13, [17])
""",
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.mutants", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, text=True, capture_output=True, timeout=200
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf8")
    return tmp_path


def test_scores_are_those_counted_by_hand(project: Path) -> None:
    done = run(project, "tiny")
    records = json.loads((project / "build/mutants.json").read_text("utf8"))
    ends = {
        name: sorted(record["end"] for record in records if record["module"] == f"tiny.{name}")
        for name in ("tested", "weak", "untested", "table")
    }
    assert ends == {
        "tested": ["killed"] * 2,  # a - b, None
        "weak": ["killed", "killed", "survived", "survived"],  # 2 / x and None; 3 * x, 1 * x
        "untested": ["met by no test"] * 4,  # x * 2, x / 3, x / 1, None
        "table": ["killed"] * 3,  # "aXX", 2, 0; the test runs no line of the module
    }, done.stdout + done.stderr
    assert {r["line"] for r in records if r["end"] == "timed out"} == {4}  # n never falls
    assert [r for r in records if r["module"] == "tiny.kinds" and r["end"] != "killed"] == []
    assert done.returncode == 1
    assert "tiny/weak.py:2: survived: 2 * x  ->  3 * x" in done.stdout.splitlines()
    assert (project / "build/mutants.txt").read_text("utf8") in done.stdout


def test_enough_is_enough_and_the_seed_chooses(project: Path) -> None:
    assert run(project, "tiny.tested").returncode == 0
    chosen = []
    for seed in ("1", "1", "2"):
        run(project, "tiny.kinds", "--count", "3", "--seed", seed)
        chosen.append(sorted(r["fault"] for r in json.loads((project / "build/mutants.json").read_text("utf8"))))
    assert chosen[0] == chosen[1] != chosen[2] and len(chosen[0]) == 3


def test_nothing_is_tried_while_a_test_fails(project: Path) -> None:
    (project / "tests/test_red.py").write_text("def test_red():\n    assert False\n", "utf8")
    done = run(project, "tiny.tested")
    assert done.returncode == 1 and "without any fault in the library" in done.stdout and "test_red.py" in done.stdout
    assert not (project / "build").exists()


def test_unknown_module(project: Path) -> None:
    done = run(project, "tiny.nothing")
    assert done.returncode == 1 and "no module tiny.nothing: expected a name such as" in done.stderr


def test_what_only_people_and_type_checkers_read_is_left_alone() -> None:
    source = '''"""Docstring."""
from typing import TYPE_CHECKING, TypeVar
__all__ = ["f"]
T = TypeVar("T")
if TYPE_CHECKING:
    X = 1
@g(2)
def f(x: "int | None") -> "int":
    """Docstring."""
    raise ValueError(f"expected 3, got {x + 1}")
'''
    assert [str(fault) for fault in faults(source)] == ["raise ValueError(f'expected 3, got {x + 1}')  ->  pass"]
