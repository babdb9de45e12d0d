"""Curvature of least squares: its Hessian, how fast gradient descent is in it, and Newton steps, damped or not."""

from __future__ import annotations

import math
from itertools import chain

import torch
from torch import Tensor, nn

from tricks_lib.data.fitted import Batches, floating, read_batches, wide

__all__ = [
    "condition_number",
    "descent_weights",
    "least_squares_hessian",
    "newton_step",
    "step_bound",
    "steps_needed",
]


def least_squares_hessian(x: Tensor | Batches, *, bias: bool = True) -> Tensor:
    r"""Return the Hessian of least squares with these inputs, in one pass over the data.

    .. math:: L(w) = \frac{1}{2N} \sum_i (w^\top x_i - y_i)^2, \qquad H = \frac{1}{N} \sum_i x_i x_i^\top

    The targets do not enter. With several outputs, each has this Hessian.

    Parameters
    ----------
    x
        Samples (N, ...), N >= 1, laid flat to D features; or batches of them, such as a `DataLoader`. Of a batch that
        is a tuple or list, the first entry counts.
    bias
        Append a 1 to each sample: the last row and column belong to a bias.

    Returns
    -------
    Tensor
        (D + 1, D + 1), or (D, D) without bias; float64, on the CPU where the device has none: small eigenvalues would
        drown in the rounding of float32.

    Raises
    ------
    ValueError
        If there are no samples, batches differ in their features, or a number is not finite.
    TypeError
        If a batch is not a tensor.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998). Efficient BackProp. doi:10.1007/3-540-49430-8_2

    Examples
    --------
    >>> least_squares_hessian(torch.tensor([[1.0, 2.0], [3.0, 0.0]])).tolist()
    [[5.0, 1.0, 2.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0]]
    """
    batches = (wide(batch).flatten(1) for batch in read_batches(x))
    first = next(batches, None)
    if first is None:
        raise ValueError("x must hold at least 1 sample, got 0")
    n, features = 0, first.shape[1]
    total = first.new_zeros(features + bias, features + bias)
    for batch in chain([first], batches):
        if batch.shape[1] != features:
            raise ValueError(f"x must have the same features in all batches, got {batch.shape[1]} and {features}")
        rows = nn.functional.pad(batch, (0, 1), value=1) if bias else batch
        n, total = n + len(rows), total + rows.T @ rows
    return total / n


def condition_number(hessian: Tensor, *, nonzero: bool = False, rtol: float | None = None) -> float:
    r"""Return the largest eigenvalue over the smallest: how much the curvature differs between directions.

    .. math:: \kappa = \lambda_1 / \lambda_P

    Parameters
    ----------
    hessian
        Symmetric (P, P), no eigenvalue negative.
    nonzero
        A singular Hessian has an infinite condition number. ``True``: take the smallest eigenvalue that is not zero
        instead. Gradient descent on least squares never moves along the others, so this is the number for its speed.
    rtol
        An eigenvalue up to this share of the largest counts as zero. Default: P times the precision of the dtype, as
        in ``torch.linalg.matrix_rank``.

    Returns
    -------
    float
        1 or more, perhaps infinite.

    Raises
    ------
    ValueError
        If the Hessian is not a symmetric matrix of finite numbers, is zero, or has a negative eigenvalue.

    Examples
    --------
    >>> flat = torch.diag(torch.tensor([8.0, 2.0, 0.0]))
    >>> condition_number(flat), condition_number(flat, nonzero=True)
    (inf, 4.0)
    """
    values, _ = _spectrum(hessian, rtol)
    _check_curves_up(values)
    curved = values[values > 0]
    if len(curved) < len(values) and not nonzero:
        return math.inf
    return float(curved[-1] / curved[0])


def step_bound(condition: float | Tensor, tolerance: float, *, minimax: bool = False) -> float:
    r"""Return after how many steps gradient descent on a quadratic is sure to have arrived, wherever it starts.

    .. math:: t = \left\lceil \frac{\ln \text{tolerance}}{2 \ln \rho} \right\rceil, \qquad
              \rho = 1 - \frac{1}{\kappa} \;\text{ for } \eta = \frac{1}{\lambda_1}, \qquad
              \rho = \frac{\kappa - 1}{\kappa + 1} \;\text{ for } \eta = \frac{2}{\lambda_1 + \lambda_P}

    Parameters
    ----------
    condition
        :math:`\kappa`, at least 1.
    tolerance
        What may be left of the excess loss, as a share of that at the start, between 0 and 1.
    minimax
        For the second learning rate, whose bound is the least of all, in place of the first.

    Returns
    -------
    float
        A whole number of steps, at least 1, or infinity.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> step_bound(100, tolerance=0.01), step_bound(100, tolerance=0.01, minimax=True)
    (230.0, 116.0)
    """
    kappa = float(condition)
    if not kappa >= 1:
        raise ValueError(f"condition must be at least 1, got {kappa}")
    _check_share("tolerance", tolerance)
    loss = 2 / (kappa + 1) if minimax else 1 / kappa  # 1 - rho
    if loss >= 1:
        return 1.0
    return float(max(1, math.ceil(math.log(tolerance) / (2 * math.log1p(-loss))))) if loss else math.inf


