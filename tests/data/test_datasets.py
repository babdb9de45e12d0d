"""The data sets in the package, the reader of full MNIST, the IDX format, and splits."""

from __future__ import annotations

import copy
import hashlib
import itertools
import math
import pickle
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from tests.data import tiny_mnist as tiny
from tricks_lib.data import mnist_files
from tricks_lib.data.datasets import (
    ImageData,
    fetch_mnist,
    load_digits8,
    load_mnist_small,
    load_sonar,
    read_idx,
    split,
)


def sha(x: torch.Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the data in the package -----------------------------------------------------------------------------------


def test_the_files_hold_the_arrays_that_their_readme_lists() -> None:
    folder = Path(sys.modules["tricks_lib.data.datasets"].__file__ or "").parent / "files"
    readme = (folder / "README.md").read_text()
    for file, count in (("mnist_small.npz", 5), ("digits8.npz", 2), ("sonar.npz", 2)):
        with np.load(folder / file) as arrays:
            assert len(arrays) == count
            for name, array in arrays.items():
                digest = hashlib.sha256(array.tobytes()).hexdigest()
                row = f"| `{name}` | {' x '.join(map(str, array.shape))} | {array.dtype}"
                assert any(row in line and f"`{digest}`" in line for line in readme.splitlines()), row


def test_the_small_mnist_has_the_right_digits() -> None:
    data = load_mnist_small()
    assert isinstance(data, ImageData)
    assert [tuple(t.shape) for t in data] == [(5000, 1, 28, 28), (5000,), (10000, 1, 28, 28), (10000,)]
    assert [t.dtype for t in data] == [torch.uint8, torch.int64] * 2
    assert sha(data.x_train) == "fe57609667d7a8b640987a51018781e61c7b264afff6868ef379b0c87cb9335c"
    assert sha(data.x_test) == "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"
    assert data.y_train.bincount().tolist() == [500] * 10
    assert data.y_test.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.y_train[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert data.y_test[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]


def test_the_test_digits_are_the_official_ones_in_the_official_order() -> None:
    data = load_mnist_small()
    images = tiny.idx(8, (10000, 28, 28), data.x_test.numpy().tobytes())
    labels = tiny.idx(8, (10000,), data.y_test.byte().numpy().tobytes())
    for name, raw in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == mnist_files.FILES[name]


def test_the_training_digits_are_the_first_500_of_each_class() -> None:
    folder = Path(sys.modules["tricks_lib.data.datasets"].__file__ or "").parent / "files"
    with np.load(folder / "mnist_small.npz") as arrays:
        index, y = arrays["train_index"], arrays["y_train"]
    assert (np.diff(index) > 0).all()
    assert (index[0], index[-1]) == (0, 5847)
    early = [index[y == digit][-1] for digit in range(10)]  # the 500th of each class
    for position in set(range(5848)) - set(index.tolist()):  # what was left out comes after some class was full
        assert position > min(early)


def test_half_size_is_the_mean_over_two_by_two_pixels() -> None:
    full, half = load_mnist_small(), load_mnist_small(side=14)
    assert tuple(half.x_train.shape) == (5000, 1, 14, 14)
    assert tuple(half.x_test.shape) == (10000, 1, 14, 14)
    assert half.x_train.dtype == half.x_test.dtype == torch.float32
    assert torch.equal(half.y_train, full.y_train) and torch.equal(half.y_test, full.y_test)
    for part in ("x_train", "x_test"):
        large, small = getattr(full, part), getattr(half, part)
        for n, row, column in itertools.product((0, 17, 4999), range(14), range(14)):
            block = [int(large[n, 0, 2 * row + i, 2 * column + j]) for i in (0, 1) for j in (0, 1)]
            assert small[n, 0, row, column].item() == sum(block) / 4
        blocks = large.double().unfold(2, 2, 2).unfold(3, 2, 2)  # (N, 1, 14, 14, 2, 2)
        assert torch.equal(small.double(), blocks.mean(dim=(4, 5)))


@pytest.mark.parametrize("side", [7, 0, -28, 28.5, "28", None])
def test_other_sides_are_refused(side: object) -> None:
    with pytest.raises(ValueError, match=f"side must be 28 or 14, got {side!r}"):
        load_mnist_small(side=side)  # type: ignore[arg-type]


def test_the_8_by_8_digits_are_those_of_scikit_learn() -> None:
    x, y = load_digits8()
    theirs = load_digits()
    assert tuple(x.shape) == (1797, 1, 8, 8) and x.dtype == torch.uint8
    assert tuple(y.shape) == (1797,) and y.dtype == torch.int64
    assert np.array_equal(x[:, 0].numpy(), theirs.images)
    assert np.array_equal(y.numpy(), theirs.target)
    assert sha(x) == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    assert y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_sonar_echoes_are_byte_for_byte_the_file_of_uci() -> None:
    x, y = load_sonar()
    assert tuple(x.shape) == (208, 60) and x.dtype == torch.float64
    assert tuple(y.shape) == (208,) and y.dtype == torch.int64
    assert y.tolist() == [0] * 97 + [1] * 111
    rows = [",".join(f"{number:.4f}" for number in row) for row in x.tolist()]
    table = "".join(f"{row},{'RM'[label]}\n" for row, label in zip(rows, y.tolist(), strict=True))
    published = "e90434cdbf00fcf93ffa911fe447ae25606979658e60f1d32e155c3b5240234d"  # of sonar.all-data
    assert hashlib.sha256(table.encode()).hexdigest() == published
    assert x.tolist() == [[float(number) for number in row.split(",")] for row in rows]  # no digit beyond


@pytest.mark.parametrize("load", [load_mnist_small, lambda: load_mnist_small(side=14), load_digits8, load_sonar])
def test_what_a_caller_does_to_the_tensors_does_not_reach_the_next_call(load) -> None:
    first = [t.clone() for t in load()]
    for t in load():
        t.fill_(3)
    assert all(torch.equal(a, b) for a, b in zip(first, load(), strict=True))


@pytest.mark.parametrize("load", [load_mnist_small, load_digits8, load_sonar])
def test_loading_needs_no_network_and_no_random_numbers(
    load, monkeypatch: pytest.MonkeyPatch, global_rng_untouched: None
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    load()


def test_importing_loads_no_plotting_and_no_learning_library() -> None:
    code = (
        "import sys; from tricks_lib.data.datasets import load_digits8; load_digits8(); "
        "print(*{'scipy', 'matplotlib', 'sklearn', 'pandas', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tiny.ROOT)
    assert done.stdout.split() == []


def test_image_data_can_be_copied_and_pickled() -> None:
    data = ImageData(*(torch.full((n + 2, 1), n) for n in range(4)))
    for other in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert isinstance(other, ImageData)
        assert all(torch.equal(a, b) for a, b in zip(data, other, strict=True))
        assert other.x_train is not data.x_train
    assert ImageData._fields == ("x_train", "y_train", "x_test", "y_test")


# --- full MNIST (the routes are tested in test_mnist_files) ----------------------------------------------------


def test_full_mnist_is_read_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_files, "FILES", tiny.FILES)
    tiny.write(tmp_path, packed=True)
    data = fetch_mnist(tmp_path, download=False)
    assert isinstance(data, ImageData)
    assert [tuple(t.shape) for t in data] == [(7, 1, 5, 4), (7,), (3, 1, 5, 4), (3,)]
    assert [t.dtype for t in data] == [torch.uint8, torch.int64] * 2
    assert data.y_train.tolist() == [5, 0, 4, 1, 9, 2, 1]
    assert data.y_test.tolist() == [7, 2, 1]
    for x, start in ((data.x_train, 3), (data.x_test, 11)):
        for place, value in enumerate(x.flatten().tolist()):
            assert value == (start + 37 * place) % 256
    data.x_train.zero_()
    assert fetch_mnist(str(tmp_path)).x_train.any()


def test_full_mnist_downloads_unless_told_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_files, "FILES", tiny.FILES)
    monkeypatch.setenv("no_proxy", "*")
    with tiny.serve(tiny.good) as (mirror, asked):
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror,))
        with pytest.raises(OSError, match="MNIST could not be had"):
            fetch_mnist(tmp_path, download=False)
        assert asked == []
        assert fetch_mnist(tmp_path).y_test.tolist() == [7, 2, 1]
    assert sorted(tiny.listing(tmp_path)) == sorted(tiny.RAW)


