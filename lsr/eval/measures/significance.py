"""Is the difference real? Confidence intervals and paired tests over queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError

RESAMPLES = 10_000
CHUNK = 2**22  # numbers drawn at a time
Values = Sequence[float] | NDArray[np.float64]


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """How system B differs from system A on one measure.

    Attributes:
        a, b: means.
        delta: interval of the mean of B - A, by resampling queries.
        wins, losses, ties: queries where B is better, worse, equal.
        t_test: two-sided p of Student's paired test.
        bootstrap: two-sided p of the paired bootstrap test.
    """

    a: float
    b: float
    delta: Interval
    wins: int
    losses: int
    ties: int
    t_test: float
    bootstrap: float


def confidence_interval(values: Values, level: float = 0.95, seed: int = 0) -> Interval:
    """Percentile bootstrap over queries, 10,000 resamples; the same for the same values.

    Raises:
        InputError: no values, or a level outside (0, 1).
    """
    if not len(values) or not 0 < level < 1:
        raise InputError(f"{len(values)} values at level {level:g}: wanted one or more and a level between 0 and 1")
    means = _resampled_means(np.asarray(values, np.float64), seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(values)), float(low), float(high))


def compare(a: Mapping[str, float], b: Mapping[str, float]) -> Difference:
    """Pair two systems by query.

    Args:
        a: one measure's values of system A, by query.
        b: those of system B.

    Raises:
        InputError: the systems were measured on different queries.
    """
    if a.keys() != b.keys():
        raise InputError(f"{len(a.keys() ^ b.keys())} queries were measured for one system only: compare on the same")
    delta = np.array([b[query] - a[query] for query in a])
    delta[np.abs(delta) < 1e-12] = 0.0  # a sum in another order is no difference
    counts = (int((delta > 0).sum()), int((delta < 0).sum()), int((delta == 0).sum()))
    means = float(np.mean(list(a.values()))), float(np.mean(list(b.values())))
    return Difference(*means, confidence_interval(delta), *counts, t_test(delta), bootstrap_test(delta))


def t_test(delta: Values) -> float:
    """Two-sided p that the mean of paired differences is 0, by Student's t; 1 where nothing differs."""
    values = np.asarray(delta, np.float64)
    n = values.size
    if n < 2 or not values.any():
        return 1.0
    if (error := float(values.std(ddof=1)) / math.sqrt(n)) == 0:
        return 0.0
    t = float(values.mean()) / error
    return _beta_share((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t * t))


def bootstrap_test(delta: Values, seed: int = 0) -> float:
    """Two-sided p by the shift method: how often a resample of centred differences is as far from 0.

    Smucker, Allan and Carterette, A comparison of statistical significance tests for IR evaluation, CIKM 2007.
    """
    values = np.asarray(delta, np.float64)
    if values.size < 2 or not values.any():
        return 1.0
    means = _resampled_means(values - values.mean(), seed)
    farther = int((np.abs(means) >= abs(float(values.mean())) - 1e-15).sum())
    return (farther + 1) / (RESAMPLES + 1)


def p_text(p: float) -> str:
    """A p value in print; none is 0."""
    return f"{p:.4f}" if p >= 1e-4 else "<.0001"


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """P values corrected for their number, step down (Holm 1979): reject where the result is below your level."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p}


def _resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    rng, size = np.random.default_rng(seed), max(1, CHUNK // values.size)
    parts = [
        values[rng.integers(0, values.size, (min(size, RESAMPLES - start), values.size))].mean(axis=1)
        for start in range(0, RESAMPLES, size)
    ]
    return np.concatenate(parts)


def _beta_share(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (Numerical Recipes 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, 1 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, 500):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + step * d)
            c = 1 + step / c
            total *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return total
