"""The wheel that users install: complete, described, light, whole where nothing else is, and brought by notebooks."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement

import tricks_lib
from book._ext.book_notebooks import install
from tools import travel
from tools.dist import EPOCH, build, copy, from_tree, settle

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.xdist_group("package")

PROBE = """
import socket, sys
def refuse(*_, **__): raise OSError("no network here")
socket.socket.connect = refuse
import tricks_lib
bare = sorted({name.split(".")[0] for name in sys.modules} & {"torch", "scipy", "matplotlib", "sklearn", "numpy"})
import importlib, json, pkgutil
names = [m.name for m in pkgutil.walk_packages(tricks_lib.__path__, "tricks_lib.")]
for name in names:
    if not name.startswith("tricks_lib.plots"):
        importlib.import_module(name)
light = sorted({name.split(".")[0] for name in sys.modules} & {"scipy", "matplotlib", "sklearn"})
for name in names:
    importlib.import_module(name)
from tricks_lib.data.datasets import load_digits8, load_mnist_small
shapes = [list(load_mnist_small().x_test.shape), list(load_digits8()[0].shape)]
print(json.dumps({"file": tricks_lib.__file__, "names": names, "bare": bare, "light": light, "shapes": shapes}))
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of sdist and wheel: those of `make dist`, else built from the work tree."""
    if made := os.environ.get("TRICKS_DIST"):
        return ROOT / made
    out = tmp_path_factory.mktemp("dist")
    from_tree(out)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel and what it asks for."""
    python = travel.environment(tmp_path_factory.mktemp("empty") / "environment", travel.dependencies())
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", wheel)
    return python


def run_time_requirements(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        described = message_from_string(archive.read(name).decode())
    requirements = [Requirement(text) for text in described.get_all("Requires-Dist", [])]
    return {requirement.name for requirement in requirements if requirement.marker is None}


def test_twine_finds_nothing(dist: Path) -> None:
    assert run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir()).count("PASSED") == 2


def test_needs_five_packages(wheel: Path) -> None:
    assert run_time_requirements(wheel) == {"torch", "numpy", "scipy", "matplotlib", "tqdm"}


DATA_LICENSES = ("MNIST", "digits8", "Sonar", "GLOVE", "WordNet")


def test_metadata(metadata: Message) -> None:
    assert metadata["Version"] == tricks_lib.__version__
    assert metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0 AND CC-BY-4.0 AND PDDL-1.0 AND LicenseRef-WordNet"
    assert metadata["Requires-Python"] == ">=3.11"
    files = set(metadata.get_all("License-File", []))
    assert files == {"LICENSE", *(f"tricks_lib/data/files/LICENSE-{name}" for name in DATA_LICENSES)}


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "tricks_lib/py.typed",
        "tricks_lib/data/files/mnist_small.npz",
        "tricks_lib/data/files/digits8.npz",
        "tricks_lib/data/files/sonar.npz",
        "tricks_lib/data/files/glove50_10k_f16.npz",
        "tricks_lib/data/files/wordnet_glosses.txt.xz",
    } <= set(names)
    assert {name.split("/")[0] for name in names} == {
        "tricks_lib",
        f"tricks_lib-{tricks_lib.__version__}.dist-info",
    }
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tricks_lib").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_sdist_holds_what_it_is_built_from(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"pyproject.toml", "LICENSE", "tricks_lib/data/files/LICENSE-MNIST"} <= names


def test_two_builds_are_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        epoch = int(opened.getmembers()[0].mtime)
    source = copy(tmp_path / "longer" / "path")
    for path in source.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (0, 1_000_000_000))
    again = build(source, tmp_path / "out", epoch)
    assert [path.name for path in again] == sorted(path.name for path in dist.iterdir())
    assert [path.name for path in again if path.read_bytes() != (dist / path.name).read_bytes()] == []


