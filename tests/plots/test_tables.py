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


def test_numbers_stand_out_from_their_ground() -> None:
    drawing = value_table(np.array([[0.0, 10.0]]), rows=[1], columns=[1, 2], form=".0f", **NAMES)
    assert [(text.get_text(), text.get_color()) for text in drawing.axes[0].texts] == [("0", "white"), ("10", "black")]


def test_one_value() -> None:
    assert len(value_table(np.array([[3.0]]), rows=[1], columns=[1], **NAMES).axes[0].texts) == 1


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
