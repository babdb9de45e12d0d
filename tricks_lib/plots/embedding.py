"""Two-dimensional pictures of data, one color and one direct label for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from tricks_lib.plots.style import COLORS, figure, label

__all__ = ["embedding_panels"]

_BESIDE = 11  # points between a place and its name, and between two names: a letter and its outline
_PANEL = np.array([180, 150])  # points, width and height that the samples have in one of two panels


def embedding_panels(
    pictures: Mapping[str, Tensor], y: Tensor, *, names: Sequence[str] | None = None, axis: str = "coordinate"
) -> Figure:
    """Show the same samples in several pictures, side by side.

    Each class has its color and, beside the median of its points, its name: no legend to look up. The name stands
    on the side away from the other classes, so that it hides neither a small cluster nor another name.

    Parameters
    ----------
    pictures
        Title and points (N, 2) of each picture.
    y
        Class of each sample (N,), integers from 0.
    names
        Names of the classes; their numbers by default.
    axis
        What the axes show; a number is added: ``"coordinate 1"``.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no picture, shapes do not fit, or there are more classes than colors or names.

    Examples
    --------
    >>> import torch
    >>> points = torch.tensor([[0.0, 1.0], [1.0, 1.0], [5.0, 6.0]])
    >>> drawing = embedding_panels({"one": points, "two": points.flip(1)}, torch.tensor([0, 0, 1]))
    >>> [panel.get_title() for panel in drawing.axes]
    ['one', 'two']
    """
    if not pictures:
        raise ValueError("pictures must hold at least one")
    classes = np.asarray(y.detach().cpu())
    names = [str(c) for c in range(len(COLORS))] if names is None else names
    if not len(classes) or not 0 <= classes.min() <= classes.max() < min(len(COLORS), len(names)):
        raise ValueError(f"y must hold classes in [0, {min(len(COLORS), len(names))}), one for each sample")
    drawing, panels = figure(columns=len(pictures), height=2.9)
    for axes, (title, z) in zip(panels, pictures.items(), strict=True):
        if z.shape != (len(classes), 2):
            raise ValueError(f"{title} must have shape ({len(classes)}, 2), got {tuple(z.shape)}")
        points = np.asarray(z.detach().cpu())
        own = {int(c): points[classes == c] for c in np.unique(classes)}
        for c, some in own.items():
            axes.scatter(some[:, 0], some[:, 1], s=5, color=COLORS[c], alpha=0.75, linewidths=0)
        middles = np.stack([np.median(some, axis=0) for some in own.values()])
        _name(axes, [names[c] for c in own], middles, np.ptp(points, axis=0))
        axes.set_aspect("equal", adjustable="datalim")  # distances are what readers compare
        label(axes, f"{axis} 1", f"{axis} 2", title)
    return drawing


def _name(axes: Axes, names: Sequence[str], middles: NDArray[Any], extent: NDArray[Any]) -> None:
    """Write each name beside its place, on the side that is away from the middle of all places."""
    away = middles - middles.mean(axis=0)
    away[np.hypot(*away.T) == 0] = [0, 1]
    scale = (_PANEL / np.maximum(extent, 1e-12)).min()  # about how many points a unit of the data takes
    beside = _apart(middles * scale + _BESIDE * away / np.hypot(*away.T)[:, None])
    for name, place, side in zip(names, middles, beside - middles * scale, strict=True):
        text = axes.annotate(
            name, place, side, textcoords="offset points", ha="center", va="center", weight="bold", fontsize=9
        )
        text.set_path_effects([patheffects.withStroke(linewidth=2, foreground="white")])


def _apart(places: NDArray[Any], steps: int = 100) -> NDArray[Any]:
    """Push places (n, 2) that are closer than two names can be apart, each by half of what is missing."""
    for _ in range(steps):
        gaps = places[:, None] - places
        distances = np.maximum(np.hypot(*gaps.T).T, 1e-9)[:, :, None]
        places = places + (gaps / distances * np.maximum(_BESIDE - distances, 0) / 2).sum(axis=1)
    return places
