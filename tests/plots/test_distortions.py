"""`tricks_lib.plots.distortions`: photographs with notes, gains in colored cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tests.plots.layout import boxes, has_grid, overlap, size
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


def test_colors_are_clipped_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    for x in (2 * photos(1), photos(1) - 0.5):
        (image,) = photo_table(x, [""]).axes[0].get_images()
        expected = x[0].clamp(0, 1).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(np.asarray(image.get_array()), expected)
    assert not caplog.records  # matplotlib would clip, too, and say so


@pytest.mark.parametrize(
    ("n", "options", "columns"),
    [(5, {}, 4), (2, {}, 4), (3, {"columns": 2}, 2), (2, {"columns": 1}, 1), (1, {"columns": 1}, 1)],
)
def test_photographs_are_as_wide_as_the_text_allows(n: int, options: dict[str, int], columns: int) -> None:
    drawing = photo_table(photos(n), range(n), **options)
    width, height = drawing.get_size_inches()
    pictures, notes = boxes(panel.patch for panel in drawing.axes), boxes(panel.title for panel in drawing.axes)
    assert [box.height / box.width for box in pictures] == pytest.approx([4 / 6] * n)
    assert all(0.9 < box.width * columns / width <= 1 for box in pictures)
    rows = -(-n // columns)
    assert len({round(box.y0, 3) for box in pictures}) == rows
    assert 0.15 < height / rows - pictures[0].height < 0.35  # a line of text, and no more
    assert not overlap(notes, pictures)


def test_photographs_are_checked() -> None:
    for shape in ((3, 4, 6), (1, 2, 4, 6), (0, 3, 4, 6)):
        with pytest.raises(ValueError, match=r"photos must have shape \(N, 3, H, W\) or .* got \("):
            photo_table(torch.zeros(shape), [])
    with pytest.raises(ValueError, match="notes must have one text for each of 2 photographs, got 1"):
        photo_table(photos(2), ["a"])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        photo_table(photos(1), ["a"], columns=0)


@pytest.fixture(scope="module")
def gains() -> tuple[Axes, Axes]:
    numbers = [[1.0, -2.0, 0.0], [0.25, 0.5, 3.0]]
    axes, scale = gain_table(numbers, "ab", ["x", "y", "z"], **NAMES, marked=[(1, 2)]).axes
    return axes, scale


def test_gains_stand_in_their_cells_and_zero_is_in_the_middle_of_the_scale(gains: tuple[Axes, Axes]) -> None:
    axes, scale = gains
    (image,) = axes.get_images()
    assert image.get_clim() == (-3, 3)
    np.testing.assert_array_equal(np.asarray(image.get_array()), [[1, -2, 0], [0.25, 0.5, 3]])
    placed = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    expected = ["+1.0", "-2.0", "+0.0", "+0.2", "+0.5", "+3.0"]
    assert placed == {(n // 3, n % 3): text for n, text in enumerate(expected)}
    assert [axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()] == ["test", "training", "points"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["x", "y", "z"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    assert not has_grid(axes)


def test_a_frame_lies_just_inside_its_cell(gains: tuple[Axes, Axes]) -> None:
    (frame,) = gains[0].patches
    assert isinstance(frame, Rectangle) and frame.get_center() == pytest.approx((2, 1))
    assert 0.9 < frame.get_height() <= frame.get_width() < 1 and not frame.get_fill()


def test_the_scale_is_written_as_large_as_the_axes(gains: tuple[Axes, Axes]) -> None:
    (label, tick), (of_scale, tick_of_scale) = (
        (panel.yaxis.label.get_size(), panel.get_yticklabels()[0].get_size()) for panel in gains
    )
    assert (label, tick) == (of_scale, tick_of_scale)


@pytest.mark.parametrize("rows", [2, 12])
def test_rows_are_as_high_as_their_numbers(rows: int) -> None:
    axes = gain_table(np.ones((rows, 2)), ["a"] * rows, "xy", **NAMES).axes[0]
    assert 0.25 < size(axes)[1] / rows < 0.6


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
