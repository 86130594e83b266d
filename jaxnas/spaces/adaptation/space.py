"""All networks that turn edges of a known one into nothing or an identity (PNAA, figure 1).

Every edge of the base keeps one of three choices: it disappears, becomes an identity, or stays.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import get_args

import numpy as np

from jaxnas.spaces.adaptation.cell_choices import (
    CANDIDATES,
    ID,
    NONE,
    SAME,
    between,
    block_candidates,
    canonical_choices,
    carrying,
    charge_deciding_edge,
    connect,
    connected,
    pruned,
    unique_choices,
    with_choices,
)
from jaxnas.spaces.adaptation.derivation import Derivation, Granularity
from jaxnas.spaces.genotype import NULL, Cell, Genotype
from jaxnas.spaces.space import Decision, Space, SpaceError


@dataclasses.dataclass(frozen=True)
class AdaptationSpace(Space):
    """All networks that turn edges of `base` into none or an identity.

    Attributes:
      base: the known network; its output must be reachable.
      granularity: ``cell``; ``full``; or ``block``, see `block_candidates`: blocks stay or go as a
        whole.

    Raises:
      ValueError: for another granularity, a block of the base whose output is unreachable, or where
        ``block`` leaves no choice or blocks have several inputs.
    """

    base: Genotype
    granularity: Granularity

    def __post_init__(self) -> None:
        if self.granularity not in (known := get_args(Granularity)):
            raise ValueError(
                f"granularity must be one of {', '.join(known)}, not {self.granularity!r}"
            )
        for index, cell in enumerate(self.base.placed_cells()):
            if not cell.connected():
                raise ValueError(
                    f"base {self.base.name!r}: the output of block {index} (cell {cell.name!r}) "
                    "cannot be reached from its input"
                )
        if self.granularity != "block":
            return
        if self.base.rules.inputs != 1 or self.base.rules.wiring != "chain":
            raise ValueError(
                f"granularity 'block' is for networks whose blocks have one input, such as ResNet "
                f"and MobileNetV2; {self.base.name!r} is of the {self.base.family} family"
            )
        if not self._free.any():
            raise ValueError(
                f"granularity 'block' leaves no choice: no block of {self.base.name!r} has a "
                "shortcut around its operations"
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
        if self.granularity != "cell":
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

    @functools.cached_property
    def possible(self) -> np.ndarray:
        """bool [tables, edges, 3]: False at padding and at what `granularity` rules out."""
        possible = np.repeat(self.valid[..., None], len(CANDIDATES), -1)
        if self.granularity == "block":
            for table, cell in enumerate(self.cells):
                possible[table, : len(cell.edges)] = block_candidates(cell)
        return possible

    @functools.cached_property
    def _free(self) -> np.ndarray:
        """bool [tables, edges]: the edges that a candidate decides."""
        return self.possible.sum(-1) > 1

    @functools.cached_property
    def _numbers(self) -> np.ndarray:
        """int32 [decisions, 3]: the choices that the options of each decision are, then -1."""
        possible = self.possible[self._free]
        numbers = np.argsort(~possible, -1, kind="stable")
        return np.where(np.take_along_axis(possible, numbers, -1), numbers, -1).astype(np.int32)

    @property
    def carries(self) -> np.ndarray:
        """bool [tables, edges, 3]: whether a candidate carries anything (none never does)."""
        carries = np.zeros(self.shape, bool)
        for table, cell in enumerate(self.cells):
            carries[table, : len(cell.edges)] = carrying(cell)
        return carries

    @property
    def nothing(self) -> np.ndarray:
        return self.possible & ~self.carries

    @property
    def name(self) -> str:
        return f"{self.base.name}_adapted_{self.granularity}"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        decisions = []
        for place, numbers in zip(np.argwhere(self._free).tolist(), self._numbers, strict=True):
            table, index = place
            count = self.possible[table, index].sum()
            options = tuple(CANDIDATES[number] for number in numbers[:count])
            edge = self.cells[table].edges[index]
            name = f"{self.table_names[table]}, edge {index} ({edge})"
            decisions.append(Decision(name, options, "edge"))
        return tuple(decisions)

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a table; where there is nothing to decide, one step decides that."""
        counts = self._free.sum(1).tolist()
        return tuple(itertools.accumulate(count for count in counts if count)) or (0,)

    @property
    def unique_size(self) -> int:
        if self.granularity == "block":
            return self.size
        return math.prod(map(unique_choices, self.cells))

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        array = np.array(candidates, np.int32)
        if self.granularity == "block":
            return array
        start = 0
        for cell in self.cells:
            part = array[..., start : start + len(cell.edges)]
            if part.shape[-1]:
                part[...] = canonical_choices(cell, part)
            start += len(cell.edges)
        return array

    def table(self, candidate: np.ndarray) -> np.ndarray:
        """The choices of a candidate int [decisions] in tables, int32 [tables, edges].

        Raises:
          SpaceError: see `complete`.
        """
        complete = self.complete(candidate)
        choices = self.base_choices()
        choices[self._free] = self._numbers[np.arange(len(complete)), complete]
        if self.granularity == "block":  # what fed a block that went is none
            for row, cell in zip(choices, self.cells, strict=True):
                row[: len(cell.edges)] = pruned(cell, row[: len(cell.edges)])
        return choices

    def candidate(self, choices: np.ndarray) -> np.ndarray:
        """int32 [decisions]: the candidate whose choices are int [tables, edges].

        An edge that went with its block decides nothing; its decision has the first option.
        """
        return (self._numbers == choices[self._free][:, None]).argmax(-1).astype(np.int32)

    def one_hot_gates(self, choices: np.ndarray) -> np.ndarray:
        """Gates float32 [blocks, edges, 3] of one architecture, `choices` int [tables, edges]."""
        return np.eye(len(CANDIDATES), dtype=np.float32)[choices[self.table_of_block]]

    def table_costs(self, block_costs: np.ndarray) -> np.ndarray:
        """Costs [blocks, edges, 3] summed over the blocks of each table: [tables, edges, 3].

        Where one edge decides of a whole block, it costs what goes with it and has no choice of its
        own; without it that costs nothing.
        """
        out = np.zeros(self.shape)
        np.add.at(out, self.table_of_block, block_costs)
        if self.granularity == "block":
            for cell, possible, costs in zip(self.cells, self.possible, out, strict=True):
                edges = len(cell.edges)
                charge_deciding_edge(cell, possible[:edges], costs[:edges])
        return out

    def base_choices(self) -> np.ndarray:
        """int32 [tables, edges]: the choices that give the base."""
        return np.where(self.valid, SAME, NONE).astype(np.int32)

    def decode(self, candidate: np.ndarray) -> Genotype:
        """The genotype of a complete candidate, int [decisions]. Blocks that agree share a cell.

        Raises:
          SpaceError: see `complete`.
        """
        return self.genotype(self.table(candidate))

    def genotype(self, choices: np.ndarray) -> Genotype:
        """The genotype of choices int [tables, edges]. Blocks that agree share a cell."""
        taken = {cell.name for cell in self.base.cells}
        variants: dict[Cell, str] = {}
        blocks = []
        changed = False
        for index, (block, cell, table) in enumerate(
            zip(self.base.blocks, self.base.placed_cells(), self.table_of_block, strict=True)
        ):
            variant = with_choices(cell, choices[table])
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
            name=self.name,
            cells=tuple(dataclasses.replace(cell, name=name) for cell, name in variants.items()),
            blocks=tuple(blocks),
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        choices = self.base_choices()
        placed = genotype.placed_cells()
        for cell, found, table in zip(
            self.base.placed_cells(), placed, self.table_of_block, strict=False
        ):
            for index, (edge, other) in enumerate(zip(cell.edges, found.edges, strict=False)):
                if other.op != edge.op:
                    choices[table, index] = NONE if other.op == NULL else ID
        candidate = self.candidate(choices)
        again = self.decode(candidate)
        graphs = [
            [(block.channels, block.stride, cell.edges) for block, cell in zip(*each, strict=True)]
            for each in ((again.blocks, again.placed_cells()), (genotype.blocks, placed))
        ]
        if graphs[0] != graphs[1]:
            raise SpaceError(
                f"{genotype.name!r} is no network that choices of {self.granularity!r} make of "
                f"{self.base.name!r}"
            )
        for field in ("family", "stem", "head", "stem_form", "activation", "epsilon", "auxiliary"):
            if getattr(again, field) != getattr(genotype, field):
                raise SpaceError(
                    f"{genotype.name} has {field} {getattr(genotype, field)!r}; networks of "
                    f"{self.name} have {getattr(again, field)!r}"
                )
        return candidate

    def connected(self, choices: np.ndarray) -> np.ndarray:
        """bool [tables]: whether each table's cell reaches its output under `choices`."""
        carried = np.take_along_axis(self.carries, choices[..., None], -1)[..., 0]
        return np.stack(
            [
                connected(cell, row[: len(cell.edges)])
                for cell, row in zip(self.cells, carried, strict=True)
            ]
        )

    def random(self, generator: np.random.Generator) -> Derivation:
        """Choices uniform over those whose every table reaches its output, then pruned."""
        choices = self.base_choices()
        open_tables = np.ones(len(choices), bool)
        while open_tables.any():
            drawn = np.where(self.valid, generator.integers(0, 3, choices.shape), NONE)
            while (barred := self.valid & ~self._allows(drawn)).any():
                drawn[barred] = generator.integers(0, 3, barred.sum())
            choices[open_tables] = drawn[open_tables]
            open_tables &= ~self.connected(choices)
        return self.derive(np.eye(3)[choices])

    def preferred(self, weights: np.ndarray) -> np.ndarray:
        return self.candidate(self.derive(weights).choices)

    def _allows(self, choices: np.ndarray) -> np.ndarray:
        """bool [tables, edges]: whether choices int [tables, edges] are possible."""
        return np.take_along_axis(self.possible, choices[..., None], -1)[..., 0]

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
        best = np.where(self.possible, theta, -np.inf).argmax(-1)
        choices = np.where(self.valid, best, NONE).astype(np.int32)
        dead = np.flatnonzero(~self.connected(choices))
        lost_edges = 0
        for table, cell in enumerate(self.cells):
            if table in dead:
                connect(cell, theta[table], choices[table])
            row = choices[table, : len(cell.edges)]
            carried = carrying(cell)[np.arange(len(row)), row]
            lost = ~between(cell, carried)
            lost_edges += int((carried & lost).sum())
            row[lost] = NONE
        repaired = tuple(self.table_names[table] for table in dead)
        return Derivation(choices, self.genotype(choices), repaired, lost_edges)
