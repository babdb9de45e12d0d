"""Whiten the data: decorrelate the features and give every direction variance one, by PCA or by ZCA."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Literal, Self

import torch
from torch import Tensor, nn

from tricks_lib.data.fitted import (
    Batches,
    Fitted,
    covariance,
    fixed_signs,
    floating,
    principal_axes,
    read_batches,
    wide,
)

__all__ = ["PCAWhitening", "ZCAWhitening"]

Per = Literal["sample", "channel", "pixel"]
Method = Literal["eigh", "svd"]
_Found = tuple[int, Tensor, Tensor, Tensor, Tensor]  # number of vectors, mean, axes, variances, what they are like
_EPS = torch.finfo(torch.float64).eps


class _Whitening(Fitted):
    """Principal axes, and the variance along each, of vectors: samples, channels of images, or colors of pixels."""

    mean: Tensor
    components: Tensor
    explained_variance: Tensor

    def __init__(
        self,
        *,
        n_components: int | None = None,
        per: Per = "sample",
        eps: float = 0.0,
        method: Method = "eigh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if n_components is not None and (type(n_components) is not int or n_components < 1):
            raise ValueError(f"n_components must be None or an integer, at least 1, got {n_components!r}")
        if per not in ("sample", "channel", "pixel"):
            raise ValueError(f"per must be 'sample', 'channel' or 'pixel', got {per!r}")
        if not 0 <= eps < math.inf:
            raise ValueError(f"eps must be finite and at least 0, got {eps}")
        if method not in ("eigh", "svd"):
            raise ValueError(f"method must be 'eigh' or 'svd', got {method!r}")
        super().__init__()
        self.n_components, self.per, self.eps, self.method = n_components, per, eps, method
        for name in ("mean", "components", "explained_variance"):
            self.register_buffer(name, torch.zeros(0, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        return f"n_components={self.n_components}, per={self.per!r}, eps={self.eps}, method={self.method!r}"

    def fits(self, shapes: Mapping[str, torch.Size]) -> bool:
        """Tell whether saved buffers of these shapes are a fit of this transform, or none."""
        mean, axes, variance = (shapes[name] for name in ("mean", "components", "explained_variance"))
        if mean == axes == variance == (0,):
            return True
        groups = mean[:1] if self.per == "channel" else mean[:0]
        size, right = math.prod(mean[len(groups) :]), len(mean) == 1 if self.per == "pixel" else len(mean) > len(groups)
        k = size if self.n_components is None else self.n_components
        return right and 0 not in mean and k <= size and axes == (*groups, k, size) and variance == (*groups, k)

    @torch.no_grad()
    def fit(self, x: Tensor | Batches) -> Self:
        """Find mean, axes and variances, in float64 whatever the dtype of the data. No gradient flows through the fit.

        Parameters
        ----------
        x
            Samples (N, ...), or batches of them, such as a `DataLoader`. Of a batch that is a tuple or list, the first
            entry counts. Device and dtype of the fit are those of the samples (integers: default dtype).

        Returns
        -------
        PCAWhitening or ZCAWhitening
            Itself.

        Raises
        ------
        ValueError
            If there are fewer than 2 vectors, shapes do not fit, a number is not finite, or `n_components` is larger
            than the number of vectors or their size.
        TypeError
            If a batch is not a tensor.
        """
        batches = read_batches(x)
        first = next(batches, None)
        if first is None:
            raise ValueError("x must hold at least 2 samples, got 0")
        shape = self._shape(first)
        rows = (self._rows(self._checked("x", batch, shape)) for batch in chain([first], batches))
        k = self.n_components
        n, mean, axes, variance, like = (_by_eigh if self.method == "eigh" else _by_svd)(rows, k)
        if k is not None and k > min(n, mean.shape[-1]):
            raise ValueError(f"n_components must be at most {min(n, mean.shape[-1])} for x, got {k}")
        self.mean = mean.reshape(shape).to(like)
        self.components = axes.to(like)
        self.explained_variance = variance[..., :k].to(like)
        return self

    @property
    def scale(self) -> Tensor:
        """What each direction is divided by: the root of its variance plus `eps`, and 1 where that is 0."""
        scale = (self.explained_variance + self.eps).sqrt()
        return scale.masked_fill(scale == 0, 1)

    @property
    @abstractmethod
    def matrix(self) -> Tensor:
        """The whitening matrix *W*."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Whiten samples."""

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """Map whitened samples back."""

    @property
    def _axes(self) -> Tensor:
        """The axes, each divided by its scale: PCA's whitening matrix."""
        return self.components / self.scale[..., None]

    def _centered(self, x: Tensor) -> Tensor:
        """Return the vectors of samples, less their mean."""
        return self._vectors(self._ready("x", x, self.mean.shape)) - self._vectors(self.mean[None])

    def _restored(self, coordinates: Tensor) -> Tensor:
        """Return samples from white coordinates along the axes."""
        vectors = coordinates @ (self.components * self.scale[..., None])
        return self._images(vectors + self._vectors(self.mean[None]))

    def _vectors(self, x: Tensor) -> Tensor:
        """Return samples (N, ...) as vectors (N, D), channels (C, N, D) or pixels (N, ..., C)."""
        if self.per == "pixel":
            return x.movedim(1, -1)
        return x.flatten(2).transpose(0, 1) if self.per == "channel" else x.flatten(1)

    def _rows(self, x: Tensor) -> Tensor:
        """Return samples as vectors (n, D), or channels (C, n, D)."""
        vectors = self._vectors(x)
        return vectors.flatten(0, -2) if self.per == "pixel" else vectors

    def _samples(self, vectors: Tensor) -> Tensor:
        """Return vectors with the samples first again: (N, D), (N, C, D) or (N, C, ...)."""
        if self.per == "pixel":
            return vectors.movedim(-1, 1)
        return vectors.transpose(0, 1) if self.per == "channel" else vectors

    def _images(self, vectors: Tensor) -> Tensor:
        """Return vectors of features as samples in their shape."""
        samples = self._samples(vectors)
        return samples if self.per == "pixel" else samples.reshape(len(samples), *self.mean.shape)

    def _shape(self, x: Tensor) -> torch.Size:
        """Return which shape samples share: of pixels, the number of channels alone."""
        if x.ndim < 3 and self.per == "channel":
            raise ValueError(f"x must have shape (N, C, ...), to be whitened by channel, got {tuple(x.shape)}")
        return x.shape[1:2] if self.per == "pixel" else x.shape[1:]

    def _checked(self, name: str, value: Tensor, shape: torch.Size) -> Tensor:
        got = value.shape[1:2] if self.per == "pixel" else value.shape[1:]
        if got != shape:
            sizes = ", ".join(map(str, shape)) + (", ..." if self.per == "pixel" else "")
            raise ValueError(f"{name} must have shape (N, {sizes}), got {tuple(value.shape)}")
        return value

    def _ready(self, name: str, value: Tensor, shape: torch.Size) -> Tensor:
        """Return samples in the dtype of the fit, if there is one and it has their shape."""
        if not self.mean.numel():
            raise RuntimeError(f"{type(self).__name__} is not fitted: call fit, or load the state of a fitted one")
        return self._checked(name, value, shape).to(self.mean.dtype)


