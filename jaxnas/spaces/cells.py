"""Spaces of complete cells: every node sees every earlier one, by any operation (DARTS, NAT)."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

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
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.symmetry.blocks import first_forms, unique_cells
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


_STATES = ("cell before", "last cell")
_MOST_NODES = 7  # whose 5,040 orders `canonical` goes through
_WIDTH = 3  # decisions of a node


@functools.lru_cache
def _pairs(states: int) -> np.ndarray:
    """int [pairs, 2]: pairs of different states, in both orders; those of early states first."""
    return np.array(
        [
            pair
            for high in range(states)
            for low in range(high)
            for pair in ((low, high), (high, low))
        ]
    )


def _place(one: Any, other: Any) -> Any:
    """The place of a pair of states in `_pairs`; numbers or arrays."""
    high, low = np.maximum(one, other), np.minimum(one, other)
    return high * (high - 1) + 2 * low + (one > other)


@dataclasses.dataclass(frozen=True)
class CellSpace(Space):
    """Pairs of cells in a network of DARTS's shape.

    A node decides which two different states it reads, and by which operation each. Its two edges
    may change places and the nodes their numbers without changing the network: of canonical
    candidates none is earlier in order. A table of architecture parameters weighs every operation
    on the edge from every state.

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
        if set(self.operations) == {NULL}:
            raise ValueError(f"operations must name one other than {NULL}")
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
    def carrying(self) -> tuple[str, ...]:
        """The operations other than null, from which a node chooses."""
        return tuple(name for name in self.operations if name != NULL)

    @property
    def name(self) -> str:
        return "darts"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        decisions = []
        for table, node in itertools.product(TABLES, range(self.nodes)):
            states = (*_STATES, *(f"node {index + 1}" for index in range(node)))
            inputs = tuple(f"{states[one]}, {states[two]}" for one, two in _pairs(len(states)))
            place = f"{table}, node {node + 1}"
            decisions.append(Decision(f"{place}, inputs", inputs, "inputs"))
            for which in ("first", "second"):
                decisions.append(
                    Decision(f"{place}, {which} operation", self.carrying, "operation")
                )
        return tuple(decisions)

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a node, those of the normal cell before those of the other."""
        return tuple(range(_WIDTH, len(self.decisions) + 1, _WIDTH))

    @property
    def unique_size(self) -> int:
        return unique_cells(self.nodes, len(self.carrying), distinct=True) ** len(TABLES)

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        """One candidate for all that mean the same network, see `Space.canonical`.

        Raises:
          SpaceError: if cells have more nodes than have their orders gone through.
        """
        if self.nodes > _MOST_NODES:
            raise SpaceError(f"cells of more than {_MOST_NODES} nodes have no canonical form")
        array = np.asarray(candidates, np.int32)
        flat = array.reshape(-1, array.shape[-1] // _WIDTH, _WIDTH)
        tables = [
            self._least(flat[:, start : start + self.nodes])
            for start in range(0, flat.shape[1], self.nodes)
        ]
        return np.concatenate(tables, 1).reshape(array.shape)

    def decode(self, candidate: np.ndarray) -> Genotype:
        tables = self.complete(candidate).reshape(len(TABLES), self.nodes, _WIDTH)
        cells = [
            [
                (self.carrying[operation], source, target)
                for target, (pair, *operations) in enumerate(table.tolist(), start=2)
                for source, operation in zip(_pairs(target)[pair].tolist(), operations, strict=True)
            ]
            for table in tables
        ]
        return self.genotype(self.name, *cells)

    def encode(self, genotype: Genotype) -> np.ndarray:
        try:
            cells = self.cells_of(genotype)
        except GenotypeError as error:
            raise SpaceError(str(error)) from error
        rows = []
        for cell, target in itertools.product(cells, range(2, self.nodes + 2)):
            into = [edge for edge in cell.edges if edge.target == target]
            sources = [edge.source for edge in into]
            if len(set(sources)) != 2 or len(into) != 2 or any(edge.op == NULL for edge in into):
                raise SpaceError(
                    f"cell {cell.name!r} of {genotype.name}: node {target} does not read two "
                    "different states"
                )
            rows.append([_place(*sources), *(self.carrying.index(edge.op) for edge in into)])
        candidate = np.array(rows, np.int32).ravel()
        if self.decode(candidate) != dataclasses.replace(genotype, name=self.name):
            raise SpaceError(
                f"{genotype.name} has cells of {self.name}, but not its {self.layers} layers and "
                f"{self.channels} channels"
            )
        return candidate

    @property
    def shape(self) -> tuple[int, int, int]:
        """[tables, edges, operations]."""
        return len(TABLES), len(self.edges), len(self.operations)

    @property
    def possible(self) -> np.ndarray:
        return np.ones(self.shape, bool)

    @property
    def nothing(self) -> np.ndarray:
        """bool [tables, edges, operations]: True at null."""
        return np.broadcast_to([name == NULL for name in self.operations], self.shape)

    def preferred(self, weights: np.ndarray) -> np.ndarray:
        """The candidate of two edges into every node, as DARTS derives it.

        An edge is as strong as its largest weight but for null's, and gets that operation. A node
        keeps its two strongest edges, the stronger first; equally strong ones in the order of
        `edges`.

        Args:
          weights: float [tables, edges, operations].

        Returns:
          int32 [decisions].
        """
        carrying = weights[..., ~self.nothing[0, 0]]
        strength, operations = carrying.max(-1), carrying.argmax(-1)
        rows = []
        for table, target in itertools.product(range(len(TABLES)), range(2, self.nodes + 2)):
            into = [index for index, edge in enumerate(self.edges) if edge[1] == target]
            kept = sorted(into, key=lambda index: -strength[table, index])[:2]
            sources = [self.edges[index][0] for index in kept]
            rows.append([_place(*sources), *operations[table, kept]])
        return np.array(rows, np.int32).ravel()

    @functools.cached_property
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

    def _least(self, cells: np.ndarray) -> np.ndarray:
        """The first form in order of each of `cells`, int32 [n, some nodes, 3]."""
        count = cells.shape[1]
        inputs = np.stack([_pairs(node + 2)[cells[:, node, 0]] for node in range(count)], 1)
        number = len(self.carrying)
        keys = first_forms(inputs, cells[..., 1:], None, number, interleaved=False)
        radices = [size for node in range(count) for size in (node + 2, node + 2, number, number)]
        forms = np.stack(np.unravel_index(keys, radices), 1).reshape(len(cells), count, 4)
        pairs = _place(forms[..., 0], forms[..., 1])
        return np.concatenate([pairs[..., None], forms[..., 2:]], -1).astype(np.int32)
