"""A candidate as an input of the child network: which operation, state and weights in each slot."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.supernets.child_layout import BlockLayout, Choice


@functools.partial(jax.jit, static_argnums=0)
def choices(layouts: tuple[BlockLayout, ...], candidate: Any) -> tuple[Choice, ...]:
    """A candidate as an input of the child network.

    Args:
      layouts: of the network.
      candidate: int [decisions], complete and valid.
    """
    tables = layouts[0].space.parts(candidate)
    masks = _masks(layouts, candidate)
    found = []
    for layout, (outputs, _) in zip(layouts, masks, strict=True):
        inputs, operations, concat = tables[layout.table]
        states, channels = inputs.reshape(-1), layout.block.channels
        wide = jnp.concatenate([jnp.zeros(2, jnp.int32), jnp.asarray(concat, jnp.int32)])
        second = jnp.arange(layout.slots) % 2
        fit = [_input(layout, each, masks) for each in range(2)]
        found.append(
            Choice(
                jnp.asarray(layout.variant_table)[states, wide[states], operations.reshape(-1)],
                jnp.asarray(layout.places)[states],
                channels * second * jnp.repeat(wide[2:], 2),
                outputs,
                jnp.stack([matched for matched, _ in fit]),
                jnp.stack([taken for _, taken in fit]),
                jnp.asarray(layout.row_table)[jnp.arange(layout.slots), states],
            )
        )
    return tuple(found)


@functools.partial(jax.jit, static_argnums=0)
def _masks(layouts: tuple[BlockLayout, ...], candidate: Any) -> list[tuple[jax.Array, jax.Array]]:
    """What `_put_out` says of each block."""
    tables = layouts[0].space.parts(candidate)
    found = []
    for layout in layouts:
        inputs, _, concat = tables[layout.table]
        found.append(_put_out(layout, inputs, concat))
    return found


def _put_out(layout: BlockLayout, inputs: Any, concat: Any) -> tuple[jax.Array, jax.Array]:
    """What a cell puts out: float32 [states], and bool [channels of all states at their widest]."""
    states = jnp.arange(layout.states)
    if layout.space.output == "all":
        outputs = states >= 2
    else:
        outputs = ~(inputs.reshape(-1)[:, None] == states).any(0)
    channels = []
    for state, width in enumerate(layout.output_widths):
        narrow = jnp.arange(width) < layout.block.channels
        present = narrow if state < 2 else narrow | concat[state - 2]
        channels.append(outputs[state] & present)
    return outputs.astype(jnp.float32), jnp.concatenate(channels)


def output_channels(layouts: tuple[BlockLayout, ...], candidate: np.ndarray) -> list[np.ndarray]:
    """Places of the channels that a block puts out among those of all states, int, by block."""
    return [np.flatnonzero(np.asarray(mask)) for _, mask in _masks(layouts, candidate)]


def _input(layout: BlockLayout, state: int, masks: list[Any]) -> tuple[jax.Array, jax.Array]:
    """Whether an input is convolved, int32 scalar; and the channels [c] that are taken if not."""
    channels = layout.block.channels
    if not layout.may_take(state):
        return jnp.ones((), jnp.int32), jnp.zeros(channels, jnp.int32)
    _, mask = masks[layout.inputs[state]]
    taken = jnp.nonzero(mask, size=channels, fill_value=0)[0]
    return (mask.sum() != channels).astype(jnp.int32), taken.astype(jnp.int32)
