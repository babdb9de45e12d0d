"""What normalizing inputs changes: where statistics may come from, the signs of gradients, the meaning of a loss."""

from __future__ import annotations

import copy
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from tricks_lib.data.fitted import Batches, floating, wide
from tricks_lib.data.normalization import Standardize

__all__ = [
    "original_scale_mse",
    "place_effect",
    "refit",
    "same_sign_share",
    "scaled_mse",
    "successive_cosines",
]


class _Fits(Protocol):
    def fit(self, x: Tensor | Batches) -> Any: ...


Transform = TypeVar("Transform", bound=_Fits)


def place_effect(x: Tensor) -> Tensor:
    r"""Tell whether a place in the image means something: how far pixel means differ, over what chance would do.

    .. math:: F = \frac{\frac{N}{P-1} \sum_p (m_p - m)^2}{\frac{1}{(N-1)(P-1)} \sum_{i,p} (x_{ip} - x_i - m_p + m)^2}

    with the mean :math:`m_p` of pixel *p* over the *N* images, :math:`x_i` of image *i* over its *P* pixels, and *m* of
    all. If all places are alike, as in random crops, the expectation of the numerator is that of the denominator, and
    *F* is near 1. Much more than 1: the images are aligned.

    Parameters
    ----------
    x
        Images (N, C, ...), N >= 2, with at least two pixels.

    Returns
    -------
    Tensor
        *F* of each channel (C,), in the dtype of `x` (integers: default dtype). Infinite if all images are the same up
        to a constant, NaN if no pixel differs from any other by more than its image does.

    Raises
    ------
    ValueError
        If the shape does not fit, or a number is not finite.

    Notes
    -----
    It is the F statistic of an analysis of variance with repeated measures: images are subjects, pixels treatments.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 2.0], [1.0, 2.0], [2.0, 5.0]])[:, None]
    >>> place_effect(x)
    tensor([12.])
    """
    if x.ndim < 3 or len(x) < 2 or not x.shape[1] or x[0, 0].numel() < 2:
        raise ValueError(f"x must have shape (N, C, ...), N >= 2, with two pixels or more, got {tuple(x.shape)}")
    values = wide(x).flatten(2)
    values = values - values.mean((0, 2), keepdim=True)
    pixel, image = values.mean(0, keepdim=True), values.mean(2, keepdim=True)
    between = len(x) * pixel.square().sum((0, 2))
    within = (values - pixel - image).square().sum((0, 2)) / (len(x) - 1)
    return (between / within).to(floating(x[:0]))


def refit(transform: Transform, x: Tensor | Batches) -> Transform:
    """Return a copy of a transform that is fitted to other data; the transform itself stays as it is.

    ``refit(transform, x_test)(x_test)`` gives test data their own statistics. That is a mistake if they differ from the
    training data in what they show, and a remedy if they differ in how it was recorded.

    Parameters
    ----------
    transform
        One with a method ``fit``, such as `tricks_lib.data.normalization.Standardize`.
    x
        Samples (N, ...), or batches of them.

    Returns
    -------
    Module
        A transform of the same kind and settings.

    Raises
    ------
    TypeError
        If `transform` has no ``fit``.

    References
    ----------
    Yanghao Li, Naiyan Wang, Jianping Shi, Jiaying Liu and Xiaodi Hou (2016). Revisiting batch normalization for
    practical domain adaptation. arXiv:1603.04779 (the same remedy inside of a network)

    Examples
    --------
    >>> standardize = Standardize().fit(torch.tensor([[0.0], [2.0]]))
    >>> other = refit(standardize, torch.tensor([[10.0], [30.0]]))
    >>> other.mean, standardize.mean
    (tensor([20.]), tensor([1.]))
    """
    if not callable(getattr(transform, "fit", None)):
        raise TypeError(f"transform must have a method fit, got {type(transform).__name__}")
    other = copy.deepcopy(transform)
    other.fit(x)
    return other


