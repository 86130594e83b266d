"""How well the surrogates of progressive search rank cells whose accuracy is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import search
from jaxnas.commands.progressive_search import PROGRESSIVE
from jaxnas.commands.tabular.tabular_search import Regrets
from jaxnas.randomness import stream
from jaxnas.reports.statistics import Spread
from jaxnas.reports.tables import Column, Table
from jaxnas.search.progressive.surrogates import Surrogate, known_data, pad_cells
from jaxnas.spaces import Space
from jaxnas.tabular.rank import RANKS, correlations
from pnas.race import GROWN_BLIND, grown_by
from pnas.synthetic_cells import SyntheticCells

POOL = 10_000
"""Random cells of a number of blocks that a surrogate ranks."""


class Ranks(NamedTuple):
    """How well a surrogate ranks.

    Attributes:
      level: whose accuracies it was told last, from 1.
      trained: by kind of rank correlation, of those it was told.
      following: likewise, of cells of the next level; empty at the last.
    """

    level: int
    trained: dict[str, float | None]
    following: dict[str, float | None]


class GrownTable(NamedTuple):
    """A table of measured architectures as progressive search asks for them.

    Attributes:
      space: in which they grow.
      codes: parts of candidates, int32 [n, levels[i]], to their places in the table.
      valid: float [size], percent: the accuracy that is the reward.
    """

    space: Space
    codes: Callable[[np.ndarray], np.ndarray]
    valid: np.ndarray


def progressive_on(
    table: GrownTable,
    seeds: int,
    per_level: int,
    progress: Callable[[], None],
    surrogate: str = "block",
) -> tuple[Regrets, list[Ranks]]:
    """Progressive search on a table.

    Args:
      table: of every part of a candidate too.
      seeds: 0 and up.
      per_level: K.
      progress: called after each seed.
      surrogate: one of `search.SURROGATES`.

    Returns:
      what was found after each query, and the ranks of all seeds; following: of all cells that the
      next level is chosen from.
    """
    space, codes, valid = table
    searcher = search.Progressive(space, search.SURROGATES[surrogate](space), per_level)
    incumbents, ranks = [], []

    for seed in range(seeds):
        state, asked = searcher.init(stream(jax.random.key(seed), PROGRESSIVE)), []
        state, cells = searcher.ask(state)
        while len(cells):
            level, rewards = int(state.level) + 1, valid[codes(cells)] / 100
            asked.append(codes(cells))
            state = searcher.tell(state, cells, rewards)
            following = space.grow(cells) if level < len(space.levels) else cells[:0]
            ranks.append(
                Ranks(
                    level,
                    correlations(searcher.judge(state, cells), rewards),
                    correlations(searcher.judge(state, following), valid[codes(following)])
                    if len(following)
                    else {},
                )
            )
            state, cells = searcher.ask(state)
        incumbents.append(_best_so_far(table, asked, sum(searcher.trained)))
        progress()
    return Regrets(PROGRESSIVE, np.stack(incumbents), 0.0, 0.0), ranks


def grown_blind(table: GrownTable, seeds: int, per_level: int) -> Regrets:
    """What growing finds without a surrogate: any of a level's candidates are looked up."""
    incumbents = []
    for seed in range(seeds):
        draw = np.random.default_rng([seed, len(table.space.decisions)])
        levels = grown_by(table.space, lambda cells, draw=draw: draw.random(len(cells)), per_level)
        asked = [table.codes(cells) for cells in levels]
        count = len(levels[0]) + per_level * (len(levels) - 1)
        incumbents.append(_best_so_far(table, asked, count))
    return Regrets(GROWN_BLIND, np.stack(incumbents), 0.0, 0.0)


def _best_so_far(table: GrownTable, asked: Sequence[np.ndarray], count: int) -> np.ndarray:
    """int32 [count]: the place of the best after each query."""
    queried = np.concatenate(asked)
    best = queried[np.asarray(search.best_so_far(jnp.asarray(table.valid[queried])))]
    # A level may have fewer cells than K; what was best then stays so.
    return np.pad(best, (0, count - len(best)), mode="edge")


def rank_surrogates(
    table: SyntheticCells,
    surrogates: Mapping[str, Surrogate],
    trials: int,
    per_level: int,
    progress: Callable[[], None],
) -> dict[str, list[Ranks]]:
    """A trial of surrogates (after Liu et al. 2018): random cells of b blocks, then those of b + 1.

    In each trial every surrogate learns from `per_level` of `POOL` random cells of each number of
    blocks, one number after the other (from all cells of one block), and ranks those and the pool
    of the next.

    Args:
      table: of accuracies; noisy where they are learnt from, true where they are ranked.
      surrogates: by name.
      trials: how many.
      per_level: K.
      progress: called after each surrogate of each trial.
    """
    space, ranks = table.space, {name: [] for name in surrogates}
    programs = {
        name: (jax.jit(surrogate.fit), jax.jit(surrogate.predict))
        for name, surrogate in surrogates.items()
    }
    for trial in range(trials):
        generator = np.random.default_rng([trial, len(space.decisions)])
        pools = [_pool(space, length, generator) for length in space.levels]
        told = [
            pool if not level else pool[generator.choice(len(pool), per_level, replace=False)]
            for level, pool in enumerate(pools)
        ]
        rows = max(map(len, told))
        for name, surrogate in surrogates.items():
            fit, predict = programs[name]
            state = surrogate.init(stream(jax.random.key(trial), name))
            for level, cells in enumerate(told):
                rewards = table.rewards(cells, trial)
                data = known_data(space, cells, rewards, rows)
                state = fit(state, *data)
                fitted = np.asarray(predict(state, data[0]))[: len(cells)]
                following = {}
                if level + 1 < len(pools):
                    pool = pools[level + 1]
                    expected = np.asarray(predict(state, pad_cells(space, pool, POOL)))[: len(pool)]
                    following = correlations(expected, table.truth(pool))
                ranks[name].append(Ranks(level + 1, correlations(fitted, rewards), following))
            progress()
    return ranks


def _pool(space: Space, length: int, generator: np.random.Generator) -> np.ndarray:
    """`POOL` random canonical cells, or as many as are different; all of the first level."""
    if length == space.levels[0]:
        return space.grow()
    drawn = generator.integers(0, space.options[:length], (POOL, length))
    return np.unique(space.canonical(drawn), axis=0)


def rank_table(ranks: Mapping[str, Sequence[Ranks]]) -> Table:
    """Means and standard deviations over trials, by level."""
    levels = sorted({each.level for rows in ranks.values() for each in rows})
    columns = [Column("surrogate", left=True), Column("correlation", left=True)]
    for level in levels:
        columns.append(Column(f"level {level}", ".3f"))
        if level < levels[-1]:
            columns.append(Column(f"of level {level + 1}, before", ".3f"))
    lines = []
    for name, rows in ranks.items():
        for kind in RANKS:
            spreads = []
            for level in levels:
                # None are the correlations with a constant.
                of_level = [each for each in rows if each.level == level]
                spreads.append(Spread.of(each.trained[kind] for each in of_level))
                if level < levels[-1]:
                    spreads.append(Spread.of(each.following[kind] for each in of_level))
            lines.append([name, kind, *spreads])
    return Table(columns, lines, keys=2)
