"""Gradient clipping by the norm of the whole gradient."""

from __future__ import annotations

from torch import Tensor

__all__ = ["clip_factor"]


def clip_factor(norm: Tensor, max_norm: float | Tensor) -> Tensor:
    r"""Return the factor that brings a gradient of this norm down to a maximal norm.

    .. math:: c = \min\left(1, \frac{\text{max\_norm}}{\text{norm} + 10^{-6}}\right)

    Parameters
    ----------
    norm
        Norm of all gradients, taken as one vector: any shape, say one norm per model.
    max_norm
        Above 0; a number, or a tensor that broadcasts against ``norm``.

    Returns
    -------
    Tensor
        In (0, 1], of the shape of ``norm``: not finite where the norm is not.

    Raises
    ------
    ValueError
        If ``max_norm`` is a number that is not above 0.

    Notes
    -----
    The form of ``torch.nn.utils.clip_grad_norm_``: the direction of the gradient is kept.

    Examples
    --------
    >>> import torch
    >>> clip_factor(torch.tensor([0.5, 4.0]), max_norm=1.0)
    tensor([1.0000, 0.2500])
    """
    if not isinstance(max_norm, Tensor) and not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    return (max_norm / (norm + 1e-6)).clamp(max=1.0)
