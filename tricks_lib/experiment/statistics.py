"""What many seeds say together: a mean with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tricks_lib.experiment.seeding import whole

__all__ = ["Estimate", "Proportion", "Samples", "over_seeds", "paired", "proportion"]

Samples = Tensor | NDArray[Any] | Sequence[float]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval.

    Attributes
    ----------
    n
        Number of seeds.
    mean, low, high
        The mean and the ends of its 95 % interval, in the unit of the data.
    se
        Standard error of the mean.
    wins
        In how many seeds the difference is above 0; ``None`` where nothing is compared.

    Examples
    --------
    >>> Estimate(n=16, mean=2.0, low=1.5, high=2.5, se=0.25, wins=16).z(margin=1.0)
    4.0
    """

    n: int
    mean: float
    low: float
    high: float
    se: float
    wins: int | None = None

    def z(self, margin: float = 0.0) -> float:
        r"""Return by how many standard errors the mean is above a margin.

        .. math:: z = (\mathrm{mean} - \mathrm{margin}) / \mathrm{se}

        Without any spread (``se == 0``) that is ``inf`` above the margin, ``-inf`` below, and ``nan`` on it.
        """
        return _ratio(self.mean - margin, self.se)


@dataclass(frozen=True)
class Proportion(Estimate):
    """How often something happened: ``wins`` of ``n``, with the Wilson interval.

    Examples
    --------
    >>> Proportion(n=100, mean=0.75, low=0.657, high=0.825, se=0.043, wins=75).z(margin=0.5)
    5.0
    """

    def z(self, margin: float = 0.0) -> float:
        r"""Return by how many standard errors the proportion is above a margin.

        .. math:: z = (\mathrm{mean} - \mathrm{margin}) / \sqrt{\mathrm{margin} (1 - \mathrm{margin}) / n}

        The standard error is the one at the margin, not ``se``: then the lower end of the Wilson interval is
        above the margin exactly if z > 1.96, and 32 of 32 successes do not count as certainty.

        Raises
        ------
        ValueError
            If the margin is outside [0, 1].
        """
        if not 0 <= margin <= 1:
            raise ValueError(f"margin of a proportion must be between 0 and 1, got {margin}")
        return _ratio(self.mean - margin, math.sqrt(margin * (1 - margin) / self.n))


def paired(a: Samples, b: Samples) -> Estimate:
    r"""Compare two arms seed by seed: the mean of a - b with its 95 % t-interval.

    .. math:: \bar d \pm t_{.975,\,n-1}\, s_d / \sqrt n, \qquad d_i = a_i - b_i

    The interval covers at its nominal rate already for few seeds; a percentile bootstrap does not. Differences
    with a long tail on the unfavorable side break it: compare losses on a log or clipped scale.

    Parameters
    ----------
    a, b
        One number per seed, the same seeds in the same order, each of shape (n,) with n >= 2.

    Returns
    -------
    Estimate
        Of a - b; ``wins`` counts the seeds with a > b (a tie is no win). If all differences are equal, the
        interval is that point.

    Raises
    ------
    TypeError
        If ``a`` or ``b`` does not hold real numbers.
    ValueError
        If the shapes are not (n,), n >= 2, or a number is not finite.

    Examples
    --------
    >>> paired([0.95, 0.93, 0.96, 0.94], [0.91, 0.92, 0.91, 0.92]).wins
    4
    >>> paired([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    Estimate(n=3, mean=2.0, low=2.0, high=2.0, se=0.0, wins=3)
    """
    left, right = _one_per_seed("a", a), _one_per_seed("b", b)
    if left.shape != right.shape:
        raise ValueError(f"a and b must have one number per seed each, got {len(left)} and {len(right)}")
    with np.errstate(over="ignore"):
        difference = _finite("a - b", left - right)
    return _t_estimate("a - b", difference, wins=int((difference > 0).sum()))


