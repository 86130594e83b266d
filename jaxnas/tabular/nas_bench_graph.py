"""NAS-Bench-Graph (Qin et al., NeurIPS 2022) as `pip install nas-bench-graph` has it.

26,206 networks for graphs, each measured on eight data sets; on a ninth, proteins, 2,021 of them,
whose operations are five. A file is a pickled dict from a number, which tells the network, to a
dict of numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from jaxnas.spaces.space import Decision, Space
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import choose
from jaxnas.tabular.pickled import installed_folder, read_pickle

GraphDataset = Literal[
    "cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins"
]
GRAPH_OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
"""What a node computes, in the order in which the files number them."""
_PROTEINS = ("gcn", "sage", "arma", "fc", "skip")
_DISTRIBUTION = "nas-bench-graph"
# What each node reads, 0 the input; the files number these nine trees, in one order of the nodes.
_TREES = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
_MEASURES = ("valid_perf", "perf", "latency", "para")


@dataclasses.dataclass(frozen=True)
class NASBenchGraphSpace(Space):
    """Trees of nodes: each reads the input or an earlier node; what none reads is the output.

    A step decides a node. A tree of fewer nodes is one whose first nodes are ``skip``, so that
    every part of a candidate is in the table, as progressive search (Liu et al. 2018) asks for.

    Attributes:
      operations: of a node, ``skip`` the last.
      nodes: how many.
    """

    operations: tuple[str, ...] = GRAPH_OPERATIONS
    nodes: int = 4

    @property
    def name(self) -> str:
        return "nas_bench_graph"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        sources = ("input", *(f"node {node + 1}" for node in range(self.nodes)))
        return tuple(
            decision
            for node in range(self.nodes)
            for decision in (
                Decision(f"what node {node + 1} reads", sources[: node + 1], "source"),
                Decision(f"operation of node {node + 1}", self.operations, "operation"),
            )
        )

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(range(2, 2 * self.nodes + 1, 2))

    @functools.cached_property
    def unique_size(self) -> int:
        return len(np.unique(self.canonical_codes))

    @functools.cached_property
    def canonical_codes(self) -> np.ndarray:
        """int32 [size]: the code of each candidate's canonical one."""
        everything = np.indices(tuple(self.options)).reshape(len(self.options), -1).T
        return self.codes(self.canonical(everything))

    def whole(self, candidates: np.ndarray) -> np.ndarray:
        """The candidates of all nodes that parts stand for.

        Args:
          candidates: int [..., levels[i]].

        Returns:
          int32 [..., decisions].

        Raises:
          SpaceError: if they have another number of decisions or are no whole numbers.
        """
        sources, operations = self._nodes_of(candidates)
        missing = self.nodes - sources.shape[-1]
        chain = np.broadcast_to(np.arange(missing), (*sources.shape[:-1], missing))
        skips = np.full_like(chain, len(self.operations) - 1)
        return _candidates(
            np.concatenate([chain, sources + missing], -1),
            np.concatenate([skips, operations], -1),
        )

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        """The first of all that are the same tree but for the order of the nodes.

        In a complete one every ``skip`` that changes nothing stands at the front: what others
        read, what alone reads its source, and what leads from the input to the output.
        """
        sources, operations = self._nodes_of(candidates)
        if sources.shape[-1] == self.nodes:
            sources, operations = self._without_idle(sources, operations)
        return self._first_order(sources, operations)

    def _nodes_of(self, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each node reads, 0 the input, and its operation; int32 [..., nodes]."""
        array = self._parts(candidates).astype(np.int32)
        return array[..., ::2], array[..., 1::2]

    def _without_idle(
        self, sources: np.ndarray, operations: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same networks, skips that change nothing first, each reading the one before."""
        nodes, skip = self.nodes, len(self.operations) - 1
        skips = operations == skip
        read = np.stack([(sources == node + 1).any(-1) for node in range(nodes)], -1)
        idle = skips & read
        # What a node reads in the end, past idle skips.
        real = np.zeros_like(sources)
        for node in range(nodes):
            source = sources[..., node]
            real[..., node] = source
            for earlier in range(node):
                past = (source == earlier + 1) & idle[..., earlier]
                real[..., node] = np.where(past, real[..., earlier], real[..., node])
        counts = (~idle[..., None, :] & (real[..., None, :] == real[..., :, None])).sum(-1)
        idle |= skips & ((real == 0) | (counts == 1))
        order = np.argsort(~idle, axis=-1, kind="stable")  # the idle ones first
        place = np.argsort(order, axis=-1)
        chain = np.arange(nodes)
        number = idle.sum(-1)[..., None]
        mapped = np.take_along_axis(place, np.maximum(real - 1, 0), -1) + 1
        mapped = np.where(real == 0, number, mapped)
        mapped = np.take_along_axis(mapped, order, -1)
        return (
            np.where(chain < number, chain, mapped),
            np.take_along_axis(operations, order, -1),
        )

    def _first_order(self, sources: np.ndarray, operations: np.ndarray) -> np.ndarray:
        """The first, number after number, of the candidates of all orders of each one's nodes."""
        nodes = sources.shape[-1]
        radix = max(self.nodes, len(self.operations))
        lowest = np.full(sources.shape[:-1], radix ** (2 * nodes))
        for order in itertools.permutations(range(nodes)):
            place = np.concatenate([[0], 1 + np.argsort(order)])
            renumbered = place[sources[..., order]]
            allowed = (renumbered <= np.arange(nodes)).all(-1)
            number = np.zeros_like(lowest)
            for digit in np.moveaxis(_candidates(renumbered, operations[..., order]), -1, 0):
                number = number * radix + digit
            lowest = np.where(allowed, np.minimum(lowest, number), lowest)
        places = radix ** np.arange(2 * nodes)[::-1]
        return (lowest[..., None] // places % radix).astype(np.int32)


def _candidates(sources: np.ndarray, operations: np.ndarray) -> np.ndarray:
    both = np.stack([sources, operations], -1)
    return both.reshape(*sources.shape[:-1], 2 * sources.shape[-1]).astype(np.int32)


class NASBenchGraph(NamedTuple):
    """What is known of the networks on one data set.

    Attributes:
      space: the networks.
      valid: float32 [space.size], percent, in the order of `Space.codes`: the published score on
        validation nodes. NaN for networks of nothing but ``skip``, which are not published.
      test: likewise, on test nodes.
      latency: float32 [space.size], seconds, on the authors' GPU.
      parameters: float64 [space.size], number of parameters.
    """

    space: NASBenchGraphSpace
    valid: np.ndarray
    test: np.ndarray
    latency: np.ndarray
    parameters: np.ndarray


def load_nas_bench_graph(
    dataset: GraphDataset = "cora", folder: str | os.PathLike[str] | None = None
) -> NASBenchGraph:
    """Reads what is known of all networks on a data set.

    Args:
      dataset: one of `GraphDataset`'s.
      folder: holds files such as cora.bench; by default that of the package if it is installed.

    Raises:
      TabularError: if there is no such data set, or its file is missing, damaged or something else.
    """
    choose("dataset", dataset, get_args(GraphDataset))
    place = Path(folder) if folder is not None else installed_folder("nas_bench_graph", "light")
    if place is None:
        raise TabularError(
            f"NAS-Bench-Graph is not installed: pip install {_DISTRIBUTION}, or give "
            "tabular.load_nas_bench_graph the folder of its files such as cora.bench."
        )
    path = place / f"{dataset}.bench"
    space = NASBenchGraphSpace(_PROTEINS if dataset == "proteins" else GRAPH_OPERATIONS)
    content = read_pickle(path)
    try:
        told = np.array([_candidate(space, number) for number in content])
        values = np.array([[float(row[name]) for name in _MEASURES] for row in content.values()])
        codes = space.canonical_codes[space.codes(told)]
        if len(set(codes.tolist())) != space.unique_size - 1 or not np.isfinite(values).all():
            raise ValueError(f"it does not tell each of {space.unique_size - 1:,} networks once")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TabularError(
            f"{path} is no file of NAS-Bench-Graph ({error!r}): install it again with pip install "
            f"--force-reinstall {_DISTRIBUTION}."
        ) from error
    known = np.full((space.size, len(_MEASURES)), np.nan)
    known[codes] = values
    valid, test, latency, millions = known[space.canonical_codes].T
    return NASBenchGraph(
        space,
        (100 * valid).astype(np.float32),
        (100 * test).astype(np.float32),
        latency.astype(np.float32),
        np.rint(1e6 * millions),
    )


def _candidate(space: NASBenchGraphSpace, number: int) -> list[int]:
    """The candidate of a file's number: five digits, the tree and the operations."""
    tree, *operations = map(int, f"{number:05d}")
    names = [space.operations.index(GRAPH_OPERATIONS[each]) for each in operations]
    return [each for pair in zip(map(int, _TREES[tree]), names, strict=True) for each in pair]
