"""A surrogate of progressive search that reads a cell block by block, each by what it reads.

The surrogates of the paper (`surrogates`) know an earlier block as an option of a decision: one
that no cell before could choose has an embedding that was never trained, and what two decisions of
a block mean together is lost in the mean over blocks. Here a block is a state, made of its
decisions by two layers, and a block that reads it sees that state.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.search.blackbox.controller import uniform
from jaxnas.search.progressive.surrogates import (
    Surrogate,
    Tokens,
    check_sizes,
    ensemble,
    lstm_surrogate,
    mlp_surrogate,
)
from jaxnas.spaces import Space


class BlockParams(NamedTuple):
    """Parameters of one member of a `block_surrogate`, of `units` U.

    Attributes:
      embeddings: of each kind of decision, float32 [options that are no earlier block, U].
      hidden: float32 [slots, U, U], from what a block's decisions chose.
      hidden_bias: float32 [U].
      state: float32 [U, U], to the block's state.
      state_bias: float32 [U].
      second: float32 [U, U], from the mean of the blocks' states.
      second_bias: float32 [U].
      output: float32 [U].
      output_bias: float32, scalar.
    """

    embeddings: dict[str, jax.Array]
    hidden: jax.Array
    hidden_bias: jax.Array
    state: jax.Array
    state_bias: jax.Array
    second: jax.Array
    second_bias: jax.Array
    output: jax.Array
    output_bias: jax.Array


def block_surrogate(
    space: Space,
    *,
    members: int = 5,
    units: int = 32,
    steps: int = 300,
    first_rate: float = 0.01,
    later_rate: float = 0.002,
    output_bias: float = 1.8,
) -> Surrogate:
    """Makes a state of every block, and two layers of ReLU on the mean of all states.

    A decision chooses an earlier block where its kind has one option more with every block; its
    other options have embeddings. This is this project's; what it shares with `mlp_surrogate`, the
    loss, the rates and the ensemble, is as there, and so are arguments and errors.
    """
    check_sizes(members, units, steps)
    tokens = Tokens(space)
    bounds = list(itertools.pairwise((0, *space.levels)))
    known = {kind: _known_options(space, kind, bounds) for kind in dict.fromkeys(tokens.kinds)}
    slots = max(end - start for start, end in bounds)

    def init(key: jax.Array) -> BlockParams:
        shapes = BlockParams(
            {kind: jnp.zeros((count, units)) for kind, count in known.items()},
            hidden=jnp.zeros((slots, units, units)),
            hidden_bias=jnp.zeros(units),
            state=jnp.zeros((units, units)),
            state_bias=jnp.zeros(units),
            second=jnp.zeros((units, units)),
            second_bias=jnp.zeros(units),
            output=jnp.zeros(units),
            output_bias=jnp.float32(output_bias),
        )
        drawn = uniform(key, shapes, 1.0)
        return shapes._replace(
            embeddings=drawn.embeddings,
            hidden=drawn.hidden / np.sqrt(slots * units),
            state=drawn.state / np.sqrt(units),
            second=drawn.second / np.sqrt(units),
            output=drawn.output / np.sqrt(units),
        )

    def logits(params: BlockParams, cells: jax.Array) -> jax.Array:
        states: list[jax.Array] = []
        total = jnp.zeros((len(cells), units))
        for start, end in bounds:
            hidden = params.hidden_bias
            for slot, place in enumerate(range(start, end)):
                kind, chosen = tokens.kinds[place], jnp.maximum(cells[:, place], 0)
                table = params.embeddings[kind] @ params.hidden[slot]
                seen = table[jnp.minimum(chosen, known[kind] - 1)]
                if len(space.decisions[place].options) > known[kind]:
                    read = jnp.stack(states, 1) @ params.hidden[slot]
                    block = jnp.maximum(chosen - known[kind], 0)[:, None, None]
                    of_block = jnp.take_along_axis(read, block, 1)[:, 0]
                    seen = jnp.where((chosen >= known[kind])[:, None], of_block, seen)
                hidden = hidden + seen
            state = jax.nn.relu(jax.nn.relu(hidden) @ params.state + params.state_bias)
            states.append(state)
            total = total + jnp.where(cells[:, end - 1, None] >= 0, state, 0.0)
        blocks = (cells[:, [end - 1 for _, end in bounds]] >= 0).sum(1, keepdims=True)
        mean = total / jnp.maximum(blocks, 1)
        hidden = jax.nn.relu(mean @ params.second + params.second_bias)
        return hidden @ params.output + params.output_bias

    return ensemble(init, logits, lambda cells: cells, members, steps, (first_rate, later_rate))


def _known_options(space: Space, kind: str, bounds: list[tuple[int, int]]) -> int:
    """How many options of a kind are no earlier block of the cell."""
    counts = [
        {len(each.options) for each in space.decisions[start:end] if each.kind == kind}
        for start, end in bounds
    ]
    first = max(counts[0], default=0)
    grows = all(each == {first + level} for level, each in enumerate(counts)) and len(counts) > 1
    return first if grows else max(max(each, default=0) for each in counts)


SURROGATES: dict[str, Callable[..., Surrogate]] = {
    "block": block_surrogate,
    "mlp": mlp_surrogate,
    "lstm": lstm_surrogate,
}
"""What `--surrogate` names."""
