"""Between the variables of a child and those of the network that its genotype is built as."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.supernets.child_choice import choices, output_channels
from jaxnas.nn.supernets.child_layout import BlockLayout, Choice
from jaxnas.nn.supernets.child_network import Child
from jaxnas.nn.weights.init import (
    CONSTANTS,
    abstract_variables,
    draw_kernels,
    kernel_scale,
    named_leaves,
)

KeyPath = tuple[str, ...]


class _Variable(NamedTuple):
    """A variable of the built network, and where the child has it.

    Attributes:
      built: its path, the collection first.
      child: the child's variable that holds it.
      index: its place there.
      shape: of the built network's.
    """

    built: KeyPath
    child: KeyPath
    index: Any
    shape: tuple[int, ...]


def child_choices(network: Child, candidate: np.ndarray) -> tuple[Choice, ...]:
    """What `network` is called with to be the network of a candidate.

    Args:
      network: of all candidates.
      candidate: int [decisions].

    Raises:
      SpaceError: see `Space.complete`.
    """
    return choices(network.layouts, network.space.complete(candidate))


def child_variables(
    network: Child, key: jax.Array, input_shape: tuple[int, ...], candidate: np.ndarray
) -> Any:
    """Initial variables of a child: those that `init` gives its built network for the same key.

    Compiles nothing once a child of the space has been made.

    Args:
      network: of all candidates.
      key: typed.
      input_shape: [h, w, c] of an image.
      candidate: int [decisions].

    Raises:
      SpaceError: see `Space.complete`.
    """
    hashable: Any = network
    shapes = _abstract(hashable, input_shape)
    parts = list(_parts(network, candidate, shapes))
    drawn = draw_kernels(
        key, {"/".join(part.built): part.shape for part in parts if part.built[-1] == "kernel"}
    )
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    for part in parts:
        leaf, name = _leaf(variables, part.child), "/".join(part.built)
        if name in drawn:
            leaf[part.index] = np.reshape(drawn[name], leaf[part.index].shape)
        else:
            leaf[part.index] = CONSTANTS[part.built[-1]]
    return jax.tree.map(jnp.asarray, variables)


def shared_variables(network: Child, key: jax.Array, input_shape: tuple[int, ...]) -> Any:
    """Initial variables that all children share, drawn as `init` does those of a network.

    Args:
      network: with shared weights.
      key: typed.
      input_shape: [h, w, c] of an image.

    Raises:
      ValueError: if `input_shape` is not three positive numbers.
    """
    hashable: Any = network
    shapes = _abstract(hashable, input_shape)
    scales = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    for part in _all_parts(network, shapes):
        name = part.built[-1]
        scale = kernel_scale(part.shape) if name == "kernel" else CONSTANTS[name]
        _leaf(scales, part.child)[part.index] = scale
    named = named_leaves(scales)
    drawn = draw_kernels(
        key, {name: leaf.shape for name, leaf in named.items() if name.endswith("/kernel")}
    )
    values = [
        # A row's kernels each have their own scale, not that of the table of all rows.
        drawn[name] * (leaf / kernel_scale(leaf.shape)).astype(leaf.dtype)
        if name in drawn
        else jnp.asarray(leaf)
        for name, leaf in named.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(scales), values)


def cut_child(network: Child, variables: Any, candidate: np.ndarray) -> Any:
    """The variables of ``build(space.decode(candidate))`` out of the child's.

    Args:
      network: of all candidates.
      variables: of the child.
      candidate: int [decisions], the one they were trained as.

    Raises:
      SpaceError: see `Space.complete`.
    """
    tree: dict[str, Any] = {}
    for part in _parts(network, candidate, variables):
        inner = tree
        for name in part.built[:-1]:
            inner = inner.setdefault(name, {})
        inner[part.built[-1]] = _leaf(variables, part.child)[part.index].reshape(part.shape)
    return tree


@functools.cache
def _abstract(network: Child, input_shape: tuple[int, ...]) -> Any:
    some = child_choices(network, np.zeros(len(network.space.options), np.int32))
    return abstract_variables(network, input_shape, some)


def _leaf(tree: Any, path: KeyPath) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _parts(network: Child, candidate: np.ndarray, variables: Any) -> Iterator[_Variable]:
    """The variables of a candidate's network; `variables` are the child's, or their shapes."""
    found = child_choices(network, candidate)
    put_out = output_channels(network.layouts, candidate)
    for collection, modules in variables.items():
        for name in modules:
            if not name.startswith("block_"):
                path = (collection, name)
                if name == "auxiliary":
                    channels = put_out[network.layouts[0].network.auxiliary]
                    for inner in modules[name]:
                        first = channels if inner == "reduce_conv" else None
                        yield from _module((*path, inner), (*path, inner), variables, first)
                else:
                    channels = put_out[-1] if name == "classifier" else None
                    yield from _module(path, path, variables, channels)
    for layout, choice in zip(network.layouts, found, strict=True):
        yield from _block(layout, choice, put_out, variables)


def _block(
    layout: BlockLayout, choice: Choice, put_out: list[np.ndarray], variables: Any
) -> Iterator[_Variable]:
    name = f"block_{layout.index}"
    for collection in ("params", "batch_stats"):
        for state, source in enumerate(layout.inputs):
            channels = put_out[source] if source >= 0 else None
            if not layout.is_raw(state) and choice.matched[state]:
                path = (collection, f"{name}_input_{state}")
                yield from _module(path, path, variables, channels)
            if layout.has_base(state):
                path = (collection, f"{name}_input_base")
                yield from _module(path, path, variables, None)
        for state in np.flatnonzero(np.asarray(choice.outputs)).tolist():
            if layout.output_match(state) is not None:
                child = (collection, f"{name}_output_{state}")
                yield from _module((collection, name, f"output_{state}"), child, variables, None)
    rows = np.asarray(choice.rows)
    for slot, variant in enumerate(np.asarray(choice.variants).tolist()):
        edge = f"edge_{slot}_{layout.variants[variant].op}"
        yield from _row(layout, variant, int(rows[slot]), edge)


def _row(layout: BlockLayout, variant: int, row: int, built: str) -> Iterator[_Variable]:
    """The variables of an operation in a row of weights; `built` is what a network calls it."""
    name = f"block_{layout.index}"
    for leaf in layout.leaves(variant):
        collection = "batch_stats" if leaf.collection == "statistics" else "params"
        child = (collection, name, leaf.collection)
        yield _Variable((collection, name, built, *leaf.path), child, (row, leaf.part), leaf.shape)


def _all_parts(network: Child, shapes: Any) -> Iterator[_Variable]:
    """All variables of shared weights."""
    with_rows = {f"block_{layout.index}" for layout in network.layouts}
    for collection, modules in shapes.items():
        for name in modules:
            if name not in with_rows:
                yield from _module((collection, name), (collection, name), shapes, None)
    for layout in network.layouts:
        for slot, state in np.argwhere(layout.row_table >= 0).tolist():
            for variant in sorted(set(layout.variant_table[state].ravel().tolist())):
                row = int(layout.row_table[slot, state])
                yield from _row(layout, variant, row, f"from_{state}")


def _module(
    built: KeyPath, child: KeyPath, variables: Any, channels: np.ndarray | None
) -> Iterator[_Variable]:
    """The variables of a module that both have, of its kernels the rows of some input channels."""
    tree = _leaf(variables, child)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        inner = tuple(part.key for part in path)
        index: Any = ...
        shape = leaf.shape
        if channels is not None and inner[-1] == "kernel":
            index = (..., channels, slice(None))
            shape = (*shape[:-2], len(channels), shape[-1])
        yield _Variable((*built, *inner), (*child, *inner), index, shape)
