"""Which random change for which image: operations on one scale of strength, drawn by chance or by a searched policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tricks_lib.data.augmentation import (
    Augmentation,
    Draws,
    RandomAffine,
    affine,
    affine_matrix,
    check_images,
    warp,
)
from tricks_lib.data.augmentation_camera import adjust_brightness, adjust_contrast, adjust_saturation
from tricks_lib.data.augmentation_tones import adjust_sharpness, autocontrast, equalize, posterize, solarize
from tricks_lib.learning.draws import uniform_like

__all__ = [
    "MAGNITUDES",
    "OPERATIONS",
    "AutoAugment",
    "Operation",
    "Policy",
    "RandAugment",
    "RandomOperations",
    "TrivialAugment",
    "best_so_far",
    "density_match",
    "random_policy",
]

Policy = Sequence[Sequence[tuple[str, float, float]]]
"""Sub-policies, of which each image gets one: steps (operation, probability, magnitude), one after the other."""

#: The end of the scale of magnitudes, as in the papers; operations have strengths between zero and this.
MAGNITUDES = 10.0
NONE = -1  # in place of an operation


@dataclass(frozen=True)
class Operation:
    """A change of images of which one can have more or less.

    Parameters
    ----------
    function
        (images (N, C, H, W), values (N,)) -> images; or, if it `moves` pixels, -> arguments (N,) or (N, 2), by name,
        for `tricks_lib.data.augmentation.affine`.
    largest
        The value at full strength.
    signed
        Whether there are two directions.
    moves
        Whether it moves pixels: then it can be merged with others into one warp.
    colors
        Whether it needs three channels.

    Examples
    --------
    >>> tilt = OPERATIONS["rotate"]
    >>> tilt.value(torch.tensor([0.5, 1.0]), torch.tensor([1.0, -1.0]))
    tensor([ 15., -30.])
    >>> OPERATIONS["brightness"](torch.full((1, 1, 1, 2), 0.5), torch.tensor([0.5]), torch.tensor([-1.0]))
    tensor([[[[0.2750, 0.2750]]]])
    """

    function: Callable[[Tensor, Tensor], Any]
    largest: float = 1.0
    signed: bool = False
    moves: bool = False
    colors: bool = False

    def value(self, strength: Tensor, sign: Tensor) -> Tensor:
        """Return what the function takes, for strengths in [0, 1] and signs, -1 or 1."""
        return self.largest * strength * (sign if self.signed else 1)

    def __call__(self, x: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
        """Change images (N, C, H, W), with a strength in [0, 1] and a sign for each, (N,)."""
        check_images(x)
        for name, given, low in (("strength", strength, 0), ("sign", sign, -1)):
            if given.shape != (len(x),) or not bool(((given >= low) & (given <= 1)).all()):
                raise ValueError(f"{name} must have shape ({len(x)},), from {low} to 1, got {given}")
        out = self.function(x, self.value(strength, sign))
        changed: Tensor = affine(x, **out) if self.moves else out
        return changed


def _identity(x: Tensor, value: Tensor) -> Tensor:
    return x


def _shear_x(x: Tensor, value: Tensor) -> dict[str, Tensor]:
    return {"shear": value.atan().rad2deg()}


def _shear_y(x: Tensor, value: Tensor) -> dict[str, Tensor]:
    """Turn, shear along x and scale: the product has the rows (1, 0) and (value, 1)."""
    angle, length = value.atan().rad2deg(), (1 + value.square()).sqrt()
    return {"angle": -angle, "shear": angle, "scale": torch.stack([length, 1 / length], dim=1)}


def _translate_x(x: Tensor, value: Tensor) -> dict[str, Tensor]:
    return {"translate": torch.stack([x.shape[3] * value, 0 * value], dim=1)}


def _translate_y(x: Tensor, value: Tensor) -> dict[str, Tensor]:
    return {"translate": torch.stack([0 * value, x.shape[2] * value], dim=1)}


def _rotate(x: Tensor, value: Tensor) -> dict[str, Tensor]:
    return {"angle": value}


def _factor(adjust: Callable[[Tensor, Tensor], Tensor], x: Tensor, value: Tensor) -> Tensor:
    return adjust(x, 1 + value)


def _whole(function: Callable[[Tensor], Tensor], x: Tensor, value: Tensor) -> Tensor:
    return function(x)


def _posterize(x: Tensor, value: Tensor) -> Tensor:
    return posterize(x, 8 - value)


def _solarize(x: Tensor, value: Tensor) -> Tensor:
    return solarize(x, (1 - value) * 256 / 255)  # as with bytes: at 0 white stays white, at 1 all is inverted


OPERATIONS: Mapping[str, Operation] = {
    "identity": Operation(_identity),
    "shear-x": Operation(_shear_x, 0.3, signed=True, moves=True),
    "shear-y": Operation(_shear_y, 0.3, signed=True, moves=True),
    "translate-x": Operation(_translate_x, 150 / 331, signed=True, moves=True),
    "translate-y": Operation(_translate_y, 150 / 331, signed=True, moves=True),
    "rotate": Operation(_rotate, 30.0, signed=True, moves=True),
    "brightness": Operation(partial(_factor, adjust_brightness), 0.9, signed=True),
    "color": Operation(partial(_factor, adjust_saturation), 0.9, signed=True, colors=True),
    "contrast": Operation(partial(_factor, adjust_contrast), 0.9, signed=True),
    "sharpness": Operation(partial(_factor, adjust_sharpness), 0.9, signed=True),
    "posterize": Operation(_posterize, 4.0),
    "solarize": Operation(_solarize),
    "autocontrast": Operation(partial(_whole, autocontrast)),
    "equalize": Operation(partial(_whole, equalize)),
}
"""The fourteen operations of RandAugment, up to the values that AutoAugment allows.