# --- the IDX format --------------------------------------------------------------------------------------------

TYPES = {8: (">u1", 1), 9: (">i1", 1), 11: (">i2", 2), 12: (">i4", 4), 13: (">f4", 4), 14: (">f8", 8)}


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (0x08, b"\x00\x7f\x80\xff", torch.tensor([0, 127, 128, 255], dtype=torch.uint8)),
        (0x09, b"\x00\x7f\x80\xff", torch.tensor([0, 127, -128, -1], dtype=torch.int8)),
        (0x0B, b"\x01\x02\xff\xfe", torch.tensor([258, -2], dtype=torch.int16)),
        (0x0C, b"\x00\x01\x00\x02\xff\xff\xff\xfe", torch.tensor([65538, -2], dtype=torch.int32)),
        (0x0D, b"\x3f\x80\x00\x00\xc0\x20\x00\x00", torch.tensor([1.0, -2.5], dtype=torch.float32)),
        (0x0E, b"\x3f\xf8" + bytes(6) + b"\xbf\xf0" + bytes(6), torch.tensor([1.5, -1.0], dtype=torch.float64)),
    ],
)
def test_idx_numbers_of_each_type(kind: int, body: bytes, expected: torch.Tensor) -> None:
    x = read_idx(tiny.idx(kind, (len(expected),), body))
    assert x.dtype == expected.dtype
    assert torch.equal(x, expected)


