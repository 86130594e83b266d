"""Progressive search against other searchers, by an invented accuracy of every cell."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import search
from jaxnas.children.child_training import as_candidates
from jaxnas.commands.progressive_search import PROGRESSIVE
from jaxnas.randomness import stream
from jaxnas.reports.statistics import Spread
from jaxnas.reports.tables import Column, Table
from jaxnas.spaces import Space
from pnas.children_needed import TOPS, Searched, needed, top_means
from pnas.synthetic_cells import SyntheticCells

_SHARE = 0.001
_CHILD, _RETRAINED = 0.9, 250 * 13.5  # millions of examples

GROWN_BEST, GROWN_BLIND = "grown, truth known", "grown at random"
"""What bounds progressive search: a perfect surrogate, and none."""


class Race(NamedTuple):
    """Searches by the same noisy accuracies.

    Attributes:
      table: of accuracies; which training's noise is told is a matter of the race's seed.
      found: by search. `GROWN_BEST` and `GROWN_BLIND` grow cells as progressive search does, but
        choose those that are truly best, and any: what a perfect surrogate and none would find.
    """

    table: SyntheticCells
    found: dict[str, Searched]


def race(
    tables: Sequence[SyntheticCells],
    per_level: int,
    queries: int,
    steps: int = 300,
    progress: Callable[[], None] = lambda: None,
    surrogate: str = "block",
) -> list[Race]:
    """Progressive search, and others with many more queries: one race a table.

    Args:
      tables: over one space; a race's seed is its table's number.
      per_level: K of progressive search.
      queries: of PPO and of random search.
      steps: of a fit of progressive search's surrogate.
      progress: called after each race.
      surrogate: of progressive search, one of `search.SURROGATES`.
    """
    space = tables[0].space
    searcher = search.Progressive(
        space, search.SURROGATES[surrogate](space, steps=steps), per_level
    )
    algorithms = {"ppo": search.ppo(space), "random": search.random(space, batch=500)}
    races = []
    for seed, table in enumerate(tables):
        races.append(Race(table, _race(table, seed, searcher, algorithms, queries)))
        progress()
    return races


def _race(
    table: SyntheticCells,
    seed: int,
    searcher: search.Progressive,
    algorithms: Mapping[str, search.Algorithm],
    queries: int,
) -> dict[str, Searched]:
    key = jax.random.key(seed)

    def evaluate(cells: np.ndarray) -> np.ndarray:
        return table.rewards(cells, seed)

    def searched(levels: Sequence[np.ndarray]) -> Searched:
        return Searched(
            [child for cells in levels for child in as_candidates(cells)],
            np.concatenate([evaluate(cells) for cells in levels]),
            np.concatenate([table.truth(cells) for cells in levels]),
        )

    levels = searcher.run(evaluate, stream(key, PROGRESSIVE))
    found = {PROGRESSIVE: searched([level.cells for level in levels])}
    for name, algorithm in algorithms.items():
        trials = search.search(algorithm, evaluate, queries, stream(key, name))
        found[name] = Searched(
            as_candidates(table.space.canonical(trials.candidates)),
            trials.rewards,
            table.truth(trials.candidates),
        )
    blind = np.random.default_rng([seed, len(table.space.decisions)])
    choices = {GROWN_BEST: table.truth, GROWN_BLIND: lambda cells: blind.random(len(cells))}
    for name, worth in choices.items():
        found[name] = searched(grown_by(table.space, worth, searcher.per_level))
    return found


def grown_by(
    space: Space, worth: Callable[[np.ndarray], np.ndarray], per_level: int
) -> list[np.ndarray]:
    """The cells of each level: those of the highest worth of all that grow from the last one's."""
    levels = [space.grow()]
    for _ in space.levels[1:]:
        grown = space.grow(levels[-1])
        levels.append(grown[np.argsort(-worth(grown), kind="stable")[:per_level]])
    return levels


def race_rows(races: Sequence[Race]) -> list[dict[str, Any]]:
    """What each search needed to be as good as progressive search, a row for each race and top."""
    rows = []
    for seed, (_, found) in enumerate(races):
        ours = found[PROGRESSIVE]
        for top in TOPS:
            value = float(top_means(ours, top)[-1])
            if np.isnan(value):
                continue  # it has not so many
            row: dict[str, Any] = {"seed": seed, "top": top, "truth": value}
            row[PROGRESSIVE] = len(ours.rewards)
            for name, searched in found.items():
                if name != PROGRESSIVE:
                    row[name] = needed(searched, top, value)
            rows.append(row)
    return rows


def race_table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], queries: int) -> Table:
    """Medians over races, with examples counted as the paper does."""
    columns = [
        Column("best"),
        Column("true accuracy of progressive's, mean", ".3f"),
        Column("search", left=True),
        Column(f"races that reach it in {queries:,}"),
        Column("children, median", ",.0f"),
        Column("times progressive's", ".1f"),
        Column("times its examples", ".1f"),
    ]
    lines: list[list[Any]] = []
    for top in TOPS:
        of_top = [row for row in rows if row["top"] == top]
        if not of_top:
            continue
        truth = Spread.of(100 * row["truth"] for row in of_top)
        ours = of_top[0][PROGRESSIVE]
        lines.append([top, truth, PROGRESSIVE, None, ours, "1", "1"])
        for name in names:
            counts = [row[name] for row in of_top]
            reached = f"{sum(count is not None for count in counts)} of {len(counts)}"
            median = statistics.median([math.inf if c is None else c for c in counts])
            asked = min(median, queries)
            numbers: list[Any] = [asked, asked / ours, _examples(asked, ours)]
            if median == math.inf:
                forms = (column.text(n) for column, n in zip(columns[4:], numbers, strict=True))
                numbers = [f"more than {text}" for text in forms]
            lines.append([top, None, name, reached, *numbers])
    return Table(columns, lines)


def _examples(children: float, ours: int) -> float:
    """How many times the examples: the others' 250 best children are trained anew, for 13.5M."""
    return (children * _CHILD + _RETRAINED) / (ours * _CHILD)


def answers_table(races: Sequence[Race]) -> Table:
    """Which share of random cells is better than what each search ends with."""
    complete = len(races[0].table.space.decisions)
    columns = [
        Column("search", left=True),
        Column("children", ","),
        Column("true accuracy of its best", ".3f"),
        Column("share of cells that are better, median", ".4%"),
        Column(f"first of the best {_SHARE:.1%}, median", ",.0f"),
    ]
    lines = []
    thresholds = [race.table.threshold(_SHARE) for race in races]
    for name in races[0].found:
        truths, shares, firsts = [], [], []
        for race, threshold in zip(races, thresholds, strict=True):
            found = race.found[name]
            whole = np.array([len(child) == complete for child in found.children])
            truth = found.values[np.argmax(np.where(whole, found.rewards, -1.0))]
            truths.append(100 * float(truth))
            shares.append(float(race.table.rank_share(truth[None])[0]))
            good = np.flatnonzero(whole & (found.values >= threshold))
            firsts.append(good[0] + 1 if len(good) else math.inf)
        first = statistics.median(firsts)
        told = [
            Spread.of(truths),
            statistics.median(shares),
            "never" if first == math.inf else first,
        ]
        lines.append([name, len(races[0].found[name].rewards), *told])
    return Table(columns, lines)
