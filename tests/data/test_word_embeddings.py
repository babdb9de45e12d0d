"""`tricks_lib.data.word_embeddings`: skip-gram with negative sampling, counts and SVD, neighbors, analogies."""

from __future__ import annotations

import copy
import math
import pickle
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from torch import Tensor
from torch.nn import functional as F

from tricks_lib.data.word_embeddings import (
    Corpus,
    WordVectors,
    analogy,
    build_corpus,
    cooccurrence,
    keep_probability,
    nearest,
    noise_distribution,
    pmi,
    ppmi,
    skip_gram_loss,
    subsample,
    svd_embedding,
    train_skip_gram,
    window_pairs,
)

texts = st.lists(st.lists(st.sampled_from("abcde"), max_size=7), min_size=1, max_size=5).filter(any)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def text(n: int = 60, length: int = 9, seed: int = 0) -> list[list[str]]:
    """Lines of letters, the first ones more frequent."""
    ids = (torch.rand(n, length, generator=seeded(seed)) ** 2 * 6).long()
    return [["abcdef"[i] for i in line] for line in ids.tolist()]


# ---- build_corpus


@given(texts, st.integers(1, 3))
def test_a_corpus_is_the_text_without_its_rare_words(lines: list[list[str]], min_count: int) -> None:
    count = Counter(word for line in lines for word in line)
    if max(count.values()) < min_count:
        return
    corpus = build_corpus(lines, min_count)
    assert corpus.words == sorted((w for w in count if count[w] >= min_count), key=lambda w: (-count[w], w))
    assert corpus.counts.tolist() == [count[w] for w in corpus.words]
    expected = [(w, i) for i, line in enumerate(lines) for w in line if count[w] >= min_count]
    assert [corpus.words[i] for i in corpus.ids] == [w for w, _ in expected]
    assert corpus.lines.tolist() == [i for _, i in expected]
    assert corpus.counts.dtype == corpus.ids.dtype == corpus.lines.dtype == torch.int64


def test_a_corpus_takes_an_iterator_and_leaves_a_list() -> None:
    lines = [["b", "a"], ["b"]]
    assert torch.equal(build_corpus(iter(lines), 1).ids, build_corpus(lines, 1).ids)
    assert lines == [["b", "a"], ["b"]]


def test_a_corpus_is_copied_and_pickled() -> None:
    corpus = build_corpus(text())
    for copied in (copy.deepcopy(corpus), pickle.loads(pickle.dumps(corpus))):
        assert isinstance(copied, Corpus) and copied.words == corpus.words
        assert all(torch.equal(a, b) for a, b in zip(copied[1:], corpus[1:], strict=True))


