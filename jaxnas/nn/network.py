"""Networks built from genotypes, and the supernet in which the architecture is an input."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn.layers import BatchNorm, Conv, Dense, Op, materialise, runtime_one
from jaxnas.spaces.adaptation import ID, SAME, AdaptationSpace
from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Genotype


class BlockModule(nn.Module):
    """One block: its cell's graph at the block's channels and stride.

    Attributes:
      cell: the graph.
      block: channels and stride.
      family: of the genotype.
      gated: whether every edge also has an identity and is weighted by gates.
    """

    cell: Cell
    block: Block
    family: str
    gated: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        inputs: tuple[jax.Array, ...],
        gates: jax.Array | None,
        one: jax.Array | None,
        train: bool,
    ) -> jax.Array:
        """[b, h, w, c] inputs to the block's output; `gates` is [edges, 3] (none, id, same)."""
        first = inputs[0]
        stride = self.block.stride
        sides = first.shape[1], first.shape[2]
        strided = -(-sides[0] // stride), -(-sides[1] // stride)
        values: list[jax.Array] = list(inputs)
        for index, node in enumerate(self.cell.nodes):
            target = self.cell.inputs + index
            features = node.expansion * first.shape[-1] if node.expansion else self.block.channels
            total = None
            for position, edge in enumerate(self.cell.edges):
                if edge.target != target:
                    continue
                edge_stride = stride if self.cell.crosses_stride(edge) else 1
                term = self._edge(
                    position, edge.op, values[edge.source], features, edge_stride, gates, train
                )
                if term is not None:
                    total = term if total is None else total + term
            if total is None:
                shape = (first.shape[0], *(strided if node.strided else sides), features)
                total = jnp.zeros(shape, self.dtype)
            values.append(materialise(nn.relu(total) if node.relu else total, one))
        return jnp.concatenate([values[node] for node in self.cell.output], axis=-1)

    def _edge(
        self,
        position: int,
        op: str,
        x: jax.Array,
        features: int,
        stride: int,
        gates: jax.Array | None,
        train: bool,
    ) -> jax.Array | None:
        """What an edge adds to its target; None for nothing."""

        def run(name: str, gate: jax.Array | None) -> jax.Array:
            module = Op(
                name,
                features,
                stride,
                relu_first=self.family == "darts",
                dtype=self.dtype,
                name=f"edge_{position}_{name}",
            )
            return module(x, train, gate)

        if not self.gated:
            return None if op == NULL else run(op, None)
        assert gates is not None
        gate = gates[position]
        if op == NULL:
            return run(SKIP, gate[ID])
        if op == SKIP:  # the identity and the base's own operation are the same
            return run(SKIP, gate[ID] + gate[SAME])
        return run(SKIP, gate[ID]) + run(op, gate[SAME])


class Network(nn.Module):
    """The network of a genotype.

    Attributes:
      genotype: the architecture.
      num_classes: size of the output.
      gated: True for the supernet, whose edges are weighted by gates.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
    """

    genotype: Genotype
    num_classes: int
    gated: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, gates: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Logits of images.

        Args:
          x: float [b, h, w, c], normalised.
          gates: float32 [blocks, edges, 3] in the order none, id, same; for a supernet only.
          train: whether batch norm uses the batch's statistics and updates its running ones.

        Returns:
          float32 [b, num_classes].
        """
        genotype = self.genotype
        darts = genotype.family == "darts"
        one = runtime_one(x)
        x = Conv(genotype.stem, 3, dtype=self.dtype, name="stem_conv")(x)
        x = BatchNorm(self.dtype, name="stem_norm")(x, train)
        if not darts:
            x = nn.relu(x)
        states = (x, x)
        for index, (block, cell) in enumerate(
            zip(genotype.blocks, genotype.placed_cells(), strict=True)
        ):
            inputs = states[-cell.inputs :]
            if darts:
                inputs = self._preprocess(index, inputs, block.channels, train)
            module = BlockModule(
                cell,
                block,
                genotype.family,
                self.gated,
                self.dtype,
                name=f"block_{index}",
            )
            out = module(inputs, None if gates is None else gates[index], one, train)
            states = (states[1], out)
        x = states[1]
        if genotype.head:
            x = Conv(genotype.head, 1, dtype=self.dtype, name="head_conv")(x)
            x = nn.relu(BatchNorm(self.dtype, name="head_norm")(x, train))
        x = x.astype(jnp.float32).mean((1, 2))
        return Dense(self.num_classes, name="classifier")(x)

    def _preprocess(
        self, index: int, inputs: tuple[jax.Array, ...], channels: int, train: bool
    ) -> tuple[jax.Array, ...]:
        """Both inputs of a darts cell at its channels; the older at the size of the newer."""
        size = inputs[-1].shape[1]
        out = []
        for position, x in enumerate(inputs):
            op, stride = ("conv_1x1", 1) if x.shape[1] == size else (SKIP, 2)
            module = Op(
                op, channels, stride, True, self.dtype, name=f"block_{index}_input_{position}"
            )
            out.append(module(x, train))
        return tuple(out)


def build(genotype: Genotype, num_classes: int, dtype: Any = jnp.float32) -> Network:
    """The network of `genotype`; its output must be reachable.

    Raises:
      ValueError: if no path of edges that are not null leads to the head.
    """
    if not genotype.connected():
        raise ValueError(
            f"genotype {genotype.name!r}: no path of edges leads from the image to the classifier"
        )
    return Network(genotype, num_classes, dtype=dtype)


def supernet(space: AdaptationSpace, num_classes: int, dtype: Any = jnp.float32) -> Network:
    """The base of `space` with an identity on every edge; called with gates [blocks, edges, 3]."""
    return Network(space.base, num_classes, gated=True, dtype=dtype)
