"""The supernet of a chain space: every candidate's weights, and the paths to run as an input.

ProxylessNAS trains a supernet in the memory of one network: of each block's candidates one runs,
forward and backward. Here that is a branch at run time (`lax.switch`), so one compiled program
serves every architecture. Over an axis of seeds (`vmap`) a branch becomes all branches and a
selection: the results are the same, the memory and the time are those of all candidates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn import inspection
from jaxnas.nn.blocks import BlockModule
from jaxnas.nn.classifiers import classify
from jaxnas.nn.heads import Outputs, Representation
from jaxnas.nn.layers import Noise, materialise, runtime_one, weighted
from jaxnas.nn.operations import Style
from jaxnas.nn.stem import read_image
from jaxnas.nn.supernets.switch import Branch, run_one
from jaxnas.spaces.chain import ZERO, ChainSpace


class Pair(NamedTuple):
    """Two paths of each block.

    Attributes:
      candidates: int32 [blocks, 2], which.
      gates: float32 [blocks, 2], the weights of their outputs.
    """

    candidates: jax.Array
    gates: jax.Array


ChainPaths = jax.Array | Pair
"""What runs: choices int32 [blocks], a `Pair`, or gates float32 [blocks, candidates] of all."""


def chain_paths(chosen: Any) -> ChainPaths:
    """What runs, of choices or gates as they are, or of the two arrays of a `Pair`."""
    return Pair(*chosen) if isinstance(chosen, tuple) else chosen


class ChainSupernet(nn.Module):
    """All candidates of a chain space.

    Attributes:
      space: the choices.
      outputs: number of classes, or the heads of self-supervised learning.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
    """

    space: ChainSpace
    outputs: Outputs
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, paths: ChainPaths, *, train: bool, noise: Noise | None = None
    ) -> jax.Array | Representation:
        """Logits of images.

        Batch statistics of candidates that did not run stay as they are.

        Args:
          x: float [b, h, w, c], normalised.
          paths: choices, int32 [blocks]: one candidate of each block runs. A `Pair`: two run,
            weighted. Gates, float32 [blocks, candidates]: all run, weighted; those with gate 0
            change nothing, and their weights get no gradient.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: dropout, for training; without it nothing is switched off.

        Returns:
          float32 [b, classes], or a `Representation`.
        """
        space = self.space
        # The fixed parts and the blocks' shapes are those of any chain without Zero.
        chain = space.decode(np.zeros(space.shape[0], np.int32))
        style = Style.of(chain, self.dtype)
        one = runtime_one(x)
        x = read_image(chain, style, x, train)[-1]
        first = BlockModule(chain.placed_cells()[0], chain.blocks[0], style, False, name="block_0")
        x = inspection.rescaled(first((x,), None, one, train))
        for index, names in enumerate(space.candidates):
            block = chain.blocks[index + 1]
            modules = {
                name: functools.partial(BlockModule, space.cell(name), block, style, False)
                for name in names
                if name != ZERO
            }
            if self.is_initializing():
                for name, module in modules.items():
                    out = module(name=candidate_name(index, name))((x,), None, one, train)
            else:
                out = self._run(index, modules, paths, x, one, train)
            x = materialise(x + out, one) if space.layout[index][2] else out
            x = inspection.rescaled(x)
        return classify(chain, self.outputs, style, x, train, noise)

    def _run(
        self,
        index: int,
        modules: dict[str, Callable[..., BlockModule]],
        paths: ChainPaths,
        x: jax.Array,
        one: jax.Array | None,
        train: bool,
    ) -> jax.Array:
        """What block `index` adds to its shortcut."""
        params, stats = (
            {name: self.get_variable(collection, candidate_name(index, name)) for name in modules}
            for collection in ("params", "batch_stats")
        )
        # Bound to no parent: a branch may only touch what it is given.
        branches = [
            _branch(name, modules[name](parent=None), train) if name in modules else _nothing
            for name in self.space.candidates[index]
        ]
        out: Any = 0
        if isinstance(paths, Pair):
            for which in range(2):
                chosen = paths.candidates[index, which]
                gate = paths.gates[index, which]
                with inspection.counting(gate):
                    term, stats = run_one(branches, chosen, (params, x), (stats, one))
                out += weighted(term, gate)
        elif jnp.issubdtype(paths.dtype, jnp.integer):
            out, stats = run_one(branches, paths[index], (params, x), (stats, one))
        else:
            for branch, gate in zip(branches, paths[index], strict=False):
                if branch is not _nothing:
                    with inspection.counting(gate):
                        term, stats = branch((params, x), (stats, one))
                    out += weighted(term, gate)
        if train:
            for name in modules:
                self.put_variable("batch_stats", candidate_name(index, name), stats[name])
        return out


def candidate_name(index: int, name: str) -> str:
    """The variables' name of a candidate of the block of choice `index`."""
    return f"block_{index + 1}_{name}"


def _branch(name: str, module: BlockModule, train: bool) -> Branch:
    """A candidate as a function of all candidates' variables."""

    def run(learned: Any, other: Any) -> tuple[jax.Array, Any]:
        (params, x), (stats, one) = learned, other
        variables = {"params": params[name], "batch_stats": stats[name]}
        out, changed = module.apply(
            variables, (x,), None, one, train, mutable=["batch_stats"] if train else []
        )
        return out, {**stats, name: changed["batch_stats"]} if train else stats

    return run


def _nothing(learned: Any, other: Any) -> tuple[jax.Array, Any]:
    """Zero."""
    return jnp.zeros_like(learned[1]), other[0]


def where_ran(space: ChainSpace, choices: jax.Array, after: Any, before: Any) -> Any:
    """`after`, but `before` for all that belongs to a candidate that did not run.

    Both are built around the parameters, as an optimiser's state is. Such a candidate is moved by
    neither weight decay nor momentum.
    """
    ran = {
        candidate_name(index, name): choices[index] == place
        for index, names in enumerate(space.candidates)
        for place, name in enumerate(names)
    }

    def pick(path: Any, new: jax.Array, old: jax.Array) -> jax.Array:
        for part in path:
            if isinstance(part, jax.tree_util.DictKey) and part.key in ran:
                return jnp.where(ran[part.key], new, old)
        return new

    return jax.tree_util.tree_map_with_path(pick, after, before)
