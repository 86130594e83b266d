"""How many children a search needs: known answers."""

from typing import Any

import numpy as np
import pytest

from jaxnas.children.child_searchers import Trial
from jaxnas.commands.child_experiment import Searches
from pnas.children_needed import (
    Searched,
    efficiency_curves,
    efficiency_table,
    needed,
    tell_efficiency,
    top_means,
    trained_before,
)

A, B, C, D = ((number,) for number in range(4))
ONE = Searched([A, B, A, C, D], np.array([1.0, 3, 1, 2, 9]), np.array([10.0, 30, 10, 20, 25]))


def test_the_mean_of_the_best_is_of_different_children():
    np.testing.assert_array_equal(top_means(ONE, 1), [10, 30, 30, 30, 25])
    np.testing.assert_array_equal(top_means(ONE, 2), [np.nan, 20, 20, 25, 27.5])
    assert np.isnan(top_means(ONE, 5)).all()


def test_of_equals_the_first_is_the_better():
    equals = Searched([A, B], np.array([1.0, 1]), np.array([5.0, 7]))
    np.testing.assert_array_equal(top_means(equals, 1), [5, 5])


@pytest.mark.parametrize(
    ("top", "value", "wanted"), [(1, 10, 1), (1, 11, 2), (2, 25, 4), (2, 26, 5), (2, 28, None)]
)
def test_what_is_needed(top, value, wanted):
    assert needed(ONE, top, value) == wanted


def test_a_child_is_trained_once():
    assert trained_before(ONE).tolist() == [1, 2, 2, 3, 4]


def test_the_table_compares_with_the_first():
    other = Searched([A, A, B, D], np.array([1.0, 1, 2, 3]), np.array([1.0, 1, 2, 26]))
    table = efficiency_table({"one": ONE, "other": other}).markdown()
    # The best of one is 25; the other needs its fourth child, its third different one.
    assert "| 1 | 25 | one | 2 | 0.40 | 2 | 0.50 |" in table
    assert "| 1 | 25 | other | 4 | 0.80 | 3 | 0.75 |" in table
    assert "| 5 |" not in table, "nobody has five"


def test_what_is_never_reached_is_told(tmp_path):
    other = Searched([A], np.array([1.0]), np.array([1.0]))
    table = efficiency_table({"one": ONE, "other": other}).markdown()
    assert "| other | more than 1 |  |  |  |" in table
    efficiency_curves({"one": ONE, "other": other}, 1000, tmp_path / "curves")
    assert (tmp_path / "curves.svg").stat().st_size > 1000


def test_efficiency_is_told_before_the_levels(tmp_path, monkeypatch):
    monkeypatch.setattr("pnas.children_needed.tell_levels", lambda _: ([], ["of levels"]))
    trials = {
        name: [Trial(n, (n,), accuracy + n % 3, 0.5) for n in range(1, 41)]
        for name, accuracy in (("progressive", 60.0), ("random", 50.0))
    }
    networks: Any = None
    searches = Searches(tmp_path, trials, networks, lambda _: {}, 5400)
    pictures, (explained, table, levels) = tell_efficiency(searches)
    assert [section.blocks[0].file for section in pictures] == ["efficiency.svg"]
    assert "different ones trained" in explained
    table = table.markdown()
    assert (tmp_path / "efficiency.svg").is_file()
    assert "| 1 | 62 | progressive | 2 | 0.05 | " in table
    assert "| random | more than 40 | " in table
    assert levels == "of levels"