Shears in pixels per pixel, translations in parts of the side (AutoAugment: 150 pixels of 331), rotations in degrees.
Brightness, color, contrast and sharpness are factors of one plus or minus 0.9: from 0.1 to 1.9, and magnitude 0 changes
nothing. In the first implementations they ran from 0.1 to 1.9 with the magnitude.
"""


class RandomOperations(Augmentation):
    """Operations one after the other, chosen for each image: what all policies have in common.

    A subclass says how they are drawn: `sample` returns ``operation`` (N, L), places among `operations` (-1 for none),
    ``strength`` (N, L) in [0, 1] and ``sign`` (N, L), -1 or 1.

    Parameters
    ----------
    operations
        Those to choose from, by name. What needs colors is left out of draws for images that have none.
    mode, padding
        As for `tricks_lib.data.augmentation.sample_at`.
    p, generator
        As for `tricks_lib.data.augmentation.Augmentation`.

    Raises
    ------
    ValueError
        If there are no operations.

    Notes
    -----
    What moves pixels comes first, and as one warp, so that an image is interpolated once at most; then the others, in
    the order in which they were drawn.

    Examples
    --------
    >>> class Tilt(RandomOperations):
    ...     def sample(self, x, generator):
    ...         ones = torch.ones(len(x), 1)
    ...         return {"operation": self.place("rotate") * ones.long(), "strength": ones, "sign": ones}
    >>> Tilt({"rotate": Operation(_rotate, 90.0, moves=True)})(torch.eye(2)[None, None])
    tensor([[[[0., 1.],
              [1., 0.]]]])
    """

    def __init__(
        self,
        operations: Mapping[str, Operation] = OPERATIONS,
        *,
        mode: str = "bilinear",
        padding: str = "zeros",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p=p, generator=generator)
        if not operations:
            raise ValueError("operations must hold at least one operation, got none")
        RandomAffine(mode=mode, padding=padding)  # raises if one of them is not known
        self.operations, self.mode, self.padding = dict(operations), mode, padding

    def place(self, name: str) -> int:
        """Return the place of an operation."""
        if name not in self.operations:
            raise ValueError(f"operation {name!r} is not among {', '.join(self.operations)}")
        return list(self.operations).index(name)

    def usable(self, x: Tensor) -> list[int]:
        """Return the places of the operations that these images allow."""
        places = [k for k, op in enumerate(self.operations.values()) if not op.colors or x.shape[1] == 3]
        if not places:
            raise ValueError(f"operations {', '.join(self.operations)} all need 3 channels, got images of {x.shape[1]}")
        return places

    def change(self, x: Tensor, **draws: Tensor) -> Tensor:
        """Apply one warp, then what changes values."""
        chosen, strength, sign = draws["operation"], draws["strength"].to(x.dtype), draws["sign"].to(x.dtype)
        x = self._moved(x, chosen, strength, sign)
        for layer in range(chosen.shape[1]):
            for k, op in enumerate(self.operations.values()):
                rows = (chosen[:, layer] == k).nonzero()[:, 0]
                if len(rows) and not op.moves:
                    x[rows] = op.function(x[rows], op.value(strength[rows, layer], sign[rows, layer]))
        return x

    def _moved(self, x: Tensor, chosen: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
        """Merge all that moves pixels into one matrix for each image, and read the images once; return a copy."""
        moves = {k: op for k, op in enumerate(self.operations.values()) if op.moves}
        rows = torch.isin(chosen, chosen.new_tensor(list(moves))).any(dim=1).nonzero()[:, 0]
        copy, some, chosen, strength, sign = x.clone(), x[rows], chosen[rows], strength[rows], sign[rows]
        last = some.new_tensor([0.0, 0.0, 1.0], dtype=torch.promote_types(x.dtype, torch.float32))
        matrix = torch.eye(3, dtype=last.dtype, device=x.device)
        for layer in range(chosen.shape[1] if len(rows) else 0):
            merged: dict[str, Tensor] = {}
            for k, op in moves.items():
                here = chosen[:, layer] == k
                for name, given in op.function(some, op.value(strength[:, layer], sign[:, layer])).items():
                    still = torch.full_like(given, name == "scale") if name not in merged else merged[name]
                    merged[name] = torch.where(here if given.ndim == 1 else here[:, None], given, still)
            step = torch.cat([affine_matrix(some, **merged), last.expand(len(rows), 1, 3)], dim=1)
            matrix = step @ matrix
        if len(rows):
            copy[rows] = warp(some, matrix[:, :2], mode=self.mode, padding=self.padding)
        return copy


class RandAugment(RandomOperations):
    r"""N operations for each image, all equally likely, all with the same magnitude M.

    Parameters
    ----------
    n
        How many, at least 0, drawn with replacement.
    m
        The magnitude in [0, 10], for all.
    operations, mode, padding, p, generator
        As for `RandomOperations`.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Cubuk, Zoph, Shlens, Le (2020). RandAugment: practical automated data augmentation with a reduced search space.
    arXiv:1909.13719.

    Examples
    --------
    >>> augment = RandAugment(2, 5, generator=torch.Generator().manual_seed(0))
    >>> draws = augment.draw(torch.zeros(1, 3, 8, 8))
    >>> [list(OPERATIONS)[k] for k in draws["operation"][0]], draws["strength"].tolist()
    (['brightness', 'posterize'], [[0.5, 0.5]])
    """

    def __init__(
        self,
        n: int = 2,
        m: float = 5.0,
        *,
        operations: Mapping[str, Operation] = OPERATIONS,
        mode: str = "bilinear",
        padding: str = "zeros",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(operations, mode=mode, padding=padding, p=p, generator=generator)
        if not isinstance(n, int) or n < 0:
            raise ValueError(f"n must be a whole number, at least 0, got {n!r}")
        self.n, self.m = n, _magnitude("m", m)

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw operations and signs."""
        u = _uniform(x, 2, self.n, generator)
        return {
            "operation": _picked(self.usable(x), u[0]),
            "strength": torch.full_like(u[0], self.m / MAGNITUDES),
            "sign": _sign(u[1]),
        }


