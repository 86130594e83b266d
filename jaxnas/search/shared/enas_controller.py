"""ENAS's controllers (Pham et al. 2018): an LSTM that points at what it has already decided.

What a block or layer has become is remembered as an anchor, the LSTM's state behind it. To choose
an input is to point at an anchor (Vinyals et al. 2015):

    logits_j = v . tanh(W_1 anchor_j + W_2 h)

The structure is that of the authors' code, where the paper does not say it, but for two things. In
the macro space a skip points at the anchor of the layer that it comes from; in the code it is that
of the layer behind it. And the bias of the separable convolutions starts at 0; see `LogitSettings`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.controller import Controller, lstm_step, uniform
from jaxnas.spaces import Space

_SCALE = 0.1  # parameters start from U(-0.1, 0.1)
_NORMAL_BIAS = 0.25  # what they have on top in the normal cell, and the others have less

Choose = Callable[[jax.Array, jax.Array], jax.Array]
"""(decision, logits) to the option; minus infinity is the logit of what is none."""


@dataclasses.dataclass(frozen=True)
class LogitSettings:
    """What becomes of logits: c tanh(logits / temperature), so that none runs away."""

    temperature: float | None = None
    """Divisor of the logits before the tanh; none for 1."""
    tanh_constant: float = 1.1
    """Factor of the tanh (c): no logit is larger."""
    operation_share: float = 2.5
    """Divisor of c for the operations of the micro space."""
    favoured: float = 0.0
    """Bias of both separable convolutions at the start, in the micro space. The authors' code has
    10, where tanh is flat unless there is a temperature, so that the controller cannot learn which
    of the two is better."""

    def __post_init__(self) -> None:
        for name in ("temperature", "tanh_constant", "operation_share"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be above 0 and finite, not {value}")

    def bounded(self, logits: jax.Array, share: float = 1.0) -> jax.Array:
        """The logits, bounded by ±c / share."""
        return self.tanh_constant / share * jnp.tanh(logits / (self.temperature or 1.0))


class EnasParams(NamedTuple):
    """Parameters of a controller of H units over O operations.

    Attributes:
      kernel: float32 [2H, 4H], input and state to the LSTM's gates (input, forget, cell, output).
      start: float32 [H], fed in where nothing has been chosen.
      embeddings: float32 [O, H], of the operations.
      head: float32 [H, O], of the operations' softmax.
      head_bias: float32 [O]; empty in the macro space.
      anchor: float32 [H, H], W_1.
      query: float32 [H, H], W_2.
      point: float32 [H], v.
    """

    kernel: jax.Array
    start: jax.Array
    embeddings: jax.Array
    head: jax.Array
    head_bias: jax.Array
    anchor: jax.Array
    query: jax.Array
    point: jax.Array


class _Form(NamedTuple):
    """What a space's decisions are.

    Attributes:
      operations: their names.
      tables: cells of a micro space; 0 for a macro space.
      parts: blocks of a cell, or layers.
    """

    operations: tuple[str, ...]
    tables: int
    parts: int


def _form(space: Space) -> _Form:
    """Reads it off the kinds of decisions; raises a ValueError where they are of no such space."""
    kinds = [decision.kind for decision in space.decisions]
    operations = [each.options for each in space.decisions if each.kind == "operation"]
    inputs = [len(each.options) for each in space.decisions if each.kind == "input"]
    if inputs and kinds == ["input", "operation"] * len(inputs):
        blocks = max(inputs) - 1
        return _Form(operations[0], len(inputs) // (2 * blocks), blocks)
    layers = len(operations)
    if kinds == [k for layer in range(layers) for k in ("operation", *["skip"] * layer)] and layers:
        return _Form(operations[0], 0, layers)
    raise SettingsError(
        "ENAS's controller decides an input, its operation, and both again, or a layer's operation "
        f"and its skips; {space.name} decides otherwise"
    )


class _Memory(NamedTuple):
    """The LSTM's state, and what it is fed next; each float32 [H]."""

    hidden: jax.Array
    cell: jax.Array
    fed: jax.Array


