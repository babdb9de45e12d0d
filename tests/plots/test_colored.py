"""`tricks_lib.plots.colored`: grids of color images, and maps in their colors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from tricks_lib.plots.colored import color_grid, color_map

IMAGES = torch.linspace(0, 1, 7 * 3 * 5 * 4, device="cpu").reshape(7, 3, 5, 4)
POINTS, COLORS = torch.arange(8.0, device="cpu").view(4, 2), torch.linspace(0, 1, 12, device="cpu").view(4, 3)


def test_every_image_is_at_its_place() -> None:
    (axes,) = color_grid(IMAGES, columns=3).axes
    pictures = axes.get_images()
    assert len(pictures) == 7
    lefts, tops = [], []
    for n, picture in enumerate(pictures):
        np.testing.assert_array_equal(np.asarray(picture.get_array()), IMAGES[n].movedim(0, -1).double().numpy())
        left, right, bottom, top = picture.get_extent()
        assert right - left == pytest.approx(1) and bottom - top == pytest.approx(5 / 4)
        lefts.append(left)
        tops.append(top)
    assert lefts[0] < lefts[1] < lefts[2] and lefts[3] == lefts[0] and lefts[6] == lefts[0]
    assert tops[0] == tops[2] < tops[3] < tops[6]
    assert lefts[1] > lefts[0] + 1 and tops[3] > tops[0] + 5 / 4  # with a gap
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    for picture in pictures:
        left, right, bottom, top = picture.get_extent()
        assert x0 <= left and right <= x1 and y1 <= top and bottom <= y0


def test_notes_and_frames_belong_to_their_images() -> None:
    marked = [False, True, False, False, False, True, False]
    (axes,) = color_grid(IMAGES, notes=range(10, 17), marked=marked, columns=3).axes
    corners = [picture.get_extent()[::3] for picture in axes.get_images()]
    assert [text.get_text() for text in axes.texts] == [str(n) for n in range(10, 17)]
    for (left, top), text in zip(corners, axes.texts, strict=True):
        x, y = text.get_position()
        assert x == pytest.approx(left + 0.5) and y < top
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [frame.get_xy() for frame in frames] == [tuple(corners[1]), tuple(corners[5])]
    assert {(frame.get_width(), frame.get_height()) for frame in frames} == {(1, 5 / 4)}


def test_colors_are_clipped() -> None:
    (picture,) = color_grid(3 * IMAGES[6:] - 1).axes[0].get_images()
    shown = np.asarray(picture.get_array())
    assert shown.min() >= 0 and shown.max() == 1


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


def test_points_have_their_colors_and_names_their_places() -> None:
    drawing = color_map({"one": (POINTS, {"a": POINTS[1]}), "two": (POINTS.flip(1), {})}, COLORS, axis="direction")
    assert [axes.get_title() for axes in drawing.axes] == ["one", "two"]
    for axes, points in zip(drawing.axes, (POINTS, POINTS.flip(1)), strict=True):
        (cloud,) = axes.collections
        np.testing.assert_array_equal(np.asarray(cloud.get_offsets()), points.double().numpy())
        np.testing.assert_allclose(np.asarray(cloud.get_facecolor())[:, :3], COLORS.numpy(), atol=1e-7)
        assert axes.get_xlabel() == "direction 1" and axes.get_ylabel() == "direction 2"
        assert axes.get_aspect() == 1
    (name,) = drawing.axes[0].texts
    assert name.get_text() == "a" and name.get_position() == (2, 3) and not drawing.axes[1].texts


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
    color_map({"one": (POINTS.to(device).requires_grad_(), {"a": POINTS[0].to(device)})}, COLORS.to(device))
    assert torch.equal(IMAGES, before)
