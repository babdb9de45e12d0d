"""Points with intervals: what is drawn is the estimate, where it belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tricks_lib.experiment.statistics import over_seeds
from tricks_lib.plots.groups import group_intervals
from tricks_lib.plots.style import figure

ONE, TWO = over_seeds([1.0, 2.0, 4.0]), over_seeds([5.0, 5.0, 8.0])


def test_points_and_bars() -> None:
    drawing = group_intervals(["x", "y"], {"ours": [ONE, TWO], "theirs": [TWO, ONE]}, xlabel="share (%)", ylabel="kind")
    (axes,) = drawing.axes
    points, _, (bars,) = axes.containers[0]
    np.testing.assert_allclose(np.asarray(points.get_xdata(), float), [7 / 3, 6.0])
    np.testing.assert_allclose(np.asarray(points.get_ydata(), float), [-0.125, 0.875])
    np.testing.assert_allclose(np.asarray(bars.get_segments()[1], float)[:, 0], [TWO.low, TWO.high])
    np.testing.assert_allclose(np.asarray(axes.containers[1][0].get_ydata(), float), [0.125, 1.125])
    assert points.get_marker() != axes.containers[1][0].get_marker()
    assert points.get_color() != axes.containers[1][0].get_color()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["x", "y"]
    assert axes.get_ylim() == (1.5, -0.5)  # the first group on top
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["ours", "theirs"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("share (%)", "kind")


def test_each_group_adds_a_row() -> None:
    heights = [
        group_intervals(["x"] * n, {"a": [ONE] * n}, xlabel="x", ylabel="y").get_size_inches()[1] for n in (1, 5, 9)
    ]
    assert 1.2 < heights[0] < 1.5
    np.testing.assert_allclose(np.diff(heights) / 4, 0.3, atol=0.1)


def test_five_series_are_told_apart_by_a_legend_above_in_two_columns() -> None:
    drawing = group_intervals(["x"], {name: [ONE] for name in "abcde"}, xlabel="x", ylabel="y")
    drawing.draw_without_rendering()
    (axes,) = drawing.axes
    box, legend = axes.get_window_extent(), axes.get_legend()
    around = legend.get_window_extent()
    assert 0 < around.y0 - box.y1 < 15  # dots
    assert (around.x0 + around.x1) / 2 == pytest.approx((box.x0 + box.x1) / 2)
    places = [text.get_window_extent() for text in legend.get_texts()]
    assert len({round(place.x0) for place in places}) == 2
    for kind in ("get_marker", "get_color"):
        assert len({getattr(points, kind)() for points, *_ in axes.containers}) == 5


def test_one_series_has_no_legend_and_axes_can_be_given() -> None:
    _, (axes,) = figure()
    drawing = group_intervals(["x"], {"ours": [ONE]}, xlabel="share", ylabel="kind", ax=axes)
    assert drawing is axes.get_figure(root=True) and axes.get_legend() is None


@pytest.mark.parametrize(
    ("groups", "series", "message"),
    [
        ([], {"a": []}, "groups must hold at least one name"),
        (["x"], {}, "series must hold 1 to 5, got 0"),
        (["x"], {name: [ONE] for name in "abcdef"}, "series must hold 1 to 5, got 6"),
        (["x", "y"], {"a": [ONE]}, "a must have an estimate for each of 2 groups, got 1"),
    ],
)
def test_shapes_are_checked(groups: list[str], series: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        group_intervals(groups, series, xlabel="x", ylabel="y")
