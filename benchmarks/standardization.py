"""How fast are mean and standard deviation found, batch by batch, against scikit-learn?

``python -m benchmarks.standardization``
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.rounds import Contender, Peer, Race, main
from tricks_lib.data.normalization import Standardize


def batches(dtype: torch.dtype) -> list[Tensor]:
    """Return forty batches of 500 samples with 784 features."""
    generator = torch.Generator().manual_seed(0)
    return [(3 + torch.randn(500, 784, generator=generator, dtype=torch.float64)).to(dtype) for _ in range(40)]


def scaler(parts: list[Tensor]) -> Contender:
    """Return scikit-learn's scaler, fed with batches."""
    from sklearn.preprocessing import StandardScaler

    arrays = [part.numpy() for part in parts]

    def fit() -> tuple[Tensor, Tensor]:
        found = StandardScaler()
        for array in arrays:
            found.partial_fit(array)
        return torch.from_numpy(found.mean_).double(), torch.from_numpy(found.scale_).double()

    return fit


def race(dtype: torch.dtype) -> Race:
    """Return the race for numbers of a type."""
    parts = batches(dtype)

    def fit() -> tuple[Tensor, Tensor]:
        found = Standardize().fit(parts)
        return found.mean.double(), found.scale.double()

    whole = torch.cat(parts).double()
    wanted = whole.mean(0), whole.std(0, correction=0)
    name = f"streaming standardization, 40 x (500, 784), {str(dtype).removeprefix('torch.')}"
    allowed = 1e-12 if dtype == torch.float64 else 1e-5
    return Race(
        name,
        fit,
        [Peer("scikit-learn", lambda: scaler(parts), call="StandardScaler.partial_fit")],
        lambda found: _apart(found, wanted),
        allowed,
    )


def _apart(found: Any, wanted: Any) -> float:
    return max((a.flatten() / b - 1).abs().max().item() for a, b in zip(found, wanted, strict=True))


if __name__ == "__main__":
    main("standardization", __doc__, [race(torch.float32), race(torch.float64)])