def test_idx_places_the_last_dimension_fastest() -> None:
    shape = (2, 3, 4, 5)
    x = read_idx(tiny.idx(8, shape, bytes(range(120))))
    for place, index in enumerate(itertools.product(*map(range, shape))):
        assert x[index].item() == place


@settings(max_examples=100)
@given(st.sampled_from(sorted(TYPES)), st.lists(st.integers(0, 5), min_size=1, max_size=5), st.randoms())
def test_idx_round_trip(kind: int, shape: list[int], random) -> None:
    code, width = TYPES[kind]
    data = tiny.idx(kind, tuple(shape), random.randbytes(math.prod(shape) * width))
    x = read_idx(bytearray(data))
    assert list(x.shape) == shape
    assert tiny.idx(kind, tuple(x.shape), x.numpy().astype(code).tobytes()) == data


def test_idx_gives_a_tensor_of_its_own() -> None:
    data = bytearray(tiny.idx(8, (3,), b"abc"))
    x = read_idx(data)
    x[0] = 0
    data[-1] = 0
    assert bytes(data[-3:]) == b"ab\0" and x.tolist() == [0, 98, 99]


GOOD = tiny.idx(8, (2, 3), bytes(6))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"must begin with two zero bytes, type and count, found b''"),
        (GOOD[:3], r"must begin with two zero bytes, type and count, found b'\\x00\\x00\\x08'"),
        (b"\1" + GOOD[1:], r"two zero bytes, type and count, found b'\\x01\\x00\\x08\\x02'"),
        (b"\0\1" + GOOD[2:], r"two zero bytes, type and count, found b'\\x00\\x01\\x08\\x02'"),
        (b"\0\0\x0a" + GOOD[3:], r"type must be one of 0x8, 0x9, 0xb, 0xc, 0xd, 0xe, found 0xa"),
        (b"\0\0\x08\0" + GOOD[4:], r"number of dimensions must be in 1..32, found 0"),
        (b"\0\0\x08\x21" + bytes(200), r"number of dimensions must be in 1..32, found 33"),
        (GOOD[:11], r"2 sizes need 12 bytes, found 11"),
        (GOOD[:-1], r"sizes \[2, 3\] of uint8 need 18 bytes in all, found 17"),
        (GOOD + b"x", r"sizes \[2, 3\] of uint8 need 18 bytes in all, found 19"),
        (b"\0\0\x0e" + GOOD[3:], r"sizes \[2, 3\] of float64 need 60 bytes in all, found 18"),
        (tiny.idx(8, (2**32 - 1,) * 3, b"x"), r"need 79228162458924105385300197391 bytes in all, found 17"),
        (tiny.idx(8, (0, *(2**32 - 1,) * 3), b""), r"sizes \[0, 4294967295, .*\] are too large"),
        (tiny.GZ["t10k-labels-idx1-ubyte"], r"data must be uncompressed IDX, found gzip"),
    ],
)
def test_idx_says_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_idx(data)


