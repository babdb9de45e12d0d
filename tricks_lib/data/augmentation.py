"""Random changes of images that keep what they show."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from tricks_lib.learning.draws import uniform_like

__all__ = ["Augmentation", "Chain", "Draws", "between", "check_images"]

Draws = dict[str, Tensor]
"""What was drawn: a name, such as ``angle``, and a tensor with a row for each image."""

APPLIED = "applied"


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
    >>> between(torch.zeros(2, 1, 4, 4), -10, 10, generator=torch.Generator().manual_seed(0))
    tensor([-0.0749,  5.3644])
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
    >>> brighten(image, draws=draws), brighten(mask, draws=draws)  # both in the same way
    (tensor([[[[0.2481, 0.2481]]]]), tensor([[[[1.2481, 1.2481]]]]))
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
