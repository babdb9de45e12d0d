"""Side by side: dots are the mean and the t-interval over seeds, tables show what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tricks_lib.experiment.statistics import over_seeds
from tricks_lib.plots.comparisons import confusion_map, dot_rows

ROWS = {"shift": [1.0, 2.0, 4.0], "turn": torch.tensor([-1.0, 0.0, 0.5])}


def test_means_intervals_names_and_mark() -> None:
    (axes,) = dot_rows({"": ROWS}, xlabel="gain (points)", ylabel="change").axes
    dots, mark = axes.lines
    np.testing.assert_allclose(dots.get_xdata(), [over_seeds(values).mean for values in ROWS.values()])
    assert list(dots.get_ydata()) == [0, 1] and list(mark.get_xdata()) == [0, 0]
    (bars,) = axes.collections
    for (start, end), values in zip(bars.get_segments(), ROWS.values(), strict=True):
        assert np.isclose(start[0], over_seeds(values).low) and np.isclose(end[0], over_seeds(values).high)
        assert start[1] == end[1]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["shift", "turn"]
    assert axes.get_ylim() == (1.5, -0.5)  # the first at the top
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("gain (points)", "change")
    assert axes.get_legend() is None


def test_groups_have_their_own_color_symbol_place_and_name() -> None:
    drawing = dot_rows({"a": ROWS, "b": ROWS}, xlabel="error (%)", ylabel="digit", mark=None)
    (axes,) = drawing.axes
    first, second = axes.lines
    assert first.get_color() != second.get_color() and first.get_marker() != second.get_marker()
    assert all(a < row < b for row, (a, b) in enumerate(zip(first.get_ydata(), second.get_ydata(), strict=True)))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert drawing.get_figheight() > dot_rows({"a": ROWS}, xlabel="x", ylabel="y").get_figheight()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "groups must hold 1 to 5, got 0"),
        (dict.fromkeys("abcdef", ROWS), "groups must hold 1 to 5, got 6"),
        ({"a": {}}, "groups must have the same rows, at least one"),
        ({"a": ROWS, "b": {"shift": [1.0, 2.0]}}, "groups must have the same rows, at least one"),
    ],
)
def test_wrong_groups(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dot_rows(groups, xlabel="x", ylabel="y")


def test_confusions_are_written_in_their_places() -> None:
    values = torch.tensor([[0.0, 7.4, 1.0], [-2.0, 0.0, 3.0], [0.2, 0.6, 0.0]])
    drawing = confusion_map(values, ["x", "y", "z"], unit="errors (%)", marked=[(0, 1)])
    axes, scale = drawing.axes
    placed = {tuple(text.get_position()): text.get_text() for text in axes.texts}  # (column, row)
    assert placed[1, 0] == "7" and placed[0, 1] == "-2" and placed[2, 1] == "3" and placed[1, 2] == "1"
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), values)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["x", "y", "z"]
    (frame,) = axes.patches
    assert frame.get_xy() == (0.5, -0.5)
    assert (axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()) == ("taken for", "class", "errors (%)")


@pytest.mark.parametrize(
    ("values", "names"), [(torch.zeros(2, 3), "ab"), (torch.zeros(2, 2), "abc"), (torch.zeros(0, 0), "")]
)
def test_wrong_confusions(values: Any, names: str) -> None:
    with pytest.raises(ValueError, match="values must have shape"):
        confusion_map(values, names, unit="%")
