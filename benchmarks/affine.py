"""How fast are images turned and moved, each in its own way, against kornia?  ``python -m benchmarks.affine``."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.rounds import Contender, Peer, Race, main
from tricks_lib.data.augmentation import RandomAffine, affine


def images(n: int, side: int) -> Tensor:
    """Return random pictures in three colors."""
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def kornia_affine(x: Tensor) -> Contender:
    """Return kornia's module with the ranges of ours."""
    from kornia.augmentation import RandomAffine as Kornia

    share = 3 / x.shape[-1]
    module = Kornia(15.0, translate=(share, share), scale=(1 / 1.2, 1.2), shear=10.0, p=1.0, align_corners=True)
    return lambda: module(x)


def kornia_rotation(x: Tensor, angle: Tensor) -> Contender:
    """Return kornia's rotation by given angles."""
    from kornia.geometry.transform import rotate

    return lambda: rotate(x, angle, align_corners=True)


def races(n: int, side: int) -> list[Race]:
    """Return the races on images of this size: as drawn, and a rotation that both must get right."""
    x = images(n, side)
    angle = torch.linspace(-40, 40, n)
    wanted = affine(x.double(), angle=angle.double())
    ours = RandomAffine(angle=15, scale=1.2, shear=10, translate=3)
    size = f"({n}, 3, {side}, {side}), float32"
    drawn = Peer("kornia", lambda: kornia_affine(x), 1.5, "augmentation.RandomAffine")
    given = Peer("kornia", lambda: kornia_rotation(x, angle), call="geometry.transform.rotate")
    return [
        Race(f"random affine, {size}", lambda: ours(x), [drawn], _drift, 0.05),
        Race(f"rotation, {size}", lambda: affine(x, angle=angle), [given], lambda y: _off(y, wanted), 1e-3),
    ]


def _off(y: Tensor, wanted: Tensor) -> float:
    return (y - wanted).abs().max().item()


def _drift(y: Tensor) -> float:
    """Return how far the middle of random images is from their mean: what is drawn may move it, but not by much."""
    side = y.shape[-1] // 4
    return abs(y[:, :, side:-side, side:-side].mean().item() - 0.5)


if __name__ == "__main__":
    main("affine", __doc__, [*races(64, 32), *races(256, 28)])
