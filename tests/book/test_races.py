"""`{race-table}` and its kin show what a benchmark wrote: losses beside wins, and no machine by its name."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "benchmarks/results").glob("*.json"))


@pytest.fixture
def races(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))  # as Sphinx does
    return importlib.import_module("book_races")


def race(**changes: Any) -> dict[str, Any]:
    cpu = {"seconds": {"engine": 0.5, "fused": 3.0, "foreach": 4.0}, "best_loop": "fused", "ratio": 6.0}
    base = {"case": "small", "models": 64, "at_least": 5, "aim": 8, "cpu": {**cpu, "quartiles": [5.91, 6.14]}}
    return base | {"elapsed": {"ratio": 6.1}, "deviation": 4.4e-16} | changes


ABOUT = {"date": "2020-02-03", "torch": "2.9", "python": "3.11", "machine": "x86_64 AVX2", "threads": 1, "rounds": 7}


def table(races: Any, *rows: dict[str, Any]) -> list[str]:
    lines: list[str] = races.race_table({"about": ABOUT, "races": list(rows)})
    return lines


def test_a_win_and_where_it_was_measured(races: Any) -> None:
    head, rule, row, blank, where = table(races, race())
    assert row == "| small | 64 | 3.00 | 0.50 | **6.00** | 5.91 to 6.14 | 6.10 | 5, aim 8: reached | 4e-16 |"
    assert head.count("|") == rule.count("|") == row.count("|") and blank == ""
    assert where.startswith("2020-02-03, x86_64 AVX2, one thread, PyTorch 2.9, Python 3.11: medians of 7 rounds")


@pytest.mark.parametrize(
    ("ratio", "shown", "goal"),
    [
        (8.0, "**8.00**", "5, aim 8: aim reached"),
        (7.99, "**7.99**", "5, aim 8: reached"),
        (5.0, "**5.00**", "5, aim 8: reached"),
        (4.99, "**4.99**", "5, aim 8: **missed**"),
        (1.0, "**1.00**", "5, aim 8: **missed**"),
        (0.34, "0.34 (slower)", "5, aim 8: **missed**"),
    ],
)
def test_a_goal_that_was_missed_and_a_loss_say_so(races: Any, ratio: float, shown: str, goal: str) -> None:
    cells = [cell.strip() for cell in table(races, race(cpu={**race()["cpu"], "ratio": ratio}))[2].split("|")]
    assert cells[5] == shown and cells[8] == goal


def test_no_goal_other_noise_and_the_faster_loop(races: Any) -> None:
    seconds = {"engine": 0.5, "fused": 3.0, "foreach": 2.0}
    cpu = {**race()["cpu"], "seconds": seconds, "best_loop": "foreach"}
    row = table(races, race(at_least=None, aim=None, deviation=None, cpu=cpu))[2]
    assert row.endswith("| none | other noise |") and "| 2.00 | 0.50 |" in row


def test_parity(races: Any) -> None:
    rows = [{"model": "CNN", "optimizer": "SGD", "library": 2.2e-15, "torch": 0.0}]
    assert races.parity_table({"parity": rows})[2:] == ["| CNN | SGD | 2e-15 | 0 |"]


def test_directives_read_the_file_of_their_argument(races: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"about": ABOUT, "races": [race()], "parity": []}
    asked: list[str] = []
    for kind, expected in [(races.RaceTable, races.race_table), (races.ParityTable, races.parity_table)]:
        directive = object.__new__(kind)
        directive.arguments = ["engine"]
        monkeypatch.setattr(directive, "load", lambda name: asked.append(name) or content)
        assert directive.lines() == expected(content)
    assert asked == ["benchmarks/results/engine.json"] * 2


def test_the_page_names_files_that_exist() -> None:
    names = set(
        re.findall(r"```\{(?:race|parity|peer)-table\} (\S+)", (ROOT / "book/reference/speed.md").read_text("utf8"))
    )
    benchmarks = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "rounds"}
    assert names == benchmarks == {path.stem for path in RESULTS} and "engine" in names


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_what_is_published_names_no_machine(path: Path) -> None:
    text = path.read_text("utf8")
    assert not re.search(r"/(home|work|tmp|root|usr)\b|\\\\", text)
    about = json.loads(text)["about"]
    assert about.keys() == ABOUT.keys() and about["rounds"] >= 5 and about["threads"] == 1


def test_the_engine_reached_its_floors_with_the_same_models(races: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads((ROOT / "benchmarks/results/engine.json").read_text("utf8"))
    assert all(len(row.split("|")) == 11 for row in table(races, *content["races"])[:-2])
    monkeypatch.syspath_prepend(str(ROOT))
    benchmark = importlib.import_module("benchmarks.engine")
    assert [race["case"] for race in content["races"]] == [case.name for case in benchmark.CASES]
    missed = [r["case"] for r in content["races"] if r["at_least"] and r["cpu"]["ratio"] < r["at_least"]]
    assert missed == []
    assert all(r["deviation"] is None or r["deviation"] < 1e-9 for r in content["races"])
    assert max(row[side] for row in content["parity"] for side in ("library", "torch")) < 1e-7


# ---- against other libraries


def against(**changes: Any) -> dict[str, Any]:
    """Return a race against one peer, and one that could not be run."""
    peer = {"peer": "other 1.2", "call": "Do", "seconds": 0.009, "ratio": 3.0, "quartiles": [2.91, 3.14]}
    peer |= {"elapsed": 2.9, "off": 2e-6, "goal": 1.5}
    reason = {"away.Do": "ModuleNotFoundError: No module named 'away'"}
    return {"case": "task", "seconds": 0.003, "off": 3e-8, "peers": [peer | changes], "skipped": reason}


def peers(races: Any, **changes: Any) -> list[str]:
    lines: list[str] = races.peer_table({"about": ABOUT, "peers": [against(**changes)]})
    return lines


def test_a_peer_and_one_that_is_not_there(races: Any) -> None:
    head, rule, row, skipped, blank, where = peers(races)
    assert row == (
        "| task | 3.00 | 3e-08 | other 1.2, `Do` | 9.00 | 2e-06 | **3.00** | 2.91 to 3.14 | 2.90 | 1.5: reached |"
    )
    assert "| `away.Do`: ModuleNotFoundError: No module named 'away' | - |" in skipped
    assert len({line.count("|") for line in (head, rule, row, skipped)}) == 1 and blank == ""
    assert where.endswith("medians of 7 rounds, in milliseconds of processor time.")


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({"ratio": 1.49}, ["**1.49**", "1.5: **missed**"]),
        ({"ratio": 0.5, "goal": None}, ["0.50 (slower)", "none"]),
    ],
)
def test_losses_against_peers_are_shown(races: Any, changes: dict[str, Any], cells: list[str]) -> None:
    row = [cell.strip() for cell in peers(races, **changes)[2].split("|")]
    assert [row[7], row[10]] == cells


def test_a_peer_that_cannot_be_imported_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    rounds = importlib.import_module("benchmarks.rounds")
    monkeypatch.setattr(rounds, "AT_LEAST", 0.0)

    def absent() -> Any:
        raise ModuleNotFoundError("No module named 'away'")

    both = [rounds.Peer("torch", lambda: lambda: 2.0, call="there"), rounds.Peer("away", absent, call="Do")]
    report = rounds.run(rounds.Race("task", lambda: 2.5, both, lambda value: value - 2, 0.5), 3)
    assert report["skipped"] == {"Do": "ModuleNotFoundError: No module named 'away'"}
    assert (report["off"], report["peers"][0]["off"]) == (0.5, 0.0) and report["peers"][0]["call"] == "there"
    assert rounds.lines(report)[-1] == "  skipped Do: ModuleNotFoundError: No module named 'away'"


def test_who_is_wrong_does_not_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    rounds = importlib.import_module("benchmarks.rounds")
    wrong = rounds.Race(
        "task", lambda: 2.0, [rounds.Peer("torch", lambda: lambda: 3.0, call="Do")], lambda v: v - 2, 0.5
    )
    with pytest.raises(SystemExit, match=r"task, Do: off by 1\.0e\+00, allowed 5e-01"):
        rounds.run(wrong, 3)
    nothing = rounds.Race("task", lambda: float("nan"), [], lambda value: value, 0.5)
    with pytest.raises(SystemExit, match="task, ours: off by nan"):
        rounds.run(nothing, 3)


def test_turns_are_compared_by_their_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    rounds = importlib.import_module("benchmarks.rounds")
    found = rounds.compared([1.0, 2.0, 9.0], [4.0, 4.0, 9.0])
    assert found["ratio"] == 2.0 and found["quartiles"] == [1.0, 4.0]
