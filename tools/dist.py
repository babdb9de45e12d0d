"""Wheel and source archive of the last commit, the same bytes wherever and whenever they are built.

python -m tools.dist     write both to dist/

They are built from what is committed, away from the work tree, where setuptools would take along what it left there.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EPOCH = 1_700_000_000  # 2023-11-14, where no commit gives a date
NAMES = ("tricks_lib", "pyproject.toml", "README.md", "LICENSE")


def main() -> None:
    epoch = int(subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT))
    archive = subprocess.check_output(["git", "archive", "HEAD", "--", *NAMES], cwd=ROOT)
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as source:
        with tarfile.open(fileobj=io.BytesIO(archive)) as committed:
            committed.extractall(source, filter="data")
        for path in build(Path(source), out, epoch):
            print(hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(ROOT))


def from_tree(out: Path) -> Path:
    """Build both from the work tree, as it stands, into ``out``; return it."""
    with tempfile.TemporaryDirectory() as source:
        build(copy(Path(source)), out, EPOCH)
    return out


def copy(to: Path) -> Path:
    """Copy what is built from the work tree, as it stands, for a look at what a build of it would be."""
    shutil.copytree(ROOT / NAMES[0], to / NAMES[0], ignore=shutil.ignore_patterns("__pycache__"))
    for name in NAMES[1:]:
        shutil.copy(ROOT / name, to / name)
    return to


def build(source: Path, out: Path, epoch: int) -> list[Path]:
    """Build both from the folder ``source``, dated ``epoch`` (seconds since 1970); return their paths."""
    for path in [source, *source.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)  # both archives keep the modes
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(source)]
    subprocess.run(command, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}, umask=0o022, check=True)
    (archive,) = out.glob("*.tar.gz")
    settle(archive, epoch)
    return sorted(out.iterdir())


def settle(path: Path, epoch: int) -> None:
    """Date all members of a source archive: of the two, setuptools dates the wheel alone (its issue 2133)."""
    with tarfile.open(path) as archive:
        members = [(one, archive.extractfile(one)) for one in sorted(archive, key=lambda one: one.name)]
        contents = [(one, file.read() if file else b"") for one, file in members]
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=packed, mtime=epoch) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for one, content in contents:
            one.mtime, one.uid, one.gid, one.uname, one.gname, one.pax_headers = epoch, 0, 0, "", "", {}
            archive.addfile(one, io.BytesIO(content))
    path.write_bytes(packed.getvalue())


if __name__ == "__main__":
    main()
