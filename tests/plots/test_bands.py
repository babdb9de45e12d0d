"""`tricks_lib.plots.bands`: curves over seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from torch import Tensor

from tricks_lib.plots.bands import seed_bands
from tricks_lib.plots.style import COLORS, figure

X = [1, 10, 100]
CURVES = {"a": torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 7.0]]), "b": torch.tensor([[0.0, 0.5, 4.0]])}


def test_lines_are_means_and_bands_reach_from_lowest_to_highest() -> None:
    (axes,) = seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)").axes
    bands = [band for band in axes.collections if isinstance(band, PolyCollection)]
    for line, band, color, values in zip(axes.lines, bands, COLORS, CURVES.values(), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), X)
        np.testing.assert_array_equal(line.get_ydata(), values.mean(dim=0).numpy())
        assert line.get_color() == color
        corners = band.get_paths()[0].vertices
        for x, lowest, highest in zip(X, values.amin(dim=0), values.amax(dim=0), strict=True):
            heights = corners[corners[:, 0] == x][:, 1]
            assert (heights.min(), heights.max()) == (lowest, highest)
    assert len(axes.lines) == len(bands) == 2


def test_names_stand_at_the_right_ends() -> None:
    (axes,) = seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)").axes
    assert [(name.get_text(), name.xy) for name in axes.texts] == [("a", (100, 5.0)), ("b", (100, 4.0))]  # type: ignore[attr-defined]


def test_names_do_not_cover_the_curves() -> None:
    drawing = seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)")
    drawing.draw_without_rendering()
    (axes,) = drawing.axes
    for name, line in zip(axes.texts, axes.lines, strict=True):
        x, y = axes.transData.transform(line.get_xydata()[-1])
        around = name.get_window_extent()
        assert 5 < around.x0 - x < 15 and around.y0 < y < around.y1  # dots


def test_ten_curves_have_ten_colors() -> None:
    (axes,) = seed_bands([1], {str(k): torch.ones(2, 1) for k in range(10)}, xlabel="x", ylabel="y").axes
    assert [line.get_color() for line in axes.lines] == list(COLORS)


def test_axes_have_names_and_scales() -> None:
    (linear,) = seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)").axes
    (log,) = seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)", log=True).axes
    assert (linear.get_xlabel(), linear.get_ylabel()) == ("digits", "error (%)")
    assert (linear.get_xscale(), log.get_xscale()) == ("linear", "log")


def test_a_mark_is_a_vertical_line() -> None:
    (axes,) = seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)", mark=50).axes
    np.testing.assert_array_equal(axes.lines[-1].get_xdata(), [50, 50])
    assert np.ptp(to_rgb(axes.lines[-1].get_color())) < 0.1  # gray: it is no curve


def test_axes_can_be_given() -> None:
    drawing, (left, right) = figure(columns=2)
    assert seed_bands(X, CURVES, xlabel="digits", ylabel="error (%)", ax=right) is drawing
    assert not left.lines and len(right.lines) == 2


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "curves must hold 1 to 10, got 0"),
        ({str(n): torch.zeros(1, 3) for n in range(11)}, "curves must hold 1 to 10, got 11"),
        ({"a": torch.zeros(3)}, r"a must have shape \(S, 3\), seeds by places, got \(3,\)"),
        ({"a": torch.zeros(3, 2)}, r"a must have shape \(S, 3\), seeds by places, got \(3, 2\)"),
        ({"a": torch.zeros(0, 3)}, r"a must have shape \(S, 3\), seeds by places, got \(0, 3\)"),
    ],
)
def test_curves_are_checked(curves: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seed_bands(X, curves, xlabel="digits", ylabel="error (%)")


def test_values_may_be_anywhere(device: torch.device) -> None:
    there = {name: values.to(device) for name, values in CURVES.items()}
    (axes,) = seed_bands(X, there, xlabel="digits", ylabel="error (%)").axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [2, 2, 5])
