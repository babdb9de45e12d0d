"""Results of sweeps: means over seeds with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tricks_lib.experiment.statistics import over_seeds
from tricks_lib.plots.style import COLORS, axes_of, label

__all__ = ["seed_intervals"]


def seed_intervals(
    lines: Mapping[str, tuple[Sequence[float], NDArray[np.float64]]],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draw lines measured over seeds: the mean, in a band for its 95 % interval.

    Parameters
    ----------
    lines
        For each name the places (P,) and the values (S, P) of S seeds there. Where a value is not finite, the line
        has a gap.
    xlabel, ylabel
        Names of the axes, with units.
    log
        Whether the horizontal axis is logarithmic.
    ax
        Axes to draw on, instead of a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no line, there are more than ten, or the values do not fit the places.

    Examples
    --------
    >>> values = np.array([[0.5, 0.3], [0.6, 0.2], [0.4, 0.4]])
    >>> seed_intervals({"SGD": ([1, 2], values)}, xlabel="epoch", ylabel="loss")
    <Drawing size 704x286 with 1 Axes>
    """
    if not 1 <= len(lines) <= len(COLORS):
        raise ValueError(f"lines must hold 1 to {len(COLORS)} lines, got {len(lines)}")
    drawing, axes = axes_of(ax)
    for color, (name, (x, values)) in zip(COLORS, lines.items(), strict=False):
        if values.ndim != 2 or values.shape[1] != len(x) or not values.size:
            raise ValueError(f"{name} must have shape (S, {len(x)}), seeds by places, got {values.shape}")
        mean, low, high = np.array([_interval(column) for column in values.T]).T
        axes.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
        axes.plot(x, mean, color=color, marker="o", markersize=3, label=name)
    if log:
        axes.set_xscale("log")
    if len(lines) > 1:
        axes.legend(frameon=False)
    label(axes, xlabel, ylabel)
    return drawing


def _interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    if not np.isfinite(values).all():
        return np.nan, np.nan, np.nan
    if len(values) == 1:
        return (values.item(),) * 3
    estimate = over_seeds(values)
    return estimate.mean, estimate.low, estimate.high