@pytest.mark.parametrize(
    ("lines", "min_count", "error", "message"),
    [
        ([["a"]], 0, ValueError, "min_count must be at least 1, got 0"),
        ([["a"]], 2, ValueError, "text must hold a word that occurs at least min_count = 2 times"),
        ([], 1, ValueError, "text must hold a word"),
        (["a cat"], 1, TypeError, "text must hold lines of words"),
    ],
)
def test_texts_are_checked(lines: Any, min_count: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_corpus(lines, min_count)


# ---- keep_probability, subsample


def test_keep_probability_is_the_formula_of_the_paper() -> None:
    counts = [5000, 300, 40, 1]
    expected = [1 - max(0.0, 1 - math.sqrt(1e-2 / (n / sum(counts)))) for n in counts]
    torch.testing.assert_close(keep_probability(torch.tensor(counts), 1e-2), torch.tensor(expected))


def test_the_released_code_keeps_more() -> None:
    """Of the docstring: `ran = (sqrt(cn / (sample * total)) + 1) * (sample * total) / cn`."""
    counts, sample = torch.tensor([5000.0, 300.0, 40.0, 1.0]), 1e-2
    total = counts.sum()
    theirs = ((counts / (sample * total)).sqrt() + 1) * (sample * total) / counts
    f = counts / total
    torch.testing.assert_close(theirs, (sample / f).sqrt() + sample / f)
    assert (theirs > keep_probability(counts, sample)).all()
    assert ((3 + math.sqrt(5)) / 2) == pytest.approx(2.618, abs=1e-3)  # f / t at which theirs is 1
    edge = torch.tensor(2 / (3 + math.sqrt(5)))
    torch.testing.assert_close(edge.sqrt() + edge, torch.tensor(1.0))


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan])
def test_the_threshold_is_above_zero(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be above 0"):
        keep_probability(torch.tensor([1]), threshold)


@pytest.mark.parametrize("counts", [torch.tensor([[1]]), torch.tensor([1, 0]), torch.tensor([], dtype=torch.int64)])
def test_counts_are_checked(counts: Tensor) -> None:
    for function in (lambda: keep_probability(counts, 0.1), lambda: noise_distribution(counts)):
        with pytest.raises(ValueError, match=r"counts must have shape \(V,\) and be above 0"):
            function()


def test_subsampling_keeps_each_word_as_often_as_it_should() -> None:
    corpus = build_corpus(text(4000))
    thinned = subsample(corpus, 0.05, generator=seeded(1))  # not the seed of the text
    rate = thinned.ids.bincount(minlength=len(corpus.words)) / corpus.counts
    torch.testing.assert_close(rate, keep_probability(corpus.counts, 0.05), rtol=0, atol=0.02)
    assert rate.min() < 0.4 and thinned.words == corpus.words and torch.equal(thinned.counts, corpus.counts)


def test_subsampling_keeps_words_and_lines_together() -> None:
    corpus = build_corpus([["a", "b"]] + [["c"]] * 50, 1)
    thinned = subsample(corpus, 0.1, generator=seeded())
    for i, line in zip(thinned.ids.tolist(), thinned.lines.tolist(), strict=True):
        assert corpus.words[i] in (["a", "b"] if line == 0 else ["c"])
    assert (thinned.lines.diff() >= 0).all() and len(thinned.ids) < len(corpus.ids)


def test_rare_words_are_all_kept() -> None:
    corpus = build_corpus(text())
    assert torch.equal(subsample(corpus, 1.0, generator=seeded()).ids, corpus.ids)


# ---- window_pairs, cooccurrence


def pairs_in_a_loop(lines: list[list[str]], window: int) -> Counter[tuple[str, str, int]]:
    found: Counter[tuple[str, str, int]] = Counter()
    for line in lines:
        for i, center in enumerate(line):
            for j, context in enumerate(line):
                if 0 < abs(i - j) <= window:
                    found[center, context, abs(i - j)] += 1
    return found


@given(texts, st.integers(1, 9))
def test_pairs_equal_a_loop(lines: list[list[str]], window: int) -> None:
    corpus = build_corpus(lines, 1)
    center, context = window_pairs(corpus, window, shrink=False)
    ours = Counter((corpus.words[i], corpus.words[j]) for i, j in zip(center, context, strict=True))
    expected: Counter[tuple[str, str]] = Counter()
    for (one, other, _), n in pairs_in_a_loop(lines, window).items():
        expected[one, other] += n
    assert ours == expected


@given(texts, st.integers(1, 9))
def test_counts_of_pairs_equal_a_loop(lines: list[list[str]], window: int) -> None:
    corpus = build_corpus(lines, 1)
    expected: defaultdict[tuple[str, str], float] = defaultdict(float)
    for (one, other, distance), n in pairs_in_a_loop(lines, window).items():
        expected[one, other] += n * (window - distance + 1) / window
    counts = cooccurrence(corpus, window)
    for i, one in enumerate(corpus.words):
        for j, other in enumerate(corpus.words):
            assert counts[i, j].item() == pytest.approx(expected[one, other], abs=1e-4)


def test_drawn_windows_give_the_counts_on_average() -> None:
    corpus, total = build_corpus(text(20)), torch.zeros(36)
    generator = seeded()
    for _ in range(400):
        center, context = window_pairs(corpus, 3, generator=generator)
        total += (center * 6 + context).bincount(minlength=36)
    torch.testing.assert_close(total.view(6, 6) / 400, cooccurrence(corpus, 3), rtol=0.05, atol=0.5)


def test_a_window_belongs_to_its_center() -> None:
    """With the window drawn for the center, a word sees both sides as far as the window reaches, no farther."""
    corpus = build_corpus([list("abcdefghi")], 1)
    center, context = window_pairs(corpus, 4, generator=seeded(3))
    spans = set()
    for i in range(9):
        distances = sorted((context[center == i] - i).tolist())
        reach = max(map(abs, distances))
        assert distances == [d for d in range(-reach, reach + 1) if d and 0 <= i + d < 9]
        spans.add(reach)
    assert len(spans) > 1


@pytest.mark.parametrize("function", [window_pairs, cooccurrence])
def test_windows_are_checked(function: Callable[[Corpus, int], Any]) -> None:
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        function(build_corpus(text()), 0)


# ---- noise_distribution


def test_the_noise_is_flatter_than_the_frequencies() -> None:
    noise = noise_distribution(torch.tensor([256, 16, 1]))
    torch.testing.assert_close(noise, torch.tensor([64.0, 8.0, 1.0]) / 73)
    torch.testing.assert_close(noise_distribution(torch.tensor([3, 1]), power=1.0), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(noise_distribution(torch.tensor([3, 1]), power=0.0), torch.tensor([0.5, 0.5]))


# ---- skip_gram_loss


def test_the_loss_by_hand() -> None:
    u, v = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 1.0], [1.0, -1.0]])
    noise = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-2.0, 1.0]])

    def log_sigmoid(x: float) -> float:
        return -math.log(1 + math.exp(-x))

    first = -log_sigmoid(3) - 4 / 3 * (log_sigmoid(0) + log_sigmoid(-1) + log_sigmoid(2))
    second = -log_sigmoid(-2) - 4 / 3 * (log_sigmoid(0) + log_sigmoid(-2) + log_sigmoid(-2))
    assert skip_gram_loss(u, v, noise, k=4).item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_one_pair_with_k_shared_words_is_the_loss_of_the_paper() -> None:
    u, v, noise = normal(1, 4), normal(1, 4, seed=1), normal(5, 4, seed=2)
    paper = -F.logsigmoid(u[0] @ v[0]) - sum(F.logsigmoid(-u[0] @ n) for n in noise)
    torch.testing.assert_close(skip_gram_loss(u, v, noise, k=5), paper, rtol=0, atol=1e-12)


