"""Lines with intervals: what is drawn is the mean and the t-interval over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tricks_lib.experiment.statistics import over_seeds
from tricks_lib.plots.style import COLORS, figure
from tricks_lib.plots.sweeps import seed_intervals

VALUES = np.array([[1.0, 4.0, 2.0], [2.0, 4.5, 8.0], [4.0, 5.0, np.nan]])


def test_mean_and_interval() -> None:
    drawing = seed_intervals({"a": ([1, 2, 3], VALUES)}, xlabel="epoch", ylabel="loss")
    (axes,) = drawing.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [7 / 3, 4.5, np.nan])
    estimate = over_seeds(VALUES[:, 0])
    corners = axes.collections[0].get_paths()[0].vertices
    assert np.isclose(corners[:, 1].min(), estimate.low) and np.isclose(corners[:, 1].max(), estimate.high)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("epoch", "loss", "linear")
    assert axes.get_legend() is None


def test_several_lines_one_seed_log_axis_and_given_axes() -> None:
    _, (axes,) = figure()
    lines = {"a": ([1, 100, 1000], VALUES), "b": ([1, 10], VALUES[:1, :2])}
    drawing = seed_intervals(lines, xlabel="lr", ylabel="loss", log=True, ax=axes)
    assert drawing is axes.get_figure(root=True) and axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]
    assert axes.lines[1].get_ydata().tolist() == [1.0, 4.0]
    (band,) = axes.collections[1].get_paths()
    assert {tuple(corner) for corner in band.vertices} == {(1, 1), (10, 4)}, "no width, but it is there"
    assert axes.lines[0].get_color() != axes.lines[1].get_color()


def test_ten_lines_have_ten_colors() -> None:
    (axes,) = seed_intervals({str(k): ([1], VALUES[:, :1]) for k in range(10)}, xlabel="x", ylabel="y").axes
    assert [line.get_color() for line in axes.lines] == list(COLORS)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({}, "lines must hold 1 to 10 lines, got 0"),
        ({str(k): ([1], VALUES[:, :1]) for k in range(11)}, "lines must hold 1 to 10 lines, got 11"),
        ({"a": ([1, 2], VALUES)}, r"a must have shape \(S, 2\), seeds by places, got \(3, 3\)"),
        ({"a": ([1, 2, 3], VALUES[0])}, r"a must have shape \(S, 3\), seeds by places, got \(3,\)"),
    ],
)
def test_bad_lines_are_named(lines: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seed_intervals(lines, xlabel="x", ylabel="y")
