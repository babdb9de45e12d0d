"""Rows of small images, each row with a scale of its own; where values have a sign, zero is white."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from tricks_lib.plots.style import INK, Drawing, figure

__all__ = ["panel_rows"]

_WIDE = 5.6  # inches of a row without its scale


def panel_rows(
    rows: Mapping[str, Tensor], titles: Sequence[str] | None = None, *, limits: Mapping[str, float] | None = None
) -> Figure:
    """Show rows of images; values below zero are orange, above zero violet, zero is white.

    A row without values below zero goes from white to black.

    Parameters
    ----------
    rows
        For each name, with the unit of its values, images (P, H, W) or (P, 1, H, W): as many in each row, of one size.
        The name is written along the scale of the row, which goes up to its largest value.
    titles
        What to write above each of the P columns.
    limits
        For some rows the end of the scale: what is beyond it has the color of the end.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no row, a shape does not fit, or `titles` or `limits` do not.

    Examples
    --------
    >>> import torch
    >>> rows = {"mean": torch.randn(3, 5, 4), "standard deviation": torch.rand(3, 5, 4)}
    >>> drawing = panel_rows(rows, ["raw", "centered", "white"], limits={"mean": 1.0})
    >>> [panel.get_title() for panel in drawing.axes[:3]]
    ['raw', 'centered', 'white']
    """
    tiles = {name: _images(name, images) for name, images in rows.items()}
    shapes = {array.shape for array in tiles.values()}
    if len(shapes) != 1:
        raise ValueError(f"rows must hold images of one shape, got {sorted(shapes)}")
    columns = next(iter(shapes))[0]
    if titles is not None and len(titles) != columns:
        raise ValueError(f"titles must have one text for each of {columns} columns, got {len(titles)}")
    if unknown := set(limits or {}) - set(tiles):
        raise ValueError(f"limits must be of rows, got {', '.join(sorted(unknown))}")
    height = min(max(_WIDE / columns, 0.85), 1.6)
    drawing, (only,) = figure(height=height * len(tiles) + 0.25 * (titles is not None))
    only.remove()
    grid = drawing.subplots(len(tiles), columns, squeeze=False)
    for axes, (name, images) in zip(grid, tiles.items(), strict=True):
        _row(drawing, list(axes), name, images, (limits or {}).get(name))
    for axes, title in zip(grid[0], titles or [], strict=False):
        axes.set_title(title, fontsize=8, color=INK)
    return drawing


def _row(drawing: Drawing, axes: list[Axes], name: str, images: NDArray[np.float64], limit: float | None) -> None:
    end = float(np.abs(images).max()) if limit is None else limit
    low, colors = (-end, "PuOr") if images.min() < 0 else (0.0, "gray_r")
    for panel, image in zip(axes, images, strict=True):
        shown = panel.imshow(image, cmap=colors, vmin=low, vmax=end, interpolation="nearest")
        panel.set_axis_off()
    scale = drawing.colorbar(shown, ax=axes, pad=0.01, aspect=12)
    scale.set_label(name, fontsize=8)
    scale.ax.tick_params(labelsize=7)


def _images(name: str, images: Tensor) -> NDArray[np.float64]:
    flat = images.squeeze(1) if images.ndim == 4 else images
    if flat.ndim != 3 or not flat.numel():
        raise ValueError(f"{name} must have shape (P, H, W) or (P, 1, H, W), P >= 1, got {tuple(images.shape)}")
    return np.asarray(flat.detach().cpu(), dtype=np.float64)
