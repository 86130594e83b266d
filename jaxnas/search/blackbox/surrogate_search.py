"""Search guided by a surrogate: of many candidates, those that it thinks best are tried.

The surrogate is an ensemble of ridge regressions on random features: one hidden layer of fixed
random weights and a closed-form fit, so that a fit costs milliseconds and a whole search is one
program. Every member has its own features and leaves out a fifth of what is known; each candidate
of a batch is chosen by another member, so that where they disagree, more is tried.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.algorithm import Algorithm, algorithm
from jaxnas.search.blackbox.candidates import below, mutations, one_hot, options_of, sample
from jaxnas.search.blackbox.memory import MemoryState, nothing_known, remember
from jaxnas.spaces import Space


def surrogate(
    space: Space,
    *,
    capacity: int = 512,
    initial: int = 20,
    batch: int = 5,
    pool: int = 200,
    features: int = 128,
    ridge: float | jax.Array = 1.0,
) -> Algorithm:
    """Asks for the best of a pool of random candidates and mutations of the best known.

    Args:
      space: what to search.
      capacity: how many trials are remembered, the last ones.
      initial: how many candidates are drawn at random first.
      batch: candidates of one `ask`, and members of the ensemble.
      pool: candidates that the surrogate looks at, for each `ask`: half of them mutations.
      features: hidden units of a member.
      ridge: weight of its regularisation.

    Raises:
      SettingsError: if a size is not positive or `batch` above `capacity`.
    """
    if min(capacity, initial, batch, pool, features) < 1 or batch > capacity:
        raise SettingsError(
            "capacity, initial, batch, pool and features must be positive, and batch no more than "
            f"capacity; got {capacity}, {initial}, {batch}, {pool} and {features}"
        )
    options = options_of(space)
    width = int(options.sum())

    def init(key: jax.Array) -> MemoryState:
        return nothing_known(key, capacity, len(options))

    def predict(key: jax.Array, state: MemoryState, candidates: jax.Array) -> jax.Array:
        """float32 [pool]: what one member expects of the candidates."""
        weights, biases, left = jax.random.split(key, 3)
        hidden = jax.random.normal(weights, (width, features)) / np.sqrt(len(options))
        shift = jax.random.normal(biases, (features,))

        def embed(each: jax.Array) -> jax.Array:
            return jax.nn.relu(one_hot(options, each) @ hidden + shift)

        known = jnp.isfinite(state.rewards)
        kept = known & (jax.random.uniform(left, (capacity,)) > 0.2)
        x = jnp.where(kept[:, None], embed(state.candidates), 0.0)
        total = jnp.maximum(kept.sum(), 1)
        mean = jnp.where(kept, state.rewards, 0.0).sum() / total
        y = jnp.where(kept, state.rewards - mean, 0.0)
        gram = x.T @ x + ridge * jnp.eye(features)
        return embed(candidates) @ jax.scipy.linalg.solve(gram, x.T @ y, assume_a="pos")

    def propose(key: jax.Array, state: MemoryState) -> jax.Array:
        fresh, which, change, members = jax.random.split(key, 4)
        best = jax.lax.top_k(state.rewards, min(10, capacity))[1]
        count = jnp.minimum(len(best), jnp.maximum(state.told, 1))
        parents = best[below(jax.random.uniform(which, (pool // 2,)), count)]
        children = mutations(change, options, state.candidates[parents])
        candidates = jnp.concatenate([children, sample(fresh, options, pool - pool // 2)])
        same = (candidates[:, None] == state.candidates).all(-1) & jnp.isfinite(state.rewards)
        scores = jax.vmap(predict, (0, None, None))(
            jax.random.split(members, batch), state, candidates
        )

        def choose(tried: jax.Array, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
            choice = jnp.argmax(jnp.where(tried, -jnp.inf, scores))
            return tried | (candidates == candidates[choice]).all(-1), candidates[choice]

        return jax.lax.scan(choose, same.any(1), scores)[1]

    def ask(state: MemoryState) -> tuple[MemoryState, jax.Array]:
        key = jax.random.fold_in(state.key, state.asked)
        candidates = jnp.where(
            state.told < initial, sample(key, options, batch), propose(key, state)
        )
        return state._replace(asked=state.asked + 1), candidates

    return algorithm(space, init, ask, remember, batch)
