"""Checkpoints: a killed run that is resumed equals one that never stopped; a bad file changes nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR, OneCycleLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data.looking import PCA
from tricks_lib.learning import checkpoint
from tricks_lib.learning.loop import load_checkpoint, save_checkpoint, update

Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Decay:
    half: float = 4.0

    def __call__(self, step: int) -> float:
        return self.half / (self.half + step)


@dataclass(frozen=True)
class Both:
    first: Decay = Decay(3.0)
    second: Decay = Decay(5.0)

    def __call__(self, step: int) -> float:
        return self.first(step) * self.second(step)


class Counting:
    """A multiplier with a memory, so that it must be saved."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, step: int) -> float:
        self.calls += 1
        return 1 / self.calls


class Run:
    """A model with everything that changes while it is trained."""

    def __init__(self, device: Any = "cpu", *, seed: int = 1, width: int = 7, kind: Any = None, multiplier: Any = None):
        torch.manual_seed(seed)
        layers = [nn.Linear(5, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.4), nn.Linear(width, 3)]
        self.model = nn.Sequential(*layers).to(device)
        self.optimizer = (kind or torch.optim.AdamW)(self.model.parameters(), lr=0.05)
        self.schedule = LambdaLR(self.optimizer, multiplier or Decay())
        self.order, self.other = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
        rng = torch.Generator().manual_seed(12)
        x, y = torch.randn(19, 5, generator=rng), torch.randint(3, (19,), generator=rng)
        self.loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=self.order)

    @property
    def parts(self) -> dict[str, Any]:
        generators = {"order": self.order, "other": self.other}
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule, "generators": generators}

    def train(self, epochs: int = 1) -> dict[str, float]:
        for _ in range(epochs):
            torch.rand(1, generator=self.other)
            averages = update(self.model, self.loader, F.cross_entropy, self.optimizer, schedule=self.schedule)
        return averages

    def everything(self) -> Any:
        states = [self.model.state_dict(), self.optimizer.state_dict(), self.schedule.state_dict()]
        return bits([*states, self.order.get_state(), self.other.get_state(), torch.get_rng_state()])


def bits(value: Any) -> Any:
    """A copy that is equal only if every bit is."""
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape), value.detach().cpu().numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return value.hex() if isinstance(value, float) else value


@contextmanager
def unchanged(*runs: Run) -> Iterator[None]:
    before = [run.everything() for run in runs]
    kept = [[id(p) for p in run.model.parameters()] for run in runs]
    yield
    assert [run.everything() for run in runs] == before
    assert [[id(p) for p in run.model.parameters()] for run in runs] == kept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.pt"


# --- resuming ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork and no SIGKILL here")
def test_a_killed_run_ends_as_one_that_never_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.learning.killed_run", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for kind, moment, report in json.loads(done.stdout):
        assert report["died"] == -signal.SIGKILL and report["resumed"] == 0, (kind, moment, report)
        left = ["run.pt"] if moment == "just renamed" else [".run.pt.tmp", "run.pt"]
        assert report["left"] == left or moment == "any time", (kind, moment, report)
        assert report["files"] == ["run.pt"], (kind, moment, report)
        whole, resumed = (torch.load(tmp_path / f"{kind} {which}.end") for which in ("whole", moment))
        assert len(whole["history"]) == 6 and whole["steps"] == 36
        assert bits(resumed) == bits(whole), (kind, moment, report)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad])
def test_resumes_bit_for_bit_on_the_device(path: Path, device: torch.device, kind: Any) -> None:
    whole = Run(device, kind=kind)
    whole.train(2)
    save_checkpoint(path, **whole.parts, epoch=2)
    averages = whole.train(2)
    expected = whole.everything()
    resumed = Run(device, seed=77, kind=kind)
    resumed.train(1)
    assert load_checkpoint(path, **resumed.parts) == {"epoch": 2}
    assert resumed.train(2) == averages
    assert resumed.everything() == expected
    assert {p.device.type for p in resumed.model.parameters()} == {device.type}


def test_a_checkpoint_moves_between_devices(path: Path, device: torch.device) -> None:
    run = Run(device)
    run.train()
    save_checkpoint(path, **run.parts)
    expected = run.everything()
    for other in ("cpu", device):
        again = Run(other, seed=77)
        load_checkpoint(path, **again.parts)
        assert again.everything() == expected
        assert {p.device.type for p in again.model.parameters()} == {torch.device(other).type}


