"""The wheel that users install: complete, described, light to import, and whole in an empty environment."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import tricks_lib
from tools.dist import build, copy, settle

ROOT = Path(__file__).resolve().parents[1]
EPOCH = 1_700_000_000  # 2023-11-14
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
    build(copy(tmp_path_factory.mktemp("source") / "project"), out, EPOCH)
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
def empty_environment(wheel: Path) -> Iterator[Path]:
    """An environment with nothing but the wheel and what it asks for; kept as long as its dependencies stay."""
    lock = (ROOT / "constraints.txt").read_bytes() + repr(sorted(run_time_requirements(wheel))).encode()
    folder = ROOT / "build" / f"environment-{hashlib.sha256(lock).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        run(*pip, "-c", ROOT / "constraints.txt", wheel)
        (folder / "complete").touch()
    run(*pip, "--no-deps", "--force-reinstall", wheel)
    yield python


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


def test_sdist_builds_the_same_package(dist: Path) -> None:
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
