"""`tricks_lib.plots.descent`: paths on a quadratic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tricks_lib.plots.descent import descent_panels

PATH = torch.tensor([[4.0, 2.0], [2.0, -1.0], [1.0, 0.5]])
CURVATURE = torch.tensor([0.5, 3.0])


def test_path_and_losses_by_hand() -> None:
    left, right = descent_panels(PATH, CURVATURE, title="rate 0.1").axes
    np.testing.assert_array_equal(left.lines[0].get_xydata(), PATH.numpy())
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 0.25, 0.0625])  # type: ignore[arg-type]
    np.testing.assert_array_equal(right.lines[0].get_xdata(), [0, 1, 2])
    assert left.get_title() == "rate 0.1"
    assert right.get_yscale() == "log"


def test_the_curvature_weighs_the_loss() -> None:
    _, right = descent_panels(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([3.0, 1.0])).axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 0.25])  # type: ignore[arg-type]


def test_contours_are_those_of_the_loss() -> None:
    left, _ = descent_panels(PATH, CURVATURE).axes
    (contours,) = left.collections
    for path, share in zip(contours.get_paths(), (0.05, 0.25, 0.6, 1, 1.6), strict=True):
        inside = np.abs(path.vertices).max(axis=0) if len(path.vertices) else None
        assert inside is not None
        loss = 0.5 * (path.vertices**2 * CURVATURE.numpy()).sum(axis=1)
        np.testing.assert_allclose(loss, share * 10, rtol=0.02)  # the loss of the start is 10


def test_drawings_with_one_start_can_be_compared() -> None:
    far = torch.tensor([[4.0, 2.0], [90.0, -70.0], [1e9, 1e9]])
    for one, other in zip(descent_panels(PATH, CURVATURE).axes, descent_panels(far, CURVATURE).axes, strict=True):
        assert one.get_xlim() == other.get_xlim() and one.get_ylim() == other.get_ylim()


@pytest.mark.parametrize(
    ("path", "curvature", "message"),
    [
        (PATH.T, CURVATURE, r"path must have shape \(T, 2\), T >= 2, and curvature \(2,\), got \(2, 3\)"),
        (PATH[:1], CURVATURE, r"got \(1, 2\) and \(2,\)"),
        (PATH, torch.ones(3), r"got \(3, 2\) and \(3,\)"),
        (torch.zeros(3, 2), CURVATURE, "path must start away from the minimum"),
    ],
)
def test_shapes_are_checked(path: Tensor, curvature: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        descent_panels(path, curvature)


def test_paths_may_be_anywhere(device: torch.device) -> None:
    left, _ = descent_panels(PATH.to(device), CURVATURE.to(device)).axes
    np.testing.assert_array_equal(left.lines[0].get_xydata(), PATH.numpy())
