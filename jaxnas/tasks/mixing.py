"""Batches whose images are mixed with one another, and their targets likewise.

Pure functions of a key and a batch, jittable, and vmappable over the key. One share and one order
are drawn for the whole batch, as in the papers' code.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Blends each image with another one of the batch (Zhang et al. 2018, arXiv:1710.09412).

    Args:
      key: random key.
      images: float [b, h, w, c], normalised.
      targets: float [b, classes], which sum to 1 for each image.
      alpha: above 0; an image's own share is drawn from Beta(alpha, alpha).

    Returns:
      images and targets of the same shapes and dtypes.
    """
    share, order = _drawn(key, len(images), alpha)
    return _blend(share, images, images[order]), _blend(share, targets, targets[order])


def cutmix(
    key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Pastes a box of another image of the batch into each one (Yun et al. 2019, arXiv:1905.04899).

    The box's place is uniform and its sides are in the ratio of the image's; what lies beyond the
    border is cut off. Targets are blended by the areas that are seen.

    Args:
      key: random key.
      images: float [b, h, w, c].
      targets: float [b, classes], which sum to 1 for each image.
      alpha: above 0; an image's own share of the area is drawn from Beta(alpha, alpha).

    Returns:
      images and targets of the same shapes and dtypes.
    """
    draw_key, place_key = jax.random.split(key)
    share, order = _drawn(draw_key, len(images), alpha)
    sides = jnp.array(images.shape[1:3])
    half = jnp.floor(sides * jnp.sqrt(1 - share)).astype(jnp.int32) // 2
    centre = jax.random.randint(place_key, (2,), 0, sides)
    first, last = jnp.maximum(centre - half, 0), jnp.minimum(centre + half, sides)
    rows, columns = (jnp.arange(side) for side in images.shape[1:3])
    down = (rows >= first[0]) & (rows < last[0])
    across = (columns >= first[1]) & (columns < last[1])
    inside = down[:, None] & across
    mixed = jnp.where(inside[..., None], images[order], images)
    return mixed, _blend(1 - inside.mean(), targets, targets[order])


def mix(
    key: jax.Array, images: jax.Array, targets: jax.Array, mixup_alpha: float, cutmix_alpha: float
) -> tuple[jax.Array, jax.Array]:
    """`mixup` or `cutmix`, whose alpha is not 0; where neither is, one of them by a fair coin."""
    if not cutmix_alpha:
        return mixup(key, images, targets, mixup_alpha)
    if not mixup_alpha:
        return cutmix(key, images, targets, cutmix_alpha)
    coin_key, blend_key, paste_key = jax.random.split(key, 3)
    blended = mixup(blend_key, images, targets, mixup_alpha)
    pasted = cutmix(paste_key, images, targets, cutmix_alpha)
    coin = jax.random.bernoulli(coin_key)
    return jax.tree.map(lambda one, other: jnp.where(coin, one, other), blended, pasted)


def _drawn(key: jax.Array, count: int, alpha: float) -> tuple[jax.Array, jax.Array]:
    """An image's own share, and whom each image is mixed with: int32 [count]."""
    share_key, order_key = jax.random.split(key)
    return jax.random.beta(share_key, alpha, alpha), jax.random.permutation(order_key, count)


def _blend(share: jax.Array, own: jax.Array, other: jax.Array) -> jax.Array:
    return (share * own + (1 - share) * other).astype(own.dtype)