class TrivialAugment(RandomOperations):
    r"""One operation for each image, all equally likely, with a magnitude that is uniform over the whole scale.

    Parameters
    ----------
    operations, mode, padding, p, generator
        As for `RandomOperations`.

    References
    ----------
    Müller, Hutter (2021). TrivialAugment: tuning-free yet state-of-the-art data augmentation. arXiv:2103.10158.
    There the magnitude is one of 31 values; their "wide" ranges go further than those of `OPERATIONS`.

    Examples
    --------
    >>> augment = TrivialAugment(generator=torch.Generator().manual_seed(0))
    >>> strength = augment.draw(torch.zeros(2, 1, 8, 8))["strength"]
    >>> [round(u, 3) for u in strength.flatten().tolist()]
    [0.088, 0.132]
    """

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw an operation, a strength and a sign."""
        u = _uniform(x, 3, 1, generator)
        return {"operation": _picked(self.usable(x), u[0]), "strength": u[1], "sign": _sign(u[2])}


class AutoAugment(RandomOperations):
    r"""A policy: one of several sub-policies for each image, each of its steps with a probability of its own.

    Parameters
    ----------
    policy
        Sub-policies, all equally likely: steps (operation, probability in [0, 1], magnitude in [0, 10]) in order.
    operations, mode, padding, p, generator
        As for `RandomOperations`. A step that needs colors is left out for images that have none.

    Raises
    ------
    ValueError
        If the policy is empty, an operation is not known, or a number is out of range.

    References
    ----------
    Cubuk, Zoph, Mané, Vasudevan, Le (2019). AutoAugment: learning augmentation strategies from data. CVPR.
    arXiv:1805.09501.

    Examples
    --------
    >>> augment = AutoAugment([[("rotate", 1.0, 5), ("equalize", 0.0, 0)], [("shear-x", 1.0, 10)]])
    >>> draws = augment.draw(torch.zeros(3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    >>> [[list(OPERATIONS)[k] if k >= 0 else "" for k in row] for row in draws["operation"]]
    [['rotate', ''], ['rotate', ''], ['rotate', '']]
    """

    def __init__(
        self,
        policy: Policy,
        *,
        operations: Mapping[str, Operation] = OPERATIONS,
        mode: str = "bilinear",
        padding: str = "zeros",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(operations, mode=mode, padding=padding, p=p, generator=generator)
        self.policy = [[(name, _share(name, q), _magnitude(name, m)) for name, q, m in steps] for steps in policy]
        if not any(self.policy):
            raise ValueError(f"policy must hold a sub-policy with a step, got {policy}")
        length = max(map(len, self.policy))
        rows = [[(self.place(name), q, m) for name, q, m in steps] for steps in self.policy]
        padded = [row + [(NONE, 0, 0)] * (length - len(row)) for row in rows]
        table = torch.tensor(padded, dtype=torch.float32, device="cpu")
        self.register_buffer("table", table, persistent=False)
        self.table: Tensor

    def sample(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Draw a sub-policy, and for each of its steps whether it is done, and a sign."""
        u = _uniform(x, 2, self.table.shape[1], generator)
        which = _uniform(x, 1, 1, generator)[0, :, 0]
        own = self.table.to(u.device)[_picked(range(len(self.policy)), which)]
        operation, probability, magnitude = own.unbind(2)
        done = (u[0] < probability) & torch.isin(operation, operation.new_tensor(self.usable(x)))
        operation = torch.where(done, operation, NONE).long()
        return {"operation": operation, "strength": magnitude / MAGNITUDES, "sign": _sign(u[1])}


def random_policy(
    sub_policies: int = 5,
    steps: int = 2,
    *,
    operations: Iterable[str] = OPERATIONS,
    generator: torch.Generator | None = None,
) -> Policy:
    """Draw a policy from a space like AutoAugment's: any operations, probabilities and magnitudes.

    Parameters
    ----------
    sub_policies, steps
        How many sub-policies, and steps in each, at least 1.
    operations
        Names to choose from.
    generator
        Drawn from; ``None``: torch's global generator.

    Returns
    -------
    Policy
        Probabilities are multiples of 0.1 in [0, 1], magnitudes whole numbers in [0, 10].

    Raises
    ------
    ValueError
        If a number is below 1, or there are no operations.

    Examples
    --------
    >>> random_policy(1, 2, generator=torch.Generator().manual_seed(0))
    [[('brightness', 0.0, 3.0), ('posterize', 0.1, 6.0)]]
    """
    names = list(operations)
    if min(sub_policies, steps, len(names)) < 1:
        raise ValueError(f"need at least 1 sub-policy, step and operation, got {sub_policies}, {steps}, {len(names)}")
    u = uniform_like(torch.empty(3, sub_policies, steps, dtype=torch.float32, device="cpu"), generator=generator)
    drawn = zip(*((u[k] * size).long().tolist() for k, size in enumerate((len(names), 11, 11))), strict=True)
    return [[(names[i], q / 10, float(m)) for i, q, m in zip(*row, strict=True)] for row in drawn]


@torch.no_grad()
def density_match(
    model: nn.Module,
    augment: Augmentation,
    x: Tensor,
    y: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    generator: torch.Generator | None = None,
) -> float:
    """Grade a policy without training: the loss of a finished model on changed images that it has not seen.

    Parameters
    ----------
    model
        Trained without the policy; evaluated as it is.
    augment
        The policy.
    x, y
        Held-out images and labels.
    loss
        (outputs, labels) -> a number.
    generator
        For the draws.

    Returns
    -------
    float
        Small if the model takes the changed images for ordinary ones.

    References
    ----------
    Lim, Kim, Kim, Kim, Kim (2019). Fast AutoAugment. NeurIPS. arXiv:1905.00397.

    Examples
    --------
    >>> dark = AutoAugment([[("brightness", 1.0, 0)]])
    >>> round(density_match(nn.Flatten(), dark, torch.zeros(4, 1, 1, 2), torch.zeros(4).long()), 4)
    0.6931
    """
    return float(loss(model(augment(x, draws=augment.draw(x, generator=generator))), y))


def best_so_far(scores: Tensor, outcomes: Tensor) -> Tensor:
    """Return what a search would have found had it stopped early.

    Parameters
    ----------
    scores
        (..., P): by what each of P candidates is judged, in the order of the search; high is good.
    outcomes
        (..., P): what is reported of each.

    Returns
    -------
    Tensor
        (..., P): the outcome of the best among the first 1, 2, ..., P by score; of equal ones, the first.

    Raises
    ------
    ValueError
        If the shapes differ, or a score is NaN.

    Examples
    --------
    >>> best_so_far(torch.tensor([0.5, 0.7, 0.6]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 2.])
    """
    if scores.shape != outcomes.shape:
        raise ValueError(f"scores and outcomes must have one shape, got {scores.shape} and {outcomes.shape}")
    if scores.isnan().any():
        raise ValueError("scores must not hold NaN: it is neither better nor worse than a number")
    best = scores.cummax(dim=-1).values
    fresh = torch.cat([torch.ones_like(best[..., :1], dtype=torch.bool), best[..., 1:] > best[..., :-1]], dim=-1)
    places = torch.arange(scores.shape[-1], device=scores.device).expand(scores.shape)
    return outcomes.gather(-1, torch.where(fresh, places, 0).cummax(dim=-1).values)


def _uniform(x: Tensor, kinds: int, steps: int, generator: torch.Generator | None) -> Tensor:
    """Draw numbers in [0, 1), (kinds, N, steps), in float32 whatever the images are."""
    like = torch.empty(kinds, len(x), steps, dtype=torch.float32, device=x.device)
    return uniform_like(like, generator=generator)


def _picked(places: Sequence[int], u: Tensor) -> Tensor:
    """Choose from places by uniform numbers."""
    return torch.tensor(places, device=u.device)[(u * len(places)).long().clamp(max=len(places) - 1)]


def _sign(u: Tensor) -> Tensor:
    return torch.where(u < 0.5, -1.0, 1.0).to(u)


def _magnitude(name: str, value: float) -> float:
    if not 0 <= value <= MAGNITUDES:
        raise ValueError(f"{name}: a magnitude must be in [0, {MAGNITUDES:g}], got {value}")
    return float(value)


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: a probability must be in [0, 1], got {value}")
    return float(value)
