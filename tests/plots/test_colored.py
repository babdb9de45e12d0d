"""`tricks_lib.plots.colored`: grids of color images, and maps in their colors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from tests.plots.layout import boxes, overlap, size
from tricks_lib.plots import style
from tricks_lib.plots.colored import color_grid, color_map

Array: TypeAlias = NDArray[np.float64]
ORANGE = style.COLORS[6]
IMAGES = torch.linspace(0, 1, 7 * 3 * 5 * 4, device="cpu").reshape(7, 3, 5, 4)
POINTS, COLORS = torch.arange(8.0, device="cpu").view(4, 2), torch.linspace(0, 1, 12, device="cpu").view(4, 3)


@pytest.fixture(scope="module", params=[None, range(10, 17)], ids=["plain", "notes"])
def grid(request: pytest.FixtureRequest) -> Axes:
    marked = [False, True, False, False, False, True, False]
    (axes,) = color_grid(IMAGES, notes=request.param, marked=marked, columns=3).axes
    return axes


def corners(axes: Axes) -> Array:
    """Left and top of each image, in widths of an image."""
    return np.array([picture.get_extent()[::3] for picture in axes.get_images()])


def test_every_image_is_at_its_place(grid: Axes) -> None:
    pictures = grid.get_images()
    assert len(pictures) == 7
    for image, picture in zip(IMAGES, pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(picture.get_array()), image.movedim(0, -1).double().numpy())
        left, right, bottom, top = picture.get_extent()
        assert right - left == pytest.approx(1) and bottom - top == pytest.approx(5 / 4)
    lefts, tops = corners(grid).T
    assert lefts[0] < lefts[1] < lefts[2] and lefts[3] == lefts[0] and lefts[6] == lefts[0]
    assert tops[0] == tops[2] < tops[3] < tops[6]
    assert not grid.axison


def test_gaps_are_small_and_the_same_on_all_sides(grid: Axes) -> None:
    lefts, tops = corners(grid).T
    gap = lefts[1] - lefts[0] - 1
    assert 0.05 < gap < 0.25
    if not grid.texts:
        assert tops[3] - tops[0] - 5 / 4 == pytest.approx(gap)
    x0, x1 = grid.get_xlim()
    assert lefts[0] - x0 == pytest.approx(x1 - lefts[2] - 1) == pytest.approx(gap / 2)
    y1, y0 = grid.get_ylim()
    room = tops[3] - tops[0] - 5 / 4
    assert room < 0.7  # for a line of small letters
    assert tops[0] - y0 == pytest.approx(room) == pytest.approx(y1 - tops[6] - 5 / 4)


def test_images_are_about_half_an_inch_wide_and_notes_cover_none(grid: Axes) -> None:
    pictures = boxes(grid.get_images())
    assert all(0.48 < box.width < 0.6 for box in pictures)
    notes = boxes(grid.texts) if grid.texts else []
    assert not overlap(notes, pictures) and not overlap(pictures[:3], pictures[3:])
    for note, picture in zip(notes, pictures, strict=False):
        assert 0 <= note.y0 - picture.y1 < 0.1  # close above


def test_notes_and_frames_belong_to_their_images(grid: Axes) -> None:
    places = corners(grid)
    for n, text in enumerate(grid.texts):
        assert text.get_text() == str(10 + n) and text.get_position()[0] == pytest.approx(places[n, 0] + 0.5)
    frames = [patch for patch in grid.patches if isinstance(patch, Rectangle)]
    np.testing.assert_array_equal([frame.get_xy() for frame in frames], places[[1, 5]])
    for frame in frames:
        assert (frame.get_width(), frame.get_height()) == (1, 5 / 4) and not frame.get_fill()
        assert to_hex(frame.get_edgecolor()) == ORANGE


@pytest.mark.parametrize(("options", "rows"), [({}, [10, 1]), ({"columns": 1}, [1] * 11), ({"columns": 12}, [11])])
def test_rows_are_as_long_as_wanted_ten_by_default_and_figures_fit_them(options: Any, rows: list[int]) -> None:
    drawing = color_grid(torch.zeros(11, 3, 5, 4), **options)
    tops = corners(drawing.axes[0])[:, 1]
    assert np.unique(tops, return_counts=True)[1].tolist() == rows
    width, height = drawing.get_size_inches()
    assert 0.55 < width / max(rows) < 0.7 and 0.7 < height / len(rows) < 0.9


def test_colors_are_clipped_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    for image in (2 * IMAGES[-1], IMAGES[0] - 0.05):
        (picture,) = color_grid(image[None]).axes[0].get_images()
        expected = image.clamp(0, 1).movedim(0, -1).double().numpy()
        np.testing.assert_array_equal(np.asarray(picture.get_array()), expected)
    assert not caplog.records  # matplotlib would clip, too, and say so


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (IMAGES[0], {}, r"images must have shape \(N, 3, H, W\), N >= 1, got \(3, 5, 4\)"),
        (IMAGES[:, :1], {}, r"got \(7, 1, 5, 4\)"),
        (IMAGES[:0], {}, r"got \(0, 3, 5, 4\)"),
        (IMAGES, {"notes": "abc"}, "notes must have one entry for each of 7 images, got 3"),
        (IMAGES, {"marked": [True]}, "marked must have one entry for each of 7 images, got 1"),
        (IMAGES, {"columns": 0}, "columns must be at least 1, got 0"),
    ],
)
def test_grids_are_checked(images: Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        color_grid(images, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def maps() -> list[Axes]:
    panels = {"one": (POINTS, {"a": POINTS[1]}), "two": (POINTS.flip(1), {})}
    return color_map(panels, 1.5 * COLORS - 0.25, axis="direction").axes


def test_points_have_their_colors_and_names_their_places(maps: list[Axes]) -> None:
    assert [axes.get_title() for axes in maps] == ["one", "two"]
    for axes, points in zip(maps, (POINTS, POINTS.flip(1)), strict=True):
        (cloud,) = axes.collections
        np.testing.assert_array_equal(np.asarray(cloud.get_offsets()), points.double().numpy())
        clipped = (1.5 * COLORS - 0.25).clamp(0, 1).numpy()
        np.testing.assert_allclose(np.asarray(cloud.get_facecolor())[:, :3], clipped, atol=1e-7)
        assert axes.get_xlabel() == "direction 1" and axes.get_ylabel() == "direction 2"
        assert axes.get_aspect() == 1
    (name,) = maps[0].texts
    assert name.get_text() == "a" and name.get_position() == (2, 3) and not maps[1].texts
    assert name.get_path_effects()  # an outline, to be read on points of any color


def test_maps_are_about_square(maps: list[Axes]) -> None:
    for axes in maps:
        width, height = size(axes)
        assert 0.8 < height / width < 1.1


def test_axes_are_components_by_default() -> None:
    (axes,) = color_map({"one": (POINTS, {})}, COLORS).axes
    assert axes.get_xlabel() == "component 1" and axes.get_ylabel() == "component 2"


@pytest.mark.parametrize(
    ("panels", "colors", "message"),
    [
        ({}, COLORS, "panels must hold at least one"),
        ({"one": (POINTS, {})}, COLORS[:, :2], r"colors must have shape \(N, 3\), got \(4, 2\)"),
        ({"one": (POINTS[:3], {})}, COLORS, r"one must have shape \(4, 2\), got \(3, 2\)"),
    ],
)
def test_maps_are_checked(panels: dict[str, tuple[Tensor, dict[str, Tensor]]], colors: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        color_map(panels, colors)


def test_images_may_be_anywhere_and_stay_as_they_are(device: torch.device) -> None:
    before, images = IMAGES.clone(), IMAGES.to(device)
    for here, there in zip(
        color_grid(IMAGES).axes[0].get_images(), color_grid(images).axes[0].get_images(), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(here.get_array()), np.asarray(there.get_array()))
    color_map({"one": (POINTS.clone().to(device).requires_grad_(), {"a": POINTS[0].to(device)})}, COLORS.to(device))
    assert torch.equal(IMAGES, before)
