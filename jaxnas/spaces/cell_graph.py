"""Cells as data: small graphs of operations, and what is wrong with those that are none."""

from __future__ import annotations

import dataclasses

from jaxnas.errors import UserError
from jaxnas.spaces.families import NULL, SKIP


class GenotypeError(UserError, ValueError):
    """A genotype that describes no network; the message names the place."""


@dataclasses.dataclass(frozen=True)
class Edge:
    """One operation from node `source` to node `target` of a cell."""

    op: str
    source: int
    target: int

    def __str__(self) -> str:
        return f"{self.op} {self.source}>{self.target}"


@dataclasses.dataclass(frozen=True)
class Node:
    """What a node of a cell holds: the sum of its edges.

    Attributes:
      expansion: 0 for the block's channels, k for k times the channels of the block's input.
      strided: whether the node lies behind the block's stride; an edge from a node before it to a
        node behind it carries the stride.
      relu: whether the genotype's activation follows the sum.
      concat: whether the edges are concatenated, in order, instead of summed.
      squeeze: k for the block's channels divided by k, as inside a bottleneck; without expansion
        only. JSON leaves it out where it is 1.
    """

    expansion: int = 0
    strided: bool = True
    relu: bool = False
    concat: bool = False
    squeeze: int = 1

    def width(self, channels: int, input_channels: int) -> int:
        """The node's channels in a block of `channels` whose input has `input_channels`."""
        return self.expansion * input_channels if self.expansion else channels // self.squeeze


@dataclasses.dataclass(frozen=True)
class Cell:
    """A small graph of operations.

    Nodes are numbered: the inputs first (0, or 0 and 1), then `nodes` in order. Edges point from a
    lower to a higher number and are sorted by target.

    Attributes:
      name: unique in the genotype, such as ``normal`` or ``reduction``.
      inputs: number of inputs, at least 1.
      nodes: the nodes after the inputs.
      edges: the operations.
      output: the nodes (in the ``nasnet`` and ``enas`` families also inputs) whose concatenation is
        the cell's output.
    """

    name: str
    inputs: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    output: tuple[int, ...]

    def __post_init__(self) -> None:
        size = self.inputs + len(self.nodes)
        if self.inputs < 1:
            raise GenotypeError(f"cell {self.name!r}: inputs must be positive, not {self.inputs}")
        if not self.output:
            raise GenotypeError(f"cell {self.name!r}: no output node")
        for node in self.output:
            if not 0 <= node < size:
                raise GenotypeError(
                    f"cell {self.name!r}: output node {node} is not one of its nodes "
                    f"0 to {size - 1}"
                )
        for number, node in enumerate(self.nodes, start=self.inputs):
            if node.squeeze < 1 or (node.squeeze > 1 and node.expansion):
                raise GenotypeError(
                    f"cell {self.name!r}, node {number}: squeeze must be positive, and 1 where "
                    f"there is an expansion, not {node.squeeze} with expansion {node.expansion}"
                )
        last = 0
        for index, edge in enumerate(self.edges):
            where = f"cell {self.name!r}, edge {index} ({edge})"
            if not self.inputs <= edge.target < size:
                raise GenotypeError(
                    f"{where}: its target must be one of the nodes {self.inputs} to {size - 1}"
                )
            if not 0 <= edge.source < edge.target:
                raise GenotypeError(
                    f"{where}: its source must come before its target: 0 to {edge.target - 1}"
                )
            if edge.target < last:
                raise GenotypeError(f"{where}: edges must be sorted by target")
            last = edge.target
            if self._strided(edge.source) and not self._strided(edge.target):
                raise GenotypeError(f"{where}: it leads back before the block's stride")

    def _strided(self, node: int) -> bool:
        return node >= self.inputs and self.nodes[node - self.inputs].strided

    def crosses_stride(self, edge: Edge) -> bool:
        """Whether `edge` carries the stride of the block that the cell is placed in."""
        return self._strided(edge.target) and not self._strided(edge.source)

    def identity(self, edge: Edge) -> str:
        """The operation that stands for an identity in the place of `edge`.

        A 1x1 convolution to or from a multiple of the block's input channels or a part of its
        channels is the edge's own, unless both ends are the same one: there an identity would be a
        1x1 convolution too.
        """
        nodes = (*(Node(expansion=1),) * self.inputs, *self.nodes)
        ends = [(nodes[end].expansion, nodes[end].squeeze) for end in (edge.source, edge.target)]
        scaled = max(*ends[0], *ends[1]) > 1
        reshapes = scaled and ends[0] != ends[1] and not self.crosses_stride(edge)
        return edge.op if edge.op == "conv_1x1" and reshapes else SKIP

    def connected(self) -> bool:
        """Whether the output can be reached from an input over edges that are not null."""
        return bool(self.reached(tuple(range(self.inputs))) & set(self.output))

    def reached(self, sources: tuple[int, ...]) -> set[int]:
        """The nodes reached from `sources` (themselves included) over edges that are not null."""
        alive = set(sources)
        for edge in self.edges:  # sorted by target, so one pass suffices
            if edge.op != NULL and edge.source in alive:
                alive.add(edge.target)
        return alive

    def useful(self) -> set[int]:
        """The nodes from which the output is reached (itself included) over non-null edges."""
        alive = set(self.output)
        for edge in reversed(self.edges):
            if edge.op != NULL and edge.target in alive:
                alive.add(edge.source)
        return alive
