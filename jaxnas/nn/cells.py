"""The supernet of a space of complete cells: weights of every operation on every edge.

The architecture is an input. As gates every operation runs and is weighted (DARTS); as `Paths`
only the chosen ones run (NAT, ENAS), forward and backward. Under `jit` one program serves all
paths, with a switch for every choice; outside of it the chosen operations run one after another,
each compiled once for every shape. On a CPU that is the way: the one program compiles for minutes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxnas.nn.heads import Outputs, Representation, finish
from jaxnas.nn.layers import materialise, run_alone, runtime_one
from jaxnas.nn.operations import Match, Op, Style
from jaxnas.nn.switch import Branch, run_one
from jaxnas.spaces.cells import CellSpace
from jaxnas.spaces.genotype import NULL, Block


class Paths(NamedTuple):
    """Cells in which every node has two edges.

    Attributes:
      sources: int32 [2, nodes, 2], the node that each edge comes from, by table, target and edge.
      operations: int32 [2, nodes, 2], indices into the space's operations.
      outputs: float32 [2, nodes], 1 for the nodes that the output concatenates, 0 for those whose
        channels are zeros there.
    """

    sources: jax.Array | np.ndarray
    operations: jax.Array | np.ndarray
    outputs: jax.Array | np.ndarray


_run = jax.jit(run_alone, static_argnums=(0, 3))


class _Parts(nn.Module):
    """A module whose parts can be run alone."""

    def _variables(self, name: str) -> dict[str, Any]:
        """A part's own."""
        return {
            collection: self.variables.get(collection, {}).get(name, {})
            for collection in ("params", "batch_stats")
        }

    def _part(self, kind: Any, name: str, x: jax.Array, train: bool, **fields: Any) -> jax.Array:
        """The output of the part called `name`."""
        if self.is_initializing():
            return kind(**fields, name=name)(x, train)
        out, statistics = _run(kind(**fields, parent=None), self._variables(name), x, train)
        if train and statistics:
            self.put_variable("batch_stats", name, statistics)
        return out


