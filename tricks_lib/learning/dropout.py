"""Dropout, with a rate that can differ between models that train at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tricks_lib.learning.draws import ModelStreams, uniform_like

__all__ = ["Dropout", "dropped"]


def dropped(x: Tensor, p: float | Tensor, *, generator: torch.Generator | ModelStreams | None = None) -> Tensor:
    r"""Set numbers to zero at random and scale up the rest, so that the mean stays.

    .. math:: y_i = \frac{b_i}{1 - p}\, x_i, \qquad b_i = 0 \text{ with probability } p, \text{ else } 1

    Parameters
    ----------
    x
        Of any shape.
    p
        Rate in [0, 1]: a number, or a tensor that broadcasts against ``x`` and is not checked.
    generator
        As for `uniform_like`.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ValueError
        If ``p`` is a number out of range.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014). Dropout: A simple way to prevent
    neural networks from overfitting. JMLR 15, 1929-1958. http://jmlr.org/beta/papers/v15/srivastava14a.html

    Examples
    --------
    >>> dropped(torch.ones(99), 0.5, generator=torch.Generator().manual_seed(0)).unique()
    tensor([0., 2.])
    """
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise ValueError(f"p must be in [0, 1], got {p}")
    rate = p.to(x.dtype) if isinstance(p, Tensor) else x.new_full((), p)
    share = (1 - rate).clamp(min=torch.finfo(x.dtype).tiny)  # p = 1 drops all: 0, not 0 / 0
    keep = uniform_like(x, generator=generator) >= rate
    return x * keep.to(x.dtype).div_(share)


class Dropout(nn.Module):
    """`dropped` in training, the identity in evaluation; the rate is a buffer.

    The buffer is no part of the ``state_dict``: that is the same as with ``torch.nn.Dropout``.

    Parameters
    ----------
    p
        Rate in [0, 1].
    generator
        As for `uniform_like`.
    device, dtype
        Of the buffer.

    Raises
    ------
    ValueError
        If ``p`` is out of range.

    Examples
    --------
    >>> layer = Dropout(0.5)
    >>> layer
    Dropout(p=0.5)
    >>> layer.eval()(torch.ones(3))
    tensor([1., 1., 1.])
    """

    p: Tensor

    def __init__(
        self,
        p: float = 0.5,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        self.register_buffer("p", torch.tensor(float(p), device=device, dtype=dtype), persistent=False)
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop numbers of ``x``, of any shape."""
        return dropped(x, self.p, generator=self.generator) if self.training else x

    def extra_repr(self) -> str:
        """Return the rate, for ``repr``."""
        return f"p={self.p.item():.4g}"
