"""Side by side: dots are the mean and the t-interval over seeds, tables show what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from torch import Tensor

from tests.plots.layout import has_grid, size
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


@pytest.fixture(scope="module")
def grouped() -> Axes:
    (axes,) = dot_rows(dict.fromkeys("abcde", ROWS), xlabel="error (%)", ylabel="digit", mark=None).axes
    return axes


def test_groups_have_their_own_color_symbol_and_name(grouped: Axes) -> None:
    assert len({line.get_color() for line in grouped.lines}) == len({line.get_marker() for line in grouped.lines}) == 5
    for line, bars in zip(grouped.lines, grouped.collections, strict=True):
        assert to_hex(bars.get_edgecolor()[0]) == line.get_color()  # type: ignore[index]
    assert [text.get_text() for text in grouped.get_legend().get_texts()] == list("abcde")


def test_two_groups_have_a_legend() -> None:
    (axes,) = dot_rows({"a": ROWS, "b": ROWS}, xlabel="x", ylabel="y").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_the_dots_of_a_row_stand_around_it_and_apart(grouped: Axes) -> None:
    places = np.array([line.get_ydata() for line in grouped.lines])  # (groups, rows)
    assert (np.diff(places, axis=0) > 0.2).all()
    np.testing.assert_allclose(places.mean(axis=0), [0, 1], atol=1e-12)
    assert np.abs(places - [0, 1]).max() < 0.5


def row_height(rows: int, groups: int) -> float:
    values = {f"row {k}": [1.0, 2.0] for k in range(rows)}
    (axes,) = dot_rows(dict.fromkeys("abcde"[:groups], values), xlabel="x", ylabel="y").axes
    return size(axes)[1] / rows


@pytest.mark.parametrize("rows", [2, 25])
def test_rows_are_as_high_as_their_names_and_more_groups_make_them_higher(rows: int) -> None:
    assert 0.2 < row_height(rows, groups=1) < 0.4
    assert 1.1 < row_height(rows, groups=2) / row_height(rows, groups=1) < 1.4


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


VALUES = torch.tensor([[0.0, 7.4, 1.0], [-2.0, 0.0, 3.0], [0.2, 0.6, 0.0]])


@pytest.fixture(scope="module")
def confusions() -> tuple[Axes, Axes]:
    axes, scale = confusion_map(VALUES, [4, 5, 6], unit="errors (%)", marked=[(0, 1)]).axes
    return axes, scale


def test_confusions_are_written_in_their_places(confusions: tuple[Axes, Axes]) -> None:
    axes, scale = confusions
    placed = {tuple(text.get_position()): text.get_text() for text in axes.texts}  # (column, row)
    assert placed[1, 0] == "7" and placed[0, 1] == "-2" and placed[2, 1] == "3" and placed[1, 2] == "1"
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), VALUES)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [text.get_text() for text in labels] == ["4", "5", "6"]
    assert (axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()) == ("taken for", "class", "errors (%)")
    assert scale.yaxis.label.get_size() == axes.yaxis.label.get_size()


def test_no_line_crosses_a_number_and_those_on_dark_cells_are_white(confusions: tuple[Axes, Axes]) -> None:
    axes, _ = confusions
    assert not has_grid(axes)
    assert [text.get_text() for text in axes.texts if text.get_color() == "white"] == ["7"]


def test_a_frame_lies_around_its_cell(confusions: tuple[Axes, Axes]) -> None:
    (frame,) = confusions[0].patches
    assert isinstance(frame, Rectangle) and frame.get_bbox().extents.tolist() == [0.5, -0.5, 1.5, 0.5]
    assert not frame.get_fill()
    red, _, blue, _ = frame.get_edgecolor()
    assert blue - red > 0.5  # the cells are orange


@pytest.mark.parametrize(
    ("values", "scale"),
    [(VALUES, (-2, 7.4)), (VALUES[:1, 2:] / 2, (0, 0.5)), (VALUES[1:2, :1], (-2, 0)), (VALUES[:1, :1], (0, 0))],
)
def test_the_scale_holds_zero_and_all_values(values: Tensor, scale: tuple[float, float]) -> None:
    (picture,) = confusion_map(values, range(len(values)), unit="%").axes[0].get_images()
    low, high = picture.get_clim()
    assert (low, high) == pytest.approx(scale, abs=1e-6) and low < high


@pytest.mark.parametrize("classes", [2, 12])
def test_cells_have_room_for_their_number(classes: int) -> None:
    axes, _ = confusion_map(torch.zeros(classes, classes), range(classes), unit="%").axes
    assert 0.2 < size(axes)[1] / classes < 0.6


@pytest.mark.parametrize(
    ("values", "names"), [(torch.zeros(2, 3), "ab"), (torch.zeros(2, 2), "abc"), (torch.zeros(0, 0), "")]
)
def test_wrong_confusions(values: Any, names: str) -> None:
    with pytest.raises(ValueError, match="values must have shape"):
        confusion_map(values, names, unit="%")
