"""The {none, id, same} space over a known network (PNAA, figure 1).

Every edge of the base keeps one of three choices: it disappears, becomes an identity, or stays.
Choices stand in tables of shape [tables, edges]: granularity ``cell`` has one table for each cell
of the genotype, shared by all blocks placed with it, ``full`` one for each block.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Literal, NamedTuple

import numpy as np

from jaxnas.spaces.genotype import NULL, SKIP, Cell, Genotype

NONE, ID, SAME = 0, 1, 2
"""The candidates, in the order of the paper's figure."""

CANDIDATES = ("none", "id", "same")

Granularity = Literal["cell", "full"]


class Derivation(NamedTuple):
    """An architecture read off architecture parameters.

    Attributes:
      choices: int32 [tables, edges], 0 none, 1 id, 2 same; padding is 0.
      genotype: the architecture.
      repaired: names of the tables whose arg max had left the output unreachable.
      pruned: number of edges set to none since they lay on no path from input to output.
      limited: whether a limit on the cost, and not the arg max, decided.
    """

    choices: np.ndarray
    genotype: Genotype
    repaired: tuple[str, ...]
    pruned: int
    limited: bool = False


def changes(base: Genotype, adapted: Genotype) -> str:
    """What became of the base's edges, in words, such as ``9 null edges became identities``.

    Args:
      base: the network.
      adapted: the network with other operations on some of its edges; of equal cells otherwise.
    """
    counts = collections.Counter(
        (before.op, after.op)
        for old, new in zip(base.placed_cells(), adapted.placed_cells(), strict=True)
        for before, after in zip(old.edges, new.edges, strict=True)
        if before.op != after.op
    )
    told = []
    for (old, new), count in counts.most_common():
        many = count > 1
        if old in _IDENTITIES:
            before = "identities" if many else "identity"
        else:
            before = f"{old} edges" if many else f"{old} edge"
        after = new
        if new in _IDENTITIES:
            after = "identities" if many else "an identity"
        told.append(f"{count} {before} became {after}")
    return ", ".join(told) or "none changed"


_IDENTITIES = (SKIP, "pad_shortcut")


