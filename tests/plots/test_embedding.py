"""`tricks_lib.plots.embedding`: pictures of samples as points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from torch import Tensor

from tests.plots.layout import boxes, size
from tricks_lib.plots.embedding import embedding_panels
from tricks_lib.plots.style import COLORS

Z = torch.tensor([[0.0, 1.0], [4.0, 1.0], [1.0, 2.0], [9.0, 3.0], [3.0, 7.0], [2.0, 8.0]])
Y = torch.tensor([0, 3, 0, 3, 0, 3])


@pytest.fixture(scope="module")
def panels() -> list[Axes]:
    return embedding_panels({"one": Z, "two": -Z}, Y).axes


def test_points_colors_and_names(panels: list[Axes]) -> None:
    for sign, title, panel in zip((1, -1), ("one", "two"), panels, strict=True):
        assert panel.get_title() == title
        clouds = [c for c in panel.collections if isinstance(c, PathCollection)]
        for c, cloud, text in zip((0, 3), clouds, panel.texts, strict=True):
            own = sign * Z[Y == c].numpy()
            np.testing.assert_array_equal(np.asarray(cloud.get_offsets()), own)
            assert to_hex(cloud.get_facecolor()[0]) == COLORS[c]  # type: ignore[index]
            assert 2 < np.sqrt(cloud.get_sizes()) < text.get_size() / 4  # seen, and not in the way of the names
            assert text.get_text() == str(c)
            assert text.xy == tuple(np.median(own, axis=0))
            assert text.get_path_effects()  # an outline, to be read on points
        assert (panel.get_xlabel(), panel.get_ylabel()) == ("coordinate 1", "coordinate 2")
        assert panel.get_aspect() == 1


def test_names_are_drawn_beside_their_places(panels: list[Axes]) -> None:
    for panel in panels:
        for box, text in zip(boxes(panel.texts), panel.texts, strict=True):
            offset = 72 * ((box.p0 + box.p1) / 2 - panel.transData.transform(text.xy) / panel.figure.dpi)
            np.testing.assert_allclose(offset, text.get_position(), atol=1)  # points


def test_two_panels_are_nearly_square(panels: list[Axes]) -> None:
    for panel in panels:
        width, height = size(panel)
        assert 0.75 < height / width < 1.1


def test_classes_may_have_names_and_axes_another() -> None:
    drawing = embedding_panels({"one": Z}, Y, names=["cat", "", "", "dog"], axis="component")
    assert [text.get_text() for text in drawing.axes[0].texts] == ["cat", "dog"]
    assert drawing.axes[0].get_ylabel() == "component 2"


def named(z: Tensor, y: Tensor) -> list[tuple[str, tuple[float, float]]]:
    """Names and their offsets, in points, from the medians of their classes."""
    texts = embedding_panels({"one": z}, y).axes[0].texts
    return [(text.get_text(), text.get_position()) for text in texts]


@pytest.mark.parametrize(("along", "points"), [(0, 1.8), (1, 1.5)])  # a hundredth of a panel
def test_names_that_would_touch_are_pushed_apart_along_their_line(along: int, points: float) -> None:
    z = torch.zeros(3, 2)
    z[:, along] = torch.tensor([0.0, 1.0, 100.0])
    offsets = np.array([offset for _, offset in named(z, torch.arange(3))])
    push = (11 - points) / 2
    np.testing.assert_allclose(offsets[:, along], [-11 - push, -11 + push, 11], atol=1e-6)
    np.testing.assert_allclose(offsets[:, 1 - along], 0, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_data_does_not_matter(unit: float) -> None:
    z = torch.tensor([[0.0, 0.0], [0.5, 1.0], [100.0, 99.0], [50.0, 50.0]], dtype=torch.float64)
    for (_, one), (_, other) in zip(named(z, torch.arange(4)), named(unit * z, torch.arange(4)), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_names_stand_beside_their_points_away_from_the_others() -> None:
    (_, left), (_, right) = named(torch.tensor([[0.0, 5.0], [90.0, 5.0]]), torch.tensor([0, 1]))
    assert left == pytest.approx((-11, 0), abs=1e-9)
    assert right == pytest.approx((11, 0), abs=1e-9)


def test_a_class_alone_has_its_name_above() -> None:
    ((name, offset),) = named(torch.tensor([[2.0, 5.0], [4.0, 7.0]]), torch.tensor([3, 3]))
    assert (name, offset) == ("3", pytest.approx((0, 11), abs=1e-9))
    ((_, offset),) = named(torch.tensor([[2.0, 5.0]]), torch.tensor([3]))
    assert offset == pytest.approx((0, 11), abs=1e-9)


def test_names_do_not_cover_each_other() -> None:
    z = torch.tensor([[0.0, 0.0], [0.0, 100.0], [100.0, 99.0], [100.0, 100.0], [101.0, 98.5]])
    offsets = np.array([offset for _, offset in named(z, torch.arange(5))])
    names = z.numpy() * min(180 / 101, 150 / 100) + offsets
    distances = np.hypot(*(names[:, None] - names).T)
    assert distances[~np.eye(5, dtype=bool)].min() > 10.9


@pytest.mark.parametrize(
    ("pictures", "y", "names", "message"),
    [
        ({}, Y, None, "pictures must hold at least one"),
        ({"one": Z[:5]}, Y, None, r"one must have shape \(6, 2\), got \(5, 2\)"),
        ({"one": Z.T}, Y, None, r"one must have shape \(6, 2\), got \(2, 6\)"),
        ({"one": Z}, Y - 1, None, r"y must hold classes in \[0, 10\)"),
        ({"one": Z}, Y + 7, None, r"y must hold classes in \[0, 10\)"),
        ({"one": Z}, Y, "abc", r"y must hold classes in \[0, 3\)"),
        ({"one": Z[:0]}, Y[:0], None, "one for each sample"),
    ],
)
def test_panels_are_checked(pictures: dict[str, Tensor], y: Tensor, names: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedding_panels(pictures, y, names=names)


def test_points_may_be_anywhere(device: torch.device) -> None:
    drawing = embedding_panels({"one": Z.to(device)}, Y.to(device))
    np.testing.assert_array_equal(np.asarray(drawing.axes[0].collections[0].get_offsets()), Z[Y == 0].numpy())
