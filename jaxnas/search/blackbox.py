"""Black-box search: what all its algorithms have in common, and how they are run.

An algorithm is a tuple of pure functions of its state, as an optax transformation is:

    algorithm = evolution(space)
    state = algorithm.init(jax.random.key(0))
    state, candidates = algorithm.ask(state)
    state = algorithm.tell(state, candidates, rewards)

`ask` and `tell` can be jitted and vmapped, over seeds and over the float settings of an algorithm.
Where rewards come from a table, `simulate` is a whole search as one program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


class Algorithm(NamedTuple):
    """A searcher over candidates, int32 [batch, decisions]. Higher rewards are better.

    Attributes:
      init: typed key to state, a PyTree.
      ask: state to (state, candidates).
      tell: (state, candidates, float32 [batch] rewards) to state. Candidates need not be those
        asked for last. Raises ValueError for a reward that is not finite; under jit, where values
        are not known, that is the caller's to see to.
      batch: how many candidates one `ask` gives.
    """

    init: Callable[[jax.Array], Any]
    ask: Callable[[Any], tuple[Any, jax.Array]]
    tell: Callable[[Any, jax.Array, jax.Array], Any]
    batch: int


class Trials(NamedTuple):
    """What was tried, in order.

    Attributes:
      candidates: int32 [queries, decisions].
      rewards: float32 [queries].
    """

    candidates: Any
    rewards: Any


def algorithm(
    init: Callable[[jax.Array], Any],
    ask: Callable[[Any], tuple[Any, jax.Array]],
    tell: Callable[[Any, jax.Array, jax.Array], Any],
    batch: int,
) -> Algorithm:
    """An `Algorithm` of these functions, whose `tell` refuses what is no finite number."""

    def checked(state: Any, candidates: jax.Array, rewards: jax.Array) -> Any:
        rewards = jnp.asarray(rewards, jnp.float32)
        if not isinstance(rewards, Tracer):
            check_rewards(np.asarray(rewards))
        return tell(state, jnp.asarray(candidates, jnp.int32), rewards)

    return Algorithm(init, ask, checked, batch)


def check_rewards(rewards: np.ndarray) -> None:
    """Raises ValueError naming the first reward that is NaN or infinite."""
    wrong = np.flatnonzero(~np.isfinite(rewards))
    if len(wrong):
        raise ValueError(
            f"the reward of candidate {wrong[0]} is {rewards[wrong[0]]}: rewards must be finite; "
            "give a candidate that failed the reward of the worst network, such as 0"
        )


def simulate(
    algorithm: Algorithm,
    evaluate: Callable[[jax.Array], jax.Array],
    queries: int,
    key: jax.Array,
) -> Trials:
    """A whole search as one `lax.scan`, for `evaluate` that can be jitted, such as a table.

    Args:
      algorithm: the searcher.
      evaluate: candidates int32 [batch, decisions] to float32 [batch] finite rewards.
      queries: how many candidates are tried; the last batch is cut short.
      key: typed; vmap over keys for many seeds.
    """

    def step(state: Any, _: None) -> tuple[Any, Trials]:
        state, candidates = algorithm.ask(state)
        rewards = evaluate(candidates)
        return algorithm.tell(state, candidates, rewards), Trials(candidates, rewards)

    rounds = -(-queries // algorithm.batch)
    _, trials = jax.lax.scan(step, algorithm.init(key), length=rounds)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:queries], trials)


def search(
    algorithm: Algorithm,
    evaluate: Callable[[np.ndarray], np.ndarray],
    queries: int,
    key: jax.Array,
) -> Trials:
    """The same with any Python function for `evaluate`, one batch after the other.

    Raises:
      ValueError: naming a reward that is not finite, or rewards of another number.
    """
    ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
    state, done = algorithm.init(key), []
    while len(done) * algorithm.batch < queries:
        state, asked = ask(state)
        candidates = np.asarray(asked)
        rewards = np.asarray(evaluate(candidates), np.float32)
        if rewards.shape != candidates.shape[:1]:
            raise ValueError(
                f"evaluate must give {len(candidates)} rewards, one for each candidate; "
                f"got shape {rewards.shape}"
            )
        check_rewards(rewards)
        state = tell(state, asked, rewards)
        done.append(Trials(candidates, rewards))
    return Trials(*(np.concatenate(each)[:queries] for each in zip(*done, strict=True)))


def best_so_far(rewards: jax.Array) -> jax.Array:
    """int32 of the same shape: after each query, the number of the first of the best so far.

    Args:
      rewards: float32 [..., queries].
    """
    best = jax.lax.cummax(rewards, axis=rewards.ndim - 1)
    number = jnp.arange(rewards.shape[-1])
    is_new = jnp.concatenate(
        [jnp.ones_like(rewards[..., :1], bool), rewards[..., 1:] > best[..., :-1]], -1
    )
    return jax.lax.cummax(jnp.where(is_new, number, 0).astype(jnp.int32), axis=rewards.ndim - 1)
