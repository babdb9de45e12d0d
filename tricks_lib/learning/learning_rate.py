"""The learning rate: a range test, the largest curvature, the edge of stability and the noise floor."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tricks_lib.learning import checkpoint
from tricks_lib.learning.loop import update

__all__ = ["RangeTest", "largest_eigenvalue", "noise_floor", "range_test", "stability_edge"]


@dataclass(frozen=True)
class RangeTest:
    """What a learning-rate range test saw.

    Attributes
    ----------
    lr
        Learning rates in the order of the steps, rising (T,), float64 on the CPU.
    loss
        Loss of each batch *before* the step with its rate (T,): it tells of the rates that came before it.
    diverged
        Whether the test ended since the loss became too large, or not finite.

    Examples
    --------
    >>> lr = torch.tensor([0.001, 0.01, 0.1, 1.0, 10.0])
    >>> test = RangeTest(lr, torch.tensor([2.0, 1.9, 1.0, 0.8, 3.0]), diverged=True)
    >>> round(test.lowest, 3), round(test.steepest, 3)
    (1.0, 0.1)
    """

    lr: Tensor
    loss: Tensor
    diverged: bool

    def smoothed(self, reach: int | None = None) -> Tensor:
        """Average each loss with its neighbors, up to ``reach`` on each side, fewer at the ends.

        The window is centered: a running average, which looks back only, would put every feature of the curve at a
        rate that is too high.

        Parameters
        ----------
        reach
            0 or more; by default one for every thirty steps.

        Returns
        -------
        Tensor
            (T,); NaN and infinity spread to the neighbors.

        Raises
        ------
        ValueError
            If ``reach`` is negative.
        """
        reach = len(self.loss) // 30 if reach is None else reach
        if reach < 0:
            raise ValueError(f"reach must be 0 or more, got {reach}")
        ends = [(max(0, t - reach), t + reach + 1) for t in range(len(self.loss))]
        return torch.stack([self.loss[start:end].mean() for start, end in ends])

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest."""
        return float(self.lr[self.smoothed().nan_to_num(math.inf, math.inf).argmin()])

    @property
    def steepest(self) -> float:
        """The rate, up to `lowest`, at which the smoothed loss falls fastest per decade.

        Beyond `lowest` a loss that has jumped may fall even faster; that says nothing. NaN if the first loss is the
        lowest.
        """
        end = int((self.lr <= self.lowest).sum())
        if end < 2:
            return math.nan
        (slope,) = torch.gradient(self.smoothed()[:end], spacing=(self.lr[:end].log(),))
        return float(self.lr[slope.argmin()])