class PCAWhitening(_Whitening):
    r"""Turn the data to their principal axes, and give every axis variance one.

    .. math:: z = (\Lambda + \epsilon)^{-1/2} V (x - m) , \qquad
              \tfrac{1}{N-1} \sum_i (x_i - m)(x_i - m)^\top = V^\top \Lambda V

    If `eps` is 0, the whitened training data have the identity as their covariance (dividing by N - 1, as scikit-learn
    does). A direction in which they do not vary at all is then divided by 1, as is a constant feature by
    `tricks_lib.data.normalization.Standardize`; `n_components` can drop such directions.

    Parameters
    ----------
    n_components
        How many axes to keep, *k*, those with the largest variance; ``None``: all.
    per
        What makes one vector. ``"sample"``: all numbers of a sample, (N, ...) -> (N, k). ``"channel"``: all numbers of
        a channel, each channel with axes of its own, (N, C, ...) -> (N, C, k). ``"pixel"``: the channels of one pixel,
        its color, (N, C, ...) -> (N, k, ...), of images of any size.
    eps
        What is added to the variances, in the squared unit of the data. It can be changed after the fit.
    method
        ``"eigh"``: eigenvectors of the covariance, for which batches stream. ``"svd"``: singular vectors of the
        centered data, all of which it holds in memory: for data whose standard deviations along the axes differ by a
        factor of a million and more.
    device, dtype
        Where `load_state_dict` puts a saved fit. `fit` follows its data instead.

    Attributes
    ----------
    mean : Tensor
        *m*, of the shape of a sample, or (C,) for pixels.
    components : Tensor
        *V*, (k, D), orthonormal rows by decreasing variance; the entry of largest magnitude in each is positive, as in
        scikit-learn. (C, k, D) for channels.
    explained_variance : Tensor
        Diagonal of *Λ*, (k,), or (C, k) for channels; exactly 0 where it is no more than rounding.

    References
    ----------
    Agnan Kessy, Alex Lewin and Korbinian Strimmer (2018). Optimal whitening and decorrelation. The American
    Statistician 72(4), 309-314. doi:10.1080/00031305.2016.1277159

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [4.0, 2.0], [2.0, 4.0], [6.0, 6.0]])
    >>> whiten = PCAWhitening().fit(x)
    >>> z = whiten(x)
    >>> torch.allclose(z.T.cov(), torch.eye(2), atol=1e-6), torch.allclose(whiten.inverse(z), x, atol=1e-5)
    (True, True)
    """

    @property
    def matrix(self) -> Tensor:
        """The whitening matrix *W*, (k, D) or (C, k, D): ``z = W (x - m)``."""
        return self._axes

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (N, ...) to white coordinates, in the shape that `per` says."""
        return self._samples(self._centered(x) @ self._axes.mT)

    def inverse(self, z: Tensor) -> Tensor:
        """Map white coordinates to the samples they came from, or to the nearest points if axes were dropped."""
        return self._restored(self._vectors(self._ready("z", z, self.explained_variance.shape)))


class ZCAWhitening(_Whitening):
    r"""Give every direction of the data variance one, and turn nothing: the whitening closest to the original data.

    .. math:: z = V^\top (\Lambda + \epsilon)^{-1/2} V (x - m) , \qquad
              \tfrac{1}{N-1} \sum_i (x_i - m)(x_i - m)^\top = V^\top \Lambda V

    This is PCA whitening, turned back by the transposed *V*. If `eps` is 0, the matrix is the inverse square root of
    the covariance; of all whitenings, it makes the mean squared distance of *z* to *x - m* the smallest. What was an
    image is an image again.

    Parameters
    ----------
    n_components, per, eps, method, device, dtype
        See `PCAWhitening`; but the result always has the shape of the samples. With fewer components than features it
        lies in a subspace.

    Attributes
    ----------
    mean, components, explained_variance : Tensor
        See `PCAWhitening`.

    References
    ----------
    Agnan Kessy, Alex Lewin and Korbinian Strimmer (2018). Optimal whitening and decorrelation. The American
    Statistician 72(4), 309-314. doi:10.1080/00031305.2016.1277159

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [4.0, 2.0], [2.0, 4.0], [6.0, 6.0]])
    >>> whiten = ZCAWhitening().fit(x)
    >>> torch.allclose(whiten.matrix, whiten.matrix.T), torch.allclose(whiten(x).T.cov(), torch.eye(2), atol=1e-6)
    (True, True)
    """

    @property
    def matrix(self) -> Tensor:
        """The whitening matrix *W*, symmetric, (D, D) or (C, D, D): ``z = W (x - m)``."""
        return self.components.mT @ self._axes

    def forward(self, x: Tensor) -> Tensor:
        """Whiten samples (N, ...); their shape stays."""
        return self._images(self._centered(x) @ self._axes.mT @ self.components)

    def inverse(self, z: Tensor) -> Tensor:
        """Map whitened samples back, or to the nearest points if axes were dropped."""
        return self._restored(self._vectors(self._ready("z", z, self.mean.shape)) @ self.components.mT)


def _by_eigh(rows: Iterable[Tensor], k: int | None) -> _Found:
    """Find principal axes from the covariance of vectors."""
    n, mean, matrix, like = covariance(rows)
    variance, axes = principal_axes(matrix, k)
    return n, mean, axes, _without_rounding(variance, mean, variance.shape[-1] * _EPS), like


def _by_svd(rows: Iterable[Tensor], k: int | None) -> _Found:
    """Find principal axes from the vectors themselves: a covariance is squared, and loses half of the digits."""
    vectors = torch.cat(list(rows), dim=-2)
    n, size = vectors.shape[-2:]
    if n < 2:
        raise ValueError(f"x must hold at least 2 samples, got {n}")
    values = wide(vectors)
    mean = values.mean(dim=-2)
    _, widths, axes = torch.linalg.svd(values - mean[..., None, :], full_matrices=n < size)
    variance = nn.functional.pad(widths.square() / (n - 1), (0, size - widths.shape[-1]))
    variance = _without_rounding(variance, mean, (max(n, size) * _EPS) ** 2)
    return n, mean, fixed_signs(axes[..., :k, :]), variance, floating(vectors[:0])


def _without_rounding(variance: Tensor, mean: Tensor, share: float) -> Tensor:
    """Return variances with 0 for what is below a share of the largest, or what the rounding of the mean may make."""
    by_mean = (variance.shape[-1] * _EPS * mean.abs().amax(dim=-1, keepdim=True)).square()
    return variance.where(variance > share * variance[..., :1] + by_mean, 0)
