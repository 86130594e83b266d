"""From architecture parameters θ to the gates of a supernet, with a gradient.

PNAA's figure shows rows θ = [none, id, same] that start at [0, 0, 1] and are no probabilities; how
they weight the forward pass is not known. Each reading is an `Estimator` here, so that one supernet
serves them all. `sampled` and `two_path` are ProxylessNAS's (Cai et al. 2019, section 3.2); `p` is
softmax(θ), `q` the softmax over two sampled paths.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.spaces import Space


class Gates(NamedTuple):
    """What an estimator makes of θ.

    Attributes:
      gates: float32 [tables, edges, 3], differentiable in θ.
      pair: bool [tables, edges, 3], the candidates that a step may move; all but for `two_path`.
      redrawn: int32 scalar, tables whose first sample left the output unreachable.
    """

    gates: jax.Array
    pair: jax.Array
    redrawn: jax.Array


class Estimator(NamedTuple):
    """A reading of the architecture parameters.

    Attributes:
      gates: (θ, key) to `Gates`.
      after_update: (θ before, θ after the optimiser, `Gates`) to the θ that stays.
      scores: θ to what the arg max is taken of.
      momentum: β1 of the Adam that suits it: 0 where a step leaves candidates out, so that they
        are not moved by what earlier steps found.
    """

    gates: Callable[[jax.Array, jax.Array], Gates]
    after_update: Callable[[jax.Array, jax.Array, Gates], jax.Array]
    scores: Callable[[jax.Array], jax.Array]
    momentum: float


def _keep(before: jax.Array, after: jax.Array, gates: Gates) -> jax.Array:
    del before, gates
    return after


def _same(theta: jax.Array) -> jax.Array:
    return theta


def _plain(gates: jax.Array) -> Gates:
    return Gates(gates, jnp.ones(gates.shape, bool), jnp.zeros((), jnp.int32))


def mixed(space: Space) -> Estimator:
    """Softmax weights, as in DARTS; [0, 0, 1] starts at [0.21, 0.21, 0.58]."""
    del space
    return Estimator(lambda theta, key: _plain(jax.nn.softmax(theta)), _keep, _same, 0.5)


def raw(space: Space) -> Estimator:
    """θ themselves as weights, never below 0; [0, 0, 1] starts as exactly the base network.

    Weights of both signs let identities side by side cancel each other, which no architecture can.
    What carries nothing (none, and same on a null edge) adds nothing whatever its weight, so it has
    no gradient and stays where it is. The architecture is the one-hot row nearest to the weights:
    a candidate that carries nothing wins where no other weight exceeds 1/2.
    """
    carries = _carries(space)

    def clip(before: jax.Array, after: jax.Array, gates: Gates) -> jax.Array:
        del before, gates
        return jnp.maximum(after, 0.0)

    def scores(theta: jax.Array) -> jax.Array:
        return jnp.where(carries, theta, 0.5)

    only = space.possible & (space.possible.sum(-1, keepdims=True) == 1)
    decided = only | ruled_out(space)

    def gates(theta: jax.Array, key: jax.Array) -> Gates:
        del key
        return _plain(jnp.where(decided, only, theta) if decided.any() else theta)

    return Estimator(gates, clip, scores, 0.5)


def hard(space: Space) -> Estimator:
    """The arg max forward, its softmax backward; [0, 0, 1] starts as exactly the base network.

    A table whose arg max leaves the output unreachable runs as what would be derived from it: the
    connected choices with the largest sum of θ.
    """
    best = _connected_arg_max(space)

    def gates(theta: jax.Array, key: jax.Array) -> Gates:
        del key
        choices, dead = best(theta)
        return Gates(
            straight_through(choices, jax.nn.softmax(theta)), jnp.ones(theta.shape, bool), dead
        )

    return Estimator(gates, _keep, _same, 0.5)


def sampled(space: Space) -> Estimator:
    """ProxylessNAS's binary gates, all paths in the gradient (``full`` in its code).

    Forward: one candidate drawn from p, given that the output is reachable.
    Backward: dL/dθ_i = sum_j dL/dg_j p_j (δ_ij - p_i).
    """
    draw = _connected_sample(space)

    def gates(theta: jax.Array, key: jax.Array) -> Gates:
        choices, redrawn = draw(theta, key)
        return Gates(
            straight_through(choices, jax.nn.softmax(theta)),
            jnp.ones(theta.shape, bool),
            redrawn,
        )

    return Estimator(gates, _keep, _same, 0.0)


def two_path(space: Space) -> Estimator:
    """ProxylessNAS's binary gates with two paths of each edge in the gradient.

    Two candidates are drawn without replacement from p, one of them is active with q. The gradient
    is `sampled`'s with q in place of p; after the optimiser's step both are shifted by
    log((e^a1' + e^a2') / (e^a1 + e^a2)), which leaves every other candidate's probability alone.
    Where the active candidates leave the output unreachable, they are drawn again from p given that
    it is reachable, and each edge's partner from the rest.
    """
    draw = _connected_sample(space)
    reaches = _reaches(space)

    def gates(theta: jax.Array, key: jax.Array) -> Gates:
        pair_key, active_key, again_key, partner_key = jax.random.split(key, 4)
        logits = jax.lax.stop_gradient(theta)
        pair, active = draw_pair(logits, pair_key, active_key)
        dead = ~reaches(active)
        again, _ = draw(logits, again_key)
        rest = jnp.where(jax.nn.one_hot(again, 3) > 0, -jnp.inf, logits)
        partner = jax.random.categorical(partner_key, rest)
        again_pair = (jax.nn.one_hot(again, 3) + jax.nn.one_hot(partner, 3)) > 0
        active = jnp.where(dead[:, None], again, active)
        pair = jnp.where(dead[:, None, None], again_pair, pair)
        q = jax.nn.softmax(jnp.where(pair, theta, -jnp.inf))
        return Gates(straight_through(active, q), pair, dead.sum(dtype=jnp.int32))

    return Estimator(gates, rescale_pair, _same, 0.0)


def draw_pair(
    logits: jax.Array, pair_key: jax.Array, active_key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Two candidates drawn without replacement from softmax(`logits`), and which one is active.

    Args:
      logits: float32 [..., candidates]; -inf where there is none.
      pair_key: draws the pair.
      active_key: draws the active one, from the softmax over the pair.

    Returns:
      bool [..., candidates], true for the pair, and int32 [...], the active one.
    """
    count = logits.shape[-1]
    order = (logits + jax.random.gumbel(pair_key, logits.shape)).argsort(-1)
    pair = (jax.nn.one_hot(order[..., -1], count) + jax.nn.one_hot(order[..., -2], count)) > 0
    return pair, jax.random.categorical(active_key, jnp.where(pair, logits, -jnp.inf))