def test_large_products_do_not_overflow() -> None:
    u = torch.full((1, 1), 1e4)
    assert skip_gram_loss(u, -u, u, k=1).item() == pytest.approx(2e8)


def test_gradient_of_the_loss() -> None:
    u, v, noise = (normal(n, 3, seed=n).requires_grad_() for n in (4, 4, 5))
    v = normal(4, 3, seed=9).requires_grad_()
    assert torch.autograd.gradcheck(lambda *x: skip_gram_loss(*x, k=2.5), (u, v, noise))


def test_the_expected_loss_is_stationary_at_shifted_pmi() -> None:
    counts, k = torch.tensor([[4.0, 1, 2], [1, 3, 5], [2, 5, 1]], dtype=torch.float64), 3
    noise = noise_distribution(counts.sum(dim=0)).double()
    m = (pmi(counts) - math.log(k)).requires_grad_()
    loss = counts * F.softplus(-m) + k * counts.sum(dim=1, keepdim=True) * noise * F.softplus(m)
    (gradient,) = torch.autograd.grad(loss.sum(), m)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)  # noise has the default dtype


@pytest.mark.parametrize(
    ("u", "v", "noise"),
    [
        ((2, 3), (3, 3), (4, 3)),
        ((2, 3), (2, 3), (4, 2)),
        ((2,), (2,), (4, 2)),
        ((2, 3), (2, 3), (0, 3)),
        ((0, 3), (0, 3), (2, 3)),
    ],
)
def test_shapes_of_the_loss_are_checked(u: Any, v: Any, noise: Any) -> None:
    with pytest.raises(ValueError, match=r"u, v and noise must have shapes \(B, D\), \(B, D\) and \(M, D\), got \("):
        skip_gram_loss(normal(*u), normal(*v), normal(*noise))


@pytest.mark.parametrize("k", [-1.0, math.nan])
def test_negative_samples_are_not_negative_in_number(k: float) -> None:
    with pytest.raises(ValueError, match="k must be at least 0, got"):
        skip_gram_loss(normal(2, 3), normal(2, 3), normal(4, 3), k=k)


# ---- train_skip_gram


def test_training_learns_shifted_pmi_where_it_can() -> None:
    """Enough dimensions, few words, a whole text: the products come close to PMI - log k."""
    corpus = build_corpus(text(3000, 5), 1)
    trained = train_skip_gram(
        corpus, 6, window=2, k=2, epochs=6, lr=0.05, batch_size=512, threshold=1.0, shared=256, generator=seeded()
    )
    expected = pmi(cooccurrence(corpus, 2)) - math.log(2)
    noise = noise_distribution(corpus.counts)
    contexts = cooccurrence(corpus, 2).sum(dim=0) ** 0.75
    expected = expected + (contexts / contexts.sum() / noise).log()  # words at the ends of lines have fewer neighbors
    torch.testing.assert_close(trained.words @ trained.contexts.T, expected, rtol=0, atol=0.12)


