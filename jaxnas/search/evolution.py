"""Regularized evolution (Real et al. 2019, algorithm 1)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.search.blackbox import Algorithm, algorithm
from jaxnas.search.candidates import mutate, sample
from jaxnas.spaces import Space


class EvolutionState(NamedTuple):
    """The population as a ring: the oldest is overwritten.

    Attributes:
      key: typed.
      asked: int32, how often `ask` was called.
      told: int32, how many rewards came in.
      population: int32 [population, decisions].
      rewards: float32 [population]; minus infinity where nobody is yet.
    """

    key: jax.Array
    asked: jax.Array
    told: jax.Array
    population: jax.Array
    rewards: jax.Array


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
      ValueError: if a size is not positive, or `batch` above `population`.
    """
    if min(population, tournament, batch) < 1 or batch > population:
        raise ValueError(
            "population, tournament and batch must be positive, and batch no more than population; "
            f"got {population}, {tournament} and {batch}"
        )
    options = space.options

    def init(key: jax.Array) -> EvolutionState:
        nobody = jnp.zeros((population, len(options)), jnp.int32)
        return EvolutionState(
            key, jnp.int32(0), jnp.int32(0), nobody, jnp.full(population, -jnp.inf)
        )

    def ask(state: EvolutionState) -> tuple[EvolutionState, jax.Array]:
        first, draw, change = jax.random.split(jax.random.fold_in(state.key, state.asked), 3)
        drawn = jax.random.uniform(draw, (batch, tournament)) * jnp.minimum(state.told, population)
        drawn = drawn.astype(jnp.int32)
        winner = jnp.argmax(state.rewards[drawn], 1)
        parents = state.population[jnp.take_along_axis(drawn, winner[:, None], 1)[:, 0]]
        children = jax.vmap(lambda key, parent: mutate(key, options, parent))(
            jax.random.split(change, batch), parents
        )
        candidates = jnp.where(state.told < population, sample(first, options, batch), children)
        return state._replace(asked=state.asked + 1), candidates

    def tell(state: EvolutionState, candidates: jax.Array, rewards: jax.Array) -> EvolutionState:
        places = (state.told + jnp.arange(len(rewards))) % population
        return state._replace(
            told=state.told + len(rewards),
            population=state.population.at[places].set(candidates),
            rewards=state.rewards.at[places].set(rewards),
        )

    return algorithm(init, ask, tell, batch)
