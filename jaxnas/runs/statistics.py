"""What few seeds show, and what they do not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


class Difference(NamedTuple):
    """Of two methods, seed by seed.

    Attributes:
      n: seeds that both have.
      mean: of the differences.
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


def spread(mean: float, std: float | None, digits: int = 2) -> str:
    """Such as ``91.66 ± 0.15``; ``91.66`` where a single seed has no standard deviation."""
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def paired_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], confidence: float = CONFIDENCE
) -> Difference | None:
    """Mean of `ours` less `theirs` over the seeds of both, with Student's interval.

    Args:
      ours: values by seed.
      theirs: likewise.
      confidence: of the interval, between 0 and 1.

    Returns:
      None where they share no seed.
    """
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    n = len(differences)
    if not n:
        return None
    mean = statistics.fmean(differences)
    if n == 1:
        return Difference(n, mean, None, None)
    error = statistics.stdev(differences) / math.sqrt(n)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Difference(n, mean, mean - half, mean + half)


def wins(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """How often one of `ours` is above one of `theirs`, all pairs, ties half (Mann and Whitney).

    Returns:
      the share, and both ends of its confidence interval (of the mean of placements; DeLong et
      al. 1988); they are equal to the share where one side has a single value.
    """
    above = (ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs)
    share = float(above.mean())
    if min(above.shape) < 2:
        return share, share, share
    variance = sum(above.mean(axis).var(ddof=1) / above.shape[1 - axis] for axis in (0, 1))
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return share, max(0.0, share - half), min(1.0, share + half)
