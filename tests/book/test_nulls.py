"""`make null`: the null of a trick takes its place wherever the library has it; each trick's null fits its chapter."""

from __future__ import annotations

import importlib
import json
import types
from pathlib import Path

import pytest

from tools import nulls
from tools.register import PATH, load
from tricks_lib.experiment.statistics import paired

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").glob("*/null_*.py"))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of the library, and another one that imported from it."""
    one, other = types.ModuleType("tricks_lib.made_up"), types.ModuleType("tricks_lib.made_up_user")
    one.double = other.double = lambda x: 2 * x
    one.Layer = type("Layer", (), {"forward": lambda self, x: 2 * x})
    other.triple = lambda x: 3 * x
    for module in (one, other):
        monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    return one


def test_a_null_replaces_a_function_wherever_the_library_has_it(library: types.ModuleType) -> None:
    user = importlib.import_module("tricks_lib.made_up_user")
    nulls.replace("tricks_lib.made_up.double", lambda x: x)
    assert (library.double(5), user.double(5), user.triple(5)) == (5, 5, 15)


def test_a_null_replaces_a_method(library: types.ModuleType) -> None:
    layer = library.Layer()
    nulls.replace("tricks_lib.made_up.Layer.forward", lambda self, x: x)
    assert layer.forward(5) == 5


@pytest.mark.parametrize("name", ["tricks_lib.made_up.gone", "tricks_lib.made_up.Layer.gone"])
def test_a_null_for_nothing_is_refused(name: str, library: types.ModuleType) -> None:
    with pytest.raises(AttributeError, match="gone"):
        nulls.replace(name, lambda x: x)


def test_equal_arms_on_disjoint_seeds() -> None:
    aa = nulls.replacements(nulls.AA, "book/data/looking")["tricks_lib.experiment.statistics.paired"]
    assert aa([5.0, 6.0, 1.0, 3.0, 100.0], [0.0] * 5) == paired([5.0, 6.0], [1.0, 3.0])


def test_what_is_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [("a", "D01", "effect"), ("a", "D01", "effect"), ("a", "D02", "exact"), ("b", "D05", "effect")]
    claims = [{"chapter": chapter, "trick": trick, "kind": kind} for chapter, trick, kind in kinds]
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    monkeypatch.setattr(nulls, "BUILD", tmp_path)
    assert nulls.effects() == [("a", "D01"), ("b", "D05"), ("a", nulls.AA), ("b", nulls.AA)]
    monkeypatch.setattr(nulls, "_problems", lambda name, trick: [trick] * (trick == "D05"))
    assert nulls.main([]) == 1
    assert nulls.main(["D01"]) == 0
    with pytest.raises(SystemExit, match="D02"):
        nulls.main(["D02"])


def test_claims_that_survive_and_runs_that_fail_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [
        {"id": one, "trick": trick, "kind": kind, "holds": holds, "mean": 1.0, "low": 0.5}
        for one, trick, kind, holds in [
            ("d01-dies", "D01", "effect", False),
            ("d01-lives", "D01", "effect", True),
            ("d01-exact", "D01", "exact", True),
            ("d02-lives", "D02", "effect", True),
        ]
    ]
    monkeypatch.setattr(nulls, "replacements", lambda trick, name: {})
    monkeypatch.setattr(nulls, "execute", lambda names, folder, strict, **env: int(names == ["broken"]))
    monkeypatch.setattr(nulls.collect, "claims", lambda names, folder: kept)
    (line,) = nulls._problems("a", "D01")
    assert "d01-lives" in line and "D01" in line
    assert [line.split()[0] for line in nulls._problems("a", nulls.AA)] == ["d01-lives", "d02-lives"]
    (line,) = nulls._problems("broken", "D03")
    assert "does not run" in line


def test_a_trick_without_a_null_is_a_problem() -> None:
    (line,) = nulls._problems("book/data/looking", "D04")
    assert "D04" in line and "tests/data/null_looking.py" in line


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_each_null_is_of_a_trick_of_its_chapter_and_replaces_what_exists(path: Path) -> None:
    chapter = f"{path.parent.name}/{path.stem.removeprefix('null_')}"
    own = {trick.id for trick in load(ROOT / PATH).tricks if trick.chapter == chapter}
    table = importlib.import_module(".".join(path.with_suffix("").parts)).NULLS
    assert table and set(table) <= own
    for replacements in table.values():
        assert replacements
        for name, replacement in replacements.items():
            owner, _, last = name.rpartition(".")
            assert getattr(nulls.resolve(owner), last) is not replacement
