"""Random search: what every other search must beat."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.search.blackbox.algorithm import Algorithm, algorithm
from jaxnas.search.blackbox.candidates import options_of, sample
from jaxnas.spaces import Space


class RandomState(NamedTuple):
    """`asked`, int32: how often `ask` was called."""

    key: jax.Array
    asked: jax.Array


def random(space: Space, *, batch: int = 1) -> Algorithm:
    """Every decision uniform over its options, whatever the rewards (Zoph et al. 2018, 4.4)."""
    options = options_of(space)

    def init(key: jax.Array) -> RandomState:
        return RandomState(key, jnp.int32(0))

    def ask(state: RandomState) -> tuple[RandomState, jax.Array]:
        key = jax.random.fold_in(state.key, state.asked)
        return state._replace(asked=state.asked + 1), sample(key, options, batch)

    return algorithm(space, init, ask, lambda state, *_: state, batch)