def enas_controller(
    space: Space,
    logits: LogitSettings,
    *,
    units: int = 64,
) -> Controller:
    """The controller of a micro or macro space.

    Args:
      space: one of `enas_micro_space`'s form, or macro.
      logits: what becomes of them.
      units: H, of the LSTM.

    Raises:
      SettingsError: if a part of the space decides something else, or a size is not positive.
    """
    if units < 1:
        raise SettingsError(f"units must be positive, not {units}")
    form = _form(space)
    operations = len(form.operations)
    walk = _walk_micro if form.tables else _walk_macro
    most = max(len(decision.options) for decision in space.decisions)

    def init(key: jax.Array) -> EnasParams:
        shapes = EnasParams(
            kernel=jnp.zeros((2 * units, 4 * units)),
            start=jnp.zeros(units),
            embeddings=jnp.zeros((operations, units)),
            head=jnp.zeros((units, operations)),
            head_bias=jnp.zeros(0),
            anchor=jnp.zeros((units, units)),
            query=jnp.zeros((units, units)),
            point=jnp.zeros(units),
        )
        params = uniform(key, shapes, _SCALE)
        if not form.tables:
            return params
        return params._replace(head_bias=logits.favoured * _is_favoured(form))

    def run(params: EnasParams, choose: Choose) -> tuple[jax.Array, jax.Array]:
        """The candidate, and all its decisions' log probabilities."""
        # Loops over decisions rather than one operation behind the other: that compiles for long.
        chosen, found = walk(form, logits, params, choose)
        return chosen.astype(jnp.int32), found[:, :most]

    def sample(params: EnasParams, key: jax.Array) -> jax.Array:
        def choose(index: jax.Array, values: jax.Array) -> jax.Array:
            return jax.random.categorical(jax.random.fold_in(key, index), values)

        return run(params, choose)[0]

    def log_probs(params: EnasParams, candidate: jax.Array) -> jax.Array:
        return run(params, lambda index, values: candidate[index])[1]

    return Controller(init, sample, log_probs)


def _walk_micro(
    form: _Form, settings: LogitSettings, params: EnasParams, choose: Choose
) -> tuple[jax.Array, jax.Array]:
    """A cell's blocks: an input, its operation, and both again; the normal cell comes first.

    Returns:
      options [decisions], and log probabilities float32 [decisions, inputs or operations].
    """
    favoured = _is_favoured(form)
    states = jnp.arange(form.parts + 2)
    width = max(len(states), len(favoured))
    decide = functools.partial(_decide, choose, width)

    def block(bias: jax.Array, carry: Any, place: tuple[jax.Array, jax.Array]) -> Any:
        memory, anchors, projected = carry
        number, index = place  # of the block in its cell, of its first decision
        decided = []
        for _ in range(2):
            memory = _advance(params, memory)
            pointed = settings.bounded(_point(params, projected, memory.hidden))
            pointed = jnp.where(states < 2 + number, pointed, -jnp.inf)
            decided.append(decide(index + len(decided), pointed))
            memory = _advance(params, memory._replace(fed=anchors[decided[-1][0]]))
            values = settings.bounded(
                memory.hidden @ params.head + params.head_bias, settings.operation_share
            )
            decided.append(decide(index + len(decided), values + bias))
            memory = memory._replace(fed=params.embeddings[decided[-1][0]])
        memory = _advance(params, memory)
        anchors = anchors.at[2 + number].set(memory.hidden)
        projected = projected.at[2 + number].set(memory.hidden @ params.anchor)
        options, found = map(jnp.stack, zip(*decided, strict=True))
        return (memory._replace(fed=params.start), anchors, projected), (options, found)

    def cell(memory: _Memory, place: tuple[jax.Array, jax.Array]) -> Any:
        bias, indices = place
        anchors = projected = jnp.zeros((len(states), len(params.start)))
        memory = memory._replace(fed=params.start)
        for state in range(2):  # the cell's inputs, of which nothing is known
            memory = _advance(params, memory)
            projected = projected.at[state].set(memory.hidden @ params.anchor)
        step = functools.partial(block, bias)
        numbers = jnp.arange(form.parts)
        (memory, *_), decided = jax.lax.scan(step, (memory, anchors, projected), (numbers, indices))
        return memory, decided

    tables = form.tables
    biases = jnp.zeros((tables, len(favoured))).at[0].set(_NORMAL_BIAS * (2 * favoured - 1))
    indices = 4 * jnp.arange(tables * form.parts).reshape(tables, -1)
    options, found = jax.lax.scan(cell, _begin(params), (biases, indices))[1]
    return options.reshape(-1), found.reshape(-1, width)


