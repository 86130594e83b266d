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
from jaxnas.spaces.families import Family
from jaxnas.spaces.genotype import Block, Genotype

COLLECTIONS: tuple[str, ...] = ("kernel", "norm", "statistics")
"""The three parts of a slot's row: kernels, batch norms' scales and biases, their statistics."""


class Choice(NamedTuple):
    """What a block of the network does, as arrays: the genotype as an input.

    Attributes:
      variants: int32 [slots], which of the block's `variants`.
      sources: int32 [slots, pools], place of the operand in its pool; 0 in the others.
      offsets: int32 [slots], the first channel of the block's value that the operand is added to.
      outputs: float32 [states], 1 for those that the cell puts out.
      matched: int32 [2], 1 where an input passes a convolution, 0 where it is taken as it is.
      taken: int32 [2, channels], the channels of an input that is taken as it is.
      rows: int32 [slots], the rows of weights, see `BlockLayout.row_table`.
    """

    variants: jax.Array
    sources: jax.Array
    offsets: jax.Array
    outputs: jax.Array
    matched: jax.Array
    taken: jax.Array
    rows: jax.Array


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


class RowPart(NamedTuple):
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
def leaves(variant: Variant, channels: int, style: Style) -> tuple[RowPart, ...]:
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
        found.append(RowPart(name[1:], collection, ends[collection], leaf.shape))
        ends[collection] += math.prod(leaf.shape)
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class BlockLayout:
    """A block of the network, for every cell that may stand there.

    Attributes:
      space: the cells.
      index: of the block in the network.
      style: of the network.
      shared: whether all cells share their weights: a slot then has a row for each state that it
        may read, and a row has a place for each operation. Else it has one row, and one place.
    """

    space: BlockCellSpace
    index: int
    style: Style
    shared: bool = False

    @functools.cached_property
    def network(self) -> Genotype:
        """Some network of the space, for what they have in common."""
        return self.space.decode(np.zeros(len(self.space.options), np.int32))

    @property
    def rules(self) -> Family:
        """What the networks of the space's family have in common."""
        return self.style.rules

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
    def inputs(self) -> tuple[int, int]:
        """The blocks that states 0 and 1 come from, see `Genotype.inputs_of`."""
        first, second = self.network.inputs_of(self.index)
        return first, second

    def is_raw(self, state: int) -> bool:
        """Whether an input is the stem's output as it is, with the stem's channels."""
        return self.rules.first_as_it_is and self.index == 0 and state != self.rules.newer

    @functools.cached_property
    def pools(self) -> tuple[Pool, ...]:
        """States by shape."""
        channels = self.block.channels
        widths = [self.network.stem if self.is_raw(state) else channels for state in range(2)]
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

    def leaves(self, variant: int) -> tuple[RowPart, ...]:
        """The variables of a variant, at their places in a row."""
        return self._leaves[variant]

    @functools.cached_property
    def _leaves(self) -> tuple[tuple[RowPart, ...], ...]:
        ends: dict[tuple[int, str], int] = {}
        found = []
        for variant in self.variants:
            own = leaves(variant, self.block.channels, self.style)
            if self.shared:  # behind those of the variants before it that the same row may serve
                starts = {each: ends.get((variant.pool, each), 0) for each in COLLECTIONS}
                own = tuple(
                    leaf._replace(start=leaf.start + starts[leaf.collection]) for leaf in own
                )
                ends |= {(variant.pool, leaf.collection): leaf.part.stop for leaf in own}
            found.append(own)
        return tuple(found)

    @property
    def rows(self) -> int:
        """How many rows of weights there are."""
        return int(self.row_table.max()) + 1

    @functools.cached_property
    def row_table(self) -> np.ndarray:
        """int32 [slots, states]: the row of a slot that reads a state; -1 if it cannot."""
        table = np.full((self.slots, self.states), -1, np.int32)
        count = 0
        for slot in range(self.slots):
            before = 2 + slot // 2
            if self.shared:
                table[slot, :before] = np.arange(count, count + before)
                count += before
            else:
                table[slot, :before] = slot
        return table

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

    @functools.cached_property
    def variant_table(self) -> np.ndarray:
        """int32 [states, 2, operations]: which of `variants` an operation is on a state, and on a
        block that concatenates."""
        operations = self.space.operations
        table = np.zeros((self.states, 2, len(operations)), np.int32)
        for state, wide in itertools.product(range(self.states), range(1 + self.space.combine)):
            index = self.pool_of(state)
            pool = self.pools[index]
            width = pool.width if state < 2 else self.block.channels * (1 + wide)
            for number, op in enumerate(operations):
                variant = Variant(op, index, width, pool.stride)
                table[state, wide, number] = self.variants.index(variant)
        return table

    @functools.cached_property
    def places(self) -> np.ndarray:
        """int32 [states, pools]: the place of a state in its pool; 0 in the others."""
        table = np.zeros((self.states, len(self.pools)), np.int32)
        for state in range(self.states):
            table[state, self.pool_of(state)] = self.place_of(state)
        return table

    @property
    def table(self) -> int:
        """Which of the space's tables stands here."""
        return min(int(self.block.cell == "reduction"), len(self.space.tables) - 1)

    def input_stride(self, state: int) -> int:
        """Stride of the convolution that an input passes: the older at the newer's size."""
        older = state != self.rules.newer
        return 2 if older and self.network.halves_older(self.index) else 1

    def may_take(self, state: int) -> bool:
        """Whether some cells before this one make an input fit without a convolution."""
        assert self.rules.fit is not None
        always = self.rules.fit[state != self.rules.newer] == "always"
        return not always and self.input_stride(state) == 1 and self.inputs[state] >= 0

    def has_base(self, state: int) -> bool:
        """Whether an input passes another convolution, as ENAS's newer one does."""
        return self.rules.base and state == self.rules.newer


@functools.cache
def layouts(space: BlockCellSpace, dtype: Any, shared: bool) -> tuple[BlockLayout, ...]:
    """The blocks of a space's networks, which are computed in `dtype`."""
    some = space.decode(np.zeros(len(space.options), np.int32))
    style = Style.of(some, dtype)
    return tuple(BlockLayout(space, index, style, shared) for index in range(len(some.blocks)))


def tree_of(row: dict[str, Any], of: tuple[RowPart, ...]) -> dict[str, Any]:
    """Variables of an operation out of a slot's row, ``params`` and ``batch_stats``."""
    tree: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for leaf in of:
        value = row[leaf.collection][leaf.part].reshape(leaf.shape)
        inner = tree["batch_stats" if leaf.collection == "statistics" else "params"]
        for name in leaf.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[leaf.path[-1]] = value
    return tree


def row_of(tree: dict[str, Any], row: dict[str, Any], of: tuple[RowPart, ...]) -> dict[str, Any]:
    """A slot's row with the values that `tree` has; the rest of it stays."""
    row = dict(row)
    for leaf in of:
        value: Any = tree.get("batch_stats" if leaf.collection == "statistics" else "params")
        for name in leaf.path:
            value = None if value is None else value[name]
        if value is not None:
            row[leaf.collection] = row[leaf.collection].at[leaf.part].set(value.reshape(-1))
    return row
