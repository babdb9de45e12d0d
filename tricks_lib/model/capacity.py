"""Capacity: random features and networks of any width, ridge regression, bias and variance, and the peak between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tricks_lib.data.fitted import floating, wide

__all__ = [
    "BiasVariance",
    "VoteParts",
    "bias_variance",
    "hidden_network",
    "least_squares_risk",
    "random_directions",
    "relu_features",
    "ridge_path",
    "vote_parts",
]


def hidden_network(
    n_in: int, width: int, n_out: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> nn.Sequential:
    """Return a network with one hidden layer of this width, or a linear model: the simplest place to start.

    Parameters
    ----------
    n_in, n_out
        Features of a sample, which is laid flat first, and outputs.
    width
        Hidden ReLU units; 0 leaves the hidden layer out.
    device, dtype
        Of the parameters; ``None``: torch's defaults.

    Returns
    -------
    torch.nn.Sequential
        (N, ...) -> (N, n_out), with torch's first weights.

    Raises
    ------
    ValueError
        If a size is out of range.

    Examples
    --------
    >>> [sum(p.numel() for p in hidden_network(64, width, 10).parameters()) for width in (0, 1, 8)]
    [650, 85, 610]
    """
    _check_sizes(n_in=n_in, n_out=n_out)
    if width < 0:
        raise ValueError(f"width must be 0 or more, got {width}")
    if not width:
        return nn.Sequential(nn.Flatten(), nn.Linear(n_in, n_out, device=device, dtype=dtype))
    hidden = nn.Linear(n_in, width, device=device, dtype=dtype)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(width, n_out, device=device, dtype=dtype))


def random_directions(
    n_in: int,
    width: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw the fixed first layer of a model with random features: (n_in, width), standard normal.

    Parameters
    ----------
    n_in, width
        Features of a sample, and random features to make of them.
    generator
        Drawn from, on its device, then moved.
    device, dtype
        Of the result; ``None``: the generator's device, torch's default dtype.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> random_directions(64, 5, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([64, 5])
    """
    _check_sizes(n_in=n_in, width=width)
    place = device if generator is None else generator.device
    return torch.randn(n_in, width, generator=generator, device=place, dtype=dtype).to(device)


def relu_features(x: Tensor, directions: Tensor) -> Tensor:
    r"""Return random ReLU features: a hidden layer that is drawn and never trained.

    .. math:: \phi(x) = \sqrt{2 / P} \; \max(0, R^\top x)

    The factor keeps the squared length of a sample on average, so that one penalty means the same for every width.

    Parameters
    ----------
    x
        Samples (N, D).
    directions
        *R*, (D, P) or (S, D, P) of S models, from `random_directions`.

    Returns
    -------
    Tensor
        (N, P) or (S, N, P).

    Raises
    ------
    ValueError
        If shapes do not fit.

    References
    ----------
    A. Rahimi, B. Recht (2007). Random features for large-scale kernel machines. Advances in Neural Information
    Processing Systems 20.

    Examples
    --------
    >>> relu_features(torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, -1.0], [1.0, 0.0]])).tolist()
    [[4.0, 0.0]]
    """
    if x.ndim < 2 or directions.ndim < 2 or x.shape[-1] != directions.shape[-2]:
        shapes = f"{tuple(x.shape)} and {tuple(directions.shape)}"
        raise ValueError(f"x and directions must have shapes (N, D) and (D, P), got {shapes}")
    return math.sqrt(2 / directions.shape[-1]) * torch.relu(x @ directions)


