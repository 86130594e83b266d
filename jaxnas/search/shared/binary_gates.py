"""ProxylessNAS's gates, of which a step runs one path or two (Cai et al. 2019, section 3.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def gates_of(alpha: jax.Array, drawn: jax.Array, active: jax.Array) -> jax.Array:
    """Gates g: exactly 1 for the active candidate, with the gradient of the softmax over the drawn.

    Args:
      alpha: float32 [blocks, candidates].
      drawn: bool [blocks, candidates], those whose α may move.
      active: int32 [blocks].
    """
    probabilities = jax.nn.softmax(jnp.where(drawn, alpha, -jnp.inf))
    hot = jax.nn.one_hot(active, probabilities.shape[-1], dtype=probabilities.dtype)
    return hot + (probabilities - jax.lax.stop_gradient(probabilities))


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
        jax.nn.logsumexp(jnp.where(pair, alpha, -jnp.inf), axis=-1, keepdims=True)
        for alpha in (before, after)
    ]
    return jnp.where(pair, after - (total[1] - total[0]), after)
