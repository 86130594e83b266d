"""What few seeds show, and what they do not."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import optimize, stats

CONFIDENCE = 0.95


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1) of some numbers.

    A format specification is that of both: ``f"{spread:.2f}"`` is such as ``91.66 ± 0.15``.

    Attributes:
      mean: the mean.
      std: the standard deviation; None for a single number.
    """

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """The spread of the values that are not None; None where there are no others."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        std = statistics.stdev(known) if len(known) > 1 else None
        return cls(statistics.fmean(known), std)

    def __format__(self, form: str) -> str:
        mean = format(self.mean, form)
        return mean if self.std is None else f"{mean} ± {self.std:{form}}"


class Difference(NamedTuple):
    """Difference of two methods, seed by seed.

    Attributes:
      n: number of seeds that both have.
      mean: mean of the differences.
      low: lower end of the mean's confidence interval; None below two seeds.
      high: its upper end.
    """

    n: int
    mean: float
    low: float | None
    high: float | None

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:+.2f} (n = {self.n}: no interval)"
        word = ("higher" if self.mean > 0 else "lower") if self.shown else "not shown"
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}] {word}"


def paired_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], confidence: float = CONFIDENCE
) -> Difference | None:
    """Mean of `ours` less `theirs` over the seeds of both, with Student's interval.

    Args:
      ours: values by seed.
      theirs: likewise.
      confidence: coverage of the interval, between 0 and 1.

    Returns:
      None where they share no seed.
    """
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    if not pairs:
        return None
    mean = statistics.fmean(one - other for one, other in pairs)
    if len(pairs) == 1:
        return Difference(1, mean, None, None)
    with warnings.catch_warnings():  # of equal differences, whose interval is a point
        warnings.simplefilter("ignore", RuntimeWarning)
        test: Any = stats.ttest_rel(*np.transpose(pairs))
    low, high = test.confidence_interval(confidence)
    return Difference(len(pairs), mean, float(low), float(high))


def rank_interval(
    kind: Literal["kendall", "spearman"], correlation: float, n: int
) -> tuple[float, float] | None:
    """Both ends of the confidence interval of a rank correlation (Bonett & Wright 2000).

    By Fisher's z, whose variance is 0.437 / (n - 4) for Kendall's tau and (1 + rho^2 / 2) / (n - 3)
    for Spearman's rho.

    Args:
      kind: which correlation.
      correlation: its value, between -1 and 1, or NaN.
      n: number of pairs of values.

    Returns:
      None below 5 pairs, and where all pairs agree or nothing is known.
    """
    if n < 5 or not abs(correlation) < 1 - 1e-9:
        return None
    variance = 0.437 / (n - 4) if kind == "kendall" else (1 + correlation**2 / 2) / (n - 3)
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    middle = math.atanh(correlation)
    return math.tanh(middle - half), math.tanh(middle + half)


class Wins(NamedTuple):
    """How often one method is above another.

    Attributes:
      share: share of the pairs, 0 to 1.
      low: lower end of its confidence interval; None where one side has a single value.
      high: its upper end.
    """

    share: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.share:.0%}"
        return f"{self.share:.0%} [{100 * self.low:.0f}, {100 * self.high:.0f}]"


def wins(ours: np.ndarray, theirs: np.ndarray) -> Wins:
    """How often one of `ours` is above one of `theirs`, all pairs, ties half (Mann and Whitney).

    The interval holds the shares t that are no more than z standard errors from the one seen, the
    error being that at t (Newcombe 2006, part 2, method 5), so that it is no point where all pairs
    agree. Where the placements vary more than his model has it, their own variance (DeLong et al.
    1988) scales the error.
    """
    above = (ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs)
    share = float(above.mean())
    m, n = above.shape
    if min(m, n) < 2:
        return Wins(share, None, None)
    more = (m + n) / 2 - 1

    def variance(t: float) -> float:
        return t * (1 - t) * (1 + more * (1 - t) / (2 - t) + more * t / (1 + t)) / (m * n)

    of_placements = sum(above.mean(axis).var(ddof=1) / above.shape[1 - axis] for axis in (0, 1))
    scale = max(1.0, of_placements / variance(share)) if 0 < share < 1 else 1.0
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))

    def low(share: float) -> float:
        if not share:
            return 0.0
        end = min(share, 1 - 1e-9)  # at 1 itself there is no error
        found: Any = optimize.brentq(
            lambda t: (t - share) ** 2 - z**2 * scale * variance(t), 0.0, end
        )
        return float(found)

    return Wins(share, low(share), 1 - low(1 - share))
