"""`tricks_lib.plots.tables`: numbers as colored squares."""

from __future__ import annotations

import numpy as np
import pytest

from tricks_lib.plots.tables import value_table

NAMES = {"ylabel": "N", "xlabel": "M", "unit": "points"}


def test_numbers_names_and_units_are_shown() -> None:
    values = np.array([[1.0, 2.0, 9.0], [4.0, 5.5, 0.0]])
    drawing = value_table(values, rows=[1, 2], columns=["a", "b", "c"], **NAMES)
    axes, scale = drawing.axes
    assert [text.get_text() for text in axes.texts] == ["1.0", "2.0", "9.0", "4.0", "5.5", "0.0"]
    assert [text.get_position() for text in axes.texts][:4] == [(0, 0), (1, 0), (2, 0), (0, 1)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2"]
    assert (axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()) == ("M", "N", "points")
    np.testing.assert_array_equal(axes.images[0].get_array(), values)
    assert not any(line.get_visible() for line in (*axes.get_xgridlines(), *axes.get_ygridlines()))
    assert {tick.get_markersize() for tick in (*axes.get_xticklines(), *axes.get_yticklines())} == {0}


@pytest.mark.parametrize(
    ("numbers", "light"),
    [([0, 4, 5, 6, 10], [0, 4, 5]), ([-10, -6, -4, 0], [-10, -6]), ([3], [3])],  # one color alone is the dark one
)
def test_numbers_stand_out_from_their_ground(numbers: list[int], light: list[int]) -> None:
    values = np.array([numbers], float)
    (axes, _) = value_table(values, rows=[1], columns=numbers, form=".0f", **NAMES).axes
    assert [int(text.get_text()) for text in axes.texts] == numbers
    assert [text.get_color() for text in axes.texts] == ["white" if n in light else "black" for n in numbers]


@pytest.mark.parametrize("shape", [(1, 1), (4, 6)])
def test_cells_are_as_large_in_any_table(shape: tuple[int, int]) -> None:
    rows, columns = shape
    drawing = value_table(np.zeros(shape), rows=range(rows), columns=range(columns), **NAMES)
    drawing.draw_without_rendering()
    width, height = drawing.axes[0].get_window_extent().size / drawing.dpi
    assert 1 < width / columns < 2.5 and 0.5 < height / rows < 1.2  # inches


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), r"values must have shape \(1, 2\), got \(2, 3\)"),
        (np.array([[0.0, np.nan]]), "values must be finite"),
    ],
)
def test_values_are_checked(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value_table(values, rows=[1], columns=[1, 2], **NAMES)
