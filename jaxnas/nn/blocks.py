"""A block of a network: its cell's graph, computed."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn.kernels import pair
from jaxnas.nn.layers import Noise, drop_path, materialise
from jaxnas.nn.operations import Match, Op, Style
from jaxnas.spaces.adaptation.cell_choices import ID, SAME
from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell


class BlockModule(nn.Module):
    """One block: its cell's graph at the block's channels and stride.

    Attributes:
      cell: the graph.
      block: channels and stride.
      style: of the network.
      gated: whether every edge also has an identity and is weighted by gates.
      identities: whether edges have that identity.
    """

    cell: Cell
    block: Block
    style: Style
    gated: bool
    identities: bool = True

    @nn.compact
    def __call__(
        self,
        inputs: tuple[jax.Array, ...],
        gates: jax.Array | None,
        one: jax.Array | None,
        train: bool,
        noise: Noise | None = None,
    ) -> jax.Array:
        """[b, h, w, c] inputs to the block's output; `gates` is [edges, 3] (none, id, same)."""
        first = inputs[0]
        stride: int | tuple[int, int] = self.block.stride
        if self.block.strides:
            stride = self.block.strides[0], self.block.strides[1]
        sides = first.shape[1], first.shape[2]
        strided = [-(-side // step) for side, step in zip(sides, pair(stride), strict=True)]
        values: list[jax.Array] = list(inputs)
        for index, node in enumerate(self.cell.nodes):
            target = self.cell.inputs + index
            features = node.width(self.block.channels, first.shape[-1])
            shape = (first.shape[0], *(strided if node.strided else sides), features)
            terms = []
            for position, edge in enumerate(self.cell.edges):
                if edge.target != target:
                    continue
                edge_stride = stride if self.cell.crosses_stride(edge) else 1
                term = self._edge(
                    position,
                    edge.op,
                    values[edge.source],
                    features,
                    edge_stride,
                    gates,
                    train,
                    noise,
                )
                if term is not None:
                    terms.append(term)
                elif node.concat:
                    terms.append(jnp.zeros(shape, self.style.dtype))
            if not terms:
                total = jnp.zeros(shape, self.style.dtype)
            else:
                total = jnp.concatenate(terms, -1) if node.concat else sum(terms[1:], terms[0])
            values.append(materialise(self.style.activate(total) if node.relu else total, one))
        return jnp.concatenate([self._output(node, values, train) for node in self.cell.output], -1)

    def _edge(
        self,
        position: int,
        op: str,
        x: jax.Array,
        features: int,
        stride: int | tuple[int, int],
        gates: jax.Array | None,
        train: bool,
        noise: Noise | None,
    ) -> jax.Array | None:
        """What an edge adds to its target; None for nothing."""

        def run(name: str, gate: jax.Array | None) -> jax.Array:
            module = Op(name, features, stride, self.style, name=f"edge_{position}_{name}")
            out = module(x, train, gate)
            if noise is None or (name == SKIP and (self.style.rules.spares_skips or out is x)):
                return out
            return drop_path(jax.random.fold_in(noise.key, position), noise.drop_path, out)

        if not self.gated:
            return None if op == NULL else run(op, None)
        assert gates is not None
        gate = gates[position]
        if not self.identities:
            return None if op == NULL else run(op, gate[SAME])
        if op == NULL:
            return run(SKIP, gate[ID])
        identity = self.cell.identity(self.cell.edges[position])
        if op == identity:  # one operation for both candidates
            return run(op, gate[ID] + gate[SAME])
        return run(identity, gate[ID]) + run(op, gate[SAME])

    def _output(self, node: int, values: list[jax.Array], train: bool) -> jax.Array:
        """A state as it enters the output: an input in the last node's size, with its channels.

        Those are the block's also where the last node is a concatenation and wider: what a cell
        computes does not depend on the order of its nodes.
        """
        value, channels = values[node], self.block.channels
        stride = self.block.stride if self.cell.nodes[-1].strided else 1
        if node >= self.cell.inputs or (stride == 1 and value.shape[-1] == channels):
            return value
        module = Match(channels, stride, self.style, relu=False, name=f"output_{node}")
        return module(value, train)
