"""What a network costs, counted from its layers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.init import abstract_variables
from jaxnas.nn.layers import Conv, Dense
from jaxnas.nn.network import supernet
from jaxnas.spaces.adaptation import ID, SAME, AdaptationSpace
from jaxnas.spaces.genotype import NULL, SKIP


class Cost(NamedTuple):
    """Size of a network.

    Attributes:
      params: number of trained parameters, without an auxiliary head; batch statistics not counted.
      aux_params: number of parameters of the auxiliary head.
      macs: multiply-adds of convolutions and dense layers for one image, borders counted in full
        (the papers' convention).
    """

    params: int
    aux_params: int
    macs: int


def cost(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Cost of `model` for images of `input_shape` [h, w, c]. Computes no values."""
    params = abstract_variables(model, input_shape)["params"]
    total = aux = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        size = math.prod(leaf.shape)
        total += size
        aux += size if path[0].key == "auxiliary" else 0
    return Cost(total - aux, aux, sum(_macs_by_layer(model, input_shape).values()))


def edge_macs(space: AdaptationSpace, input_shape: tuple[int, ...]) -> np.ndarray:
    """Multiply-adds of each candidate of each block: float64 [blocks, edges, 3].

    Candidates that are free (none, an identity between equal shapes) cost 0.
    """
    blocks = len(space.base.blocks)
    edges = space.shape[1]
    gates = jnp.zeros((blocks, edges, 3))
    by_layer = _macs_by_layer(supernet(space, 1), input_shape, gates)
    out = np.zeros((blocks, edges, 3))
    for index, cell in enumerate(space.base.placed_cells()):
        for position, edge in enumerate(cell.edges):
            for candidate, op in ((ID, SKIP), (SAME, edge.op)):
                prefix = (f"block_{index}", f"edge_{position}_{op}")
                if op != NULL:
                    out[index, position, candidate] = sum(
                        macs for path, macs in by_layer.items() if path[:2] == prefix
                    )
    return out


def _macs_by_layer(
    model: nn.Module, input_shape: tuple[int, ...], *args: Any
) -> dict[tuple[str, ...], int]:
    """Multiply-adds of every layer, by its path."""
    macs: dict[tuple[str, ...], int] = {}

    def count(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, Conv | Dense) and context.method_name == "__call__":
            macs[module.path] = module.macs(arguments[0].shape)
        return call(*arguments, **kwargs)

    with nn.intercept_methods(count):
        abstract_variables(model, input_shape, *args)
    return macs
