"""`tricks_lib.plots.distortions`: photographs with notes, gains in colored cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from tricks_lib.plots.distortions import gain_table, photo_table

NAMES: dict[str, Any] = {"unit": "points", "xlabel": "test", "ylabel": "training"}


def photos(n: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, 4, 6, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


def test_each_photograph_is_shown_with_its_note() -> None:
    x = photos(3)
    drawing = photo_table(x, ["a", "b", 7], columns=2)
    assert [panel.get_title() for panel in drawing.axes] == ["a", "b", "7"]
    for panel, photo in zip(drawing.axes, x, strict=True):
        np.testing.assert_array_equal(np.asarray(panel.get_images()[0].get_array()), photo.permute(1, 2, 0).numpy())
        assert not panel.axison


def test_gray_becomes_color_and_too_bright_becomes_white() -> None:
    x = photos(1, channels=1) + 0.5
    (image,) = photo_table(x, [""]).axes[0].get_images()
    expected = x[0, 0].clamp(max=1)[:, :, None].expand(-1, -1, 3).numpy()
    np.testing.assert_array_equal(np.asarray(image.get_array()), expected)


def test_more_rows_make_a_higher_figure() -> None:
    low, high = (photo_table(photos(4), "abcd", columns=columns).get_size_inches() for columns in (4, 1))
    assert high[0] == low[0] and high[1] > 4 * low[1]


def test_photographs_are_checked() -> None:
    for shape in ((3, 4, 6), (1, 2, 4, 6), (0, 3, 4, 6)):
        with pytest.raises(ValueError, match=r"photos must have shape \(N, 3, H, W\) or .* got \("):
            photo_table(torch.zeros(shape), [])
    with pytest.raises(ValueError, match="notes must have one text for each of 2 photographs, got 1"):
        photo_table(photos(2), ["a"])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        photo_table(photos(1), ["a"], columns=0)


def test_gains_stand_in_their_cells_and_zero_is_in_the_middle_of_the_scale() -> None:
    drawing = gain_table([[1.0, -2.0, 0.0], [0.25, 0.5, 3.0]], "ab", ["x", "y", "z"], **NAMES, marked=[(1, 2)])
    axes, scale = drawing.axes
    (image,) = axes.get_images()
    assert image.get_clim() == (-3, 3)
    np.testing.assert_array_equal(np.asarray(image.get_array()), [[1, -2, 0], [0.25, 0.5, 3]])
    placed = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    expected = ["+1.0", "-2.0", "+0.0", "+0.2", "+0.5", "+3.0"]
    assert placed == {(n // 3, n % 3): text for n, text in enumerate(expected)}
    (frame,) = axes.patches
    assert isinstance(frame, Rectangle) and frame.get_center() == pytest.approx((2, 1))
    assert [axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()] == ["test", "training", "points"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["x", "y", "z"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]


def test_above_zero_is_violet_and_far_from_zero_has_white_numbers() -> None:
    axes = gain_table(torch.tensor([[3.0, -3.0, 0.3]]), "a", "xyz", **NAMES).axes[0]
    assert [text.get_color() == "white" for text in axes.texts] == [True, True, False]
    (image,) = axes.get_images()
    gain, loss, _ = image.to_rgba(np.array([[3.0, -3.0, 0.3]]))[0]
    assert gain[2] > gain[0] and loss[0] > loss[2]  # violet has more blue than red, orange more red


def test_a_table_of_zeros_has_a_scale_and_zero_has_one_sign() -> None:
    axes = gain_table([[0.0, -0.0]], "a", "bc", **NAMES).axes[0]
    (image,) = axes.get_images()
    assert image.get_clim() == (-1, 1)
    assert [text.get_text() for text in axes.texts] == ["+0.0", "+0.0"]
    small = gain_table([[-0.04, 5.0]], "a", "bc", **NAMES).axes[0]
    assert small.texts[0].get_text() == "+0.0"


@pytest.mark.parametrize(("gains", "rows", "columns"), [([[1.0]], "ab", "x"), ([1.0], "a", "x"), ([], "", "")])
def test_the_shape_of_gains_is_checked(gains: Any, rows: str, columns: str) -> None:
    with pytest.raises(ValueError, match="gains must have shape"):
        gain_table(gains, rows, columns, **NAMES)


def test_gains_must_be_finite() -> None:
    with pytest.raises(ValueError, match="gains must be finite"):
        gain_table([[float("nan")]], "a", "x", **NAMES)
