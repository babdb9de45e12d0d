"""What distortions do: photographs side by side, and gains and losses in colored cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from torch import Tensor

from tricks_lib.plots.style import INK, figure

__all__ = ["gain_table", "photo_table"]

_NOTE = 0.22  # inches above a photograph
_CELL = 0.32  # inches, the height of a row of numbers


def photo_table(photos: Tensor, notes: Sequence[object], *, columns: int = 4) -> Figure:
    """Show photographs row by row, as wide as the text, with a note above each.

    Parameters
    ----------
    photos
        (N, 3, H, W) for red, green and blue, or (N, 1, H, W) for gray, in [0, 1]. What is outside is clipped.
    notes
        A short text for each.
    columns
        Photographs in a row.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the shape does not fit, or the numbers of photographs and notes differ.

    Examples
    --------
    >>> import torch
    >>> table = photo_table(torch.rand(3, 3, 6, 8), ["as it is", "dark", "pale"], columns=2)
    >>> [panel.get_title() for panel in table.axes]
    ['as it is', 'dark', 'pale']
    """
    if photos.ndim != 4 or photos.shape[1] not in (1, 3) or not photos.numel():
        raise ValueError(f"photos must have shape (N, 3, H, W) or (N, 1, H, W), N >= 1, got {tuple(photos.shape)}")
    if len(notes) != len(photos):
        raise ValueError(f"notes must have one text for each of {len(photos)} photographs, got {len(notes)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    shown = photos.detach().cpu().double().clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    rows, aspect = math.ceil(len(shown) / columns), shown.shape[1] / shown.shape[2]
    drawing, (first,) = figure()
    first.remove()
    drawing.set_figheight(rows * (drawing.get_figwidth() / columns * aspect + _NOTE))
    panels = drawing.subplots(rows, columns, squeeze=False).flatten()
    for panel, photo, note in zip(panels, shown, notes, strict=False):
        panel.imshow(photo, interpolation="nearest")
        panel.set_title(str(note), fontsize=9)
        panel.set_axis_off()
    for empty in panels[len(shown) :]:
        empty.remove()
    return drawing


def gain_table(
    gains: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    unit: str,
    xlabel: str,
    ylabel: str,
    marked: Sequence[tuple[int, int]] = (),
) -> Figure:
    """Show numbers with a sign in cells: violet above zero, orange below, white at zero.

    Parameters
    ----------
    gains
        (R, C), finite.
    rows, columns
        Their names.
    unit
        Of the numbers, written along the scale.
    xlabel, ylabel
        What the columns and the rows are.
    marked
        Places (row, column) of cells that get a frame.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the shape does not fit the names, nothing is there, or a number is not finite.

    Examples
    --------
    >>> names = {"xlabel": "test", "ylabel": "training", "unit": "points"}
    >>> table = gain_table([[1.0, -2.0]], ["noise"], ["dark", "flat"], **names)
    >>> [cell.get_text() for cell in table.axes[0].texts]
    ['+1.0', '-2.0']
    """
    numbers = np.asarray(gains, dtype=np.float64)
    if numbers.shape != (len(rows), len(columns)) or not numbers.size:
        raise ValueError(f"gains must have shape ({len(rows)}, {len(columns)}) as named, got {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"gains must be finite, got {numbers}")
    limit = float(np.abs(numbers).max()) or 1.0
    drawing, (axes,) = figure(height=1.0 + _CELL * len(rows))
    shown = axes.imshow(numbers, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    for (row, column), number in np.ndenumerate(numbers):
        ink = "white" if abs(number) > 0.6 * limit else INK
        axes.text(column, row, f"{round(number, 1) + 0:+.1f}", ha="center", va="center", fontsize=8, color=ink)
    for row, column in marked:
        axes.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, fill=False, edgecolor=INK, linewidth=1.4))
    scale = drawing.colorbar(shown, ax=axes)
    scale.set_label(unit, size=9)
    scale.ax.tick_params(labelsize=8)
    return drawing