@pytest.mark.usefixtures("global_rng_untouched")
def test_saving_changes_nothing(path: Path) -> None:
    state = torch.get_rng_state()
    run = Run()
    run.train()
    with unchanged(run):
        save_checkpoint(path, **run.parts, note=[1, 2])
    torch.set_rng_state(state)


def test_random_states_and_generators_come_back(path: Path) -> None:
    model, generator = nn.Linear(2, 3), torch.Generator().manual_seed(5)
    torch.manual_seed(6)
    save_checkpoint(path, model=model, generators={"order": generator})
    expected = torch.rand(4), torch.rand(4, generator=generator)
    other = torch.Generator().manual_seed(99)
    load_checkpoint(path, model=model, generators={"order": other})
    assert bits([torch.rand(4), torch.rand(4, generator=other)]) == bits(expected)


def test_tied_weights_stay_tied(path: Path) -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    model, again = tied(), tied()
    save_checkpoint(path, model=model)
    load_checkpoint(path, model=again)
    assert again[1].weight is again[0].weight and torch.equal(again[0].weight, model[0].weight)
    assert path.stat().st_size < save_size(nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 300))) / 10


def save_size(model: nn.Module) -> int:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return len(buffer.getvalue())


def test_the_model_alone_takes_the_weights_and_nothing_else(path: Path) -> None:
    run, other = Run(), Run(seed=77)
    run.train()
    save_checkpoint(path, **run.parts, epoch=1)
    torch.rand(3)  # away from the random state in the file
    rest = bits([other.optimizer.state_dict(), other.schedule.state_dict(), torch.get_rng_state()])
    assert load_checkpoint(path, model=other.model) == {"epoch": 1}
    assert bits(other.model.state_dict()) == bits(run.model.state_dict())
    assert bits([other.optimizer.state_dict(), other.schedule.state_dict(), torch.get_rng_state()]) == rest


@pytest.mark.parametrize("extra_parts", [[], ["optimizer"], ["generators"], ["optimizer", "schedule"]])
def test_random_states_come_back_only_when_a_run_goes_on(path: Path, extra_parts: list[str]) -> None:
    run, other = Run(), Run(seed=77)
    names = ["model", *extra_parts]
    torch.manual_seed(8)
    saved = torch.get_rng_state()
    save_checkpoint(path, **{name: run.parts[name] for name in names})
    torch.manual_seed(9)
    here = torch.get_rng_state()
    load_checkpoint(path, model=other.model)
    assert torch.equal(torch.get_rng_state(), here)
    load_checkpoint(path, **{name: other.parts[name] for name in names})
    assert torch.equal(torch.get_rng_state(), saved if extra_parts else here)


def test_buffers_that_are_not_persistent_are_not_saved(path: Path) -> None:
    model = nn.Identity()
    model.register_buffer("kept", torch.ones(2))
    model.register_buffer("scratch", torch.ones(3), persistent=False)
    save_checkpoint(path, model=model)
    model.kept.zero_(), model.scratch.zero_()
    load_checkpoint(path, model=model)
    assert model.kept.tolist() == [1, 1] and model.scratch.tolist() == [0, 0, 0]


def test_loading_takes_a_copy(path: Path) -> None:
    run, other = Run(), Run(seed=77)
    run.train()
    save_checkpoint(path, **run.parts)
    load_checkpoint(path, **other.parts)
    path.unlink()
    with unchanged(run):
        random_state = torch.get_rng_state()
        other.train()
        torch.set_rng_state(random_state)


def test_a_state_dict_keeps_its_version_numbers(path: Path) -> None:
    seen: list[Any] = []

    class Versioned(nn.Linear):
        _version = 7

        def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
            seen.append(metadata.get("version"))
            super()._load_from_state_dict(state, prefix, metadata, *rest)

    save_checkpoint(path, model=nn.Sequential(Versioned(2, 3)))
    load_checkpoint(path, model=nn.Sequential(Versioned(2, 3)))
    assert seen == [7]


# --- schedules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", [Decay, Both, Counting, lambda: lambda step: 0.9**step])
def test_any_multiplier_resumes(path: Path, multiplier: Any) -> None:
    whole, resumed = Run(multiplier=multiplier()), Run(seed=77, multiplier=multiplier())
    whole.train(2)
    save_checkpoint(path, **whole.parts)
    load_checkpoint(path, **resumed.parts)
    rates: list[list[float]] = [[], []]
    for run, into in zip((whole, resumed), rates, strict=True):
        run.optimizer.register_step_pre_hook(lambda *_, r=run, i=into: i.append(r.optimizer.param_groups[0]["lr"]))
        run.train()
    assert rates[0] == rates[1] and len(set(rates[0])) == 3


