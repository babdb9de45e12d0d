"""`tricks_lib.data.fitted`: reading batches in float64, and loading a saved fit."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data import fitted
from tricks_lib.data.fitted import Fitted, covariance, fixed_signs, floating, principal_axes, read_batches, wide

X = torch.arange(24.0).view(6, 4)


class Line(Fitted):
    """Two buffers with one number for each feature, of which there must be at least two."""

    slope: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slope", torch.zeros(0))
        self.register_buffer("offset", torch.zeros(0))

    def fits(self, shapes: Mapping[str, torch.Size]) -> bool:
        return shapes["slope"] == shapes["offset"] and len(shapes["slope"]) == 1 and shapes["slope"][0] > 1


def saved(n: int) -> dict[str, Tensor]:
    return {"slope": torch.rand(n), "offset": torch.rand(n)}


# ---- read_batches, wide, floating


def test_a_tensor_is_one_batch_and_batches_are_read_in_order() -> None:
    assert [batch is X for batch in read_batches(X)] == [True]
    loader = DataLoader(TensorDataset(X, torch.arange(6)), batch_size=4)
    assert [batch.tolist() for batch in read_batches(loader)] == [X[:4].tolist(), X[4:].tolist()]
    assert [len(batch) for batch in read_batches([X[:0], [X, 1], (X[:2],), X[:1]])] == [6, 2, 1]
    assert list(read_batches([])) == []


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([None], TypeError, "a batch of x must be a tensor, got NoneType"),
        ([()], TypeError, "a batch of x must be a tensor, got tuple"),
        ([{"x": X}], TypeError, "a batch of x must be a tensor, got dict"),
        (X[0], ValueError, r"x must have shape \(N, \.\.\.\), with features, got \(4,\)"),
        ([X[:, :0]], ValueError, r"x must have shape \(N, \.\.\.\), with features, got \(6, 0\)"),
        ([X[:0, :0]], ValueError, r"x must have shape \(N, \.\.\.\), with features, got \(0, 0\)"),
    ],
)
def test_batches_are_checked(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(read_batches(x))


def test_wide_is_exact_and_finite() -> None:
    assert wide(torch.tensor([2**53, 255])).tolist() == [2.0**53, 255.0]
    assert wide(X).dtype == torch.float64
    for bad in (torch.inf, -torch.inf, torch.nan):
        with pytest.raises(ValueError, match="x must hold finite numbers"):
            wide(torch.tensor([0.0, bad]))
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        wide(torch.tensor([torch.inf, -torch.inf]))
    with pytest.raises(TypeError, match=r"x must hold real numbers, got torch\.complex64"):
        wide(torch.zeros(2, dtype=torch.complex64))
    largest = torch.full((3,), torch.finfo(torch.float64).max, dtype=torch.float64)
    assert torch.equal(wide(largest), largest)  # its sum is infinite, its numbers are not


def test_floating_leaves_fractions_as_they_are() -> None:
    assert floating(X) is X
    for dtype in (torch.uint8, torch.int64, torch.bool):
        assert floating(torch.ones(1, dtype=dtype)).dtype == torch.get_default_dtype()


def test_wide_stays_on_its_device(device: torch.device) -> None:
    assert wide(X.to(device)).device.type == device.type


def test_a_device_without_float64_computes_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.zeros

    def zeros(*size: int, **options: Any) -> Tensor:
        if options.get("dtype") == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64")
        return real(*size, **options)

    monkeypatch.setattr(torch, "zeros", zeros)
    assert fitted._float64_device(torch.device("meta")) == torch.device("cpu")
    monkeypatch.undo()
    assert fitted._float64_device(torch.device("meta")) == torch.device("meta")


# ---- covariance, principal_axes, fixed_signs


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_covariance_by_hand() -> None:
    n, mean, matrix, like = covariance(torch.tensor([[1.0, 4.0], [3.0, 0.0], [5.0, 2.0]]).float().split(2))
    assert n == 3 and mean.tolist() == [3.0, 2.0] and matrix.tolist() == [[4.0, -2.0], [-2.0, 4.0]]
    assert (mean.dtype, matrix.dtype, like.dtype) == (torch.float64, torch.float64, torch.float32)
    assert like.shape == (0, 2)
    assert covariance([torch.tensor([[1], [2]])]).like.dtype == torch.get_default_dtype()


def test_covariance_equals_numpy_also_of_groups_and_in_batches() -> None:
    x = normal(3, 9, 4) + 5
    for batches in ([x], [x[:, :1], x[:, 1:6], x[:, 6:]], (part for part in x.split(2, dim=1))):
        found = covariance(batches)
        assert found.n == 9 and not found.like.numel()
        for c in range(3):
            torch.testing.assert_close(found.mean[c], x[c].mean(dim=0), rtol=0, atol=1e-13)
            expected = torch.from_numpy(np.cov(x[c].numpy(), rowvar=False))
            torch.testing.assert_close(found.covariance[c], expected, rtol=0, atol=1e-12)


def test_covariance_of_data_far_from_zero_does_not_cancel() -> None:
    x = (normal(20, 3) * 2**20).round() / 2**20  # adding 2**30 to multiples of 2**-20 is exact
    near, far = covariance(x.split(7)), covariance((x + 2.0**30).split(7))
    torch.testing.assert_close(far.covariance, near.covariance, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "x must hold at least 2 samples, got 0"),
        ([X[:1]], "x must hold at least 2 samples, got 1"),
        ([X, X[:, :3]], r"x must have 4 features in all batches, got \(6, 3\)"),
        ([X[None], X[None, :, :3]], r"x must have 4 features in all batches, got \(1, 6, 3\)"),
        ([X / 0], "x must hold finite numbers"),
    ],
)
def test_covariance_checks_its_batches(batches: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        covariance(batches)


def test_principal_axes_by_hand() -> None:
    values, axes = principal_axes(torch.tensor([[5.0, 4.0], [4.0, 5.0]], dtype=torch.float64))
    torch.testing.assert_close(values.tolist(), [9.0, 1.0])
    torch.testing.assert_close(axes[0], torch.full((2,), 0.5**0.5, dtype=torch.float64))
    torch.testing.assert_close(axes[1].abs(), axes[0])
    assert axes[1].sum().abs() < 1e-15


def test_principal_axes_give_the_matrix_back_and_the_first_are_the_same() -> None:
    root = normal(3, 5, 5)
    matrix = root @ root.mT
    values, axes = principal_axes(matrix)
    torch.testing.assert_close(axes.mT @ (values[..., None] * axes), matrix, rtol=0, atol=1e-12)
    assert (values.diff() < 0).all()
    some_values, some = principal_axes(matrix, 2)
    assert torch.equal(some_values, values) and torch.equal(some, axes[:, :2])
    assert (axes.gather(-1, axes.abs().argmax(dim=-1, keepdim=True)) > 0).all()


def test_signs_are_those_of_the_largest_entry() -> None:
    axes = torch.tensor([[[0.1, -3.0, 2.0], [1.0, 0.5, -0.5]], [[-1.0, 0.0, 0.0], [-2.0, 2.0, 1.0]]])
    expected = [[[-0.1, 3.0, -2.0], [1.0, 0.5, -0.5]], [[1.0, 0.0, 0.0], [2.0, -2.0, -1.0]]]
    torch.testing.assert_close(fixed_signs(axes), torch.tensor(expected))


def test_covariance_and_axes_stay_on_their_device(device: torch.device) -> None:
    found = covariance([X.to(device)])
    assert found.covariance.device.type == found.like.device.type == device.type
    assert principal_axes(found.covariance)[1].device.type == device.type


# ---- Fitted


@pytest.mark.parametrize("before", [0, 3, 5])
def test_a_fit_of_any_size_loads_also_within_a_model(before: int) -> None:
    line, state = Line(), saved(5)
    if before:
        line.load_state_dict(saved(before))
    model = nn.Sequential(nn.Identity(), line)
    model.load_state_dict({f"1.{name}": value for name, value in state.items()})
    assert torch.equal(line.slope, state["slope"]) and torch.equal(line.offset, state["offset"])
    state["slope"][0] = 9
    assert line.slope[0] != 9  # a copy


def test_dtype_stays_and_assign_takes_the_tensors() -> None:
    line, state = Line().double(), saved(2)
    line.load_state_dict(state)
    assert line.slope.dtype == torch.float64
    line.load_state_dict(state, assign=True)
    assert line.slope is state["slope"]


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"slope": torch.ones(4)}, 'Missing key.*"offset"'),
        (saved(4) | {"offset": torch.ones(3)}, "size mismatch for"),
        (saved(1), "size mismatch for slope"),
        ({"slope": torch.ones(2, 2), "offset": torch.ones(2, 2)}, "size mismatch for slope"),
        (saved(4) | {"offset": None}, "offset"),
    ],
)
def test_a_state_that_does_not_load_changes_nothing(state: dict[str, Any], message: str, before: int) -> None:
    line = Line()
    if before:
        line.load_state_dict(saved(before))
    kept = copy.deepcopy(line.state_dict())
    with pytest.raises(RuntimeError, match=message):
        line.load_state_dict(state)
    assert all(torch.equal(value, kept[name]) for name, value in line.state_dict().items())


def test_a_subclass_says_what_fits() -> None:
    with pytest.raises(TypeError, match=r"abstract method .*fits"):
        Fitted()
