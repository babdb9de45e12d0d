"""What stands in for the tricks of `book/data/normalization.md` when `make null` switches them off."""

from __future__ import annotations

from torch import Tensor

from tricks_lib.data.normalization import Center, Clip, Rescale, Standardize


def as_it_is(transform: Rescale | Center | Clip, x: Tensor) -> Tensor:
    """Return the samples unchanged."""
    return x


def centered_only(standardize: Standardize, x: Tensor) -> Tensor:
    """Subtract the mean, and leave the scale as it is."""
    return x - standardize.mean


NULLS = {
    "D05": {"tricks_lib.data.normalization.Rescale.forward": as_it_is},
    "D06": {"tricks_lib.data.normalization.Center.forward": as_it_is},
    "D07": {"tricks_lib.data.normalization.Standardize.forward": centered_only},
    "D08": {"tricks_lib.data.normalization.Clip.forward": as_it_is},
}
