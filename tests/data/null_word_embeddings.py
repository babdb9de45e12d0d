"""What stands in for the tricks of `book/data/word_embeddings.md` when `make null` switches them off."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tricks_lib.data.texts import load_glove
from tricks_lib.data.word_embeddings import Corpus, WordVectors

words, vectors = load_glove()


def drawn(n: int, dim: int, generator: torch.Generator | None) -> Tensor:
    """Vectors that know nothing of their words."""
    return torch.randn(n, dim, generator=generator)


def untrained(
    corpus: Corpus, dim: int = 50, *, generator: torch.Generator | None = None, **options: Any
) -> WordVectors:
    """Return random vectors in place of trained ones."""
    n = len(corpus.words)
    return WordVectors(drawn(n, dim, generator), drawn(n, dim, generator))


def uncounted(matrix: Tensor, dim: int, *, generator: torch.Generator | None = None, **options: Any) -> Tensor:
    """Return random vectors in place of singular ones."""
    return drawn(len(matrix), dim, generator)


def random_glove() -> tuple[list[str], Tensor]:
    """Return the words of GloVe with random vectors."""
    return list(words), drawn(*vectors.shape, torch.Generator().manual_seed(0))


NULLS = {
    "D24": {
        "tricks_lib.data.word_embeddings.train_skip_gram": untrained,
        "tricks_lib.data.word_embeddings.svd_embedding": uncounted,
        "tricks_lib.data.texts.load_glove": random_glove,
    }
}
