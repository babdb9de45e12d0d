"""Tuned settings: when they are searched for, when they are read, what is written, and what counts as best."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tricks_lib.experiment import tuning
from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.results import Results
from tricks_lib.experiment.seeding import seeds
from tricks_lib.experiment.settings import Setting, grid
from tricks_lib.experiment.tuning import tuned

CHAPTER, RATES = "data/demo", grid(lr=[0.01, 0.1, 1.0, 10.0])
NAN, INF = math.nan, math.inf


class Lab:
    """Runs that are counted, with a loss (settings, seeds) that one can choose."""

    def __init__(self, loss: Any = None) -> None:
        self.calls: list[tuple[list[Setting], list[int]]] = []
        self.loss, self.complete = loss, True

    def __call__(self, settings: list[Setting], chosen: Sequence[int]) -> Results:
        self.calls.append((settings, list(chosen)))
        loss = [[abs(math.log(s["lr"]))] * len(chosen) for s in settings] if self.loss is None else self.loss
        curves = {"val_loss": np.array(loss, float)[..., None], "val_accuracy": -np.array(loss, float)[..., None]}
        return Results(settings, list(chosen), [1], curves, [0] * len(settings), complete=self.complete)


@pytest.fixture(autouse=True)
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TRICKS_TUNE", "TRICKS_STRICT", "TRICKS_BOOK"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("TRICKS_BOOK", str(tmp_path))
    return tmp_path


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRICKS_TUNE", "1")


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRICKS_STRICT", "1")


def kept(book: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((book / "data/demo.tuned.json").read_text("utf8"))
    return content


def found(loss: Any, settings: list[Setting] = RATES, **options: Any) -> dict[str, Any]:
    """Return what `tuned` writes for an arm with this loss."""
    tuned(CHAPTER, "arm", Lab(loss), settings, n=2, **options)
    return kept(Path(os.environ["TRICKS_BOOK"]))["arm"]  # type: ignore[no-any-return]


def test_tuning_writes_and_reading_needs_no_run(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab()
    monkeypatch.setenv("TRICKS_TUNE", "1")
    assert tuned(CHAPTER, "raw", lab, RATES, n=3) == {"lr": 1.0}
    assert lab.calls == [(RATES, seeds(CHAPTER, "tune", 3, base=0))]
    asked = {"settings": RATES, "metric": "val_loss", "highest": False, "n": 3}
    assert kept(book) == {"raw": asked | {"curve": [4.60517, 2.30259, 0.0, 2.30259], "best": 2, "border": []}}
    for variable in ("TRICKS_STRICT", "TRICKS_SEED"):
        monkeypatch.delenv("TRICKS_TUNE", raising=False)
        monkeypatch.setenv(variable, "1")  # the check of chapters, under any base of seeds
        choice = tuned(CHAPTER, "raw", lab, RATES, n=3)
        assert choice == {"lr": 1.0} and len(lab.calls) == 1
        choice["lr"] = 7.0
        assert RATES[2] == {"lr": 1.0}


def test_tuning_again_searches_again_and_leaves_other_arms(book: Path, tune: None) -> None:
    for arm in ("b", "a"):
        tuned(CHAPTER, arm, Lab(), RATES)
    assert tuned(CHAPTER, "b", Lab([[0.0], [1.0], [1.0], [1.0]]), RATES) == {"lr": 0.01}
    assert list(kept(book)) == ["a", "b"] and (kept(book)["a"]["best"], kept(book)["b"]["best"]) == (2, 0)
    assert os.listdir(book / "data") == ["demo.tuned.json"]  # nothing half-written is left


@pytest.mark.parametrize(
    "change",
    [{"settings": RATES[:3]}, {"metric": "val_accuracy"}, {"highest": True}, {"n": 9}, {"arm": "other"}],
)
def test_what_was_not_tuned_is_refused_by_the_check_and_searched_for_by_a_reader(
    change: dict[str, Any], book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRICKS_TUNE", "1")
    tuned(CHAPTER, "arm", Lab(), RATES)
    before, lab = kept(book), Lab()
    monkeypatch.delenv("TRICKS_TUNE")
    call = {"arm": "arm", "settings": RATES, **change}
    arguments = (CHAPTER, call.pop("arm"), lab, call.pop("settings"))
    expected = {"lr": 0.01} if "highest" in change else {"lr": 1.0}
    if "metric" in change:
        expected = {"lr": 0.01}  # the lowest "accuracy" of this lab is that of the largest loss
    assert tuned(*arguments, **call) == expected and len(lab.calls) == 1  # type: ignore[arg-type]
    assert kept(book) == before
    monkeypatch.setenv("TRICKS_STRICT", "1")
    with pytest.raises(ValueError, match=r"arm '(arm|other)' of data/demo is not tuned for these settings: run `make"):
        tuned(*arguments, **call)  # type: ignore[arg-type]
    assert len(lab.calls) == 1


def test_without_a_file_and_without_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab()
    assert tuned(CHAPTER, "arm", lab, RATES, n=2) == {"lr": 1.0} and not list(tmp_path.rglob("*.json"))
    (told,) = caplog.messages
    assert f"demo.tuned.json has no result for these settings, so all {len(RATES)} are tried now, on 2 seeds" in told
    caplog.clear()
    monkeypatch.delenv("TRICKS_BOOK")  # a reader's notebook runs beside the file
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setenv("TRICKS_TUNE", "1")
    tuned(CHAPTER, "arm", lab, RATES, n=2)
    assert kept(tmp_path)["arm"]["best"] == 2
    monkeypatch.delenv("TRICKS_TUNE")
    tuned(CHAPTER, "arm", lab, RATES, n=2)
    assert caplog.messages == [], "who tunes, and who has the file, is told nothing"


@pytest.mark.parametrize("value", ["0", ""])
def test_only_1_switches_on(value: str, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRICKS_TUNE", value)
    monkeypatch.setenv("TRICKS_STRICT", value)
    assert tuned(CHAPTER, "arm", Lab(), RATES) == {"lr": 1.0} and not list(book.rglob("*.json"))


def test_the_highest_wins_where_asked_for(tune: None) -> None:
    loss = [[3.0, 3.0], [1.0, 2.0], [5.0, 0.0], [4.0, 4.5]]
    assert found(loss)["best"] == 1 and found(loss)["curve"] == [3.0, 1.5, 2.5, 4.25]
    assert found(loss, highest=True)["best"] == 3
    assert found(loss, metric="val_accuracy", highest=True) == {
        **{"settings": RATES, "metric": "val_accuracy", "highest": True, "n": 2},
        **{"curve": [-3.0, -1.5, -2.5, -4.25], "best": 1, "border": []},
    }


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("highest", [False, True])
def test_a_setting_with_a_seed_that_diverged_is_the_worst(bad: float, highest: bool, tune: None) -> None:
    one = found([[2.0, bad], [3.0, 3.0], [bad, bad], [4.0, 4.0]], highest=highest)
    assert one["best"] == (3 if highest else 1) and one["curve"] == [None, 3.0, None, 4.0]


def test_if_all_diverged_none_is_the_best(book: Path, tune: None) -> None:
    with pytest.raises(
        ValueError, match="settings: all 4 diverged for some seed, so that none is the best by val_loss"
    ):
        found([[2.0, NAN], [NAN, 3.0], [NAN, NAN], [INF, 4.0]])
    assert not list(book.rglob("*.json"))


@pytest.mark.parametrize(
    ("settings", "best", "border"),
    [
        (RATES, 0, ["lr"]),
        (RATES, 1, []),
        (RATES, 3, ["lr"]),
        (grid(lr=[1.0, 0.1, 0.3]), 2, []),  # in any order
        (grid(lr=[1.0, 0.1, 0.3]), 0, ["lr"]),
        (grid(lr=[0.1, 0.3]), 0, []),  # of two values each would be at the border
        (grid(lr=[0.1]), 0, []),
        (grid(lr=[0.1, 0.3, 1.0], momentum=[0.0, 0.5, 0.9]), 4, []),
        (grid(lr=[0.1, 0.3, 1.0], momentum=[0.0, 0.5, 0.9]), 5, ["momentum"]),
        (grid(lr=[0.1, 0.3, 1.0], momentum=[0.0, 0.5, 0.9]), 8, ["lr", "momentum"]),
        (grid(activation=["relu", "tanh", "elu"], lr=[0.1, 0.3, 1.0]), 1, []),
        ([{"lr": 0.1}, {"lr": 0.3}, {"lr": 1.0}, {"width": 5}], 3, []),
    ],
)
def test_the_border_of_what_was_tried(settings: list[Setting], best: int, border: list[str], tune: None) -> None:
    loss = [[float(i != best)] * 2 for i in range(len(settings))]
    assert found(loss, settings)["border"] == border


def test_settings_that_a_file_cannot_keep_are_named(tune: None) -> None:
    with pytest.raises(TypeError, match="settings must hold numbers and words, which a file can keep"):
        found([[0.0]], [{"lr": 0.1, "loss": max}])
    assert found([[0.0, 0.0]], [{"lr": np.float64(0.1), "shape": (3, 4), "name": "a"}])["settings"] == [
        {"lr": 0.1, "shape": [3, 4], "name": "a"}
    ]


def test_an_interrupted_search_keeps_nothing(book: Path, tune: None) -> None:
    tuned(CHAPTER, "arm", Lab(), RATES)
    before, lab = kept(book), Lab([[0.0], [NAN], [NAN], [NAN]])
    lab.complete = False
    with pytest.raises(KeyboardInterrupt, match="tuning was interrupted"):
        tuned(CHAPTER, "arm", lab, RATES)
    assert kept(book) == before


def test_a_real_interrupt_of_a_real_sweep(book: Path, tune: None) -> None:
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    sets, calls = {"train": (x, x), "val": (x, x)}, []

    def loss(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return (outputs - target).square().mean()

    def run(settings: list[Setting], chosen: Sequence[int]) -> Results:
        metrics = {"loss": lambda outputs, target: (outputs - target).square().mean()}
        return sweep(lambda: nn.Linear(3, 3), sets, settings, seeds=chosen, epochs=4, loss=loss, metrics=metrics)

    with pytest.raises(KeyboardInterrupt):
        tuned(CHAPTER, "arm", run, RATES, n=2)
    assert not list(book.rglob("*.json"))
    assert tuned(CHAPTER, "arm", run, RATES[:2], n=2) == {"lr": 0.1}  # the machine is as before


def test_a_write_that_fails_leaves_the_old_file(book: Path, tune: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned(CHAPTER, "arm", Lab(), RATES)
    before = kept(book)

    def full(*args: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(tuning.os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        tuned(CHAPTER, "arm", Lab([[0.0], [1.0], [1.0], [1.0]]), RATES)
    assert kept(book) == before
    monkeypatch.undo()


def test_words_beyond_ascii_are_kept(book: Path, tune: None, strict: None) -> None:
    settings = [{"lr": 0.1, "label": "étroit"}, {"lr": 1.0, "label": "große"}]
    assert tuned(CHAPTER, "β", Lab(), settings) == settings[1]
    assert kept(book)["β"]["settings"] == settings


@pytest.mark.parametrize("tuning_now", ["1", "0"])
def test_the_base_of_the_seeds_moves_no_tuning(tuning_now: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab()
    monkeypatch.setenv("TRICKS_TUNE", tuning_now)
    monkeypatch.setenv("TRICKS_SEED", "9")
    tuned(CHAPTER, "arm", lab, RATES, n=4)
    assert lab.calls[0][1] == seeds(CHAPTER, "tune", 4, base=0) != seeds(CHAPTER, "tune", 4)


def test_arms_of_a_chapter_share_the_tuning_seeds_which_no_claim_uses(tune: None) -> None:
    lab = Lab()
    for arm in ("a", "b"):
        tuned(CHAPTER, arm, lab, RATES, n=8)
    assert lab.calls[0] == lab.calls[1]
    reported = {s for stream in ("data", "train") for base in range(3) for s in seeds(CHAPTER, stream, 64, base=base)}
    assert not reported & set(lab.calls[0][1])
