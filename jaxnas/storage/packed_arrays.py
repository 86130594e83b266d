"""Many small arrays as a few large ones.

Orbax takes about 2 ms for each array, and a training state has hundreds of small ones: so all
leaves of one dtype go into one array, and a layout says what lies where.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from jaxnas.storage.digest import Leaf


def pack(leaves: list[Leaf]) -> dict[str, np.ndarray]:
    """All values of one dtype in one array [n]; Orbax cannot save empty ones, so none is made."""
    parts: dict[str, list[np.ndarray]] = {}
    for leaf in leaves:
        if leaf.data.size:
            parts.setdefault(str(leaf.data.dtype), []).append(leaf.data.reshape(-1))
    return {dtype: np.concatenate(arrays) for dtype, arrays in parts.items()}


def layout_of(leaves: list[Leaf]) -> list[list[Any]]:
    """Each leaf in order: path, dtype, shape, shape as stored, generator of a typed key."""
    return [[leaf.path, leaf.dtype, leaf.shape, leaf.data.shape, leaf.key_impl] for leaf in leaves]


def packed_sizes(layout: list[list[Any]]) -> dict[str, int]:
    """The length of each array that `pack` makes, by dtype."""
    sizes: dict[str, int] = {}
    for _, dtype, _, stored, impl in layout:
        kind = "uint32" if impl else dtype
        sizes[kind] = sizes.get(kind, 0) + math.prod(stored)
    return {kind: size for kind, size in sizes.items() if size}


def unpack(packed: dict[str, np.ndarray], layout: list[list[Any]]) -> list[Leaf]:
    """The leaves in what `pack` made."""
    position = dict.fromkeys(packed, 0)
    leaves = []
    for path, dtype, shape, stored, impl in layout:
        kind = "uint32" if impl else dtype
        size = math.prod(stored)
        if size:
            data = packed[kind][position[kind] : position[kind] + size].reshape(stored)
            position[kind] += size
        else:
            data = np.zeros(stored, np.uint32 if impl else jax.numpy.dtype(dtype))
        leaves.append(Leaf(path, dtype, tuple(shape), data, impl))
    return leaves


def difference(layout: list[list[Any]], wanted: list[tuple[str, Any]]) -> str:
    """The first difference between what a layout holds and the leaves wanted, or ""."""
    held = {path: (dtype, tuple(shape)) for path, dtype, shape, _, _ in layout}
    needed = {path: (str(leaf.dtype), tuple(leaf.shape)) for path, leaf in wanted}
    for path in [*needed, *held]:
        if held.get(path) != needed.get(path):
            return (
                f"it holds {_describe(held.get(path))} at {path}, where this run needs "
                f"{_describe(needed.get(path))}"
            )
    return "" if list(held) == list(needed) else "its leaves are in another order"


def _describe(leaf: tuple[str, tuple[int, ...]] | None) -> str:
    return "nothing" if leaf is None else f"{leaf[0]}{list(leaf[1])}"


def to_device(leaf: Leaf, sharding: Any) -> jax.Array:
    """The leaf as a JAX array, on the default device if `sharding` is None."""
    # A copy: the leaf is a view of the packed array, which must not live as long as the state.
    if leaf.key_impl is None:
        return jax.device_put(leaf.data, sharding, may_alias=False)
    words = jax.device_put(leaf.data, may_alias=False)
    return jax.device_put(jax.random.wrap_key_data(words, impl=leaf.key_impl), sharding)
