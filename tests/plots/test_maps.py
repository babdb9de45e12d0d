"""`tricks_lib.plots.maps`: arrays side by side, on one scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tricks_lib.plots.maps import value_maps
from tricks_lib.plots.style import figure

SMALL = torch.arange(6.0).reshape(2, 3)


def test_each_panel_shows_its_array_and_all_share_the_scale() -> None:
    drawing = value_maps({"one": SMALL, "other": 10 * SMALL[None, :, :2] + 1}, unit="meters")
    one, other, scale = drawing.axes
    images = [panel.get_images()[0] for panel in (one, other)]
    np.testing.assert_array_equal(np.asarray(images[0].get_array()), SMALL.numpy())
    np.testing.assert_array_equal(np.asarray(images[1].get_array()), 10 * SMALL[:, :2].numpy() + 1)
    assert [image.get_clim() for image in images] == [(0, 41), (0, 41)]
    assert [one.get_title(), other.get_title(), scale.get_ylabel()] == ["one", "other", "meters"]


@pytest.mark.parametrize(("shift", "limits"), [(-2, (-2, 3)), (3, (0, 8))])
def test_the_scale_goes_below_zero_where_values_do(shift: int, limits: tuple[int, int]) -> None:
    (image,) = value_maps({"": SMALL + shift}, unit="").axes[0].get_images()
    assert image.get_clim() == limits


def test_two_square_panels_are_about_two_inches_wide() -> None:
    drawing = value_maps({"one": torch.eye(3), "other": torch.eye(4)}, unit="meters")
    drawing.draw_without_rendering()
    for panel in drawing.axes[:2]:
        width, height = panel.get_window_extent().size / drawing.dpi
        assert 1.5 < width < 2.5 and height == pytest.approx(width)


def test_the_numbers_along_the_scale_are_as_large_as_elsewhere() -> None:
    _, scale = value_maps({"": SMALL}, unit="meters").axes
    (plain,) = figure()[1]
    assert scale.get_yticklabels()[0].get_size() == plain.get_yticklabels()[0].get_size()


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1)])
def test_a_single_row_or_column_is_an_array(shape: tuple[int, int]) -> None:
    (image,) = value_maps({"": torch.ones(shape)}, unit="").axes[0].get_images()
    assert image.get_size() == shape


def test_gradients_and_devices_do_not_matter(device: torch.device) -> None:
    values = SMALL.clone().to(device).requires_grad_()
    (image,) = value_maps({"": values}, unit="").axes[0].get_images()
    np.testing.assert_array_equal(np.asarray(image.get_array()), SMALL.numpy())


def test_panels_are_checked() -> None:
    with pytest.raises(ValueError, match="panels must hold at least one array, got none"):
        value_maps({}, unit="")
    for shape in ((3,), (2, 3, 4), (0, 3)):
        with pytest.raises(ValueError, match=r"left must have shape \(H, W\) or \(1, H, W\), got \("):
            value_maps({"left": torch.zeros(shape)}, unit="")
