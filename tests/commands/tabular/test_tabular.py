"""Searchers on a table: what they find, what is computed of it, and what is written."""

import csv

import numpy as np
import pytest
from scipy import stats

from jaxnas.commands.tabular import tabular_report
from jaxnas.commands.tabular.tabular_search import SEARCHERS, Regrets, TabularSearch, run_searcher
from jaxnas.reports.statistics import wins
from jaxnas.runs.config import ConfigError
from support.toys import Toy

SPACE = Toy(4, 3, 5)
VALUES = np.random.default_rng(0).permutation(60).astype(np.float32)


def found(name, *incumbents):
    return Regrets(name, np.array(incumbents), 1.0, 2.0)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "name",
    [
        # tests/search has it as well, and its compilation takes long.
        pytest.param(name, marks=pytest.mark.slow) if name == "ppo" else name
        for name in SEARCHERS
    ],
)
def test_incumbents_only_get_better(name):
    result = run_searcher(name, SEARCHERS[name], SPACE, VALUES, seeds=3, queries=45)
    assert result.incumbents.shape == (3, 45)
    reached = VALUES[result.incumbents]
    assert (np.diff(reached, axis=1) >= 0).all()
    assert (reached[:, -1] > reached[:, 0]).any()
    assert len(np.unique(result.incumbents[:, 0])) > 1, "seeds differ"
    again = run_searcher(name, SEARCHERS[name], SPACE, VALUES, seeds=2, queries=45)
    np.testing.assert_array_equal(again.incumbents[0, :5], result.incumbents[0, :5])


def test_rows_are_of_the_last_incumbents():
    valid, test = np.array([10.0, 20.0, 60.0]), np.array([3.0, 5.0, 6.0])
    one, single = found("ppo", [0, 1], [0, 2]), found("random", [2, 2])
    rows = tabular_report.result_rows([one, single], valid, test)
    assert rows[0] == {
        "algorithm": "ppo",
        "seeds": 2,
        "queries": 2,
        "valid_mean": 40.0,
        "valid_std": pytest.approx(np.sqrt(800), abs=1e-4),
        "test_mean": 5.5,
        "test_std": pytest.approx(np.sqrt(0.5), abs=1e-4),
        "seconds": 1.0,
        "compile_seconds": 2.0,
    }
    assert (rows[1]["test_mean"], rows[1]["test_std"]) == (6.0, None)
    (alone,) = tabular_report.result_rows([one], valid, None)
    assert alone == {name: each for name, each in rows[0].items() if not name.startswith("test")}


def test_wins_are_mann_and_whitneys():
    rng = np.random.default_rng(1)
    ours, theirs = rng.integers(3, 12, 40), rng.integers(0, 10, 30)
    share, low, high = wins(ours, theirs)
    statistic = stats.mannwhitneyu(ours, theirs).statistic
    assert share == pytest.approx(statistic / (40 * 30))
    assert 0 <= low < share < high <= 1
    reverse, below, above = wins(theirs, ours)
    assert (reverse, below, above) == pytest.approx((1 - share, 1 - high, 1 - low))


@pytest.mark.parametrize("seeds", [5, 40])
@pytest.mark.parametrize(
    ("distance", "spread"),
    [(0, 1), (1, 1), (2, 1), (1, 0.1)],  # DeLong's interval has 60% of the last two at 5 seeds
)
def test_the_interval_of_wins_covers_the_truth(seeds, distance, spread):
    """One normal variable is above another with the probability that their difference is."""
    rng = np.random.default_rng(2)
    truth, hits = stats.norm.cdf(distance / np.hypot(1, spread)), 0
    for _ in range(400):
        _, low, high = wins(rng.normal(distance, spread, seeds), rng.normal(0, 1, seeds))
        hits += low <= truth <= high
    assert 0.92 < hits / 400 < 0.995


