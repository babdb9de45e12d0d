"""Word embeddings: skip-gram with negative sampling, counts with PMI and SVD, neighbors and analogies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "Corpus",
    "WordVectors",
    "analogy",
    "build_corpus",
    "cooccurrence",
    "keep_probability",
    "nearest",
    "noise_distribution",
    "pmi",
    "ppmi",
    "skip_gram_loss",
    "subsample",
    "svd_embedding",
    "train_skip_gram",
    "window_pairs",
]


class Corpus(NamedTuple):
    """A text as numbers; made by `build_corpus`.

    Attributes
    ----------
    words
        The vocabulary, V words by decreasing count; of equal counts in alphabetical order.
    counts
        How often each of them occurs (V,), int64.
    ids
        The text (T,), int64 in [0, V): all words of the vocabulary, in their order.
    lines
        To which line each of them belongs (T,), int64, ascending.

    Examples
    --------
    >>> corpus = build_corpus([["a", "b"], ["b", "c", "b"]], min_count=1)
    >>> corpus.words, corpus.counts.tolist()
    (['b', 'a', 'c'], [3, 1, 1])
    """

    words: list[str]
    counts: Tensor
    ids: Tensor
    lines: Tensor


class WordVectors(NamedTuple):
    """What `train_skip_gram` returns: two vectors for each word.

    Attributes
    ----------
    words
        Vectors *u* of words (V, D): the embedding.
    contexts
        Vectors *v* of the same words as contexts of others (V, D).

    Examples
    --------
    >>> vectors = WordVectors(words=torch.eye(3, 2), contexts=torch.ones(3, 2))
    >>> vectors.words @ vectors.contexts[0]
    tensor([1., 1., 0.])
    """

    words: Tensor
    contexts: Tensor


def build_corpus(
    text: Iterable[Sequence[str]], min_count: int = 5, *, device: torch.device | str | None = None
) -> Corpus:
    """Turn lines of words into numbers, without the words that occur fewer than `min_count` times.

    Parameters
    ----------
    text
        Lines of words. A word is no neighbor of a word in another line.
    min_count
        How often a word of the vocabulary occurs at least.
    device
        Where the numbers are.

    Returns
    -------
    Corpus

    Raises
    ------
    TypeError
        If a line is a string, whose words would be letters.
    ValueError
        If no word is left, or `min_count` is below 1.

    Examples
    --------
    >>> build_corpus([["a", "b"], ["b", "c", "a"]], min_count=2).ids
    tensor([0, 1, 1, 0])
    """
    if min_count < 1:
        raise ValueError(f"min_count must be at least 1, got {min_count}")
    lines = list(text)
    if any(isinstance(line, str) for line in lines):
        raise TypeError("text must hold lines of words: split each line, as in line.split()")
    count = Counter(word for line in lines for word in line)
    kept = sorted((-n, word) for word, n in count.items() if n >= min_count)
    if not kept:
        raise ValueError(f"text must hold a word that occurs at least min_count = {min_count} times")
    index = {word: i for i, (_, word) in enumerate(kept)}
    ids = [index[word] for line in lines for word in line if word in index]
    owner = [i for i, line in enumerate(lines) for word in line if word in index]
    numbers = (torch.tensor(part, device=device) for part in ([-n for n, _ in kept], ids, owner))
    return Corpus(list(index), *numbers)


def keep_probability(counts: Tensor, threshold: float) -> Tensor:
    r"""Return with which probability an occurrence of each word is kept: frequent words are thinned out.

    .. math:: p_w = \min\left(1, \sqrt{t / f_w}\right), \qquad f_w = n_w / \textstyle\sum_{w'} n_{w'}

    This is the formula of the paper. The code that its authors published keeps a little more,
    :math:`\sqrt{t / f_w} + t / f_w`.

    Parameters
    ----------
    counts
        How often each word occurs (V,).
    threshold
        The frequency *t* above which words are thinned, above 0.

    Returns
    -------
    Tensor
        Probabilities (V,), in torch's default dtype.

    Raises
    ------
    ValueError
        If `threshold` is not above 0, or `counts` are not (V,) and positive.

    References
    ----------
    Mikolov, Sutskever, Chen, Corrado, Dean (2013). Distributed representations of words and phrases and their
    compositionality. NIPS 26. arXiv:1310.4546

    Examples
    --------
    >>> keep_probability(torch.tensor([90, 9, 1]), threshold=0.1)
    tensor([0.3333, 1.0000, 1.0000])
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0, got {threshold}")
    n = _positive(counts)
    return (threshold * n.sum() / n).sqrt().clamp(max=1)


