"""Shortcuts around layers: residual sums, highways, and residual blocks in five orders."""

from __future__ import annotations

import math
from numbers import Integral, Real

import torch
from torch import Tensor, nn

from tricks_lib.model.initialization import variance_scaling_

__all__ = ["ORDERS", "Highway", "Residual", "ResidualBlock", "relu_cosine", "residual_cosine"]

ORDERS = {
    "original": "WNRWN+R",
    "BN after addition": "WNRW+NR",
    "ReLU before addition": "WNRWNR+",
    "ReLU-only pre-activation": "RWNRWN+",
    "full pre-activation": "NRWNRW+",
}
"""The five orders of `ResidualBlock`: weights, normalization, ReLU, and where the shortcut is added."""


class Residual(nn.Module):
    r"""Add a shortcut to what a module computes.

    .. math:: y = s(x) + \alpha\, F(x)

    Parameters
    ----------
    body
        :math:`F`, any module that returns one tensor.
    shortcut
        :math:`s`; ``None``: the identity. Where the body changes the shape, the shortcut has to do so, too.
    scale
        The number :math:`\alpha`.
    learned
        Whether ``scale`` is a parameter, of shape (1,), and that number only where it starts. It multiplies in the
        dtype of what the body returns.
    device, dtype
        Of that parameter.

    Raises
    ------
    TypeError
        If the body or the shortcut is not a module.
    ValueError
        If ``scale`` is not a finite number (a tensor is none); in a call, if the two summands differ in shape.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2016). Deep residual learning for image recognition. arXiv:1512.03385. With a
    learned scale that starts at zero: S. De, S. L. Smith (2020), arXiv:2002.10444 (SkipInit); T. Bachlechner and
    others (2020), arXiv:2003.04887 (ReZero).

    Examples
    --------
    >>> block = Residual(nn.ReLU(), scale=0.5)
    >>> block(torch.tensor([2.0, -2.0]))
    tensor([ 3., -2.])
    >>> Residual(nn.ReLU(), scale=0.0, learned=True)(torch.tensor([2.0, -2.0])).tolist()
    [2.0, -2.0]
    """

    scale: Tensor | float

    def __init__(
        self,
        body: nn.Module,
        shortcut: nn.Module | None = None,
        *,
        scale: float = 1.0,
        learned: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        shortcut = nn.Identity() if shortcut is None else shortcut
        _check_modules(body=body, shortcut=shortcut)
        _check_finite(scale=scale)
        self.body, self.shortcut, scale = body, shortcut, float(scale)
        self.scale = nn.Parameter(torch.full((1,), scale, device=device, dtype=dtype)) if learned else scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, of the shape that body and shortcut have in common."""
        carried, change = self.shortcut(x), self.body(x)
        if carried.shape != change.shape:
            raise ValueError(
                f"body and shortcut must return the same shape, got {tuple(change.shape)} and {tuple(carried.shape)}"
            )
        scale = self.scale
        if isinstance(scale, Tensor) and change.is_floating_point():
            scale = scale.to(change.dtype)  # a scale in float32 would lift a bfloat16 stream
        return carried + scale * change  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the scale, for ``repr``."""
        scale = self.scale.item() if isinstance(self.scale, Tensor) else self.scale
        return f"scale={scale:.4g}"


class Highway(nn.Module):
    r"""Choose, unit by unit, between what a module computes and its input.

    .. math:: y = T(x)\, H(x) + (1 - T(x))\, x, \qquad T(x) = \sigma(W_T x + b_T)

    Parameters
    ----------
    body
        :math:`H`, any module from ``width`` numbers to as many.
    width
        Number of units, the last dimension of the input.
    gate_bias
        Where all of :math:`b_T` starts. Below zero, the input is carried past the body at first.
    device, dtype
        Of the gate, whose weights start as those of ``nn.Linear``.

    Raises
    ------
    TypeError
        If the body is not a module.
    ValueError
        If ``width`` is not a whole number, at least 1, or ``gate_bias`` not a finite one; in a call, if the body
        changes the shape.

    References
    ----------
    R. K. Srivastava, K. Greff, J. Schmidhuber (2015). Highway networks. arXiv:1505.00387

    Examples
    --------
    >>> layer = Highway(nn.ReLU(), 2, gate_bias=-100.0)
    >>> layer(torch.tensor([[2.0, -2.0]])).tolist()
    [[2.0, -2.0]]
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        *,
        gate_bias: float = -2.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_modules(body=body)
        _check_counts(width=width)
        _check_finite(gate_bias=gate_bias)
        self.body, self.gate = body, nn.Linear(width, width, device=device, dtype=dtype)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixture, of the shape of ``x``, (..., width)."""
        change = self.body(x)
        if change.shape != x.shape:
            raise ValueError(f"body must return the shape of its input, {tuple(x.shape)}, got {tuple(change.shape)}")
        return x + self.gate(x).sigmoid() * (change - x)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two weight layers with normalization, ReLU and a shortcut, in one of five orders.

    ========================== ================================ ===========================
    ``order``                  in the body                      after the addition
    ========================== ================================ ===========================
    "original"                 weights BN ReLU weights BN       ReLU
    "BN after addition"        weights BN ReLU weights          BN ReLU
    "ReLU before addition"     weights BN ReLU weights BN ReLU
    "ReLU-only pre-activation" ReLU weights BN ReLU weights BN
    "full pre-activation"      BN ReLU weights BN ReLU weights
    ========================== ================================ ===========================

    Parameters
    ----------
    n_in, n_out
        Channels, or features; ``n_out=None``: as many as come in.
    order
        One of `ORDERS`.
    kernel_size
        Of the convolutions, odd, with padding that keeps the size; ``None``: linear layers.
    stride
        Of the first convolution. Where stride or channels change the shape, the shortcut is a projection: a
        convolution of size one (or a linear layer), with a normalization if the body has one behind its last weights.
    zero_init
        Let the body return zeros at first: the scale of its last normalization is zero if that comes after the last
        weights, else these are.
    generator
        Draws the weights, by He's rule; ``None``: torch's global generator. There are no biases but those of the
        normalization.
    device, dtype
        Of parameters and buffers.

    Raises
    ------
    ValueError
        If an argument is out of range, or no whole number where one is expected.

    Notes
    -----
    Without a projection, the orders are those of figure 4. With one, "full pre-activation" is not the code of the
    authors: in ``resnet-pre-act.lua`` (github.com/KaimingHe/resnet-1k-layers, commit 8390a4a, "Residual Units for
    increasing dimensions") the first BN and ReLU come before the fork, so that the projection reads their output.
    Here all projections read the input itself, which keeps the path through the shortcuts clear of activations.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2016). Identity mappings in deep residual networks, figure 4. arXiv:1603.05027

    Examples
    --------
    >>> block = ResidualBlock(3, 8, order="original", stride=2)
    >>> block(torch.ones(5, 3, 6, 6)).shape
    torch.Size([5, 8, 3, 3])
    >>> [type(layer).__name__ for layer in ResidualBlock(4, kernel_size=None).add.body]
    ['BatchNorm1d', 'ReLU', 'Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """

    def __init__(
        self,
        n_in: int,
        n_out: int | None = None,
        *,
        order: str = "full pre-activation",
        kernel_size: int | None = 3,
        stride: int = 1,
        zero_init: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        n_out = n_in if n_out is None else n_out
        _check(n_in, n_out, order, kernel_size, stride)
        self.order = order
        make = _Maker(kernel_size, generator, device, dtype)
        before, after = ORDERS[order].split("+")
        body = make.layers(before, n_in, n_out, stride)
        shortcut = None
        if n_in != n_out or stride > 1:
            shortcut = make.projection(n_in, n_out, stride, normalized="N" in before.rpartition("W")[2])
        self.add, self.after = Residual(body, shortcut), make.layers(after, n_out, n_out, 1)
        if zero_init:
            last = [layer for layer in body if not isinstance(layer, nn.ReLU)][-1]
            nn.init.zeros_(last.get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, n_out, H / stride, W / stride), rounded up, for (N, n_in, H, W); or (N, n_out) for (N, n_in)."""
        return self.after(self.add(x))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the order, for ``repr``."""
        return repr(self.order)


class _Maker:
    """Makes the layers of a block."""

    def __init__(
        self,
        kernel_size: int | None,
        generator: torch.Generator | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        self.kernel_size, self.generator = kernel_size, generator
        self.device = torch.get_default_device() if device is None else device
        self.dtype = dtype

    def layers(self, kinds: str, n_in: int, n_out: int, stride: int) -> nn.Sequential:
        """Make a layer for each letter; the first weights change the number of channels, and the size."""
        layers: list[nn.Module] = []
        for kind in kinds:
            if kind == "R":
                layers.append(nn.ReLU())
            elif kind == "N":
                layers.append(self.norm(n_in))
            else:
                layers.append(self.weights(n_in, n_out, self.kernel_size, stride))
                n_in, stride = n_out, 1
        return nn.Sequential(*layers)

    def projection(self, n_in: int, n_out: int, stride: int, *, normalized: bool) -> nn.Sequential:
        weights = self.weights(n_in, n_out, self.kernel_size and 1, stride)
        return nn.Sequential(weights, *([self.norm(n_out)] if normalized else []))

    def norm(self, width: int) -> nn.Module:
        kind = nn.BatchNorm2d if self.kernel_size else nn.BatchNorm1d
        return kind(width, device=self.device, dtype=self.dtype)

    def weights(self, n_in: int, n_out: int, size: int | None, stride: int) -> nn.Module:
        how = {"bias": False, "device": "meta", "dtype": self.dtype}  # draws nothing
        layer: nn.Linear | nn.Conv2d
        if size is None:
            layer = nn.Linear(n_in, n_out, **how)  # type: ignore[arg-type]
        else:
            layer = nn.Conv2d(n_in, n_out, size, stride, size // 2, **how)  # type: ignore[arg-type]
        layer.to_empty(device=self.device)
        variance_scaling_(layer.weight, gain=math.sqrt(2), generator=self.generator)
        return layer


def _check(n_in: int, n_out: int, order: str, kernel_size: int | None, stride: int) -> None:
    if not isinstance(order, str) or order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(map(repr, ORDERS))}, got {order!r}")
    _check_counts(n_in=n_in, n_out=n_out, stride=stride)
    if kernel_size is None and stride > 1:
        raise ValueError(f"stride must be 1 for linear layers (kernel_size=None), got {stride}")
    if kernel_size is not None and not (_is_count(kernel_size) and kernel_size % 2):
        raise ValueError(f"kernel_size must be an odd whole number, at least 1, or None, got {kernel_size!r}")


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if not _is_count(value):
            raise ValueError(f"{name} must be a whole number, at least 1, got {value!r}")


def _check_finite(**numbers: float) -> None:
    for name, value in numbers.items():
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}")


def _check_modules(**modules: nn.Module) -> None:
    for name, module in modules.items():
        if not isinstance(module, nn.Module):
            raise TypeError(f"{name} must be a module, got {module!r}")


def relu_cosine(cosine: Tensor) -> Tensor:
    r"""Return the cosine between two samples after a wide random layer with ReLU in front, given that before it.

    .. math:: f(c) = \frac1\pi \left( \sqrt{1 - c^2} + c\, (\pi - \arccos c) \right)

    Parameters
    ----------
    cosine
        Numbers in [-1, 1], of any shape. Beyond the ends by rounding, no more than 8 eps of their dtype, they count
        as -1 and 1.

    Returns
    -------
    Tensor
        Of the shape of ``cosine``.

    Raises
    ------
    ValueError
        If one is out of range.

    Notes
    -----
    The derivative at -1 is 0, at 1 it is 1.

    References
    ----------
    Y. Cho, L. K. Saul (2009). Kernel methods for deep learning. NeurIPS 22.

    Examples
    --------
    >>> relu_cosine(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)).round(decimals=4).tolist()
    [0.0, 0.3183, 1.0]
    """
    c = _in_range(cosine)
    end = c.abs() == 1  # where the slopes of root and arccosine are infinite; the tangents there are those of ReLU
    inside = c.masked_fill(end, 0)
    value = ((1 - inside.square()).sqrt() + inside * (math.pi - inside.arccos())) / math.pi
    return torch.where(end, c.relu(), value)


def _in_range(cosine: Tensor) -> Tensor:
    """Move measured cosines back that rounding took out of [-1, 1]; their gradient is that at the end."""
    slack = 8 * torch.finfo(torch.result_type(cosine, 1.0)).eps  # parallel vectors of 10000 numbers differ by up to 7
    if not bool((cosine.abs() <= 1 + slack).all()):
        raise ValueError(f"cosine must be in [-1, 1], got {cosine.min().item()} to {cosine.max().item()}")
    return cosine - (cosine - cosine.clamp(-1, 1)).detach()


def residual_cosine(cosine: Tensor, scale: float) -> Tensor:
    r"""Return the cosine between two samples after a residual sum with a wide random layer behind a ReLU.

    .. math:: c' = \frac{c + \alpha^2 f(c)}{1 + \alpha^2}

    Parameters
    ----------
    cosine
        As for `relu_cosine`, which is :math:`f`; the two samples have the same mean square.
    scale
        The factor :math:`\alpha` of the body, whose weights have He's variance.

    Returns
    -------
    Tensor
        Of the shape of ``cosine``.

    Raises
    ------
    ValueError
        If ``scale`` is not a finite number, or a cosine is out of range.

    Examples
    --------
    >>> residual_cosine(torch.tensor([0.0], dtype=torch.float64), 1.0).round(decimals=4).tolist()
    [0.1592]
    """
    _check_finite(scale=scale)
    c = _in_range(cosine)
    return (c + scale**2 * relu_cosine(c)) / (1 + scale**2)
