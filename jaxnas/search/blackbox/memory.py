"""The last trials of a search, as a ring: the oldest is overwritten."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class MemoryState(NamedTuple):
    """The state of a searcher that goes by what it remembers.

    Attributes:
      key: typed.
      asked: int32, how often `ask` was called.
      told: int32, how many rewards came in.
      candidates: int32 [capacity, decisions].
      rewards: float32 [capacity]; minus infinity where nothing is known yet.
    """

    key: jax.Array
    asked: jax.Array
    told: jax.Array
    candidates: jax.Array
    rewards: jax.Array


def nothing_known(key: jax.Array, capacity: int, decisions: int) -> MemoryState:
    """The state before the first trial."""
    return MemoryState(
        key,
        asked=jnp.int32(0),
        told=jnp.int32(0),
        candidates=jnp.zeros((capacity, decisions), jnp.int32),
        rewards=jnp.full(capacity, -jnp.inf),
    )


def remember(state: MemoryState, candidates: jax.Array, rewards: jax.Array) -> MemoryState:
    """The state with these trials in the place of the oldest."""
    kept = min(len(rewards), len(state.rewards))  # the last: a place is written once
    places = (state.told + jnp.arange(len(rewards) - kept, len(rewards))) % len(state.rewards)
    return state._replace(
        told=state.told + len(rewards),
        candidates=state.candidates.at[places].set(candidates[-kept:]),
        rewards=state.rewards.at[places].set(rewards[-kept:]),
    )
