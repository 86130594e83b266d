import numpy as np
import pytest

from jaxnas.reports.statistics import paired_difference, rank_interval
from jaxnas.tabular import kendall, spearman

# Student's t at 97.5% with 2 and 4 degrees of freedom, from printed tables.
T = {3: 4.303, 5: 2.776}


@pytest.mark.parametrize("n", T)
def test_the_interval_is_students(n):
    differences = np.array([0.5, 2.0, -1.0, 0.25, 3.0][:n])
    theirs = {seed: 50.0 + seed for seed in range(n)}
    ours = {seed: theirs[seed] + differences[seed] for seed in reversed(range(n))}
    found = paired_difference(ours, theirs)
    half = T[n] * differences.std(ddof=1) / np.sqrt(n)
    assert found.n == n
    assert found.mean == pytest.approx(differences.mean())
    assert found.low == pytest.approx(differences.mean() - half, rel=1e-3)
    assert found.high == pytest.approx(differences.mean() + half, rel=1e-3)
    assert not found.shown
    assert str(found).endswith("not shown")


def test_published_nat_on_resnet20_shows_no_loss_for_its_spread():
    """PNAA's Table 2: 36 points lower on average, and still inside the noise of five seeds."""
    original = dict(enumerate([91.74, 91.74, 91.65, 91.76, 91.39]))
    nat = dict(enumerate([10, 75.14, 91.05, 10, 92.68]))
    cell = dict(enumerate([93.21, 93.34, 93.4, 93.15, 93.37]))
    assert not paired_difference(nat, original).shown
    gain = paired_difference(cell, original)
    assert gain.shown
    assert str(gain).startswith("+1.64 [")
    assert str(gain).endswith("higher")
    assert str(paired_difference(original, cell)).endswith("lower")


def test_only_shared_seeds_count_and_one_gives_no_interval():
    found = paired_difference({0: 3.0, 1: 5.0}, {1: 4.0, 2: 9.0})
    assert (found.n, found.mean, found.low, found.high) == (1, 1.0, None, None)
    assert not found.shown
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize("n", [10, 100])
def test_the_interval_of_a_rank_correlation_covers_the_truth(n):
    """Of normal variables of correlation r, tau is 2/pi asin r and rho 6/pi asin(r/2)."""
    rng, r, hits = np.random.default_rng(0), 0.7, np.zeros(2)
    truth = 2 / np.pi * np.arcsin(r), 6 / np.pi * np.arcsin(r / 2)
    for _ in range(400):
        a = rng.normal(size=n)
        b = r * a + np.sqrt(1 - r**2) * rng.normal(size=n)
        for place, (kind, correlate) in enumerate([("kendall", kendall), ("spearman", spearman)]):
            found = rank_interval(kind, correlate(a, b), n)
            hits[place] += found is None or found[0] <= truth[place] <= found[1]
    assert ((hits / 400 > 0.92) & (hits / 400 < 0.99)).all()


def test_a_rank_correlation_of_few_or_of_nothing_has_no_interval():
    for correlation, n in ((0.5, 4), (1.0, 50), (-1.0, 50), (np.nan, 50)):
        assert rank_interval("kendall", correlation, n) is None
    low, high = rank_interval("spearman", 0.787, 200)
    half = 1.959964 * np.sqrt((1 + 0.787**2 / 2) / 197)
    assert np.arctanh([low, high]) == pytest.approx(np.arctanh(0.787) + np.array([-half, half]))
