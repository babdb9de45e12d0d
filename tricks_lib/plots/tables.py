"""Tables of numbers in color: two settings, and what came out for each pair of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tricks_lib.plots.style import figure

__all__ = ["value_table"]


def value_table(
    values: NDArray[np.float64],
    *,
    rows: Sequence[object],
    columns: Sequence[object],
    ylabel: str,
    xlabel: str,
    unit: str,
    form: str = ".1f",
) -> Figure:
    """Show a table as colored squares with their numbers.

    Parameters
    ----------
    values
        (R, C), finite.
    rows, columns
        What to write beside each row and below each column.
    ylabel, xlabel
        What the rows and the columns are.
    unit
        Of the values, written along the scale.
    form
        How the numbers are written.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a value is not finite, or rows or columns have another number of names.

    Examples
    --------
    >>> values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> table = value_table(values, rows=[1, 2], columns="abc", ylabel="N", xlabel="M", unit="points")
    >>> [number.get_text() for number in table.axes[0].texts]
    ['1.0', '2.0', '3.0', '4.0', '5.0', '6.0']
    """
    if values.shape != (len(rows), len(columns)) or not values.size:
        raise ValueError(f"values must have shape ({len(rows)}, {len(columns)}), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got {values}")
    drawing, (axes,) = figure(width=1.1 * len(columns) + 2, height=0.55 * len(rows) + 1)
    shown = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = (values.min() + values.max()) / 2
    for (row, column), value in np.ndenumerate(values):
        color = "black" if value > middle else "white"
        axes.text(column, row, format(value, form), ha="center", va="center", color=color, fontsize=10)
    axes.set_xticks(range(len(columns)), [str(name) for name in columns])
    axes.set_yticks(range(len(rows)), [str(name) for name in rows])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    drawing.colorbar(shown, ax=axes).set_label(unit, fontsize=9)
    return drawing
