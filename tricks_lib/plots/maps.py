"""Numbers at places: arrays as panels of colored squares that share one scale."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from tricks_lib.plots.style import figure

__all__ = ["value_maps"]


def value_maps(panels: Mapping[str, Tensor], *, unit: str) -> Figure:
    """Show arrays of numbers side by side, with one scale for all, so that they can be compared.

    Parameters
    ----------
    panels
        For each title an array (H, W) or (1, H, W), of any size.
    unit
        Of the values, written along the scale.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no panel, or a shape does not fit.

    Notes
    -----
    The scale goes from the smallest value, or 0 if none is below, to the largest.

    Examples
    --------
    >>> import torch
    >>> drawing = value_maps({"before": torch.rand(5, 4), "after": torch.rand(5, 4)}, unit="squared error")
    >>> [panel.get_title() for panel in drawing.axes[:2]]
    ['before', 'after']
    """
    if not panels:
        raise ValueError("panels must hold at least one array, got none")
    arrays = [_flat(title, values) for title, values in panels.items()]
    low, high = min(0.0, *(float(a.min()) for a in arrays)), max(float(a.max()) for a in arrays)
    drawing, axes = figure(columns=len(arrays), height=2.4)
    for panel, title, values in zip(axes, panels, arrays, strict=True):
        shown = panel.imshow(values.numpy(), cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
        panel.set(title=title, xticks=[], yticks=[])
    scale = drawing.colorbar(shown, ax=axes)
    scale.set_label(unit, fontsize=9)
    scale.ax.tick_params(labelsize=8)
    return drawing


def _flat(title: str, values: Tensor) -> Tensor:
    flat = values.squeeze(0) if values.ndim == 3 else values
    if flat.ndim != 2 or not flat.numel():
        raise ValueError(f"{title} must have shape (H, W) or (1, H, W), got {tuple(values.shape)}")
    return flat.detach().cpu().double()