def subsample(corpus: Corpus, threshold: float, *, generator: torch.Generator | None = None) -> Corpus:
    """Drop occurrences of frequent words at random; those that are left move together.

    Parameters
    ----------
    corpus
        The text.
    threshold
        See `keep_probability`.
    generator
        Where the random numbers come from.

    Returns
    -------
    Corpus
        With fewer `ids` and `lines`; vocabulary and counts are those of the whole text.

    Examples
    --------
    >>> corpus = build_corpus([["b", "b", "a", "b"]], min_count=1)
    >>> subsample(corpus, threshold=1.0).ids
    tensor([0, 0, 1, 0])
    """
    keep = keep_probability(corpus.counts, threshold)[corpus.ids]
    kept = _uniform(len(keep), keep, generator) < keep
    return corpus._replace(ids=corpus.ids[kept], lines=corpus.lines[kept])


def window_pairs(
    corpus: Corpus, window: int, *, shrink: bool = True, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return each word with each of its neighbors in the line.

    Parameters
    ----------
    corpus
        The text.
    window
        How many words away a neighbor is at most, at least 1.
    shrink
        Draw a window from 1 to `window` for each word, all equally likely: near neighbors count more.
    generator
        Where the random numbers come from; without `shrink` nothing is drawn.

    Returns
    -------
    center, context : Tensor
        Words and their neighbors (P,), int64.

    Raises
    ------
    ValueError
        If `window` is below 1.

    Examples
    --------
    >>> corpus = build_corpus([["a", "b", "c"], ["a", "c"]], min_count=1)
    >>> center, context = window_pairs(corpus, 1, shrink=False)
    >>> " ".join(corpus.words[i] + corpus.words[j] for i, j in zip(center, context))
    'ab bc ac ba cb ca'
    """
    _check_window(window)
    n = len(corpus.ids)
    reach = corpus.ids.new_full((n,), window)
    if shrink:
        reach = (_uniform(n, corpus.ids, generator) * window).long() + 1
    center, context = [], []
    for distance in range(1, window + 1):
        left, right = _both_ends(corpus.ids, distance)
        line_left, line_right = _both_ends(corpus.lines, distance)
        near_left, near_right = (part >= distance for part in _both_ends(reach, distance))
        same = line_left == line_right
        center += [left[same & near_left], right[same & near_right]]
        context += [right[same & near_left], left[same & near_right]]
    return torch.cat(center), torch.cat(context)


def noise_distribution(counts: Tensor, power: float = 0.75) -> Tensor:
    r"""Return the distribution that negative samples come from: the frequencies, flattened.

    .. math:: q_c = n_c^\alpha / \textstyle\sum_{c'} n_{c'}^\alpha

    Parameters
    ----------
    counts
        How often each word occurs (V,).
    power
        :math:`\alpha`: 1 for the frequencies themselves, 0 for all words alike.

    Returns
    -------
    Tensor
        Probabilities (V,), in torch's default dtype.

    Examples
    --------
    >>> noise_distribution(torch.tensor([16, 1, 1]), power=0.75)
    tensor([0.8000, 0.1000, 0.1000])
    """
    n = _positive(counts) ** power
    return n / n.sum()


def skip_gram_loss(u: Tensor, v: Tensor, noise: Tensor, k: float = 5.0) -> Tensor:
    r"""Return the loss of skip-gram with negative sampling, in nats per pair.

    .. math:: \ell = -\log\sigma(u_i^\top v_i) - \frac{k}{M} \sum_{m=1}^{M} \log\sigma(-u_i^\top n_m),
        \qquad L = \frac{1}{B} \sum_i \ell_i

    The paper draws k negative samples for each pair. Here all pairs of a batch share M of them, each with the weight
    k / M: the expected value is the same, and the products are those of two matrices.

    Parameters
    ----------
    u
        Vectors of the words (B, D).
    v
        Vectors of their contexts (B, D).
    noise
        Vectors of contexts drawn from the noise distribution (M, D).
    k
        How many negative samples a pair counts for, at least 0.

    Returns
    -------
    Tensor
        The mean over the pairs, a scalar.

    Raises
    ------
    ValueError
        If the shapes do not fit, one of them is empty, or `k` is below 0.

    Examples
    --------
    >>> u, v = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 7.0]])
    >>> skip_gram_loss(u, v, noise=torch.zeros(3, 2), k=2)  # log 2 three times
    tensor(2.0794)
    """
    if (
        u.ndim != 2
        or u.shape != v.shape
        or noise.ndim != 2
        or noise.shape[1] != u.shape[1]
        or 0 in (*u.shape, len(noise))
    ):
        shapes = ", ".join(str(tuple(part.shape)) for part in (u, v, noise))
        raise ValueError(f"u, v and noise must have shapes (B, D), (B, D) and (M, D), got {shapes}")
    if not k >= 0:
        raise ValueError(f"k must be at least 0, got {k}")
    real = F.softplus(-(u * v).sum(dim=1)).mean()
    fake = F.softplus(u @ noise.T).mean()
    return real + k * fake


def train_skip_gram(
    corpus: Corpus,
    dim: int = 50,
    *,
    window: int = 5,
    k: float = 5.0,
    epochs: int = 5,
    lr: float = 0.02,
    batch_size: int = 1024,
    threshold: float = 1e-3,
    shared: int = 64,
    generator: torch.Generator | None = None,
) -> WordVectors:
    """Train word vectors with Adam; the learning rate falls linearly to zero.

    Each epoch draws anew which occurrences are kept, the windows, and the order of the pairs.

    Parameters
    ----------
    corpus
        The text.
    dim
        Length of the vectors.
    window
        See `window_pairs`.
    k, shared
        Negative samples for which a pair counts, and how many the pairs of a batch share; see `skip_gram_loss`.
    epochs
        How often the text is read.
    lr
        Learning rate of the first step.
    batch_size
        Pairs in a step.
    threshold
        See `subsample`.
    generator
        Where all random numbers come from.

    Returns
    -------
    WordVectors
        On the device of the corpus, in torch's default dtype.

    Raises
    ------
    ValueError
        If no word has a neighbor, or `dim`, `epochs`, `batch_size` or `shared` is below 1.

    Examples
    --------
    >>> corpus = build_corpus([["a", "b"] * 9, ["c", "d"] * 9], min_count=1)
    >>> vectors = train_skip_gram(corpus, dim=3, threshold=1.0, generator=torch.Generator().manual_seed(0))
    >>> tuple(vectors.words.shape), tuple(vectors.contexts.shape)
    ((4, 3), (4, 3))
    """
    for name, value in {"dim": dim, "epochs": epochs, "batch_size": batch_size, "shared": shared}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    noise = noise_distribution(corpus.counts)
    start = (_uniform(len(noise) * dim, noise, generator).to(noise).view(-1, dim) - 0.5) / dim
    u, v = start.requires_grad_(), torch.zeros_like(start).requires_grad_()
    optimizer = torch.optim.Adam([u, v], lr=lr)
    for epoch in range(epochs):
        thinned = subsample(corpus, threshold, generator=generator)
        pairs = torch.stack(window_pairs(thinned, window, generator=generator))
        if not pairs.numel():
            raise ValueError("corpus must hold words with a neighbor in their line")
        batches = torch.split(pairs[:, _shuffled(pairs.shape[1], pairs, generator)], batch_size, dim=1)
        for i, (center, context) in enumerate(batches):
            optimizer.param_groups[0]["lr"] = lr * (1 - (epoch + i / len(batches)) / epochs)
            drawn = _draw(noise, shared, generator)
            optimizer.zero_grad()
            rows = F.embedding(center, u), F.embedding(context, v), F.embedding(drawn, v)
            skip_gram_loss(*rows, k).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return WordVectors(u.detach(), v.detach())


def cooccurrence(corpus: Corpus, window: int) -> Tensor:
    r"""Count how often words are neighbors; near neighbors count more.

    .. math:: N_{wc} = \sum_{d=1}^{R} \frac{R - d + 1}{R} N^{(d)}_{wc}

    with :math:`N^{(d)}` the pairs at distance *d* in either direction. That is how often `window_pairs` returns the
    pair on average, with the windows that it draws.

    Parameters
    ----------
    corpus
        The text.
    window
        *R*, at least 1.

    Returns
    -------
    Tensor
        Counts (V, V), symmetric, in torch's default dtype.

    Raises
    ------
    ValueError
        If `window` is below 1.

    Examples
    --------
    >>> corpus = build_corpus([["a", "a", "b"]], min_count=1)
    >>> cooccurrence(corpus, window=2)
    tensor([[2.0000, 1.5000],
            [1.5000, 0.0000]])
    """
    _check_window(window)
    n = len(corpus.words)
    counts = torch.zeros(n * n, device=corpus.ids.device)
    for distance in range(1, window + 1):
        line_left, line_right = _both_ends(corpus.lines, distance)
        left, right = (part[line_left == line_right] for part in _both_ends(corpus.ids, distance))
        weight = counts.new_full((len(left),), (window - distance + 1) / window)
        counts.index_add_(0, left * n + right, weight)
    return counts.view(n, n) + counts.view(n, n).T


def pmi(counts: Tensor, power: float = 0.75) -> Tensor:
    r"""Return the pointwise mutual information of words and contexts, in nats.

    .. math:: \mathrm{PMI}_{wc} = \log \frac{p(c \mid w)}{q_c}, \qquad p(c \mid w) = N_{wc} / N_{w\cdot}, \qquad
        q_c = N_{\cdot c}^\alpha / \textstyle\sum_{c'} N_{\cdot c'}^\alpha

    Parameters
    ----------
    counts
        How often word *w* has context *c* (V, C), not negative.
    power
        :math:`\alpha`. 1 is the textbook's PMI; below 1 rare contexts stand out less, as in `noise_distribution`.

    Returns
    -------
    Tensor
        (V, C). Minus infinity for pairs that never occur, also for words without any context.

    Raises
    ------
    ValueError
        If `counts` is not a matrix, or holds a number that is negative or not finite.

    Examples
    --------
    >>> pmi(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), power=1.0)
    tensor([[ 0.2877,    -inf],
            [-0.4055,  0.6931]])
    """
    if counts.ndim != 2:
        raise ValueError(f"counts must have shape (V, C), got {tuple(counts.shape)}")
    if not ((counts >= 0) & (counts < torch.inf)).all():
        raise ValueError("counts must be finite and not negative")
    given = counts / counts.sum(dim=1, keepdim=True)
    contexts = counts.sum(dim=0) ** power
    return (given * contexts.sum() / contexts).nan_to_num(nan=0.0).log()


def ppmi(counts: Tensor, power: float = 0.75, *, shift: float = 0.0) -> Tensor:
    r"""Return the positive part of the pointwise mutual information: what is not more than expected counts as 0.

    .. math:: \max(\mathrm{PMI}_{wc} - s, 0)

    Parameters
    ----------
    counts, power
        As for `pmi`.
    shift
        *s*; :math:`\log k` for what skip-gram with *k* negative samples approximates.

    Returns
    -------
    Tensor
        (V, C).

    Examples
    --------
    >>> ppmi(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), power=1.0)
    tensor([[0.2877, 0.0000],
            [0.0000, 0.6931]])
    """
    return (pmi(counts, power) - shift).clamp(min=0)


def svd_embedding(
    matrix: Tensor, dim: int, *, power: float = 0.5, steps: int = 4, generator: torch.Generator | None = None
) -> Tensor:
    r"""Compress the rows of a matrix by a truncated singular value decomposition.

    .. math:: M \approx U_d \Sigma_d V_d^\top, \qquad E = U_d \Sigma_d^p

    The first *d* singular vectors are found approximately, from a random subspace that is multiplied with the matrix
    a few times.

    Parameters
    ----------
    matrix
        *M*, (V, C), say from `ppmi`.
    dim
        *d*, at most V and C.
    power
        *p*: 1 for the singular values as they are, 0.5 to share them between rows and columns, 0 to leave them out.
    steps
        How often the subspace is multiplied.
    generator
        Where the random subspace comes from.

    Returns
    -------
    Tensor
        *E*, (V, d).

    Raises
    ------
    ValueError
        If `matrix` is not a matrix, or `dim` is out of range.

    References
    ----------
    N. Halko, P. G. Martinsson, J. A. Tropp (2011). Finding structure with randomness: probabilistic algorithms for
    constructing approximate matrix decompositions. SIAM Review 53(2), 217-288. arXiv:0909.4061

    Examples
    --------
    >>> matrix = torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]])
    >>> svd_embedding(matrix, dim=1, power=1.0).abs().round(decimals=2)
    tensor([[ 5.],
            [10.],
            [ 0.]])
    """
    if matrix.ndim != 2:
        raise ValueError(f"matrix must have shape (V, C), got {tuple(matrix.shape)}")
    if not 1 <= dim <= min(matrix.shape):
        raise ValueError(f"dim must be from 1 to {min(matrix.shape)}, got {dim}")
    extra = min(dim + 10, *matrix.shape)
    basis = _normal(matrix.shape[1], extra, matrix, generator)
    for _ in range(steps):
        rows, _ = torch.linalg.qr(matrix @ basis)
        basis, _ = torch.linalg.qr(matrix.T @ rows)
    left, values, _ = torch.linalg.svd(matrix @ basis, full_matrices=False)
    embedding: Tensor = left[:, :dim] * values[:dim].pow(power)
    return embedding


def nearest(vectors: Tensor, query: Tensor, k: int = 10, *, exclude: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the words whose vectors have the largest cosine with a query.

    Parameters
    ----------
    vectors
        One for each word (V, D).
    query
        Vectors (Q, D).
    k
        How many words.
    exclude
        Words that must not be returned, indices (Q, E).

    Returns
    -------
    words : Tensor
        Indices (Q, k), the nearest first.
    cosines : Tensor
        (Q, k). A vector of zeros has the cosine 0 with all others.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `k` is more than the words that are left.

    Examples
    --------
    >>> vectors = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 3.0]])
    >>> nearest(vectors, vectors[:1], k=2)[0]
    tensor([[0, 1]])
    >>> nearest(vectors, vectors[:1], k=2, exclude=torch.tensor([[0]]))[0]
    tensor([[1, 2]])
    """
    if vectors.ndim != 2 or query.ndim != 2 or vectors.shape[1] != query.shape[1]:
        shapes = f"{tuple(vectors.shape)} and {tuple(query.shape)}"
        raise ValueError(f"vectors and query must have shapes (V, D) and (Q, D), got {shapes}")
    if exclude is not None and (exclude.ndim != 2 or len(exclude) != len(query)):
        raise ValueError(f"exclude must have shape ({len(query)}, E), got {tuple(exclude.shape)}")
    left = len(vectors) - (0 if exclude is None else exclude.shape[1])
    if not 1 <= k <= left:
        raise ValueError(f"k must be from 1 to {left}, the words that are left, got {k}")
    cosines = F.normalize(query) @ F.normalize(vectors).T
    if exclude is not None:
        cosines = cosines.scatter(1, exclude, -torch.inf)
    best = cosines.topk(k, dim=1)
    return best.indices, best.values


