"""Random changes of images that keep what they show: base class, and those that move pixels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from tricks_lib.learning.draws import uniform_like

__all__ = [
    "Augmentation",
    "Chain",
    "Draws",
    "RandomAffine",
    "RandomCrop",
    "RandomElastic",
    "RandomFlip",
    "affine",
    "affine_matrix",
    "between",
    "check_images",
    "crop",
    "elastic",
    "pixel_places",
    "sample_at",
    "smooth_noise",
    "warp",
]

Draws = dict[str, Tensor]
"""What was drawn: a name, such as ``angle``, and a tensor with a row for each image."""

APPLIED = "applied"
MODES = ("bilinear", "bicubic", "nearest")
PADDINGS = ("zeros", "border", "reflection")
ANY = (-math.inf, math.inf)
LIMITS = {"angle": ANY, "scale": (0.0, math.inf), "shear": (-90.0, 90.0), "translate": ANY, "flip": ANY}


def check_images(x: Tensor) -> None:
    """Raise unless ``x`` is a batch of images (N, C, H, W) of a floating-point type; N may be 0.

    Raises
    ------
    TypeError
        If it is not a tensor of a floating-point type.
    ValueError
        If it has another shape, or no channels or pixels.

    Examples
    --------
    >>> check_images(torch.zeros(2, 3, 8, 8))
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(f"x must be a tensor of floating-point numbers, got {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"x must have shape (N, C, H, W), with channels and pixels, got {tuple(x.shape)}")


def between(x: Tensor, low: float, high: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw a number for each image, uniformly from [low, high).

    Parameters
    ----------
    x
        Images (N, C, H, W), for their number, dtype and device.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator.

    Returns
    -------
    Tensor
        (N,).

    Examples
    --------
    >>> x = torch.zeros(2, 1, 4, 4, dtype=torch.float32)
    >>> [round(u, 4) for u in between(x, -10, 10, generator=torch.Generator().manual_seed(0)).tolist()]
    [-0.0749, 5.3644]
    """
    return low + (high - low) * uniform_like(x.new_empty(len(x)), generator=generator)


class Augmentation(nn.Module, ABC):
    """A random change of images: one draw for each image in training, the identity in evaluation.

    A subclass says what is drawn, `sample`, and what that does to the images, `change`.

    Parameters
    ----------
    p
        Probability in [0, 1] that an image is changed at all.
    generator
        Drawn from where a call brings none; ``None``: torch's global generator.

    Raises
    ------
    ValueError
        If `p` is out of range.

    Examples
    --------
    >>> class Brighten(Augmentation):
    ...     def sample(self, x, generator):
    ...         return {"by": between(x, 0, 0.5, generator=generator)}
    ...     def change(self, x, *, by):
    ...         return x + by[:, None, None, None]
    >>> brighten = Brighten(generator=torch.Generator().manual_seed(0))
    >>> image, mask = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    >>> draws = brighten.draw(image)
    >>> torch.allclose(brighten(mask, draws=draws), 1 + brighten(image, draws=draws))  # both in the same way
    True
    >>> brighten.eval()(image)
    tensor([[[[0., 0.]]]])
    """

    def __init__(self, *, p: float = 1.0, generator: torch.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        super().__init__()
        self.p, self.generator = p, generator

    @abstractmethod
    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw what `change` takes, a row for each image, on the device of ``x``."""

    @abstractmethod
    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Change the images as drawn."""

    def draw(self, x: Tensor, *, generator: torch.Generator | None = None) -> Draws:
        """Draw for a batch of images (N, C, H, W), to be passed to several calls.

        Parameters
        ----------
        x
            The images; their shape, dtype and device count.
        generator
            In place of the module's own.

        Returns
        -------
        Draws
            What is drawn, by name; with `p` below 1 also ``applied``, (N,), which images are changed.
        """
        check_images(x)
        source = generator if generator is not None else self.generator
        draws = self.sample(x, source)
        return draws if self.p == 1 else draws | {APPLIED: between(x, 0, 1, generator=source) < self.p}

    def forward(self, x: Tensor, *, draws: Draws | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Change images (N, C, H, W), each in its own way.

        Parameters
        ----------
        x
            The images; they stay as they are.
        draws
            What `draw` returned, to do the same again, in evaluation too; ``None``: new ones, in training only.
        generator
            In place of the module's own.

        Returns
        -------
        Tensor
            Of the shape, dtype and device of ``x``.

        Raises
        ------
        TypeError
            If the images are not of a floating-point type.
        ValueError
            If they are not (N, C, H, W), or ``draws`` are for another number of images.
        """
        check_images(x)
        if draws is None:
            if not self.training:
                return x
            draws = self.draw(x, generator=generator)
        for name, value in draws.items():
            if len(value) != len(x):
                raise ValueError(f"draws must have a row for each of the {len(x)} images, got {len(value)} of {name!r}")
        changed = self.change(x, **{name: value for name, value in draws.items() if name != APPLIED})
        return torch.where(draws[APPLIED][:, None, None, None], changed, x) if APPLIED in draws else changed


class Chain(Augmentation):
    """Augmentations one after the other, drawn and replayed as one.

    Parameters
    ----------
    steps
        In the order in which they are applied; each keeps the shape of the images.
    generator
        Drawn from by all steps, where a call brings none; ``None``: each step's own.

    Examples
    --------
    >>> chain = Chain()
    >>> chain(torch.ones(1, 1, 1, 2))
    tensor([[[[1., 1.]]]])
    """

    def __init__(self, *steps: Augmentation, generator: torch.Generator | None = None) -> None:
        super().__init__(generator=generator)
        self.steps = nn.ModuleList(steps)

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw for all steps; the name of a draw begins with the number of its step."""
        drawn = [step.draw(x, generator=generator) for step in self._augmentations()]
        return {f"{i}.{name}": value for i, draws in enumerate(drawn) for name, value in draws.items()}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply the steps in order."""
        for i, step in enumerate(self._augmentations()):
            own = {name.removeprefix(f"{i}."): v for name, v in draws.items() if name.startswith(f"{i}.")}
            x = step(x, draws=own)
        return x

    def _augmentations(self) -> Iterable[Augmentation]:
        return cast("Iterable[Augmentation]", self.steps)


def pixel_places(x: Tensor) -> Tensor:
    """Return where the pixels of an image are: their distance from its center, in pixels.

    Parameters
    ----------
    x
        Images (N, C, H, W), for their size, dtype and device.

    Returns
    -------
    Tensor
        (H, W, 2), for each pixel x (to the right) and y (downwards), at least float32.

    Examples
    --------
    >>> pixel_places(torch.zeros(1, 1, 2, 3))[0]  # the upper row
    tensor([[-1.0000, -0.5000],
            [ 0.0000, -0.5000],
            [ 1.0000, -0.5000]])
    """
    check_images(x)
    rows, columns = (torch.arange(n, device=x.device, dtype=_wide(x)) - (n - 1) / 2 for n in x.shape[2:])
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)


def sample_at(x: Tensor, places: Tensor, *, mode: str = "bilinear", padding: str = "zeros") -> Tensor:
    r"""Read images at places between their pixels: whatever moves pixels goes through here.

    .. math:: z[i, j] = x(p_{ij})

    Parameters
    ----------
    x
        Images (N, C, H, W).
    places
        *p*, (N, H', W', 2), or (H', W', 2) for all images: where each pixel of the result is read, x (to the right)
        and y (downwards), in pixels from the center of the image. Read at `pixel_places`, an image stays as it is.
    mode
        What is between the pixels: ``"bilinear"``, ``"bicubic"``, or ``"nearest"``, which makes no new values and so
        fits masks.
    padding
        What is outside the image: ``"zeros"``, ``"border"`` (the nearest pixel), or ``"reflection"``.

    Returns
    -------
    Tensor
        *z*, (N, C, H', W'), of the dtype and device of ``x``; computed in float32 at least.

    Raises
    ------
    TypeError
        If ``x`` or ``places`` are not of a floating-point type.
    ValueError
        If a shape does not fit, or ``mode`` or ``padding`` is unknown.

    Examples
    --------
    >>> x = torch.tensor([[[[0.0, 10.0, 20.0, 30.0]]]])
    >>> sample_at(x, pixel_places(x) + torch.tensor([0.5, 0.0]))
    tensor([[[[ 5., 15., 25., 15.]]]])
    """
    check_images(x)
    _check_choices(mode, padding)
    if not places.is_floating_point():
        raise TypeError(f"places must be of a floating-point type, got {places.dtype}")
    each = places.expand(len(x), *places.shape) if places.ndim == 3 else places
    if each.ndim != 4 or each.shape[::3] != (len(x), 2) or 0 in each.shape[1:3]:
        raise ValueError(f"places must have shape (H', W', 2) or ({len(x)}, H', W', 2), got {tuple(places.shape)}")
    half = torch.tensor([x.shape[3] / 2, x.shape[2] / 2], device=x.device, dtype=_wide(x))
    grid = (each.to(half.dtype) / half).contiguous()  # grid_sample has the edges at -1 and 1, and is slow otherwise
    read = nn.functional.grid_sample(x.to(grid.dtype), grid, mode=mode, padding_mode=padding, align_corners=False)
    return read.to(x.dtype)


def affine_matrix(
    x: Tensor,
    *,
    angle: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    shear: Tensor | float = 0.0,
    translate: Tensor | float = 0.0,
    flip: Tensor | bool = False,
) -> Tensor:
    r"""Compose flip, scaling, shear, rotation and translation, in this order, into one matrix for each image.

    .. math:: p \mapsto A p + t, \qquad A =
        \begin{pmatrix} \cos a & \sin a \\ -\sin a & \cos a \end{pmatrix}
        \begin{pmatrix} 1 & \tan b \\ 0 & 1 \end{pmatrix}
        \begin{pmatrix} \pm s_x & 0 \\ 0 & \pm s_y \end{pmatrix}

    says where a point *p* of the image goes, in pixels from its center, x to the right and y downwards.

    Parameters
    ----------
    x
        Images (N, C, H, W), for their number, dtype and device.
    angle
        *a*, (N,), in degrees, counterclockwise as one sees the image.
    scale
        *s*, (N,), or (N, 2) for x and y: a factor above 0; above 1 it enlarges.
    shear
        *b*, (N,), in degrees, between -90 and 90: how far a vertical line leans, its lower end to the right.
    translate
        *t*, (N, 2), in pixels, to the right and downwards; (N,) for both alike.
    flip
        The signs, (N, 2), bool: of x, which swaps left and right, and of y, which swaps top and bottom.

    Each may also be one number for all images.

    Returns
    -------
    Tensor
        (A, t), of shape (N, 2, 3), at least float32.

    Raises
    ------
    ValueError
        If a shape does not fit, or a number is not finite or out of range.

    Examples
    --------
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> affine_matrix(x, scale=2.0, shear=-45.0, translate=torch.tensor([[3.0, -1.0]])).round(decimals=3)
    tensor([[[ 2., -2.,  3.],
             [-0.,  2., -1.]]])
    """
    check_images(x)
    given = {"angle": angle, "scale": scale, "shear": shear, "translate": translate, "flip": flip}
    a, s, b, t, mirrored = (_numbers(x, name, value) for name, value in given.items())
    cos, sin, tan = a.deg2rad().cos(), a.deg2rad().sin(), b.deg2rad().tan()
    linear = torch.cat([cos, sin + cos * tan, -sin, cos - sin * tan], dim=1).view(-1, 2, 2)  # rotation times shear
    return torch.cat([linear * (s * (1 - 2 * mirrored))[:, None], t[:, :, None]], dim=2)


def warp(x: Tensor, matrix: Tensor, *, mode: str = "bilinear", padding: str = "zeros") -> Tensor:
    r"""Move the pixels of each image as its matrix says.

    .. math:: z(q) = x(A^{-1} (q - t))

    Parameters
    ----------
    x
        Images (N, C, H, W).
    matrix
        (A, t), (N, 2, 3), as `affine_matrix` makes it: where a point of the image goes, in pixels from its center.
    mode, padding
        As for `sample_at`.

    Returns
    -------
    Tensor
        Of the shape, dtype and device of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `sample_at` does, and if ``matrix`` has another shape or is not finite.
    torch.linalg.LinAlgError
        If *A* cannot be inverted.

    Examples
    --------
    >>> x = torch.arange(6.0).view(1, 1, 2, 3)
    >>> warp(x, torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])).round(decimals=3)
    tensor([[[[2., 1., 0.],
              [5., 4., 3.]]]])
    """
    check_images(x)
    if matrix.shape != (len(x), 2, 3) or not matrix.isfinite().all():
        raise ValueError(f"matrix must have shape ({len(x)}, 2, 3) and be finite, got {tuple(matrix.shape)}")
    forth, shift = matrix.to(_wide(x)).tensor_split([2], dim=2)
    back = torch.linalg.inv(forth)
    turned = torch.tensordot(back, pixel_places(x), dims=([2], [2]))  # (N, 2, H, W): one product for all images
    return sample_at(x, (turned - (back @ shift)[..., None]).movedim(1, 3), mode=mode, padding=padding)


def affine(
    x: Tensor,
    *,
    angle: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    shear: Tensor | float = 0.0,
    translate: Tensor | float = 0.0,
    flip: Tensor | bool = False,
    mode: str = "bilinear",
    padding: str = "zeros",
) -> Tensor:
    r"""Flip, scale, shear, rotate and translate images, all at once: each is read once, at one set of places.

    .. math:: z(q) = x(A^{-1} (q - t))

    Parameters
    ----------
    x
        Images (N, C, H, W).
    angle, scale, shear, translate, flip
        As for `affine_matrix`, which makes *A* and *t* of them.
    mode, padding
        As for `sample_at`.

    Returns
    -------
    Tensor
        Of the shape, dtype and device of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `affine_matrix` and `sample_at` do.

    Examples
    --------
    >>> x = torch.arange(6.0).view(1, 1, 2, 3)
    >>> affine(x, translate=torch.tensor([[1.0, 0.0]])).round(decimals=3)
    tensor([[[[0., 0., 1.],
              [0., 3., 4.]]]])
    """
    matrix = affine_matrix(x, angle=angle, scale=scale, shear=shear, translate=translate, flip=flip)
    return warp(x, matrix, mode=mode, padding=padding)


def crop(x: Tensor, corner: Tensor, size: tuple[int, int], *, padding: str = "zeros") -> Tensor:
    """Cut a window out of each image, along whole pixels.

    Parameters
    ----------
    x
        Images (N, C, H, W).
    corner
        (N, 2), whole numbers: column and row of the upper left pixel of the window; may be outside of the image.
    size
        Height and width of the window, in pixels.
    padding
        What is outside the image, as for `sample_at`.

    Returns
    -------
    Tensor
        (N, C, \\*size), of the dtype and device of ``x``.

    Raises
    ------
    TypeError, ValueError
        If ``x`` are not images, ``corner`` has another shape, or ``size`` is not at least (1, 1).

    Examples
    --------
    >>> x = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
    >>> crop(x, torch.tensor([[1, -1]]), (2, 3))
    tensor([[[[0., 0., 0.],
              [2., 3., 0.]]]])
    """
    check_images(x)
    if corner.shape != (len(x), 2) or (corner.is_floating_point() and not torch.equal(corner, corner.round())):
        raise ValueError(f"corner must be whole numbers ({len(x)}, 2), got {corner.dtype} {tuple(corner.shape)}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be a height and a width of at least 1, got {size}")
    window = pixel_places(x[:0, :1, :1, :1].expand(0, 1, *size))
    shift = window.new_tensor([(size[1] - x.shape[3]) / 2, (size[0] - x.shape[2]) / 2])
    places = window + (corner.to(window) + shift)[:, None, None]
    return sample_at(x, places, mode="nearest", padding=padding)


def smooth_noise(x: Tensor, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
    r"""Draw a smooth random displacement of each pixel: uniform noise behind a Gaussian filter, of variance 1.

    .. math:: u = \frac{k * \varepsilon}{\lVert k \rVert_2}, \qquad k(d) \propto e^{-\lvert d \rvert^2 / 2 \sigma^2},
        \qquad \varepsilon \sim \mathcal U(-\sqrt 3, \sqrt 3)

    Parameters
    ----------
    x
        Images (N, C, H, W), for their number, size, dtype and device.
    sigma
        Width of the filter, in pixels, above 0; there is noise up to three times as far outside of the image.
    generator
        Drawn from, on its device, then moved; ``None``: torch's global generator.

    Returns
    -------
    Tensor
        (N, H, W, 2): x and y, each with mean 0 and variance 1 everywhere, at the edges, too; float32 at least.

    Raises
    ------
    ValueError
        If ``sigma`` is not a finite number above 0.

    Examples
    --------
    >>> field = smooth_noise(torch.zeros(1, 1, 200, 300), 3.0, generator=torch.Generator().manual_seed(0))
    >>> tuple(field.shape), round(field.std().item(), 1)
    ((1, 200, 300, 2), 1.0)
    """
    check_images(x)
    _check_sigma(sigma)
    reach = math.ceil(3 * sigma)
    filters: list[Tensor] = []
    for n in x.shape[2:]:
        steps = torch.arange(n + 2 * reach, device=x.device, dtype=_wide(x))
        weights = (-0.5 * ((steps - steps[reach : n + reach, None]) / sigma).square()).exp()
        filters.append(weights / torch.linalg.vector_norm(weights, dim=1, keepdim=True))
    down, across = filters  # each reaches beyond the image, so that its edges are like its middle
    noise = uniform_like(down.new_empty(len(x), 2, down.shape[1], across.shape[1]), generator=generator)
    return (math.sqrt(12) * down @ (noise - 0.5) @ across.T).permute(0, 2, 3, 1)  # uniform: a variance of 1/12


def elastic(x: Tensor, field: Tensor, *, mode: str = "bilinear", padding: str = "zeros") -> Tensor:
    r"""Displace each pixel by a vector of its own.

    .. math:: z(q) = x(q + u(q))

    Parameters
    ----------
    x
        Images (N, C, H, W).
    field
        *u*, (N, H, W, 2), x (to the right) and y (downwards), in pixels: how far away each pixel is read.
    mode, padding
        As for `sample_at`.

    Returns
    -------
    Tensor
        Of the shape, dtype and device of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `sample_at` does, or if ``field`` has another size than the images.

    Examples
    --------
    >>> x = torch.tensor([[[[0.0, 10.0, 20.0]]]])
    >>> elastic(x, torch.tensor([[[[0.0, 0.0], [1.0, 0.0], [-0.5, 0.0]]]])).round(decimals=3)
    tensor([[[[ 0., 20., 15.]]]])
    """
    check_images(x)
    if field.shape != (len(x), *x.shape[2:], 2):
        raise ValueError(f"field must have shape {(len(x), *x.shape[2:], 2)}, got {tuple(field.shape)}")
    return sample_at(x, pixel_places(x) + field, mode=mode, padding=padding)


class RandomAffine(Augmentation):
    """Flip, scale, shear, rotate and translate each image at random, in one go.

    Parameters
    ----------
    angle
        Rotate by up to so many degrees, either way.
    scale
        Enlarge by up to this factor or reduce by up to the same, at least 1; uniform in its logarithm.
    shear
        Let vertical lines lean by up to so many degrees, either way; below 90.
    translate
        Move by up to so many pixels along x and along y, either way.
    flip
        Probabilities of swapping left and right, and top and bottom.
    mode, padding
        As for `sample_at`. For masks: another module with ``mode="nearest"`` and the same ``draws``.
    p, generator
        As for `Augmentation`.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> move = RandomAffine(angle=15, scale=1.2, translate=1, generator=torch.Generator().manual_seed(0))
    >>> x = torch.rand(4, 1, 9, 7)
    >>> draws = move.draw(x)
    >>> sorted(draws)
    ['angle', 'flip', 'scale', 'shear', 'translate']
    >>> torch.equal(move(x, draws=draws), affine(x, **draws))
    True
    """

    def __init__(
        self,
        *,
        angle: float = 0.0,
        scale: float = 1.0,
        shear: float = 0.0,
        translate: float = 0.0,
        flip: tuple[float, float] = (0.0, 0.0),
        mode: str = "bilinear",
        padding: str = "zeros",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p=p, generator=generator)
        _check_range("angle", angle)
        _check_range("scale", scale, low=1)
        _check_range("shear", shear, below=90)
        _check_range("translate", translate)
        if len(flip) != 2 or not all(0 <= p <= 1 for p in flip):
            raise ValueError(f"flip must be two probabilities, across and down, got {flip}")
        _check_choices(mode, padding)
        self.angle, self.scale, self.shear, self.translate, self.flip = angle, scale, shear, translate, flip
        self.mode, self.padding = mode, padding

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw the five arguments of `affine`."""
        unit = 2 * uniform_like(x.new_empty(len(x), 5), generator=generator) - 1
        angle, shear, scale = self.angle * unit[:, 0], self.shear * unit[:, 1], self.scale ** unit[:, 2]
        coins = uniform_like(torch.empty(len(x), 2, device=x.device, dtype=torch.float32), generator=generator)
        flip = coins < coins.new_tensor(self.flip)
        return {"angle": angle, "shear": shear, "scale": scale, "translate": self.translate * unit[:, 3:], "flip": flip}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `affine`."""
        return affine(x, **draws, mode=self.mode, padding=self.padding)


class RandomFlip(RandomAffine):
    """Mirror each image at random, exactly.

    Parameters
    ----------
    across, down
        Probabilities of swapping left and right, and top and bottom.
    generator
        As for `Augmentation`.

    Raises
    ------
    ValueError
        If a probability is out of range.

    Examples
    --------
    >>> RandomFlip(1.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[3., 2., 1.]]]])
    """

    def __init__(self, across: float = 0.5, down: float = 0.0, *, generator: torch.Generator | None = None) -> None:
        super().__init__(flip=(across, down), mode="nearest", generator=generator)


class RandomCrop(Augmentation):
    """Pad each image and cut a window of its old size out of that: a shift by whole pixels.

    Parameters
    ----------
    margin
        How many pixels to pad at each side, a whole number.
    padding
        With what, as for `sample_at`.
    p, generator
        As for `Augmentation`.

    Raises
    ------
    ValueError
        If `margin` is negative or no whole number, or `padding` is unknown.

    Examples
    --------
    >>> RandomCrop(1, generator=torch.Generator().manual_seed(0))(torch.arange(1.0, 5.0).view(1, 1, 2, 2))
    tensor([[[[3., 4.],
              [0., 0.]]]])
    """

    def __init__(
        self, margin: int, *, padding: str = "zeros", p: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(p=p, generator=generator)
        if type(margin) is not int or margin < 0:
            raise ValueError(f"margin must be a whole number, at least 0, got {margin!r}")
        _check_choices("nearest", padding)
        self.margin, self.padding = margin, padding

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw the upper left corner of the window: column and row, counted in the image."""
        like = torch.empty(len(x), 2, device=x.device, dtype=torch.float32)
        places = uniform_like(like, generator=generator) * (2 * self.margin + 1)
        return {"corner": places.floor().long().clamp(max=2 * self.margin) - self.margin}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `crop`."""
        return crop(x, draws["corner"], (x.shape[2], x.shape[3]), padding=self.padding)


class RandomElastic(Augmentation):
    r"""Bend each image by a smooth random field, as if it were drawn on rubber.

    Parameters
    ----------
    alpha
        How far pixels move, in pixels: the standard deviation of the displacement along each axis.
    sigma
        Over what distance neighbors move together, in pixels.
    mode, padding
        As for `sample_at`. For masks: another module with ``mode="nearest"`` and the same ``draws``.
    p, generator
        As for `Augmentation`.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Simard, Steinkraus, Platt (2003). Best practices for convolutional neural networks applied to visual document
    analysis. ICDAR. doi:10.1109/ICDAR.2003.1227801. Their alpha multiplies a field that is scaled in another way.

    Examples
    --------
    >>> bend = RandomElastic(1.0, 4.0, generator=torch.Generator().manual_seed(0))
    >>> tuple(bend.draw(torch.zeros(2, 3, 9, 7))["field"].shape)
    (2, 9, 7, 2)
    """

    def __init__(
        self,
        alpha: float,
        sigma: float,
        *,
        mode: str = "bilinear",
        padding: str = "zeros",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p=p, generator=generator)
        _check_range("alpha", alpha)
        _check_sigma(sigma)
        _check_choices(mode, padding)
        self.alpha, self.sigma, self.mode, self.padding = alpha, sigma, mode, padding

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw the displacements."""
        return {"field": self.alpha * smooth_noise(x, self.sigma, generator=generator)}

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply `elastic`."""
        return elastic(x, draws["field"], mode=self.mode, padding=self.padding)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _numbers(x: Tensor, name: str, value: Tensor | float) -> Tensor:
    """Return an argument as (N, columns), checked."""
    columns, (low, high) = 1 if name in ("angle", "shear") else 2, LIMITS[name]
    given = torch.as_tensor(value, device=x.device, dtype=_wide(x))
    each = given[:, None] if given.ndim == 1 else given
    if given.ndim and (each.shape not in ((len(x), 1), (len(x), columns)) or given.ndim > 2):
        raise ValueError(f"{name} must be a number or have shape ({len(x)}, {columns}), got {tuple(given.shape)}")
    if not ((each > low) & (each < high)).all():  # NaN fails too
        raise ValueError(f"{name} must be finite, above {low} and below {high}, got {value}")
    return each.expand(len(x), columns)


def _check_range(name: str, value: float, *, low: float = 0, below: float = math.inf) -> None:
    if not low <= value < below:
        raise ValueError(f"{name} must be in [{low}, {below}), got {value}")


def _check_sigma(sigma: float) -> None:
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma must be a finite number above 0, got {sigma}")


def _check_choices(mode: str, padding: str) -> None:
    for name, value, known in (("mode", mode, MODES), ("padding", padding, PADDINGS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
