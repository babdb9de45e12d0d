"""Pictures of images: grids of digits, and mean and standard deviation side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from tricks_lib.plots.style import figure

__all__ = ["image_grid", "mean_std_pair"]

_GAP = 3  # pixels of the images between two of them
_NOTE = 7  # and room for a note above each
_TILE = 0.58  # inches
_ROW = 0.4  # inches, at least: flat images would have no height


def image_grid(images: Tensor, notes: Sequence[object] | None = None, *, columns: int = 10) -> Figure:
    """Show images in a grid, row by row, dark on white.

    Parameters
    ----------
    images
        Gray images (N, H, W) or (N, 1, H, W), 0 for the ground. All share one scale, up to the largest value.
    notes
        A short text above each image, such as its label.
    columns
        Images in a row.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the shape does not fit, or the numbers of images and notes differ.

    Examples
    --------
    >>> import torch
    >>> grid = image_grid(torch.rand(6, 1, 9, 8), notes=list("abcdef"), columns=3)
    >>> [note.get_text() for note in grid.axes[0].texts]
    ['a', 'b', 'c', 'd', 'e', 'f']
    """
    tiles = _gray(images)
    if notes is not None and len(notes) != len(tiles):
        raise ValueError(f"notes must have one text for each of {len(tiles)} images, got {len(notes)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    mosaic, corners = _mosaic(tiles, columns, above=_NOTE if notes is not None else 0)
    rows, width = math.ceil(len(tiles) / columns), _TILE * min(columns, len(tiles))
    drawing, (axes,) = figure(width=width, height=max(width * mosaic.shape[0] / mosaic.shape[1], _ROW * rows))
    axes.imshow(mosaic, cmap="gray_r", vmin=0, interpolation="nearest")
    axes.set_axis_off()
    for (top, left), note in zip(corners, notes or [], strict=False):
        axes.text(left + tiles.shape[2] / 2, top - 1, str(note), ha="center", va="bottom", fontsize=8)
    return drawing


def mean_std_pair(
    mean: Tensor, std: Tensor, *, unit: str, titles: Sequence[str] = ("mean", "standard deviation")
) -> Figure:
    """Show a mean image and a standard-deviation image, each with its scale.

    Parameters
    ----------
    mean, std
        Gray images (H, W) or (1, H, W), of one size.
    unit
        Of their values, written along the scales, such as ``"gray level, 0 to 255"``.
    titles
        What to write above the two.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the images are not of one size, or the titles not two.

    Examples
    --------
    >>> import torch
    >>> pair = mean_std_pair(torch.rand(9, 8), torch.rand(9, 8), unit="gray level")
    >>> [panel.get_title() for panel in pair.axes[:2]]
    ['mean', 'standard deviation']
    """
    if mean.shape != std.shape:
        raise ValueError(f"mean and std must have one size, got {tuple(mean.shape)} and {tuple(std.shape)}")
    if len(titles) != 2:
        raise ValueError(f"titles must hold two texts, got {len(titles)}")
    drawing, panels = figure(columns=2, height=2.4)
    for axes, image, title, colors in zip(panels, (mean, std), titles, ("gray_r", "viridis"), strict=True):
        (picture,) = _gray(image[None])
        shown = axes.imshow(picture, cmap=colors, vmin=0, interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[])
        scale = drawing.colorbar(shown, ax=axes)
        scale.set_label(unit, fontsize=9)
        scale.ax.tick_params(labelsize=8)
    return drawing


def _gray(images: Tensor) -> NDArray[np.float64]:
    """Return images as an array (N, H, W)."""
    if images.ndim == 4:
        images = images.squeeze(1)
    if images.ndim != 3 or not images.numel():
        raise ValueError(f"images must have shape (N, H, W) or (N, 1, H, W), N >= 1, got {tuple(images.shape)}")
    return np.asarray(images.detach().cpu(), dtype=np.float64)


def _mosaic(tiles: NDArray[np.float64], columns: int, above: int) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Return one large image of all, and the top left corner of each in it."""
    count, height, width = tiles.shape
    step = (height + above + _GAP, width + _GAP)
    corners = [(n // columns * step[0] + above, n % columns * step[1]) for n in range(count)]
    mosaic = np.zeros((corners[-1][0] + height, max(left for _, left in corners) + width))
    for tile, (top, left) in zip(tiles, corners, strict=True):
        mosaic[top : top + height, left : left + width] = tile
    return mosaic, corners
