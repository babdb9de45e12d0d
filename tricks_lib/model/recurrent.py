"""Recurrent layers from elementary operations: those of torch are fused, and cannot be run for many models at once."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["LSTM", "RNN"]


class _Recurrent(nn.Module):
    """One layer that reads a sequence; its parameters have the names and the initial values of torch's."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        gates: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, size in {"input_size": input_size, "hidden_size": hidden_size}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = gates * hidden_size
        shapes = {"weight_ih_l0": (rows, input_size), "weight_hh_l0": (rows, hidden_size)}
        for name, shape in {**shapes, "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self, *, generator: torch.Generator | None = None) -> None:
        """Draw all parameters uniformly from [-1, 1] / sqrt(hidden_size), as torch does."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def extra_repr(self) -> str:
        """Return the sizes, for ``repr``."""
        return f"{self.input_size}, {self.hidden_size}"

    def _check(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[2] != self.input_size or not x.shape[1]:
            raise ValueError(f"x must have shape (N, T, {self.input_size}) with T >= 1, got {tuple(x.shape)}")

    def _inputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what the gates get from outside, (N, rows) for each step: one product for all steps."""
        return nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0).unbind(1)


class RNN(_Recurrent):
    r"""A simple recurrent layer, equal to ``torch.nn.RNN(..., batch_first=True)``.

    .. math:: h_t = f(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}), \qquad h_0 = 0

    Parameters
    ----------
    input_size, hidden_size
        Numbers of inputs and of units.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    device, dtype
        Of the parameters.

    Raises
    ------
    ValueError
        If an argument is out of range, or an input does not fit.

    Examples
    --------
    >>> outputs, last = RNN(3, 4)(torch.zeros(5, 7, 3))
    >>> outputs.shape, last.shape
    (torch.Size([5, 7, 4]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Read sequences (N, T, input_size); return all states (N, T, hidden_size) and the last one."""
        self._check(x)
        f = torch.tanh if self.nonlinearity == "tanh" else torch.relu
        h = x.new_zeros(len(x), self.hidden_size)
        states = []
        for inputs in self._inputs(x):
            h = f(inputs + nn.functional.linear(h, self.weight_hh_l0))
            states.append(h)
        return torch.stack(states, 1), h


class LSTM(_Recurrent):
    r"""A long short-term memory, equal to ``torch.nn.LSTM(..., batch_first=True)``.

    .. math::

        i, f, g, o &= W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh} \\
        c_t &= \sigma(f)\, c_{t-1} + \sigma(i) \tanh(g) \\
        h_t &= \sigma(o) \tanh(c_t), \qquad h_0 = c_0 = 0

    Parameters
    ----------
    input_size, hidden_size
        Numbers of inputs and of cells. The rows of the weights are those of i, f, g, o, in this order.
    device, dtype
        Of the parameters.

    Raises
    ------
    ValueError
        If an argument is out of range, or an input does not fit.

    References
    ----------
    S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9, 1735-1780.
    https://doi.org/10.1162/neco.1997.9.8.1735

    Examples
    --------
    >>> outputs, (h, c) = LSTM(3, 4)(torch.zeros(5, 7, 3))
    >>> outputs.shape, h.shape, c.shape
    (torch.Size([5, 7, 4]), torch.Size([5, 4]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, 4, device, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read sequences (N, T, input_size); return all states (N, T, hidden_size), and the last state and cells."""
        self._check(x)
        h = c = x.new_zeros(len(x), self.hidden_size)
        states = []
        for inputs in self._inputs(x):
            i, f, g, o = (inputs + nn.functional.linear(h, self.weight_hh_l0)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        return torch.stack(states, 1), (h, c)
