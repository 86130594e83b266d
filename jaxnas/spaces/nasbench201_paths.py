"""The cells of NAS-Bench-201, decided so that every part of a cell is a network: for growing."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxnas.spaces.genotype import Genotype
from jaxnas.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201Space
from jaxnas.spaces.space import Decision, Space, SpaceError

_NONE = OPERATIONS.index("none")
_PATHS = ((0, 3), (0, 1), (1, 3), (0, 2), (2, 3), (1, 2))  # the edges in the order of decisions
_PLACES = np.array([EDGES.index(edge) for edge in _PATHS])


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
        array = np.asarray(candidates)
        decided = array.shape[-1] if array.ndim else 0
        if decided not in self.levels or array.dtype.kind not in "iu":
            raise SpaceError(
                f"candidates of {self.name} must be whole numbers [..., 1, 3, 5 or 6]; "
                f"got shape {array.shape} of {array.dtype}"
            )
        whole = np.full((*array.shape[:-1], len(_PLACES)), _NONE, np.int32)
        whole[..., _PLACES[:decided]] = array
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
