"""Cells of blocks that join two operands: NASNet, PNAS and ENAS's micro space.

A block takes two states (inputs or earlier blocks), puts each through an operation and joins the
results. Operands may change places and blocks their numbers (`spaces.symmetry.blocks`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import Any, Literal

import numpy as np

from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import SKIP, Cell, Edge, Genotype, Node
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.symmetry.blocks import first_forms, unique_cells
from jaxnas.spaces.zoo.enas import enas_micro_network
from jaxnas.spaces.zoo.nasnet import nasnet_network

NASNET_OPERATIONS = (
    SKIP,
    "conv_1x3_3x1",
    "conv_1x7_7x1",
    "dil_conv_3x3",
    "avg_pool_3x3",
    "max_pool_3x3",
    "max_pool_5x5",
    "max_pool_7x7",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
)
"""The 13 of Zoph et al. 2018, section 3, in its order."""

PNAS_OPERATIONS = (
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "conv_1x7_7x1",
    SKIP,
    "avg_pool_3x3",
    "max_pool_3x3",
    "dil_conv_3x3",
)
"""The eight of Liu et al. 2018."""

ENAS_OPERATIONS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", SKIP)
"""The five of Pham et al. 2018, in the order of the authors' code."""

COMBINE = ("add", "concat")

_CELLS = ("normal", "reduction")
_SIDES = ("left", "right")
_MOST_BLOCKS = 7  # 5,040 orders of the blocks