@pytest.mark.parametrize("data", ["train-images", None, memoryview(GOOD), torch.zeros(3)])
def test_idx_wants_bytes(data: object) -> None:
    with pytest.raises(TypeError, match=f"data must be bytes, got {type(data).__name__}"):
        read_idx(data)  # type: ignore[arg-type]


def test_idx_reads_as_many_dimensions_as_it_says() -> None:
    assert tuple(read_idx(tiny.idx(8, (1,) * 32, b"x")).shape) == (1,) * 32


# --- splits ----------------------------------------------------------------------------------------------------

labels_and_sizes = st.lists(st.integers(-2, 5), max_size=60).flatmap(
    lambda labels: st.tuples(
        st.just(labels), st.lists(st.integers(0, len(labels)), max_size=6).filter(lambda s: sum(s) <= len(labels))
    )
)


def test_without_labels_the_parts_are_pieces_of_one_permutation(global_rng_untouched: None) -> None:
    order = torch.randperm(23, generator=seeded(4))
    parts = split(23, [5, 0, 11], generator=seeded(4))
    assert [len(part) for part in parts] == [5, 0, 11]
    assert all(part.dtype == torch.int64 for part in parts)
    assert torch.equal(torch.cat(parts), order[:16])


def test_the_generator_moves_on_and_repeats() -> None:
    generator, y = seeded(5), torch.arange(40) % 3
    first, second = (split(40, [0.5, 0.25], generator=generator, stratify=y) for _ in range(2))
    assert not torch.equal(first[0], second[0])
    again = split(40, [0.5, 0.25], generator=seeded(5), stratify=y)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@settings(max_examples=300)
@given(labels_and_sizes, st.integers(0, 2**32))
def test_parts_are_disjoint_of_the_right_length_and_keep_the_shares(
    drawn: tuple[list[int], list[int]], seed: int
) -> None:
    labels, sizes = drawn
    n, y = len(labels), torch.tensor(labels, dtype=torch.int64)
    before = y.clone()
    parts = split(n, sizes, generator=seeded(seed), stratify=y)
    assert [len(part) for part in parts] == sizes
    everything = torch.cat([*parts, torch.empty(0, dtype=torch.int64)]).tolist()
    assert len(set(everything)) == sum(sizes)
    assert set(everything) <= set(range(n))
    rest = [i for i in range(n) if i not in set(everything)]
    for part in [*(part.tolist() for part in parts), rest]:
        for label in set(labels):
            share = Fraction(labels.count(label) * len(part), n)
            assert abs(sum(labels[i] == label for i in part) - share) < 1
    assert torch.equal(y, before)


