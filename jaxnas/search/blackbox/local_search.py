"""Local search: to a better neighbour, until there is none; then from a new start."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.search.blackbox.algorithm import Algorithm, algorithm
from jaxnas.search.blackbox.candidates import neighbour, neighbour_count, options_of, sample
from jaxnas.spaces import Space


class LocalState(NamedTuple):
    """Where the search stands.

    Attributes:
      key: typed.
      moves: int32, how often the current candidate changed; it orders the neighbours.
      tried: int32, how many neighbours of the current candidate have been tried.
      current: int32 [decisions].
      reward: float32, of the current candidate; minus infinity at a new start.
    """

    key: jax.Array
    moves: jax.Array
    tried: jax.Array
    current: jax.Array
    reward: jax.Array


def local(space: Space) -> Algorithm:
    """Moves to the first neighbour that is better, in random order (one decision changed).

    Where none is better, the search starts anew at a random candidate (White et al. 2021 show it
    to be a strong baseline).
    """
    options = options_of(space)
    count = neighbour_count(options)

    def init(key: jax.Array) -> LocalState:
        nowhere = jnp.zeros(len(options), jnp.int32)
        return LocalState(key, jnp.int32(0), jnp.int32(0), nowhere, jnp.float32(-jnp.inf))

    def ask(state: LocalState) -> tuple[LocalState, jax.Array]:
        key = jax.random.fold_in(state.key, state.moves)
        order = jax.random.permutation(key, count)
        step = neighbour(options, state.current, order[state.tried])
        start = sample(key, options, 1)[0]
        return state, jnp.where(jnp.isneginf(state.reward), start, step)[None]

    def tell(state: LocalState, candidates: jax.Array, rewards: jax.Array) -> LocalState:
        def one(state: LocalState, trial: tuple[jax.Array, jax.Array]) -> tuple[LocalState, None]:
            candidate, reward = trial
            better = reward > state.reward
            tried = state.tried + 1
            stuck = ~better & (tried == count)
            return state._replace(
                moves=state.moves + (better | stuck),
                tried=jnp.where(better | stuck, 0, tried),
                current=jnp.where(better, candidate, state.current),
                reward=jnp.where(better, reward, jnp.where(stuck, -jnp.inf, state.reward)),
            ), None

        return jax.lax.scan(one, state, (candidates, rewards))[0]

    return algorithm(space, init, ask, tell, 1)