@dataclasses.dataclass(frozen=True)
class BlockCellSpace(Space):
    """Cells of blocks in a network of NASNet's or ENAS's shape.

    Attributes:
      title: the space's name.
      family: ``nasnet`` or ``enas``; says what operations mean and which input is which.
      operations: to choose from.
      blocks: of a cell, 1 to 7.
      tables: names of the cells that are searched: two for the normal and the reduction cell, one
        for a cell that serves as both. With one, the reductions take the place of normal cells, as
        in PNASNet.
      channels: of a node in the first cells.
      cell_count: number of cells as `zoo.nasnet_network` (``normal_cells``) or
        `zoo.enas_micro_network` count them.
      output: whether a cell concatenates the ``unused`` states, its inputs among them, or ``all``
        blocks.
      combine: whether each block chooses how it joins its operands: their sum, or their
        concatenation, which is twice as wide until the next operation narrows it.
      interleaved: whether an operand's operation is decided right after its input (ENAS) or after
        both inputs (NASNet, PNAS).

    Raises:
      ValueError: for an unknown or repeated operation, a size that is not positive, or cells too
        many to be numbered in 63 bits.
    """

    title: str
    family: Literal["nasnet", "enas"]
    operations: tuple[str, ...]
    blocks: int
    tables: tuple[str, ...]
    channels: int
    cell_count: int
    output: Literal["unused", "all"] = "unused"
    combine: bool = False
    interleaved: bool = False

    def __post_init__(self) -> None:
        for operation in self.operations:
            if operation not in FAMILIES[self.family].operations:
                raise ValueError(
                    f"unknown operation {operation!r}; the {self.family} family knows "
                    f"{', '.join(sorted(FAMILIES[self.family].operations))}"
                )
        if not self.operations or len(set(self.operations)) < len(self.operations):
            raise ValueError(f"operations must be different ones, not {self.operations}")
        if not 1 <= self.blocks <= _MOST_BLOCKS:
            raise ValueError(f"blocks must be 1 to {_MOST_BLOCKS}, not {self.blocks}")
        if min(self.channels, self.cell_count) < 1:
            raise ValueError(
                "channels and cell_count must be positive, "
                f"not {self.channels} and {self.cell_count}"
            )
        if math.prod(self.options[: self.blocks * self._width].tolist()) >= 1 << 63:
            raise ValueError(
                f"cells of {self.blocks} blocks and {len(self.operations)} operations are too "
                "many; take fewer of either"
            )

    @property
    def name(self) -> str:
        return self.title

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        decisions = []
        for table, block in itertools.product(self.tables, range(self.blocks)):
            newest_first = FAMILIES[self.family].newest_first
            inputs = ("last cell", "cell before")[:: 1 if newest_first else -1]
            states = (*inputs, *(f"block {i + 1}" for i in range(block)))
            place = f"{table}, block {block + 1}"
            inputs = [Decision(f"{place}, {side} input", states, "input") for side in _SIDES]
            operations = [
                Decision(f"{place}, {side} operation", self.operations, "operation")
                for side in _SIDES
            ]
            if self.interleaved:
                decisions += [inputs[0], operations[0], inputs[1], operations[1]]
            else:
                decisions += inputs + operations
            if self.combine:
                decisions.append(Decision(f"{place}, combination", COMBINE, "combination"))
        return tuple(decisions)

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a block, those of the first table before those of the second."""
        blocks = len(self.tables) * self.blocks
        return tuple(self._width * (block + 1) for block in range(blocks))

    @property
    def unique_size(self) -> int:
        cells = unique_cells(self.blocks, len(self.operations), self.combine)
        return cells ** len(self.tables)

    def of_length(self, decisions: int) -> BlockCellSpace:
        """The space of cells of so many decisions: with fewer blocks, where there is one table.

        Raises:
          SpaceError: if no cells of this space have so many.
        """
        blocks, rest = divmod(decisions, self._width * len(self.tables))
        if blocks == self.blocks and not rest:
            return self
        if rest or not 1 <= blocks < self.blocks or len(self.tables) > 1:
            raise SpaceError(f"{self.name} has no networks of {decisions} decisions")
        return dataclasses.replace(self, blocks=blocks)

    def cells(self, candidate: np.ndarray) -> tuple[Cell, Cell]:
        """The normal and the reduction cell of a complete candidate, for networks of any size.

        Raises:
          SpaceError: see `validate`; or if it is partial.
        """
        parts = self.parts(self.complete(candidate))
        found = [self._cell(name, *table) for name, table in zip(_CELLS, parts, strict=False)]
        return found[0], dataclasses.replace(found[-1], name=_CELLS[1])

    def parts(self, candidate: Any) -> list[tuple[Any, Any, Any]]:
        """A complete candidate by its tables, as arrays of NumPy or JAX, whichever it is.

        Args:
          candidate: int [decisions], valid.

        Returns:
          of each table the inputs (states) and the operations, int [blocks, 2], and where a block
          concatenates, bool [blocks].
        """
        tables = candidate.reshape(len(self.tables), self.blocks, self._width)
        inputs, operations = (np.array(columns) for columns in self._columns)
        never = np.zeros(self.blocks, bool)
        return [
            (table[:, inputs], table[:, operations], table[:, 4] == 1 if self.combine else never)
            for table in tables
        ]

    def decode(self, candidate: np.ndarray) -> Genotype:
        normal, reduction = self.cells(candidate)
        if self.family == "enas":
            return enas_micro_network(
                self.name,
                normal,
                reduction,
                channels=self.channels,
                cell_count=self.cell_count,
            )
        return nasnet_network(
            self.name,
            normal,
            reduction,
            filters=self.channels,
            normal_cells=self.cell_count,
            stack="cifar",
            stem=3 * self.channels,
            in_place=len(self.tables) == 1,
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        cells = {cell.name: cell for cell in genotype.cells}
        if set(cells) != set(_CELLS):
            raise SpaceError(
                f"{genotype.name} has no normal and reduction cell, as networks of {self.name} do"
            )
        candidate = self.encode_cells(cells["normal"], cells["reduction"])
        decoded = self.decode(candidate)
        for cell in decoded.cells:
            found = cells[cell.name]
            if found.output != cell.output:
                raise SpaceError(
                    f"cell {cell.name!r} of {genotype.name} puts out states {found.output}; in "
                    f"{self.name} it would be {cell.output}"
                )
        if decoded != dataclasses.replace(genotype, name=self.name):
            raise SpaceError(
                f"{genotype.name} has cells of {self.name}, but not its family, number of cells "
                "and channels"
            )
        return candidate

    def encode_cells(self, normal: Cell, reduction: Cell) -> np.ndarray:
        """int32 [decisions]: what `cells` makes these cells of, but for what they put out.

        That follows from the candidate by the space's rule, and published cells break it: both of
        NASNet-A's put out a state that they also use.

        Raises:
          SpaceError: if they are not made of the space's blocks and operations.
        """
        cells = (normal, reduction)[: len(self.tables)]
        return np.array([self._read(cell) for cell in cells], np.int32).ravel()

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        array = np.asarray(candidates, np.int32)
        flat = array.reshape(-1, array.shape[-1])
        of_table = self.blocks * self._width
        tables = [
            self._least(flat[:, start : start + of_table])
            for start in range(0, flat.shape[1], of_table)
        ]
        return np.concatenate(tables, 1).reshape(array.shape)

    @property
    def _width(self) -> int:
        """Decisions of a block."""
        return 5 if self.combine else 4

    @property
    def _columns(self) -> tuple[list[int], list[int]]:
        """Where in a block's decisions its inputs and its operations stand."""
        return ([0, 2], [1, 3]) if self.interleaved else ([0, 1], [2, 3])

    def _cell(
        self, name: str, inputs: np.ndarray, operations: np.ndarray, concat: np.ndarray
    ) -> Cell:
        """The cell of a table's `parts`."""
        edges = tuple(
            Edge(self.operations[operation], source, target)
            for target, block in enumerate(
                zip(inputs.tolist(), operations.tolist(), strict=True), start=2
            )
            for source, operation in zip(*block, strict=True)
        )
        nodes = tuple(Node(concat=each) for each in concat.tolist())
        used = set() if self.output == "all" else {edge.source for edge in edges}
        first = 2 if self.output == "all" else 0
        output = tuple(state for state in range(first, 2 + len(nodes)) if state not in used)
        return Cell(name, 2, nodes, edges, output)

    def _read(self, cell: Cell) -> list[list[int]]:
        """The decisions of a cell's blocks.

        Raises:
          SpaceError: if it has not so many blocks of two operands, or another operation.
        """
        targets = [edge.target for edge in cell.edges]
        if targets != [2 + index // 2 for index in range(2 * self.blocks)]:
            raise SpaceError(
                f"cell {cell.name!r} is not made of {self.blocks} blocks of two operands"
            )
        blocks = []
        for left, right, node in zip(cell.edges[::2], cell.edges[1::2], cell.nodes, strict=True):
            for edge in (left, right):
                if edge.op not in self.operations:
                    raise SpaceError(
                        f"cell {cell.name!r}: {edge.op!r} is no operation of {self.name}, which "
                        f"has {', '.join(self.operations)}"
                    )
            inputs = [left.source, right.source]
            operations = [self.operations.index(edge.op) for edge in (left, right)]
            if self.interleaved:
                block = [inputs[0], operations[0], inputs[1], operations[1]]
            else:
                block = inputs + operations
            blocks.append(block + [int(node.concat)] * self.combine)
        return blocks

    def _least(self, cells: np.ndarray) -> np.ndarray:
        """The first form in order of each of `cells`, int32 [n, decisions of some blocks]."""
        blocks = cells.reshape(len(cells), cells.shape[1] // self._width, self._width)
        inputs, operations = (blocks[..., columns] for columns in self._columns)
        combinations = blocks[..., 4] if self.combine else None
        number = len(self.operations)
        keys = first_forms(inputs, operations, combinations, number, self.interleaved)
        radices = self.options[: cells.shape[1]].tolist()
        return np.stack(np.unravel_index(keys, radices), 1).astype(np.int32)


def nasnet_space(
    blocks: int = 5, *, combine: bool = True, channels: int = 24, cell_count: int = 6
) -> BlockCellSpace:
    """The space of NASNet (Zoph et al. 2018, section 3): normal and reduction cell.

    Args:
      blocks: of a cell.
      combine: whether a block chooses between sum and concatenation.
      channels: of a node in the first cells; the paper does not say the search's.
      cell_count: number of normal cells, 6 in the paper's search; two reductions are added.

    Raises:
      ValueError: see `BlockCellSpace`.
    """
    return BlockCellSpace(
        title="nasnet",
        family="nasnet",
        operations=NASNET_OPERATIONS,
        blocks=blocks,
        tables=_CELLS,
        channels=channels,
        cell_count=cell_count,
        combine=combine,
    )


def pnas_space(blocks: int = 5, *, channels: int = 24, cell_count: int = 6) -> BlockCellSpace:
    """The space of PNAS (Liu et al. 2018): one cell, whose blocks are all concatenated.

    Args:
      blocks: of a cell.
      channels: of a node in the first cells.
      cell_count: number of cells, two of them of stride 2.

    Raises:
      ValueError: see `BlockCellSpace`.
    """
    return BlockCellSpace(
        title="pnas",
        family="nasnet",
        operations=PNAS_OPERATIONS,
        blocks=blocks,
        tables=("cell",),
        channels=channels,
        cell_count=cell_count,
        output="all",
    )


def enas_micro_space(blocks: int = 5, *, channels: int = 20, cell_count: int = 6) -> BlockCellSpace:
    """ENAS's micro space (Pham et al. 2018): normal and reduction cell.

    Args:
      blocks: number of blocks in a cell; the paper counts the two inputs as well and says 7.
      channels: channels of a node in the first cells.
      cell_count: number of normal cells; two reductions are added.

    Raises:
      ValueError: see `BlockCellSpace`.
    """
    return BlockCellSpace(
        title="enas_micro",
        family="enas",
        operations=ENAS_OPERATIONS,
        blocks=blocks,
        tables=_CELLS,
        channels=channels,
        cell_count=cell_count,
        interleaved=True,
    )