def test_shares_are_kept_where_rounding_one_part_after_the_other_would_not() -> None:
    y = torch.tensor([0] * 1 + [1] * 3 + [2] * 3 + [3] * 3)  # largest remainders alone lead to a dead end here
    for sizes in itertools.product(range(5), repeat=3):
        if sum(sizes) > 10:
            continue
        parts = split(10, sizes, generator=seeded(0), stratify=y)
        table = torch.stack([y[part].bincount(minlength=4) for part in parts])
        assert table.sum(1).tolist() == list(sizes)
        shares = torch.outer(torch.tensor(sizes), torch.tensor([1, 3, 3, 3])).double() / 10
        assert ((table >= shares.floor()) & (table <= shares.ceil())).all()


@settings(max_examples=200)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 320))
def test_one_part_is_rounded_by_largest_remainder(counts: list[int], size: int) -> None:
    n = sum(counts)
    size = min(size, n)
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    (part,) = split(n, [size], generator=seeded(1), stratify=y)
    got = y[part].bincount(minlength=len(counts)).tolist()
    shares = [Fraction(count * size, n) for count in counts]
    up = [share - math.floor(share) for share, k in zip(shares, got, strict=True) if k > share]
    down = [share - math.floor(share) for share, k in zip(shares, got, strict=True) if k < share]
    assert min(up, default=Fraction(1)) >= max(down, default=Fraction(0))


@pytest.mark.parametrize(
    ("n", "fractions", "lengths"),
    [
        (10, [0.8, 0.2], [8, 2]),
        (10, [0.25, 0.25], [3, 2]),
        (7, [1 / 3, 1 / 3, 1 / 3], [3, 2, 2]),
        (10, [0.12, 0.33, 0.55], [1, 3, 6]),  # 1.2, 3.3, 5.5: the last part has the largest remainder
        (10, [0.21, 0.47, 0.18], [2, 5, 2]),  # 2.1, 4.7, 1.8: 9 in all, so that the last two go up
        (100, [0.29, 0.5], [29, 50]),
        (5, [0.7, 0.2, 0.1], [4, 1, 0]),
        (3, [0.5, 0.5], [2, 1]),
        (11, [0.0, 1.0], [0, 11]),
        (0, [0.5, 0.5], [0, 0]),
        (10, [0.1] * 10, [1] * 10),
        (9, [0.1], [1]),
        (4, [0.1], [0]),
        (6, [], []),
    ],
)
def test_fractions_are_rounded_to_the_right_total(n: int, fractions: list[float], lengths: list[int]) -> None:
    assert [len(part) for part in split(n, fractions, generator=seeded(0))] == lengths


@settings(max_examples=200)
@given(st.integers(0, 300), st.lists(st.floats(0, 1), max_size=6))
def test_fractions_are_kept_within_one(n: int, weights: list[float]) -> None:
    total = max(sum(weights), 1.0)
    fractions = [weight / total for weight in weights]
    lengths = [len(part) for part in split(n, fractions, generator=seeded(0))]
    assert sum(lengths) == round(n * math.fsum(fractions)) <= n
    assert all(abs(length - n * fraction) < 1 + 1e-9 for length, fraction in zip(lengths, fractions, strict=True))


def test_fractions_and_labels_together_give_what_their_lengths_give() -> None:
    y = torch.arange(30) % 4
    by_fraction = split(30, [0.5, 0.3], generator=seeded(6), stratify=y)
    by_length = split(30, [15, 9], generator=seeded(6), stratify=y)
    assert all(torch.equal(a, b) for a, b in zip(by_fraction, by_length, strict=True))


def test_every_pair_is_as_likely_and_a_part_is_in_random_order() -> None:
    generator, y = seeded(7), torch.tensor([True, True, True, False, False])
    draws = 3000
    met: dict[tuple[int, ...], int] = {}
    for _ in range(draws):
        (part,) = split(5, [2], generator=generator, stratify=y)
        key = tuple(part.tolist())
        met[key] = met.get(key, 0) + 1
    pairs = [pair for a, b in itertools.product((0, 1, 2), (3, 4)) for pair in ((a, b), (b, a))]
    assert set(met) <= set(pairs)
    for pair in pairs:  # 12 ordered pairs; five standard deviations
        assert abs(met.get(pair, 0) - draws / 12) < 5 * math.sqrt(draws / 12 * 11 / 12)