class CellBlock(_Parts):
    """One cell of the supernet.

    Attributes:
      space: nodes and operations.
      block: channels and stride.
      style: of the network.
    """

    space: CellSpace
    block: Block
    style: Style

    @nn.compact
    def __call__(
        self, inputs: tuple[jax.Array, jax.Array], cell: Any, one: jax.Array | None, train: bool
    ) -> jax.Array:
        """Two inputs [b, h, w, c] to the cell's output [b, h', w', nodes * c].

        `cell` is the block's own table of the architecture: gates [edges, operations], or `Paths`
        without the leading axis.
        """
        if not isinstance(cell, Paths):
            return self._all(inputs, cell, one, train)
        values = list(inputs)
        for target in range(2, self.space.nodes + 2):
            values.append(materialise(self._chosen(target, values, cell, train), one))
        nodes = [
            node * cell.outputs[i].astype(self.style.dtype) for i, node in enumerate(values[2:])
        ]
        return jnp.concatenate(nodes, -1)

    def _fields(self, operation: str, source: int) -> dict[str, Any]:
        """Of the `Op` on an edge from `source`."""
        return {
            "op": operation,
            "features": self.block.channels,
            "stride": self.block.stride if source < 2 else 1,
            "style": self.style,
        }

    def _shape(self, values: list[jax.Array]) -> tuple[int, ...]:
        """Of a node."""
        batch, height, width, _ = values[0].shape
        stride = self.block.stride
        return batch, -(-height // stride), -(-width // stride), self.block.channels

    def _all(
        self,
        inputs: tuple[jax.Array, jax.Array],
        gates: jax.Array,
        one: jax.Array | None,
        train: bool,
    ) -> jax.Array:
        """Nodes as the weighted sum of every operation on every edge, side by side.

        Edges of equal shapes are a loop: what is compiled are the operations of one edge.
        """
        nodes = jnp.zeros((self.space.nodes, *self._shape(list(inputs))), self.style.dtype)
        if self.is_initializing():
            for source, target in self.space.edges:
                for name in self._operations:
                    x = inputs[source] if source < 2 else nodes[source - 2]
                    Op(**self._fields(name, source), name=f"edge_{source}_{target}_{name}")(
                        x, train
                    )
            return jnp.concatenate(list(nodes), -1)
        states = jnp.stack(inputs)
        if self.block.stride == 1:
            states = self._summed(
                self.space.edges, None, jnp.concatenate([states, nodes]), 0, gates, one, train
            )
            return jnp.concatenate(list(states[2:]), -1)
        outer = tuple(edge for edge in self.space.edges if edge[0] < 2)
        inner = tuple(edge for edge in self.space.edges if edge[0] >= 2)
        nodes = self._summed(outer, states, nodes, 2, gates, one, train)
        if inner:
            nodes = self._summed(inner, None, nodes, 2, gates, one, train)
        return jnp.concatenate(list(nodes), -1)

    @property
    def _operations(self) -> list[str]:
        """Those that compute something."""
        return [name for name in self.space.operations if name != NULL]

    def _summed(
        self,
        edges: tuple[tuple[int, int], ...],
        states: jax.Array | None,
        sums: jax.Array,
        first: int,
        gates: jax.Array,
        one: jax.Array | None,
        train: bool,
    ) -> jax.Array:
        """What edges of equal shapes add to nodes.

        Args:
          edges: (source, target), by target.
          states: [states, b, h, w, c], what the edges come from; by default `sums`.
          sums: [nodes, b, h', w', c] so far.
          first: the number of the node that `sums` begins with.
          gates: of all edges of the cell.
          one: for `materialise`.
          train: see `CellSupernet`.
        """
        names = self._operations
        own = {name: self._stacked(edges, name) for name in names}
        ops = [Op(**self._fields(name, edges[0][0]), parent=None) for name in names]
        columns = [self.space.operations.index(name) for name in names]
        rows = [self.space.edges.index(edge) for edge in edges]

        def step(sums: jax.Array, edge: Any) -> tuple[jax.Array, Any]:
            variables, of_ops, source, target = edge
            x = sums[source - first] if states is None else states[source]
            total, after = jnp.zeros(sums.shape[1:], sums.dtype), {}
            for index, (name, op) in enumerate(zip(names, ops, strict=True)):
                out, after[name] = run_alone(op, variables[name], x, train, of_ops[index])
                total += out
            return sums.at[target - first].add(materialise(total, one)), after

        sources, targets = np.array(edges, np.int32).T
        slots = (own, gates[np.array(rows)][:, np.array(columns)], sources, targets)
        sums, after = jax.lax.scan(step, sums, slots)
        if train:
            for name in names:
                self._keep(edges, name, after[name])
        return sums

    def _chosen(self, target: int, values: list[jax.Array], cell: Paths, train: bool) -> jax.Array:
        """A node as the sum of its two chosen operations; no other one runs."""
        if isinstance(cell.operations, np.ndarray):
            return self._named(target, values, cell, train)
        groups = self._groups(target)
        stacks = [jnp.stack([values[source] for source in group]) for group in groups]
        # An operation's weights on all edges of a group, stacked: an edge is an index.
        weights = [
            [
                self._stacked([(source, target) for source in group], name)
                for name in self.space.operations
            ]
            for group in groups
        ]
        shape = self._shape(values)
        params, statistics = (
            [[each[collection] for each in of_group] for of_group in weights]
            for collection in ("params", "batch_stats")
        )
        branches = [
            self._branch(group, which, index, shape, train)
            for which, group in enumerate(groups)
            for index in range(len(self.space.operations))
        ]
        total = jnp.zeros(shape, self.style.dtype)
        for slot in range(2):
            source = cell.sources[target - 2, slot]
            chosen = jnp.asarray(cell.operations[target - 2, slot])
            if len(groups) > 1:
                chosen += len(self.space.operations) * (source >= 2)
            out, statistics = run_one(branches, chosen, (params, stacks), (statistics, source))
            total += out
        if train:
            for group, of_group in zip(groups, statistics, strict=True):
                for name, changed in zip(self.space.operations, of_group, strict=True):
                    self._keep([(source, target) for source in group], name, changed)
        return total

    def _named(self, target: int, values: list[jax.Array], cell: Paths, train: bool) -> jax.Array:
        """The same of a choice known by now."""
        total = jnp.zeros(self._shape(values), self.style.dtype)
        for slot in range(2):
            source = int(cell.sources[target - 2, slot])
            name = self.space.operations[cell.operations[target - 2, slot]]
            if name != NULL:
                part = f"edge_{source}_{target}_{name}"
                fields = self._fields(name, source)
                total += self._part(Op, part, values[source], train, **fields)
        return total

    def _groups(self, target: int) -> list[tuple[int, ...]]:
        """The nodes before `target`, those whose operations have equal shapes together."""
        inner = tuple(range(2, target))
        if self.block.stride == 1:
            return [(0, 1, *inner)]
        return [(0, 1), inner] if inner else [(0, 1)]

    def _stacked(self, edges: Sequence[tuple[int, int]], name: str) -> dict[str, Any]:
        """Variables of an operation, a leading axis for the edges."""
        own = [self._variables(f"edge_{source}_{target}_{name}") for source, target in edges]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *own)

    def _keep(self, edges: Sequence[tuple[int, int]], name: str, stacked: Any) -> None:
        """Makes the batch statistics of an operation the variables' own."""
        if not stacked:
            return
        for index, (source, target) in enumerate(edges):
            of_edge = jax.tree.map(lambda leaf, index=index: leaf[index], stacked)
            self.put_variable("batch_stats", f"edge_{source}_{target}_{name}", of_edge)

    def _branch(
        self, group: tuple[int, ...], which: int, index: int, shape: tuple[int, ...], train: bool
    ) -> Branch:
        """The operation `index` on an edge from a group, as a function of all of them."""
        name = self.space.operations[index]

        def run(learned: Any, other: Any) -> tuple[jax.Array, Any]:
            (params, stacks), (statistics, source) = learned, other
            if name == NULL:
                return jnp.zeros(shape, self.style.dtype), statistics
            place = source - group[0]
            own = {
                collection: jax.tree.map(lambda leaf: leaf[place], tree[which][index])
                for collection, tree in (("params", params), ("batch_stats", statistics))
            }
            op = Op(**self._fields(name, group[0]), parent=None)
            out, changed = _run(op, own, stacks[which][place], train)
            statistics = [list(of_group) for of_group in statistics]
            statistics[which][index] = jax.tree.map(
                lambda all_edges, edge: all_edges.at[place].set(edge),
                statistics[which][index],
                changed,
            )
            return out, statistics

        return run


