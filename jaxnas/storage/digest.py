"""SHA-256 over trees of arrays: equal digests mean bitwise equal results."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.spaces.genotype import Genotype
from jaxnas.storage.files import RunError


class Leaf(NamedTuple):
    """A leaf on the host.

    Attributes:
      path: where it stands, such as ``['stem']['kernel']``.
      dtype: name of its dtype, such as ``float32`` or, for a typed key, ``key<fry>``.
      shape: its shape; a typed key array's own, without the words of a key.
      data: its values; of a typed key array the uint32 words, `shape` plus one axis.
      key_impl: name of a typed key's generator, else None.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray
    key_impl: str | None = None


def host_leaves(tree: Any) -> list[Leaf]:
    """The leaves of `tree`, fetched to the host, in the tree's order.

    Args:
      tree: pytree of JAX or NumPy arrays, NumPy scalars and typed keys.

    Raises:
      RunError: naming the path of a leaf that is no array.
    """
    named = jax.tree_util.tree_leaves_with_path(tree)
    found, values = [], []
    for path, value in named:
        name = jax.tree_util.keystr(path)
        if not isinstance(value, jax.Array | np.ndarray | np.generic):
            raise RunError(
                f"{name or 'the tree'} is a {type(value).__name__}, not an array; "
                "make it one with jnp.asarray"
            )
        impl = None
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            impl = str(jax.random.key_impl(value))
            values.append(jax.random.key_data(value))
        else:
            values.append(value)
        found.append((name, str(value.dtype), tuple(value.shape), impl))
    arrays = [np.asarray(value) for value in jax.device_get(values)]  # one wait for all copies
    return [
        Leaf(name, dtype, shape, array, impl)
        for (name, dtype, shape, impl), array in zip(found, arrays, strict=True)
    ]


def digest(tree: Any) -> str:
    """SHA-256 in hex over every leaf's path, dtype, shape and bytes, in the order of the paths."""
    return leaves_digest(host_leaves(tree))


def leaves_digest(leaves: list[Leaf]) -> str:
    """`digest` of leaves that are on the host already."""
    sha = hashlib.sha256()
    for leaf in sorted(leaves, key=lambda leaf: leaf.path):
        sha.update(json.dumps([leaf.path, leaf.dtype, leaf.shape]).encode("utf-8"))
        if math.prod(leaf.data.shape):
            sha.update(leaf.data.tobytes())
    return sha.hexdigest()


def run_digest(params: Any, genotype: Genotype) -> str:
    """SHA-256 in hex over a run's final parameters and genotype.

    Args:
      params: pytree of arrays.
      genotype: of the network.
    """
    text = json.dumps(json.loads(genotype.to_json()), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{digest(params)}\n{text}".encode()).hexdigest()
