"""NAS-Bench-201's supernet: one compiled program for all of its networks."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn import inspection
from jaxnas.nn.blocks import BlockModule
from jaxnas.nn.classifiers import classify
from jaxnas.nn.heads import Outputs, Representation
from jaxnas.nn.layers import materialise, runtime_one
from jaxnas.nn.operations import Op, Style
from jaxnas.nn.stem import read_image
from jaxnas.spaces.genotype import NULL
from jaxnas.spaces.nasbench201 import EDGES, IN_GENOTYPES, NASBench201Space


class GatedCell(nn.Module):
    """A cell with every operation on every edge.

    Attributes:
      channels: of its input and its nodes.
      style: of the network.
    """

    channels: int
    style: Style

    @nn.compact
    def __call__(
        self, x: jax.Array, gates: jax.Array, one: jax.Array | None, train: bool
    ) -> jax.Array:
        """[b, h, w, c] to the same shape; `gates` is [6, 5]."""
        values = [x]
        for node in (1, 2, 3):
            total = jnp.zeros_like(x)
            for edge, (source, target) in enumerate(EDGES):
                for index, name in enumerate(IN_GENOTYPES):
                    if target == node and name != NULL:
                        op = Op(name, self.channels, 1, self.style, name=f"edge_{edge}_{name}")
                        total += op(values[source], train, gates[edge, index])
            values.append(materialise(total, one))
        return values[-1]


class NASBench201Supernet(nn.Module):
    """Every network of a NAS-Bench-201 space; which one is an input.

    Its variables are named as the single networks' are, so `nn.init` with one key gives both the
    same values, and `nn.cut` takes a network's out of the supernet's.

    Attributes:
      space: channels and cells.
      outputs: number of classes, or the heads of self-supervised learning.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
    """

    space: NASBench201Space
    outputs: Outputs
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, gates: jax.Array, *, train: bool, noise: None = None
    ) -> jax.Array | Representation:
        """Logits float32 [b, classes] of images, or a `Representation`.

        Args:
          x: float [b, h, w, c], normalised.
          gates: float32 [6, 5], the weight of each operation on each edge, shared by all cells; one
            hot for a network of the space.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: none; a supernet switches nothing off.
        """
        assert noise is None
        network = self.space.decode(np.zeros(len(EDGES), np.int32))
        style = Style.of(network, self.dtype)
        one = runtime_one(x)
        x = read_image(network, style, x, train)[-1]
        for index, (block, cell) in enumerate(
            zip(network.blocks, network.placed_cells(), strict=True)
        ):
            name = f"block_{index}"
            if cell.name == "reduction":
                x = BlockModule(cell, block, style, False, name=name)((x,), None, one, train)
            else:
                x = GatedCell(block.channels, style, name=name)(x, gates, one, train)
            x = inspection.rescaled(x)
        return classify(network, self.outputs, style, x, train, None)
