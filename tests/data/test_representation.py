"""`tricks_lib.data.representation`: codes of combinations, what they settle, images and words in one space."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tricks_lib.data.representation import (
    CodeScores,
    WordScores,
    analogy,
    choose_combinations,
    colorize,
    compose_codes,
    contrastive_loss,
    determined,
    nearest,
)

sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- compose_codes


@given(sizes)
def test_codes_are_those_of_a_loop(counts: list[int]) -> None:
    parts = [normal(n, n + 1, seed=i) for i, n in enumerate(counts)]
    expected = [
        [number for part, v in zip(parts, values, strict=True) for number in part[v].tolist()]
        for values in itertools.product(*map(range, counts))
    ]
    assert compose_codes(*parts).tolist() == expected


@given(sizes)
def test_units_for_values_are_one_hot_for_each_attribute(counts: list[int]) -> None:
    codes = compose_codes(*(torch.eye(n) for n in counts))
    index = torch.arange(math.prod(counts), device="cpu")
    for values, part in zip(np.unravel_index(index.numpy(), counts), torch.split(codes, counts, dim=1), strict=True):
        assert part.argmax(dim=1).tolist() == values.tolist()
    assert codes.sum(dim=1).tolist() == [len(counts)] * len(index)


def test_codes_keep_dtype_and_parts() -> None:
    part = normal(2, 3)
    before = part.clone()
    codes = compose_codes(part, torch.eye(2, dtype=torch.float64))
    codes.zero_()
    assert codes.dtype == torch.float64 and torch.equal(part, before)
    assert compose_codes(torch.tensor([[1], [2]])).dtype == torch.int64


@pytest.mark.parametrize("part", [torch.zeros(3), torch.zeros(0, 2), torch.zeros(2, 0), torch.zeros(1, 2, 3)])
def test_parts_are_checked(part: Tensor) -> None:
    with pytest.raises(ValueError, match=r"a part must have shape \(values, units\), both at least 1, got \("):
        compose_codes(torch.eye(2), part)


def test_at_least_one_part() -> None:
    with pytest.raises(ValueError, match="parts must hold the codes of at least one attribute, got none"):
        compose_codes()


# ---- choose_combinations


@given(st.integers(1, 9), st.integers(1, 7), st.data())
def test_every_value_has_its_partners(n_a: int, n_b: int, data: Any) -> None:
    partners = data.draw(st.integers(1, n_b))
    seen = choose_combinations(n_a, n_b, partners, generator=generator(data.draw(st.integers(0, 99))))
    assert seen.shape == (n_a, n_b) and seen.dtype == torch.bool
    assert seen.sum(dim=1).tolist() == [partners] * n_a
    columns = seen.sum(dim=0)
    assert columns.max() - columns.min() <= partners
    if n_a >= n_b:
        assert columns.min() >= n_a // n_b * partners
    if n_a % n_b == 0:
        assert columns.tolist() == [n_a * partners // n_b] * n_b


def test_choices_differ_and_are_about_even() -> None:
    draws = torch.stack([choose_combinations(4, 3, 1, generator=generator(seed)) for seed in range(600)]).double()
    assert (draws.mean(dim=0) - 1 / 3).abs().max() < 0.08  # four standard errors


def test_choice_is_reproducible(global_rng_untouched: None) -> None:
    assert torch.equal(
        choose_combinations(9, 5, 2, generator=generator()), choose_combinations(9, 5, 2, generator=generator())
    )


def test_choice_without_a_generator_follows_torch() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        assert torch.equal(choose_combinations(9, 5, 2), choose_combinations(9, 5, 2, generator=generator()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 1), "n_a and n_b must be at least 1, got 0 and 3"),
        ((3, 0, 1), "n_a and n_b must be at least 1, got 3 and 0"),
        ((3, 4, 0), r"partners must be in \[1, 4\], got 0"),
        ((3, 4, 5), r"partners must be in \[1, 4\], got 5"),
    ],
)
def test_choices_are_checked(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_combinations(*arguments)


# ---- determined


def connected(seen: Tensor) -> Tensor:
    """Which pairs (a, b) are joined by a path of seen pairs: what units for two attributes settle."""
    n_a, n_b = seen.shape
    group = list(range(n_a + n_b))
    for _ in range(n_a + n_b):
        for a, b in seen.nonzero().tolist():
            group[a] = group[n_a + b] = min(group[a], group[n_a + b])
    used = [bool(seen[a].any()) for a in range(n_a)], [bool(seen[:, b].any()) for b in range(n_b)]
    return torch.tensor(
        [[group[a] == group[n_a + b] and used[0][a] and used[1][b] for b in range(n_b)] for a in range(n_a)]
    )


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**25 - 1))
def test_units_for_values_settle_what_hangs_together(n_a: int, n_b: int, bits: int) -> None:
    seen = torch.tensor([bool(bits >> i & 1) for i in range(n_a * n_b)])
    found = determined(compose_codes(torch.eye(n_a), torch.eye(n_b)), seen)
    assert torch.equal(found, connected(seen.view(n_a, n_b)).flatten())


@given(st.integers(0, 63))
def test_units_for_combinations_settle_nothing_new(bits: int) -> None:
    seen = torch.tensor([bool(bits >> i & 1) for i in range(6)])
    assert torch.equal(determined(torch.eye(6), seen), seen)


def test_what_is_settled_follows_from_what_was_seen() -> None:
    codes = torch.cat([normal(4, 3) @ normal(3, 5, seed=1), normal(2, 5, seed=2)])  # four words of rank three
    seen = torch.tensor([True, True, True, False, False, True])
    assert determined(codes, seen).tolist() == [True, True, True, True, False, True]
    assert determined(1e9 * codes, seen).tolist() == determined(1e-9 * codes, seen).tolist()
    first, other = (torch.linalg.lstsq(codes[seen], (codes @ w)[seen]).solution for w in normal(2, 5, seed=3))
    known = normal(2, 5, seed=3) @ codes.T
    close(codes[3] @ first, known[0, 3], 1e-9)
    close(codes[3] @ other, known[1, 3], 1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_determined_of_any_dtype(dtype: torch.dtype) -> None:
    seen = torch.tensor([True, False, True, True])
    assert determined(compose_codes(torch.eye(2), torch.eye(2)).to(dtype), seen).all()


def test_nothing_seen_settles_nothing() -> None:
    assert not determined(torch.eye(3), torch.zeros(3, dtype=torch.bool)).any()


def test_determined_is_checked() -> None:
    with pytest.raises(TypeError, match=r"seen must be a mask of dtype bool, got torch\.int64"):
        determined(torch.eye(2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"seen must have shape \(3,\), one entry for each code, got \(2,\)"):
        determined(torch.eye(3), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="codes must hold finite numbers"):
        determined(torch.tensor([[math.nan]]), torch.tensor([True]))
    with pytest.raises(ValueError, match=r"codes must have shape \(values, units\), both at least 1, got \(2,\)"):
        determined(torch.ones(2), torch.tensor([True, True]))


# ---- colorize


def test_channels_are_multiples_of_the_image() -> None:
    x, colors = normal(4, 1, 5, 3), normal(4, 2, seed=1)
    before = x.clone(), colors.clone()
    painted = colorize(x, colors)
    assert painted.shape == (4, 2, 5, 3)
    for n, k, i, j in itertools.product(range(4), range(2), range(5), range(3)):
        assert painted[n, k, i, j].item() == x[n, 0, i, j].item() * colors[n, k].item()
    assert torch.equal(x, before[0]) and torch.equal(colors, before[1])


def test_colorize_keeps_dtype_and_takes_no_images() -> None:
    assert colorize(normal(2, 1, 3, 4, dtype=torch.float16), torch.ones(2, 3)).dtype == torch.float16
    assert colorize(normal(2, 1, 3, 4), torch.ones(2, 3)).dtype == torch.float64
    assert colorize(torch.zeros(0, 1, 3, 4), torch.zeros(0, 3)).shape == (0, 3, 3, 4)


def test_colorize_has_the_right_gradient() -> None:
    x, colors = normal(2, 1, 2, 3).requires_grad_(), normal(2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(colorize, (x, colors))


@pytest.mark.parametrize(
    ("x", "colors", "error", "message"),
    [
        (torch.zeros(2, 3, 4, 5), torch.ones(2, 3), ValueError, r"x must be gray, of shape \(N, 1, H, W\), got \(2, 3"),
        (torch.zeros(2, 1, 4, 5), torch.ones(1, 3), ValueError, r"colors must have shape \(2, C\), one for each image"),
        (torch.zeros(2, 1, 4, 5), torch.ones(2), ValueError, r"colors must have shape \(2, C\).*got \(2,\)"),
        (torch.zeros(2, 1, 4, 5), torch.ones(2, 0), ValueError, r"colors must have shape \(2, C\).*got \(2, 0\)"),
        (torch.zeros(2, 4, 5), torch.ones(2, 3), ValueError, r"x must have shape \(N, C, H, W\)"),
        (torch.zeros(2, 1, 4, 5, dtype=torch.uint8), torch.ones(2, 3), TypeError, r"x must be a tensor of floating"),
    ],
)
def test_colorize_is_checked(x: Tensor, colors: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        colorize(x, colors)


# ---- CodeScores


def test_scores_are_products_with_the_codes() -> None:
    codes, z = normal(6, 4), normal(3, 2, 4, seed=1)
    scores = CodeScores(codes)(z)
    assert scores.shape == (3, 2, 6)
    for n, m, k in itertools.product(range(3), range(2), range(6)):
        assert scores[n, m, k].item() == pytest.approx(sum(z[n, m, i].item() * codes[k, i].item() for i in range(4)))


def test_a_unit_for_each_class_is_the_usual_classifier() -> None:
    z = normal(3, 5)
    assert torch.equal(CodeScores(torch.eye(5, dtype=torch.float64))(z), z)


@given(sizes, st.integers(0, 99))
def test_the_softmax_over_combinations_is_a_product(counts: list[int], seed: int) -> None:
    eyes = [torch.eye(n, dtype=torch.float64) for n in counts]
    z = 3 * normal(2, sum(counts), seed=seed)
    joint = CodeScores(compose_codes(*eyes))(z).softmax(dim=1).view(2, *counts)
    heads = [part.softmax(dim=1) for part in torch.split(z, counts, dim=1)]
    for values in itertools.product(*map(range, counts)):
        product = math.prod(heads[i][:, v] for i, v in enumerate(values))
        close(joint[(slice(None), *values)], torch.as_tensor(product), 1e-13)


def test_a_class_that_is_never_the_answer_never_wins() -> None:
    x, y = normal(40, 7), torch.randint(5, (40,), generator=generator())
    last = nn.Linear(16, 6).double()
    for p in last.parameters():
        nn.init.zeros_(p)
    model = nn.Sequential(nn.Linear(7, 16).double(), nn.ReLU(), last, CodeScores(torch.eye(6, dtype=torch.float64)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (last.weight[5] <= 0).all() and last.bias[5] < 0
    outputs = model(100 * normal(2000, 7, seed=1))
    assert (outputs[:, 5] < 0).all() and not (outputs.argmax(dim=1) == 5).any()


def test_codes_are_copied_and_not_trained() -> None:
    codes = normal(3, 2).requires_grad_()
    scores = CodeScores(codes)
    with torch.no_grad():
        codes.zero_()
    assert scores.codes.any() and not scores.codes.requires_grad and not list(scores.parameters())
    assert "3 codes of 2 units" in repr(scores)


@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_what_the_units_say_is_checked(shape: tuple[int, ...]) -> None:
    for scores in (CodeScores(torch.ones(6, 4)), WordScores(torch.ones(6, 2), 4)):
        with pytest.raises(ValueError, match=r"z must have shape \(\.\.\., 4\), got \("):
            scores(torch.zeros(shape))


# ---- WordScores

CODES = compose_codes(torch.eye(3), torch.eye(2))


def test_captions_are_sums_of_words() -> None:
    scores = WordScores(CODES, 4, generator=generator(), dtype=torch.float64)
    theirs = nn.EmbeddingBag.from_pretrained(scores.words.detach(), mode="sum")
    bags = torch.tensor([[a, 3 + b] for a in range(3) for b in range(2)])
    close(scores.captions().detach(), theirs(bags))


def test_word_scores_are_scaled_cosines() -> None:
    scores, z = WordScores(CODES, 4, scale=7.0, dtype=torch.float64, generator=generator()), normal(5, 4)
    theirs = 7 * nn.functional.cosine_similarity(z[:, None], scores.captions(), dim=-1)
    close(scores(z), theirs)
    close(scores(9 * z), theirs)
    close(scores(z.view(5, 1, 4)), theirs[:, None])


def test_first_words_have_variance_one_over_dim() -> None:
    words = WordScores(torch.ones(1, 400), 25, generator=generator()).words
    assert words.shape == (400, 25)
    assert abs(words.mean().item()) < 4 * 0.2 / 100
    assert words.square().mean().item() == pytest.approx(1 / 25, rel=4 * 2**0.5 / 100)


def test_first_words_come_from_the_generator(global_rng_untouched: None) -> None:
    first, second = (WordScores(CODES, 4, generator=generator()).words for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, WordScores(CODES, 4, generator=generator(4)).words)


def test_first_words_without_a_generator_follow_torch() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        assert torch.equal(WordScores(CODES, 4).words, WordScores(CODES, 4, generator=generator()).words)


def test_word_scores_have_the_right_gradient() -> None:
    scores = WordScores(CODES, 3, scale=2.0, dtype=torch.float64, generator=generator())

    def run(z: Tensor, words: Tensor) -> Any:
        return torch.func.functional_call(scores, {"words": words}, (z,))

    assert torch.autograd.gradcheck(run, (normal(2, 3).requires_grad_(), scores.words.detach().requires_grad_()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"scale": 0.0}, "scale must be above 0 and finite, got 0.0"),
        ({"scale": math.nan}, "scale must be above 0 and finite, got nan"),
        ({"scale": math.inf}, "scale must be above 0 and finite, got inf"),
        ({"codes": torch.ones(3)}, r"codes must have shape \(values, units\)"),
    ],
)
def test_options_of_word_scores_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WordScores(**({"codes": CODES, "dim": 2} | options))  # type: ignore[arg-type]


def test_word_scores_say_what_they_are() -> None:
    assert "6 captions of 5 words, dim=4, scale=2.5" in repr(WordScores(CODES, 4, scale=2.5))


MODULES: list[Callable[[int], CodeScores | WordScores]] = [
    lambda seed: CodeScores(normal(6, 4, seed=seed, dtype=torch.float32)),
    lambda seed: WordScores(normal(6, 3, seed=seed), 4, generator=generator(seed), dtype=torch.float32),
]


@pytest.mark.parametrize("make", MODULES)
def test_modules_survive_saving_and_copying(make: Callable[[int], CodeScores | WordScores]) -> None:
    module, z = make(1), normal(5, 4, dtype=torch.float32)
    expected, file = module(z), io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    loaded = make(2)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for other in (loaded, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(z), expected)
    assert module.double()(z.double()).dtype == torch.float64


# ---- contrastive_loss


def looped(scores: Tensor, groups: list[int]) -> list[float]:
    """The loss of each pair, written out."""
    n, losses = len(groups), []
    for i in range(n):
        mates = [j for j in range(n) if groups[j] == groups[i]]
        row = sum((scores[i, j] - torch.logsumexp(scores[i], 0)).item() for j in mates)
        column = sum((scores[j, i] - torch.logsumexp(scores[:, i], 0)).item() for j in mates)
        losses.append(-(row + column) / len(mates) / 2)
    return losses


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 99))
def test_loss_is_that_of_a_loop(groups: list[int], seed: int) -> None:
    scores = 3 * normal(len(groups), len(groups), seed=seed)
    expected = torch.tensor(looped(scores, groups), dtype=torch.float64)
    target = torch.tensor(groups)
    close(contrastive_loss(scores, target, reduction="none"), expected)
    close(contrastive_loss(scores, target), expected.mean())
    close(contrastive_loss(scores, target, reduction="sum"), expected.sum())


def test_without_groups_it_is_the_loss_of_clip() -> None:
    scores, own = normal(5, 5), torch.arange(5, device="cpu")
    theirs = (nn.functional.cross_entropy(scores, own) + nn.functional.cross_entropy(scores.T, own)) / 2
    close(contrastive_loss(scores), theirs)
    close(contrastive_loss(scores, own + 7), theirs)


def test_equal_captions_do_not_repel_each_other() -> None:
    scores = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(contrastive_loss(scores, torch.tensor([4, 4, 1])), scores)
    assert grad[0, 0] == grad[0, 1] and grad[0, 1] < 0 < grad[0, 2]


def test_loss_has_the_right_gradient() -> None:
    scores = normal(4, 4).requires_grad_()
    groups = torch.tensor([0, 1, 0, 2])
    assert torch.autograd.gradcheck(lambda s: contrastive_loss(s, groups), (scores,))


def test_loss_can_be_mapped_over_models() -> None:
    scores, groups = normal(3, 4, 4), torch.randint(2, (3, 4), generator=generator())
    mapped = torch.func.vmap(contrastive_loss)(scores, groups)
    close(mapped, torch.stack([contrastive_loss(s, g) for s, g in zip(scores, groups, strict=True)]))


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [
        (torch.zeros(2, 3), None, r"scores must have shape \(N, N\), images by captions, got \(2, 3\)"),
        (torch.zeros(2), None, r"scores must have shape \(N, N\), images by captions, got \(2,\)"),
        (torch.zeros(2, 2), torch.zeros(3), r"groups must have shape \(2,\), one for each pair, got \(3,\)"),
    ],
)
def test_loss_is_checked(scores: Tensor, groups: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contrastive_loss(scores, groups)


def test_reduction_is_checked() -> None:
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', got 'max'"):
        contrastive_loss(torch.zeros(2, 2), reduction="max")  # type: ignore[arg-type]


# ---- analogy and nearest


def test_analogy_by_hand() -> None:
    query, minus, plus = torch.tensor([[0.0, 5.0]]), torch.tensor([1.0, 2.0]), torch.tensor([[4.0, 0.0], [0.0, 0.0]])
    assert analogy(query, minus, plus).tolist() == [[3.0, -1.0], [-1.0, -1.0]]
    assert analogy(query, minus, plus, step=0.5).tolist() == [[1.5, 0.0], [-0.5, 0.0]]
    assert analogy(query, minus, plus, step=0).tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert query.tolist() == [[0.0, 5.0]]


@given(st.integers(0, 99))
def test_the_predicted_step_leads_to_the_other_caption(seed: int) -> None:
    digit, old, new = nn.functional.normalize(normal(3, 8, seed=seed), dim=1)
    old, new = (part - (part @ digit) * digit for part in (old, new))
    new = new * old.norm() / new.norm()  # so that both captions have one length
    caption = digit + old
    found = analogy(9 * caption, old, new, step=1 / caption.norm().item())
    close(found * caption.norm(), digit + new)


def test_analogy_has_the_right_gradient() -> None:
    parts = [normal(2, 3, seed=i).requires_grad_() for i in range(3)]
    assert torch.autograd.gradcheck(lambda *p: analogy(*p, step=0.7), parts)


def test_vectors_of_an_analogy_are_of_one_dimension() -> None:
    with pytest.raises(ValueError, match=r"query, minus and plus must have shape \(\.\.\., D\) with one D, got \["):
        analogy(torch.zeros(2, 3), torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"one D, got \[\(2, 3\), \(\), \(3,\)\]"):
        analogy(torch.zeros(2, 3), torch.tensor(1.0), torch.zeros(3))


@given(st.integers(1, 5), st.integers(2, 7), st.integers(0, 99), st.booleans())
def test_nearest_is_that_of_a_loop(n: int, m: int, seed: int, leave_out: bool) -> None:
    query, candidates = normal(n, 3, seed=seed), normal(m, 3, seed=seed + 1)
    skipped = torch.randint(m, (n,), generator=generator(seed)) if leave_out else None
    expected = []
    for i in range(n):
        allowed = [j for j in range(m) if skipped is None or j != skipped[i]]
        cosines = {j: (query[i] @ candidates[j] / query[i].norm() / candidates[j].norm()).item() for j in allowed}
        expected.append(max(allowed, key=lambda j: cosines[j]))
    assert nearest(query, candidates, leave_out=skipped).tolist() == expected


def test_lengths_do_not_count() -> None:
    query, candidates = torch.tensor([[1.0, 0.1]]), torch.tensor([[0.0, 99.0], [0.01, 0.0], [50.0, 50.0]])
    assert nearest(query, candidates).tolist() == [1]


@pytest.mark.parametrize(
    ("query", "candidates", "leave_out", "message"),
    [
        (torch.zeros(3), torch.zeros(2, 3), None, r"shapes \(N, D\) and \(M, D\), got \[\(3,\), \(2, 3\)\]"),
        (torch.zeros(1, 4), torch.zeros(2, 3), None, r"shapes \(N, D\) and \(M, D\), got \[\(1, 4\), \(2, 3\)\]"),
        (torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0]), r"leave_out must have shape \(2,\), got \(1,\)"),
        (torch.zeros(2, 3), torch.zeros(0, 3), None, "candidates must hold one that counts, got 0 of them"),
        (torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([0]), "candidates must hold one that counts, got 1 of"),
    ],
)
def test_nearest_is_checked(query: Tensor, candidates: Tensor, leave_out: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest(query, candidates, leave_out=leave_out)


# ---- devices


def test_everything_stays_on_its_device(device: torch.device) -> None:
    codes = compose_codes(torch.eye(3).to(device), torch.eye(2).to(device))
    assert codes.device.type == device.type and torch.equal(codes.cpu(), CODES)
    seen = torch.tensor([True, True, True, False, True, False])
    settled = determined(codes, seen.to(device))
    assert settled.device.type == device.type and torch.equal(settled.cpu(), determined(CODES, seen))
    x, colors = normal(2, 1, 3, 4, dtype=torch.float32), torch.rand(2, 3, generator=generator())
    torch.testing.assert_close(colorize(x.to(device), colors.to(device)).cpu(), colorize(x, colors))


def test_spaces_stay_on_their_device(device: torch.device) -> None:
    z, groups = normal(5, 4, dtype=torch.get_default_dtype()), torch.tensor([1, 0, 1, 4, 2])
    here, there = (WordScores(CODES, 4, generator=generator()) for _ in range(2))
    there.to(device)
    scores = there(z.to(device))
    torch.testing.assert_close(scores.cpu(), here(z))
    loss = contrastive_loss(scores[:, :5], groups.to(device))
    torch.testing.assert_close(loss.cpu(), contrastive_loss(here(z)[:, :5], groups))
    query = analogy(z.to(device), there.words[3], there.words[4])
    torch.testing.assert_close(query.cpu(), analogy(z, here.words[3], here.words[4]))
    own = torch.arange(5, device="cpu")
    found = nearest(query, z.to(device), leave_out=own.to(device))
    assert found.device.type == device.type
    assert torch.equal(found.cpu(), nearest(query.cpu(), z, leave_out=own))


def test_words_are_made_where_they_are_wanted(device: torch.device) -> None:
    scores = WordScores(CODES, 4, device=device, dtype=torch.float64, generator=generator())
    assert scores.words.device.type == device.type == scores.codes.device.type
    assert scores.words.dtype == scores.codes.dtype == torch.float64


def test_the_smallest_sizes_that_make_sense_are_taken() -> None:
    assert WordScores(CODES, 1, generator=generator()).words.shape == (CODES.shape[1], 1)
    assert nearest(normal(3, 4), normal(1, 4)).tolist() == [0, 0, 0]
