"""What stands in for the tricks of `book/data/curvature.md` when `make null` switches them off."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tricks_lib.data.normalization import Center, Standardize
from tricks_lib.data.whitening import PCAWhitening, ZCAWhitening


def as_it_is(transform: Center | Standardize | ZCAWhitening, x: Tensor) -> Tensor:
    """Return the samples unchanged."""
    return x


def laid_flat(whiten: PCAWhitening, x: Tensor) -> Tensor:
    """Return the samples unchanged, in the shape that whitening by PCA gives them."""
    return x.flatten(1)


def centered_only(whiten: PCAWhitening, x: Tensor) -> Tensor:
    """Subtract the mean, and neither turn nor stretch."""
    return (x - whiten.mean).flatten(1)


def gradient_step(gradient: Tensor, hessian: Tensor, **options: Any) -> Tensor:
    """Follow the gradient, whatever the curvature and the damping are."""
    return -gradient


NULLS = {
    "D11": {
        "tricks_lib.data.normalization.Center.forward": as_it_is,
        "tricks_lib.data.normalization.Standardize.forward": as_it_is,
        "tricks_lib.data.whitening.PCAWhitening.forward": laid_flat,
        "tricks_lib.data.whitening.ZCAWhitening.forward": as_it_is,
    },
    "D12": {
        "tricks_lib.data.whitening.PCAWhitening.forward": centered_only,
        "tricks_lib.data.curvature.newton_step": gradient_step,
    },
}
