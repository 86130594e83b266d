"""Regularized evolution (Real et al. 2019, algorithm 1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.algorithm import Algorithm, algorithm
from jaxnas.search.blackbox.candidates import below, mutations, options_of, sample
from jaxnas.search.blackbox.memory import MemoryState, nothing_known, remember
from jaxnas.spaces import Space


def evolution(
    space: Space, *, population: int = 100, tournament: int = 25, batch: int = 1
) -> Algorithm:
    """Mutates the best of a few drawn from the population; the oldest dies, not the worst.

    Real et al. 2019 have a population of 100 and draw 25; for a few hundred queries 10 and 3 serve
    better.

    Args:
      space: what to search; one of its decisions at least must leave a choice.
      population: of which the first are drawn at random.
      tournament: how many are drawn, with replacement; the best of them is the parent.
      batch: children of one `ask`.

    Raises:
      SettingsError: if a size is not positive, or `tournament` or `batch` above `population`.
    """
    if min(population, tournament, batch) < 1 or max(tournament, batch) > population:
        raise SettingsError(
            "population, tournament and batch must be positive, and tournament and batch no more "
            f"than population; got {population}, {tournament} and {batch}"
        )
    options = options_of(space)

    def init(key: jax.Array) -> MemoryState:
        return nothing_known(key, population, len(options))

    def ask(state: MemoryState) -> tuple[MemoryState, jax.Array]:
        first, draw, change = jax.random.split(jax.random.fold_in(state.key, state.asked), 3)
        alive = jnp.minimum(state.told, population)
        drawn = below(jax.random.uniform(draw, (batch, tournament)), alive)
        winner = jnp.argmax(state.rewards[drawn], 1)
        parents = state.candidates[jnp.take_along_axis(drawn, winner[:, None], 1)[:, 0]]
        children = mutations(change, options, parents)
        candidates = jnp.where(state.told < population, sample(first, options, batch), children)
        return state._replace(asked=state.asked + 1), candidates

    return algorithm(space, init, ask, remember, batch)
