"""What a network costs, counted from its layers."""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.layers import Conv, Dense
from jaxnas.nn.network import supernet
from jaxnas.nn.supernets.chain_supernet import ChainSupernet, candidate_name
from jaxnas.nn.weights.init import abstract_variables, named_leaves
from jaxnas.spaces.adaptation.cell_choices import ID, SAME
from jaxnas.spaces.adaptation.space import AdaptationSpace
from jaxnas.spaces.chain import ChainSpace


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


class CandidateCosts(NamedTuple):
    """What the networks of a space cost.

    Attributes:
      candidates: float64 [blocks, edges, 3] of an adaptation space, [blocks, candidates] of a
        chain, of each candidate of each block; 0 for those that are free and for padding.
      fixed: of the parts that every network has: stem, head, classifier, and what brings inputs
        to their shape.
      unit: what is counted, in words for a sentence, such as ``multiply-adds``.
    """

    candidates: np.ndarray
    fixed: float
    unit: str

    def of(self, choices: np.ndarray) -> float:
        """Cost of the network of a chain's `choices`, int [blocks]."""
        return float(self.fixed + np.take_along_axis(self.candidates, choices[:, None], 1).sum())


def candidate_costs(
    space: AdaptationSpace | ChainSpace,
    input_shape: tuple[int, ...],
    num_classes: int,
    unit: Literal["macs", "params"],
) -> CandidateCosts:
    """Multiply-adds for one image, or trained parameters, of every candidate; see `Cost`.

    Args:
      space: the candidates.
      input_shape: [h, w, c] of an image.
      num_classes: size of the output.
      unit: what is counted.

    Raises:
      ValueError: for another unit.
    """
    if unit not in ("macs", "params"):
        raise ValueError(f"unit must be 'macs' or 'params', not {unit!r}")
    network, paths = supernet_of(space, num_classes)
    variables, by_path = _trace(network, input_shape, paths)
    if unit == "params":
        sizes = named_leaves(variables["params"])
        by_path = {tuple(name.split("/")): leaf.size for name, leaf in sizes.items()}
    words = {"macs": "multiply-adds", "params": "parameters"}
    return CandidateCosts(*cost_table(space, by_path), words[unit])


def supernet_of(
    space: AdaptationSpace | ChainSpace, num_classes: int, dtype: Any = jnp.float32
) -> tuple[nn.Module, jax.Array]:
    """The supernet of a space, and what else it is called with to run any of its networks."""
    if isinstance(space, ChainSpace):
        return ChainSupernet(space, num_classes, dtype), jnp.zeros(space.shape[0], jnp.int32)
    gates = jnp.zeros((len(space.base.blocks), *space.shape[1:]))
    return supernet(space, num_classes, dtype), gates


def cost_table(
    space: AdaptationSpace | ChainSpace, by_path: Mapping[tuple[str, ...], float]
) -> tuple[np.ndarray, float]:
    """The costs of a supernet's parts, summed over each candidate, and over the rest.

    Args:
      space: the choices.
      by_path: the cost of a part by its path in the supernet.

    Returns:
      `CandidateCosts.candidates` and `CandidateCosts.fixed`.
    """
    places = collections.defaultdict(list)  # of a candidate's path, those in the table
    if isinstance(space, ChainSpace):
        table = np.zeros(space.shape)
        for index, names in enumerate(space.candidates):
            for place, name in enumerate(names):
                places[(candidate_name(index, name),)].append((index, place))
    else:
        table = np.zeros((len(space.base.blocks), *space.shape[1:]))
        for index, cell in enumerate(space.base.placed_cells()):
            for position, edge in enumerate(cell.edges):
                for candidate, op in ((ID, cell.identity(edge)), (SAME, edge.op)):
                    path = f"block_{index}", f"edge_{position}_{op}"
                    places[path].append((index, position, candidate))
    depth, rest = len(next(iter(places))), 0.0
    for path in sorted(by_path):
        found = places.get(path[:depth], ())
        for place in found:
            table[place] += by_path[path]
        if not found:
            rest += by_path[path]
    return table, rest


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
