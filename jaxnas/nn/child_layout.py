"""Where things stand in a child network: its states, its variants of operations, its variables.

Plain data of a space of block cells, which `children` computes with. A state is an input of a cell
or the value of a block; a slot is one operand of a block, and its row of weights serves whichever
operation stands there.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.operations import Op, Style
from jaxnas.spaces.block_cells import BlockCellSpace
from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype

COLLECTIONS: tuple[str, ...] = ("kernel", "norm", "statistics")
"""The three parts of a slot's row: kernels, batch norms' scales and biases, their statistics."""


class Choice(NamedTuple):
    """What a block of the network does, as arrays: the genotype as an input.

    Attributes:
      variants: int32 [slots], which of the block's `variants`.
      sources: int32 [slots, pools], place of the operand in its pool; 0 in the others.
      offsets: int32 [slots], the first channel of the block's value that the operand is added to.
      outputs: float32 [states], 1 for those that the cell puts out.
      matched: int32 scalar, 1 where the older input passes a convolution, 0 where it is taken as
        it is.
      taken: int32 [channels], the channels of the older input that are taken as it is.
    """

    variants: jax.Array | np.ndarray
    sources: jax.Array | np.ndarray
    offsets: jax.Array | np.ndarray
    outputs: jax.Array | np.ndarray
    matched: jax.Array | np.ndarray
    taken: jax.Array | np.ndarray


class Pool(NamedTuple):
    """States of one shape, which are kept in one array.

    Attributes:
      states: their numbers.
      width: their channels, those of the widest.
      stride: of the operations on them: the block's, or 1 behind it.
    """

    states: tuple[int, ...]
    width: int
    stride: int


class Variant(NamedTuple):
    """An operation on operands of one shape.

    Attributes:
      op: its name.
      pool: index of the operand's pool.
      width: channels of the operand.
      stride: 1 or 2.
    """

    op: str
    pool: int
    width: int
    stride: int


class Leaf(NamedTuple):
    """A variable of an operation.

    Attributes:
      path: such as ``("conv", "kernel")``.
      collection: of `COLLECTIONS`.
      start: where it begins in the slot's row.
      shape: of the variable.
    """

    path: tuple[str, ...]
    collection: str
    start: int
    shape: tuple[int, ...]

    @property
    def part(self) -> slice:
        """Its place in the row."""
        return slice(self.start, self.start + math.prod(self.shape))


@functools.cache
def leaves(variant: Variant, channels: int, style: Style) -> tuple[Leaf, ...]:
    """The variables of a variant, one behind the other in each part of a slot's row.

    All variants begin at 0: a child needs but one of them.
    """
    module = Op(variant.op, channels, variant.stride, style)
    image = jax.ShapeDtypeStruct((1, 8, 8, variant.width), jnp.float32)
    shapes = jax.eval_shape(lambda key, x: module.init(key, x, False), jax.random.key(0), image)
    found = []
    ends = dict.fromkeys(COLLECTIONS, 0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        name = tuple(part.key for part in path)
        if name[0] == "batch_stats":
            collection = "statistics"
        else:
            collection = "kernel" if name[-1] == "kernel" else "norm"
        found.append(Leaf(name[1:], collection, ends[collection], leaf.shape))
        ends[collection] += math.prod(leaf.shape)
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class BlockLayout:
    """A block of the network, for every cell that may stand there.

    Attributes:
      space: the cells.
      index: of the block in the network.
      style: of the network.
    """

    space: BlockCellSpace
    index: int
    style: Style

    @functools.cached_property
    def network(self) -> Genotype:
        """Some network of the space, for what they have in common."""
        return self.space.decode(np.zeros(len(self.space.options), np.int32))

    @property
    def block(self) -> Block:
        return self.network.blocks[self.index]

    @property
    def slots(self) -> int:
        return 2 * self.space.blocks

    @property
    def states(self) -> int:
        return 2 + self.space.blocks

    @property
    def first_is_raw(self) -> bool:
        """Whether the older input is the stem's output as it is, with the stem's channels."""
        return self.index == 0

    @functools.cached_property
    def pools(self) -> tuple[Pool, ...]:
        """States by shape."""
        channels = self.block.channels
        widths = [channels, self.network.stem if self.first_is_raw else channels]
        widths += [channels * (1 + self.space.combine)] * self.space.blocks
        strides = [self.block.stride] * 2 + [1] * self.space.blocks
        shapes = list(zip(widths, strides, strict=True))
        return tuple(
            Pool(tuple(s for s in range(self.states) if shapes[s] == shape), *shape)
            for shape in dict.fromkeys(shapes)
        )

    def pool_of(self, state: int) -> int:
        """Index of the pool that a state is in."""
        return next(index for index, pool in enumerate(self.pools) if state in pool.states)

    def place_of(self, state: int) -> int:
        """Where a state is in its pool."""
        return self.pools[self.pool_of(state)].states.index(state)

    @functools.cached_property
    def variants(self) -> tuple[Variant, ...]:
        """Every operation on every shape of operand."""
        shapes = []
        for index, pool in enumerate(self.pools):
            narrow = self.space.combine and pool.states[-1] >= 2
            widths = {self.block.channels, pool.width} if narrow else {pool.width}
            shapes += [(index, width, pool.stride) for width in sorted(widths)]
        return tuple(
            Variant(op, *shape) for shape, op in itertools.product(shapes, self.space.operations)
        )

    def leaves(self, variant: int) -> tuple[Leaf, ...]:
        """See `leaves`."""
        return leaves(self.variants[variant], self.block.channels, self.style)

    @functools.cached_property
    def row(self) -> dict[str, int]:
        """Length of each part of a slot's row: what the largest variant needs."""
        sizes = dict.fromkeys(COLLECTIONS, 0)
        for variant in range(len(self.variants)):
            for leaf in self.leaves(variant):
                sizes[leaf.collection] = max(sizes[leaf.collection], leaf.part.stop)
        return sizes

    @property
    def output_widths(self) -> tuple[int, ...]:
        """Channels that each state has in the cell's output, if it is put out and at its widest."""
        channels = self.block.channels
        return (channels,) * 2 + (channels * (1 + self.space.combine),) * self.space.blocks

    def output_match(self, state: int) -> int | None:
        """Stride of the convolution that an input passes on its way out; None if it needs none."""
        if state >= 2:
            return None
        pool = self.pools[self.pool_of(state)]
        fits = pool.stride == 1 and pool.width == self.block.channels
        return None if fits else pool.stride

    def cell(self, genotype: Genotype) -> Cell:
        """The cell of a genotype that stands here."""
        return genotype.cell(self.block.cell)

    def variant_of(self, cell: Cell, edge: Edge) -> int:
        """Which of `variants` an edge of a cell is."""
        index = self.pool_of(edge.source)
        pool = self.pools[index]
        width = pool.width if edge.source < 2 else self.block_width(cell, edge.source)
        return self.variants.index(Variant(edge.op, index, width, pool.stride))

    def block_width(self, cell: Cell, state: int) -> int:
        """Channels of a block's value."""
        return self.block.channels * (1 + cell.nodes[state - 2].concat)

    def output_channels(self, genotype: Genotype) -> np.ndarray:
        """int [channels that are put out]: their places in the output of every state."""
        cell = self.cell(genotype)
        starts = np.cumsum((0, *self.output_widths))
        found = []
        for state in cell.output:
            width = self.block.channels if state < 2 else self.block_width(cell, state)
            found.append(starts[state] + np.arange(width))
        return np.concatenate(found)

    @property
    def older_stride(self) -> int:
        """Stride of the convolution that the older input passes."""
        newer, older = self.network.inputs_of(self.index)
        blocks = self.network.blocks[max(older + 1, 0) : newer + 1]
        return 2 if any(block.stride == 2 for block in blocks) else 1

    @property
    def may_take_older(self) -> bool:
        """Whether some cells before this one make the older input fit without a convolution."""
        return self.older_stride == 1 and self.network.inputs_of(self.index)[1] >= 0


