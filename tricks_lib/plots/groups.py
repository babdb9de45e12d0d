"""Shares in several groups, side by side: a point with its interval for each group and series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tricks_lib.experiment.statistics import Estimate
from tricks_lib.plots.style import COLORS, axes_of, label

__all__ = ["group_intervals"]

_MARKERS = "osD^v"  # shapes, too: colors alone do not reach everybody
_ROW = 0.3  # inches


def group_intervals(
    groups: Sequence[str],
    series: Mapping[str, Sequence[Estimate]],
    *,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Figure:
    """Show estimates for several groups: one row for each group, one point with its 95 % interval for each series.

    Parameters
    ----------
    groups
        Names of the groups, from top to bottom.
    series
        For each name one estimate for each group; up to five.
    xlabel, ylabel
        Names of the axes, with units.
    ax
        Axes to draw on, instead of a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no group, or there are not one to five series with an estimate for each group.

    Examples
    --------
    >>> from tricks_lib.experiment.statistics import proportion
    >>> drawing = group_intervals(["a", "b"], {"ours": [proportion(3, 9), proportion(5, 9)]}, xlabel="x", ylabel="y")
    >>> [name.get_text() for name in drawing.axes[0].get_yticklabels()]
    ['a', 'b']
    """
    if not groups:
        raise ValueError("groups must hold at least one name")
    if not 1 <= len(series) <= len(_MARKERS):
        raise ValueError(f"series must hold 1 to {len(_MARKERS)}, got {len(series)}")
    for name, estimates in series.items():
        if len(estimates) != len(groups):
            raise ValueError(f"{name} must have an estimate for each of {len(groups)} groups, got {len(estimates)}")
    drawing, axes = axes_of(ax, height=1.0 + _ROW * len(groups))
    for k, (name, estimates) in enumerate(series.items()):
        shift = 0.5 * ((k + 0.5) / len(series) - 0.5)
        places = [row + shift for row in range(len(groups))]
        means = [e.mean for e in estimates]
        arms = [[e.mean - e.low for e in estimates], [e.high - e.mean for e in estimates]]
        axes.errorbar(
            means, places, xerr=arms, label=name, fmt=_MARKERS[k], markersize=4.5, color=COLORS[k], linewidth=1.2
        )
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    if len(series) > 1:
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
    label(axes, xlabel, ylabel)
    return drawing
