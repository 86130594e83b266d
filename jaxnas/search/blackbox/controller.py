"""Policies over candidates: the recurrent controller of NAS and NASNet, and its simplest relative.

A controller gives every decision a softmax. `log_probs` of a candidate are those of all options of
each decision, given the decisions before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.candidates import options_of
from jaxnas.spaces import Space


class Controller(NamedTuple):
    """Pure functions of parameters.

    Attributes:
      init: typed key to parameters, a PyTree of float32.
      sample: (parameters, typed key) to a candidate, int32 [decisions].
      log_probs: (parameters, candidate) to float32 [decisions, largest number of options]; minus
        infinity where a decision has no such option.
    """

    init: Callable[[jax.Array], Any]
    sample: Callable[[Any, jax.Array], jax.Array]
    log_probs: Callable[[Any, jax.Array], jax.Array]


class LstmParams(NamedTuple):
    """Parameters of a controller; L layers of H units, D decisions of at most M options.

    Attributes:
      kernels: float32 [L, 2H, 4H], input and state to the gates (input, forget, cell, output).
      biases: float32 [L, 4H].
      embeddings: float32 [D, M, H], what is fed in after an option was chosen.
      heads: float32 [D, H, M], of the softmaxes.
      head_biases: float32 [D, M].
    """

    kernels: jax.Array
    biases: jax.Array
    embeddings: jax.Array
    heads: jax.Array
    head_biases: jax.Array


def lstm(space: Space, *, layers: int = 1, units: int = 100, scale: float = 0.1) -> Controller:
    """An LSTM that decides one decision after the other and is fed what it chose.

    NASNet's has one layer of 100 units, started from U(-0.1, 0.1) (Zoph et al. 2018, A.2); that of
    NAS two of 35 and U(-0.08, 0.08) (Zoph & Le 2017). The papers do not say what is fed in and
    whether decisions share a softmax: here each has its own, and its own embedding of `units`.
    """
    possible = _possible(options_of(space))
    count, most = possible.shape

    def init(key: jax.Array) -> LstmParams:
        shapes = LstmParams(
            kernels=jnp.zeros((layers, 2 * units, 4 * units)),
            biases=jnp.zeros((layers, 4 * units)),
            embeddings=jnp.zeros((count, most, units)),
            heads=jnp.zeros((count, units, most)),
            head_biases=jnp.zeros((count, most)),
        )
        return uniform(key, shapes, scale)

    def advance(recurrent: jax.Array, state: Any, projected: jax.Array) -> tuple[Any, jax.Array]:
        """One step of a layer; `projected` is what its input adds to the gates."""
        hidden, cell = state
        hidden, cell = lstm_step(projected + hidden @ recurrent, cell)
        return (hidden, cell), hidden

    def project(params: LstmParams, layer: int, fed: jax.Array) -> jax.Array:
        return fed @ params.kernels[layer, :units] + params.biases[layer]

    def decide(hidden: jax.Array, head: jax.Array, bias: jax.Array, allowed: Any) -> jax.Array:
        return jax.nn.log_softmax(jnp.where(allowed, hidden @ head + bias, -jnp.inf))

    start = jnp.zeros(units), jnp.zeros(units)

    # What is fed in is one of few embeddings: all of them are projected at once.

    def sample(params: LstmParams, key: jax.Array) -> jax.Array:
        def step(carry: Any, decision: Any) -> Any:
            states, projected = carry
            head, bias, allowed, following, key = decision
            after = []
            for layer, state in enumerate(states):
                state, hidden = advance(params.kernels[layer, units:], state, projected)
                after.append(state)
                if layer + 1 < layers:
                    projected = project(params, layer + 1, hidden)
            choice = jax.random.categorical(key, decide(hidden, head, bias, allowed))
            return (after, following[choice]), choice

        keys = jax.random.split(key, count)
        following = project(params, 0, params.embeddings)
        decisions = params.heads, params.head_biases, possible, following, keys
        first = [start] * layers, params.biases[0]
        return jax.lax.scan(step, first, decisions)[1].astype(jnp.int32)

    def log_probs(params: LstmParams, candidate: jax.Array) -> jax.Array:
        # The candidate is known, so that all but the recurrence is done for all steps at once.
        following = project(params, 0, params.embeddings)[jnp.arange(count - 1), candidate[:-1]]
        projected = jnp.concatenate([params.biases[:1], following])
        hidden = jnp.zeros((count, units))
        for layer in range(layers):
            if layer:
                projected = project(params, layer, hidden)
            step = functools.partial(advance, params.kernels[layer, units:])
            hidden = jax.lax.scan(step, start, projected)[1]
        return jax.vmap(decide)(hidden, params.heads, params.head_biases, possible)

    return Controller(init, sample, log_probs)


def independent(space: Space) -> Controller:
    """A softmax for each decision that knows nothing of the others; uniform at the start."""
    possible = _possible(options_of(space))

    def init(key: jax.Array) -> jax.Array:
        return jnp.zeros(possible.shape)

    def log_probs(params: jax.Array, candidate: jax.Array) -> jax.Array:
        return jax.nn.log_softmax(jnp.where(possible, params, -jnp.inf))

    def sample(params: jax.Array, key: jax.Array) -> jax.Array:
        logits = jnp.where(possible, params, -jnp.inf)
        return jax.random.categorical(key, logits).astype(jnp.int32)

    return Controller(init, sample, log_probs)


def prefix(controller: Controller, larger: Space, space: Space) -> Controller:
    """The controller of a larger space as that of a smaller one, with the first of its decisions.

    Its parameters stay those of the larger space, so that what it learned goes on when the space
    grows, as the depth does in NAS (Zoph & Le 2017).

    Args:
      controller: of `larger`; no decision may depend on a later one.
      larger: all decisions.
      space: the first of them.

    Raises:
      SettingsError: if the decisions of `space` are others.
    """
    count, most = len(options_of(space)), space.options.max()
    following = len(options_of(larger)) - count
    if larger.decisions[:count] != space.decisions:
        raise SettingsError(f"the decisions of {space!r} are not the first of {larger!r}")

    def sample(params: Any, key: jax.Array) -> jax.Array:
        return controller.sample(params, key)[:count]

    def log_probs(params: Any, candidate: jax.Array) -> jax.Array:
        return controller.log_probs(params, jnp.pad(candidate, (0, following)))[:count, :most]

    return Controller(controller.init, sample, log_probs)


def lstm_step(gates: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """An LSTM's hidden state and cell after a step.

    Args:
      gates: float32 [..., 4H], of input, forget, new cell and output, before their functions.
      cell: float32 [..., H].
    """
    into, forget, new, out = jnp.split(gates, 4, -1)
    cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(into) * jnp.tanh(new)
    return jax.nn.sigmoid(out) * jnp.tanh(cell), cell


def uniform(key: jax.Array, shapes: Any, scale: float) -> Any:
    """The PyTree `shapes` of arrays, each drawn from U(-scale, scale) by its own key."""
    tree = jax.tree.structure(shapes)
    keys = tree.unflatten(jax.random.split(key, tree.num_leaves))
    return jax.tree.map(
        lambda leaf, key: jax.random.uniform(key, leaf.shape, minval=-scale, maxval=scale),
        shapes,
        keys,
    )


def chosen(log_probs: jax.Array, candidate: jax.Array) -> jax.Array:
    """float32 [..., decisions]: the log probability of each decision of `candidate`."""
    return jnp.take_along_axis(log_probs, candidate[..., None], -1)[..., 0]


def entropy(log_probs: jax.Array) -> jax.Array:
    """float32 [..., decisions]: entropy of each softmax, in nats."""
    known = jnp.where(jnp.isneginf(log_probs), 0.0, log_probs)
    return -(jnp.exp(log_probs) * known).sum(-1)


def _possible(options: np.ndarray) -> np.ndarray:
    """bool [decisions, largest number of options]."""
    return np.arange(options.max()) < options[:, None]
