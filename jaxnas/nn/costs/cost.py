"""What a network costs, counted from its layers."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.layers import Conv, Dense
from jaxnas.nn.network import Network, supernet
from jaxnas.nn.supernets.chain_supernet import ChainSupernet, candidate_name
from jaxnas.nn.weights.init import abstract_variables, named_leaves
from jaxnas.spaces.adaptation import ID, SAME, AdaptationSpace
from jaxnas.spaces.chain import ChainSpace
from jaxnas.spaces.genotype import NULL, Genotype


class Cost(NamedTuple):
    """Size of a network.

    Attributes:
      params: number of trained parameters, without an auxiliary head; batch statistics not counted.
      aux_params: number of parameters of the auxiliary head.
      macs: multiply-adds of convolutions and dense layers for one image, borders counted in full
        (the papers' convention), without an auxiliary head.
      batch_stats: number of running means and variances, without an auxiliary head.
    """

    params: int
    aux_params: int
    macs: int
    batch_stats: int


def cost(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Cost of `model` for images of `input_shape` [h, w, c]. Computes no values."""
    variables, by_layer = _trace(model, input_shape)
    params = variables["params"]
    every = variables.get("batch_stats", {})  # a bare network without a stem has no batch norm
    stats = {name: leaf for name, leaf in every.items() if name != "auxiliary"}
    aux_params = _size(params.get("auxiliary", {}))
    return Cost(
        params=_size(params) - aux_params,
        aux_params=aux_params,
        macs=sum(macs for path, macs in by_layer.items() if path[0] != "auxiliary"),
        batch_stats=_size(stats),
    )


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def edge_macs(space: AdaptationSpace, input_shape: tuple[int, ...]) -> np.ndarray:
    """Multiply-adds of each candidate of each block: float64 [blocks, edges, 3].

    Candidates that are free (none, an identity between equal shapes) cost 0.
    """
    _, by_layer = _trace(*_supernet(space, input_shape))
    return edge_table(space, by_layer)[0]


def edge_params(space: AdaptationSpace, input_shape: tuple[int, ...]) -> np.ndarray:
    """Trained parameters of each candidate of each block: float64 [blocks, edges, 3].

    Candidates without any (none, an identity between equal shapes, pooling) cost 0.
    """
    variables, _ = _trace(*_supernet(space, input_shape))
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    sizes = {tuple(part.key for part in path): math.prod(leaf.shape) for path, leaf in leaves}
    return edge_table(space, sizes)[0]


def fixed_cost(genotype: Genotype, num_classes: int, input_shape: tuple[int, ...]) -> Cost:
    """What a network costs besides its edges: stem, head, and what brings inputs to their shape.

    The cost of a network of an adaptation space is this of its base, and what `edge_macs` and
    `edge_params` say of the candidates it has.
    """
    cells = tuple(
        dataclasses.replace(
            cell, edges=tuple(dataclasses.replace(edge, op=NULL) for edge in cell.edges)
        )
        for cell in genotype.cells
    )
    bare = dataclasses.replace(genotype, cells=cells)
    return cost(Network(bare, num_classes), input_shape)


def _supernet(
    space: AdaptationSpace, input_shape: tuple[int, ...]
) -> tuple[nn.Module, tuple[int, ...], jax.Array]:
    """What `_trace` takes to trace the supernet."""
    return supernet(space, 1), input_shape, jnp.zeros((len(space.base.blocks), *space.shape[1:]))


def edge_table(
    space: AdaptationSpace, by_path: Mapping[tuple[str, ...], float]
) -> tuple[np.ndarray, float]:
    """What the parts of a supernet cost, summed over each candidate, and over the rest.

    Args:
      space: the choices.
      by_path: the cost of a part by its path in the supernet.

    Returns:
      float64 [blocks, edges, 3], and the sum over all parts that are no candidate's.
    """
    of_edge: dict[tuple[str, ...], float] = collections.defaultdict(float)
    for path in sorted(by_path):
        of_edge[path[:2]] += by_path[path]
    table = np.zeros((len(space.base.blocks), *space.shape[1:]))
    candidates = set()
    for index, cell in enumerate(space.base.placed_cells()):
        for position, edge in enumerate(cell.edges):
            for candidate, op in ((ID, cell.identity(edge)), (SAME, edge.op)):
                path = f"block_{index}", f"edge_{position}_{op}"
                table[index, position, candidate] = of_edge.get(path, 0.0)
                candidates.add(path)
    return table, sum(cost for path, cost in of_edge.items() if path not in candidates)


def path_table(
    space: ChainSpace, by_path: Mapping[tuple[str, ...], float]
) -> tuple[np.ndarray, float]:
    """What the parts of a supernet cost, summed over each candidate, and over the rest.

    Args:
      space: the choices.
      by_path: the cost of a part by its path in the supernet.

    Returns:
      float64 [blocks, candidates], 0 for Zero and padding, and the sum over all other parts.
    """
    places = {
        candidate_name(index, name): (index, place)
        for index, names in enumerate(space.candidates)
        for place, name in enumerate(names)
    }
    table, rest = np.zeros(space.shape), 0.0
    for path in sorted(by_path):
        if path[0] in places:
            table[places[path[0]]] += by_path[path]
        else:
            rest += by_path[path]
    return table, rest


class ChainCost(NamedTuple):
    """What the networks of a chain space cost.

    Attributes:
      candidates: float64 [blocks, candidates], of each candidate; 0 for Zero and padding.
      fixed: of stem, first block, head and classifier.
      unit: what is counted, in words for a sentence, such as ``multiply-adds``.
    """

    candidates: np.ndarray
    fixed: float
    unit: str

    def of(self, choices: np.ndarray) -> float:
        """Of the network of `choices`, int [blocks]."""
        return float(self.fixed + np.take_along_axis(self.candidates, choices[:, None], 1).sum())


def chain_cost(
    space: ChainSpace,
    input_shape: tuple[int, ...],
    num_classes: int,
    unit: Literal["macs", "params"],
) -> ChainCost:
    """Multiply-adds for one image, or parameters, of every candidate; see `Cost`.

    Raises:
      ValueError: for another unit.
    """
    if unit not in ("macs", "params"):
        raise ValueError(f"unit must be 'macs' or 'params', not {unit!r}")
    choices = jnp.zeros(space.shape[0], jnp.int32)
    variables, by_layer = _trace(ChainSupernet(space, num_classes), input_shape, choices)
    if unit == "params":
        sizes = named_leaves(variables["params"])
        by_layer = {tuple(name.split("/")): leaf.size for name, leaf in sizes.items()}
    words = {"macs": "multiply-adds", "params": "parameters"}
    return ChainCost(*path_table(space, by_layer), words[unit])


def _trace(
    model: nn.Module, input_shape: tuple[int, ...], *args: Any
) -> tuple[Any, dict[tuple[str, ...], int]]:
    """Shapes of the variables of `model`, and the multiply-adds of every layer by its path."""
    macs: dict[tuple[str, ...], int] = {}

    def count(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        out = call(*arguments, **kwargs)
        if isinstance(module, Conv | Dense) and context.method_name == "__call__":
            macs[module.path] = module.macs(out.shape, arguments[0].shape)
        return out

    with nn.intercept_methods(count):
        variables = abstract_variables(model, input_shape, *args)
    return variables, macs
