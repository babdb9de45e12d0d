"""Pictures of color images: grids with frames around some, and maps whose points have the color of their image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from tricks_lib.plots.style import COLORS, INK, figure, label

__all__ = ["color_grid", "color_map"]

_GAP = 0.12  # of an image, between two of them
_NOTE = 0.42  # and room for a note above each
_TILE = 0.58  # inches
_MARK = COLORS[6]


def color_grid(
    images: Tensor, notes: Sequence[object] | None = None, *, marked: Sequence[bool] | None = None, columns: int = 10
) -> Figure:
    """Show color images in a grid, row by row.

    Parameters
    ----------
    images
        (N, 3, H, W), red, green and blue in [0, 1]. What is outside is clipped.
    notes
        A short text above each image.
    marked
        Which images get a frame; by default none.
    columns
        Images in a row.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the shape does not fit, or the numbers of images, notes and marks differ.

    Examples
    --------
    >>> import torch
    >>> grid = color_grid(torch.rand(5, 3, 8, 8), notes="abcde", marked=[True, False, False, True, False], columns=3)
    >>> len(grid.axes[0].images), len(grid.axes[0].patches)
    (5, 2)
    """
    tiles = _rgb(images)
    for name, values in (("notes", notes), ("marked", marked)):
        if values is not None and len(values) != len(tiles):
            raise ValueError(f"{name} must have one entry for each of {len(tiles)} images, got {len(values)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    used, rows = min(columns, len(tiles)), math.ceil(len(tiles) / columns)
    tall = tiles.shape[1] / tiles.shape[2]  # an image is 1 wide
    step = tall + _GAP + (_NOTE if notes is not None else 0)
    drawing, (axes,) = figure(width=_TILE * used * (1 + _GAP), height=_TILE * rows * step)
    for n, tile in enumerate(tiles):
        left, top = n % columns * (1 + _GAP), n // columns * step
        axes.imshow(tile, extent=(left, left + 1, top + tall, top), interpolation="nearest")
        if notes is not None:
            axes.text(left + 0.5, top - 0.05, str(notes[n]), ha="center", va="bottom", fontsize=8)
        if marked is not None and marked[n]:
            axes.add_patch(Rectangle((left, top), 1, tall, fill=False, color=_MARK, linewidth=3))
    axes.set(xlim=(-_GAP / 2, used * (1 + _GAP) - _GAP / 2), ylim=(rows * step, -step + tall))
    axes.set_axis_off()
    return drawing


def color_map(
    panels: Mapping[str, tuple[Tensor, Mapping[str, Tensor]]], colors: Tensor, *, axis: str = "component"
) -> Figure:
    """Show points in the color of their images, with names at some places, in panels side by side.

    Parameters
    ----------
    panels
        For each title the points (N, 2), and the places (2,) of some names.
    colors
        Color of each point (N, 3), red, green and blue in [0, 1].
    axis
        What the axes show; a number is added: ``"component 1"``.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no panel, or shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> drawing = color_map({"colors": (torch.rand(9, 2), {"red": torch.zeros(2)})}, torch.rand(9, 3))
    >>> [text.get_text() for text in drawing.axes[0].texts]
    ['red']
    """
    if not panels:
        raise ValueError("panels must hold at least one")
    if colors.ndim != 2 or colors.shape[1] != 3:
        raise ValueError(f"colors must have shape (N, 3), got {tuple(colors.shape)}")
    drawing, all_axes = figure(columns=len(panels), height=3.2)
    for axes, (title, (points, names)) in zip(all_axes, panels.items(), strict=True):
        if points.shape != (len(colors), 2):
            raise ValueError(f"{title} must have shape ({len(colors)}, 2), got {tuple(points.shape)}")
        x, y = np.asarray(points.detach().cpu()).T
        shown = np.asarray(colors.detach().cpu()).clip(0, 1)
        axes.scatter(x, y, s=9, c=shown, edgecolors=INK, linewidths=0.25)
        for name, place in names.items():
            _name(axes, name, np.asarray(place.detach().cpu()))
        axes.set_aspect("equal", adjustable="datalim")
        label(axes, f"{axis} 1", f"{axis} 2", title)
    return drawing


def _name(axes: Axes, name: str, place: NDArray[np.float64]) -> None:
    text = axes.annotate(name, tuple(place), ha="center", va="center", weight="bold", fontsize=9)
    text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


def _rgb(images: Tensor) -> NDArray[np.float64]:
    """Return images as an array (N, H, W, 3)."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.numel():
        raise ValueError(f"images must have shape (N, 3, H, W), N >= 1, got {tuple(images.shape)}")
    return np.asarray(images.detach().cpu().movedim(1, -1), dtype=np.float64).clip(0, 1)