@functools.cache
def layouts(space: BlockCellSpace, style: Style) -> tuple[BlockLayout, ...]:
    """The blocks of a space's networks."""
    count = len(BlockLayout(space, 0, style).network.blocks)
    return tuple(BlockLayout(space, index, style) for index in range(count))


def choices(layouts: tuple[BlockLayout, ...], genotype: Genotype) -> tuple[Choice, ...]:
    """A genotype of the space as an input of the child network."""
    found = []
    for layout in layouts:
        cell, channels = layout.cell(genotype), layout.block.channels
        variants, sources, offsets = [], [], []
        for slot, edge in enumerate(cell.edges):
            variants.append(layout.variant_of(cell, edge))
            pool, place = layout.pool_of(edge.source), layout.place_of(edge.source)
            sources.append([place if pool == each else 0 for each in range(len(layout.pools))])
            offsets.append(channels if cell.nodes[slot // 2].concat and slot % 2 else 0)
        outputs = np.zeros(layout.states, np.float32)
        outputs[list(cell.output)] = 1
        taken = _taken(layouts, layout, genotype)
        found.append(
            Choice(
                np.array(variants, np.int32),
                np.array(sources, np.int32),
                np.array(offsets, np.int32),
                outputs,
                np.array(taken is None, np.int32),
                np.zeros(channels, np.int32) if taken is None else taken.astype(np.int32),
            )
        )
    return tuple(found)


def _taken(
    layouts: tuple[BlockLayout, ...], layout: BlockLayout, genotype: Genotype
) -> np.ndarray | None:
    """The channels of the older input that are taken as they are; None if it is convolved."""
    if not layout.may_take_older:
        return None
    older = layout.network.inputs_of(layout.index)[1]
    channels = layouts[older].output_channels(genotype)
    return channels if len(channels) == layout.block.channels else None


def tree_of(row: dict[str, Any], of: tuple[Leaf, ...]) -> dict[str, Any]:
    """Variables of an operation out of a slot's row, ``params`` and ``batch_stats``."""
    tree: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for leaf in of:
        value = row[leaf.collection][leaf.part].reshape(leaf.shape)
        inner = tree["batch_stats" if leaf.collection == "statistics" else "params"]
        for name in leaf.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[leaf.path[-1]] = value
    return tree


def row_of(tree: dict[str, Any], row: dict[str, Any], of: tuple[Leaf, ...]) -> dict[str, Any]:
    """A slot's row with the values that `tree` has; the rest of it stays."""
    row = dict(row)
    for leaf in of:
        value: Any = tree.get("batch_stats" if leaf.collection == "statistics" else "params")
        for name in leaf.path:
            value = None if value is None else value[name]
        if value is not None:
            row[leaf.collection] = row[leaf.collection].at[leaf.part].set(value.reshape(-1))
    return row
