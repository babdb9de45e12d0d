"""`tricks_lib.plots.panels`: rows of images, each on its own scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tricks_lib.plots.panels import panel_rows

SIGNED = torch.arange(24.0).reshape(3, 4, 2) - 5
POSITIVE = torch.arange(24.0).reshape(3, 1, 4, 2)


def test_every_image_is_at_its_place_and_rows_have_their_scales() -> None:
    drawing = panel_rows({"mean": SIGNED, "width": POSITIVE}, ["raw", "centered", "white"])
    panels, scales = drawing.axes[:6], drawing.axes[6:]
    for panel, image in zip(panels, [*SIGNED, *POSITIVE[:, 0]], strict=True):
        np.testing.assert_array_equal(np.asarray(panel.get_images()[0].get_array()), image.numpy())
    limits = [panel.get_images()[0].get_clim() for panel in panels]
    assert limits == [(-18, 18)] * 3 + [(0, 23)] * 3
    assert [panel.get_title() for panel in panels] == ["raw", "centered", "white", "", "", ""]
    assert [scale.get_ylabel() for scale in scales] == ["mean", "width"]
    assert not any(panel.axison for panel in panels)


def test_zero_is_white_and_the_signs_have_colors() -> None:
    drawing = panel_rows({"mean": SIGNED, "width": POSITIVE})
    signed, positive = (drawing.axes[i].get_images()[0] for i in (0, 3))
    low, zero, high = np.asarray(signed.to_rgba(np.array([-18.0, 0.0, 18.0])))[:, :3]
    assert zero.min() > 0.95 and low[0] > low[2] + 0.3 and high[2] > high[1] + 0.2  # orange, violet
    np.testing.assert_allclose(np.asarray(positive.to_rgba(np.array([0.0, 23.0])))[:, :3], [[1] * 3, [0] * 3])


def test_the_smallest_value_below_zero_gives_a_row_signs() -> None:
    drawing = panel_rows({"mean": torch.tensor([[[-0.1, 4.0]]])})
    assert drawing.axes[0].get_images()[0].get_clim() == (-4, 4)


@pytest.mark.parametrize(("columns", "least", "most"), [(1, 1.3, 1.8), (4, 1.2, 1.5), (8, 0.75, 1)])
def test_rows_fit_their_images(columns: int, least: float, most: float) -> None:
    images = torch.ones(columns, 2, 2)
    heights = [
        panel_rows(rows, titles).get_size_inches()[1]
        for titles in (None, ["title"] * columns)
        for rows in ({"a": images}, {"a": images, "b": images})
    ]
    one, two, titled, two_titled = heights
    assert least < one < most  # inches
    assert two == pytest.approx(2 * one)
    assert 0.1 < titled - one < 0.5 and titled - one == pytest.approx(two_titled - two)


def test_a_scale_stands_beside_its_row() -> None:
    drawing = panel_rows({"mean": SIGNED})
    drawing.draw_without_rendering()
    *_, last, scale = (axes.get_window_extent() for axes in drawing.axes)
    assert 0 < scale.x0 - last.x1 < 20  # dots
    assert (scale.y0, scale.y1) == pytest.approx((last.y0, last.y1), abs=1)


def test_the_numbers_along_a_scale_are_smaller_than_its_name() -> None:
    *_, scale = panel_rows({"mean": SIGNED}).axes
    assert scale.get_yticklabels()[0].get_size() < scale.yaxis.label.get_size()


def test_limits_end_a_scale() -> None:
    drawing = panel_rows({"mean": SIGNED, "width": POSITIVE}, limits={"mean": 2.0, "width": 9.0})
    assert [drawing.axes[i].get_images()[0].get_clim() for i in (0, 3)] == [(-2, 2), (0, 9)]


def test_gradients_and_devices_do_not_matter(device: torch.device) -> None:
    drawing = panel_rows({"": SIGNED.clone().to(device).requires_grad_()})
    np.testing.assert_array_equal(np.asarray(drawing.axes[0].get_images()[0].get_array()), SIGNED[0].numpy())


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ({}, {}, r"rows must hold images of one shape, got \[\]"),
        ({"a": SIGNED, "b": POSITIVE[:2]}, {}, "rows must hold images of one shape, got"),
        ({"a": SIGNED[0]}, {}, r"a must have shape \(P, H, W\) or \(P, 1, H, W\), P >= 1, got \(4, 2\)"),
        ({"a": SIGNED[:0]}, {}, r"a must have shape .*, got \(0, 4, 2\)"),
        ({"a": torch.zeros(2, 3, 4, 4)}, {}, r"a must have shape .*, got \(2, 3, 4, 4\)"),
        ({"a": SIGNED}, {"titles": ["one"]}, "titles must have one text for each of 3 columns, got 1"),
        ({"a": SIGNED}, {"limits": {"b": 1.0}}, "limits must be of rows, got b"),
    ],
)
def test_rows_are_checked(rows: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        panel_rows(rows, **options)
