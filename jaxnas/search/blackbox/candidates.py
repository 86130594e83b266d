"""Candidates of a space as JAX arrays: drawn, mutated, counted off.

All functions are pure and can be jitted and vmapped. `options` is `Space.options`, int [d], a
constant of the program; a candidate is int32 [d].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.spaces import Space


def options_of(space: Space) -> np.ndarray:
    """`space.options`.

    Raises:
      TypeError: if `space` is no space.
    """
    if not isinstance(space, Space):
        raise TypeError(
            f"space must be a jaxnas.spaces.Space, such as NASBench201Space(), not {space!r}"
        )
    return space.options


def sample(key: jax.Array, options: np.ndarray, count: int) -> jax.Array:
    """int32 [count, d]: every decision uniform over its options."""
    return below(jax.random.uniform(key, (count, len(options))), options)


def mutate(key: jax.Array, options: np.ndarray, candidate: jax.Array) -> jax.Array:
    """The candidate with one decision changed, both uniform: which, and to what."""
    free = np.flatnonzero(options > 1)
    which, step = jax.random.uniform(key, (2,))
    place = jnp.asarray(free)[below(which, len(free))]
    count = jnp.asarray(options)[place]
    changed = (candidate[place] + 1 + below(step, count - 1)) % count
    return jnp.where(jnp.arange(len(options)) == place, changed, candidate)


def mutations(key: jax.Array, options: np.ndarray, parents: jax.Array) -> jax.Array:
    """int32 [n, d]: a mutation of each of `parents`, int32 [n, d]."""
    keys = jax.random.split(key, len(parents))
    return jax.vmap(lambda key, parent: mutate(key, options, parent))(keys, parents)


def neighbour_count(options: np.ndarray) -> int:
    """How many candidates differ from a given one in one decision."""
    return int((options - 1).sum())


def neighbour(options: np.ndarray, candidate: jax.Array, index: jax.Array) -> jax.Array:
    """The candidate that differs in one decision, number `index` of `neighbour_count`."""
    place = np.repeat(np.arange(len(options)), options - 1)
    step = np.concatenate([np.arange(1, count) for count in options])
    at = jnp.asarray(place)[index]
    changed = (candidate[at] + jnp.asarray(step)[index]) % jnp.asarray(options)[at]
    return jnp.where(jnp.arange(len(options)) == at, changed, candidate)


def one_hot(options: np.ndarray, candidates: jax.Array) -> jax.Array:
    """float32 [..., options.sum()]: a candidate's options as zeros and ones."""
    place = np.repeat(np.arange(len(options)), options)
    number = np.concatenate([np.arange(count) for count in options])
    return (candidates[..., place] == number).astype(jnp.float32)


def below(uniform: jax.Array, count: jax.Array | np.ndarray | int) -> jax.Array:
    """Whole numbers 0 to `count` - 1 of numbers uniform in [0, 1)."""
    return (uniform * count).astype(jnp.int32)
