"""Side by side: arms as dots with intervals, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tricks_lib.experiment.statistics import Samples, over_seeds
from tricks_lib.plots.style import COLORS, INK, figure, label

__all__ = ["confusion_map", "dot_rows"]

_ROW = 0.24  # inches
_MARKERS = "osD^v"


def dot_rows(
    groups: Mapping[str, Mapping[str, Samples]], *, xlabel: str, ylabel: str, mark: float | None = 0
) -> Figure:
    """Show means over seeds with their intervals, a row for each name, the first one at the top.

    Parameters
    ----------
    groups
        For each group, at most five, the rows: a name and one value for each seed. Groups have colors and symbols of
        their own; all have the same names.
    xlabel, ylabel
        What the values are, with their unit, and what the names are.
    mark
        Where to draw a vertical line, such as no difference; ``None``: nowhere.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no group or row, there are too many groups, or their names differ.

    Examples
    --------
    >>> gains = {"shift": [3.1, 2.8, 3.4], "flip": [-4.0, -3.2, -3.9]}
    >>> drawing = dot_rows({"": gains}, xlabel="gain (points)", ylabel="change")
    >>> [name.get_text() for name in drawing.axes[0].get_yticklabels()]
    ['shift', 'flip']
    """
    if not 1 <= len(groups) <= len(_MARKERS):
        raise ValueError(f"groups must hold 1 to {len(_MARKERS)}, got {len(groups)}")
    names, *others = (list(rows) for rows in groups.values())
    if not names or any(other != names for other in others):
        raise ValueError(f"groups must have the same rows, at least one, got {[names, *others]}")
    drawing, (axes,) = figure(height=0.7 + _ROW * len(names) * (1 + 0.3 * (len(groups) - 1)))
    for k, ((group, rows), color) in enumerate(zip(groups.items(), COLORS, strict=False)):
        places = [i + 0.22 * (k - (len(groups) - 1) / 2) for i in range(len(rows))]
        found = [over_seeds(values) for values in rows.values()]
        axes.hlines(places, [e.low for e in found], [e.high for e in found], color=color, linewidth=2)
        axes.plot([e.mean for e in found], places, _MARKERS[k], color=color, markersize=5, label=group)
    if mark is not None:
        axes.axvline(mark, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    if len(groups) > 1:
        axes.legend(frameon=False)
    label(axes, xlabel, ylabel)
    return drawing


def confusion_map(
    values: Tensor, names: Sequence[object], *, unit: str, marked: Sequence[tuple[int, int]] = ()
) -> Figure:
    """Show which classes are taken for which, as a table of colored numbers.

    Parameters
    ----------
    values
        (K, K): row, the class; column, what it is taken for. Written rounded to whole numbers.
    names
        Of the K classes.
    unit
        Of the values, written along the scale.
    marked
        Rows and columns of the entries that get a frame.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the numbers of rows, columns and names differ.

    Examples
    --------
    >>> import torch
    >>> drawing = confusion_map(torch.tensor([[0.0, 7.2], [-1.0, 0.0]]), "ab", unit="errors (%)", marked=[(0, 1)])
    >>> [text.get_text() for text in drawing.axes[0].texts]
    ['0', '7', '-1', '0']
    """
    if values.shape != (len(names), len(names)) or not len(names):
        raise ValueError(f"values must have shape (K, K) for the K = {len(names)} names, got {tuple(values.shape)}")
    table = values.detach().cpu().double()
    drawing, (axes,) = figure(height=0.9 + 0.27 * len(names))
    low, high = min(0.0, table.min().item()), max(table.max().item(), 1e-9)
    shown = axes.imshow(table.numpy(), cmap="Oranges", vmin=low, vmax=high, aspect="auto")
    for i, row in enumerate(table.round().int().tolist()):
        for j, number in enumerate(row):
            ink = "white" if number > 0.6 * high else INK
            axes.text(j, i, str(number), ha="center", va="center", fontsize=8, color=ink)
    for i, j in marked:
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, color=COLORS[0], linewidth=2))
    axes.set_xticks(range(len(names)), [str(name) for name in names])
    axes.set_yticks(range(len(names)), [str(name) for name in names])
    axes.grid(visible=False)
    label(axes, "taken for", "class")
    drawing.colorbar(shown, ax=axes).set_label(unit, fontsize=9)
    return drawing
