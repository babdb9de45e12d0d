"""Cross-entropy against torch's, a dumb loop and closed forms; accuracy by hand."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tests import pretend_gpu
from tricks_lib.learning.losses import CrossEntropy, accuracy, cross_entropy

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once

SAMPLES, CLASSES = 7, 5


def batch(shape: tuple[int, ...] = (SAMPLES,), dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(*shape, CLASSES, generator=rng, dtype=dtype)
    soft = torch.rand(*shape, CLASSES, generator=rng, dtype=dtype)
    return logits, torch.randint(CLASSES, shape, generator=rng), soft / soft.sum(-1, keepdim=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("soft", [False, True])
def test_equals_torch(soft: bool, smoothing: float, reduction: Any) -> None:
    logits, classes, probabilities = batch()
    target = 1.7 * probabilities if soft else classes  # torch does not ask that they sum to 1
    ours = cross_entropy(logits, target, label_smoothing=smoothing, reduction=reduction)
    theirs = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    module = CrossEntropy(label_smoothing=smoothing, reduction=reduction)
    assert torch.equal(module(logits, target), ours)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_equals_a_dumb_loop_over_any_leading_dimensions(smoothing: float) -> None:
    logits, classes, _ = batch((3, 4))
    losses = cross_entropy(logits, classes, label_smoothing=smoothing, reduction="none")
    for i in range(3):
        for j in range(4):
            z = logits[i, j].tolist()
            log_sum = math.log(sum(map(math.exp, z)))
            share = [smoothing / CLASSES + (1 - smoothing) * (c == classes[i, j].item()) for c in range(CLASSES)]
            assert losses[i, j].item() == pytest.approx(
                sum(q * (log_sum - v) for q, v in zip(share, z, strict=True)), abs=1e-12
            )


def test_probabilities_with_any_leading_dimensions() -> None:
    logits, _, probabilities = batch((3, 4))
    losses = cross_entropy(logits, probabilities, label_smoothing=0.1, reduction="none")
    flat = cross_entropy(logits.flatten(0, 1), probabilities.flatten(0, 1), label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(losses.flatten(), flat, rtol=1e-12, atol=1e-12)


def test_one_sample_without_a_batch() -> None:
    logits, classes, _ = batch()
    expected = F.cross_entropy(logits[0], classes[0])
    torch.testing.assert_close(cross_entropy(logits[0], classes[0]), expected, rtol=1e-12, atol=1e-12)


def test_probabilities_of_one_class_are_that_class() -> None:
    logits, classes, _ = batch()
    one_hot = F.one_hot(classes, CLASSES).double()
    assert torch.equal(CrossEntropy()(logits, classes), cross_entropy(logits, classes))
    for smoothing in (0.0, 0.2):
        a, b = (cross_entropy(logits, t, label_smoothing=smoothing) for t in (classes, one_hot))
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_smoothing_may_differ_from_sample_to_sample() -> None:
    logits, classes, _ = batch()
    shares = torch.linspace(0, 1, SAMPLES, dtype=torch.float64)
    together = cross_entropy(logits, classes, label_smoothing=shares, reduction="none")
    for k, share in enumerate(shares.tolist()):
        alone = cross_entropy(logits[k], classes[k], label_smoothing=share)
        torch.testing.assert_close(together[k], alone, rtol=1e-12, atol=1e-12)


def test_runs_under_vmap() -> None:
    logits, classes, _ = batch((3, 4))
    shares = torch.tensor([0.0, 0.1, 0.5], dtype=torch.float64)

    def one(z: Tensor, y: Tensor, share: Tensor) -> Tensor:
        return cross_entropy(z, y, label_smoothing=share)

    values = torch.func.vmap(one)(logits, classes, shares)
    for k in range(3):
        expected = cross_entropy(logits[k], classes[k], label_smoothing=shares[k].item())
        torch.testing.assert_close(values[k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("soft", [False, True])
def test_gradient(soft: bool) -> None:
    logits, classes, probabilities = batch()
    target = probabilities if soft else classes
    torch.autograd.gradcheck(
        lambda z: cross_entropy(z, target, label_smoothing=0.2, reduction="none"), logits.requires_grad_()
    )
    (gradient,) = torch.autograd.grad(cross_entropy(logits, target, reduction="sum"), logits)
    q = probabilities if soft else F.one_hot(classes, CLASSES)
    torch.testing.assert_close(gradient, logits.softmax(-1) - q, rtol=1e-12, atol=1e-12)  # the closed form


@given(st.floats(-1e4, 1e4), st.floats(0, 1))
def test_a_common_shift_changes_nothing(shift: float, smoothing: float) -> None:
    logits, classes, _ = batch()
    a, b = (cross_entropy(z, classes, label_smoothing=smoothing) for z in (logits, logits + shift))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_huge_logits_stay_finite_and_losses_positive() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4], [80.0, 60.0, 0.0]])
    huge, tiny = cross_entropy(logits, torch.tensor([1, 0]), reduction="none").tolist()
    assert huge == 1e4 and 0 <= tiny < 1e-8
    torch.testing.assert_close(cross_entropy(logits[1:].double(), torch.tensor([0])).item(), math.log1p(math.exp(-20)))


def test_runs_on_the_device_of_its_input(device: torch.device) -> None:
    logits, classes, probabilities = batch(dtype=torch.float32)
    for target in (classes, probabilities):
        on_device = cross_entropy(logits.to(device), target.to(device), label_smoothing=0.1)
        assert on_device.device.type == device.type
        assert torch.equal(on_device.cpu(), cross_entropy(logits, target, label_smoothing=0.1))
    assert torch.equal(accuracy(logits.to(device), classes.to(device)).cpu(), accuracy(logits, classes))


def test_inputs_are_left_alone(global_rng_untouched: None) -> None:
    logits, classes, probabilities = batch()
    for target in (classes, probabilities):
        before = logits.clone(), target.clone()
        cross_entropy(logits, target, label_smoothing=0.1)
        accuracy(logits, target)
        assert torch.equal(logits, before[0]) and torch.equal(target, before[1])


@pytest.mark.parametrize("function", [cross_entropy, accuracy])
@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(3).long(), ValueError, r"must have shape \(4,\) for .*\(4, 3\), got \(3,\)"),
        (torch.zeros(4, 3), torch.zeros(4, 1).long(), ValueError, r"must have shape \(4,\)"),
        (torch.zeros(4, 3), torch.zeros(4).float(), ValueError, r"target of torch.float32 must have shape \(4, 3\)"),
        (torch.zeros(4, 3), torch.zeros(1, 3), ValueError, r"must have shape \(4, 3\)"),
        (torch.zeros(4, 3), torch.zeros(4).int(), TypeError, "classes .int64. or probabilities.*got torch.int32"),
        (torch.tensor(1.0), torch.tensor(0), ValueError, r"logits must have shape \(..., C\)"),
    ],
)
def test_bad_shapes_and_types_are_named(
    function: Any, logits: Tensor, target: Tensor, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        function(logits, target)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"label_smoothing": -0.1}, r"label_smoothing must be in \[0, 1\], got -0.1"),
        ({"label_smoothing": 1.1}, "label_smoothing must be in"),
        ({"label_smoothing": math.nan}, "label_smoothing must be in"),
        ({"reduction": "average"}, "reduction must be 'mean', 'sum' or 'none', got 'average'"),
    ],
)
def test_bad_options_are_named(options: Any, message: str) -> None:
    logits, classes, _ = batch()
    with pytest.raises(ValueError, match=message):
        cross_entropy(logits, classes, **options)
    with pytest.raises(ValueError, match=message):
        CrossEntropy(**options)


def test_module_round_trips() -> None:
    loss = CrossEntropy(label_smoothing=0.1, reduction="sum")
    assert repr(loss) == "CrossEntropy(label_smoothing=0.1, reduction='sum')"
    logits, classes, _ = batch()
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(other(logits, classes), loss(logits, classes))
    assert not loss.state_dict()


def test_accuracy_by_hand() -> None:
    logits = torch.tensor([[[1.0, 2.0], [3.0, 0.0]], [[0.0, 1.0], [5.0, 4.0]]])
    assert accuracy(logits, torch.tensor([[1, 1], [1, 0]])).item() == 0.75
    assert accuracy(logits, torch.tensor([[[0.4, 0.6], [0.2, 0.8]], [[0.9, 0.1], [0.7, 0.3]]])).item() == 0.5
    diverged = torch.full((4, 3), torch.nan)
    assert accuracy(diverged, torch.tensor([0, 1, 2, 1])).item() == 0.25
    assert accuracy(logits.double(), torch.zeros(2, 2).long()).dtype == torch.float64
