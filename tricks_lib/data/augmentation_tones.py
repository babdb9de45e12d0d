"""Changes of gray levels: fewer of them, inverted, stretched, equally frequent, sharper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tricks_lib.data.augmentation import check_images

__all__ = ["adjust_sharpness", "autocontrast", "equalize", "posterize", "solarize"]

WHITE = 255  # the last gray level of a byte


def posterize(x: Tensor, bits: Tensor | float) -> Tensor:
    r"""Keep the first bits of each gray level, as if it were a byte.

    .. math:: \lfloor 255 x / 2^{8 - b} \rfloor\, 2^{8 - b} / 255

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1].
    bits
        *b*, from 1 to 8, a number or one for each image (N,); rounded.

    Returns
    -------
    Tensor
        In [0, 1]. The gradient is zero.

    Raises
    ------
    TypeError, ValueError
        If the images or the bits are not as above.

    Examples
    --------
    >>> (255 * posterize(torch.tensor([0, 15, 16, 255]).view(1, 1, 1, 4) / 255, 4)).round()
    tensor([[[[  0.,   0.,  16., 240.]]]])
    """
    step = 2 ** (8 - _per_image("bits", bits, x, 1, 8).round())
    levels = (WHITE * x.clamp(0, 1)).add(1e-3)  # what was a byte stays one
    return (levels / step).floor() * step / WHITE


def solarize(x: Tensor, threshold: Tensor | float) -> Tensor:
    r"""Invert what is bright, as a print does that saw light while it was developed.

    .. math:: 1 - x \text{ where } x \ge \theta, \text{ else } x

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1].
    threshold
        :math:`\theta \ge 0`, a number or one for each image (N,): 0 inverts all, above 1 nothing changes.

    Returns
    -------
    Tensor
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the images or the threshold are not as above.

    Examples
    --------
    >>> solarize(torch.tensor([0.0, 0.5, 0.75]).view(1, 1, 1, 3), 0.5)
    tensor([[[[0.0000, 0.5000, 0.2500]]]])
    """
    return torch.where(x >= _per_image("threshold", threshold, x, 0, torch.inf), 1 - x, x)


def autocontrast(x: Tensor) -> Tensor:
    r"""Stretch each channel of each image to the whole range.

    .. math:: (x - \min x) / (\max x - \min x)

    Parameters
    ----------
    x
        Images (N, C, H, W).

    Returns
    -------
    Tensor
        In [0, 1]; a channel of a single value stays as it is.

    Raises
    ------
    TypeError, ValueError
        If they are not images.

    Examples
    --------
    >>> autocontrast(torch.tensor([0.25, 0.5, 0.75]).view(1, 1, 1, 3))
    tensor([[[[0.0000, 0.5000, 1.0000]]]])
    """
    check_images(x)
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / torch.where(high > low, high - low, 1), x)


def equalize(x: Tensor) -> Tensor:
    r"""Replace each value by its rank within its channel, so that all gray levels become about equally frequent.

    .. math:: \frac{\#\{\text{pixels} < x\}}{\#\{\text{pixels} < \max x\}}

    Parameters
    ----------
    x
        Images (N, C, H, W).

    Returns
    -------
    Tensor
        In [0, 1], without a gradient; a channel of a single value stays as it is.

    Raises
    ------
    TypeError, ValueError
        If they are not images.

    Notes
    -----
    Pillow's ``ImageOps.equalize`` before its rounding to bytes.

    Examples
    --------
    >>> equalize(torch.tensor([0.1, 0.2, 0.2, 0.9]).view(1, 1, 2, 2))
    tensor([[[[0.0000, 0.3333],
              [0.3333, 1.0000]]]])
    """
    check_images(x)
    flat = x.detach().flatten(2).contiguous()
    below = torch.searchsorted(flat.sort(dim=2).values, flat)
    most = below.amax(dim=2, keepdim=True)
    return torch.where(most > 0, below.to(x.dtype) / most.clamp(min=1), flat).view_as(x)


def adjust_sharpness(x: Tensor, factor: Tensor | float) -> Tensor:
    r"""Move each pixel away from the mean of its surroundings, or toward it.

    .. math:: s + c\, (x - s), \qquad s = x * \tfrac{1}{13}
        \begin{pmatrix} 1 & 1 & 1 \\ 1 & 5 & 1 \\ 1 & 1 & 1 \end{pmatrix}

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1]. The pixels of the rim have no surroundings and stay.
    factor
        :math:`c \ge 0`, a number or one for each image (N,): 0 is blurred, 1 changes nothing.

    Returns
    -------
    Tensor
        Clamped to [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the images or the factor are not as above.

    Notes
    -----
    As in torchvision and, but for its rounding, Pillow.

    Examples
    --------
    >>> adjust_sharpness(torch.eye(3).view(1, 1, 3, 3), 0.0)[0, 0, 1]
    tensor([0.0000, 0.5385, 0.0000])
    """
    c = _per_image("factor", factor, x, 0, torch.inf)
    if min(x.shape[2:]) < 3:
        return x.clamp(0, 1)
    kernel = torch.ones(1, 1, 3, 3, dtype=x.dtype, device=x.device)
    kernel[..., 1, 1] = 5
    smooth = nn.functional.conv2d(x.flatten(0, 1)[:, None], kernel / 13)
    inner = smooth.view(*x.shape[:2], *smooth.shape[2:])
    sharp = torch.lerp(inner, x[:, :, 1:-1, 1:-1], c)
    rows = torch.cat([x[:, :, 1:-1, :1], sharp, x[:, :, 1:-1, -1:]], dim=3)
    return torch.cat([x[:, :, :1], rows, x[:, :, -1:]], dim=2).clamp(0, 1)


def _per_image(name: str, value: Tensor | float, x: Tensor, low: float, high: float) -> Tensor:
    """Return a number, or one for each image, as (N, 1, 1, 1), checked."""
    check_images(x)
    given = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if given.shape not in ((), (len(x),)):
        raise ValueError(f"{name} must be a number or have shape ({len(x)},), got {tuple(given.shape)}")
    if not bool(((given >= low) & (given <= high) & given.isfinite()).all()):  # NaN fails too
        raise ValueError(f"{name} must be finite, at least {low} and at most {high}, got {value}")
    return given.expand(len(x)).view(-1, 1, 1, 1)
