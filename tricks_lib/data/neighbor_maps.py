"""Grade a picture by what is far apart in it: do triplets of samples keep their order?"""

from __future__ import annotations

import torch
from torch import Tensor

from tricks_lib.data.fitted import floating, wide

__all__ = ["triplet_preservation"]


def triplet_preservation(x: Tensor, z: Tensor, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    r"""Measure how often a picture keeps which of two samples is the nearer one.

    .. math:: t_i = \frac1n \left| \{ (j, k) :
        \operatorname{sign}(\lVert x_i - x_j \rVert - \lVert x_i - x_k \rVert)
        = \operatorname{sign}(\lVert z_i - z_j \rVert - \lVert z_i - z_k \rVert) \} \right|

    For each sample *i*, *n* pairs of others are drawn, independently; *i*, *j* and *k* are three different samples.
    Distances are Euclidean. Most pairs are far from *i*, so neighbors hardly count: other than
    `neighborhood_preservation`, this score is about the picture as a whole. Points placed at random keep one half.

    Parameters
    ----------
    x
        Samples (N, ...), N >= 3.
    z
        The same samples in the picture (N, ...), in the same order.
    n
        How many pairs to draw for each sample, at least 1.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator of the CPU.

    Returns
    -------
    Tensor
        Share of each sample (N,), in the dtype of `z`, or the default dtype if `z` holds integers. Its mean is the
        score of the picture.

    Raises
    ------
    ValueError
        If the numbers of samples differ or are below 3, a sample has no numbers of its own (N,), `n` is no whole
        number or below 1, or a number is not finite.

    References
    ----------
    Yingfan Wang, Haiyang Huang, Cynthia Rudin and Yaron Shaposhnik (2021). Understanding how dimension reduction tools
    work. Journal of Machine Learning Research 22(201), 1-73. arXiv:2012.04456

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [3.0], [9.0]])
    >>> triplet_preservation(x, 7 - 2 * x, n=5)
    tensor([1., 1., 1., 1.])
    >>> triplet_preservation(x, 1 / (1 + x), n=5)[0]
    tensor(1.)
    """
    for name, points in (("x", x), ("z", z)):
        if points.ndim < 2:
            raise ValueError(f"{name} must have shape (N, ...) with at least two dimensions, got {tuple(points.shape)}")
    if len(x) != len(z):
        raise ValueError(f"x and z must hold the same samples, got {len(x)} and {len(z)}")
    if len(x) < 3:
        raise ValueError(f"x must hold at least 3 samples, got {len(x)}")
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number, at least 1, got {n!r}")
    one, other = _others(len(x), n, generator)
    nearer_x, nearer_z = _nearer("x", x, one, other), _nearer("z", z, one, other)
    kept = nearer_x.to(z.device) == nearer_z.to(z.device)
    return kept.to(floating(z[:0]).dtype).mean(dim=1)


def _others(size: int, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Draw for each of `size` samples `n` pairs of two different others, as indices (size, n)."""
    device = torch.device("cpu") if generator is None else generator.device
    own = torch.arange(size, device=device)[:, None]
    one = torch.randint(size - 1, (size, n), generator=generator, device=device)
    other = torch.randint(size - 2, (size, n), generator=generator, device=device)
    one = one + (one >= own)  # skip the sample itself
    other = other + (other >= torch.minimum(own, one))
    return one, other + (other >= torch.maximum(own, one))


def _nearer(name: str, x: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Tell which of two samples is the nearer one (N, n): negative the one, positive the other, 0 neither."""
    rows = wide(x.flatten(1), name)
    # products of matrices would be faster, and would tell equal distances apart by their rounding
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return (distance.gather(1, one.to(rows.device)) - distance.gather(1, other.to(rows.device))).sign()
