"""The one style of the figures: colors, sizes, fonts, and a white ground that also reads in dark mode."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import color_sequences, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["COLORS", "INK", "Drawing", "axes_of", "figure", "label", "small_png"]

COLORS = tuple(to_hex(color) for color in color_sequences["petroff10"])
"""Ten colors that people with color-vision deficiencies tell apart, too (Petroff 2021, arXiv 2107.02270)."""

INK = "#222222"
"""Color of text and axes."""

_STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}
_DOTS = 110  # per inch: a figure of the usual width fills the text column


class Drawing(Figure):
    """A figure that notebooks show as a small PNG; it belongs to no window and needs no ``pyplot``.

    Examples
    --------
    >>> drawing, (axes,) = figure()
    >>> _ = axes.plot([0, 1], [1, 0])
    >>> drawing._repr_png_()[1:4]
    b'PNG'
    """

    def _repr_png_(self) -> bytes:
        return small_png(self, bbox_inches="tight")


def figure(columns: int = 1, *, height: float = 2.6, width: float = 6.4) -> tuple[Drawing, list[Axes]]:
    """Make a figure with one row of axes in the style of the book.

    Parameters
    ----------
    columns
        Number of axes, side by side.
    height, width
        Of the whole figure, in inches; the width of the text is the default.

    Returns
    -------
    Drawing
        The figure.
    list of Axes
        Its axes, from left to right.

    Raises
    ------
    ValueError
        If `columns` is less than 1.

    Examples
    --------
    >>> drawing, axes = figure(columns=2)
    >>> len(axes)
    2
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    with rc_context(_STYLE):
        drawing = Drawing(figsize=(width, height), dpi=_DOTS, layout="constrained", facecolor="white")
        axes = drawing.subplots(1, columns, squeeze=False)
    return drawing, list(axes.flat)


def axes_of(ax: Axes | None, **options: Any) -> tuple[Figure, Axes]:
    """Return where to draw: on axes that were given, or on those of a new `figure` with these options.

    Raises
    ------
    ValueError
        If the axes belong to no figure.

    Examples
    --------
    >>> drawing, axes = axes_of(None)
    >>> axes_of(axes)[0] is drawing
    True
    """
    if ax is None:
        drawing, (ax,) = figure(**options)
        return drawing, ax
    if (given := ax.get_figure(root=True)) is None:
        raise ValueError("ax must belong to a figure")
    return given, ax


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, with their units, and the panel.

    Raises
    ------
    ValueError
        If an axis stays without a name.

    Examples
    --------
    >>> _, (axes,) = figure()
    >>> label(axes, "digits in the sample", "constant pixels")
    >>> axes.get_ylabel()
    'constant pixels'
    """
    if not (x.strip() and y.strip()):
        raise ValueError(f"x and y must name their axes, with units, got {x!r} and {y!r}")
    axes.set(xlabel=x, ylabel=y, title=title)


def small_png(drawing: Figure, colors: int = 256, **options: Any) -> bytes:
    """Return a figure as a PNG on white, in few colors: 256 look like all, for a third of the bytes.

    Parameters
    ----------
    drawing
        The figure.
    colors
        Size of the palette.
    options
        Of ``Figure.savefig``.

    Returns
    -------
    bytes

    Examples
    --------
    >>> small_png(figure()[0], colors=2)[1:4]
    b'PNG'
    """
    drawn, small = io.BytesIO(), io.BytesIO()
    drawing.savefig(drawn, format="png", facecolor="white", dpi=drawing.dpi, **options)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(colors).save(small, format="png", optimize=True)
    return small.getvalue()
