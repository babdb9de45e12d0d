"""Ten thousand broken files: the checked reader gives the right tensors or a clear error, and never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from tests.data import tiny_mnist as tiny
from tricks_lib.data import mnist_files
from tricks_lib.data.datasets import fetch_mnist, read_idx

CASES = 10_000
CODES = {8: (">u1", 1), 9: (">i1", 1), 11: (">i2", 2), 12: (">i4", 4), 13: (">f4", 4), 14: (">f8", 8)}


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def flip_header(data: bytes, rng: random.Random) -> bytes:
    return flip_bits(data[:16], rng) + data[16:]


def insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 9)) + data[at:]


def remove(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 9) :]


def overwrite(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return (data[:at] + rng.randbytes(rng.randint(1, 9)) + data[at:])[: len(data)]


def replace(data: bytes, rng: random.Random) -> bytes:
    start = rng.choice([b"", b"\0\0", b"\0\0\x08\x01", b"\x1f\x8b", b"\x1f\x8b\x08\0"])
    return start + rng.randbytes(rng.randint(0, 300))


def twice(data: bytes, rng: random.Random) -> bytes:
    return data + data


def same(data: bytes, rng: random.Random) -> bytes:
    return data


MUTATIONS = [truncate, flip_bits, flip_header, insert, remove, overwrite, replace, twice, same]


def broken(data: bytes, rng: random.Random) -> bytes:
    """Break data once or twice."""
    out = rng.choice(MUTATIONS)(data, rng)
    return rng.choice(MUTATIONS)(out, rng) if out and rng.random() < 0.3 else out


def test_the_checked_reader_is_right_or_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_files, "FILES", tiny.FILES)
    right = fetch_mnist(tiny.write(tmp_path / "whole"), download=False)
    rng = random.Random(2)
    folder = tmp_path / "mnist"
    tiny.write(folder)
    outcomes = {"right": 0, "OSError": 0}
    for case in range(CASES):
        name, packed = rng.choice(list(tiny.RAW)), case % 2 == 0
        path = folder / f"{name}{'.gz' if packed else ''}"
        (folder / name).unlink()
        path.write_bytes(broken(tiny.GZ[name] if packed else tiny.RAW[name], rng))
        try:
            data = fetch_mnist(folder, download=False)
        except OSError as fault:
            outcomes["OSError"] += 1
            assert f"missing: {name}. Tried" in str(fault)
            assert f"{path}: " in str(fault)
        else:
            outcomes["right"] += 1
            assert all(torch.equal(a, b) for a, b in zip(data, right, strict=True))
        path.unlink()
        (folder / name).write_bytes(tiny.RAW[name])
    print(outcomes)
    assert sum(outcomes.values()) == CASES
    assert outcomes["right"] > CASES // 20 and outcomes["OSError"] > CASES // 2


def valid(data: bytes) -> bool:
    """Say whether data are an IDX file, by a parser of our own."""
    if len(data) < 4 or data[0] or data[1] or data[2] not in CODES or not 1 <= data[3] <= 32:
        return False
    if len(data) < 4 + 4 * data[3]:
        return False
    need, product = CODES[data[2]][1], 1
    for k in range(data[3]):
        size = int.from_bytes(data[4 + 4 * k : 8 + 4 * k], "big")
        need, product = need * size, product * max(size, 1)
    return len(data) == 4 + 4 * data[3] + need and product * CODES[data[2]][1] < 2**63


def test_the_idx_reader_loses_nothing_and_refuses_what_is_not_idx() -> None:
    rng = random.Random(3)
    outcomes = {"tensor": 0, "ValueError": 0}
    for _ in range(CASES):
        kind = rng.choice(list(CODES))
        shape = tuple(rng.randint(0, 4) for _ in range(rng.randint(1, 4)))
        count = 1
        for size in shape:
            count *= size
        data = broken(tiny.idx(kind, shape, rng.randbytes(count * CODES[kind][1])), rng)
        try:
            x = read_idx(data)
        except ValueError as fault:
            outcomes["ValueError"] += 1
            assert not valid(data)
            assert str(fault).startswith("data")
        else:
            outcomes["tensor"] += 1
            assert valid(data)
            again = x.numpy().astype(CODES[data[2]][0]).tobytes()
            assert tiny.idx(data[2], tuple(x.shape), again) == data
    print(outcomes)
    assert sum(outcomes.values()) == CASES
    assert min(outcomes.values()) > CASES // 10
