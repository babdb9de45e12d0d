"""What stands in for each trick of `data/normalization_effects` when it is switched off (tools/nulls.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tricks_lib.data.normalization import Standardize

_fit = Standardize.fit


def per_pixel(self: Standardize, x: Tensor) -> Standardize:
    """Fit to each pixel, whatever the axes say."""
    self.axes = (0,)
    return _fit(self, x)


def by_their_own(self: Standardize, x: Tensor) -> Tensor:
    """Standardize samples with their own statistics."""
    own = _fit(Standardize(axes=self.axes, eps=self.eps), x)
    return (x.to(own.mean.dtype) - own.mean) / own.scale


def unchanged(self: object, x: Tensor) -> Tensor:
    return x


def one_sign(gradient: Tensor) -> Tensor:
    return torch.ones_like(gradient[..., 0])


def unweighted(prediction: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    return nn.functional.mse_loss(prediction, target)


NULLS = {
    "D13": {"tricks_lib.data.normalization.Standardize.fit": per_pixel},
    "D14": {"tricks_lib.data.normalization.Standardize.forward": by_their_own},
    "D15": {
        "tricks_lib.data.normalization.Center.forward": unchanged,
        "tricks_lib.data.normalization_effects.same_sign_share": one_sign,
    },
    "D16": {"tricks_lib.data.normalization_effects.scaled_mse": unweighted},
}
