"""What cameras, compression and dirt do to images: light, color, noise, blocks, lenses, and things in the way."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from tricks_lib.data.augmentation import Augmentation, Draws, between, check_images, pixel_places, sample_at
from tricks_lib.learning.draws import normal_like, uniform_like

__all__ = [
    "RandomBrightness",
    "RandomContrast",
    "RandomErasing",
    "RandomGamma",
    "RandomHue",
    "RandomJPEG",
    "RandomLens",
    "RandomNoise",
    "RandomSaturation",
    "add_noise",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "dct_matrix",
    "distort_lens",
    "erase",
    "in_rectangles",
    "luma",
    "quantization_table",
    "quantize_blocks",
    "random_rectangles",
]

BLOCK = 8
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
TABLE_K1 = [
    float(step)
    for step in """
16 11 10 16  24  40  51  61
12 12 14 19  26  58  60  55
14 13 16 24  40  57  69  56
14 17 22 29  51  87  80  62
18 22 37 56  68 109 103  77
24 35 55 64  81 104 113  92
49 64 78 87 103 121 120 101
72 92 95 98 112 100 103  99
""".split()
]  # ITU-T T.81, Table K.1: steps for luminance, rows from low vertical frequency to high


def luma(x: Tensor) -> Tensor:
    r"""Return the gray image that shows colors as bright as they look.

    .. math:: Y = 0.299\, R + 0.587\, G + 0.114\, B

    Parameters
    ----------
    x
        Images (N, 3, H, W): red, green, blue.

    Returns
    -------
    Tensor
        (N, 1, H, W).

    Raises
    ------
    ValueError
        If the images do not have three channels.

    References
    ----------
    Recommendation ITU-R BT.601.

    Examples
    --------
    >>> luma(torch.eye(3).reshape(3, 3, 1, 1)).flatten()
    tensor([0.2990, 0.5870, 0.1140])
    """
    _check_colors(x)
    return (x * x.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def adjust_brightness(x: Tensor, factor: float | Tensor) -> Tensor:
    r"""Expose images longer or shorter: multiply all pixels.

    .. math:: \min(c\, x, 1)

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1].
    factor
        :math:`c \ge 0`, a number or one for each image (N,): 0 is black, 1 changes nothing.

    Returns
    -------
    Tensor
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the images or the factor are not as above.

    Notes
    -----
    As in torchvision and Pillow. In kornia's ``adjust_brightness`` the number is added.

    Examples
    --------
    >>> adjust_brightness(torch.tensor([0.1, 0.4, 0.8]).view(1, 1, 1, 3), 1.5)
    tensor([[[[0.1500, 0.6000, 1.0000]]]])
    """
    return (x * _per_image("factor", factor, x)).clamp(0, 1)


def adjust_contrast(x: Tensor, factor: float | Tensor) -> Tensor:
    r"""Stretch or squeeze gray levels about the mean of the image.

    .. math:: m + c\, (x - m)

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1]. :math:`m` is the mean of their `luma` if C is 3, else of all their numbers.
    factor
        :math:`c \ge 0`, a number or one for each image (N,): 0 leaves plain gray, 1 changes nothing.

    Returns
    -------
    Tensor
        Clamped to [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the images or the factor are not as above.

    Notes
    -----
    As in torchvision and, but for its rounding, Pillow. kornia's ``adjust_contrast`` multiplies by the factor, which
    is `adjust_brightness` here.

    Examples
    --------
    >>> adjust_contrast(torch.tensor([0.2, 0.4, 0.9]).view(1, 1, 1, 3), 0.5)
    tensor([[[[0.3500, 0.4500, 0.7000]]]])
    """
    c = _per_image("factor", factor, x)
    gray = luma(x) if x.shape[1] == len(LUMA) else x
    return torch.lerp(gray.mean(dim=(1, 2, 3), keepdim=True), x, c).clamp(0, 1)


def adjust_saturation(x: Tensor, factor: float | Tensor) -> Tensor:
    r"""Make colors paler or stronger: move each pixel away from its gray, or toward it.

    .. math:: Y + c\, (x - Y)

    Parameters
    ----------
    x
        Images (N, 3, H, W) in [0, 1], with the `luma` :math:`Y`.
    factor
        :math:`c \ge 0`, a number or one for each image (N,): 0 is gray, 1 changes nothing.

    Returns
    -------
    Tensor
        Clamped to [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the images or the factor are not as above.

    Notes
    -----
    As in torchvision and Pillow. kornia multiplies the S of HSV, which changes the luma.

    Examples
    --------
    >>> adjust_saturation(torch.tensor([0.8, 0.4, 0.4]).view(1, 3, 1, 1), 0.0).flatten()
    tensor([0.5196, 0.5196, 0.5196])
    """
    return torch.lerp(luma(x).expand_as(x), x, _per_image("factor", factor, x)).clamp(0, 1)


def adjust_hue(x: Tensor, turn: float | Tensor) -> Tensor:
    r"""Turn the hue of all pixels, keeping the largest and the smallest of the three channels.

    With :math:`V` the largest channel, :math:`D` the difference to the smallest and :math:`h` the hue in sixths of
    a turn, red at 0, the channels are

    .. math:: V - D\, \phi(5 + h), \quad V - D\, \phi(3 + h), \quad V - D\, \phi(1 + h), \qquad
        \phi(k) = \max(0, \min(1, k, 4 - k)),

    where :math:`k` is taken modulo 6.

    Parameters
    ----------
    x
        Images (N, 3, H, W) in [0, 1].
    turn
        A number, or one for each image (N,), in turns: 1/3 makes red green, 1/2 gives the complementary colors, and a
        whole number changes nothing.

    Returns
    -------
    Tensor
        In [0, 1]. Gray pixels have no hue and stay.

    Raises
    ------
    TypeError, ValueError
        If the images or the turn are not as above.

    Notes
    -----
    The hue of HSV, as in torchvision; kornia's ``adjust_hue`` is the same in radians. The `luma` changes with it.

    References
    ----------
    A. R. Smith (1978). Color gamut transform pairs. SIGGRAPH, 12-19. doi:10.1145/965139.807361

    Examples
    --------
    >>> adjust_hue(torch.tensor([0.8, 0.2, 0.2]).view(1, 3, 1, 1), 1 / 3).flatten()
    tensor([0.2000, 0.8000, 0.2000])
    """
    t = _per_image("turn", turn, x, low=-math.inf)
    hue, value, spread = _hexcone(x)
    k = (x.new_tensor([5.0, 3.0, 1.0])[:, None, None] + hue + 6 * t).remainder(6)
    return value - spread * torch.minimum(k, 4 - k).clamp(0, 1)


def adjust_gamma(x: Tensor, gamma: float | Tensor) -> Tensor:
    r"""Bend the scale of gray levels, with black and white fixed.

    .. math:: x^\gamma

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1]; what is outside is clamped first.
    gamma
        Above 0, a number or one for each image (N,): below 1 the middle gets lighter, above 1 darker.

    Returns
    -------
    Tensor
        In [0, 1]. For a gamma below 1 the gradient is infinite at black.

    Raises
    ------
    TypeError, ValueError
        If the images or the gamma are not as above.

    Examples
    --------
    >>> adjust_gamma(torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3), 0.5)
    tensor([[[[0.0000, 0.5000, 1.0000]]]])
    """
    return x.clamp(0, 1) ** _per_image("gamma", gamma, x, low=0, open_=True)


def add_noise(
    x: Tensor, std: float | Tensor, *, noise: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    r"""Add normal noise, independent from pixel to pixel, as a sensor does in the dark.

    .. math:: x + \sigma\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, 1)

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1].
    std
        :math:`\sigma \ge 0`, a number or one for each image (N,).
    noise
        :math:`\epsilon`, of the shape of ``x``; ``None``: it is drawn.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator.

    Returns
    -------
    Tensor
        Clamped to [0, 1].

    Raises
    ------
    TypeError, ValueError
        If images, noise or its size are not as above.

    Examples
    --------
    >>> add_noise(torch.full((1, 1, 1, 3), 0.5), 0.1, generator=torch.Generator().manual_seed(0))
    tensor([[[[0.6541, 0.4707, 0.2821]]]])
    """
    sigma = _per_image("std", std, x)
    epsilon = normal_like(x, generator=generator) if noise is None else noise
    if epsilon.shape != x.shape:
        raise ValueError(f"noise must have the shape {tuple(x.shape)} of x, got {tuple(epsilon.shape)}")
    return (x + sigma * epsilon).clamp(0, 1)


def dct_matrix(n: int, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Tensor:
    r"""Return the orthogonal matrix of the discrete cosine transform.

    .. math:: A_{kj} = \sqrt{\frac{2 - [k = 0]}{n}}\, \cos \frac{\pi\, k\, (2j + 1)}{2n}

    Parameters
    ----------
    n
        Number of samples and of frequencies, at least 1.
    dtype, device
        Of the result.

    Returns
    -------
    Tensor
        (n, n): row k is a cosine with k half-waves. ``A @ x`` transforms the columns, and ``A.T`` goes back.

    Raises
    ------
    ValueError
        If ``n`` is below 1.

    Examples
    --------
    >>> dct_matrix(2)
    tensor([[ 0.7071,  0.7071],
            [ 0.7071, -0.7071]])
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return torch.tensor(_cosines(n), dtype=dtype, device=device)


