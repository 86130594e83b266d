"""PNAS on tables: what is measured is what it says."""

import functools
import itertools
import json

import jax
import numpy as np
import pytest

from jaxnas import search
from jaxnas.commands.progressive_search import PROGRESSIVE
from jaxnas.commands.tabular.tabular_search import Regrets, Rewards
from jaxnas.runs.config import ConfigError
from jaxnas.spaces import NASBench201Paths
from jaxnas.tabular import NASBenchGraph, NASBenchGraphSpace, TabularError
from pnas import surrogate_ranks
from pnas.measured import queries_needed
from pnas.race import GROWN_BEST, GROWN_BLIND, answers_table, race, race_rows, race_table
from pnas.surrogate_ranks import (
    GrownTable,
    grown_blind,
    progressive_on,
    rank_surrogates,
    rank_table,
)
from pnas.synthetic_cells import SyntheticCells
from pnas.validation import PnasTables, run_pnas_tables
from support.growing import cells

TABLES = [SyntheticCells(cells(2), seed) for seed in range(2)]
TABLE = TABLES[0]


@pytest.fixture(autouse=True, scope="module")
def small_surrogates():
    """Without LLVM's optimisations a network of 100 units takes its time."""
    small = functools.partial(search.block_surrogate, members=2, units=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(search.SURROGATES, "block", small)
        yield


@pytest.fixture(scope="module")
def races(small_surrogates):
    return race(TABLES, 20, 100, steps=60)


PATHS, GRAPHS = NASBench201Paths(), NASBenchGraphSpace(("gcn", "fc", "skip"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "codes", "first"),
    [
        (PATHS, lambda cells: PATHS.edges.codes(PATHS.as_nasbench201(cells)), 5),
        (GRAPHS, lambda cells: GRAPHS.codes(GRAPHS.whole(cells)), 3),
    ],
)
def test_progressive_search_of_a_table_keeps_the_best(space, codes, first):
    valid = np.random.default_rng(0).uniform(10, 90, space.size)
    done = []
    table = GrownTable(space, codes, valid)
    found, ranks = progressive_on(table, 2, 8, lambda: done.append(1))
    assert found.algorithm == PROGRESSIVE
    assert found.incumbents.shape == (2, first + 3 * 8)
    assert len(done) == 2
    values = valid[found.incumbents]
    assert (np.diff(values, axis=1) >= 0).all()
    assert [each.level for each in ranks] == [1, 2, 3, 4] * 2
    assert [bool(each.following) for each in ranks] == [True, True, True, False] * 2
    assert "| a | kendall |" in rank_table({"a": ranks}).markdown()


def test_growing_blind_looks_up_what_grows():
    asked = []

    def codes(cells):
        asked.append(cells)
        return GRAPHS.codes(GRAPHS.whole(cells))

    valid = np.random.default_rng(0).uniform(10, 90, GRAPHS.size)
    found = grown_blind(GrownTable(GRAPHS, codes, valid), 2, 8)
    assert found.incumbents.shape == (2, 3 + 3 * 8)
    assert (np.diff(valid[found.incumbents], axis=1) >= 0).all()
    for first in (0, 4):  # of each seed
        levels = asked[first : first + 4]
        assert [cells.shape for cells in levels] == [(3, 2), (8, 4), (8, 6), (8, 8)]
        for before, after in itertools.pairwise(levels):
            grown = {tuple(row) for row in GRAPHS.grow(before).tolist()}
            assert {tuple(row) for row in after.tolist()} <= grown
    assert not np.array_equal(asked[1], asked[5])


@pytest.mark.slow
def test_a_run_on_a_measured_table_writes_its_report(tmp_path, monkeypatch, capsys):
    size = GRAPHS.size
    valid, test = np.random.default_rng(0).uniform(10, 90, (2, size)).astype(np.float32)
    valid[-1] = test[-1] = np.nan
    table = NASBenchGraph(GRAPHS, valid, test, valid, valid)
    monkeypatch.setattr("jaxnas.tabular.load_nas_bench_graph", lambda dataset: table)
    settings = PnasTables(
        ("graph",), seeds=2, per_level_measured=4, graph="arxiv", longer=2, run_dir=tmp_path / "run"
    )
    report = run_pnas_tables(settings)
    text = report.read_text()
    assert "## NAS-Bench-Graph, arxiv, 2 seeds" in text
    assert "15 queries each." in text
    assert "The others go on to 30 queries." in text
    assert "| random | " in text.split("The others go on")[1]
    assert (report.parent / "regret_nas_bench_graph.svg").is_file()
    found = json.loads((report.parent / "results.json").read_text())["graph"]["incumbents"]
    assert {name: len(each) for name, each in found.items()} == {
        "random": 2,
        "ppo": 2,
        "evolution": 2,
        GROWN_BLIND: 2,
        PROGRESSIVE: 2,
    }
    assert all(size - 1 not in each for each in found.values())


def test_queries_are_counted_until_the_mean_is_reached():
    valid, test = np.array([10.0, 20.0, 30.0]), np.array([1.0, 3.0, 2.0])
    ours = Regrets(PROGRESSIVE, np.array([[0, 1], [0, 2]]), 0.0, 0.0)  # means 25 and 2.5
    quick = Regrets("quick", np.array([[0, 2, 2, 2], [0, 1, 2, 2]]), 0.0, 0.0)
    slow = Regrets("slow", np.array([[0, 0, 1, 1], [0, 0, 0, 1]]), 0.0, 0.0)
    rewards = Rewards(valid, test, ("seen", "judged"), "")
    table = queries_needed(ours, [quick, slow], rewards).markdown()
    for line in (
        "| progressive | 25.00 | 2 | 1 | 2.50 | 2 | 1 |",
        "| quick | 25.00 | 2 | 1.0 | 2.50 | 2 | 1.0 |",
        "| slow | 20.00 | more than 4 | more than 2.0 | 3.00 | 4 | 2.0 |",
    ):
        assert line in table
    assert (
        "judged"
        not in queries_needed(
            ours, [slow], rewards._replace(test=None, headings=("seen",))
        ).markdown()
    )


@pytest.mark.slow
def test_surrogates_are_ranked_on_what_they_were_not_told(monkeypatch):
    monkeypatch.setattr(surrogate_ranks, "POOL", 200)
    seen = []

    class Spy(SyntheticCells):
        def rewards(self, candidates, trial=0):
            seen.append(candidates)
            return super().rewards(candidates, trial)

    space = TABLE.space
    ranks = rank_surrogates(
        Spy(space), {"mlp": search.mlp_surrogate(space, units=8, steps=50)}, 2, 30, lambda: None
    )["mlp"]
    assert [len(each) for each in seen] == [len(space.grow()), 30] * 2
    assert not np.array_equal(seen[1], seen[3]), "another trial, other cells"
    assert [each.level for each in ranks] == [1, 2] * 2
    assert ranks[0].trained["spearman"] > 0.5
    assert set(ranks[0].following) == {"spearman", "kendall"}
    assert not ranks[1].following


@pytest.mark.slow
def test_a_race_is_by_the_same_accuracies(races):
    for seed, (table, found) in enumerate(races):
        assert table is TABLES[seed]
        for name in (PROGRESSIVE, GROWN_BEST, GROWN_BLIND):
            assert len(found[name].rewards) == len(table.space.grow()) + 20
        for name in ("ppo", "random"):
            assert len(found[name].children) == len(found[name].rewards) == 100
            children = np.array(found[name].children)
            np.testing.assert_allclose(found[name].rewards, table.rewards(children, seed), 1e-6)
            np.testing.assert_allclose(found[name].values, table.truth(children))


@pytest.mark.slow
def test_a_perfect_surrogate_and_none_bound_what_growing_finds(races):
    best, blind = (
        np.mean([race.found[name].values[-20:].mean() for race in races])
        for name in (GROWN_BEST, GROWN_BLIND)
    )
    ours = np.mean([race.found[PROGRESSIVE].values[-20:].mean() for race in races])
    assert blind < ours <= best
    for table, found in races:
        grown = table.space.grow(table.space.grow())
        assert found[GROWN_BEST].values[-20:].min() >= np.sort(table.truth(grown))[-20] - 1e-12


@pytest.mark.slow
def test_the_tables_of_races(races):
    rows = race_rows(races)
    assert {(row["seed"], row["top"]) for row in rows} >= {(0, 1), (1, 5)}
    table = race_table(rows, ("ppo", "random"), 100).markdown()
    assert "| 1 | " in table
    assert " of 2 | " in table
    answers = answers_table(races).markdown()
    for name in (PROGRESSIVE, "ppo", "random", GROWN_BEST, GROWN_BLIND):
        assert f"| {name} | " in answers


def test_examples_are_counted_with_those_of_the_children_trained_anew():
    """The abstract of Liu et al. 2018: up to 5 times fewer models, 8 times less compute."""
    rows = [
        {"seed": 0, "top": top, "truth": 0.9, PROGRESSIVE: 1160, "ppo": n}
        for top, n in ((1, 5808), (5, 4100), (25, 3654))
    ]
    table = race_table(rows, ("ppo",), 20_000).markdown()
    for text in ("| 5,808 | 5.0 | 8.2 |", "| 4,100 | 3.5 | 6.8 |", "| 3,654 | 3.1 | 6.4 |"):
        assert text in table


def test_what_is_not_reached_is_told():
    rows = [
        {"seed": seed, "top": top, "truth": 0.9, PROGRESSIVE: 100, "ppo": None}
        for seed in range(2)
        for top in (1, 5, 25)
    ]
    table = race_table(rows, ("ppo",), 1000).markdown()
    assert "| 0 of 2 | more than 1,000 | more than 10.0 |" in table
    # A median that depends on how long was searched is none.
    half = [row | {"ppo": None if row["seed"] else 50} for row in rows]
    table = race_table(half, ("ppo",), 1000).markdown()
    assert "| 1 of 2 | more than 1,000 | more than 10.0 |" in table


def test_a_table_that_is_not_there_leaves_no_run(tmp_path):
    settings = PnasTables(("nasbench201",), table=tmp_path / "none.csv", run_dir=tmp_path / "run")
    with pytest.raises(TabularError):
        run_pnas_tables(settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # surrogates of their full size
def test_a_run_writes_its_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(surrogate_ranks, "POOL", 200)
    settings = PnasTables(
        ("surrogates", "race"),
        trials=1,
        races=1,
        per_level=10,
        queries=40,
        steps=20,
        blocks=2,
        run_dir=tmp_path / "run",
    )
    monkeypatch.setattr("pnas.validation.pnas_space", cells)
    for name, make in search.SURROGATES.items():
        monkeypatch.setitem(search.SURROGATES, name, functools.partial(make, steps=5))
    report = run_pnas_tables(settings).read_text()
    for text in ("## Surrogates", "| lstm, 5 members | kendall |", "## Race", "ppo"):
        assert text in report
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results) == {"surrogates", "race"}
    assert jax.tree.leaves(results)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"blocks": 1}, "--blocks must be 2 to 7, not 1"),
        ({"seeds": 0}, "--seeds must be at least 1"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"parts": ("race", "race")}, "--parts must name each part once"),
    ],
)
def test_what_cannot_be_is_refused(flags, message):
    with pytest.raises(ConfigError, match=message):
        PnasTables(**flags)
