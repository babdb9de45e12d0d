"""Where to compute: the accelerator if there is one, else the CPU."""

from __future__ import annotations

import torch

__all__ = ["default_device"]


def default_device() -> torch.device:
    """Return the accelerator that torch finds (CUDA, MPS, XPU, ...), or the CPU.

    Returns
    -------
    torch.device

    Examples
    --------
    >>> x = torch.ones(2, device=default_device())
    >>> x.sum().item()
    2.0
    """
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