def ridge_path(x: Tensor, y: Tensor, penalties: Sequence[float] | Tensor, *, rtol: float | None = None) -> Tensor:
    r"""Return the weights of ridge regression for many penalties, from one singular value decomposition.

    .. math:: W_\lambda = \arg\min_W \frac{1}{2N} \lVert X W - Y \rVert^2 + \frac{\lambda}{2} \lVert W \rVert^2
              = \sum_j \frac{s_j}{s_j^2 + N \lambda} \, v_j u_j^\top Y, \qquad X = \sum_j s_j u_j v_j^\top

    Without a penalty, this is the shortest of all solutions of least squares.

    Parameters
    ----------
    x
        Samples as rows (..., N, P). Nothing is centered, and no bias is added.
    y
        Targets (..., N, K).
    penalties
        :math:`\lambda`, L numbers, 0 or more.
    rtol
        A singular value up to this share of the largest counts as zero. Default: the larger of N and P times the
        precision of the dtype, as in ``torch.linalg.matrix_rank``.

    Returns
    -------
    Tensor
        (..., L, P, K), device and dtype of `x`.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, or a penalty or `rtol` is out of range.

    Examples
    --------
    >>> x, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[4.0], [2.0]])
    >>> ridge_path(x, y, [0.0, 0.5, 2.0])[..., 0]
    tensor([[2.0000, 2.0000],
            [1.6000, 1.0000],
            [1.0000, 0.4000]])
    """
    if x.ndim < 2 or y.ndim < 2 or x.shape[-2] != y.shape[-2] or not x.numel():
        raise ValueError(f"x and y must have shapes (N, P) and (N, K), got {tuple(x.shape)} and {tuple(y.shape)}")
    left, size, right = torch.linalg.svd(wide(x), full_matrices=False)
    shrink = _checked_penalties(penalties).to(size)[:, None] * x.shape[-2]
    size = size[..., None, :]
    kept = size > _share_of_zero(x, rtol) * size.amax(-1, keepdim=True)
    inverse = torch.where(kept, size / (size.square() + shrink).where(kept, 1), 0)
    along = left.mT @ wide(y, "y")
    weights: Tensor = right.mT[..., None, :, :] @ (inverse[..., None] * along[..., None, :, :])
    return weights.to(floating(x))


class BiasVariance(NamedTuple):
    """What `bias_variance` found for each prediction."""

    bias: Tensor
    """Squared bias; an estimate, and where the bias is small it may come out negative."""
    variance: Tensor
    """Variance over training sets."""


def bias_variance(predictions: Tensor, target: Tensor) -> BiasVariance:
    r"""Split the squared error of models that were trained on S training sets into squared bias and variance.

    .. math:: v = \frac{1}{S - 1} \sum_s (f_s - \bar f)^2, \qquad b = (\bar f - y)^2 - \frac{v}{S}, \qquad
              b + v = \frac1S \sum_s (f_s - y)^2

    The mean of S models is not the mean of all models, and is off by a variance of :math:`v / S`; without the
    correction that would count as bias. Both estimates are unbiased, and their sum is the mean squared error, exactly.

    Parameters
    ----------
    predictions
        (S, ...), the training sets first, S >= 2.
    target
        (...), what should have been predicted. If it is a noisy observation, its noise is counted as bias.

    Returns
    -------
    BiasVariance
        Squared bias and variance, each of the target's shape.

    Raises
    ------
    ValueError
        If there are fewer than two training sets, or shapes do not fit.

    References
    ----------
    S. Geman, E. Bienenstock, R. Doursat (1992). Neural networks and the bias/variance dilemma. Neural Computation 4,
    1-58.

    Examples
    --------
    >>> bias_variance(torch.tensor([[1.0], [3.0]]), torch.tensor([5.0]))
    BiasVariance(bias=tensor([8.]), variance=tensor([2.]))
    """
    _check_sets("predictions", predictions, "target", target)
    variance = predictions.var(0, correction=1)
    return BiasVariance((predictions.mean(0) - target).square() - variance / len(predictions), variance)


class VoteParts(NamedTuple):
    """What `vote_parts` found, each a share of samples and models."""

    error: float
    """Mean error of the models."""
    bias: float
    """Error of the main prediction, the class that most of the models predict."""
    harm: float
    """Departures from a right main prediction, which add to the error."""
    help: float
    """Departures from a wrong main prediction that are right, which reduce the error."""