def steps_needed(hessian: Tensor, moment: Tensor, tolerance: float, *, lr: float, rtol: float | None = None) -> int:
    r"""Return after how many steps gradient descent from zero has arrived, for these targets.

    No step is made: along the eigenvector :math:`v_j` each step multiplies the excess loss by
    :math:`(1 - \eta \lambda_j)^2`, so that the first *t* is found by bisection at which

    .. math:: \sum_j \frac{(v_j^\top m)^2}{\lambda_j} (1 - \eta \lambda_j)^{2t}
              \le \text{tolerance} \cdot \sum_j \frac{(v_j^\top m)^2}{\lambda_j}

    Parameters
    ----------
    hessian
        Of least squares (P, P), see `least_squares_hessian`.
    moment
        :math:`m = \frac{1}{N} X^\top Y`, inputs times targets (P,) or (P, K).
    tolerance
        What may be left of the excess loss, as a share of that at the start, between 0 and 1.
    lr
        Learning rate, above 0 and below 2 over the largest eigenvalue.
    rtol
        See `condition_number`. Along eigenvectors with eigenvalue zero the loss is constant.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If an argument is out of range, shapes do not fit, or the start is the minimum.

    Examples
    --------
    >>> hessian, moment = torch.diag(torch.tensor([4.0, 1.0])), torch.tensor([0.0, 3.0])
    >>> steps_needed(hessian, moment, 0.01, lr=0.25), step_bound(4, 0.01)
    (9, 9.0)
    """
    values, vectors = _spectrum(hessian, rtol)
    _check_curves_up(values)
    _check_share("tolerance", tolerance)
    if not 0 < lr * float(values[-1]) < 2:
        raise ValueError(f"lr must be above 0 and below {2 / float(values[-1]):.4g}, got {lr}")
    along = vectors.T @ _columns("moment", moment, hessian)
    curved = values > 0
    excess = along[curved].square().sum(1) / values[curved]
    if not excess.sum() > 0:
        raise ValueError("moment must not be zero: the start is the minimum")
    share, logs = excess / excess.sum(), 2 * _log_factor(lr * values[curved])
    low, high = 0, 1
    while (share * (high * logs).exp()).sum() > tolerance:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        arrived = (share * (middle * logs).exp()).sum() <= tolerance
        low, high = (low, middle) if arrived else (middle, high)
    return high


def descent_weights(
    hessian: Tensor,
    moment: Tensor,
    steps: int,
    *,
    lr: float,
    damping: float | None = None,
    rtol: float | None = None,
) -> Tensor:
    r"""Return the weights of least squares after some steps from zero, by gradient descent or by Newton's method.

    .. math:: w_t = \sum_j \frac{1 - (1 - r_j)^t}{\lambda_j} \, v_j v_j^\top m, \qquad
              r_j = \eta \lambda_j \quad\text{or}\quad r_j = \frac{\eta \lambda_j}{\lambda_j + \delta}

    No step is made, so that a million costs no more than one. Along eigenvectors with eigenvalue zero the weights stay
    zero.

    Parameters
    ----------
    hessian, moment
        See `steps_needed`.
    steps
        *t*, 0 or more.
    lr
        :math:`\eta`, above 0.
    damping
        ``None``: gradient descent. A number, 0 or more: :math:`\delta` of Newton steps, see `newton_step`.
    rtol
        See `condition_number`.

    Returns
    -------
    Tensor
        Weights in the shape of `moment`, device and dtype of the Hessian.

    Raises
    ------
    ValueError
        If an argument is out of range or shapes do not fit.

    Examples
    --------
    >>> hessian, moment = torch.diag(torch.tensor([4.0, 1.0])), torch.tensor([4.0, 4.0])
    >>> descent_weights(hessian, moment, 2, lr=0.25)
    tensor([1.0000, 1.7500])
    >>> descent_weights(hessian, moment, 1, lr=1.0, damping=1.0)
    tensor([0.8000, 2.0000])
    """
    values, vectors = _spectrum(hessian, rtol)
    _check_curves_up(values)
    if not (isinstance(steps, int) and steps >= 0 and 0 < lr < math.inf):
        raise ValueError(f"steps must be a whole number, 0 or more, and lr above 0, got {steps} and {lr}")
    curved = values > 0
    values, vectors = values[curved], vectors[:, curved]
    rate = lr * values if damping is None else lr * values / (values + _checked_damping(damping))
    done = torch.where(rate < 0.5, -torch.expm1(steps * _log_factor(rate)), 1 - (1 - rate) ** steps)
    weights = vectors @ ((done / values)[:, None] * (vectors.T @ _columns("moment", moment, hessian)))
    return weights.reshape(moment.shape).to(floating(hessian))


