"""Running averages of weights."""

from __future__ import annotations

from torch import Tensor

__all__ = ["ema_step"]


def ema_step(average: Tensor, value: Tensor, decay: float | Tensor) -> None:
    r"""Move an exponential moving average towards a value, in place.

    .. math:: a \leftarrow d\, a + (1 - d)\, v

    Parameters
    ----------
    average, value
        Of the same shape; ``average`` is changed.
    decay
        In [0, 1): a number, or a tensor that broadcasts. 0 copies the value.

    Raises
    ------
    ValueError
        If ``decay`` is a number out of range.

    Examples
    --------
    >>> import torch
    >>> average = torch.tensor([1.0])
    >>> ema_step(average, torch.tensor([2.0]), decay=0.75)
    >>> average
    tensor([1.2500])
    """
    if not isinstance(decay, Tensor) and not 0 <= decay < 1:
        raise ValueError(f"decay must be in [0, 1), got {decay}")
    average.lerp_(value, 1 - decay)