def test_a_frozen_dataclass_comes_from_the_code(path: Path) -> None:
    save_checkpoint(path, **Run(multiplier=Decay(4.0)).parts)
    longer = Run(multiplier=Decay(400.0))
    load_checkpoint(path, **longer.parts)
    assert longer.schedule.lr_lambdas == [Decay(400.0)]


@pytest.mark.parametrize("make", [
    lambda o: StepLR(o, 2), lambda o: MultiStepLR(o, [1, 3, 3]), lambda o: OneCycleLR(o, 0.3, total_steps=20),
])  # fmt: skip
def test_the_schedules_of_torch(path: Path, make: Any) -> None:
    runs = []
    for seed in (1, 77):
        run = Run(seed=seed, kind=torch.optim.SGD)
        run.optimizer = torch.optim.SGD(run.model.parameters(), lr=0.05, momentum=0.9)
        run.schedule = make(run.optimizer)
        runs.append(run)
    runs[0].train(2)
    save_checkpoint(path, **runs[0].parts)
    runs[0].train()
    expected = runs[0].everything()
    load_checkpoint(path, **runs[1].parts)
    runs[1].train()
    assert runs[1].everything() == expected


# --- extra values --------------------------------------------------------------------------------------------------

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.integers(-(2**2039) + 1, 2**2039 - 1)
    | st.complex_numbers(allow_nan=False)
)  # fmt: skip
KEYS = st.text(max_size=5) | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.text(max_size=3))
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(st.integers() | st.text(max_size=3), max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """The types in it, since 1 == True == 1.0, and the float's bits."""
    if isinstance(value, dict):
        return type(value), [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    return type(value), value.hex() if isinstance(value, float) else None


@given(PLAIN)
def test_plain_data_come_back(value: Any) -> None:
    buffer = io.BytesIO()
    torch.save(checkpoint.capture({"model": nn.Identity()}, {"value": value}), buffer)
    buffer.seek(0)
    again = torch.load(buffer, weights_only=True)["extra"]["value"]
    assert again == value and typed(again) == typed(value)


def test_more_plain_data(path: Path) -> None:
    extra = {
        "sizes": torch.Size([2, 3]), "kind": torch.bfloat16, "where": torch.device("meta"), "counts": Counter("aab"),
        "nan": float("nan"), "tensors": {"half": torch.ones(2, dtype=torch.float16), "bit": torch.tensor(True)},
    }  # fmt: skip
    save_checkpoint(path, model=nn.Identity(), **extra)
    again = load_checkpoint(path, model=nn.Identity())
    assert repr(again) == repr(extra) and list(again) == list(extra)


def test_names_of_the_format_are_free_for_extra_values(path: Path) -> None:
    names = ["format", "version", "parts", "layout", "random", "extra", "map_location", "content"]
    save_checkpoint(path, model=nn.Linear(1, 2), **dict.fromkeys(names, "mine"))
    assert load_checkpoint(path, model=nn.Linear(1, 2)) == dict.fromkeys(names, "mine")


@pytest.mark.parametrize("bad, message", [
    (np.float64(1.5), r"extra\['note'\] is of type numpy.float64"),
    (np.ones(2), r"extra\['note'\] is of type numpy.ndarray"),
    ([0, {"deep": (1, Path("x"))}], r"extra\['note'\]\[1\]\['deep'\]\[1\] is of type pathlib"),
    ({"a": Point(1, 2)}, r"extra\['note'\]\['a'\] is of type .*Point"),
    ({Path("x"): 1}, r"a key of extra\['note'\] is of type pathlib"),
    (b"", r"is of type builtins.bytes"),
    (len, r"is of type builtins.builtin_function_or_method"),
    (lambda: 0, r"is of type builtins.function"),
    (nn.Linear(1, 2), r"is of type torch.nn.modules.linear.Linear"),
    (frozenset([1]), r"is of type builtins.frozenset"),
    (range(3), r"is of type builtins.range"),
    (2**2039, r"is of type builtins.int"),
    (-(2**2039), r"is of type builtins.int"),
    (torch.ones(2).as_subclass(type("Mine", (Tensor,), {})), r"is of type .*Mine"),
])  # fmt: skip
def test_what_is_not_plain_data_is_refused_when_saving(path: Path, bad: Any, message: str) -> None:
    save_checkpoint(path, model=nn.Identity(), note="the last good one")
    with pytest.raises(TypeError, match=message + ".*which a checkpoint cannot hold; make it plain data"):
        save_checkpoint(path, model=nn.Identity(), fine=1, note=bad)
    assert os.listdir(path.parent) == ["run.pt"]
    assert load_checkpoint(path, model=nn.Identity()) == {"note": "the last good one"}


def test_a_state_that_is_not_plain_data_is_refused_when_saving(path: Path) -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"when": Path("x")}

        def set_extra_state(self, state: Any) -> None:
            raise AssertionError("nothing is loaded here")

    with pytest.raises(TypeError, match=r"parts\['model'\]\['0._extra_state'\]\['when'\] is of type pathlib"):
        save_checkpoint(path, model=nn.Sequential(Extra(1, 2)))
    assert os.listdir(path.parent) == []


def test_extra_tensors_are_saved_from_any_device_and_go_where_asked(path: Path, device: torch.device) -> None:
    weights = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(path, model=nn.Identity(), ema={"0": [weights.to(device)]}, epoch=1)
    for where, kind in ((None, "cpu"), (device, device.type), (str(device), device.type)):
        random_state = torch.get_rng_state()
        extra = load_checkpoint(path, model=nn.Identity(), map_location=where)
        assert extra["epoch"] == 1 and extra["ema"]["0"][0].device.type == kind
        assert torch.equal(extra["ema"]["0"][0].cpu(), weights)
        assert torch.equal(torch.get_rng_state(), random_state)


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["torch.save", "fsync", "replace"])
def test_an_exception_while_saving_leaves_the_last_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*args: Any) -> None:
        if where == "torch.save":
            args[1].write(b"half a check")
        raise KeyboardInterrupt

    save_checkpoint(path, model=nn.Identity(), epoch=1)
    monkeypatch.setattr({"torch.save": torch, "fsync": os, "replace": os}[where], where.removeprefix("torch."), fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model=nn.Identity(), epoch=2)
    monkeypatch.undo()
    assert os.listdir(path.parent) == ["run.pt"]
    assert load_checkpoint(path, model=nn.Identity()) == {"epoch": 1}


