"""What stands in for the tricks of `book/data/whitening.md` when `make null` switches them off."""

from __future__ import annotations

from torch import Tensor, nn

from tricks_lib.data.whitening import PCAWhitening, ZCAWhitening


def standardized(pca: PCAWhitening, x: Tensor) -> Tensor:
    """Give each feature variance one by itself, without a ridge; lay samples flat, and turn nothing."""
    variance = (pca.components.square() * pca.explained_variance[:, None]).sum(dim=0)
    scale = variance.sqrt().masked_fill(variance < 1e-10, 1)
    return ((x.to(pca.mean.dtype) - pca.mean).flatten(1) / scale)[:, : len(pca.components)]


def not_turned_back(zca: ZCAWhitening, x: Tensor) -> Tensor:
    """Whiten by PCA, and lay the coordinates out as the samples were; leave colors as they are."""
    if zca.per != "sample":
        return x.to(zca.mean.dtype)
    z = (x.to(zca.mean.dtype) - zca.mean).flatten(1) @ (zca.components / zca.scale[..., None]).mT
    missing = zca.mean.numel() - z.shape[1]
    return nn.functional.pad(z, (0, missing)).reshape(x.shape)


NULLS = {
    "D09": {"tricks_lib.data.whitening.PCAWhitening.forward": standardized},
    "D10": {"tricks_lib.data.whitening.ZCAWhitening.forward": not_turned_back},
}
