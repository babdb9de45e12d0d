"""`tricks_lib.data.neighbor_maps`: the share of triplets that keep their order in a picture."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tricks_lib.data.looking import PCA
from tricks_lib.data.neighbor_maps import triplet_preservation


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shares_in_a_loop(x: list[list[float]], z: list[list[float]]) -> list[float]:
    """Return the share of all triplets of each sample that keep their order."""
    shares = []
    for i in range(len(x)):
        kept = []
        for j, k in itertools.permutations([m for m in range(len(x)) if m != i], 2):
            in_x = math.dist(x[i], x[j]) - math.dist(x[i], x[k])
            in_z = math.dist(z[i], z[j]) - math.dist(z[i], z[k])
            kept.append((in_x > 0) - (in_x < 0) == (in_z > 0) - (in_z < 0))
        shares.append(sum(kept) / len(kept))
    return shares


def test_by_hand() -> None:
    """On a line at 0, 1, 3 and in the picture at 0, 5, 3: the last is nearer to the first than the second is."""
    x, z = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [5.0], [3.0]])
    # of 0: 1 nearer than 3, in the picture 3 nearer; of 1: 0 nearer, then 3; of 3: 1 nearer in both
    assert triplet_preservation(x, z, 4).tolist() == [0.0, 0.0, 1.0]


@settings(max_examples=15)
@given(st.integers(3, 7), st.integers(0, 1000))
def test_many_draws_approach_a_loop_over_all_triplets_ties_included(size: int, seed: int) -> None:
    x = torch.randint(0, 3, (size, 2, 2), generator=seeded(seed)).double()  # many equal distances
    z = torch.randint(0, 3, (size, 2), generator=seeded(seed + 1)).double()
    expected = torch.tensor(shares_in_a_loop(x.flatten(1).tolist(), z.tolist()))
    n = 4000
    shares = triplet_preservation(x, z.float(), n, generator=seeded(seed))
    assert (shares - expected).abs().max().item() < 5 * 0.5 / math.sqrt(n)  # five standard errors, at the most


def test_every_pair_of_others_is_drawn_equally_often() -> None:
    """A single pair (j, k) that keeps its order, among all those of sample i, is found with its probability."""
    size, n = 5, 40_000
    x = torch.eye(size, dtype=torch.float64)  # all distances equal: a tie everywhere
    for j, k in itertools.combinations(range(1, size), 2):
        z = torch.zeros(size, 1, dtype=torch.float64)
        z[0], z[1:, 0] = 0, torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
        z[k] = z[j]  # the only tie of sample 0
        share = triplet_preservation(x, z, n, generator=seeded(j + 10 * k))[0].item()
        assert share == pytest.approx(2 / (4 * 3), abs=0.01)


@pytest.mark.parametrize("i", range(4))
def test_a_sample_is_never_compared_with_itself_nor_a_pair_of_one(i: int) -> None:
    """Both would count: a sample is nearest to itself in any picture, and one sample is as near as itself."""
    x = torch.tensor([[0.0], [1.0], [2.5], [4.5]])  # from no place are two others equally far
    z = torch.stack([-(x[:, 0] - x[i]).abs().sub(9).mul(x[:, 0] != x[i]), torch.zeros(4)], dim=1)
    assert triplet_preservation(x, z, 500, generator=seeded(i))[i].item() == 0  # what is near is far: nothing is kept


def test_a_picture_that_is_turned_scaled_and_moved_keeps_everything() -> None:
    x = normal(20, 3)
    turn, _ = torch.linalg.qr(normal(3, 3, seed=1))
    assert (triplet_preservation(x, 7 * x @ turn + 3, 50) == 1).all()
    assert (triplet_preservation(x, PCA(3).fit(x)(x), 50) == 1).all()


def test_points_far_from_zero_keep_their_triplets() -> None:
    """Distances by matrix products would cancel here."""
    x = (normal(30, 4) * 2**16).round() / 2**16  # multiples of 2**-16: adding 2**30 is exact
    assert (triplet_preservation(x + 2.0**30, x, 50) == 1).all()


def test_chance_keeps_one_half() -> None:
    shares = [
        triplet_preservation(normal(30, 4, seed=s), normal(30, 2, seed=s + 500), 50, generator=seeded(s))
        for s in range(200)
    ]
    assert torch.stack(shares).mean().item() == pytest.approx(0.5, abs=0.01)


def test_shapes_and_dtypes() -> None:
    x = torch.randint(0, 256, (9, 1, 5, 4), generator=seeded(), dtype=torch.uint8)
    flat = triplet_preservation(x.flatten(1).double(), normal(9, 2), 30, generator=seeded())
    assert flat.shape == (9,) and flat.dtype == torch.float64
    assert torch.equal(triplet_preservation(x, normal(9, 2), 30, generator=seeded()), flat)
    narrow = triplet_preservation(x, normal(9, 2).float(), 30)
    assert narrow.dtype == torch.float32
    assert triplet_preservation(x, x.long(), 3).dtype == torch.get_default_dtype()
    assert triplet_preservation(x, x, 1).tolist() == [1.0] * 9


def test_same_generator_same_result_and_no_other_randomness(global_rng_untouched: None) -> None:
    x, z = normal(12, 5), normal(12, 2, seed=1)
    one, again, other = (triplet_preservation(x, z, 7, generator=seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_without_a_generator_the_global_one_is_drawn_from() -> None:
    x, z = normal(12, 5), normal(12, 2, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        one = triplet_preservation(x, z, 7)
        two = triplet_preservation(x, z, 7)
    assert torch.equal(one, triplet_preservation(x, z, 7, generator=seeded(3)))
    assert not torch.equal(one, two)


def test_inputs_stay_as_they_are() -> None:
    x, z = normal(5, 3), normal(5, 2)
    triplet_preservation(x, z, 2)
    assert torch.equal(x, normal(5, 3)) and torch.equal(z, normal(5, 2))


def test_the_result_is_where_the_picture_is(device: torch.device) -> None:
    x, z = normal(12, 5, dtype=torch.float32), normal(12, 2, seed=1, dtype=torch.float32)
    expected = triplet_preservation(x, z, 7, generator=seeded())
    result = triplet_preservation(x.to(device), z.to(device), 7, generator=seeded())
    assert result.device.type == device.type
    assert torch.equal(result.cpu(), expected)
    assert triplet_preservation(x, z.to(device), 7).device.type == device.type


@pytest.mark.parametrize(
    ("sizes", "n", "message"),
    [
        ((4, 5), 2, "x and z must hold the same samples, got 4 and 5"),
        ((2, 2), 2, "x must hold at least 3 samples, got 2"),
        ((4, 4), 0, "n must be a whole number, at least 1, got 0"),
        ((4, 4), 2.5, "n must be a whole number, at least 1, got 2.5"),
    ],
)
def test_sizes_are_checked(sizes: tuple[int, int], n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        triplet_preservation(normal(sizes[0], 3), normal(sizes[1], 2), n)


@pytest.mark.parametrize(("x", "z", "name"), [((4,), (4, 2), "x"), ((4, 3), (4,), "z")])
def test_a_sample_is_a_row(x: tuple[int, ...], z: tuple[int, ...], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must have shape \(N, \.\.\.\) with at least two dimensions, got \("):
        triplet_preservation(normal(*x), normal(*z), 2)


@pytest.mark.parametrize("name", ["x", "z"])
def test_numbers_must_be_finite(name: str) -> None:
    points = {"x": normal(4, 3), "z": normal(4, 2)}
    points[name][1, 1] = math.nan
    with pytest.raises(ValueError, match=f"{name} must hold finite numbers"):
        triplet_preservation(**points, n=2)
