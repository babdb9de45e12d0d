"""`tricks_lib.plots.hyperplanes`: the lines at which units switch on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from torch import nn

from tricks_lib.plots.hyperplanes import hyperplane_panels
from tricks_lib.plots.style import COLORS

X = torch.tensor([[1.0, 1.0], [2.0, 3.0], [3.0, 2.0]])


def layer() -> nn.Linear:
    """Units that cut the points, are dead, and are always on; the lines are x = 2.5, y = 5, x + y = -1."""
    made = nn.Linear(2, 3)
    made.weight.data.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 3.0]]))
    made.bias.data.copy_(torch.tensor([-5.0, -5.0, 3.0]))
    return made


def test_lines_stand_where_units_switch_on() -> None:
    (axes,) = hyperplane_panels({"units": (X, layer())}, reach=6).axes
    weight, bias = layer().weight.detach().numpy(), layer().bias.detach().numpy()
    for line, w, b in zip(axes.lines, weight, bias, strict=True):
        ends = np.asarray(line.get_xydata())
        np.testing.assert_allclose(ends @ w + b, 0, atol=1e-5)
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(48)  # across the picture from any place in it


def test_each_kind_has_its_color_and_dashes() -> None:
    drawing = hyperplane_panels({"units": (X, layer())}, reach=6)
    found = [(line.get_color(), line.get_linestyle()) for line in drawing.axes[0].lines]
    assert found == [(COLORS[0], "-"), (COLORS[2], "--"), (COLORS[4], ":")]
    assert [text.get_text() for text in drawing.legends[0].get_texts()] == ["cuts the data", "dead", "always on"]


@pytest.mark.parametrize(("bias", "kind"), [(-0.5, "dead"), (0.0, "dead"), (0.5, "cuts the data"), (1.5, "always on")])
def test_a_unit_is_on_where_it_is_above_zero(bias: float, kind: str) -> None:
    unit = nn.Linear(2, 1)
    unit.weight.data.copy_(torch.tensor([[1.0, 0.0]]))
    unit.bias.data.fill_(bias)
    drawing = hyperplane_panels({"unit": (torch.tensor([[-1.0, 2.0], [0.0, 2.0]]), unit)}, reach=6)
    (line,) = drawing.axes[0].lines
    looks = {text.get_text(): key.get_linestyle() for key, text in keys(drawing)}
    assert looks[kind] == line.get_linestyle()


def keys(drawing: Figure) -> Iterable[tuple[Line2D, Text]]:
    (legend,) = drawing.legends
    return zip(legend.get_lines(), legend.get_texts(), strict=True)


def test_the_legend_is_one_row_below_two_panels_of_two_inches() -> None:
    drawing = hyperplane_panels({"one": (X, layer()), "two": (X, layer())}, reach=6)
    drawing.draw_without_rendering()
    places = [text.get_window_extent() for _, text in keys(drawing)]
    assert [round(place.y0) for place in places] == [round(places[0].y0)] * 3
    for axes in drawing.axes:
        assert 1.5 < axes.get_window_extent().height / drawing.dpi < 2.5
        assert axes.xaxis.label.get_window_extent().y0 > places[0].y1


def test_points_and_axes() -> None:
    drawing = hyperplane_panels({"one": (X, layer()), "two": (-X, layer())}, reach=6)
    for sign, title, axes in zip((1, -1), ("one", "two"), drawing.axes, strict=True):
        np.testing.assert_array_equal(np.asarray(axes.collections[0].get_offsets()), sign * X.numpy())
        assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (title, "input 1", "input 2")
        assert axes.get_xlim() == axes.get_ylim() == (-6, 6) and axes.get_aspect() == 1
        assert np.ptp(axes.collections[0].get_facecolor()[0, :3]) < 0.1  # gray: the colors are the lines'


def test_data_on_another_device_are_drawn(device: torch.device) -> None:
    drawing = hyperplane_panels({"units": (X.to(device), layer().to(device))}, reach=6)
    assert len(drawing.axes[0].lines) == 3


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="panels must hold at least one"):
        hyperplane_panels({}, reach=1)
    with pytest.raises(ValueError, match=r"start must have points \(N, 2\), got \(4, 3\) for 2 inputs"):
        hyperplane_panels({"start": (torch.zeros(4, 3), nn.Linear(2, 1))}, reach=1)
    with pytest.raises(ValueError, match=r"start must have points \(N, 2\), got \(4, 2\) for 3 inputs"):
        hyperplane_panels({"start": (torch.zeros(4, 2), nn.Linear(3, 1))}, reach=1)
