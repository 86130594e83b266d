"""Between the variables of a child and those of the network that its genotype is built as."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.child_layout import BlockLayout, Choice, choices
from jaxnas.nn.children import Child
from jaxnas.nn.init import abstract_variables, draw_kernels
from jaxnas.spaces.genotype import Genotype

Path = tuple[str, ...]


class _Part(NamedTuple):
    """A variable of the built network, and where the child has it.

    Attributes:
      built: its path, the collection first.
      child: the child's variable that holds it.
      index: its place there.
      shape: of the built network's.
    """

    built: Path
    child: Path
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
    return choices(network.layouts, network.space.decode(candidate))


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
    genotype = network.space.decode(candidate)
    hashable: Any = network
    shapes = _abstract(hashable, input_shape)
    parts = list(_parts(network, genotype, shapes))
    drawn = draw_kernels(
        key, {"/".join(part.built): part.shape for part in parts if part.built[-1] == "kernel"}
    )
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    for part in parts:
        match part.built[-1]:
            case "kernel":
                value = np.asarray(drawn["/".join(part.built)])
            case "scale" | "var":
                value = np.ones(part.shape, np.float32)
            case _:
                value = np.zeros(part.shape, np.float32)
        leaf = _leaf(variables, part.child)
        leaf[part.index] = value.reshape(leaf[part.index].shape)
    return jax.tree.map(jnp.asarray, variables)


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
    for part in _parts(network, network.space.decode(candidate), variables):
        inner = tree
        for name in part.built[:-1]:
            inner = inner.setdefault(name, {})
        inner[part.built[-1]] = _leaf(variables, part.child)[part.index].reshape(part.shape)
    return tree


@functools.cache
def _abstract(network: Child, input_shape: tuple[int, ...]) -> Any:
    some = child_choices(network, np.zeros(len(network.space.options), np.int32))
    return abstract_variables(network, input_shape, some)


def _leaf(tree: Any, path: Path) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _parts(network: Child, genotype: Genotype, variables: Any) -> Iterator[_Part]:
    """The variables of a genotype's network; `variables` are the child's, or their shapes."""
    for collection, modules in variables.items():
        for name in modules:
            if not name.startswith("block_"):
                channels = None
                if name == "classifier":
                    channels = network.layouts[-1].output_channels(genotype)
                yield from _module((collection, name), (collection, name), variables, channels)
    blocks = network.layouts
    for layout, choice in zip(blocks, choices(blocks, genotype), strict=True):
        yield from _block(network, layout, choice, genotype, variables)


def _block(
    network: Child, layout: BlockLayout, choice: Choice, genotype: Genotype, variables: Any
) -> Iterator[_Part]:
    name, cell = f"block_{layout.index}", layout.cell(genotype)
    sources = layout.network.inputs_of(layout.index)
    for collection in ("params", "batch_stats"):
        for which, source in enumerate(sources):
            if which == 1 and (layout.first_is_raw or not choice.matched):
                continue
            channels = network.layouts[source].output_channels(genotype) if source >= 0 else None
            path = (collection, f"{name}_input_{which}")
            yield from _module(path, path, variables, channels)
        for state in cell.output:
            if layout.output_match(state) is not None:
                child = (collection, f"{name}_output_{state}")
                yield from _module((collection, name, f"output_{state}"), child, variables, None)
    for slot, (edge, variant) in enumerate(zip(cell.edges, choice.variants, strict=True)):
        for leaf in layout.leaves(int(variant)):
            collection = "batch_stats" if leaf.collection == "statistics" else "params"
            built = (collection, name, f"edge_{slot}_{edge.op}", *leaf.path)
            child = (collection, name, leaf.collection)
            yield _Part(built, child, (slot, leaf.part), leaf.shape)


def _module(
    built: Path, child: Path, variables: Any, channels: np.ndarray | None
) -> Iterator[_Part]:
    """The variables of a module that both have, of its kernels the rows of some input channels."""
    tree = _leaf(variables, child)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        inner = tuple(part.key for part in path)
        index: Any = ...
        shape = leaf.shape
        if channels is not None and inner[-1] == "kernel":
            index = (..., channels, slice(None))
            shape = (*shape[:-2], len(channels), shape[-1])
        yield _Part((*built, *inner), (*child, *inner), index, shape)