def vote_parts(votes: Tensor, labels: Tensor) -> VoteParts:
    r"""Split the error rate of models that were trained on S training sets: here variance can help.

    .. math:: \text{error} = \text{bias} + \text{harm} - \text{help}

    Parameters
    ----------
    votes
        Predicted classes (S, N), S >= 2.
    labels
        Right classes (N,).

    Returns
    -------
    VoteParts

    Raises
    ------
    ValueError
        If there are fewer than two training sets, or shapes do not fit.
    TypeError
        If classes are not whole numbers.

    Notes
    -----
    If several classes have the most votes, the smallest of them is the main prediction.

    References
    ----------
    P. Domingos (2000). A unified bias-variance decomposition for zero-one and squared loss. AAAI.

    Examples
    --------
    >>> parts = vote_parts(torch.tensor([[1, 0], [1, 0], [0, 1]]), torch.tensor([1, 1]))
    >>> [round(part, 2) for part in parts]
    [0.5, 0.5, 0.17, 0.17]
    """
    _check_sets("votes", votes, "labels", labels)
    if votes.is_floating_point() or labels.is_floating_point():
        raise TypeError(f"votes and labels must be whole numbers, got {votes.dtype} and {labels.dtype}")
    agree = (votes == votes[:, None]).sum(1)  # how many models give the vote of each
    main = votes.where(agree == agree.amax(0), votes.amax()).amin(0)
    right = main == labels
    parts = [votes != labels, main != labels, (votes != main) & right, (votes == labels) & ~right]
    return VoteParts(*(int(part.sum()) / part.numel() for part in parts))


def least_squares_risk(n_samples: int, n_features: int, *, signal: float, noise: float) -> float:
    r"""Return the expected squared error of least squares with Gaussian features, the shortest solution if many fit.

    .. math:: \sigma^2 \Bigl(1 + \frac{P}{N - P - 1}\Bigr) \;\text{ for } P \le N - 2, \qquad
              \lVert w \rVert^2 \Bigl(1 - \frac N P\Bigr) + \sigma^2 \Bigl(1 + \frac{N}{P - N - 1}\Bigr)
              \;\text{ for } P \ge N + 2,

    and infinite between.

    Parameters
    ----------
    n_samples, n_features
        *N* training samples and *P* features, independent and standard normal.
    signal
        :math:`\lVert w \rVert^2`, the variance that the features can explain.
    noise
        :math:`\sigma^2`, the variance that they cannot: noise, and what features explain that the model does not have.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    M. Belkin, D. Hsu, J. Xu (2020). Two models of double descent for weak features. https://arxiv.org/abs/1903.07571

    Examples
    --------
    >>> [least_squares_risk(21, features, signal=1.0, noise=1.0) for features in (10, 20, 42)]
    [2.0, inf, 2.55]
    """
    _check_sizes(n_samples=n_samples, n_features=n_features)
    if not (0 <= signal < math.inf and 0 <= noise < math.inf):
        raise ValueError(f"signal and noise must be finite, and 0 or more, got {signal} and {noise}")
    few, many = sorted([n_samples, n_features])
    if many - few < 2:
        return math.inf
    missed = signal * (1 - n_samples / n_features) if n_features > n_samples else 0.0
    return missed + noise * (1 + few / (many - few - 1))


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, got {size}")


def _check_sets(name: str, found: Tensor, other: str, expected: Tensor) -> None:
    if found.ndim < 1 or len(found) < 2 or found.shape[1:] != expected.shape:
        shape = ", ".join(["S", *map(str, expected.shape)])
        raise ValueError(f"{name} must have shape ({shape}), S >= 2, as {other} has, got {tuple(found.shape)}")


def _checked_penalties(penalties: Sequence[float] | Tensor) -> Tensor:
    values = [float(penalty) for penalty in penalties]
    if not values or not all(0 <= value < math.inf for value in values):
        raise ValueError(f"penalties must be finite numbers, 0 or more, and at least one, got {values}")
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def _share_of_zero(x: Tensor, rtol: float | None) -> float:
    if rtol is None:
        return max(x.shape[-2:]) * torch.finfo(floating(x).dtype).eps
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol must be at least 0 and below 1, got {rtol}")
    return rtol