def over_seeds(x: Samples) -> Estimate:
    """Return the mean over seeds with its 95 % t-interval.

    Parameters
    ----------
    x
        One number per seed, shape (n,) with n >= 2.

    Returns
    -------
    Estimate
        With ``wins=None``: nothing is compared. For the difference of two arms see `paired`.

    Raises
    ------
    TypeError
        If ``x`` does not hold real numbers.
    ValueError
        If the shape is not (n,), n >= 2, or a number is not finite.

    Examples
    --------
    >>> accuracy = over_seeds([96.0, 97.0, 95.0, 96.0])
    >>> print(f"{accuracy.mean} ({accuracy.low:.1f} to {accuracy.high:.1f})")
    96.0 (94.7 to 97.3)
    """
    return _t_estimate("x", _one_per_seed("x", x), wins=None)


def proportion(successes: int, n: int) -> Proportion:
    """Return how often something happened, with its 95 % Wilson interval.

    Parameters
    ----------
    successes
        Number of seeds (or trials) in which it happened, 0 to ``n``.
    n
        Number of seeds (or trials), at least 1.

    Returns
    -------
    Proportion
        Between 0 and 1; ``wins`` is ``successes`` and ``se`` is sqrt(p (1 - p) / n).

    Raises
    ------
    TypeError
        If a count is not a whole number.
    ValueError
        If the counts are out of range.

    References
    ----------
    E. B. Wilson (1927). Probable inference, the law of succession, and statistical inference. Journal of the
    American Statistical Association 22, 209-212. https://www.jstor.org/stable/2276774

    Examples
    --------
    >>> rate = proportion(31, 32)
    >>> print(f"{rate.mean:.3f} ({rate.low:.3f} to {rate.high:.3f})")
    0.969 (0.843 to 0.994)
    """
    from scipy import stats

    successes, n = whole("successes", successes), whole("n", n)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n = {n}, got {successes}")
    low, high = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    p = successes / n
    return Proportion(n, p, float(low), float(high), math.sqrt(p * (1 - p) / n), successes)


def _ratio(distance: float, se: float) -> float:
    if se == 0:
        return math.copysign(math.inf, distance) if distance else math.nan
    return distance / se


def _one_per_seed(name: str, x: Samples) -> NDArray[np.float64]:
    array = _as_array(name, x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold one real number per seed, got {type(x).__name__} of {array.dtype}")
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"{name} must have shape (n,) with n >= 2, one number per seed, got {array.shape}")
    return _finite(name, array.astype(np.float64))


def _as_array(name: str, x: Samples) -> NDArray[Any]:
    if isinstance(x, Tensor):
        return np.asarray(x.detach().cpu().tolist())
    if isinstance(x, Sequence):  # it may hold tensors
        x = [v.detach().cpu().tolist() if isinstance(v, Tensor) else v for v in x]
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must have shape (n,), one number per seed: {error}") from error


def _finite(name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    if bad := int((~np.isfinite(x)).sum()):
        raise ValueError(
            f"{name}: {bad} of {len(x)} entries are non-finite: compare a bounded metric, say a clipped loss"
        )
    return x


def _t_estimate(name: str, x: NDArray[np.float64], wins: int | None) -> Estimate:
    from scipy import stats

    with np.errstate(over="ignore"):
        # without their common part: the spread of nearly equal numbers would be lost in rounding
        shift = _finite(name, x - x[0])
    if not (scale := float(abs(shift).max())):
        return Estimate(len(x), float(x[0]), float(x[0]), float(x[0]), 0.0, wins)
    unit = shift / scale  # squares neither overflow nor underflow
    interval = stats.ttest_1samp(unit, 0.0).confidence_interval(0.95)
    mean, low, high = (float(x[0]) + scale * float(v) for v in (unit.mean(), *interval))
    return Estimate(len(x), mean, low, high, float(scale * stats.sem(unit)), wins)
