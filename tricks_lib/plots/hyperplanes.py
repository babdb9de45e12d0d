"""Points in the plane and the lines at which ReLU units switch on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor, nn

from tricks_lib.plots.style import COLORS, figure, label

__all__ = ["hyperplane_panels"]

_KINDS: tuple[tuple[str, str, Literal["-", "--", ":"]], ...] = (
    ("cuts the data", COLORS[0], "-"),
    ("dead", COLORS[2], "--"),
    ("always on", COLORS[4], ":"),
)


def hyperplane_panels(panels: Mapping[str, tuple[Tensor, nn.Linear]], *, reach: float) -> Figure:
    """Show where the units of layers with two inputs switch on, relative to the data.

    A unit whose line cuts the data is a solid line; a dead one, off at all points, is dashed; one that is always on
    is dotted.

    Parameters
    ----------
    panels
        For each title points (N, 2) and a layer with two inputs and a bias.
    reach
        The axes go from minus to plus this number.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no panel, or the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> drawing = hyperplane_panels({"start": (torch.randn(9, 2), nn.Linear(2, 5))}, reach=4)
    >>> drawing.axes[0].get_title()
    'start'
    """
    if not panels:
        raise ValueError("panels must hold at least one")
    drawing, axes_row = figure(columns=len(panels), height=3.0)
    for axes, (title, (x, layer)) in zip(axes_row, panels.items(), strict=True):
        if x.ndim != 2 or x.shape[1] != 2 or layer.in_features != 2:
            raise ValueError(f"{title} must have points (N, 2), got {tuple(x.shape)} for {layer.in_features} inputs")
        points = np.asarray(x.detach().cpu())
        axes.scatter(points[:, 0], points[:, 1], s=3, color=COLORS[3], linewidths=0)
        on = (layer(x) > 0).to("cpu").float().mean(0)
        parameters = zip(layer.weight.detach().cpu().tolist(), layer.bias.detach().cpu().tolist(), strict=True)
        for share, ((u, v), b) in zip(on.tolist(), parameters, strict=True):
            _, color, dashes = _KINDS[1 if share == 0 else 2 if share == 1 else 0]
            foot, along = -b / (u * u + v * v) * np.array([u, v]), 4 * reach * np.array([-v, u]) / np.hypot(u, v)
            axes.plot(*np.stack([foot - along, foot + along], 1), color=color, linestyle=dashes, linewidth=1)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        label(axes, "input 1", "input 2", title)
    lines = [Line2D([], [], color=color, linestyle=dashes, label=name) for name, color, dashes in _KINDS]
    drawing.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False)
    return drawing