def newton_step(
    gradient: Tensor, hessian: Tensor, *, damping: float = 0.0, absolute: bool = False, rtol: float | None = None
) -> Tensor:
    r"""Return Newton's step, which is to be added to the weights.

    .. math:: \Delta w = -(H + \delta I)^+ g

    Without damping this is the pseudo-inverse: the shortest of all steps to the stationary point of the quadratic. With
    damping no direction is stepped along farther than :math:`1/\delta` times the gradient; large damping makes a small
    gradient step.

    Parameters
    ----------
    gradient
        (P,), or (P, K) of K outputs that share the Hessian.
    hessian
        Symmetric (P, P).
    damping
        :math:`\delta`, 0 or more, in the unit of the Hessian.
    absolute
        Put :math:`|\lambda_j|` in place of each eigenvalue. Newton's method goes to the nearest stationary point, also
        uphill; with this the step goes downhill in every direction.
    rtol
        Along an eigenvector whose eigenvalue, after damping, is up to this share of the largest, no step is made.
        Default: P times the precision of the dtype, as in ``torch.linalg.matrix_rank``.

    Returns
    -------
    Tensor
        The step, in the shape of `gradient`, device and dtype of the Hessian.

    Raises
    ------
    ValueError
        If an argument is out of range, or shapes do not fit.

    References
    ----------
    Y. N. Dauphin, R. Pascanu, C. Gulcehre, K. Cho, S. Ganguli, Y. Bengio (2014). Identifying and attacking the saddle
    point problem in high-dimensional non-convex optimization. https://arxiv.org/abs/1406.2572

    Examples
    --------
    >>> hessian, gradient = torch.diag(torch.tensor([4.0, -2.0, 0.0])), torch.tensor([4.0, 4.0, 0.0])
    >>> newton_step(gradient, hessian)
    tensor([-1.,  2.,  0.])
    >>> newton_step(gradient, hessian, absolute=True)
    tensor([-1., -2.,  0.])
    """
    values, vectors = _spectrum(hessian, 0.0)
    curvature = (values.abs() if absolute else values) + _checked_damping(damping)
    size = curvature.abs()
    inverse = torch.where(size > _share_of_zero(hessian, rtol) * size.max(), 1 / curvature, 0)
    step = -vectors @ (inverse[:, None] * (vectors.T @ _columns("gradient", gradient, hessian)))
    return step.reshape(gradient.shape).to(floating(hessian))


def _spectrum(hessian: Tensor, rtol: float | None) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, the largest last, and eigenvectors in float64; what counts as zero is zero."""
    if hessian.ndim != 2 or hessian.shape[0] != hessian.shape[1] or not hessian.numel():
        raise ValueError(f"hessian must have shape (P, P), got {tuple(hessian.shape)}")
    matrix = wide(hessian, "hessian")
    if (matrix - matrix.T).abs().max() > torch.finfo(floating(hessian).dtype).eps ** 0.5 * matrix.abs().max():
        raise ValueError("hessian must be symmetric")
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    size = values.abs()
    return values.where(size > _share_of_zero(hessian, rtol) * size.max(), 0), vectors


def _share_of_zero(hessian: Tensor, rtol: float | None) -> float:
    if rtol is None:
        return len(hessian) * torch.finfo(floating(hessian).dtype).eps
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol must be at least 0 and below 1, got {rtol}")
    return rtol


def _check_curves_up(values: Tensor) -> None:
    if values[0] < 0 or not values[-1] > 0:
        low, high = float(values[0]), float(values[-1])
        raise ValueError(f"hessian must have positive eigenvalues and no negative one, got {low:.4g} to {high:.4g}")


def _columns(name: str, value: Tensor, hessian: Tensor) -> Tensor:
    """Return a vector or a matrix as columns (P, K) in float64."""
    if value.ndim not in (1, 2) or len(value) != len(hessian):
        raise ValueError(f"{name} must have shape ({len(hessian)},) or ({len(hessian)}, K), got {tuple(value.shape)}")
    return wide(value, name).reshape(len(value), -1)


def _log_factor(rate: Tensor) -> Tensor:
    """Return log |1 - rate|, exact for small rates."""
    return torch.where(rate < 1, torch.log1p(-rate), (rate - 1).log())


def _checked_damping(damping: float) -> float:
    if not 0 <= damping < math.inf:
        raise ValueError(f"damping must be finite and at least 0, got {damping}")
    return damping


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}")
