"""How well one number ranks what another one measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from jaxnas.errors import SettingsError

RANKS = ("spearman", "kendall")
"""The names of `correlations`."""


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b: concordant less discordant pairs, by the pairs that are no ties.

    Args:
      a: [n], infinities allowed.
      b: [n].

    Returns:
      From -1 to 1; nan if all of `a` or all of `b` are equal.

    Raises:
      SettingsError: if they are not two lists of one length, two at least, or a value is nan.
    """
    result: Any = scipy.stats.kendalltau(*_pair(a, b))
    return float(result.statistic)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rho: the correlation of the ranks, of which ties share the mean.

    See `kendall` for arguments, results and errors.
    """
    # Not spearmanr, which warns of a constant.
    ranks = [scipy.stats.rankdata(each) for each in _pair(a, b)]
    if not all(np.ptp(each) for each in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def correlations(a: ArrayLike, b: ArrayLike) -> dict[str, float | None]:
    """Both, by name; None, as files have it, for a correlation with a constant.

    See `kendall` for arguments and errors.
    """
    both = {"spearman": spearman(a, b), "kendall": kendall(a, b)}
    return {name: None if np.isnan(value) else value for name, value in both.items()}


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise SettingsError(
            f"a rank correlation is of two lists of one length, two at least; got shapes "
            f"{first.shape} and {second.shape}"
        )
    if np.isnan(first).any() or np.isnan(second).any():
        raise SettingsError("a rank correlation is of numbers; there is a nan among them")
    return first, second
