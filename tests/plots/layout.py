"""Where things are once a figure is laid out, as its reader sees it."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

__all__ = ["boxes", "has_grid", "overlap", "size"]


def size(axes: Axes) -> tuple[float, float]:
    """Return width and height of axes in inches."""
    (box,) = boxes([axes.patch])
    return box.width, box.height


def boxes(artists: Iterable[Artist]) -> list[Bbox]:
    """Return where artists of one figure are, in inches."""
    artists = list(artists)
    drawing = artists[0].get_figure(root=True)
    assert isinstance(drawing, Figure)
    drawing.draw_without_rendering()
    inches = drawing.dpi_scale_trans.inverted()
    return [artist.get_window_extent().transformed(inches) for artist in artists]


def overlap(ones: Iterable[Bbox], others: Iterable[Bbox]) -> bool:
    """Tell whether any of the ones covers a part of any of the others, beyond rounding."""
    shared = (Bbox.intersection(one, other) for one in ones for other in list(others))
    return any(box is not None and min(box.width, box.height) > 1e-6 for box in shared)


def has_grid(axes: Axes) -> bool:
    return any(line.get_visible() for line in (*axes.get_xgridlines(), *axes.get_ygridlines()))
