"""Spaces of complete cells: every node sees every earlier one, by any operation (DARTS, NAT)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import (
    NULL,
    Block,
    Cell,
    Edge,
    Genotype,
    GenotypeError,
    Node,
)
from jaxnas.spaces.zoo.darts import darts_network

DARTS_OPERATIONS = (
    NULL,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The eight of DARTS (Liu et al. 2019), in its order."""

TABLES = ("normal", "reduction")
"""The two cells of an architecture, in the order of the tables."""


@dataclasses.dataclass(frozen=True)
class CellSpace:
    """Pairs of cells in a network of DARTS's shape.

    Attributes:
      operations: what an edge may be, ``null`` for nothing; of the darts family.
      channels: of a node in the supernet's first cells.
      layers: number of the supernet's cells.
      nodes: of a cell, after its two inputs.

    Raises:
      ValueError: for an unknown or repeated operation, or a size that is not positive.
    """

    operations: tuple[str, ...]
    channels: int
    layers: int
    nodes: int = 4

    def __post_init__(self) -> None:
        for operation in self.operations:
            if operation not in FAMILIES["darts"].operations:
                raise ValueError(
                    f"unknown operation {operation!r}; the darts family knows "
                    f"{', '.join(sorted(FAMILIES['darts'].operations))}"
                )
        if not self.operations or len(set(self.operations)) < len(self.operations):
            raise ValueError(f"operations must be different ones, not {self.operations}")
        if min(self.channels, self.layers, self.nodes) < 1:
            raise ValueError(
                "channels, layers and nodes must be positive, "
                f"not {self.channels}, {self.layers} and {self.nodes}"
            )

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, target) of every edge of a cell, by target, then by source."""
        size = self.nodes + 2
        return tuple((source, target) for target in range(2, size) for source in range(target))

    @property
    def shape(self) -> tuple[int, int, int]:
        """[tables, edges, operations]."""
        return len(TABLES), len(self.edges), len(self.operations)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The supernet's cells at their channels and strides."""
        edge = [(NULL, 0, 2)]
        return self.genotype("skeleton", edge, edge).blocks

    def genotype(
        self,
        name: str,
        normal: Sequence[tuple[str, int, int]],
        reduction: Sequence[tuple[str, int, int]],
        *,
        outputs: tuple[Sequence[int], Sequence[int]] | None = None,
        channels: int | None = None,
        layers: int | None = None,
    ) -> Genotype:
        """A network of two cells.

        Args:
          name: of the genotype.
          normal: (operation, source, target) of each edge of the cells of stride 1.
          reduction: likewise of stride 2.
          outputs: of either cell the nodes that its output concatenates; all by default.
          channels: of a node in the first cells; the supernet's by default.
          layers: number of cells; the supernet's by default.
        """
        every = range(2, self.nodes + 2)
        cells = [
            Cell(
                table,
                2,
                (Node(),) * self.nodes,
                tuple(Edge(*edge) for edge in sorted(edges, key=lambda edge: edge[2])),
                tuple(output),
            )
            for table, edges, output in zip(
                TABLES, (normal, reduction), outputs or (every, every), strict=True
            )
        ]
        return darts_network(
            name,
            *cells,
            channels=channels or self.channels,
            layers=layers or self.layers,
        )

    def cells_of(self, genotype: Genotype) -> tuple[Cell, Cell]:
        """The normal and the reduction cell of a network of this space; one cell serves as both.

        Raises:
          GenotypeError: if it is no network of one or two kinds of cells, of this number of nodes
            and of these operations.
        """
        by_stride = {block.stride: genotype.cell(block.cell) for block in genotype.blocks}
        if genotype.family != "darts" or len(genotype.cells) > len(TABLES) or 1 not in by_stride:
            raise GenotypeError(
                f"{genotype.name} does not repeat a normal and a reduction cell of DARTS's family"
            )
        normal, reduction = by_stride[1], by_stride.get(2, by_stride[1])
        for cell in (normal, reduction):
            if len(cell.nodes) != self.nodes:
                raise GenotypeError(
                    f"cell {cell.name!r} of {genotype.name} has {len(cell.nodes)} nodes; "
                    f"the space has {self.nodes}"
                )
            for edge in cell.edges:
                if edge.op not in self.operations:
                    raise GenotypeError(
                        f"cell {cell.name!r} of {genotype.name}: {edge} is not in the space, whose "
                        f"operations are {', '.join(self.operations)}"
                    )
        return normal, reduction
