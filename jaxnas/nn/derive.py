"""From a supernet's variables to those of a network derived from it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxnas.nn.init import abstract_variables


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
    available = {jax.tree_util.keystr(path): leaf for path, leaf in _leaves(tree)}

    def pick(path: Any, _: Any) -> Any:
        name = jax.tree_util.keystr(path)
        if name not in available:
            raise ValueError(f"the supernet has no variable {name}")
        return available[name]

    return jax.tree_util.tree_map_with_path(pick, target)


def _leaves(tree: Any) -> Any:
    return jax.tree_util.tree_leaves_with_path(tree)
