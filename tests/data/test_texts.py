"""`tricks_lib.data.texts`: glosses, GloVe's vectors, word pairs."""

from __future__ import annotations

import hashlib
import lzma
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from tricks_lib.data.texts import load_antonyms, load_glosses, load_glove, load_word_pairs

FOLDER = Path(sys.modules["tricks_lib.data.texts"].__file__ or "").parent / "files"
README = (FOLDER / "README.md").read_text()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_glosses_are_those_that_the_readme_describes() -> None:
    text = lzma.decompress((FOLDER / "wordnet_glosses.txt.xz").read_bytes())
    assert f"`{sha(text)}`" in README
    glosses = load_glosses()
    assert "\n".join(" ".join(gloss) for gloss in glosses).encode() == text
    assert len(glosses) == 73464 and all(glosses)


def test_no_word_of_the_glosses_is_rare_or_holds_more_than_letters() -> None:
    count = Counter(word for gloss in load_glosses() for word in gloss)
    assert (count.total(), len(count)) == (839119, 18380)
    assert all(re.fullmatch("[a-z]+", word) for word in count)
    assert [word for word, _ in count.most_common(3)] == ["a", "the", "of"]


def test_glosses_are_new_at_each_call() -> None:
    glosses = load_glosses()
    glosses[0].append("spoiled")
    assert load_glosses()[0][-1] == "existence"


def test_glove_holds_the_arrays_that_the_readme_lists() -> None:
    with np.load(FOLDER / "glove50_10k_f16.npz") as arrays:
        assert sorted(arrays) == ["vectors", "words"]
        for name, array in arrays.items():
            row = f"| `{name}` | {' x '.join(map(str, array.shape))} | {array.dtype}"
            assert any(row in line and f"`{sha(array.tobytes())}`" in line for line in README.splitlines()), row


def test_glove_has_the_published_vector_of_the_first_word() -> None:
    words, vectors = load_glove()
    assert len(words) == len(set(words)) == 10_000 and words[0] == "the"
    assert vectors.shape == (10_000, 50) and vectors.dtype == torch.float32
    published = torch.tensor([0.418, 0.24968, -0.41242, 0.1217]).float()  # the first line of glove.6B.50d.txt
    torch.testing.assert_close(vectors[0, :4], published, rtol=2**-11, atol=0)  # float16
    assert all(re.fullmatch("[a-z]+", word) for word in words)
    vectors.zero_()
    assert load_glove()[1].any()


def test_all_words_of_the_pairs_have_a_vector() -> None:
    known = set(load_glove()[0])
    families = load_word_pairs()
    assert list(families) == [
        *("gender", "capital", "nationality", "plural", "comparative"),
        *("past", "progressive", "superlative", "adverb", "agent"),
    ]
    for pairs in families.values():
        assert 20 <= len(pairs) <= 30 and len(set(pairs)) == len(pairs)
        assert len({first for first, _ in pairs}) == len({second for _, second in pairs}) == len(pairs)
        assert all(word in known for pair in pairs for word in pair)


def test_antonyms_have_vectors_and_no_pair_stands_there_twice() -> None:
    known, pairs = set(load_glove()[0]), load_antonyms()
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 50
    assert all(word in known for pair in pairs for word in pair)


def test_pairs_are_new_at_each_call() -> None:
    load_word_pairs()["gender"].clear()
    assert load_word_pairs()["gender"][1] == ("king", "queen")
