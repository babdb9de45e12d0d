"""`tricks_lib.plots.descent`: paths on a quadratic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import Tensor

from tests.plots.layout import size
from tricks_lib.plots.descent import descent_panels

PATH = torch.tensor([[4.0, 2.0], [2.0, -1.0], [1.0, 0.5]])
CURVATURE = torch.tensor([0.5, 3.0])


@pytest.fixture(scope="module")
def panels() -> tuple[Axes, Axes]:
    left, right = descent_panels(PATH, CURVATURE, title="rate 0.1").axes
    return left, right


def test_path_and_losses_by_hand(panels: tuple[Axes, Axes]) -> None:
    left, right = panels
    path, minimum = left.lines
    np.testing.assert_array_equal(path.get_xydata(), PATH.numpy())
    np.testing.assert_array_equal(minimum.get_xydata(), [[0, 0]])
    (losses,) = right.lines
    np.testing.assert_array_equal(losses.get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(losses.get_ydata(), [1, 0.25, 0.0625])  # type: ignore[arg-type]
    assert path.get_color() == losses.get_color() != minimum.get_color()


def test_panels_say_what_they_show(panels: tuple[Axes, Axes]) -> None:
    left, right = panels
    assert (left.get_xlabel(), left.get_ylabel(), left.get_title()) == (
        "weight 1 (flat)",
        "weight 2 (sharp)",
        "rate 0.1",
    )
    assert (right.get_xlabel(), right.get_ylabel(), right.get_title()) == ("step", "loss / first loss", "")
    assert descent_panels(PATH, CURVATURE).axes[0].get_title() == ""


def test_losses_are_seen_from_first_to_last_on_a_long_log_scale(panels: tuple[Axes, Axes]) -> None:
    _, right = panels
    assert right.get_yscale() == "log" and right.get_xlim() == (0, 2)
    assert right.get_ylim() == pytest.approx((1e-5, 1e2))


@pytest.mark.parametrize("start", [(4.0, 2.0), (-4.0, 0.1), (1.0, -4.0)])
def test_the_minimum_is_in_the_middle_and_the_start_just_inside(start: tuple[float, float]) -> None:
    left, _ = descent_panels(torch.tensor([start, (0.0, 0.0)]), CURVATURE).axes
    (low, right), (bottom, top) = left.get_xlim(), left.get_ylim()
    assert (low, bottom) == (-right, -top)
    assert 1.2 < min(right / abs(start[0]), top / abs(start[1])) < 1.5
    width, height = size(left)
    assert 0.9 < height / width * right / top < 1.3  # as if both weights had one scale, nearly


def test_the_curvature_weighs_the_loss() -> None:
    _, right = descent_panels(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([3.0, 1.0])).axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 0.25])  # type: ignore[arg-type]


def test_contours_are_those_of_the_loss_in_pale_gray(panels: tuple[Axes, Axes]) -> None:
    (contours,) = panels[0].collections
    for path, share in zip(contours.get_paths(), (0.05, 0.25, 0.6, 1, 1.6), strict=True):
        assert len(path.vertices) > 50
        loss = 0.5 * (path.vertices**2 * CURVATURE.numpy()).sum(axis=1)
        np.testing.assert_allclose(loss, share * 10, rtol=0.02)  # the loss of the start is 10
    ((red, green, blue, _),) = np.unique(contours.get_edgecolor(), axis=0)
    assert red == green == blue > 0.7


def test_the_scale_of_the_loss_does_not_matter() -> None:
    for one, other in zip(
        descent_panels(PATH, CURVATURE).axes, descent_panels(PATH, 1e-6 * CURVATURE).axes, strict=True
    ):
        np.testing.assert_allclose(other.lines[0].get_xydata(), one.lines[0].get_xydata())  # type: ignore[arg-type]


def test_a_path_may_end_in_the_minimum() -> None:
    _, right = descent_panels(torch.tensor([[4.0, 2.0], [0.0, 0.0]]), CURVATURE).axes
    assert right.lines[0].get_xydata().tolist() == [[0, 1], [1, 0]]  # type: ignore[union-attr]


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
