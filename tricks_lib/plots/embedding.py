"""Two-dimensional pictures of data, one color and one direct label for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from torch import Tensor

from tricks_lib.plots.style import COLORS, figure, label

__all__ = ["embedding_panels"]


def embedding_panels(
    pictures: Mapping[str, Tensor], y: Tensor, *, names: Sequence[str] | None = None, axis: str = "coordinate"
) -> Figure:
    """Show the same samples in several pictures, side by side.

    Each class has its color and, at the median of its points, its name: no legend to look up.

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
        for c in np.unique(classes):
            own = points[classes == c]
            axes.scatter(own[:, 0], own[:, 1], s=5, color=COLORS[c], alpha=0.75, linewidths=0)
            left, up = np.median(own, axis=0)
            text = axes.text(left, up, names[c], ha="center", va="center", weight="bold", fontsize=9)
            text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
        axes.set_aspect("equal", adjustable="datalim")  # distances are what readers compare
        label(axes, f"{axis} 1", f"{axis} 2", title)
    return drawing
