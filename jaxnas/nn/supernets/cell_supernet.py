"""The supernet of a space of complete cells: weights of every operation on every edge.

The architecture is an input. As gates every operation runs and is weighted (DARTS); as `Cells`
only the chosen ones run (NAT, ENAS), forward and backward. Under `jit` one program serves all
paths, with a switch for every choice; outside of it all operations of an edge, or the chosen one,
run edge by edge, each compiled once for every shape. On a CPU that is the way: the one program
compiles for minutes, since XLA takes milliseconds for every kernel, and most edges are alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxnas.nn import inspection
from jaxnas.nn.heads import Outputs, Representation, finish
from jaxnas.nn.layers import materialise, run_alone, runtime_one
from jaxnas.nn.operations import Match, Op, Style
from jaxnas.nn.supernets.switch import Branch, run_one
from jaxnas.spaces.cells import CellSpace
from jaxnas.spaces.genotype import NULL, Block
from jaxnas.spaces.transitions import Cells


class _Mixture(nn.Module):
    """All operations on one edge.

    Attributes:
      operations: their names, ``null`` for nothing.
      features, stride, style: those of each `Op`.
    """

    operations: tuple[str, ...]
    features: int
    stride: int
    style: Style

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, gates: jax.Array) -> jax.Array:
        """The sum of their outputs, weighted by gates [operations]."""
        total: Any = 0
        for index, name in enumerate(self.operations):
            if name != NULL:
                op = Op(name, self.features, self.stride, self.style, name=name)
                total += op(x, train, gates[index])
        return total


_compiled = jax.jit(run_alone, static_argnums=(0, 3))


def _run(*arguments: Any) -> tuple[jax.Array, Any]:
    """`run_alone`, compiled once for all parts that are alike."""
    return (run_alone if inspection.inspected() else _compiled)(*arguments)


_rows = jax.jit(tuple)


@jax.jit
def _sum(terms: list[jax.Array]) -> jax.Array:
    return sum(terms[1:], terms[0])


def _part_name(source: int, target: int, operation: str) -> str:
    """The variables' name of an operation on an edge."""
    return f"edge_{source}_{target}_{operation}"


