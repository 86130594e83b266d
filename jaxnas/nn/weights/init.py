"""Initial variables without compiling the network.

`jit(model.init)` of a cell network compiles for minutes. Here the shapes come from `eval_shape` and
the values from one vectorised draw of chunks, keyed by each leaf's own path. So the base and
its supernet start from the same values wherever they share a leaf, for the same key.
"""

from __future__ import annotations

import functools
import math
import zlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.nn import kernels
from jaxnas.randomness import check_key

CONSTANTS = {"scale": 1.0, "var": 1.0, "bias": 0.0, "mean": 0.0}
"""Initial values of the variables that are not drawn, by the last part of their names."""

# Kernels are drawn in chunks of this many values, all in one vectorised draw.
_CHUNK = 1024
# The number of chunks is rounded up to a multiple of this.
_TOGETHER = 512
# Standard deviation of a unit normal truncated at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


def abstract_variables(module: nn.Module, input_shape: tuple[int, ...], *args: Any) -> Any:
    """Shapes and dtypes of the variables of `module` for images [h, w, c]; computes nothing.

    Raises:
      TypeError: if `module` is none.
      ValueError: if `input_shape` is not three positive numbers.
    """
    check_module(module)
    numbers = input_shape if isinstance(input_shape, tuple | list) else ()
    if len(numbers) != 3 or not all(isinstance(n, int) and n > 0 for n in numbers):
        raise ValueError(
            "input_shape must be height, width and channels of an image, such as (32, 32, 3), "
            f"not {input_shape!r}"
        )
    image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)

    def init(key: jax.Array, x: jax.Array) -> Any:
        return module.init(key, x, *args, train=False)

    with kernels.portable():  # nothing is computed, and so the trace is several times shorter
        return jax.eval_shape(init, jax.random.key(0), image)


def check_module(module: Any) -> None:
    """Raises a TypeError for what is no Flax module."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"a {type(module).__name__} is no network; nn.build makes one")


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of nested dictionaries by their keys, joined by ``/``.

    Raises:
      SettingsError: if it is something else.
    """
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not path or not all(isinstance(part, jax.tree_util.DictKey) for part in path):
            raise SettingsError(
                "variables are nested dictionaries of arrays, such as {'params': ..., "
                f"'batch_stats': ...}}, not a {type(tree).__name__} with a "
                f"{type(leaf).__name__} at {jax.tree_util.keystr(path) or 'its top'}"
            )
        found["/".join(str(part.key) for part in path)] = leaf
    return found


def init(module: nn.Module, key: jax.Array, input_shape: tuple[int, ...], *args: Any) -> Any:
    """Initial ``{"params": ..., "batch_stats": ...}`` of a jaxnas module.

    Kernels are He's truncated normal (fan in), the classifier's LeCun's; batch norms start at scale
    1, bias 0, mean 0 and variance 1. Can be vmapped over `key`. Under `jit` each of the many leaves
    costs compile time; called as it is, only each shape does.

    Args:
      module: a network.
      key: typed key; equal keys give equal values to leaves of equal path and shape.
      input_shape: [h, w, c] of an image.
      *args: further arguments of the module after the image, such as a supernet's gates.

    Raises:
      TypeError: if `key` is no typed key, or `module` no module.
      ValueError: if `input_shape` is not three positive numbers.
    """
    check_key(key)
    shapes = abstract_variables(module, input_shape, *args)
    named = named_leaves(shapes)
    kinds = {name: name.rpartition("/")[2] for name in named}
    for name, kind in kinds.items():
        if kind not in ("kernel", *CONSTANTS):
            raise ValueError(f"variable {name!r}: no initial value is known for {kind!r}")
    drawn = draw_kernels(
        key, {name: leaf.shape for name, leaf in named.items() if kinds[name] == "kernel"}
    )
    values = [
        drawn[name] if name in drawn else jnp.full(leaf.shape, CONSTANTS[kinds[name]], leaf.dtype)
        for name, leaf in named.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(shapes), values)


def draw_kernels(key: jax.Array, shapes: dict[str, tuple[int, ...]]) -> dict[str, jax.Array]:
    """Initial kernels by name, of given shapes; see `init`."""
    chunks = {name: -(-math.prod(shape) // _CHUNK) for name, shape in shapes.items()}
    names = np.array(
        [zlib.crc32(name.encode()) for name, count in chunks.items() for _ in range(count)],
        np.uint32,
    )
    numbers = np.concatenate([np.arange(count, dtype=np.uint32) for count in chunks.values()])
    # A few more than needed, so that networks of about one size are drawn by one program.
    spare = -len(names) % _TOGETHER
    names, numbers = (np.pad(each, (0, spare)) for each in (names, numbers))
    flat = _draw_chunks(key, names, numbers)
    out = {}
    start = 0
    for name, shape in shapes.items():
        scale = kernel_scale(shape) / _TRUNCATED_STDDEV
        out[name] = _part(flat, start, np.float32(scale), shape)
        start += chunks[name] * _CHUNK
    return out


def kernel_scale(shape: tuple[int, ...]) -> float:
    """Standard deviation of an initial kernel: He's before a ReLU, LeCun's for a classifier."""
    gain = 2.0 if len(shape) == 4 else 1.0
    return math.sqrt(gain / math.prod(shape[:-1]))


@jax.jit
def _draw_chunks(key: jax.Array, names: Any, numbers: Any) -> jax.Array:
    """Unit normals truncated at two, float32 [chunks * _CHUNK], each chunk by its own key."""

    def draw(place: tuple[jax.Array, jax.Array]) -> jax.Array:
        name, number = place
        chunk_key = jax.random.fold_in(jax.random.fold_in(key, name), number)
        return jax.random.truncated_normal(chunk_key, -2, 2, (_CHUNK,))

    # A loop, which XLA cannot fuse into (and repeat in) each of the slices taken later.
    return jax.lax.map(draw, (names, numbers)).reshape(-1)


@functools.partial(jax.jit, static_argnames="shape")
def _part(flat: jax.Array, start: int, scale: Any, shape: tuple[int, ...]) -> jax.Array:
    """`scale` times values of `flat` from `start` on; one program for all leaves of a shape."""
    return scale * jax.lax.dynamic_slice_in_dim(flat, start, math.prod(shape)).reshape(shape)