def range_test(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Callable[[Any, Any], Tensor],
    optimizer: Optimizer,
    *,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    stop: float = 2.0,
    generators: Sequence[torch.Generator] = (),
    device: torch.device | str | None = None,
) -> RangeTest:
    r"""Train for a few steps with a rising learning rate, note the loss of each, and put everything back.

    .. math:: \eta_t = \text{low} \cdot (\text{high} / \text{low})^{t / (\text{steps} - 1)}

    Parameters
    ----------
    model, batches, loss, optimizer, device
        As for `tricks_lib.learning.loop.update`, which makes the steps. When the batches come to an end, they start
        again. All parameter groups get the same rate.
    low, high
        First and last learning rate, 0 < low < high.
    steps
        How many, at least 2.
    stop
        The test ends when a loss is more than ``stop`` times the first one, or not finite.
    generators
        Put back to where they were, like those that a ``DataLoader`` or its sampler holds, and torch's global ones:
        the order of the samples goes on as if nothing had happened.

    Returns
    -------
    RangeTest

    Raises
    ------
    ValueError
        If an argument is out of range.
    TypeError
        If the batches can be read only once: the test would use them up.

    Notes
    -----
    Parameters, buffers, gradients, the optimizer's state and learning rates are those of before, also after an
    exception or an interrupt. What a model keeps in plain attributes is not known here and stays changed.

    References
    ----------
    L. N. Smith (2017). Cyclical learning rates for training neural networks. https://arxiv.org/abs/1506.01186

    Examples
    --------
    >>> x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    >>> batches = list(zip(x.split(8), (x @ torch.ones(3, 1)).split(8)))
    >>> model = nn.Linear(3, 1)
    >>> before = nn.init.zeros_(model.weight).clone()
    >>> test = range_test(model, batches, nn.functional.mse_loss, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> 0.01 < test.lowest < 1, test.diverged, torch.equal(model.weight, before)
    (True, True, True)
    """
    if not (0 < low < high < math.inf and steps >= 2 and stop > 1):
        raise ValueError(f"need 0 < low < high, steps >= 2, stop > 1, got {low=}, {high=}, {steps=}, {stop=}")
    if isinstance(batches, Iterator):  # to ask for iter(batches) would make a loader draw an order
        raise TypeError(f"batches can be read only once, and the test would use them up: {type(batches).__name__}")
    rates = torch.logspace(math.log10(low), math.log10(high), steps, dtype=torch.float64, device="cpu")
    seen: list[float] = []
    with _put_back(model, optimizer, [*generators, *_generators_of(batches)]):
        for lr, batch in zip(rates.tolist(), _again_and_again(batches), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = lr
            try:
                seen.append(update(model, [batch], loss, optimizer, device=device)["loss"])
            except FloatingPointError:
                seen.append(math.inf)
            if seen[-1] > stop * seen[0] or not math.isfinite(seen[-1]):
                break
    losses = torch.tensor(seen, dtype=torch.float64, device="cpu")
    return RangeTest(rates[: len(seen)], losses, diverged=bool(losses[-1] > stop * losses[0]))


def largest_eigenvalue(
    loss: Tensor,
    parameters: Iterable[Tensor],
    *,
    tol: float = 1e-3,
    max_steps: int = 200,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, list[Tensor]]:
    r"""Find the largest eigenvalue of the Hessian of a loss, its sharpness, without making the Hessian.

    The method of Lanczos: from a random vector *v*, the products *v*, *Hv*, *HHv*, ... are made orthonormal, and the
    best eigenvector among their combinations is taken. Each product is the gradient of a scalar,

    .. math:: H v = \nabla_w \left( v^\top \nabla_w L \right) .

    Parameters
    ----------
    loss
        A scalar with its graph, such as ``cross_entropy(model(x), y)``.
    parameters
        What to differentiate with respect to, P numbers in all.
    tol
        Ends when the residual :math:`\lVert Hv - \lambda v \rVert` is at most this share of :math:`|\lambda|`. The
        error of the eigenvalue is then far smaller.
    max_steps
        The most products to make.
    generator
        Draws the first vector, on its device; ``None``: torch's global generator.

    Returns
    -------
    value : Tensor
        The largest eigenvalue, the sign counts: shape (), no graph.
    vector : list of Tensor
        Its unit eigenvector in the shapes of the parameters; its sign is arbitrary.

    Raises
    ------
    ValueError
        If the loss is not a finite scalar with a graph, or there are no parameters.
    RuntimeError
        If ``max_steps`` products do not suffice.

    Notes
    -----
    Costs about two gradient evaluations a product, and memory for all vectors. Power iteration keeps only one, but
    needs more products and finds the eigenvalue of largest magnitude, which may be a negative one.

    References
    ----------
    B. A. Pearlmutter (1994). Fast exact multiplication by the Hessian. Neural Computation 6(1), 147-160.
    doi:10.1162/neco.1994.6.1.147

    Examples
    --------
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> value, (vector,) = largest_eigenvalue(3 * w[0] ** 2 - 20 * w[1] ** 2, [w])
    >>> round(value.item(), 4), [round(v, 4) for v in vector.abs().tolist()]
    (6.0, [1.0, 0.0])
    """
    parameters = list(parameters)
    product, size = _hessian_product(loss, parameters), sum(p.numel() for p in parameters)
    like = parameters[0]
    first = torch.empty(size, dtype=like.dtype, device=like.device if generator is None else generator.device)
    basis = nn.functional.normalize(first.normal_(generator=generator).to(like.device), dim=0)[None]
    diagonal, beside = [], []
    for _ in range(min(max_steps, size)):
        new = product(basis[-1])
        diagonal.append(torch.dot(new, basis[-1]))
        for _ in range(2):  # once would leave rounding errors that grow
            new = new - basis.T @ (basis @ new)
        beside.append(new.norm())
        value, small = _largest_of_tridiagonal(diagonal, beside[:-1])
        if beside[-1] * small[-1].abs() <= tol * value.abs() or len(basis) == size:
            return value.to(like), _unflatten(small.to(basis) @ basis, parameters)
        basis = torch.cat([basis, (new / beside[-1])[None]])
    raise RuntimeError(f"max_steps={max_steps} products did not reach tol={tol}")


def stability_edge(curvature: float | Tensor, *, momentum: float | Tensor = 0.0, nesterov: bool = False) -> Tensor:
    r"""Return the learning rate above which gradient descent on a quadratic diverges.

    .. math::

        \eta_\text{max} = \frac{2 (1 + \beta)}{\lambda_1}
        \qquad \left( \text{Nesterov: } \frac{2 (1 + \beta)}{(1 + 2 \beta)\, \lambda_1} \right)

    Parameters
    ----------
    curvature
        :math:`\lambda_1`, the largest eigenvalue of the Hessian, above 0.
    momentum
        :math:`\beta` in [0, 1), that of ``torch.optim.SGD``. Tensors broadcast.
    nesterov
        Momentum that looks ahead.

    Returns
    -------
    Tensor
        The learning rate; of the shape that the arguments broadcast to.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    J. M. Cohen, S. Kaur, Y. Li, J. Z. Kolter, A. Talwalkar (2021). Gradient descent on neural networks typically
    occurs at the edge of stability. https://arxiv.org/abs/2103.00065

    Examples
    --------
    >>> stability_edge(4.0)
    tensor(0.5000)
    >>> stability_edge(torch.tensor([4.0, 8.0]), momentum=0.5)
    tensor([0.7500, 0.3750])
    """
    curvature, beta = _tensors(curvature, momentum)
    _check_quadratic(curvature, beta)
    return 2 * (1 + beta) / ((1 + 2 * beta if nesterov else 1) * curvature)


def noise_floor(
    curvature: float | Tensor, variance: float | Tensor, lr: float | Tensor, *, momentum: float | Tensor = 0.0
) -> Tensor:
    r"""Return the excess loss that SGD with a constant learning rate keeps, on a quadratic with noisy gradients.

    .. math::

        \tfrac12 \lambda\, \mathbb E\, w^2
        = \frac{\eta\, \sigma^2}{2 (1 - \beta)} \cdot \frac{1 + \beta}{2 (1 + \beta) - \eta \lambda}

    for each direction: the loss is :math:`\tfrac12 \lambda w^2`, its gradient :math:`\lambda w` plus independent noise
    of variance :math:`\sigma^2`. Far below the edge of stability that is :math:`\eta \sigma^2 / 4 (1 - \beta)`.

    Parameters
    ----------
    curvature
        :math:`\lambda`, above 0: an eigenvalue of the Hessian, or a tensor of them.
    variance
        :math:`\sigma^2`, 0 or more, of the gradient's noise along the same directions; of a mean over B samples, that
        of one divided by B.
    lr, momentum
        :math:`\eta` and :math:`\beta` of ``torch.optim.SGD``.

    Returns
    -------
    Tensor
        The expected excess loss of each direction, of the shape that the arguments broadcast to: add them up for the
        loss. Infinite from `stability_edge` on.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    G. Zhang et al. (2019). Which algorithmic choices matter at which batch sizes? Insights from a noisy quadratic
    model. https://arxiv.org/abs/1907.04164

    Examples
    --------
    >>> noise_floor(1.0, 4.0, torch.tensor([0.01, 0.1, 1.0, 2.0]))
    tensor([0.0101, 0.1053, 2.0000,    inf])
    """
    curvature, variance, lr, beta = _tensors(curvature, variance, lr, momentum)
    _check_quadratic(curvature, beta)
    if not ((variance >= 0).all() and (lr > 0).all()):
        raise ValueError(f"variance must be 0 or more and lr above 0, got {variance} and {lr}")
    left = 2 * (1 + beta) - lr * curvature
    floor = lr * variance * (1 + beta) / (2 * (1 - beta) * left)
    return torch.where(left > 0, floor, math.inf)


@contextmanager
def _put_back(model: nn.Module, optimizer: Optimizer, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Put everything that training changes back after the block: the same objects with the same content."""
    tensors = [(t, t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
    stepped = [p for group in optimizer.param_groups for p in group["params"]]
    tensors += [(p, p.detach().clone()) for p in set(stepped) - {t for t, _ in tensors}]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    gradients = [(p, p.grad) for p in {*model.parameters(), *stepped}]
    states, groups = dict(optimizer.state), [dict(group) for group in optimizer.param_groups]
    positions = [(generator, generator.get_state()) for generator in generators]
    optimizer.state.update({p: copy.deepcopy(state) for p, state in states.items()})  # steps on copies
    try:
        with checkpoint.random_states_kept():
            yield
    finally:
        with torch.no_grad():
            for tensor, content in tensors:
                tensor.copy_(content)
        for module, own in buffers:
            module._buffers.update(own)
        for p, gradient in gradients:
            p.grad = gradient
        optimizer.state.clear()
        optimizer.state.update(states)
        for group, before in zip(optimizer.param_groups, groups, strict=True):
            group.update(before)
        for generator, position in positions:
            generator.set_state(position)


def _generators_of(batches: Any) -> list[torch.Generator]:
    """Return the generators that a `DataLoader` and its samplers draw from."""
    batch_sampler = getattr(batches, "batch_sampler", None)
    holders = [batches, getattr(batches, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)]
    found = [getattr(holder, "generator", None) for holder in holders]
    return [generator for generator in found if isinstance(generator, torch.Generator)]


def _again_and_again(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        batch = None
        for batch in batches:
            yield batch
        if batch is None:
            raise ValueError("batches must hold at least one batch")


def _hessian_product(loss: Tensor, parameters: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the function v -> Hv on vectors of all parameters."""
    if not parameters:
        raise ValueError("parameters must hold at least one tensor")
    if loss.ndim or not loss.requires_grad or not loss.isfinite():
        raise ValueError(f"loss must be a finite scalar with a graph, got {loss}")
    gradient = _flat(torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True))

    def product(vector: Tensor) -> Tensor:
        if not gradient.requires_grad:  # the loss is linear
            return torch.zeros_like(vector)
        parts = torch.autograd.grad(gradient, parameters, vector, retain_graph=True, materialize_grads=True)
        return _flat(parts)

    return product


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = torch.split(vector, [p.numel() for p in like])
    return [part.view(p.shape) for part, p in zip(parts, like, strict=True)]


def _largest_of_tridiagonal(diagonal: Sequence[Tensor], beside: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalue and its eigenvector, on the CPU in float64."""
    matrix = torch.diag(torch.stack(list(diagonal)).detach().cpu().double())
    if beside:
        off = torch.diag(torch.stack(list(beside)).detach().cpu().double(), 1)
        matrix = matrix + off + off.T
    values, vectors = torch.linalg.eigh(matrix)
    return values[-1], vectors[:, -1]


def _tensors(*values: float | Tensor) -> list[Tensor]:
    """Return all as tensors; numbers take device and precision of the tensors among them."""
    given = [value for value in values if isinstance(value, Tensor)]
    dtypes = [tensor.dtype for tensor in given if tensor.is_floating_point()]
    dtype = functools.reduce(torch.promote_types, dtypes or [torch.get_default_dtype()])
    device = given[0].device if given else "cpu"
    return [v if isinstance(v, Tensor) else torch.tensor(v, dtype=dtype, device=device) for v in values]


def _check_quadratic(curvature: Tensor, beta: Tensor) -> None:
    if not (curvature > 0).all():
        raise ValueError(f"curvature must be above 0, got {curvature}")
    if not ((beta >= 0) & (beta < 1)).all():
        raise ValueError(f"momentum must be in [0, 1), got {beta}")