def test_labels_may_live_on_another_device(device: torch.device) -> None:
    y = torch.arange(24) % 5
    generator = seeded(8) if device.type != "cuda" else torch.Generator(device).manual_seed(8)
    parts = split(24, [7, 10], generator=generator, stratify=y.to(device))
    assert all(part.device.type == "cpu" for part in parts)
    assert sorted({*parts[0].tolist(), *parts[1].tolist()}) == sorted(torch.cat(parts).tolist())
    if device.type != "cuda":
        expected = split(24, [7, 10], generator=seeded(8), stratify=y)
        assert all(torch.equal(a, b) for a, b in zip(parts, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32])
def test_labels_may_be_any_integers(dtype: torch.dtype) -> None:
    y = torch.arange(20) % 2
    expected = split(20, [6], generator=seeded(2), stratify=y)
    assert torch.equal(split(20, [6], generator=seeded(2), stratify=y.to(dtype))[0], expected[0])


def test_many_classes_do_not_take_long() -> None:
    y = torch.arange(3000) % 1000
    parts = split(3000, [1000, 1000, 1000], generator=seeded(3), stratify=y)
    assert all(y[part].bincount().tolist() == [1] * 1000 for part in parts)


G = torch.Generator()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((10.0, [3]), {}, TypeError, "n must be an int, got 10.0"),
        ((True, [1]), {}, TypeError, "n must be an int, got True"),
        ((-1, [0]), {}, ValueError, "n must not be negative, got -1"),
        ((10, 0.2), {}, TypeError, "sizes must be a sequence of int or of float, got 0.2"),
        ((10, "ab"), {}, TypeError, r"sizes must be all int or all float, got \['a', 'b'\]"),
        ((10, [1, 0.5]), {}, TypeError, r"sizes must be all int or all float, got \[1, 0.5\]"),
        ((10, [True]), {}, TypeError, r"sizes must be all int or all float, got \[True\]"),
        ((10, [2, -1]), {}, ValueError, r"sizes must not be negative, got \[2, -1\]"),
        ((10, [0.2, -0.1]), {}, ValueError, r"sizes must not be negative, got \[0.2, -0.1\]"),
        ((10, [math.nan]), {}, ValueError, r"sizes must not be negative, got \[nan\]"),
        ((10, [8, 3]), {}, ValueError, r"sizes must sum to at most 10, got \[8, 3\]"),
        ((10, [0.8, 0.3]), {}, ValueError, r"sizes must sum to at most 1, got \[0.8, 0.3\]"),
        ((10, [math.inf]), {}, ValueError, r"sizes must sum to at most 1, got \[inf\]"),
        ((10, [3]), {"generator": None}, TypeError, "generator must be a torch.Generator, got None"),
        ((10, [3]), {"generator": 7}, TypeError, "generator must be a torch.Generator, got 7"),
        ((10, [3]), {"stratify": [0] * 10}, TypeError, "stratify must be a tensor of labels, got list"),
        ((10, [3]), {"stratify": torch.zeros(10).float()}, TypeError, "must hold integers or bools, got torch.float32"),
        ((10, [3]), {"stratify": torch.arange(9)}, ValueError, r"must have shape \(10,\), got \(9,\)"),
        ((10, [3]), {"stratify": torch.ones(10, 1).int()}, ValueError, r"shape \(10,\), got \(10, 1\)"),
    ],
)
def test_bad_arguments_are_named(arguments, options, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        split(*arguments, **{"generator": G, **options})


def test_the_generator_is_required() -> None:
    with pytest.raises(TypeError, match="generator"):
        split(10, [3])  # type: ignore[call-arg]