def quantization_table(quality: float | Tensor, *, device: torch.device | str | None = None) -> Tensor:
    r"""Return how finely JPEG keeps each frequency of gray levels from 0 to 255.

    The table K.1 of the standard, in percent as libjpeg has it: with the quality :math:`q`,

    .. math:: s = \lfloor 5000 / q \rfloor \text{ below } 50, \quad s = 200 - 2q \text{ from } 50 \text{ on}, \qquad
        \lfloor (s\, K + 50) / 100 \rfloor, \text{ from 1 to 255}

    Parameters
    ----------
    quality
        From 1 to 100, a number or several (N,): 50 gives the table of the standard, 100 gives ones.
    device
        Of the result, for a number.

    Returns
    -------
    Tensor
        Steps (8, 8) or (N, 8, 8), whole numbers in float32; rows from low vertical frequency to high.

    Raises
    ------
    ValueError
        If a quality is out of range.

    References
    ----------
    Recommendation ITU-T T.81 (1992), Annex K. libjpeg's ``jpeg_quality_scaling``.

    Examples
    --------
    >>> quantization_table(10)[0].tolist()
    [80.0, 55.0, 50.0, 80.0, 120.0, 200.0, 255.0, 255.0]
    """
    q = torch.as_tensor(quality, device=device).detach().float()[..., None, None]
    if not bool(((q >= 1) & (q <= 100)).all()):
        raise ValueError(f"quality must be in [1, 100], got {quality}")
    percent = torch.where(q < 50, (5000 / q).floor(), 200 - 2 * q)
    base = q.new_tensor(TABLE_K1).view(BLOCK, BLOCK)
    return ((percent * base + 50) / 100).floor().clamp(1, 255)


