"""How fast is mixup, with a proportion for each pair, against timm and kornia?  ``python -m benchmarks.mixing``.

timm's module is loaded from its file: the package imports torchvision, which does not import beside every torch.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.rounds import Contender, Peer, Race, main
from tricks_lib.data.mixing import mixup

CLASSES, ALPHA = 10, 0.4


def timm_mixup(x: Tensor, y: Tensor) -> Contender:
    """Return timm's mixup with a proportion for each pair; it works in place, on what it left the last time."""
    if (package := importlib.util.find_spec("timm")) is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'timm'")
    spec = importlib.util.spec_from_file_location("timm_mixup", Path(package.origin).parent / "data/mixup.py")
    if spec is None or spec.loader is None:
        raise ImportError("timm has no data/mixup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mix = module.Mixup(mixup_alpha=ALPHA, mode="elem", label_smoothing=0.0, num_classes=CLASSES)
    own = x.clone()
    return lambda: mix(own, y)


def kornia_mixup(x: Tensor, y: Tensor) -> Contender:
    """Return kornia's mixup, whose proportions are uniform, and whose labels are pairs of numbers."""
    from kornia.augmentation import RandomMixUpV2

    module = RandomMixUpV2(p=1.0, data_keys=["input", "class"])
    return lambda: module(x, y)


def race(n: int, side: int) -> Race:
    """Return the race on images of this size."""
    x = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    y = torch.arange(n) % CLASSES
    peers = [
        Peer("timm", lambda: timm_mixup(x, y), 5.0, 'data.Mixup(mode="elem")'),
        Peer("kornia", lambda: kornia_mixup(x, y), 5.0, "augmentation.RandomMixUpV2"),
    ]
    name = f"mixup, ({n}, 3, {side}, {side}), float32"
    return Race(name, lambda: mixup(x, y, CLASSES, alpha=ALPHA), peers, lambda mixed: _outside(x, mixed), 1e-3)


def _outside(x: Tensor, mixed: Any) -> float:
    """Return how far the first images are from the segment between two images of the batch."""
    rows, whole = mixed[0][:20].flatten(1).double(), x.flatten(1).double()
    off = []
    for row, own in zip(rows, whole, strict=False):
        away = whole - own  # the partner is the one whose direction explains the difference best
        share = ((row - own) @ away.T / away.square().sum(1).clamp(min=1e-9)).clamp(0, 1)
        off.append(((row - own) - share[:, None] * away).abs().amax(1).min())
    return torch.stack(off).max().item()


if __name__ == "__main__":
    main("mixing", __doc__, [race(256, 32), race(128, 64)])
