"""How fast is a whitening fitted, against scikit-learn and kornia?  ``python -m benchmarks.whitening``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.rounds import Contender, Peer, Race, main
from tricks_lib.data.whitening import PCAWhitening, ZCAWhitening


def correlated(n: int, features: int) -> Tensor:
    """Return samples whose standard deviations along some axes range over a factor of a hundred."""
    generator = torch.Generator().manual_seed(0)
    mixed, _ = torch.linalg.qr(torch.randn(features, features, generator=generator, dtype=torch.float64))
    spread = torch.logspace(-1, 1, features, dtype=torch.float64)
    return torch.randn(n, features, generator=generator, dtype=torch.float64) * spread @ mixed + 3


def sklearn_pca(x: Tensor, solver: str) -> Contender:
    """Return scikit-learn's whitening."""
    from sklearn.decomposition import PCA

    samples = x.numpy()
    return lambda: torch.from_numpy(PCA(whiten=True, svd_solver=solver).fit(samples).transform(samples[:2000]))


def kornia_zca(x: Tensor) -> Contender:
    """Return kornia's whitening."""
    from kornia.enhance import ZCAWhitening as Kornia

    return lambda: Kornia().fit(x)(x[:2000])


def races(n: int, features: int) -> list[Race]:
    """Return the races on samples of this size."""
    x = correlated(n, features)
    exact = _covariance_off(x)
    size = f"{n:,} x {features}, float64"
    solvers = [
        Peer("scikit-learn", lambda s=solver: sklearn_pca(x, s), call=f'PCA(whiten=True, svd_solver="{solver}")')
        for solver in ("covariance_eigh", "full")
    ]
    kornia = Peer("kornia", lambda: kornia_zca(x), call="enhance.ZCAWhitening")
    return [
        Race(f"PCA whitening, fit, {size}", lambda: PCAWhitening(eps=0.0).fit(x)(x[:2000]), solvers, exact, 0.01),
        Race(f"ZCA whitening, fit, {size}", lambda: ZCAWhitening(eps=0.0).fit(x)(x[:2000]), [kornia], exact, 0.01),
    ]


def _covariance_off(x: Tensor) -> Any:
    """Return how far products of whitened samples, which no rotation changes, are from what the definition gives."""
    middle = x[:2000] - x.mean(0)
    wanted = middle @ torch.linalg.inv(torch.cov(x.T)) @ middle[:50].T
    return lambda z: ((z @ z[:50].T) / wanted.abs().max() - wanted / wanted.abs().max()).abs().max().item()


if __name__ == "__main__":
    main("whitening", __doc__, [*races(5000, 256), *races(2000, 784)])