def quantize_blocks(x: Tensor, quality: float | Tensor) -> Tensor:
    r"""Leave the traces of JPEG: round the frequencies of each block of 8 x 8 pixels.

    With :math:`A` from `dct_matrix`, :math:`Q` from `quantization_table` and :math:`B` a block of
    :math:`255 x - 128`,

    .. math:: B \mapsto A^\top \big( Q \odot \operatorname{round}(A B A^\top \oslash Q) \big) A

    Parameters
    ----------
    x
        Images (N, C, H, W) in [0, 1]; sides that are no multiples of 8 are extended by their last pixels and cut off
        again. Each channel is treated like a gray image.
    quality
        From 1 to 100, a number or one for each image (N,).

    Returns
    -------
    Tensor
        Clamped to [0, 1]. The gradient is that of the identity: rounding itself has none.

    Raises
    ------
    TypeError, ValueError
        If the images or the quality are not as above.

    Notes
    -----
    A JPEG file of a color image goes further: it has two coarser channels for color, often at half the size. And its
    decoder rounds to whole gray levels.

    Examples
    --------
    >>> quantize_blocks(torch.tensor([0.3, 0.5, 0.6]).view(1, 1, 1, 3), 10)
    tensor([[[[0.3562, 0.4621, 0.5797]]]])
    """
    _per_image("quality", quality, x, low=1, high=100)
    height, width = x.shape[2:]
    wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    padded = nn.functional.pad(255 * wide - 128, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    rows, columns = padded.shape[2] // BLOCK, padded.shape[3] // BLOCK
    blocks = padded.reshape(*x.shape[:2], rows, BLOCK, columns, BLOCK).transpose(3, 4)
    a = dct_matrix(BLOCK, dtype=wide.dtype, device=x.device)
    both = torch.kron(a, a)  # A B A^T of all blocks in one product, each block laid flat
    table = quantization_table(quality, device=x.device).to(wide).view(-1, 1, 1, 1, BLOCK * BLOCK)
    rounded = (blocks.flatten(4) @ both.T / table).round() * table @ both
    decoded = rounded.view(blocks.shape).transpose(3, 4).reshape(padded.shape)[:, :, :height, :width]
    return ((decoded + 128) / 255).clamp(0, 1).to(x.dtype) + (x - x.detach())


def distort_lens(x: Tensor, strength: float | Tensor) -> Tensor:
    r"""Bend straight lines as a simple lens does.

    What is at a distance :math:`r` from the middle, in half diagonals, comes from the same direction at the distance

    .. math:: r\, (1 + k\, r^2)

    Parameters
    ----------
    x
        Images (N, C, H, W).
    strength
        :math:`k > -1/3`, a number or one for each image (N,): above 0 a barrel, below 0 a pincushion, at 0 the
        identity. The corners come from :math:`1 + k` half diagonals.

    Returns
    -------
    Tensor
        Interpolated bilinearly, with 0 for what is outside of the image.

    Raises
    ------
    TypeError, ValueError
        If the images or the strength are not as above. From :math:`k = -1/3` down the image would fold over.

    References
    ----------
    F. Devernay, O. Faugeras (2001). Straight lines have to be straight. Machine Vision and Applications 13(1), 14-24.
    doi:10.1007/PL00013269

    Examples
    --------
    >>> distort_lens(torch.ones(1, 1, 3, 5), 0.5).round(decimals=2)  # a barrel: the corners come from outside
    tensor([[[[0.0000, 0.8000, 0.9000, 0.8000, 0.0000],
              [0.2000, 1.0000, 1.0000, 1.0000, 0.2000],
              [0.0000, 0.8000, 0.9000, 0.8000, 0.0000]]]])
    """
    k = _per_image("strength", strength, x, low=-1 / 3, open_=True)
    places = pixel_places(x)
    squares = places.square().sum(dim=-1, keepdim=True)
    return sample_at(x, places * (1 + k.to(places) * squares / squares.max().clamp(min=1e-9)))


def random_rectangles(
    x: Tensor,
    *,
    area: tuple[float, float] = (0.02, 0.4),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Draw a rectangle in each image, of a random size and at a random place.

    With the share :math:`s` of the area and the ratio :math:`r` of height to width, in an image of :math:`H` times
    :math:`W` pixels,

    .. math:: h = \sqrt{s r H W}, \qquad w = \sqrt{s H W / r}

    A rectangle fits if :math:`s H / W \le r \le H / (s W)`, so :math:`r` is drawn from these bounds: nothing is
    rejected.

    Parameters
    ----------
    x
        Images (N, C, H, W), for their number and size.
    area
        Bounds of :math:`s`, drawn uniformly, in [0, 1].
    aspect
        Bounds of :math:`r`, drawn uniformly on a log scale. Where no ratio within them fits, the nearest that does.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator.

    Returns
    -------
    Tensor
        (N, 4), int64: top, left, height, width, in pixels, at least 1 high and wide, all within the image.

    Raises
    ------
    TypeError, ValueError
        If the images or the bounds are not as above.

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang (2020). Random erasing data augmentation. AAAI 34(7), 13001-13008.
    doi:10.1609/aaai.v34i07.7000

    Examples
    --------
    >>> random_rectangles(torch.zeros(2, 1, 10, 20), generator=torch.Generator().manual_seed(0))
    tensor([[ 2,  4,  4, 11],
            [ 3,  7,  5, 13]])
    """
    check_images(x)
    _check_bounds("area", area, 0, 1)
    _check_bounds("aspect", aspect, 1e-6, 1e6)
    height, width = x.shape[2:]
    u = uniform_like(torch.empty(4, len(x), dtype=torch.float32, device=x.device), generator=generator)
    share = (area[0] + (area[1] - area[0]) * u[0]).clamp(min=1 / (height * width))
    fits = (share * height / width).log(), (height / (share * width)).log()
    low, high = (torch.full_like(share, math.log(bound)).clamp(*fits) for bound in aspect)
    ratio = torch.lerp(low, high, u[1]).exp()
    h = (share * ratio * height * width).sqrt().round().clamp(1, height)
    w = (share / ratio * height * width).sqrt().round().clamp(1, width)
    top, left = (u[2] * (height - h + 1)).floor(), (u[3] * (width - w + 1)).floor()
    return torch.stack([top, left, h, w], dim=1).long()


def in_rectangles(x: Tensor, rectangles: Tensor) -> Tensor:
    """Tell which pixels have their center within a rectangle.

    Parameters
    ----------
    x
        Images (N, C, H, W), for their number and size.
    rectangles
        (N, 4): top, left, height, width, in pixels; they need not be whole numbers, nor lie within the image.

    Returns
    -------
    Tensor
        (N, 1, H, W), bool.

    Raises
    ------
    TypeError, ValueError
        If the images or the shape of the rectangles are not as above.

    Examples
    --------
    >>> in_rectangles(torch.zeros(1, 1, 3, 4), torch.tensor([[1, 0, 1, 2]])).int()
    tensor([[[[0, 0, 0, 0],
              [1, 1, 0, 0],
              [0, 0, 0, 0]]]], dtype=torch.int32)
    """
    check_images(x)
    if rectangles.shape != (len(x), 4):
        raise ValueError(f"rectangles must have shape ({len(x)}, 4), got {tuple(rectangles.shape)}")
    top, left, height, width = rectangles.unsqueeze(2).unbind(1)
    rows, columns = (torch.arange(n, device=x.device) + 0.5 for n in x.shape[2:])
    down = (rows > top) & (rows < top + height)
    across = (columns > left) & (columns < left + width)
    return (down[:, :, None] & across[:, None, :])[:, None]


def erase(x: Tensor, rectangles: Tensor, fill: float | Tensor = 0.0) -> Tensor:
    """Put something in front of a part of each image.

    Parameters
    ----------
    x
        Images (N, C, H, W).
    rectangles
        (N, 4): top, left, height, width, in pixels, as `random_rectangles` draws them.
    fill
        What is seen there: a number, or a tensor that broadcasts to the images.

    Returns
    -------
    Tensor
        Of the shape, dtype and device of ``x``.

    Raises
    ------
    TypeError, ValueError
        If the images or the shape of the rectangles are not as above.

    Examples
    --------
    >>> erase(torch.ones(1, 1, 2, 3), torch.tensor([[0, 1, 2, 1]]), 0.5)
    tensor([[[[1.0000, 0.5000, 1.0000],
              [1.0000, 0.5000, 1.0000]]]])
    """
    return torch.where(in_rectangles(x, rectangles), torch.as_tensor(fill, dtype=x.dtype, device=x.device), x)


class _OneNumber(Augmentation):
    """Draw a number for each image, uniformly between two bounds, and do with it what a subclass says.

    Parameters
    ----------
    low, high
        Bounds of the number.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Raises
    ------
    ValueError
        If the bounds are out of range or in the wrong order.
    """

    name = "factor"
    limits = (0.0, math.inf)

    def __init__(self, low: float, high: float, *, p: float = 1.0, generator: torch.Generator | None = None) -> None:
        super().__init__(p=p, generator=generator)
        _check_bounds("low and high", (low, high), *self.limits)
        self.low, self.high = low, high

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw the number."""
        return {self.name: between(x, self.low, self.high, generator=generator)}

    def extra_repr(self) -> str:
        """Return the bounds, for ``repr``."""
        return f"{self.low}, {self.high}, p={self.p}"


class RandomBrightness(_OneNumber):
    """`adjust_brightness` by a random factor.

    Parameters
    ----------
    low, high
        Bounds of the factor, drawn uniformly.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> x = torch.full((2, 1, 1, 1), 0.5, dtype=torch.float32)
    >>> brighter = RandomBrightness(0.5, 1.5, generator=torch.Generator().manual_seed(0))(x)
    >>> [round(value, 4) for value in brighter.flatten().tolist()]
    [0.4981, 0.6341]
    """

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `adjust_brightness`."""
        return adjust_brightness(x, **draws)


class RandomContrast(_OneNumber):
    """`adjust_contrast` by a random factor.

    Parameters
    ----------
    low, high
        Bounds of the factor, drawn uniformly.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> RandomContrast(0.5, 1.5)
    RandomContrast(0.5, 1.5, p=1.0)
    """

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `adjust_contrast`."""
        return adjust_contrast(x, **draws)


class RandomSaturation(_OneNumber):
    """`adjust_saturation` by a random factor.

    Parameters
    ----------
    low, high
        Bounds of the factor, drawn uniformly.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> RandomSaturation(0, 2)
    RandomSaturation(0, 2, p=1.0)
    """

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `adjust_saturation`."""
        return adjust_saturation(x, **draws)


class RandomHue(_OneNumber):
    """`adjust_hue` by a random part of a turn.

    Parameters
    ----------
    low, high
        Bounds of the turn, drawn uniformly; from -0.5 to 0.5 for any hue.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> RandomHue(-0.1, 0.1)
    RandomHue(-0.1, 0.1, p=1.0)
    """

    name = "turn"
    limits = (-math.inf, math.inf)

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `adjust_hue`."""
        return adjust_hue(x, **draws)


class RandomGamma(_OneNumber):
    """`adjust_gamma` with a random exponent.

    Parameters
    ----------
    low, high
        Bounds of the exponent, above 0, drawn uniformly on a log scale: from 1/2 to 2, half of them make it lighter.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> RandomGamma(0.5, 2)
    RandomGamma(0.5, 2, p=1.0)
    """

    name = "gamma"
    limits = (1e-6, math.inf)

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw the exponent."""
        return {self.name: between(x, math.log(self.low), math.log(self.high), generator=generator).exp()}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `adjust_gamma`."""
        return adjust_gamma(x, **draws)


class RandomNoise(_OneNumber):
    """`add_noise` of a random size.

    Parameters
    ----------
    low, high
        Bounds of its standard deviation, drawn uniformly.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> sorted(RandomNoise(0, 0.2).draw(torch.zeros(2, 1, 4, 3)))
    ['noise', 'std']
    """

    name = "std"

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw size and noise."""
        return super().sample(x, generator) | {"noise": normal_like(x, generator=generator)}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `add_noise`."""
        return add_noise(x, draws["std"], noise=draws["noise"])


class RandomJPEG(_OneNumber):
    """`quantize_blocks` with a random quality.

    Parameters
    ----------
    low, high
        Bounds of the quality, drawn uniformly.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> RandomJPEG(10, 90)
    RandomJPEG(10, 90, p=1.0)
    """

    name = "quality"
    limits = (1.0, 100.0)

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `quantize_blocks`."""
        return quantize_blocks(x, **draws)


class RandomLens(_OneNumber):
    """`distort_lens` of a random strength.

    Parameters
    ----------
    low, high
        Bounds of the strength, drawn uniformly.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Examples
    --------
    >>> RandomLens(-0.2, 0.2)
    RandomLens(-0.2, 0.2, p=1.0)
    """

    name = "strength"
    limits = (math.nextafter(-1 / 3, 0), math.inf)

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `distort_lens`."""
        return distort_lens(x, **draws)


class RandomErasing(Augmentation):
    """`erase` a random rectangle of each image.

    Parameters
    ----------
    area, aspect
        As for `random_rectangles`.
    fill
        What is seen there; ``None``: uniform noise in [0, 1), which the paper found best.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Raises
    ------
    ValueError
        If the bounds are out of range or in the wrong order.

    Examples
    --------
    >>> sorted(RandomErasing().draw(torch.zeros(2, 1, 4, 3)))
    ['noise', 'rectangles']
    """

    def __init__(
        self,
        *,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        fill: float | None = None,
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p=p, generator=generator)
        _check_bounds("area", area, 0, 1)
        _check_bounds("aspect", aspect, 1e-6, 1e6)
        self.area, self.aspect, self.fill = area, aspect, fill

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw rectangles and, without a `fill`, what is seen there."""
        draws = {"rectangles": random_rectangles(x, area=self.area, aspect=self.aspect, generator=generator)}
        return draws if self.fill is not None else draws | {"noise": uniform_like(x, generator=generator)}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `erase`."""
        return erase(x, draws["rectangles"], draws["noise"] if self.fill is None else self.fill)


@cache
def _cosines(n: int) -> list[list[float]]:
    sizes = [math.sqrt((2 - (k == 0)) / n) for k in range(n)]
    return [[size * math.cos(math.pi * k * (2 * j + 1) / (2 * n)) for j in range(n)] for k, size in enumerate(sizes)]


def _hexcone(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue (in sixths of a turn, 0 for gray), largest channel and its distance to the smallest; (N, 1, H, W)."""
    _check_colors(x)
    red, green, blue = x.unsqueeze(1).unbind(2)
    value = x.amax(dim=1, keepdim=True)
    spread = value - x.amin(dim=1, keepdim=True)
    step = torch.where(spread == 0, 1, spread)
    from_green, from_blue = 2 + (blue - red) / step, 4 + (red - green) / step
    hue = torch.where(value == red, (green - blue) / step, torch.where(value == green, from_green, from_blue))
    return hue, value, spread


def _per_image(
    name: str, value: float | Tensor, x: Tensor, *, low: float = 0.0, high: float = math.inf, open_: bool = False
) -> Tensor:
    """Return a number, or one for each image, as (N, 1, 1, 1) of the dtype of ``x``, checked."""
    check_images(x)
    numbers = value if isinstance(value, Tensor) else torch.tensor(value, dtype=x.dtype, device=x.device)
    if numbers.shape not in ((), (len(x),)):
        raise ValueError(f"{name} must be a number or have shape ({len(x)},), got {tuple(numbers.shape)}")
    above = numbers > low if open_ or low == -math.inf else numbers >= low
    below = numbers <= high if high < math.inf else numbers < high
    if not bool((above & below).all()):  # NaN fails too
        bounds = f"{'above' if open_ else 'at least'} {low:.4g}" + (
            f" and at most {high:.4g}" if high < math.inf else ""
        )
        raise ValueError(f"{name} must be finite and {bounds}, got {value}")
    return numbers.to(x.dtype).expand(len(x)).view(-1, 1, 1, 1)


def _check_colors(x: Tensor) -> None:
    check_images(x)
    if x.shape[1] != len(LUMA):
        raise ValueError(f"x must have 3 channels (red, green, blue), got {x.shape[1]}: gray images have no color")


def _check_bounds(name: str, bounds: tuple[float, float], low: float, high: float) -> None:
    if len(bounds) != 2 or not (low <= bounds[0] <= bounds[1] <= high and math.isfinite(bounds[1] - bounds[0])):
        raise ValueError(f"{name} must be in order, from {low:.4g} to {high:.4g}, got {bounds}")
