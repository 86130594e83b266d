"""From a supernet's variables to those of a network in it."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.heads import Outputs
from jaxnas.nn.network import build
from jaxnas.nn.supernets.chain_supernet import candidate_name
from jaxnas.nn.supernets.macro_supernet import MacroChoice, MacroSupernet, macro_choice
from jaxnas.nn.weights.init import abstract_variables
from jaxnas.spaces.chain import ZERO, ChainSpace
from jaxnas.spaces.enas_macro import MACRO_OPERATIONS
from jaxnas.spaces.genotype import SKIP, Genotype


def cut(variables: Any, module: nn.Module, input_shape: tuple[int, ...]) -> Any:
    """The variables of `module` out of a supernet's: same paths, same values.

    Args:
      variables: of the supernet.
      module: a network whose genotype the supernet contains.
      input_shape: [h, w, c] of an image.

    Raises:
      ValueError: if the supernet lacks one of the network's variables, naming it.
    """
    return cut_like(variables, abstract_variables(module, input_shape))


def cut_like(tree: Any, target: Any) -> Any:
    """`tree` cut down to the dictionary keys that `target` has, at every depth.

    Works on anything built around the variables, such as an optimiser's state.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    available = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}

    def pick(path: Any, _: Any) -> Any:
        name = jax.tree_util.keystr(path)
        if name not in available:
            raise ValueError(f"the supernet has no variable {name}")
        return available[name]

    return jax.tree_util.tree_map_with_path(pick, target)


def cut_chain(
    space: ChainSpace,
    variables: Any,
    choices: np.ndarray,
    outputs: Outputs,
    dtype: Any = jnp.float32,
) -> tuple[Any, Any]:
    """The network of `choices` and its variables, out of the supernet's.

    Args:
      space: the choices.
      variables: of a `ChainSupernet`, or anything built around them, by collection.
      choices: int [blocks].
      outputs: number of classes, or the heads of self-supervised learning.
      dtype: of the computation.

    Returns:
      The module, and variables for it with equal values; it computes what the supernet computes
      with these choices.

    Raises:
      SpaceError: see `Space.complete`.
    """
    choices = space.complete(choices)
    genotype = space.decode(choices)
    kept = [
        candidate_name(index, names[choice])
        for index, (names, choice) in enumerate(zip(space.candidates, choices, strict=True))
        if names[choice] != ZERO
    ]
    chosen = {
        collection: {
            name: tree
            for name, tree in modules.items()
            if not name.startswith("block_") or name == "block_0"
        }
        for collection, modules in variables.items()
    }
    for place, (name, cell) in enumerate(zip(kept, genotype.placed_cells()[1:], strict=True), 1):
        # A shortcut is an edge too: those behind it are numbered one higher.
        edges = [(position, edge.op) for position, edge in enumerate(cell.edges) if edge.op != SKIP]
        for collection, modules in variables.items():
            chosen[collection][f"block_{place}"] = {
                f"edge_{position}_{op}": modules[name][f"edge_{number}_{op}"]
                for number, (position, op) in enumerate(edges)
            }
    return build(genotype, outputs, dtype), chosen


def cut_macro(network: MacroSupernet, variables: Any, candidate: np.ndarray) -> Any:
    """The variables of ``build(space.decode(candidate))`` out of the shared ones.

    Args:
      network: the supernet.
      variables: ``params`` and ``batch_stats`` of it.
      candidate: int [decisions].

    Raises:
      SpaceError: see `Space.complete`.
    """
    choice = macro_choice(network.space, network.space.complete(candidate))
    cut = functools.partial(_cut_layer, choice)
    return {collection: cut(network.plain, modules) for collection, modules in variables.items()}


def _cut_layer(choice: MacroChoice, plain: Genotype, modules: dict[str, Any]) -> dict[str, Any]:
    """The variables of the chosen network in one collection of the supernet's."""
    found = {name: each for name, each in modules.items() if not name.startswith("block_")}
    layer = 0
    for index, block in enumerate(plain.blocks):
        name = f"block_{index}"
        if block.stride == 2:
            found[name] = {f"edge_0_{SKIP}": modules[name]}
            continue
        op = MACRO_OPERATIONS[int(choice.operations[layer])]
        own = {"edge_0_conv_1x1": modules[f"{name}_{op}_in"]}
        if f"{name}_{op}" in modules:  # pools have no weights
            own[f"edge_1_{op}"] = modules[f"{name}_{op}"]
        if layer:
            taken = np.flatnonzero(np.asarray(choice.skips[layer, :layer]))
            join = dict(modules[f"{name}_join"])
            if "conv" in join:
                parts = np.concatenate([[0], 1 + taken])
                rows = (parts[:, None] * block.channels + np.arange(block.channels)).ravel()
                join["conv"] = {"kernel": join["conv"]["kernel"][..., rows, :]}
            own[f"edge_{3 + len(taken)}_conv_1x1"] = join
        found[name] = own
        layer += 1
    return found
