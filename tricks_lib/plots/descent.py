"""Gradient descent on a quadratic with two directions: its path over the contours, and its loss."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from tricks_lib.plots.style import COLORS, INK, figure, label

__all__ = ["descent_panels"]

_RANGE = 1e-5, 1e2  # of the loss, over that of the start
_SHAPE = np.array([1, 0.62])  # how far the two weights reach, about as wide and high as the panel


def descent_panels(path: Tensor, curvature: Tensor, *, title: str = "") -> Figure:
    """Show a path over the contours of its loss, and the loss at each step, over that of the start.

    Two drawings with the same start and curvature have the same axes, so that they can be compared; what leaves the
    axes is cut off.

    Parameters
    ----------
    path
        Places (T, 2), from the start on, T >= 2.
    curvature
        The two eigenvalues of the Hessian (2,), above 0: the loss is half the sum of curvature times place squared.
    title
        Above the path.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If shapes do not fit, or the start is the minimum.

    Examples
    --------
    >>> import torch
    >>> path = torch.tensor([[4.0, 1.0], [2.0, -0.5], [1.0, 0.2]])
    >>> drawing = descent_panels(path, torch.tensor([1.0, 9.0]))
    >>> [panel.get_ylabel() for panel in drawing.axes]
    ['weight 2 (sharp)', 'loss / first loss']
    """
    places, eigenvalues = (np.asarray(tensor.detach().cpu(), dtype=float) for tensor in (path, curvature))
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < 2 or eigenvalues.shape != (2,):
        raise ValueError(
            f"path must have shape (T, 2), T >= 2, and curvature (2,), got {places.shape} and {eigenvalues.shape}"
        )
    loss = _loss(places, eigenvalues)
    if not loss[0] > 0:
        raise ValueError(f"path must start away from the minimum, got {places[0]}")
    drawing, (left, right) = figure(columns=2, height=2.4)
    reach = 1.3 * np.abs(places[0] / _SHAPE).max() * _SHAPE
    grid = np.meshgrid(*(np.linspace(-r, r, 81) for r in reach))
    height = _loss(np.stack(grid, axis=-1), eigenvalues)
    left.contour(*grid, height, levels=loss[0] * np.array([0.05, 0.25, 0.6, 1, 1.6]), colors="#c0c0c0", linewidths=0.8)
    left.plot(*places.T, color=COLORS[0], marker="o", markersize=3, linewidth=1)
    left.plot(0, 0, color=INK, marker="x")
    left.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    label(left, "weight 1 (flat)", "weight 2 (sharp)", title)
    right.plot(loss / loss[0], color=COLORS[0], marker="o", markersize=3, linewidth=1)
    right.set(yscale="log", ylim=_RANGE, xlim=(0, len(places) - 1))
    label(right, "step", "loss / first loss")
    return drawing


def _loss(places: NDArray[np.float64], eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (places**2 * eigenvalues).sum(axis=-1))
