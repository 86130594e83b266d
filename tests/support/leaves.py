"""Leaves of states, compared bit by bit."""

import jax
import numpy as np


def plain(leaf):
    """An array, as a file would hold it: of a key, its numbers."""
    key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.array(jax.random.key_data(leaf) if key else leaf)
