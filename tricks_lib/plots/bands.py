"""Curves over many seeds: the mean as a line, all seeds as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tricks_lib.plots.style import COLORS, axes_of, label

__all__ = ["seed_bands"]


def seed_bands(
    x: Sequence[float],
    curves: Mapping[str, Tensor],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = False,
    mark: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Show curves measured over seeds: a line for the mean, a band from the lowest seed to the highest.

    Parameters
    ----------
    x
        Where the curves were measured (P,).
    curves
        Name and values (S, P) of each curve: S seeds at P places. The name is written at the right end of its line.
    xlabel, ylabel
        Names of the axes, with units.
    log
        Whether the horizontal axis is logarithmic.
    mark
        Where to draw a vertical line.
    ax
        Axes to draw on, instead of a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no curve, or one does not have a value for each place.

    Examples
    --------
    >>> import torch
    >>> curves = {"a": torch.rand(8, 3), "b": 1 + torch.rand(8, 3)}
    >>> drawing = seed_bands([1, 10, 100], curves, xlabel="digits", ylabel="error (%)", log=True)
    >>> [name.get_text() for name in drawing.axes[0].texts]
    ['a', 'b']
    """
    if not curves or len(curves) > len(COLORS):
        raise ValueError(f"curves must hold 1 to {len(COLORS)}, got {len(curves)}")
    drawn = {name: np.asarray(values.detach().cpu()) for name, values in curves.items()}
    for name, values in drawn.items():
        if values.ndim != 2 or values.shape[1] != len(x) or not values.size:
            raise ValueError(f"{name} must have shape (S, {len(x)}), seeds by places, got {values.shape}")
    drawing, axes = axes_of(ax)
    for color, (name, values) in zip(COLORS, drawn.items(), strict=False):
        axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.25, linewidth=0)
        axes.plot(x, values.mean(axis=0), color=color, marker="o", markersize=3)
        end = (x[-1], values[:, -1].mean())
        axes.annotate(name, end, xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    if log:
        axes.set_xscale("log")
    if mark is not None:
        axes.axvline(mark, color=COLORS[8], linestyle="--", linewidth=1)
    label(axes, xlabel, ylabel)
    return drawing
