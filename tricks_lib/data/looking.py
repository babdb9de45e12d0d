"""Look at the data first: counts, duplicates, odd samples, mean images, and pictures in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Self

import torch
from torch import Tensor

from tricks_lib.data.fitted import Batches, Fitted, covariance, floating, principal_axes, read_batches, wide

__all__ = [
    "PCA",
    "class_counts",
    "class_means",
    "constant_features",
    "distance_to_class_mean",
    "find_duplicates",
    "mean_std",
    "most_atypical",
    "neighborhood_preservation",
]


def class_counts(y: Tensor, n_classes: int) -> Tensor:
    """Count the samples of each class.

    Parameters
    ----------
    y
        Labels (N,), integers in [0, n_classes).
    n_classes
        Number of classes, at least 1. A class without samples counts 0.

    Returns
    -------
    Tensor
        Counts (n_classes,), int64.

    Raises
    ------
    TypeError
        If `y` does not hold integers.
    ValueError
        If `y` is not of shape (N,), or a label is out of range.

    Examples
    --------
    >>> class_counts(torch.tensor([2, 0, 2, 2]), n_classes=4)
    tensor([1, 0, 3, 0])
    """
    _check_labels(y, n_classes)
    return torch.bincount(y.long(), minlength=n_classes)


def find_duplicates(x: Tensor) -> list[Tensor]:
    """Find the samples that are equal in every feature.

    Parameters
    ----------
    x
        Samples (N, ...), without NaN.

    Returns
    -------
    list of Tensor
        The indices of each group of two or more equal samples, ascending; the groups in the order of their first
        indices. Empty if all samples differ.

    Raises
    ------
    ValueError
        If `x` has no features or holds NaN, which equals nothing, not even itself.

    Examples
    --------
    >>> find_duplicates(torch.tensor([[1, 2], [3, 4], [1, 2], [5, 6], [1, 2]]))
    [tensor([0, 2, 4])]
    """
    _check_samples(x)
    if x.isnan().any():
        raise ValueError("x must not hold NaN: it equals nothing, not even itself")
    _, owner, counts = torch.unique(x.flatten(1), dim=0, return_inverse=True, return_counts=True)
    groups = owner.argsort(stable=True).split(counts.cpu().tolist())
    return sorted((group for group in groups if len(group) > 1), key=lambda group: int(group[0]))


def class_means(x: Tensor, y: Tensor, n_classes: int) -> Tensor:
    r"""Average the samples of each class.

    .. math:: m_c = \frac{1}{N_c} \sum_{i: y_i = c} x_i

    Parameters
    ----------
    x
        Samples (N, ...). Integers are averaged in torch's default dtype.
    y
        Labels (N,), integers in [0, n_classes); every class occurs.
    n_classes
        Number of classes.

    Returns
    -------
    Tensor
        Means (n_classes, ...).

    Raises
    ------
    TypeError
        If `y` does not hold integers.
    ValueError
        If the shapes do not fit, a label is out of range, or a class has no samples.

    Examples
    --------
    >>> class_means(torch.tensor([[0.0, 2.0], [4.0, 4.0], [2.0, 4.0]]), torch.tensor([0, 1, 0]), n_classes=2)
    tensor([[1., 3.],
            [4., 4.]])
    """
    _check_pairs(x, y)
    counts, y = class_counts(y, n_classes), y.long()
    if missing := (counts == 0).nonzero().flatten().cpu().tolist():
        raise ValueError(f"y must hold every class in [0, {n_classes}), found none of {missing}")
    x = floating(x)
    return torch.stack([x[y == c].mean(dim=0) for c in range(n_classes)])


def distance_to_class_mean(x: Tensor, y: Tensor, means: Tensor) -> Tensor:
    r"""Measure how far each sample is from the mean of its own class.

    .. math:: d_i = \lVert x_i - m_{y_i} \rVert_2

    Parameters
    ----------
    x
        Samples (N, ...).
    y
        Labels (N,), integers in [0, C).
    means
        Mean of each class (C, ...), as `class_means` returns them; from training data if `x` is test data.

    Returns
    -------
    Tensor
        Distances (N,), in the unit of `x` and the dtype of `means`, but at least float32: squares of float16 pixels
        overflow. Integer `means` count in torch's default dtype.

    Raises
    ------
    TypeError
        If `y` does not hold integers.
    ValueError
        If the shapes do not fit, or a label is out of range.

    Examples
    --------
    >>> x, y = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]]), torch.tensor([0, 0, 1])
    >>> distance_to_class_mean(x, y, means=torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    tensor([0., 5., 0.])
    """
    _check_pairs(x, y)
    if means.shape[1:] != x.shape[1:]:
        raise ValueError(f"means must have shape (C, {_sizes(x)}) as x has, got {tuple(means.shape)}")
    _check_labels(y, len(means))
    dtype = torch.promote_types(floating(means[:0]).dtype, torch.float32)
    difference = x.to(dtype) - means.to(dtype)[y.long()]  # uint8 labels would be taken for a mask
    return difference.flatten(1).square().sum(dim=1).sqrt()


def most_atypical(score: Tensor, share: float) -> Tensor:
    """Return the samples with the largest scores: the ones to look at.

    Parameters
    ----------
    score
        How odd each sample is (N,), e.g. its loss, or its `distance_to_class_mean`.
    share
        Which part of the samples to return, in (0, 1]. Rounded up to whole samples, so at least one.

    Returns
    -------
    Tensor
        Indices, int64, the largest score first. Of equal scores the one with the smaller index comes first.

    Raises
    ------
    ValueError
        If `score` is not of shape (N,), N >= 1, or holds NaN, or `share` is out of range.

    Examples
    --------
    >>> most_atypical(torch.tensor([0.1, 7.0, 0.3, 7.0, 2.0]), share=0.5)
    tensor([1, 3, 4])
    """
    if score.ndim != 1 or not len(score):
        raise ValueError(f"score must have shape (N,), N >= 1, got {tuple(score.shape)}")
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    if score.isnan().any():
        raise ValueError("score must not hold NaN")
    kept = max(1, math.ceil(share * len(score) - 1e-9))  # 0.07 * 100 is a little more than 7
    return score.argsort(descending=True, stable=True)[:kept]


def mean_std(x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Average the samples, feature by feature: of images, the mean image and the standard-deviation image.

    .. math:: m = \frac{1}{N} \sum_i x_i, \qquad s = \sqrt{\frac{1}{N} \sum_i (x_i - m)^2}

    Parameters
    ----------
    x
        Samples (N, ...), N >= 1. Integers are averaged in torch's default dtype.

    Returns
    -------
    mean, std : Tensor
        Each of the shape of one sample, in the unit of `x`. The standard deviation divides by N, so that the squares
        of `std` add up to the mean squared distance of the samples to their mean.

    Raises
    ------
    ValueError
        If `x` has no samples or no features.

    Examples
    --------
    >>> mean_std(torch.tensor([[1, 0, 5], [3, 0, 5]], dtype=torch.uint8))
    (tensor([2., 0., 5.]), tensor([1., 0., 0.]))
    """
    _check_samples(x)
    std, mean = torch.std_mean(floating(x), dim=0, correction=0)
    return mean, std


def constant_features(x: Tensor) -> Tensor:
    """Tell which features have the same value in every sample.

    Parameters
    ----------
    x
        Samples (N, ...), N >= 1.

    Returns
    -------
    Tensor
        Mask of the shape of one sample, bool. NaN is not constant.

    Raises
    ------
    ValueError
        If `x` has no samples or no features.

    Examples
    --------
    >>> constant_features(torch.tensor([[7, 1, 0], [7, 2, 0], [7, 1, 0]]))
    tensor([ True, False,  True])
    """
    _check_samples(x)
    return (x == x[:1]).all(dim=0)


class PCA(Fitted):
    r"""Principal component analysis: the directions in which the data vary most.

    .. math:: z = V (x - m), \qquad \frac{1}{N-1} \sum_i (x_i - m)(x_i - m)^\top V^\top = V^\top \Lambda

    The rows of *V* are the eigenvectors of the covariance with the largest eigenvalues. Their signs are arbitrary;
    here the entry of largest magnitude in each is positive, as in scikit-learn.

    Parameters
    ----------
    n_components
        How many directions to keep, *k*, at least 1.
    device, dtype
        Where `load_state_dict` puts a saved fit. `fit` follows its data instead.

    Attributes
    ----------
    mean : Tensor
        (D,).
    components : Tensor
        *V*, (k, D), orthonormal rows, by decreasing variance.
    explained_variance : Tensor
        Variance along each component (k,), dividing by N - 1.
    explained_variance_ratio : Tensor
        The same as shares of the total variance (k,).

    References
    ----------
    Karl Pearson (1901). On lines and planes of closest fit to systems of points in space. Philosophical Magazine
    2(11), 559-572. doi:10.1080/14786440109462720

    Examples
    --------
    >>> x = torch.tensor([[0.0, 1.0], [3.0, 5.0], [6.0, 9.0]])
    >>> pca = PCA(n_components=1).fit(x)
    >>> pca(x)
    tensor([[-5.],
            [ 0.],
            [ 5.]])
    >>> torch.allclose(pca.inverse(pca(x)), x), pca.explained_variance_ratio.item()
    (True, 1.0)
    """

    mean: Tensor
    components: Tensor
    explained_variance: Tensor
    explained_variance_ratio: Tensor

    def __init__(
        self,
        n_components: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not isinstance(n_components, int) or isinstance(n_components, bool) or n_components < 1:
            raise ValueError(f"n_components must be an integer, at least 1, got {n_components!r}")
        super().__init__()
        self.n_components = n_components
        shapes = {"mean": (0,), "components": (n_components, 0)}
        for name in ("mean", "components", "explained_variance", "explained_variance_ratio"):
            shape = shapes.get(name, (n_components,))
            self.register_buffer(name, torch.zeros(shape, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        return f"n_components={self.n_components}"

    def fits(self, shapes: Mapping[str, torch.Size]) -> bool:
        """Tell whether saved buffers of these shapes are a fit of this transform, or none."""
        k, mean = self.n_components, shapes["mean"]
        return len(mean) == 1 and shapes == {"mean": mean, "components": (k, mean[0])} | dict.fromkeys(
            ("explained_variance", "explained_variance_ratio"), (k,)
        )

    @torch.no_grad()
    def fit(self, x: Tensor | Batches) -> Self:
        """Find mean and components; sums are kept in float64, whatever the dtype of the data.

        Parameters
        ----------
        x
            Samples (N, D), N >= 2, or batches of them, such as a `DataLoader`. Of a batch that is a tuple or list,
            the first entry counts. Device and dtype of the fit are those of the samples (integers: default dtype).

        Returns
        -------
        PCA
            Itself.

        Raises
        ------
        ValueError
            If the samples are not (N, D) with one D, not finite, or fewer than `n_components`, as may be D.
        TypeError
            If a batch is not a tensor.
        """
        n, mean, spread, like = covariance(_rows(x))
        self._check_size(n, len(mean))
        variance, axes = principal_axes(spread, self.n_components)
        kept = variance[: self.n_components].clamp(min=0)
        self.mean = mean.to(like)
        self.components = axes.to(like)
        self.explained_variance = kept.to(like)
        self.explained_variance_ratio = (kept / variance.flip(0).sum()).nan_to_num().to(like)  # the smallest first
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (N, D) to their coordinates (N, k) along the components."""
        self._check_fitted("x", x, len(self.mean))
        return (x.to(self.mean.dtype) - self.mean) @ self.components.T

    def inverse(self, z: Tensor) -> Tensor:
        """Map coordinates (N, k) to the points (N, D) nearest to the samples they came from."""
        self._check_fitted("z", z, self.n_components)
        return z.to(self.mean.dtype) @ self.components + self.mean

    def _check_size(self, n: int, n_features: int) -> None:
        if self.n_components > min(n, n_features):
            raise ValueError(
                f"n_components must be at most N and D of x, got {self.n_components} for ({n}, {n_features})"
            )

    def _check_fitted(self, name: str, value: Tensor, size: int) -> None:
        if not len(self.mean):
            raise RuntimeError("PCA is not fitted: call fit, or load the state of a fitted one")
        if value.ndim != 2 or value.shape[1] != size:
            raise ValueError(f"{name} must have shape (N, {size}), got {tuple(value.shape)}")


def neighborhood_preservation(x: Tensor, z: Tensor, k: int) -> Tensor:
    r"""Measure which share of each sample's nearest neighbors are its nearest neighbors in a picture, too.

    .. math:: p_i = \tfrac{1}{k} \left| \mathcal N_k(x_i) \cap \mathcal N_k(z_i) \right|

    The *k* nearest neighbors are by Euclidean distance, without the sample itself; of samples at equal distances the
    one with the smaller index is nearer. Points placed at random keep k / (N - 1). Other than trustworthiness
    (``sklearn.manifold.trustworthiness``), a neighbor that is lost by one rank counts as much as one far away.

    Parameters
    ----------
    x
        Samples (N, ...).
    z
        The same samples in the picture (N, ...), in the same order.
    k
        Number of neighbors, 1 <= k < N.

    Returns
    -------
    Tensor
        Share of each sample (N,), in the dtype of `z`, or the default dtype if `z` holds integers. Its mean is the
        score of the picture.

    Raises
    ------
    ValueError
        If the numbers of samples differ, `k` is out of range, or a number is not finite.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    >>> neighborhood_preservation(x, x[[0, 2, 1, 3]], k=1)
    tensor([0., 0., 0., 0.])
    >>> neighborhood_preservation(x, 5 - 2 * x, k=1)
    tensor([1., 1., 1., 1.])
    """
    if len(x) != len(z):
        raise ValueError(f"x and z must hold the same samples, got {len(x)} and {len(z)}")
    if not 1 <= k < len(x):
        raise ValueError(f"k must be in [1, N) with N = {len(x)}, got {k}")
    near_x, near_z = _neighbors("x", x, k), _neighbors("z", z, k)
    kept = (near_x[:, :, None] == near_z[:, None, :]).any(dim=2)
    return kept.to(floating(z[:0]).dtype).mean(dim=1).to(z.device)


def _neighbors(name: str, x: Tensor, k: int) -> Tensor:
    """Return the indices (N, k) of the nearest neighbors."""
    rows = wide(x.flatten(1), name)
    # products of matrices would be faster, and would tell equal distances apart by their rounding
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.fill_diagonal_(torch.inf).argsort(dim=1, stable=True)[:, :k]


def _rows(x: Tensor | Batches) -> Iterator[Tensor]:
    """Yield the batches that hold samples, each sample a row."""
    for batch in read_batches(x):
        if batch.ndim != 2:
            raise ValueError(f"x must have shape (N, D), with features, got {tuple(batch.shape)}")
        yield batch


def _sizes(x: Tensor) -> str:
    return ", ".join(map(str, x.shape[1:]))


def _check_samples(x: Tensor) -> None:
    if x.ndim < 2 or not x.numel():
        raise ValueError(f"x must have shape (N, ...), with samples and features, got {tuple(x.shape)}")


def _check_pairs(x: Tensor, y: Tensor) -> None:
    _check_samples(x)
    if y.shape != x.shape[:1]:
        raise ValueError(f"y must have shape ({len(x)},), one label for each sample, got {tuple(y.shape)}")


def _check_labels(y: Tensor, n_classes: int) -> None:
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise TypeError(f"y must hold integers, got {y.dtype}")
    if y.ndim != 1 or n_classes < 1:
        raise ValueError(f"y must have shape (N,) and n_classes be 1 or more, got {tuple(y.shape)}, {n_classes}")
    if len(y) and not (0 <= int(y.min()) and int(y.max()) < n_classes):
        raise ValueError(f"y must be in [0, {n_classes}), got {int(y.min())} to {int(y.max())}")
