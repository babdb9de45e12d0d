"""`make tune` says what it found, and a best setting at the border of what was tried is a problem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import tune

ROOT = Path(__file__).resolve().parents[2]


def arm(best: int, border: list[str]) -> dict[str, object]:
    return {"settings": [{"lr": 0.1}, {"lr": 0.3}, {"lr": 1.0}], "best": best, "border": border}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "book/data"
    folder.mkdir(parents=True)
    (folder / "x.tuned.json").write_text(json.dumps({"inside": arm(1, []), "edge": arm(2, ["lr"])}))
    return tmp_path


def test_report_and_border(project: Path) -> None:
    inside, edge = tune.report(project / "book/data/x.tuned.json")
    assert inside == "x, inside: {'lr': 0.3}"
    assert edge == "x, edge: {'lr': 1.0}  AT THE BORDER of lr: widen the grid"
    assert tune.at_border(project) == [edge]
    assert list(tune.report(project / "book/data/gone.tuned.json")) == []


def test_tuning_starts_afresh(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def execute(names: list[str], folder: Path, strict: bool, **env: str) -> int:
        ran.append((names, strict, env))
        assert not (project / "book/data/x.tuned.json").exists()
        return 3

    monkeypatch.setattr(tune, "ROOT", project)
    monkeypatch.setattr(tune, "execute", execute)
    assert tune.main(["book/data/x"]) == 3
    assert ran == [(["book/data/x"], False, {"TRICKS_TUNE": "1"})]


def test_no_chapter_uses_a_setting_at_the_border_of_its_grid() -> None:
    assert tune.at_border(ROOT) == []
