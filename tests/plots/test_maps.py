"""`tricks_lib.plots.maps`: arrays side by side, on one scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tricks_lib.plots.maps import value_maps

SMALL = torch.arange(6.0).reshape(2, 3)


def test_each_panel_shows_its_array_and_all_share_the_scale() -> None:
    drawing = value_maps({"one": SMALL, "other": 10 * SMALL[None, :, :2] + 1}, unit="meters")
    one, other, scale = drawing.axes
    images = [panel.get_images()[0] for panel in (one, other)]
    np.testing.assert_array_equal(np.asarray(images[0].get_array()), SMALL.numpy())
    np.testing.assert_array_equal(np.asarray(images[1].get_array()), 10 * SMALL[:, :2].numpy() + 1)
    assert [image.get_clim() for image in images] == [(0, 41), (0, 41)]
    assert [one.get_title(), other.get_title(), scale.get_ylabel()] == ["one", "other", "meters"]


def test_the_scale_goes_below_zero_where_values_do() -> None:
    (image,) = value_maps({"": SMALL - 2}, unit="").axes[0].get_images()
    assert image.get_clim() == (-2, 3)


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
