"""Named streams of random keys.

One seed makes one root key; every consumer folds in its own name, and steps fold in their number,
so that what one consumer draws never depends on what another has drawn.
"""

from __future__ import annotations

import zlib

import jax


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of the consumer called `name` under the typed key `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
