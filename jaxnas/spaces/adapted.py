"""The {none, id, same} space as a sequence of decisions, one for each edge of its tables."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math

import numpy as np

from jaxnas.spaces.adaptation import CANDIDATES, ID, NONE, SAME, AdaptationSpace
from jaxnas.spaces.genotype import NULL, Cell, Genotype
from jaxnas.spaces.space import Decision, Space, SpaceError


@dataclasses.dataclass(frozen=True)
class AdaptedSpace(Space):
    """All networks of an adaptation space.

    Canonical candidates have none on every edge that carries nothing: on null edges that stay, and
    on edges on no path from an input of their cell to its output. Where an edge of the base is an
    identity already, id is same.

    Attributes:
      space: tables of edges with three choices each.
    """

    space: AdaptationSpace

    @property
    def name(self) -> str:
        return f"{self.space.base.name}_adapted_{self.space.granularity}"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(f"{table}, edge {index} ({edge})", CANDIDATES, "edge")
            for table, cell in zip(self.space.table_names, self.space.cells, strict=True)
            for index, edge in enumerate(cell.edges)
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a table."""
        return tuple(itertools.accumulate(len(cell.edges) for cell in self.space.cells))

    @property
    def unique_size(self) -> int:
        return math.prod(map(unique_tables, self.space.cells))

    def table(self, candidate: np.ndarray) -> np.ndarray:
        """int32 [tables, edges]: the choices as `AdaptationSpace` takes them.

        Raises:
          SpaceError: see `validate`; or if the candidate is partial.
        """
        choices = np.zeros(self.space.shape[:2], np.int32)
        choices[self.space.valid] = self.complete(candidate)
        return choices

    def decode(self, candidate: np.ndarray) -> Genotype:
        return self.space.decode(self.table(candidate))

    def encode(self, genotype: Genotype) -> np.ndarray:
        try:
            candidate = self.space.encode(genotype)[self.space.valid]
        except ValueError as error:
            raise SpaceError(str(error)) from error
        again = self.decode(candidate)
        for field in ("family", "stem", "head", "stem_form", "activation", "epsilon", "auxiliary"):
            if getattr(again, field) != getattr(genotype, field):
                raise SpaceError(
                    f"{genotype.name} has {field} {getattr(genotype, field)!r}; networks of "
                    f"{self.name} have {getattr(again, field)!r}"
                )
        return candidate

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        array = np.array(candidates, np.int32)
        start = 0
        for cell in self.space.cells:
            part = array[..., start : start + len(cell.edges)]
            if part.shape[-1]:
                part[...] = _trimmed(cell, part)
            start += len(cell.edges)
        return array


def _trimmed(cell: Cell, choices: np.ndarray) -> np.ndarray:
    """Canonical choices of a cell's edges, int32 [..., edges]."""
    identities = np.array([cell.identity(edge) == edge.op for edge in cell.edges])
    null = np.array([edge.op == NULL for edge in cell.edges])
    choices = np.where(identities & (choices == ID), SAME, choices)
    carried = (choices == ID) | ((choices == SAME) & ~null)
    nodes = cell.inputs + len(cell.nodes)
    reached = np.zeros((*choices.shape[:-1], nodes), bool)
    reached[..., : cell.inputs] = True
    useful = np.zeros_like(reached)
    useful[..., list(cell.output)] = True
    # Edges are sorted by target, so one pass each way suffices.
    for index, edge in enumerate(cell.edges):
        reached[..., edge.target] |= carried[..., index] & reached[..., edge.source]
    for index, edge in reversed(list(enumerate(cell.edges))):
        useful[..., edge.source] |= carried[..., index] & useful[..., edge.target]
    sources = [edge.source for edge in cell.edges]
    targets = [edge.target for edge in cell.edges]
    return np.where(carried & reached[..., sources] & useful[..., targets], choices, NONE)


@functools.lru_cache
def unique_tables(cell: Cell) -> int:
    """How many canonical choices the edges of a cell have, exactly.

    Those are the sets of edges, each with one or two ways to carry something, of which every edge
    lies on a path from an input to the output. Nodes are gone through in order; what matters of
    those before is which of them are reached, and which of these still need an edge that leaves
    them.
    """
    ways: dict[int, dict[int, int]] = collections.defaultdict(dict)
    for edge in cell.edges:
        forms = 1 if edge.op == NULL or edge.op == cell.identity(edge) else 2
        # Of several edges between two nodes, any that is not none will do.
        parallel = ways[edge.target].get(edge.source, 0) + 1
        ways[edge.target][edge.source] = parallel * (1 + forms) - 1
    inputs = frozenset(range(cell.inputs))
    counts = {(inputs, frozenset[int]()): 1}
    for node in range(cell.inputs, cell.inputs + len(cell.nodes)):
        following: dict[tuple[frozenset[int], frozenset[int]], int] = collections.defaultdict(int)
        for (reached, waiting), count in counts.items():
            sources = sorted(reached & ways[node].keys())
            following[reached, waiting] += count  # no edge leads here
            for number in range(1, len(sources) + 1):
                for chosen in itertools.combinations(sources, number):
                    still = waiting - set(chosen)
                    if node not in cell.output:
                        still |= {node}
                    some = math.prod(ways[node][source] for source in chosen)
                    following[reached | {node}, still] += count * some
        counts = following
    return sum(count for (_, waiting), count in counts.items() if not waiting)
