"""`tricks_lib.data.fitted`: reading batches in float64, and loading a saved fit."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.data import fitted
from tricks_lib.data.fitted import Fitted, floating, read_batches, wide

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
