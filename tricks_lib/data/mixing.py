"""Samples made of two: images and labels mixed in the same proportion."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tricks_lib.data.augmentation_camera import in_rectangles
from tricks_lib.learning.draws import uniform_like

__all__ = ["beta_like", "cutmix", "mixup", "soft_labels"]


def soft_labels(y: Tensor, n_classes: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Return labels as probabilities.

    Parameters
    ----------
    y
        Labels (N,), int64 in [0, n_classes); or probabilities (N, n_classes) already, which are returned.
    n_classes
        Number of classes.
    dtype
        Of the probabilities; ``None``: torch's default dtype.

    Returns
    -------
    Tensor
        (N, n_classes).

    Raises
    ------
    TypeError
        If the labels are neither int64 nor of a floating-point type.
    ValueError
        If a shape does not fit, or a label is out of range.

    Examples
    --------
    >>> soft_labels(torch.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if y.is_floating_point():
        if y.ndim != 2 or y.shape[1] != n_classes:
            raise ValueError(f"y of {y.dtype} must have shape (N, {n_classes}), got {tuple(y.shape)}")
        return y.to(dtype or y.dtype)
    if y.dtype != torch.int64:
        raise TypeError(f"y must hold labels (int64) or probabilities (floating point), got {y.dtype}")
    if y.ndim != 1 or bool(((y < 0) | (y >= n_classes)).any()):
        raise ValueError(f"y must have shape (N,), labels in [0, {n_classes}), got {tuple(y.shape)}: {y}")
    return nn.functional.one_hot(y, n_classes).to(dtype or torch.get_default_dtype())


def beta_like(x: Tensor, alpha: float, *, generator: torch.Generator | None = None) -> Tensor:
    r"""Draw a number in [0, 1] for each sample, from the beta distribution with two equal parameters.

    .. math:: \lambda = \frac{g_1}{g_1 + g_2}, \qquad g_1, g_2 \sim \operatorname{Gamma}(\alpha)

    Parameters
    ----------
    x
        Samples (N, ...), for their number, dtype and device.
    alpha
        :math:`\alpha \ge 0`: at 1 the numbers are uniform, below they crowd at both ends, above in the middle. At 0
        all are 1.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator of the CPU.

    Returns
    -------
    Tensor
        (N,), of the dtype and device of ``x``.

    Raises
    ------
    ValueError
        If ``alpha`` is negative or not finite.

    Examples
    --------
    >>> beta_like(torch.zeros(3, 5), 0.2, generator=torch.Generator().manual_seed(0))
    tensor([1.3436e-07, 3.2887e-02, 8.3878e-01])
    """
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be a finite number, at least 0, got {alpha}")
    if alpha == 0:
        return x.new_ones(len(x))
    device = torch.device("cpu") if generator is None else generator.device
    parameters = torch.full((2, len(x)), alpha, dtype=torch.float64, device=device)  # float32 would underflow
    gammas = torch._standard_gamma(parameters, generator=generator)
    return (gammas[0] / gammas.sum(dim=0)).to(x.device, x.dtype)


def mixup(
    x: Tensor, y: Tensor, n_classes: int, *, alpha: float = 0.2, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    r"""Blend each sample with another one of the batch, and their labels in the same proportion.

    .. math:: \tilde x_i = \lambda_i x_i + (1 - \lambda_i)\, x_j, \qquad
        \tilde y_i = \lambda_i y_i + (1 - \lambda_i)\, y_j, \qquad \lambda_i \sim \operatorname{Beta}(\alpha, \alpha)

    with the partners :math:`j` a random permutation of the batch.

    Parameters
    ----------
    x
        Samples (N, ...) of a floating-point type; any number of them, one is mixed with itself.
    y
        Labels (N,), int64; or probabilities (N, n_classes).
    n_classes
        Number of classes.
    alpha
        :math:`\alpha \ge 0`, see `beta_like`; at 0 nothing is mixed.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator of the CPU.

    Returns
    -------
    mixed : Tensor
        Of the shape, dtype and device of ``x``.
    targets : Tensor
        Probabilities (N, n_classes) in the dtype of ``x``, for any loss that takes them. Smoothing is left to the loss.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    The authors' code draws one :math:`\lambda` for the whole batch; their paper draws one for each pair, as here.

    References
    ----------
    H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz (2018). mixup: Beyond empirical risk minimization. ICLR.
    https://arxiv.org/abs/1710.09412

    Examples
    --------
    >>> x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
    >>> mixed, targets = mixup(x, y, 3, alpha=1.0, generator=torch.Generator().manual_seed(0))
    >>> mixed[0], targets[0]
    (tensor([0.7670]), tensor([0.6165, 0.0000, 0.3835]))
    """
    targets, partner = _paired(x, y, n_classes, generator)
    own = beta_like(x, alpha, generator=generator)
    mixed = x.index_select(0, partner).lerp_(x, own.view(-1, *[1] * (x.ndim - 1)))
    return mixed, targets[partner].lerp_(targets, own[:, None])


def cutmix(
    x: Tensor, y: Tensor, n_classes: int, *, alpha: float = 1.0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    r"""Paste a rectangle of another image of the batch into each image, and mix the labels by the share of pixels.

    The rectangle has the shape of the image, sides of :math:`\sqrt{1 - \lambda}` of it with
    :math:`\lambda \sim \operatorname{Beta}(\alpha, \alpha)`, and its center anywhere; what sticks out is lost.

    .. math:: \tilde x_i = M_i \odot x_j + (1 - M_i) \odot x_i, \qquad
        \tilde y_i = \bar M_i\, y_j + (1 - \bar M_i)\, y_i

    with :math:`M_i` 1 within the rectangle and :math:`\bar M_i` its mean over the pixels.

    Parameters
    ----------
    x
        Images (N, C, H, W); any number of them.
    y, n_classes, alpha, generator
        As for `mixup`.

    Returns
    -------
    mixed : Tensor
        Of the shape, dtype and device of ``x``.
    targets : Tensor
        Probabilities (N, n_classes) in the dtype of ``x``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe, Y. Yoo (2019). CutMix: Regularization strategy to train strong
    classifiers with localizable features. ICCV. https://arxiv.org/abs/1905.04899

    Examples
    --------
    >>> x, y = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 3, 4), torch.tensor([0, 1])
    >>> mixed, targets = cutmix(x, y, 2, generator=torch.Generator().manual_seed(5))
    >>> mixed[0, 0], targets[0]
    (tensor([[0., 0., 0., 0.],
            [1., 1., 0., 0.],
            [1., 1., 0., 0.]]), tensor([0.6667, 0.3333]))
    """
    targets, partner = _paired(x, y, n_classes, generator)
    side = (1 - beta_like(x, alpha, generator=generator)).float().sqrt()
    sizes = side[:, None] * side.new_tensor(x.shape[2:])
    centers = uniform_like(sizes, generator=generator) * sizes.new_tensor(x.shape[2:])
    pasted = in_rectangles(x, torch.cat([centers - sizes / 2, sizes], dim=1))
    share = pasted.to(x.dtype).mean(dim=(1, 2, 3))
    return torch.where(pasted, x[partner], x), torch.lerp(targets, targets[partner], share[:, None])


def _paired(x: Tensor, y: Tensor, n_classes: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return targets as probabilities, and for each sample the number of its partner."""
    if not x.is_floating_point() or x.ndim < 2:
        raise TypeError(f"x must be samples (N, ...) of a floating-point type, got {x.dtype} of {tuple(x.shape)}")
    targets = soft_labels(y, n_classes, dtype=x.dtype)
    if len(targets) != len(x):
        raise ValueError(f"x and y must hold the same samples, got {len(x)} and {len(targets)}")
    device = torch.device("cpu") if generator is None else generator.device
    return targets, torch.randperm(len(x), generator=generator, device=device).to(x.device)