def analogy(vectors: Tensor, a: Tensor, b: Tensor, c: Tensor, *, exclude: bool = True) -> Tensor:
    r"""Answer "*a* is to *b* as *c* is to ...": the word nearest to the vector :math:`b - a + c`.

    .. math:: \arg\max_{w \notin \{a, b, c\}} \cos(\hat x_w, \hat x_b - \hat x_a + \hat x_c)

    Vectors have length 1 before they are added (3CosAdd).

    Parameters
    ----------
    vectors
        One for each word (V, D).
    a, b, c
        The words of Q questions, indices (Q,).
    exclude
        Whether the words of the question are no answers. That is the custom, and a part of the success.

    Returns
    -------
    Tensor
        Indices of the answers (Q,).

    References
    ----------
    Tomas Mikolov, Wen-tau Yih, Geoffrey Zweig (2013). Linguistic regularities in continuous space word
    representations. NAACL-HLT, 746-751.

    Examples
    --------
    >>> man, woman, king, queen = torch.arange(4)
    >>> vectors = torch.tensor([[1.0, 0.0, 0.1], [0.9, 0.1, 0.1], [1.0, 0.0, 1.0], [0.4, 0.5, 1.0]])
    >>> question = man[None], woman[None], king[None]
    >>> analogy(vectors, *question), analogy(vectors, *question, exclude=False)
    (tensor([3]), tensor([2]))
    """
    unit = F.normalize(vectors)
    asked = torch.stack([a, b, c], dim=1)
    target = unit[b] - unit[a] + unit[c]
    return nearest(unit, target, 1, exclude=asked if exclude else None)[0][:, 0]