def rescale(before: jax.Array, after: jax.Array, pair: jax.Array) -> jax.Array:
    """Shifts the pair's parameters so that the sum of their exponentials is as before.

    All arrays are [..., candidates]; `pair` is bool.
    """
    total = [
        jax.nn.logsumexp(jnp.where(pair, theta, -jnp.inf), axis=-1, keepdims=True)
        for theta in (before, after)
    ]
    return jnp.where(pair, after - (total[1] - total[0]), after)


def rescale_pair(before: jax.Array, after: jax.Array, gates: Gates) -> jax.Array:
    """`rescale`, as an `Estimator` has it."""
    return rescale(before, after, gates.pair)


ESTIMATORS: dict[str, Callable[[Space], Estimator]] = {
    "mixed": mixed,
    "raw": raw,
    "hard": hard,
    "sampled": sampled,
    "two_path": two_path,
}
"""The estimators by name."""


def straight_through(choices: jax.Array, probabilities: jax.Array) -> jax.Array:
    """One-hot `choices` with the gradient of `probabilities`, exactly one-hot in value."""
    hot = jax.nn.one_hot(choices, probabilities.shape[-1], dtype=probabilities.dtype)
    return hot + (probabilities - jax.lax.stop_gradient(probabilities))


def ruled_out(space: Space) -> np.ndarray:
    """bool [tables, edges, 3]: what is not possible where something else is; padding is not."""
    return ~space.possible & space.possible.any(-1, keepdims=True)