def same_sign_share(gradient: Tensor) -> Tensor:
    r"""Return for each unit which share of its weights has a gradient of the sign that most of them have.

    .. math:: \frac{\max(n_+, n_-)}{n_+ + n_-}

    1 means that all weights of the unit grow, or all shrink; 1/2 is the least. A gradient of exactly 0, as of a blank
    pixel, has no sign and does not count.

    Parameters
    ----------
    gradient
        (..., fan in), as torch stores the weight of a linear layer: one row for each unit.

    Returns
    -------
    Tensor
        Shares (...), in the dtype of `gradient`; NaN for a unit of which no gradient has a sign, or one is NaN.

    Raises
    ------
    ValueError
        If `gradient` has no dimensions or no weights.

    Examples
    --------
    >>> same_sign_share(torch.tensor([[-1.0, -2.0, 0.0, -0.5], [3.0, -1.0, 2.0, 1.0]]))
    tensor([1.0000, 0.7500])
    """
    if not gradient.ndim or not gradient.shape[-1]:
        raise ValueError(f"gradient must have shape (..., fan in), with weights, got {tuple(gradient.shape)}")
    dtype = floating(gradient[..., :0]).dtype
    counts = torch.stack([(gradient > 0).sum(-1), (gradient < 0).sum(-1)]).to(torch.promote_types(dtype, torch.float32))
    return (counts.amax(0) / counts.sum(0)).to(dtype).masked_fill(gradient.isnan().any(-1), torch.nan)


def successive_cosines(updates: Tensor) -> Tensor:
    r"""Return the cosine of the angle between each update and the next.

    .. math:: c_t = \frac{u_t^\top u_{t+1}}{\lVert u_t \rVert \, \lVert u_{t+1} \rVert}

    1: the path goes straight on; -1: it turns back on itself.

    Parameters
    ----------
    updates
        (T, ..., D), T >= 2 steps of vectors of D numbers; with dimensions between, several paths.

    Returns
    -------
    Tensor
        Cosines (T - 1, ...), NaN where one of the two updates is zero, and has no direction.

    Raises
    ------
    ValueError
        If the shape does not fit.

    Examples
    --------
    >>> successive_cosines(torch.tensor([[3.0, 0.0], [1.0, 0.0], [-2.0, 0.0], [0.0, 5.0]]))
    tensor([ 1., -1.,  0.])
    """
    if updates.ndim < 2 or len(updates) < 2 or not updates.shape[-1]:
        raise ValueError(f"updates must have shape (T, ..., D), T >= 2, D >= 1, got {tuple(updates.shape)}")
    scaled = updates / updates.abs().amax(-1, keepdim=True)  # squares of tiny numbers would vanish
    directions = scaled / scaled.square().sum(-1, keepdim=True).sqrt()
    return (directions[:-1] * directions[1:]).sum(-1).clamp(-1, 1)


def scaled_mse(prediction: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    r"""Average squared errors that are weighted by the squared scale of their feature.

    .. math:: \frac{1}{N D} \sum_{i, j} \sigma_j^2 \, (\hat z_{ij} - z_{ij})^2

    Parameters
    ----------
    prediction, target
        Standardized samples (N, ...), of one shape.
    scale
        What they were divided by, *sigma*: of a shape that broadcasts to theirs.

    Returns
    -------
    Tensor
        Shape (); of integers in torch's default dtype.

    Raises
    ------
    ValueError
        If the shapes do not fit: broadcasting a prediction against a target would average the wrong pairs.

    Examples
    --------
    >>> scaled_mse(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([3.0, 0.5]))
    tensor(5.)
    """
    if prediction.shape != target.shape:
        raise ValueError(f"target must have shape {tuple(prediction.shape)} as prediction, got {tuple(target.shape)}")
    if not _broadcasts(scale.shape, prediction.shape):
        raise ValueError(f"scale must broadcast to shape {tuple(prediction.shape)}, got {tuple(scale.shape)}")
    return (scale * (floating(prediction) - floating(target))).square().mean()


def original_scale_mse(prediction: Tensor, target: Tensor, transform: Standardize) -> Tensor:
    r"""Return the mean squared error that standardized samples have in the units they were recorded in.

    .. math:: x_i - \hat x_i = S z_i + m - (S \hat z_i + m) = S (z_i - \hat z_i)

    Parameters
    ----------
    prediction, target
        Standardized samples (N, ...), of one shape.
    transform
        What standardized them.

    Returns
    -------
    Tensor
        Shape (): up to rounding the mean squared error between ``transform.inverse`` of both.

    Raises
    ------
    RuntimeError
        If `transform` is not fitted.
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 3.0], [4.0, 5.0]])
    >>> standardize = Standardize().fit(x)
    >>> original_scale_mse(torch.zeros(2, 2), standardize(x), standardize)
    tensor(2.5000)
    """
    transform.inverse(prediction[:0])  # raises if it is not fitted, or to other features
    return scaled_mse(prediction, target, transform.scale)


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    """Tell whether a tensor of that shape broadcasts, and does not blow the other one up."""
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))
