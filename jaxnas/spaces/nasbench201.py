"""The space of NAS-Bench-201 (Dong & Yang 2020): cells of four nodes and six edges."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re

import numpy as np

from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.space import Decision, Space, SpaceError

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The options of every edge, by the benchmark's names, in its order."""

IN_GENOTYPES = (NULL, SKIP, "conv_1x1", "conv_3x3", "avg_pool_3x3")
"""The same by the names of genotypes."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of the edge of each decision."""

_NONE = OPERATIONS.index("none")
_PATHS = ((0, 3), (0, 1), (1, 3), (0, 2), (2, 3), (1, 2))  # in the order of `NASBench201Paths`
_PLACES = np.array([EDGES.index(edge) for edge in _PATHS])
_ARCH_STRING = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


@dataclasses.dataclass(frozen=True)
class NASBench201Space(Space):
    """All cells of NAS-Bench-201, in its network for images of 32x32 or 16x16.

    A stem, three stages of equal cells, of twice the channels each, and a residual block of stride
    2 before the second and the third (section 2.1). A candidate is what stands on the edges
    0>1, 0>2, 1>2, 0>3, 1>3, 2>3, as in the benchmark's strings.

    Attributes:
      channels: of the first stage.
      cells: of a stage.

    Raises:
      ValueError: if one of them is not positive.
    """

    channels: int = 16
    cells: int = 5

    def __post_init__(self) -> None:
        if self.channels < 1 or self.cells < 1:
            raise ValueError(
                f"channels and cells of {self.name} must be positive, "
                f"not {self.channels} and {self.cells}"
            )

    @property
    def name(self) -> str:
        return "nasbench201"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(f"edge {source}>{target}", OPERATIONS, "operation") for source, target in EDGES
        )

    @property
    def levels(self) -> tuple[int, ...]:
        return (1, 3, 6)

    @property
    def unique_size(self) -> int:
        """The number of cells that compute different functions: 4,930.

        The benchmark's authors count 6,466 different strings. In those a sum with a zero differs
        from the sum without it, and so do nested sums in another order.
        """
        return len(np.unique(_canonical_tables()[len(EDGES)], axis=0))

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        """The least of all vectors of the same cell, in the order of `enumerate`.

        A node is a sum of terms. A ``none`` edge adds nothing, a ``skip_connect`` the terms of its
        source, another operation one term: itself of the source. An operation on a node without
        terms adds nothing. (In a network it still adds the bias of its batch norm.) Complete
        candidates are the same if the terms of the last node are; partial ones, if their nodes are
        the same in any order, for then they can be completed to the same cells. A cell without a
        path is all zeros.

        Args:
          candidates: int [..., 6], or [..., 1] or [..., 3].

        Returns:
          int32 of the same shape.
        """
        candidates = np.asarray(candidates)
        length = candidates.shape[-1]
        place = candidates @ len(OPERATIONS) ** np.arange(length)[::-1]
        return _canonical_tables()[length][place]

    def decode(self, candidate: np.ndarray) -> Genotype:
        chosen = self.complete(candidate)
        edges = tuple(Edge(IN_GENOTYPES[op], *ends) for op, ends in zip(chosen, EDGES, strict=True))
        normal = Cell("normal", inputs=1, nodes=(Node(),) * 3, edges=edges, output=(3,))
        reduction = Cell(
            "reduction",
            inputs=1,
            nodes=(Node(), Node()),
            edges=(Edge("conv_3x3", 0, 1), Edge("avg_pool_2x2", 0, 2), Edge("conv_3x3", 1, 2)),
            output=(2,),
        )
        blocks: list[Block] = []
        for stage in range(3):
            width = 2**stage * self.channels
            if stage:
                blocks.append(Block("reduction", width, 2))
            blocks += [Block("normal", width)] * self.cells
        return Genotype(
            name=f"{self.name}_{''.join(map(str, chosen))}",
            family="nasbench201",
            stem=self.channels,
            cells=(normal, reduction),
            blocks=tuple(blocks),
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        cells = {cell.name: cell for cell in genotype.cells}
        ops = [edge.op for edge in cells["normal"].edges] if "normal" in cells else []
        if len(ops) == len(EDGES) and set(ops) <= set(IN_GENOTYPES):
            candidate = np.array([IN_GENOTYPES.index(op) for op in ops], np.int32)
            if dataclasses.replace(self.decode(candidate), name=genotype.name) == genotype:
                return candidate
        raise SpaceError(
            f"genotype {genotype.name!r} is not one of {self.name} with {self.cells} cells of "
            f"{self.channels} channels in the first stage"
        )

    def arch_string(self, candidate: np.ndarray) -> str:
        """The benchmark's string, such as ``|none~0|+|none~0|none~1|+|none~0|none~1|none~2|``.

        Raises:
          SpaceError: see `validate`; also for a partial candidate.
        """
        nodes: dict[int, str] = {}
        for op, (source, target) in zip(self.complete(candidate), EDGES, strict=True):
            nodes[target] = nodes.get(target, "|") + f"{OPERATIONS[op]}~{source}|"
        return "+".join(nodes.values())

    def from_arch_string(self, text: str) -> np.ndarray:
        """int32 [6]: the candidate of the benchmark's string.

        Raises:
          SpaceError: if it is none, or names an unknown operation.
        """
        found = _ARCH_STRING.fullmatch(text)
        if found is None:
            raise SpaceError(
                f"{text!r} is no string of {self.name}: "
                "|op~0|+|op~0|op~1|+|op~0|op~1|op~2| is its form"
            )
        for op in found.groups():
            if op not in OPERATIONS:
                raise SpaceError(
                    f"{self.name} has no operation {op!r}; it has {', '.join(OPERATIONS)}"
                )
        return np.array([OPERATIONS.index(op) for op in found.groups()], np.int32)

    def parameters(self, candidates: np.ndarray, classes: int) -> np.ndarray:
        """How many parameters the networks have, computed from the candidates alone.

        Operations that no path uses count, as they do in the benchmark.

        Args:
          candidates: int [..., 6].
          classes: outputs of the classifier.

        Returns:
          int64 [...].

        Raises:
          SpaceError: if they have another number of decisions or are no options.
        """
        chosen = self._all_complete(candidates)
        widths = [2**stage * self.channels for stage in range(3)]

        def convolution(side: int, inputs: int, outputs: int) -> int:
            return side * side * inputs * outputs + 2 * outputs  # and a batch norm's

        fixed = convolution(3, 3, widths[0])
        for before, width in itertools.pairwise(widths):
            fixed += convolution(3, before, width) + convolution(3, width, width) + before * width
        fixed += 2 * widths[-1] + (widths[-1] + 1) * classes
        of_edge = np.zeros(len(OPERATIONS), np.int64)
        for side in (1, 3):
            of_edge[OPERATIONS.index(f"nor_conv_{side}x{side}")] = self.cells * sum(
                convolution(side, width, width) for width in widths
            )
        return fixed + of_edge[chosen].sum(-1)


@dataclasses.dataclass(frozen=True)
class NASBench201Paths(Space):
    """The cells of NAS-Bench-201, which grow path by path from the input to the output.

    `NASBench201Space` decides the first node's edges first, and before the last step nothing leads
    to the output. Here a step decides the edge 0>3, the path over node 1, the path over node 2 and
    the edge 1>2 between them. What is not decided yet is ``none``, so that every part of a cell is
    one of the 15,625 cells, with an accuracy of its own, as progressive search (Liu et al. 2018)
    asks for. The order is this project's. Every edge is a kind of decision of its own: a predictor
    that shares what it knows of a kind must not take one edge for another.

    Attributes:
      edges: the space of the same cells that says what they mean.
    """

    edges: NASBench201Space = dataclasses.field(default_factory=NASBench201Space)

    @property
    def name(self) -> str:
        return "nasbench201_paths"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(f"edge {source}>{target}", OPERATIONS, f"operation of {source}>{target}")
            for source, target in _PATHS
        )

    @property
    def levels(self) -> tuple[int, ...]:
        return (1, 3, 5, 6)

    @property
    def unique_size(self) -> int:
        return self.edges.unique_size

    def as_nasbench201(self, candidates: np.ndarray) -> np.ndarray:
        """The same cells as candidates of `edges`, undecided edges as ``none``.

        Args:
          candidates: int [..., levels[i]].

        Returns:
          int32 [..., 6].

        Raises:
          SpaceError: if they have another number of decisions or are no whole numbers.
        """
        array = self._parts(candidates)
        whole = np.full((*array.shape[:-1], len(_PLACES)), _NONE, np.int32)
        whole[..., _PLACES[: array.shape[-1]]] = array
        return whole

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        """Complete candidates become the canonical ones of `edges`; partial ones stay as they are.

        Two parts that are the same network, with ``none`` on what is undecided, may grow to
        different ones: 0>1 without 1>3 is as good as nothing until 1>2 and 2>3 lead on from it.

        Args:
          candidates: int [..., levels[i]].

        Returns:
          int32 of the same shape.
        """
        array = np.asarray(candidates, np.int32)
        if array.shape[-1] < len(_PLACES):
            return array
        return self.edges.canonical(self.as_nasbench201(array))[..., _PLACES]

    def decode(self, candidate: np.ndarray) -> Genotype:
        return self.edges.decode(self.as_nasbench201(self.complete(candidate)))

    def encode(self, genotype: Genotype) -> np.ndarray:
        return self.edges.encode(genotype)[_PLACES]


@functools.cache
def _canonical_tables() -> dict[int, np.ndarray]:
    """The canonical candidate of each, in the order of `enumerate`: int32 [5^n, n] by length n."""
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}  # of terms; 0 is the cell's input

    def terms(op: int, value: tuple[int, ...]) -> tuple[int, ...]:
        match OPERATIONS[op]:
            case "none":
                return ()
            case "skip_connect":
                return value
        return (numbers.setdefault((op, value), len(numbers) + 1),) if value else ()

    tables = {}
    cells: list[tuple[tuple[int, ...], ...]] = [((0,),)]  # the terms of each node
    length = 0
    for node in (1, 2, 3):
        length += node
        choices = list(itertools.product(range(len(OPERATIONS)), repeat=node))
        cells = [
            (*values, tuple(sorted(itertools.chain(*map(terms, ops, values)))))
            for values in cells
            for ops in choices
        ]
        first: dict[object, int] = {}
        least = [
            first.setdefault(values[3] if node == 3 else tuple(sorted(values[1:])), place)
            for place, values in enumerate(cells)
        ]
        vectors = np.indices((len(OPERATIONS),) * length, np.int32).reshape(length, -1).T
        tables[length] = vectors[least]
    return tables
