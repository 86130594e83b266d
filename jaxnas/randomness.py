"""Named streams of random keys.

One seed makes one root key; every consumer folds in its own name, and steps fold in their number,
so that what one consumer draws never depends on what another has drawn.
"""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp


def check_key(key: object) -> None:
    """Raises a TypeError unless it is a typed key."""
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        raise TypeError(f"key must be a typed key such as jax.random.key(0), not {key!r}")


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of the consumer called `name` under the typed key `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