class _Parts(nn.Module):
    """A module whose parts can be run alone."""

    def _variables(self, name: str) -> dict[str, Any]:
        """The variables of the part called `name`."""
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

        `cell` is the block's own table of the architecture: `edges` gates [operations], or `Cells`
        without the leading axis.
        """
        values = list(inputs)
        for target in range(2, self.space.nodes + 2):
            if isinstance(cell, Cells):
                value = self._chosen(target, values, cell, train)
            else:
                value = self._all(target, values, cell, train)
            values.append(materialise(value, one))
        nodes = values[2:]
        if not isinstance(cell, Cells):
            return jnp.concatenate(nodes, -1)
        nodes = [node * cell.outputs[i].astype(self.style.dtype) for i, node in enumerate(nodes)]
        out = jnp.concatenate(nodes, -1)
        inspection.tell_partial(out, lambda: jnp.repeat(cell.outputs, self.block.channels))
        return out

    def _fields(self, source: int) -> dict[str, Any]:
        """Fields of an `Op` on an edge from `source`, but for the operation."""
        return {
            "features": self.block.channels,
            "stride": self.block.stride if source < 2 else 1,
            "style": self.style,
        }

    def _shape(self, values: list[jax.Array]) -> tuple[int, ...]:
        """Shape of a node."""
        batch, height, width, _ = values[0].shape
        stride = self.block.stride
        return batch, -(-height // stride), -(-width // stride), self.block.channels

    def _all(
        self, target: int, values: list[jax.Array], gates: Sequence[jax.Array], train: bool
    ) -> jax.Array:
        """A node as the weighted sum of every operation on every edge."""
        terms = []
        for source, value in enumerate(values):
            fields = self._fields(source)
            names = {
                operation: _part_name(source, target, operation)
                for operation in self.space.operations
                if operation != NULL
            }
            if self.is_initializing():
                for operation, name in names.items():
                    terms.append(Op(operation, **fields, name=name)(value, train))
                continue
            own = {
                collection: {each: tree.get(name, {}) for each, name in names.items()}
                for collection, tree in self.variables.items()
            }
            mixture = _Mixture(self.space.operations, **fields, parent=None)
            row = gates[self.space.edges.index((source, target))]
            out, statistics = _run(mixture, own, value, train, row)
            terms.append(out)
            if train:
                for operation, changed in statistics.items():
                    self.put_variable("batch_stats", names[operation], changed)
        return _sum(terms)

    def _chosen(self, target: int, values: list[jax.Array], cell: Cells, train: bool) -> jax.Array:
        """A node as the sum of its two chosen operations; no other one runs."""
        if isinstance(cell.operations, np.ndarray):
            return self._named(target, values, cell, train)
        groups = self._groups(target)
        stacks = [jnp.stack([values[source] for source in group]) for group in groups]
        # An operation's weights on all edges of a group, stacked: an edge is an index.
        weights = [
            [self._stacked(group, target, name) for name in self.space.operations]
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
                    self._keep(group, target, name, changed)
        return total

    def _named(self, target: int, values: list[jax.Array], cell: Cells, train: bool) -> jax.Array:
        """What `_chosen` gives, of a choice that is known while the network is traced."""
        total = jnp.zeros(self._shape(values), self.style.dtype)
        for slot in range(2):
            source = int(cell.sources[target - 2, slot])
            name = self.space.operations[cell.operations[target - 2, slot]]
            if name != NULL:
                part = _part_name(source, target, name)
                fields = self._fields(source)
                total += self._part(Op, part, values[source], train, op=name, **fields)
        return total

    def _groups(self, target: int) -> list[tuple[int, ...]]:
        """The nodes before `target`, those whose operations have equal shapes together."""
        inner = tuple(range(2, target))
        if self.block.stride == 1:
            return [(0, 1, *inner)]
        return [(0, 1), inner] if inner else [(0, 1)]

    def _stacked(self, group: tuple[int, ...], target: int, name: str) -> dict[str, Any]:
        """Variables of an operation, a leading axis for the edges from `group` to `target`."""
        edges = [self._variables(_part_name(source, target, name)) for source in group]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *edges)

    def _keep(self, group: tuple[int, ...], target: int, name: str, stacked: Any) -> None:
        """Makes the batch statistics of an operation the variables' own."""
        if not stacked:
            return
        for index, source in enumerate(group):
            of_edge = jax.tree.map(lambda leaf, index=index: leaf[index], stacked)
            self.put_variable("batch_stats", _part_name(source, target, name), of_edge)

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
            op = Op(name, **self._fields(group[0]), parent=None)
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
            or `Cells`.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: none; a supernet switches nothing off.
        """
        assert noise is None
        space = self.space
        style = Style("darts", "relu", 1e-5, self.dtype, search=True)
        if self.is_initializing():  # every operation is to get its weights
            architecture = jnp.zeros(space.shape)
        if isinstance(architecture, Cells):
            if not any(isinstance(leaf, Tracer) for leaf in architecture):
                architecture = Cells(*map(np.asarray, architecture))
            tables = [
                jax.tree.map(lambda leaf, table=table: leaf[table], architecture)
                for table in range(2)
            ]
        else:
            tables = [_rows(table) for table in _rows(architecture)]
        one = runtime_one(x) if isinstance(x, Tracer) else None
        stem = {
            "features": 3 * space.channels,
            "style": dataclasses.replace(style, search=False),
        }
        older = newer = self._part(_Stem, "stem", x, train, **stem)
        for index, block in enumerate(space.blocks):
            stride = space.blocks[index - 1].stride if index else 1
            match = {"features": block.channels, "style": style, "relu": True}
            inputs = (
                self._part(Match, f"block_{index}_input_0", older, train, stride=stride, **match),
                self._part(Match, f"block_{index}_input_1", newer, train, stride=1, **match),
            )
            cell = tables[block.stride == 2]
            module = CellBlock(space, block, style, name=f"block_{index}")
            older, newer = inspection.rescaled((newer, module(inputs, cell, one, train)))
        x = newer.astype(jnp.float32).mean((1, 2))
        return finish(x, self.outputs, train)