class _Stem(nn.Module):
    """A 3x3 convolution and a batch norm."""

    features: int
    style: Style

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = self.style.conv(self.features, 3, "conv")(x)
        return self.style.norm("norm")(x, train)


class CellSupernet(_Parts):
    """The supernet of a space of complete cells.

    Attributes:
      space: nodes, operations, channels and layers.
      outputs: number of classes, or the heads of self-supervised learning.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
    """

    space: CellSpace
    outputs: Outputs
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, architecture: Any, *, train: bool, noise: None = None
    ) -> jax.Array | Representation:
        """Logits float32 [b, classes] of images, or a `Representation`.

        Args:
          x: float [b, h, w, c], normalised.
          architecture: gates float32 [2, edges, operations], for the normal and the reduction cell,
            or `Paths`.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: none; a supernet switches nothing off.
        """
        assert noise is None
        space = self.space
        style = Style("darts", "relu", 1e-5, self.dtype, search=True)
        if self.is_initializing():  # every operation is to get its weights
            architecture = jnp.zeros(space.shape)
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(architecture))
        if isinstance(architecture, Paths) and not traced:
            architecture = Paths(*map(np.asarray, architecture))
        one = runtime_one(x) if isinstance(x, Tracer) else None
        stem = {
            "features": 3 * space.channels,
            "style": dataclasses.replace(style, search=False),
        }
        older = newer = self._part(_Stem, "stem", x, train, **stem)
        for index, block in enumerate(space.blocks):
            stride = 1 if older.shape[1] == newer.shape[1] else 2
            match = {"features": block.channels, "style": style, "relu": True}
            inputs = (
                self._part(Match, f"block_{index}_input_0", older, train, stride=stride, **match),
                self._part(Match, f"block_{index}_input_1", newer, train, stride=1, **match),
            )
            table = int(block.stride == 2)
            cell = jax.tree.map(lambda leaf, table=table: leaf[table], architecture)
            module = CellBlock(space, block, style, name=f"block_{index}")
            older, newer = newer, module(inputs, cell, one, train)
        x = newer.astype(jnp.float32).mean((1, 2))
        return finish(x, self.outputs, train)