def test_the_file_is_on_the_disk_before_it_has_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    real = {"fsync": os.fsync, "replace": os.replace}

    def fsync(handle: int) -> None:
        calls.append(("fsync", os.fstat(handle).st_size))
        real["fsync"](handle)

    def replace(source: Path, target: Path) -> None:
        calls.append(("replace", source.parent == target.parent, source.stat().st_size))
        real["replace"](source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    save_checkpoint(path, model=nn.Linear(3, 2))
    size = path.stat().st_size
    assert calls == [("fsync", size), ("replace", True, size)]


def test_a_relative_name_and_a_string_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    save_checkpoint("best", model=nn.Identity(), epoch=3)
    assert load_checkpoint("best", model=nn.Identity()) == {"epoch": 3} and os.listdir() == ["best"]


def test_a_missing_file_or_folder(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run\.pt"):
        load_checkpoint(path, model=nn.Identity())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_checkpoint(path.parent / "nowhere" / "run.pt", model=nn.Identity())
    with pytest.raises(IsADirectoryError):
        load_checkpoint(path.parent, model=nn.Identity())


def test_a_file_cut_short_anywhere(path: Path) -> None:
    run = Run()
    run.train()
    save_checkpoint(path, **run.parts)
    content = path.read_bytes()
    lengths = [*range(0, len(content), max(1, len(content) // 60)), len(content) - 1]
    with unchanged(run):
        for length in lengths:
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=r"run\.pt is cut short, damaged, or no file of save_checkpoint"):
                load_checkpoint(path, **run.parts)


class Payload:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("content", [
    b"epoch,loss\n1,0.5\n", b"\x00" * 300, b"PK\x03\x04" + b"\x00" * 200, pickle.dumps({"format": "x"}),
    pickle.dumps(Payload()), b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
])  # fmt: skip
def test_something_else(path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.chdir(path.parent)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.pt is .*no file of save_checkpoint"):
        load_checkpoint(path, model=nn.Identity())
    assert os.listdir() == ["run.pt"]  # nothing in it was run


@pytest.mark.parametrize("content", [nn.Linear(1, 2).state_dict(), [1], torch.ones(3), {"format": torch.ones(3)}])
def test_another_file_of_torch(path: Path, content: Any) -> None:
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"run\.pt is no file of save_checkpoint"):
        load_checkpoint(path, model=nn.Linear(1, 2))


def test_code_in_a_file_of_torch_is_not_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    torch.save({"format": Payload()}, path)
    with pytest.raises(ValueError, match="no file of save_checkpoint") as caught:
        load_checkpoint(path, model=nn.Identity())
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert os.listdir() == ["run.pt"]


def test_another_version_of_the_format(path: Path) -> None:
    save_checkpoint(path, model=nn.Identity())
    content = torch.load(path)
    assert content["version"] == 1
    torch.save(content | {"version": 2}, path)
    with pytest.raises(ValueError, match="has format version 2, this tricks_lib reads 1"):
        load_checkpoint(path, model=nn.Identity())


@pytest.mark.parametrize("content, message", [
    ({"format": checkpoint.FORMAT}, "it lacks 'version'$"),
    ({"format": checkpoint.FORMAT, "version": 1}, "it lacks 'layout', 'parts', 'random', 'extra'$"),
    ({"layout": {}, "parts": {}, "random": {}, "extra": {}}, "it lacks 'model' among its parts$"),
    ({"layout": {}, "parts": {"model": {}}, "random": {}}, "it lacks 'extra'$"),
    ({"layout": {}, "parts": [1], "random": {}, "extra": {}}, "it lacks 'parts'$"),
    ({"layout": None, "parts": {}, "extra": {}}, "it lacks 'layout', 'random'$"),
])  # fmt: skip
def test_a_file_that_lacks_an_entry(path: Path, content: dict[str, Any], message: str) -> None:
    whole = {} if "format" in content else {"format": checkpoint.FORMAT, "version": 1}
    torch.save(whole | content, path)
    with pytest.raises(ValueError, match=r"run\.pt is damaged: " + message):
        load_checkpoint(path, model=nn.Identity())


BAD_STATES = [torch.zeros(5056), torch.zeros(3, dtype=torch.uint8), torch.zeros(5056, dtype=torch.uint8), None, [1]]


@pytest.mark.parametrize("bad", [*BAD_STATES, torch.get_rng_state()[None]])
def test_a_damaged_random_state_changes_nothing(path: Path, bad: Any) -> None:
    run, other = Run(), Run(seed=77)
    run.train()
    save_checkpoint(path, **run.parts)
    good = torch.load(path)
    torch.save(good | {"random": {"cpu": [bad]}}, path)
    with unchanged(other), pytest.raises(ValueError, match=r"run\.pt: random\['cpu'\] is damaged: "):
        load_checkpoint(path, **other.parts)
    load_checkpoint(path, model=Run(seed=78).model)  # does not need it
    generators = good["parts"]["generators"] | {"other": bad}
    torch.save(good | {"parts": good["parts"] | {"generators": generators}}, path)
    with unchanged(other), pytest.raises(ValueError, match=r"run\.pt: generator other is damaged: "):
        load_checkpoint(path, **other.parts)


@pytest.mark.parametrize("random", [{}, {"cpu": []}, {"cpu": torch.get_rng_state()}, {"xpu": []}])
def test_missing_random_states_change_nothing(path: Path, random: Any) -> None:
    run, other = Run(), Run(seed=77)
    save_checkpoint(path, **run.parts)
    torch.save(torch.load(path) | {"random": random}, path)
    with unchanged(other), pytest.raises(ValueError, match=r"random\['cpu'\] is damaged or missing"):
        load_checkpoint(path, **other.parts)


# --- what does not fit: all or nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize("saved, passed", [
    (["model"], ["model", "optimizer"]),
    (["model", "generators"], ["model", "schedule"]),
    (["model", "optimizer", "schedule", "generators"], ["model", "optimizer", "generators"]),
    (["model", "optimizer", "schedule", "generators"], ["model", "optimizer", "schedule"]),
    (["model", "optimizer"], ["model", "optimizer", "schedule"]),
])  # fmt: skip
def test_other_parts_than_were_saved(path: Path, saved: list[str], passed: list[str]) -> None:
    run, other = Run(), Run(seed=77)
    run.train()
    save_checkpoint(path, **{name: run.parts[name] for name in saved})
    message = f"run.pt holds {', '.join(saved)}, but the call passes {', '.join(passed)}$"
    with unchanged(other), pytest.raises(ValueError, match=message):
        load_checkpoint(path, **{name: other.parts[name] for name in passed})


DTYPE = re.escape(str(torch.get_default_dtype()))
NO_SHIFT = nn.BatchNorm1d(7, affine=False)
NO_STATISTICS = nn.BatchNorm1d(7, track_running_stats=False)


@pytest.mark.parametrize("change, messages", [
    (lambda m: m.append(nn.Linear(3, 4)), [rf"model 5\.weight: nothing in the file, {DTYPE} \(4, 3\) here"]),
    (lambda m: m.pop(4), [rf"model 4\.weight: {DTYPE} \(3, 7\) in the file, nothing here", r"model 4\.bias: "]),
    (lambda m: m.__setitem__(1, NO_SHIFT), [r"model 1\.weight: .* in the file, nothing here", r"model 1\.bias: "]),
    (lambda m: m.__setitem__(1, NO_STATISTICS), [r"Unexpected key.*1\.running_mean"]),
    (lambda m: m.half(), [rf"model 0\.weight: {DTYPE} \(7, 5\) in the file, torch\.float16 \(7, 5\) here"]),
    (lambda m: setattr(m[1], "bias", m[1].weight), [r"model 1\.bias: .* in the file, tied to 1\.weight here"]),
])  # fmt: skip
def test_another_model(path: Path, change: Any, messages: list[str]) -> None:
    run, other = Run(), Run(seed=77)
    run.train()
    save_checkpoint(path, **run.parts)
    change(other.model)
    other.optimizer = torch.optim.AdamW(other.model.parameters())
    other.schedule = LambdaLR(other.optimizer, Decay())
    for parts in (other.parts, {"model": other.model}):
        with unchanged(other), pytest.raises(ValueError) as caught:
            load_checkpoint(path, **parts)
        for message in [f"^{re.escape(str(path))} does not fit:", *messages]:
            assert re.search(message, str(caught.value)), str(caught.value)


def regrouped(model: nn.Module) -> Any:
    parameters = list(model.parameters())
    return torch.optim.AdamW([{"params": parameters[:2]}, {"params": parameters[2:]}])


def reordered(model: nn.Module) -> Any:
    weight, bias, scale, shift, *rest = model.parameters()
    return torch.optim.AdamW([weight, bias, shift, scale, *rest])  # scale and shift have the same shape


@pytest.mark.parametrize("make, messages", [
    (regrouped, [r"optimizer group 0: 0\.weight, .*, 4\.bias in the file, 0\.weight, 0\.bias here", "group 1: "]),
    (reordered, [r"optimizer group 0: .*1\.weight, 1\.bias.* in the file, .*1\.bias, 1\.weight.* here"]),
    (lambda m: torch.optim.Adam(m.parameters()), ["optimizer: AdamW in the file, Adam here"]),
])  # fmt: skip
def test_another_optimizer(path: Path, make: Any, messages: list[str]) -> None:
    run, other = Run(), Run(seed=77)
    run.train()
    save_checkpoint(path, **run.parts)
    other.optimizer = make(other.model)
    other.schedule = LambdaLR(other.optimizer, Decay())
    with unchanged(other), pytest.raises(ValueError) as caught:
        load_checkpoint(path, **other.parts)
    assert "model" not in str(caught.value)
    for message in messages:
        assert re.search(message, str(caught.value)), str(caught.value)


def test_a_parameter_that_nothing_would_save(path: Path) -> None:
    run, other = Run(), Run(seed=77)
    strange = torch.optim.AdamW([*run.model.parameters(), nn.Parameter(torch.ones(2, 4))])
    with pytest.raises(ValueError, match=r"optimizer steps a parameter of shape \(2, 4\) that is not in model"):
        save_checkpoint(path, model=run.model, optimizer=strange)
    assert os.listdir(path.parent) == []
    save_checkpoint(path, model=run.model, optimizer=run.optimizer)
    with unchanged(other), pytest.raises(ValueError, match=r"optimizer steps a parameter of shape \(7, 5\)"):
        load_checkpoint(path, model=other.model, optimizer=run.optimizer)


def test_another_schedule(path: Path) -> None:
    run, other = Run(), Run(seed=77)
    save_checkpoint(path, **run.parts)
    other.schedule = StepLR(other.optimizer, 3)  # type: ignore[assignment]
    with unchanged(other), pytest.raises(ValueError, match="schedule: LambdaLR in the file, StepLR here"):
        load_checkpoint(path, **other.parts)


def test_a_wider_model_names_what_differs_and_stops_at_ten(path: Path) -> None:
    run, other = Run(), Run(width=6)
    save_checkpoint(path, **run.parts)
    with unchanged(other), pytest.raises(ValueError, match=rf"model 4.weight: {DTYPE} \(3, 7\) in") as caught:
        load_checkpoint(path, **other.parts)
    assert "4.bias" not in str(caught.value) and len(str(caught.value).splitlines()) == 1 + 7
    deep = [nn.Sequential(*[nn.Linear(2, width) for _ in range(6)]) for width in (3, 4)]
    save_checkpoint(path, model=deep[0])
    with pytest.raises(ValueError, match=r"and 2 more$") as caught:
        load_checkpoint(path, model=deep[1])
    assert len(str(caught.value).splitlines()) == 1 + 10 + 1


def test_other_generators(path: Path, device: torch.device) -> None:
    run, other = Run(), Run(seed=77)
    save_checkpoint(path, **run.parts)
    with unchanged(other), pytest.raises(ValueError, match=r"generator order: on cpu in the file, nothing here"):
        load_checkpoint(path, **other.parts | {"generators": {"other": other.other}})
    fake = SimpleNamespace(device=torch.device("meta"))
    with unchanged(other), pytest.raises(ValueError, match=r"generator order: on cpu in the file, on meta here"):
        load_checkpoint(path, **other.parts | {"generators": {"order": fake, "other": other.other}})


def test_no_generators_are_the_same_as_an_empty_dict(path: Path) -> None:
    save_checkpoint(path, model=nn.Identity(), generators={})
    assert load_checkpoint(path, model=nn.Identity()) == {}


class Fitted(nn.Module):
    """A transform that has no buffers before it is fitted, and loads a saved fit all the same."""

    mean: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        if prefix + "mean" in state and self.mean is None:
            self.mean = torch.empty_like(state[prefix + "mean"])
        super()._load_from_state_dict(state, prefix, *rest)


def test_a_transform_that_is_not_fitted_loads_a_saved_fit(path: Path) -> None:
    model, fresh = nn.Sequential(Fitted(), nn.Linear(3, 2)), nn.Sequential(Fitted(), nn.Linear(3, 2))
    model[0].mean = torch.tensor([1.0, 2.0, 3.0])
    save_checkpoint(path, model=model)
    other = nn.Sequential(Fitted(), nn.Linear(3, 4))
    with pytest.raises(ValueError, match=rf"model 1.weight: {DTYPE} \(2, 3\) in the file"):
        load_checkpoint(path, model=other)
    assert other[0].mean is None
    load_checkpoint(path, model=fresh)
    assert bits(fresh.state_dict()) == bits(model.state_dict())
    save_checkpoint(path, model=nn.Sequential(Fitted(), nn.Linear(3, 2)))
    with pytest.raises(ValueError, match=rf"model 0.mean: nothing in the file, {DTYPE} \(3,\) here"):
        load_checkpoint(path, model=fresh)
    unfitted = nn.Sequential(Fitted(), nn.Linear(3, 2))
    load_checkpoint(path, model=unfitted)
    assert unfitted[0].mean is None


def test_a_pca_that_is_not_fitted_loads_a_saved_fit(path: Path) -> None:
    x = torch.randn(11, 6, generator=torch.Generator().manual_seed(4))
    model, fresh = nn.Sequential(PCA(2).fit(x), nn.Linear(2, 3)), nn.Sequential(PCA(2), nn.Linear(2, 3))
    save_checkpoint(path, model=model)
    load_checkpoint(path, model=fresh)
    assert bits(fresh.state_dict()) == bits(model.state_dict()) and torch.equal(fresh(x), model(x))
    empty, other = PCA(2), nn.Identity()
    other.register_buffer("mean", torch.zeros(0))
    for name in ("components", "explained_variance", "explained_variance_ratio"):
        other.register_buffer(name, getattr(model[0], name).clone())
    save_checkpoint(path, model=model[0])
    with pytest.raises(ValueError, match=r"(?s)does not fit: .*size mismatch for mean"):  # no loader that makes room
        load_checkpoint(path, model=other)
    load_checkpoint(path, model=empty)
    assert torch.equal(empty(x), model[0](x))


# --- random states of an accelerator -------------------------------------------------------------------------------


class FakeAccelerator:
    """What torch.cuda and torch.mps have in common, with two devices (or as many as asked for)."""

    def __init__(self, devices: int = 2, awake: bool = True) -> None:
        self.states = [torch.full((4,), index, dtype=torch.uint8) for index in range(devices)]
        self.is_initialized = lambda: awake

    def device_count(self) -> int:
        return len(self.states)

    def get_rng_state(self, index: int) -> Tensor:
        assert getattr(self, "is_initialized", lambda: True)()
        return self.states[index].clone()

    def set_rng_state(self, state: Tensor, index: int) -> None:
        assert state.device.type == "cpu"
        self.states[index] = state


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(module: Any, name: str | None = "xpu") -> Any:
        device = torch.device(name) if name else None
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: device)
        monkeypatch.setattr(torch, "get_device_module", lambda device: module)
        return module

    return install


def resumed() -> dict[str, Any]:
    """The least that makes a run go on: without generators the random states would stay as they are."""
    return {"model": nn.Identity(), "generators": {"order": torch.Generator()}}


def values(module: FakeAccelerator) -> list[int]:
    return [int(state[0]) for state in module.states]


def test_the_states_of_all_its_devices_come_back(path: Path, accelerator: Any) -> None:
    module = accelerator(FakeAccelerator())
    save_checkpoint(path, **resumed())
    module.states = [torch.full((4,), 9, dtype=torch.uint8)] * 2
    load_checkpoint(path, **resumed())
    assert values(module) == [0, 1]
    with checkpoint.random_states_kept():
        module.states[1] = torch.full((4,), 9, dtype=torch.uint8)
    assert values(module) == [0, 1]


@pytest.mark.parametrize("devices, expected", [(1, [5]), (3, [5, 6, 2])])
def test_fewer_or_more_devices_than_saved(path: Path, accelerator: Any, devices: int, expected: list[int]) -> None:
    module = accelerator(FakeAccelerator())
    module.states = [torch.full((4,), value, dtype=torch.uint8) for value in (5, 6)]
    save_checkpoint(path, **resumed())
    module = accelerator(FakeAccelerator(devices))
    load_checkpoint(path, **resumed())
    assert values(module) == expected


@pytest.mark.parametrize("bad, awake", [
    (torch.zeros(4), True), (torch.zeros(4), False), (None, False), (torch.zeros(1, 4).byte(), False),
    (torch.zeros(5).byte(), True),  # of one asleep the size is not asked for: that would wake it up
])  # fmt: skip
def test_a_damaged_state_of_an_accelerator_changes_nothing(path: Path, accelerator: Any, bad: Any, awake: bool) -> None:
    module = accelerator(FakeAccelerator())
    run, other = Run(), Run(seed=77)
    save_checkpoint(path, **run.parts)
    content = torch.load(path)
    content["random"]["xpu"][1] = bad
    torch.save(content, path)
    module.is_initialized = lambda: awake
    with unchanged(other), pytest.raises(ValueError, match=r"run\.pt: random\['xpu'\]\[1\] is damaged: "):
        load_checkpoint(path, **other.parts)
    assert values(module) == [0, 1]


def test_another_accelerator_or_none_is_left_alone(path: Path, accelerator: Any) -> None:
    accelerator(FakeAccelerator())
    save_checkpoint(path, **resumed())
    module = accelerator(FakeAccelerator(3), name="mps")
    load_checkpoint(path, **resumed())
    assert values(module) == [0, 1, 2]
    accelerator(SimpleNamespace())  # one that cannot draw
    load_checkpoint(path, **resumed())
    accelerator(module, name=None)
    load_checkpoint(path, **resumed())
    assert values(module) == [0, 1, 2]


def test_an_accelerator_that_nobody_uses_is_not_woken_up(path: Path, accelerator: Any) -> None:
    accelerator(FakeAccelerator(awake=False))
    save_checkpoint(path, model=nn.Identity())
    assert torch.load(path)["random"].keys() == {"cpu"}
    del (module := FakeAccelerator()).is_initialized  # torch.mps has no such function
    accelerator(module)
    save_checkpoint(path, model=nn.Identity())
    assert torch.load(path)["random"].keys() == {"cpu", "xpu"}
