"""From architecture parameters θ to the gates of a supernet, with a gradient.

PNAA's figure shows rows θ = [none, id, same] that start at [0, 0, 1] and are no probabilities; how
they weight the forward pass is not known. Each reading is an `Estimator` here, so that one supernet
serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.spaces import Space


class Estimator(NamedTuple):
    """A reading of the architecture parameters θ, float32 [tables, edges, 3].

    Attributes:
      gates: θ to the weights of the candidates, of θ's shape and differentiable in it.
      allowed: what an optimiser made of θ, to the θ that stays.
      scores: θ to what the arg max is taken of.
    """

    gates: Callable[[jax.Array], jax.Array]
    allowed: Callable[[jax.Array], jax.Array]
    scores: Callable[[jax.Array], jax.Array]


def _same(theta: jax.Array) -> jax.Array:
    return theta


def mixed(space: Space) -> Estimator:
    """Softmax weights, as in DARTS; [0, 0, 1] starts at [0.21, 0.21, 0.58]."""
    del space
    return Estimator(jax.nn.softmax, _same, _same)


def raw(space: Space) -> Estimator:
    """θ themselves as weights, never below 0; [0, 0, 1] starts as exactly the base network.

    Weights of both signs let identities side by side cancel each other, which no architecture can.
    What carries nothing (none, and same on a null edge) adds nothing whatever its weight, so it has
    no gradient and stays where it is. The architecture is the one-hot row nearest to the weights:
    a candidate that carries nothing wins where no other weight exceeds 1/2.
    """
    carries = space.possible & ~space.nothing
    only = space.possible & (space.possible.sum(-1, keepdims=True) == 1)
    decided = only | ruled_out(space)

    def gates(theta: jax.Array) -> jax.Array:
        return jnp.where(decided, only, theta) if decided.any() else theta

    def allowed(theta: jax.Array) -> jax.Array:
        return jnp.maximum(theta, 0.0)

    def scores(theta: jax.Array) -> jax.Array:
        return jnp.where(carries, theta, 0.5)

    return Estimator(gates, allowed, scores)


ESTIMATORS: dict[str, Callable[[Space], Estimator]] = {"mixed": mixed, "raw": raw}
"""The estimators by name."""


def ruled_out(space: Space) -> np.ndarray:
    """bool [tables, edges, 3]: what is not possible where something else is; padding is not."""
    return ~space.possible & space.possible.any(-1, keepdims=True)
