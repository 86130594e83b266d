"""Child networks of a space of block cells, as one program: the genotype is an input.

Children that train alone, each from its own weights, have those of one operation in a slot,
whichever that is; those that share their weights (ENAS) have there the weights of every operation
on every state. The operands of a cell's blocks are computed one after the other in a loop, each by
a switch over the operations: what is compiled grows with the number of cells and operations, not
with the blocks, and only the chosen operations run, forward and backward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnas.nn import inspection
from jaxnas.nn.classifiers import AuxiliaryHead, classify
from jaxnas.nn.heads import Outputs, WithAuxiliary
from jaxnas.nn.layers import Noise, run_alone
from jaxnas.nn.operations import Match, Op
from jaxnas.nn.stem import read_image
from jaxnas.nn.supernets.child_layout import (
    COLLECTIONS,
    BlockLayout,
    Choice,
    layouts,
    row_of,
    tree_of,
)
from jaxnas.nn.supernets.switch import run_one
from jaxnas.spaces.block_cells import BlockCellSpace

Rows = dict[str, jax.Array]
"""Float32 [slots, length] of each of `COLLECTIONS`; or of one slot, [length]."""

Pools = tuple[jax.Array, ...]
"""The states of a cell by shape, [states of the pool, b, h, w, c]."""


class Child(nn.Module):
    """Any network of a space; which one is an input.

    `child_variables` makes its variables, or `shared_variables`; `cut_child` takes those of the
    network built from the genotype out of them.

    Attributes:
      space: of NASNet's, PNAS's or ENAS's cells.
      outputs: number of classes, or the heads of self-supervised learning.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
      shared: whether all children share their weights.
      auxiliary: whether it has the space's auxiliary head.
    """

    space: BlockCellSpace
    outputs: Outputs
    dtype: Any = jnp.float32
    shared: bool = False
    auxiliary: bool = False

    @property
    def layouts(self) -> tuple[BlockLayout, ...]:
        """Its blocks."""
        return layouts(self.space, self.dtype, self.shared)

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        choices: tuple[Choice, ...],
        *,
        train: bool,
        noise: Noise | None = None,
    ) -> Any:
        """Logits of images.

        Args:
          x: float [b, h, w, c], normalised.
          choices: of `child_choices`, one for each block.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: dropout, for training; children know no drop path.

        Returns:
          float32 [b, classes], or a `Representation`; with an auxiliary head in training both
          logits as `WithAuxiliary`.
        """
        blocks = self.layouts
        network, style = blocks[0].network, blocks[0].style
        states = read_image(network, style, x, train)
        auxiliary = None
        for layout, choice in zip(blocks, choices, strict=True):
            inputs = [
                self._input(layout, choice, state, states[source], train)
                for state, source in enumerate(layout.inputs)
            ]
            slots = Slots(layout, name=f"block_{layout.index}")
            pools = slots((inputs[0], inputs[1]), choice, train)
            states[layout.index] = self._output(layout, choice, pools, train)
            states = inspection.rescaled(states)
            inspection.tell_partial(
                states[layout.index], functools.partial(_present, layout, choice)
            )
            if self.auxiliary and layout.index == network.auxiliary:
                assert isinstance(self.outputs, int)
                head = AuxiliaryHead(self.outputs, style, large=False, name="auxiliary")
                if train or self.is_initializing():
                    auxiliary = head(states[layout.index], train)
        out = classify(network, self.outputs, style, states[len(blocks) - 1], train, noise)
        return WithAuxiliary(out, auxiliary) if self.auxiliary and train else out

    def slot_kernel_norms(self, params: Any, choices: tuple[Choice, ...]) -> jax.Array:
        """Sum of the Euclidean norms of the kernels of all chosen operations, float32 scalar.

        Args:
          params: the slots' rows, or what is shaped like them, such as gradients.
          choices: what the network is called with.
        """

        def norms(layout: BlockLayout, variant: int) -> Callable[[jax.Array], jax.Array]:
            parts = [leaf.part for leaf in layout.leaves(variant) if leaf.collection == "kernel"]
            return lambda row: sum((jnp.linalg.norm(row[part]) for part in parts), jnp.zeros(()))

        total = jnp.zeros(())
        for layout, choice in zip(self.layouts, choices, strict=True):
            branches = [norms(layout, variant) for variant in range(len(layout.variants))]
            rows = params[f"block_{layout.index}"]["kernel"][choice.rows]
            for slot in range(layout.slots):
                total += lax.switch(choice.variants[slot], branches, rows[slot])
        return total

    def _input(
        self, layout: BlockLayout, choice: Choice, state: int, x: jax.Array, train: bool
    ) -> jax.Array:
        """What a block makes of an earlier one's output x before its cell."""
        if layout.is_raw(state):
            return x
        name = f"block_{layout.index}_input_{state}"
        match = functools.partial(Match, layout.block.channels, style=layout.style, relu=True)
        if layout.may_take(state):
            x = self._matched_or(
                name,
                match(stride=1, parent=None),
                x,
                choice.matched[state],
                functools.partial(_taken, choice.taken[state]),
                train,
            )
        else:
            x = match(stride=layout.input_stride(state), name=name)(x, train)
        if layout.has_base(state):
            x = match(stride=1, name=f"block_{layout.index}_input_base")(x, train)
        return x

    def _output(self, layout: BlockLayout, choice: Choice, pools: Pools, train: bool) -> jax.Array:
        """All states side by side, zeros where one is not put out."""
        values = []
        for state in range(layout.states):
            value = pools[layout.pool_of(state)][layout.place_of(state)]
            put_out = choice.outputs[state]
            stride = layout.output_match(state)
            if stride is None:
                value = value * put_out.astype(value.dtype)
            else:
                module = Match(layout.block.channels, stride, layout.style, False, parent=None)
                name = f"block_{layout.index}_output_{state}"
                value = self._matched_or(
                    name, module, value, put_out.astype(jnp.int32), None, train
                )
            values.append(value)
        return jnp.concatenate(values, -1)

    def _matched_or(
        self,
        name: str,
        module: Match,
        x: jax.Array,
        matched: Any,
        otherwise: Callable[[jax.Array], jax.Array] | None,
        train: bool,
    ) -> jax.Array:
        """What `module` makes of x where `matched` is 1; else `otherwise`, by default zeros."""
        if self.is_initializing():
            return module.clone(parent=self, name=name)(x, train)
        params, statistics = (
            self.variables[collection][name] for collection in ("params", "batch_stats")
        )

        def match(learned: Any, statistics: Any) -> tuple[jax.Array, Any]:
            variables = {"params": learned[0], "batch_stats": statistics}
            inspection.tell_partial(learned[1], lambda: inspection.present_channels(x))
            return run_alone(module, variables, learned[1], train)

        def instead(learned: Any, statistics: Any) -> tuple[jax.Array, Any]:
            if otherwise is None:
                batch, *sides, _ = x.shape
                strided = (-(-side // module.stride) for side in sides)
                return jnp.zeros((batch, *strided, module.features), self.dtype), statistics
            return otherwise(learned[1]), statistics

        out, statistics = run_one((instead, match), matched, (params, x), statistics)
        if train:
            self.put_variable("batch_stats", name, statistics)
        return out


def _present(layout: BlockLayout, choice: Choice) -> jax.Array:
    """Bool [channels]: those of a block's output that the network of its genotype has."""
    found = []
    for state, width in enumerate(layout.output_widths):
        # The second operand of a block that concatenates stands behind the first.
        wide = state >= 2 and choice.offsets[2 * (state - 2) + 1] > 0
        found.append(
            (choice.outputs[state] > 0) & ((jnp.arange(width) < layout.block.channels) | wide)
        )
    return jnp.concatenate(found)


def _taken(channels: Any, x: jax.Array) -> jax.Array:
    """Some channels of x [b, h, w, c], as they are; as a product, the gradient of which is one."""
    choice = jnp.arange(x.shape[-1])[:, None] == channels
    return jnp.matmul(x, choice.astype(x.dtype), precision=lax.Precision.HIGHEST)


class Slots(nn.Module):
    """The blocks of a cell.

    Attributes:
      layout: of the cell's place in the network.
    """

    layout: BlockLayout

    @nn.compact
    def __call__(self, inputs: tuple[jax.Array, jax.Array], choice: Choice, train: bool) -> Pools:
        """The cell's states, from its two inputs [b, h, w, c]."""
        shapes = {name: (self.layout.rows, self.layout.row[name]) for name in COLLECTIONS}
        zeros = nn.initializers.zeros
        rows = {name: self.param(name, zeros, shapes[name]) for name in ("kernel", "norm")}
        statistics = self.variable("batch_stats", "statistics", jnp.zeros, shapes["statistics"])
        rows["statistics"] = statistics.value
        if self.layout.shared:
            rows = {name: table[choice.rows] for name, table in rows.items()}
        run = _states if inspection.inspected() else _run
        result: Any = run(self.layout, train, rows, inputs, choice)
        if train and not self.is_initializing():
            statistics.value = statistics.value.at[choice.rows].set(result[1])
        return result[0]


def _states(
    layout: BlockLayout,
    train: bool,
    rows: Rows,
    inputs: tuple[jax.Array, jax.Array],
    choice: Choice,
) -> tuple[Pools, jax.Array]:
    """The states of a cell, and the batch statistics of its slots after them."""
    branches = [_branch(layout, train, index) for index in range(len(layout.variants))]

    def step(pools: Pools, slot: Any) -> tuple[Pools, jax.Array]:
        row, variant, sources, offset, place = slot
        operands = _at(pools, sources)
        out, statistics = inspection.switched(variant, branches, row, operands)
        return _added(layout, pools, place, _widened(layout, out, offset)), statistics

    slots = (rows, choice.variants, choice.sources, choice.offsets, _places(layout))
    return inspection.scanned(step, _empty(layout, inputs), slots)


_run = jax.custom_vjp(_states, nondiff_argnums=(0, 1))


def _run_forward(
    layout: BlockLayout, train: bool, rows: Rows, inputs: Any, choice: Choice
) -> tuple[Any, Any]:
    result: Any = _run(layout, train, rows, inputs, choice)
    return result, (rows, result[0], choice)


def _run_backward(layout: BlockLayout, train: bool, saved: Any, gradients: Any) -> Any:
    # Backwards through the slots, with a switch of its own: it runs the chosen operation again and
    # differentiates it, so that nothing but the states is kept. Every state is complete by then.
    rows, pools, choice = saved

    def gradient(index: int) -> Callable[..., Any]:
        branch = _branch(layout, train, index)

        def run(row: Rows, operands: Pools, of_out: jax.Array) -> Any:
            def outputs(learned: Rows, operands: Pools) -> jax.Array:
                return branch({**learned, "statistics": row["statistics"]}, operands)[0]

            learned = {name: row[name] for name in ("kernel", "norm")}
            return jax.vjp(outputs, learned, operands)[1](of_out)

        return run

    branches = [gradient(index) for index in range(len(layout.variants))]

    def step(of_pools: Pools, slot: Any) -> tuple[Pools, Rows]:
        row, variant, sources, offset, place = slot
        of_block = lax.dynamic_index_in_dim(of_pools[_blocks(layout)], place, keepdims=False)
        of_out = lax.dynamic_slice_in_dim(of_block, offset, layout.block.channels, -1)
        of_row, of_operands = lax.switch(variant, branches, row, _at(pools, sources), of_out)
        of_pools = tuple(
            of_pool.at[source].add(of_operand)
            for of_pool, source, of_operand in zip(of_pools, sources, of_operands, strict=True)
        )
        return of_pools, of_row

    slots = (rows, choice.variants, choice.sources, choice.offsets, _places(layout))
    of_pools, of_rows = lax.scan(step, gradients[0], slots, reverse=True)
    of_inputs = tuple(of_pools[layout.pool_of(state)][layout.place_of(state)] for state in range(2))
    return {**of_rows, "statistics": jnp.zeros_like(rows["statistics"])}, of_inputs, None


_run.defvjp(_run_forward, _run_backward)


def _branch(layout: BlockLayout, train: bool, index: int) -> Callable[..., Any]:
    """Variant `index`: (row, operands) to its output and the row's batch statistics after it."""
    variant, of = layout.variants[index], layout.leaves(index)
    module = Op(variant.op, layout.block.channels, variant.stride, layout.style)

    def run(row: Rows, operands: Pools) -> tuple[jax.Array, jax.Array]:
        x = operands[variant.pool][..., : variant.width]
        out, statistics = run_alone(module, tree_of(row, of), x, train)
        return out, row_of({"batch_stats": statistics}, row, of)["statistics"]

    return run


def _empty(layout: BlockLayout, inputs: tuple[jax.Array, jax.Array]) -> Pools:
    """The states before the first block: the inputs, and zeros."""
    pools = []
    for pool in layout.pools:
        batch, *sides, _ = inputs[0].shape
        stride = layout.block.stride // pool.stride  # behind it already
        shape = (batch, *(-(-side // stride) for side in sides), pool.width)
        values = [
            inputs[state] if state < 2 else jnp.zeros(shape, inputs[0].dtype)
            for state in pool.states
        ]
        pools.append(jnp.stack(values))
    return tuple(pools)


def _blocks(layout: BlockLayout) -> int:
    """The pool of the blocks' values."""
    return layout.pool_of(2)


def _places(layout: BlockLayout) -> jax.Array:
    """int32 [slots]: where in their pool the blocks are that the slots belong to."""
    return layout.place_of(2) + jnp.arange(layout.slots, dtype=jnp.int32) // 2


def _at(pools: Pools, sources: jax.Array) -> Pools:
    """One state of each pool."""
    return tuple(
        lax.dynamic_index_in_dim(pool, source, keepdims=False)
        for pool, source in zip(pools, sources, strict=True)
    )


def _added(layout: BlockLayout, pools: Pools, place: jax.Array, value: jax.Array) -> Pools:
    """The pools with `value` added to a block."""
    changed = list(pools)
    changed[_blocks(layout)] = pools[_blocks(layout)].at[place].add(value)
    return tuple(changed)


def _widened(layout: BlockLayout, out: jax.Array, offset: jax.Array) -> jax.Array:
    """An operand's output at its place among the channels of the block."""
    width = layout.pools[_blocks(layout)].width
    if width == out.shape[-1]:
        return out
    zeros = jnp.zeros((*out.shape[:-1], width), out.dtype)
    return lax.dynamic_update_slice_in_dim(zeros, out, offset, -1)
