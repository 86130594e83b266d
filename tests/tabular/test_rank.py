"""Rank correlations by their definitions."""

import itertools
import math

import numpy as np
import pytest

from jaxnas.tabular import kendall, spearman

RNG = np.random.default_rng(0)
CASES = {
    "without ties": (RNG.normal(size=12), RNG.normal(size=12)),
    "with ties": (RNG.integers(0, 4, 15), RNG.integers(0, 4, 15)),
    "infinite": (np.array([-np.inf, 2.0, 1.0, -np.inf, np.inf]), np.array([10, 91, 80, 10, 93])),
}
EACH = pytest.mark.parametrize(("a", "b"), CASES.values(), ids=CASES)


@EACH
def test_kendall_counts_pairs(a, b):
    balance = ties_a = ties_b = pairs = 0
    for i, j in itertools.combinations(range(len(a)), 2):
        balance += (1 if (a[i] < a[j]) == (b[i] < b[j]) else -1) * (a[i] != a[j] and b[i] != b[j])
        ties_a += a[i] == a[j]
        ties_b += b[i] == b[j]
        pairs += 1
    expected = balance / math.sqrt((pairs - ties_a) * (pairs - ties_b))
    assert kendall(a, b) == pytest.approx(expected)


@EACH
def test_spearman_correlates_ranks(a, b):
    ranks = [
        np.array([(each > values).sum() + ((each == values).sum() + 1) / 2 for each in values])
        for values in (a, b)
    ]
    first, second = (each - each.mean() for each in ranks)
    expected = first @ second / math.sqrt((first @ first) * (second @ second))
    assert spearman(a, b) == pytest.approx(expected)


def test_order_is_all_that_counts():
    a = [1, 2, 3, 4]
    assert kendall(a, np.exp(a)) == spearman(a, np.exp(a)) == pytest.approx(1)
    assert kendall(a, [0, -1, -2, -9]) == spearman(a, [0, -1, -2, -9]) == pytest.approx(-1)
    assert math.isnan(kendall(a, [1] * 4))
    assert math.isnan(spearman([1] * 4, a))


@pytest.mark.parametrize("rank", [kendall, spearman])
def test_what_cannot_be_ranked_is_refused(rank):
    for a, b in (([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]]), ([1], [1])):
        with pytest.raises(ValueError, match="two lists of one length, two at least"):
            rank(a, b)
    with pytest.raises(ValueError, match="a nan among them"):
        rank([1, 2, math.nan], [1, 2, 3])