@dataclasses.dataclass(frozen=True)
class AdaptationSpace:
    """All networks that turn edges of `base` into none or an identity.

    Attributes:
      base: the known network; its output must be reachable.
      granularity: ``cell`` or ``full``.

    Raises:
      ValueError: for another granularity, or a block of the base whose output is unreachable.
    """

    base: Genotype
    granularity: Granularity

    def __post_init__(self) -> None:
        if self.granularity not in ("cell", "full"):
            raise ValueError(f"granularity must be 'cell' or 'full', not {self.granularity!r}")
        for index, cell in enumerate(self.base.placed_cells()):
            if not cell.connected():
                raise ValueError(
                    f"base {self.base.name!r}: the output of block {index} (cell {cell.name!r}) "
                    "cannot be reached from its input"
                )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cell that each table is about."""
        return self.base.cells if self.granularity == "cell" else self.base.placed_cells()

    @property
    def table_names(self) -> tuple[str, ...]:
        """What a report calls each table."""
        if self.granularity == "cell":
            return tuple(cell.name for cell in self.cells)
        return tuple(f"block {i} ({cell.name})" for i, cell in enumerate(self.cells))

    @property
    def shape(self) -> tuple[int, int, int]:
        """[tables, edges of the largest cell, 3]."""
        return len(self.cells), max(len(cell.edges) for cell in self.cells), 3

    @property
    def table_of_block(self) -> np.ndarray:
        """int32 [blocks]: the table that each block reads."""
        if self.granularity == "full":
            return np.arange(len(self.base.blocks), dtype=np.int32)
        names = [cell.name for cell in self.base.cells]
        return np.array([names.index(block.cell) for block in self.base.blocks], np.int32)

    @property
    def valid(self) -> np.ndarray:
        """bool [tables, edges]: True where the base has an edge, False where there is padding."""
        valid = np.zeros(self.shape[:2], bool)
        for table, cell in enumerate(self.cells):
            valid[table, : len(cell.edges)] = True
        return valid

    @property
    def carries(self) -> np.ndarray:
        """bool [tables, edges, 3]: whether a candidate carries anything (none never does)."""
        carries = np.zeros(self.shape, bool)
        carries[..., ID] = self.valid
        for table, cell in enumerate(self.cells):
            for index, edge in enumerate(cell.edges):
                carries[table, index, SAME] = edge.op != NULL
        return carries

    def base_choices(self) -> np.ndarray:
        """int32 [tables, edges]: the choices that give the base."""
        return np.where(self.valid, SAME, NONE).astype(np.int32)

    def decode(self, choices: np.ndarray) -> Genotype:
        """The genotype of `choices`, int [tables, edges]. Blocks that agree share a cell.

        Raises:
          ValueError: for another shape, or an entry that is not 0, 1 or 2.
        """
        choices = np.asarray(choices)
        if choices.shape != self.shape[:2] or not np.isin(choices, (NONE, ID, SAME)).all():
            raise ValueError(
                f"choices must be {self.shape[:2]} of 0, 1 or 2; got shape {choices.shape}"
            )
        taken = {cell.name for cell in self.base.cells}
        variants: dict[Cell, str] = {}
        blocks = []
        changed = False
        for index, (block, cell, table) in enumerate(
            zip(self.base.blocks, self.base.placed_cells(), self.table_of_block, strict=True)
        ):
            variant = self._cell(cell, choices[table])
            changed |= variant != cell
            keeps_name = variant == cell or self.granularity == "cell"
            name = cell.name if keeps_name else f"{cell.name}_{index}"
            while not keeps_name and name in taken:
                name += "_"
            name = variants.setdefault(variant, name)
            blocks.append(dataclasses.replace(block, cell=name))
        if not changed:
            return self.base
        return dataclasses.replace(
            self.base,
            name=f"{self.base.name}_adapted_{self.granularity}",
            cells=tuple(dataclasses.replace(cell, name=name) for cell, name in variants.items()),
            blocks=tuple(blocks),
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        """int32 [tables, edges]: the choices that `decode` makes `genotype` of, but for its name.

        Raises:
          ValueError: if it is no network of this space.
        """
        choices = self.base_choices()
        placed = genotype.placed_cells()
        for cell, found, table in zip(
            self.base.placed_cells(), placed, self.table_of_block, strict=False
        ):
            for index, (edge, other) in enumerate(zip(cell.edges, found.edges, strict=False)):
                if other.op != edge.op:
                    choices[table, index] = NONE if other.op == NULL else ID
        again = self.decode(choices)
        graphs = [
            [(block.channels, block.stride, cell.edges) for block, cell in zip(*each, strict=True)]
            for each in ((again.blocks, again.placed_cells()), (genotype.blocks, placed))
        ]
        if graphs[0] != graphs[1]:
            raise ValueError(
                f"{genotype.name!r} is no network that choices of {self.granularity!r} make of "
                f"{self.base.name!r}"
            )
        return choices

    def connected(self, choices: np.ndarray) -> np.ndarray:
        """bool [tables]: whether each table's cell reaches its output under `choices`."""
        return np.array(
            [
                self._cell(cell, row).connected()
                for cell, row in zip(self.cells, choices, strict=True)
            ]
        )

    def random(self, generator: np.random.Generator) -> Derivation:
        """Choices uniform over those whose every table reaches its output, then pruned."""
        choices = self.base_choices()
        open_tables = np.ones(len(choices), bool)
        while open_tables.any():
            drawn = np.where(self.valid, generator.integers(0, 3, choices.shape), NONE)
            choices[open_tables] = drawn[open_tables]
            open_tables &= ~self.connected(choices)
        return self.derive(np.eye(3)[choices])

    def derive(self, theta: np.ndarray) -> Derivation:
        """The arg max of architecture parameters, never with a dead block.

        Where the arg max of a table leaves its output unreachable, the connected assignment with
        the largest sum of parameters is taken: the arg max, and on the path that costs least the
        better of id and same. Edges that then lie on no path to the output are set to none.

        Args:
          theta: float [tables, edges, 3].

        Raises:
          ValueError: for another shape, or a parameter that is not a number.
        """
        theta = np.asarray(theta, np.float64)
        if theta.shape != self.shape or np.isnan(theta).any():
            raise ValueError(f"theta must be numbers {self.shape}; got shape {theta.shape}")
        choices = np.where(self.valid, theta.argmax(-1), NONE).astype(np.int32)
        repaired = []
        pruned = 0
        for table, cell in enumerate(self.cells):
            if not self._cell(cell, choices[table]).connected():
                self._connect(cell, theta[table], choices[table])
                repaired.append(self.table_names[table])
            variant = self._cell(cell, choices[table])
            reached = variant.reached(tuple(range(cell.inputs)))
            useful = variant.useful()
            for index, edge in enumerate(variant.edges):
                if edge.source not in reached or edge.target not in useful:
                    pruned += edge.op != NULL
                    choices[table, index] = NONE
        return Derivation(choices, self.decode(choices), tuple(repaired), pruned)

    @staticmethod
    def _cell(cell: Cell, choices: np.ndarray) -> Cell:
        edges = tuple(
            dataclasses.replace(
                edge, op={NONE: NULL, ID: cell.identity(edge), SAME: edge.op}[int(choice)]
            )
            for edge, choice in zip(cell.edges, choices, strict=False)
        )
        return dataclasses.replace(cell, edges=edges)

    @staticmethod
    def _connect(cell: Cell, theta: np.ndarray, choices: np.ndarray) -> None:
        """Turns `choices` of one table into the best connected ones, in place.

        An edge costs what its row loses by carrying something: a shortest path from an input to
        an output in the order of the nodes.
        """
        size = cell.inputs + len(cell.nodes)
        distance = [0.0] * cell.inputs + [np.inf] * (size - cell.inputs)
        arrived: dict[int, int] = {}
        carrying = [
            ID if edge.op == NULL or row[ID] > row[SAME] else SAME
            for edge, row in zip(cell.edges, theta, strict=False)
        ]
        for index, edge in enumerate(cell.edges):
            row = theta[index]
            cost = distance[edge.source] + row.max() - row[carrying[index]]
            if cost < distance[edge.target]:
                distance[edge.target] = cost
                arrived[edge.target] = index
        node = min(cell.output, key=lambda each: distance[each])
        while node in arrived:
            index = arrived[node]
            choices[index] = carrying[index]
            node = cell.edges[index].source
