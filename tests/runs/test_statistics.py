import numpy as np
import pytest

from jaxnas.runs.statistics import paired_difference

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