def test_training_tells_two_topics_apart() -> None:
    lines = [list("abab"), list("cdcd")] * 40
    trained = train_skip_gram(
        build_corpus(lines, 1), 4, epochs=9, threshold=1.0, lr=0.1, batch_size=64, generator=seeded()
    )
    products = trained.words @ trained.contexts.T  # a, b, c, d
    assert (products[:2, :2] > products[:2, 2:]).all() and (products[2:, 2:] > products[2:, :2]).all()


def test_training_is_a_loop_over_adam() -> None:
    """One epoch, one batch: the step that Adam makes from the same draws."""
    corpus = build_corpus(text(5), 1)
    trained = train_skip_gram(corpus, 3, window=2, epochs=1, lr=0.1, batch_size=10**6, shared=4, generator=seeded(5))
    generator = seeded(5)
    noise = noise_distribution(corpus.counts)
    first = torch.rand(len(noise) * 3, generator=generator, dtype=torch.float32).to(noise)
    u = ((first.view(-1, 3) - 0.5) / 3).requires_grad_()
    v = torch.zeros_like(u).requires_grad_()
    center, context = window_pairs(subsample(corpus, 1e-3, generator=generator), 2, generator=generator)
    order = torch.randperm(len(center), generator=generator)
    drawn = torch.multinomial(noise, 4, replacement=True, generator=generator)
    optimizer = torch.optim.Adam([u, v], lr=0.1)
    skip_gram_loss(u[center[order]], v[context[order]], v[drawn]).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    torch.testing.assert_close(trained.words, u.detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(trained.contexts, v.detach(), rtol=0, atol=1e-6)


def test_the_learning_rate_falls_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def spy(self: torch.optim.Adam, closure: Any = None) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    corpus = build_corpus([list("ab")] * 8, 1)  # 16 pairs
    train_skip_gram(corpus, 2, window=1, epochs=2, lr=0.8, batch_size=4, threshold=1.0, generator=seeded())
    assert rates == pytest.approx([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_training_is_repeated_by_its_generator(global_rng_untouched: None) -> None:
    corpus = build_corpus(text())
    one, same, other = (train_skip_gram(corpus, 3, epochs=2, generator=seeded(s)) for s in (1, 1, 2))
    assert isinstance(one, WordVectors)
    assert torch.equal(one.words, same.words) and torch.equal(one.contexts, same.contexts)
    assert not torch.equal(one.words, other.words)
    assert not one.words.requires_grad and not one.contexts.requires_grad


def test_training_leaves_its_corpus() -> None:
    corpus = build_corpus(text())
    train_skip_gram(corpus, 3, epochs=1, generator=seeded())
    assert all(torch.equal(a, b) for a, b in zip(corpus[1:], build_corpus(text())[1:], strict=True))


@pytest.mark.parametrize("name", ["dim", "epochs", "batch_size", "shared"])
def test_sizes_of_training_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        train_skip_gram(build_corpus(text()), **{name: 0})  # type: ignore[arg-type]


def test_words_without_neighbors_teach_nothing() -> None:
    with pytest.raises(ValueError, match="corpus must hold words with a neighbor"):
        train_skip_gram(build_corpus([["a"], ["b"]], 1), 2, threshold=1.0)


# ---- pmi, ppmi


def pmi_in_a_loop(counts: Tensor, power: float) -> list[list[float]]:
    n = counts.tolist()
    context = [sum(row[c] for row in n) ** power for c in range(len(n[0]))]
    return [
        [math.log(x / sum(row) * sum(context) / context[c]) if x else -math.inf for c, x in enumerate(row)] for row in n
    ]


@given(st.integers(0, 10**6), st.sampled_from([1.0, 0.75, 0.3]))
@settings(max_examples=30)
def test_pmi_equals_a_loop(seed: int, power: float) -> None:
    counts = torch.randint(0, 4, (3, 5), generator=seeded(seed)).double()
    counts[:, 0] += 1
    expected = torch.tensor(pmi_in_a_loop(counts, power), dtype=torch.float64)
    torch.testing.assert_close(pmi(counts, power), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ppmi(counts, power, shift=0.2), (expected - 0.2).clamp(min=0), rtol=0, atol=1e-12)


def test_independent_words_have_no_information() -> None:
    counts = torch.outer(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(pmi(counts, power=1.0), torch.zeros(3, 2), rtol=0, atol=1e-6)


def test_a_word_without_contexts_has_no_information() -> None:
    counts = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    assert (pmi(counts)[0] == -math.inf).all() and (pmi(counts)[:, 1] == -math.inf).all()
    assert (ppmi(counts)[0] == 0).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (torch.ones(3), r"counts must have shape \(V, C\), got \(3,\)"),
        (-torch.ones(2, 2), "counts must be finite and not negative"),
        (torch.tensor([[1.0, math.nan], [1.0, 1.0]]), "counts must be finite"),
        (torch.tensor([[1.0, math.inf], [1.0, 1.0]]), "counts must be finite"),
    ],
)
def test_counts_of_pmi_are_checked(counts: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pmi(counts)


# ---- svd_embedding


def low_rank(n: int, m: int, values: list[float], seed: int = 0) -> Tensor:
    left, _ = torch.linalg.qr(normal(n, len(values), seed=seed))
    right, _ = torch.linalg.qr(normal(m, len(values), seed=seed + 1))
    return left * torch.tensor(values, dtype=torch.float64) @ right.T


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_decomposition_is_that_of_scikit_learn(power: float) -> None:
    matrix = low_rank(40, 30, [9.0, 7.0, 4.0, 2.0, 1.0])
    theirs = TruncatedSVD(3, algorithm="arpack", random_state=0).fit(matrix.numpy())
    left = torch.from_numpy(theirs.transform(matrix.numpy()) / theirs.singular_values_)
    expected = left * torch.from_numpy(theirs.singular_values_).pow(power)
    ours = svd_embedding(matrix, 3, power=power, generator=seeded())
    torch.testing.assert_close(ours * (ours * expected).sum(dim=0).sign(), expected, rtol=0, atol=1e-9)


def test_steps_bring_the_subspace_to_the_largest_values() -> None:
    matrix = low_rank(80, 60, [1.0 + 1 / (i + 1) for i in range(50)])
    exact = torch.linalg.svdvals(matrix)[:3]
    errors = [
        (svd_embedding(matrix, 3, power=1.0, steps=s, generator=seeded()).norm(dim=0) - exact).abs().max().item()
        for s in (0, 1, 8)
    ]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.02


def test_the_decomposition_keeps_dtype_and_is_repeated(global_rng_untouched: None) -> None:
    matrix = normal(9, 7, dtype=torch.float32)
    one, same = (svd_embedding(matrix, 2, generator=seeded(4)) for _ in range(2))
    assert one.dtype == torch.float32 and torch.equal(one, same) and one.shape == (9, 2)
    assert torch.equal(matrix, normal(9, 7, dtype=torch.float32))


@pytest.mark.parametrize("dim", [0, 8])
def test_dimensions_are_checked(dim: int) -> None:
    with pytest.raises(ValueError, match=f"dim must be from 1 to 7, got {dim}"):
        svd_embedding(normal(9, 7), dim)


@pytest.mark.parametrize("shape", [(9,), (9, 7, 2)])
def test_what_is_decomposed_is_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"matrix must have shape \(V, C\), got \(9,"):
        svd_embedding(normal(*shape), 1)


# ---- nearest, analogy


def nearest_in_a_loop(vectors: Tensor, query: Tensor, k: int, exclude: list[int]) -> list[int]:
    cosines = {
        i: (sum(a * b for a, b in zip(v, query.tolist(), strict=True))) / (math.hypot(*v) * math.hypot(*query.tolist()))
        for i, v in enumerate(vectors.tolist())
        if i not in exclude
    }
    return sorted(cosines, key=lambda i: -cosines[i])[:k]


def test_neighbors_equal_a_loop() -> None:
    vectors, query, exclude = normal(11, 4), normal(5, 4, seed=1), torch.arange(10).view(5, 2)
    found, cosines = nearest(vectors, query, 3, exclude=exclude)
    for i in range(5):
        assert found[i].tolist() == nearest_in_a_loop(vectors, query[i], 3, exclude[i].tolist())
        torch.testing.assert_close(
            cosines[i], F.cosine_similarity(vectors[found[i]], query[i], dim=1), rtol=0, atol=1e-12
        )
    assert nearest(vectors, query, 3)[0][0].tolist() == nearest_in_a_loop(vectors, query[0], 3, [])


def test_lengths_do_not_matter_to_neighbors() -> None:
    vectors, query = normal(9, 4), normal(2, 4, seed=1)
    stretched = vectors * torch.arange(1.0, 10.0)[:, None]
    assert torch.equal(nearest(vectors, query, 9)[0], nearest(stretched, 7 * query, 9)[0])


@pytest.mark.parametrize(
    ("vectors", "query", "k", "exclude", "message"),
    [
        ((5, 3), (2, 4), 1, None, r"shapes \(V, D\) and \(Q, D\), got \(5, 3\) and \(2, 4\)"),
        ((5, 3), (3,), 1, None, r"shapes \(V, D\) and \(Q, D\)"),
        ((5, 3), (2, 3), 0, None, "k must be from 1 to 5"),
        ((5, 3), (2, 3), 4, 2, "k must be from 1 to 3, the words that are left, got 4"),
    ],
)
def test_neighbors_are_checked(vectors: Any, query: Any, k: int, exclude: int | None, message: str) -> None:
    without = None if exclude is None else torch.zeros(2, exclude, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        nearest(normal(*vectors), normal(*query), k, exclude=without)


@pytest.mark.parametrize("shape", [(1, 2), (2,), (3, 2)])
def test_each_query_has_its_own_excluded_words(shape: tuple[int, ...]) -> None:
    """Fewer rows than queries would leave the last queries with all words."""
    with pytest.raises(ValueError, match=r"exclude must have shape \(2, E\), got \("):
        nearest(normal(5, 3), normal(2, 3), 1, exclude=torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("exclude", [True, False])
def test_analogies_equal_a_loop(exclude: bool) -> None:
    vectors = normal(12, 3)
    questions = torch.randint(0, 12, (9, 3), generator=seeded(1))
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    answers = analogy(vectors, *questions.T, exclude=exclude).tolist()
    for answer, (a, b, c) in zip(answers, questions.tolist(), strict=True):
        target = unit[b] - unit[a] + unit[c]
        assert answer == nearest_in_a_loop(vectors, target, 1, [a, b, c] if exclude else [])[0]


def test_vectors_are_scaled_before_they_are_added() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.2], [-1.0, 1.0], [0.3, 1.0]])
    scaled = vectors * torch.tensor([100.0, 0.01, 1.0, 5.0, 3.0])[:, None]
    question = [torch.tensor([i]) for i in (0, 1, 2)]
    assert analogy(vectors, *question).item() == analogy(scaled, *question).item() == 4


def test_neighbors_and_analogies_leave_their_inputs() -> None:
    vectors, ids = normal(6, 3), torch.tensor([[0, 1], [2, 3]])
    nearest(vectors, vectors[:2], 2, exclude=ids)
    analogy(vectors, *torch.arange(3)[:, None])
    assert torch.equal(vectors, normal(6, 3)) and ids.tolist() == [[0, 1], [2, 3]]


# ---- devices


def test_everything_stays_on_its_device(device: torch.device) -> None:
    here, there = build_corpus(text()), build_corpus(text(), device=device)
    assert torch.equal(there.ids.cpu(), here.ids)
    thinned = subsample(there, 0.05, generator=seeded())
    assert torch.equal(thinned.ids.cpu(), subsample(here, 0.05, generator=seeded()).ids)
    counts, expected = cooccurrence(there, 2), cooccurrence(here, 2)
    vectors = normal(6, 4, dtype=torch.float32)
    question = torch.tensor([[0, 1, 2], [3, 4, 5]])
    results: list[tuple[Tensor, Tensor]] = [
        (keep_probability(there.counts, 0.1), keep_probability(here.counts, 0.1)),
        (noise_distribution(there.counts), noise_distribution(here.counts)),
        (window_pairs(there, 3, generator=seeded())[1], window_pairs(here, 3, generator=seeded())[1]),
        (counts, expected),
        (ppmi(counts), ppmi(expected)),
        (
            svd_embedding(ppmi(counts), 2, generator=seeded()).abs(),
            svd_embedding(ppmi(expected), 2, generator=seeded()).abs(),
        ),
        (analogy(vectors.to(device), *question.T.to(device)), analogy(vectors, *question.T)),
        *zip(
            train_skip_gram(there, 3, epochs=1, generator=seeded()),
            train_skip_gram(here, 3, epochs=1, generator=seeded()),
            strict=True,
        ),
    ]
    for result, wanted in results:
        assert result.device.type == device.type
        torch.testing.assert_close(result.cpu(), wanted, rtol=1e-4, atol=1e-4)


def test_one_dimension_is_a_table_of_one_column() -> None:
    matrix = torch.outer(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0, 2.0]))
    found = svd_embedding(matrix, 1, power=1.0, generator=seeded())
    torch.testing.assert_close(found.abs(), torch.tensor([[9.0], [12.0]]))