def _walk_macro(
    form: _Form, settings: LogitSettings, params: EnasParams, choose: Choose
) -> tuple[jax.Array, jax.Array]:
    """A layer's operation, and at once all of its skips; returns what `_walk_micro` does."""
    memory = _advance(params, _begin(params))  # the stem, of which nothing is known
    before = jnp.arange(form.parts)
    width = max(2, len(params.embeddings))
    decide = functools.partial(_decide, choose, width)

    def layer(carry: Any, number: jax.Array) -> Any:
        memory, anchors, projected = carry
        index = number * (number + 1) // 2  # of its first decision: k + 1 of the k-th layer
        memory = _advance(params, memory)
        values = settings.bounded(memory.hidden @ params.head)
        operation, of_operation = decide(index, values)
        memory = _advance(params, memory._replace(fed=params.embeddings[operation]))
        pointed = settings.bounded(_point(params, projected, memory.hidden))
        options = jnp.stack([-pointed, pointed], -1)
        skips, of_skips = jax.vmap(decide)(index + 1 + before, options)
        # The layer before is its input anyway: the first one has no skip.
        weights = jnp.where(before < number, skips, 0).astype(jnp.float32)
        fed = weights @ anchors / (1 + weights.sum())
        anchors = anchors.at[number + 1].set(memory.hidden, mode="drop")
        projected = projected.at[number + 1].set(memory.hidden @ params.anchor, mode="drop")
        memory = memory._replace(fed=jnp.where(number > 0, fed, params.start))
        decided = jnp.append(operation, skips), jnp.vstack([of_operation, of_skips])
        return (memory, anchors, projected), decided

    anchors = jnp.zeros((form.parts, len(params.start)))
    projected = anchors.at[0].set(memory.hidden @ params.anchor)
    options, found = jax.lax.scan(layer, (memory, anchors, projected), before)[1]
    decisions = np.tri(form.parts, form.parts + 1, dtype=bool)
    return options[decisions], found[decisions]


def _decide(
    choose: Choose, width: int, index: jax.Array, values: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The option, and the log probabilities of all, float32 [width]."""
    values = jnp.pad(values, (0, width - len(values)), constant_values=-jnp.inf)
    return choose(index, values), jax.nn.log_softmax(values)


def _is_favoured(form: _Form) -> jax.Array:
    """float32 [operations]: 1 for the separable convolutions."""
    return jnp.array([name.startswith("sep_conv") for name in form.operations], jnp.float32)


def _begin(params: EnasParams) -> _Memory:
    zeros = jnp.zeros_like(params.start)
    return _Memory(zeros, zeros, params.start)


def _advance(params: EnasParams, memory: _Memory) -> _Memory:
    """A step of the LSTM, without biases."""
    gates = jnp.concatenate([memory.fed, memory.hidden]) @ params.kernel
    hidden, cell = lstm_step(gates, memory.cell)
    return memory._replace(hidden=hidden, cell=cell)


def _point(params: EnasParams, projected: jax.Array, hidden: jax.Array) -> jax.Array:
    """float32 [anchors]: the logits of W_1 anchors, [anchors, H]."""
    return jnp.tanh(projected + hidden @ params.query) @ params.point