def test_a_source_archive_forgets_who_made_it_and_when(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.tar.gz", "two.tar.gz")]
    for path, order in zip(paths, ("ab", "ba"), strict=True):
        with tarfile.open(path, "w:gz") as archive:
            for name in order:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.uname, member.uid = 3, 7 + len(archive.getnames()), path.stem, 5
                archive.addfile(member, io.BytesIO(name.encode() * 3))
        settle(path, EPOCH)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tarfile.open(paths[0]) as archive:
        assert [(one.name, one.mtime, one.uname, one.uid) for one in archive] == [
            ("a", EPOCH, "", 0),
            ("b", EPOCH, "", 0),
        ]
        assert archive.extractfile("b").read() == b"bbb"


def test_every_module_imports_in_an_empty_environment(empty_environment: Path, tmp_path: Path) -> None:
    said = json.loads(run(empty_environment, "-I", "-W", "error", "-c", PROBE, cwd=tmp_path).splitlines()[-1])
    assert not Path(said["file"]).is_relative_to(ROOT / "tricks_lib")
    assert {"tricks_lib.data.looking", "tricks_lib.learning.loop", "tricks_lib.experiment.claims"} <= set(said["names"])
    assert said["bare"] == [], "`import tricks_lib` should load nothing"
    assert said["light"] == [], "only the plots may load matplotlib, and nothing scipy, before it is needed"
    assert said["shapes"] == [[10_000, 1, 28, 28], [1797, 1, 8, 8]]
    run(empty_environment, "-m", "pip", "check")


AWAY = """
import os, pathlib, sys, sklearn, tricks_lib
assert pathlib.Path(tricks_lib.__file__).is_relative_to(sys.prefix), tricks_lib.__file__
assert os.listdir() == [], "the folder should be empty"
assert os.environ["TRICKS_STRICT"] == "1", "claims should be enforced"
assert not any(pathlib.Path(part, "constraints.txt").exists() for part in sys.path), sys.path
"""
FIRST = install(tricks_lib.__version__)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([FIRST, AWAY], ""),
        (["1 / 0"], "ZeroDivisionError"),
        ([FIRST.replace("==", "==9"), "import tricks_lib"], "No matching distribution found"),
        (["1 + 1"], "its first cell did not install the wheel"),
    ],
)
def test_a_notebook_travels_with_the_wheel_alone(wheel: Path, tmp_path: Path, cells: list[str], problem: str) -> None:
    path = tmp_path / "away.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), path)
    said = travel.travel(path, wheel, travel.elsewhere())
    assert problem in said and bool(problem) == bool(said), said


@pytest.mark.parametrize(("broken", "code"), [("", 0), ("two", 1)])
def test_the_tool_runs_what_it_is_told_and_fails_if_one_does(
    wheel: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: str,
    code: int,
) -> None:
    ran: list[tuple[str, list[Path]]] = []

    def fake(notebook: Path, built: Path, below: list[Path]) -> str:
        assert built == wheel
        ran.append((notebook.stem, below))
        return "it broke" if notebook.stem == broken else ""

    monkeypatch.setattr(travel, "OFFERED", tmp_path)
    monkeypatch.setattr(travel, "travel", fake)
    monkeypatch.setenv("TRICKS_DIST", str(wheel.parent))
    monkeypatch.setattr(travel, "elsewhere", lambda: [tmp_path])
    for name in ("one", "two"):
        (tmp_path / f"{name}.ipynb").touch()
    assert travel.main([]) == code
    assert travel.main(["two"]) == code
    assert ran == [("one", []), ("two", [tmp_path]), ("two", [tmp_path])]
    assert ("two, beside torch: 0 s FAILED\nit broke" in capsys.readouterr().out) == bool(broken)
    with pytest.raises(SystemExit, match=r"not there: .*three.ipynb. Name chapters like book/data/looking"):
        travel.main(["three"])


def test_the_text_of_a_chapter_opens_with_jupytext_alone(tmp_path: Path) -> None:
    text = shutil.copy(ROOT / "book/data/looking.md", tmp_path)
    run(sys.executable, "-m", "jupytext", "--to", "ipynb", text, cwd=tmp_path)
    made = nbformat.read(tmp_path / "looking.ipynb", as_version=4)
    assert made.metadata["kernelspec"]["name"] == "python3"
    assert made.cells[1].cell_type == "code" and made.cells[1].source.startswith("import torch")
