"""How well one number ranks what another one measures."""

from __future__ import annotations

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b: concordant less discordant pairs, by the pairs that are no ties.

    Args:
      a: [n], infinities allowed.
      b: [n].

    Returns:
      From -1 to 1; nan if all of `a` or all of `b` are equal.

    Raises:
      ValueError: if they are not two lists of one length, two at least, or a value is nan.
    """
    return float(scipy.stats.kendalltau(*_pair(a, b)).statistic)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rho: the correlation of the ranks, of which ties share the mean.

    See `kendall` for arguments, results and errors.
    """
    a, b = (scipy.stats.rankdata(each) for each in _pair(a, b))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"a rank correlation is of two lists of one length, two at least; got shapes "
            f"{a.shape} and {b.shape}"
        )
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("a rank correlation is of numbers; there is a nan among them")
    return a, b