def _positive(counts: Tensor) -> Tensor:
    if counts.ndim != 1 or not len(counts) or not (counts > 0).all():
        raise ValueError("counts must have shape (V,) and be above 0")
    return counts.to(torch.get_default_dtype())


def _check_window(window: int) -> None:
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")


def _both_ends(x: Tensor, distance: int) -> tuple[Tensor, Tensor]:
    """Return the entries that have one `distance` places to the right, and those to the right."""
    return x[: max(len(x) - distance, 0)], x[distance:]


# What is drawn is drawn on the generator's device, then moved.


def _uniform(n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw in float32, whatever the default: the same generator makes the same choices."""
    origin = _origin(like, generator)
    return torch.rand(n, generator=generator, device=origin, dtype=torch.float32).to(like.device)


def _normal(rows: int, columns: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    origin = _origin(like, generator)
    return torch.randn(rows, columns, generator=generator, device=origin, dtype=like.dtype).to(like.device)


def _shuffled(n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randperm(n, generator=generator, device=_origin(like, generator)).to(like.device)


def _draw(noise: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    there = noise.to(_origin(noise, generator))
    return torch.multinomial(there, n, replacement=True, generator=generator).to(noise.device)


def _origin(like: Tensor, generator: torch.Generator | None) -> torch.device:
    return like.device if generator is None else generator.device
