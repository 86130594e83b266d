"""What becomes of the edges of one cell: none, an identity, or what they were."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math

import numpy as np

from jaxnas.spaces.genotype import NULL, Cell

NONE, ID, SAME = 0, 1, 2
"""The candidates, in the order of the paper's figure."""

CANDIDATES = ("none", "id", "same")


def with_choices(cell: Cell, choices: np.ndarray) -> Cell:
    """The cell that `choices`, int [edges or more], make of `cell`."""
    edges = tuple(
        dataclasses.replace(
            edge, op={NONE: NULL, ID: cell.identity(edge), SAME: edge.op}[int(choice)]
        )
        for edge, choice in zip(cell.edges, choices, strict=False)
    )
    return dataclasses.replace(cell, edges=edges)


def carrying(cell: Cell) -> np.ndarray:
    """bool [edges, 3]: whether a candidate carries anything; none never does, an identity does."""
    same = np.array([edge.op != NULL for edge in cell.edges], bool)
    return np.stack([np.zeros_like(same), np.ones_like(same), same], -1)


def pruned(cell: Cell, choices: np.ndarray) -> np.ndarray:
    """`choices`, int32 [..., edges], with none on edges that lie on no path to the output."""
    carried = carrying(cell)[np.arange(len(cell.edges)), choices]
    return np.where(carried & between(cell, carried), choices, NONE)


def flow(cell: Cell, carried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which nodes an input reaches, and which nodes reach the output.

    Args:
      cell: the edges.
      carried: bool [..., edges], whether each carries anything.

    Returns:
      bool [..., nodes with the inputs], twice.
    """
    reached = np.zeros((*carried.shape[:-1], cell.inputs + len(cell.nodes)), bool)
    reached[..., : cell.inputs] = True
    useful = np.zeros_like(reached)
    useful[..., list(cell.output)] = True
    # Edges are sorted by target, so one pass each way suffices.
    for index, edge in enumerate(cell.edges):
        reached[..., edge.target] |= carried[..., index] & reached[..., edge.source]
    for index, edge in reversed(list(enumerate(cell.edges))):
        useful[..., edge.source] |= carried[..., index] & useful[..., edge.target]
    return reached, useful


def between(cell: Cell, carried: np.ndarray) -> np.ndarray:
    """bool [..., edges]: whether an edge leads from a reached node to a useful one, see `flow`."""
    reached, useful = flow(cell, carried)
    sources = [edge.source for edge in cell.edges]
    targets = [edge.target for edge in cell.edges]
    return reached[..., sources] & useful[..., targets]


def connected(cell: Cell, carried: np.ndarray) -> np.ndarray:
    """bool [...]: whether the output is reached; `carried` is bool [..., edges]."""
    return flow(cell, carried)[0][..., list(cell.output)].any(-1)


def canonical_choices(cell: Cell, choices: np.ndarray) -> np.ndarray:
    """The choices int32 [..., edges], none on edges that carry nothing or lie on no path.

    Where an edge is an identity already, id is same.
    """
    identities = np.array([cell.identity(edge) == edge.op for edge in cell.edges])
    return pruned(cell, np.where(identities & (choices == ID), SAME, choices))


def connect(cell: Cell, theta: np.ndarray, choices: np.ndarray) -> None:
    """Turns `choices`, int [edges or more], into the best connected ones, in place.

    An edge costs what its row of `theta`, float [edges or more, 3], loses by carrying something: a
    shortest path from an input to an output in the order of the nodes.
    """
    size = cell.inputs + len(cell.nodes)
    distance = [0.0] * cell.inputs + [np.inf] * (size - cell.inputs)
    arrived: dict[int, int] = {}
    best = [
        ID if edge.op == NULL or row[ID] > row[SAME] else SAME
        for edge, row in zip(cell.edges, theta, strict=False)
    ]
    for index, edge in enumerate(cell.edges):
        row = theta[index]
        cost = distance[edge.source] + row.max() - row[best[index]]
        if cost < distance[edge.target]:
            distance[edge.target] = cost
            arrived[edge.target] = index
    node = min(cell.output, key=lambda each: distance[each])
    while node in arrived:
        index = arrived[node]
        choices[index] = best[index]
        node = cell.edges[index].source


@functools.lru_cache
def unique_choices(cell: Cell) -> int:
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


# Whole blocks: granularity ``block``.


def block_candidates(cell: Cell) -> np.ndarray:
    """bool [edges, 3]: what may become of edges where a block stays or goes as a whole.

    What leads into the output beside a shortcut may be none: the block's operations go with it. All
    else stays. An identity in the place of an operation inside is not offered: a batch norm after
    the operation cancels its gate, so that θ cannot tell what the operation is worth
    (docs/results/estimators.md).

    Args:
      cell: of the block.
    """
    into_output = [edge for edge in cell.edges if edge.target in cell.output]
    shortcuts = [edge for edge in into_output if edge.source < cell.inputs < len(into_output)]
    beside_shortcut = any(edge.op != NULL for edge in shortcuts)
    possible = np.zeros((len(cell.edges), len(CANDIDATES)), bool)
    possible[:, SAME] = True
    for index, edge in enumerate(cell.edges):
        if edge in into_output and edge not in shortcuts and edge.op != NULL:
            possible[index, NONE] = beside_shortcut
    return possible


def charge_deciding_edge(cell: Cell, possible: np.ndarray, costs: np.ndarray) -> None:
    """Lets the edge that decides of a whole block cost what goes with it, in place.

    That is what has no choice of its own. Nothing changes where no edge or several decide.

    Args:
      cell: of the block.
      possible: bool [edges, 3], its `block_candidates`.
      costs: [edges, 3], of each candidate.
    """
    free = possible.sum(-1) > 1
    deciding = np.flatnonzero(free & possible[:, NONE])
    if len(deciding) != 1:
        return
    choices = np.full(len(cell.edges), SAME)
    choices[deciding] = NONE
    gone = (pruned(cell, choices) == NONE) & ~free
    costs[deciding[0], SAME] += costs[gone, SAME].sum()
    costs[gone] = 0
