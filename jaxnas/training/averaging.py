"""An average of the weights over the steps, which is often better than the last ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def moving_average(average: Any, variables: Any, step: jax.Array, decay: float) -> Any:
    """The exponential moving average after a step (Polyak & Juditsky 1992; TensorFlow's warm-up).

    It decays by min(decay, (1 + step) / (10 + step)), so that the first steps' weights, which are
    hardly better than random, do not linger; batch statistics are averaged likewise.

    Args:
      average: pytree of float arrays, the average so far.
      variables: pytree of the same structure, after the step.
      step: int32 scalar, number of steps done before this one.
      decay: largest share of the old average that stays, from 0 to below 1.

    Returns:
      the new average, in the dtypes of the old one.
    """
    share = jnp.minimum(decay, (1.0 + step) / (10.0 + step)).astype(jnp.float32)
    return jax.tree.map(
        lambda old, new: (share * old + (1 - share) * new).astype(old.dtype), average, variables
    )