def _carries(space: Space) -> np.ndarray:
    """bool [tables, edges, 3]: whether a candidate carries anything."""
    return space.possible & ~space.nothing


def _patterns(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Every way in which edges may carry something, and where that reaches the output.

    Returns:
      bool [patterns, edges] and bool [tables, patterns].
    """
    patterns = np.array(list(itertools.product((False, True), repeat=space.shape[1])))
    everywhere = np.broadcast_to(patterns[:, None], (len(patterns), *space.shape[:2]))
    padding = (everywhere & ~space.possible.any(-1)).any(-1)
    return patterns, (space.reachable(everywhere) & ~padding).T


def _reaches(space: Space) -> Callable[[jax.Array], jax.Array]:
    """Function of choices [tables, edges] to bool [tables]: whether the output is reachable."""
    _, reaches = _patterns(space)
    carries = _carries(space)
    weights = np.asarray(2 ** np.arange(space.shape[1])[::-1], np.int32)

    def function(choices: jax.Array) -> jax.Array:
        alive = jnp.take_along_axis(jnp.asarray(carries), choices[..., None], -1)[..., 0]
        return jnp.take_along_axis(jnp.asarray(reaches), (alive @ weights)[:, None], 1)[:, 0]

    return function


def _connected_arg_max(
    space: Space,
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """Function of θ to the connected choices [tables, edges] with the largest sum of θ.

    Also returns in how many tables that is not the arg max of every edge.
    """
    patterns, reaches = _patterns(space)
    carries = _carries(space)
    is_connected = _reaches(space)

    def best(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        theta = jax.lax.stop_gradient(theta)
        first = theta.argmax(-1)
        dead = ~is_connected(first)
        live = jnp.where(carries, theta, -jnp.inf).max(-1)
        idle = jnp.where(carries, -jnp.inf, theta).max(-1)
        total = jnp.where(patterns[None], live[:, None], idle[:, None]).sum(-1)
        alive = jnp.asarray(patterns)[jnp.where(reaches, total, -jnp.inf).argmax(-1)]
        again = jnp.where(carries == alive[..., None], theta, -jnp.inf).argmax(-1)
        return jnp.where(dead[:, None], again, first), dead.sum(dtype=jnp.int32)

    return best


def _connected_sample(
    space: Space,
) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Function of (θ, key) to choices [tables, edges] drawn from p given a reachable output.

    The first draw is plain; a table it leaves unreachable is drawn from the exact conditional
    distribution: which edges carry something, by enumeration, then what they carry. Also returns
    how many tables needed that.
    """
    patterns, reaches = _patterns(space)
    carries = _carries(space)
    is_connected = _reaches(space)

    def draw(theta: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        first_key, pattern_key, candidate_key = jax.random.split(key, 3)
        log_p = jax.nn.log_softmax(jax.lax.stop_gradient(theta))
        first = jax.random.categorical(first_key, log_p)
        dead = ~is_connected(first)
        live = jax.nn.logsumexp(jnp.where(carries, log_p, -jnp.inf), axis=-1)
        idle = jax.nn.logsumexp(jnp.where(carries, -jnp.inf, log_p), axis=-1)
        # [tables, patterns]: log-probability of each pattern of live edges
        weight = jnp.where(patterns[None], live[:, None], idle[:, None]).sum(-1)
        pattern = jax.random.categorical(pattern_key, jnp.where(reaches, weight, -jnp.inf))
        alive = jnp.asarray(patterns)[pattern]
        fits = carries == alive[..., None]
        again = jax.random.categorical(candidate_key, jnp.where(fits, log_p, -jnp.inf))
        return jnp.where(dead[:, None], again, first), dead.sum(dtype=jnp.int32)

    return draw
