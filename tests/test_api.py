"""What the last release promised still stands: no public name is gone, and every old call still means the same."""

from __future__ import annotations

import json

import pytest
from typing_extensions import deprecated

import tricks_lib
import tricks_lib.data.looking as looking
from tools import api

LAST = json.loads(api.LIST.read_text("utf8"))


def test_nothing_of_the_last_release_is_missing_or_called_otherwise() -> None:
    assert api.since_release(LAST, api.public()) == [], "deprecate it (CONTRIBUTING.md), or see tools/api.py"


def test_the_list_names_modules_classes_and_their_members() -> None:
    names = api.public()
    assert names["tricks_lib.data.looking.PCA"] == "(n_components, *, device=None, dtype=None)"
    assert names["tricks_lib.learning.optimizers.Interval"] == "(low=0.0, high=..., ends='[)')", "infinity has no text"
    assert names["tricks_lib.data.looking.PCA.fit"] == "(self, x)"
    assert names["tricks_lib.plots.style.COLORS"] is None
    assert "tricks_lib.data.looking.PCA.load_state_dict" not in names, "that is torch's promise"
    assert not [
        name for name in names if any(part.startswith("_") for part in name.split(".")) and "__call__" not in name
    ]


def test_a_name_that_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "__all__", [name for name in looking.__all__ if name != "class_counts"])
    (line,) = api.since_release(LAST, api.public())
    assert line == "tricks_lib.data.looking.class_counts is gone"


def test_a_method_that_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(looking.PCA, "inverse")
    assert "tricks_lib.data.looking.PCA.inverse is gone" in api.since_release(LAST, api.public())


def test_a_parameter_that_is_renamed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def class_counts(labels: object) -> None: ...

    monkeypatch.setattr(looking, "class_counts", class_counts)
    (line,) = api.since_release(LAST, api.public())
    assert line.startswith("tricks_lib.data.looking.class_counts(y") and "(labels)" in line


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("(x)", "()", "too many positional arguments"),
        ("(x)", "(z)", "the place of 'x' is now that of 'z'"),
        ("(x, y)", "(y, x)", "the place of 'x' is now that of 'y'"),
        ("(x, y)", "(z, x, y)", "missing a required argument"),
        ("(x, y=...)", "(x, z=..., y=...)", "the place of 'y' is now that of 'z'"),
        ("(x)", "(x, y)", "'y'"),
        ("(x)", "(x, *, y)", "'y'"),
        ("(x=...)", "(x)", "'x'"),
        ("(x)", "(*, x)", "positional"),
        ("(x)", "(x, /)", "keyword"),
        ("(*, a=...)", "()", "unexpected keyword argument 'a'"),
        ("(*, a=...)", "(*, a)", "'a'"),
        ("(*steps)", "(steps)", "'steps'"),
        ("(**draws)", "()", "unexpected keyword argument"),
        ("(*, a=1.0)", "(*, a=2.0)", "'a' was 1.0 where it is left out"),
        ("(a=1, b='[)')", "(a=1, b='[]')", "'b' was '[)'"),
        ("(a=1)", "(a=True)", "'a' was 1"),
        ("(a=None)", "(a=...)", "'a' was None"),
        ("(x)", None, "no longer be called"),
    ],
)
def test_what_breaks_a_call_is_found(old: str, new: str | None, word: str) -> None:
    (line,) = api.problems({"m.f": old}, {"m.f": new})
    assert line.startswith(f"m.f{old} is now f{new}: ") and word in line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(x)", "(x, y=...)"),
        ("(x)", "(x=...)"),
        ("(x)", "(x, *, y=...)"),
        ("(*, a=...)", "(*, b=..., a=...)"),
        ("(*, a)", "(a=...)"),
        ("(x, /)", "(x)"),
        ("(a=0.5)", "(a=0.5, *, b=2)"),
        ("(a=...)", "(a=2)"),
        ("(*, a=1)", "(**more)"),
        ("(*steps)", "(*parts)"),
        ("(x, **draws)", "(x, **more)"),
    ],
)
def test_additions_are_free(old: str, new: str) -> None:
    assert api.problems({"m.f": old, "m.c": None}, {"m.f": new, "m.c": None, "m.g": "()"}) == []


def test_what_is_deprecated_is_called_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = api.public()
    old = type("PCA", (looking.PCA,), {})  # a class is marked in place: not the real one
    for name, value in {"class_counts": looking.class_counts, "PCA": old}.items():
        monkeypatch.setattr(looking, name, deprecated("Use another.")(value))
    with pytest.deprecated_call():
        looking.PCA(2)
    assert api.public() == before


def test_a_new_major_version_may_break_it() -> None:
    assert api.since_release({"version": "0.1.0", "names": {"m.f": "()"}}, {}) == ["m.f is gone"]
    assert api.since_release({"version": "1.0.0", "names": {"m.f": "()"}}, {}) == []


def test_the_command_fails_on_a_broken_promise(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "api.json").write_text(json.dumps({"version": tricks_lib.__version__, "names": {}}))
    monkeypatch.setattr(api, "LIST", tmp_path / "api.json")
    assert api.main(["write"]) == 0
    assert api.main([]) == 0
    assert "nothing that was promised is missing" in capsys.readouterr().out
    monkeypatch.setattr(looking, "__all__", [])
    assert api.main([]) == 1
    assert "tricks_lib.data.looking.PCA is gone" in capsys.readouterr().out
    promised = (tmp_path / "api.json").read_text()
    monkeypatch.setattr(api, "notes", lambda version: "what was released")
    assert api.main(["write"]) == 1, "a new list would hide what is broken"
    assert (tmp_path / "api.json").read_text() == promised
    monkeypatch.setattr(api, "notes", lambda version: "")
    assert api.main(["write"]) == 0, "no release had these names"