def test_the_interval_of_wins_covers_the_truth_with_ties():
    rng, values = np.random.default_rng(3), np.arange(3)
    ours, theirs = np.array([0.1, 0.2, 0.7]), np.array([0.6, 0.3, 0.1])
    truth = ours @ ((values[:, None] > values) + 0.5 * np.eye(3)) @ theirs
    hits = 0
    for _ in range(400):
        _, low, high = wins(rng.choice(3, 5, p=ours), rng.choice(3, 5, p=theirs))
        hits += low <= truth <= high
    assert 0.92 < hits / 400 < 0.995


def test_wins_without_exception_are_no_certainty():
    """Where all pairs agree, the end is z of its own standard errors away from 1."""
    ours, theirs = np.array([3.0, 4.0, 5.0]), np.array([0.0, 1.0, 2.0])
    share, low, high = wins(ours, theirs)
    assert (share, high) == (1, 1)
    variance = low * (1 - low) * (1 + 2 * (1 - low) / (2 - low) + 2 * low / (1 + low)) / 9
    assert 1 - low == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)
    assert low == pytest.approx(0.501, abs=1e-3)
    assert wins(theirs, ours) == pytest.approx((0, 0, 1 - low))
    assert wins(ours[:1], theirs) == (1, None, None)
    assert wins(np.arange(500), np.arange(-500, 0)).low == pytest.approx(0.9961, abs=1e-4)


def test_the_table_compares_with_random():
    test = np.array([90.0, 91.0, 92.0, 93.0])
    text = tabular_report.search_table(
        [found("random", [0], [1]), found("local", [2], [3])], test - 10, test
    ).markdown()
    random, local = text.splitlines()[2:]
    assert random.startswith("| random | 2 | 1 | 80.50 ± 0.71 | 90.50 ± 0.71 |  |  |")
    assert "| 82.50 ± 0.71 | 92.50 ± 0.71 | +2.00 [+2.00, +2.00] higher | 100% [39, 100] |" in local
    assert "| validation | test | minus random | above random |" in text, "of no other table"
    named = tabular_report.search_table([found("random", [0])], test, test, ("by 9", "by 90"))
    assert "| queries | by 9 | by 90 | seconds |" in named.markdown()
    single = [found("random", [0]), found("local", [2])]
    text = tabular_report.search_table(single, test - 10, test).markdown()
    assert "| 92.00 | +2.00 (n = 1: no interval) | 100% |" in text


def test_curves_and_architectures_are_written(tmp_path):
    test = np.array([90.0, 91.0, 92.5])
    results = [found("random", [0, 1], [0, 0]), found("ppo", [1, 2], [2, 2])]
    tabular_report.write_found(tmp_path / "found.csv", results, ["a", "b", "c"], test)
    with (tmp_path / "found.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[1:] == [
        ["random", "0", "b", "91"],
        ["random", "1", "a", "90"],
        ["ppo", "0", "c", "92.5"],
        ["ppo", "1", "c", "92.5"],
    ]
    tabular_report.regret_curves(tmp_path / "regret", results, test, "a title")
    picture = (tmp_path / "regret.svg").read_text()
    assert all(word in picture for word in ("a title", "ppo", "random", "queries"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seeds": 0}, "--seeds must be above 0 and at most 1,000,000, not 0"),
        ({"queries": -1}, "--queries must be above 0 and at most 1,000,000, not -1"),
        ({"algorithm": ()}, "--algorithm must name each searcher once"),
        ({"algorithm": ("ppo", "ppo")}, "--algorithm must name each searcher once"),
    ],
)
def test_flags_that_cannot_be_are_told(flags, message):
    with pytest.raises(ConfigError, match=message):
        TabularSearch(**flags)


def test_random_always_runs_first():
    assert TabularSearch(algorithm=("ppo", "random")).algorithms == ("random", "ppo")
    assert TabularSearch().algorithms == tuple(SEARCHERS)


def test_what_cannot_be_compared_is_told():
    for values in (VALUES[1:], np.where(VALUES == 7, np.nan, VALUES)):
        with pytest.raises(ValueError, match="values must be 60 finite numbers, one for each cand"):
            run_searcher("random", SEARCHERS["random"], SPACE, values, seeds=1, queries=1)
    with pytest.raises(ValueError, match="found must hold random search"):
        tabular_report.search_table([found("local", [1])], VALUES, VALUES)
