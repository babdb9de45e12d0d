"""Seeds: hashed, different, stable, and apart by construction."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tricks_lib.experiment.seeding import seeds

STREAMS = ["tune", "data", "train"]
any_chapter = st.text(min_size=1, max_size=20).filter(str.strip)
any_base = st.integers(0, 2**70)


def hashed(base, chapter, stream, index):
    """30 bits of the hash, written independently: the last four bytes without their top two bits."""
    digest = hashlib.sha256(f"({base}, {chapter!r}, {stream!r}, {index})".encode()).digest()
    return int.from_bytes(digest[-4:], "big") & 0x3FFFFFFF


def test_these_numbers_never_change():
    assert seeds("data/looking", "tune", 2, base=0) == [hashed(0, "data/looking", "tune", i) for i in (0, 1)]
    assert seeds("data/looking", "train", 3, base=0) == [2203062920, 3123699634, 3053847505]
    assert seeds("model/dropout", "data", 2, base=7) == [1180854257, 1397363927]


@given(any_chapter, any_base, st.integers(1, 40))
def test_streams_own_the_top_bits_and_so_never_meet(chapter, base, n):
    drawn = {s: seeds(chapter, s, n, base=base) for s in STREAMS}
    for top, stream in enumerate(STREAMS):
        assert all(seed >> 30 == top for seed in drawn[stream])
        assert [seed & 0x3FFFFFFF for seed in drawn[stream]] == [hashed(base, chapter, stream, i) for i in range(n)]
    for a, b in combinations(STREAMS, 2):
        assert not set(drawn[a]) & set(drawn[b])


@given(any_chapter, st.sampled_from(STREAMS), any_base, st.integers(1, 50), st.integers(1, 50))
def test_more_seeds_keep_the_first_ones(chapter, stream, base, n, m):
    first, second = seeds(chapter, stream, n, base=base), seeds(chapter, stream, m, base=base)
    assert first[: min(n, m)] == second[: min(n, m)]
    assert len(set(first)) == len(first) == n


def test_a_duplicate_is_left_out_and_the_rest_moves_up():
    raw = [hashed(0, "data/looking", "tune", i) for i in range(100_000)]
    repeated = sum(count - 1 for count in Counter(raw).values())
    assert repeated > 0, "this chapter has no duplicate among the first 100,000: the test shows nothing"
    drawn = seeds("data/looking", "tune", 100_000 - repeated, base=0)
    assert drawn == list(dict.fromkeys(raw))


def test_base_chapter_and_stream_each_give_other_numbers():
    drawn = [
        seeds(chapter, stream, 64, base=base)
        for chapter in ("a", "b", "a1")
        for stream in STREAMS
        for base in (0, 1, 11)
    ]
    hashes = [seed & 0x3FFFFFFF for numbers in drawn for seed in numbers]
    assert len(set(hashes)) == len(hashes) == 3 * 3 * 3 * 64


def test_the_bits_are_balanced():
    drawn = np.array(seeds("data/looking", "train", 4096, base=3))
    ones = np.array([((drawn >> bit) & 1).mean() for bit in range(30)])
    assert abs(ones - 0.5).max() < 4.5 * 0.5 / 4096**0.5


def test_the_base_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("TRICKS_SEED", raising=False)
    assert seeds("c", "data", 5) == seeds("c", "data", 5, base=0)
    monkeypatch.setenv("TRICKS_SEED", "41")
    assert seeds("c", "data", 5) == seeds("c", "data", 5, base=41) != seeds("c", "data", 5, base=0)
    monkeypatch.setenv("TRICKS_SEED", "wrong, but not read when a base is given")
    assert seeds("c", "data", 5, base=41) == seeds("c", "data", 5, base=np.int64(41))


@pytest.mark.parametrize("text", ["-1", "1.5", "", " 3", "one", "1_0", "\u0663", "+3", "0x3"])
def test_a_bad_environment_is_named(monkeypatch, text):
    monkeypatch.setenv("TRICKS_SEED", text)
    with pytest.raises(ValueError, match="TRICKS_SEED must be a whole number, 0 or more, got") as error:
        seeds("c", "data", 5)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "data", 3), r"chapter must be a name such as 'data/looking', got ''"),
        ((" ", "data", 3), r"chapter must be a name"),
        ((3, "data", 3), r"chapter must be a name such as 'data/looking', got 3"),
        (("c", "test", 3), r"stream must be one of 'tune', 'data', 'train', got 'test'"),
        (("c", "data", 0), r"n must be between 1 and 2\*\*30, got 0"),
        (("c", "data", -2), r"n must be between 1 and 2\*\*30, got -2"),
        (("c", "data", 2**30 + 1), r"n must be between 1 and 2\*\*30, got 1073741825"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        seeds(*arguments, base=0)


def test_bad_base():
    with pytest.raises(ValueError, match="base must be 0 or more, got -1"):
        seeds("c", "data", 3, base=-1)
    with pytest.raises(TypeError, match=r"base must be a whole number, got 0\.5"):
        seeds("c", "data", 3, base=0.5)
    with pytest.raises(TypeError, match=r"n must be a whole number, got 3\.0"):
        seeds("c", "data", 3.0, base=0)


def test_the_libraries_take_them(global_rng_untouched):
    sklearn_utils = pytest.importorskip("sklearn.utils", reason="scikit-learn is not installed")
    for stream in STREAMS:
        for seed in seeds("data/looking", stream, 8, base=0):
            assert 0 <= seed < 2**32 and type(seed) is int
            torch.Generator().manual_seed(seed)
            np.random.default_rng(seed)
            sklearn_utils.check_random_state(seed)
