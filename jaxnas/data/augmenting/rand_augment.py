"""RandAugment: a few operations, drawn for each image, of one strength (arXiv:1909.13719).

The operations and their strengths are torchvision's: those of Pillow, on levels 0..255, with
nearest pixels and black beyond the border. All are computed for every image, since images of a
batch that is vmapped cannot go different ways.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

OPERATIONS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"),
    *("brightness", "colour", "contrast", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize"),
)
"""Operations, each as likely as any other."""

LARGEST = 30
"""Greatest magnitude, of which every operation is as strong as it gets."""

_GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)  # as Pillow rounds ITU-R 601's luma


def rand_augment(key: jax.Array, images: jax.Array, operations: int, magnitude: int) -> jax.Array:
    """Changes each image by so many operations, drawn with replacement, one after the other.

    What happens to image i depends on the key and on i, not on the other images.

    Args:
      key: random key.
      images: uint8 [b, h, w, c], c 1 or 3.
      operations: number of operations for an image.
      magnitude: strength of all, 0 to `LARGEST`; 9 is the paper's choice for ImageNet.

    Returns:
      uint8 [b, h, w, c].
    """
    kind_key, sign_key = jax.random.split(key)
    shape = len(images), operations
    kinds = jax.random.randint(kind_key, shape, 0, len(OPERATIONS))
    signs = jnp.where(jax.random.bernoulli(sign_key, shape=shape), 1.0, -1.0)
    for place in range(operations):
        images = jax.vmap(change, (0, 0, None, 0))(
            images, kinds[:, place], magnitude, signs[:, place]
        )
    return images


def change(image: jax.Array, kind: jax.Array, magnitude: int, sign: jax.Array) -> jax.Array:
    """An image after one operation.

    Args:
      image: uint8 [h, w, c], c 1 or 3.
      kind: int32 scalar, number of the operation in `OPERATIONS`.
      magnitude: strength, 0 to `LARGEST`.
      sign: float32 scalar, 1 or -1: the way in which it moves, turns, or strengthens.

    Returns:
      uint8 [h, w, c].
    """
    strength = magnitude / LARGEST
    x = jnp.asarray(image, jnp.float32)
    changed = [_moved(x, kind, strength, sign)]  # which the first six come to
    grey = _grey(x)
    for anchor in (0.0, grey, jnp.floor(grey.mean() + 0.5), _smoothed(x)):
        # Pillow's blend cuts the fraction off.
        changed.append(
            jnp.floor(jnp.clip(anchor + (1 + 0.9 * strength * sign) * (x - anchor), 0, 255))
        )
    step = 2.0 ** round(4 * strength)  # of 8 bits up to 4 are dropped
    changed.append(jnp.floor(x / step) * step)
    changed.append(jnp.where(x >= 255 * (1 - strength), 255 - x, x))
    changed += [_stretched(x), _equalized(image)]
    index = jnp.maximum(kind - 5, 0)
    return jnp.stack(changed)[index].astype(jnp.uint8)


def _moved(x: jax.Array, kind: jax.Array, strength: float, sign: jax.Array) -> jax.Array:
    """The image sheared or moved, from its upper left corner, or turned about its centre."""
    height, width, _ = x.shape
    shear = 0.3 * strength * sign
    far = [jnp.trunc(150 / 331 * side * strength * sign) for side in (width, height)]
    angle = math.radians(30 * strength) * sign

    def chosen(name: str, value: jax.Array) -> jax.Array:
        return jnp.where(kind == OPERATIONS.index(name), value, 0.0)

    turn = chosen("rotate", angle)
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    # Of each pixel's middle where it comes from; of one operation at most the terms are not 0.
    across = jnp.arange(width)[None, :] + 0.5
    down = jnp.arange(height)[:, None] + 0.5
    middle = width / 2, height / 2
    from_x = cosine * (across - middle[0]) - sine * (down - middle[1]) + middle[0]
    from_y = sine * (across - middle[0]) + cosine * (down - middle[1]) + middle[1]
    from_x += chosen("shear_x", shear) * down + chosen("translate_x", far[0])
    from_y += chosen("shear_y", shear) * across + chosen("translate_y", far[1])
    column, row = (jnp.floor(place).astype(jnp.int32) for place in (from_x, from_y))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    taken = x[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    return jnp.where(inside[..., None], taken, 0.0)


def _grey(x: jax.Array) -> jax.Array:
    """Levels of grey [h, w, 1], whole numbers."""
    if x.shape[-1] == 1:
        return x
    return jnp.floor((x * jnp.array(_GREY)).sum(-1, keepdims=True) + 0.5)


def _smoothed(x: jax.Array) -> jax.Array:
    """The image under Pillow's SMOOTH; its border stays."""
    height, width, _ = x.shape
    if min(height, width) < 3:
        return x
    around = sum(x[i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3))
    inner = jnp.floor((around + 4 * x[1:-1, 1:-1]) / 13 + 0.5)
    return x.at[1:-1, 1:-1].set(inner)


def _stretched(x: jax.Array) -> jax.Array:
    """Every channel's levels stretched to 0..255."""
    low, high = x.min((0, 1)), x.max((0, 1))
    scale = 255 / jnp.maximum(high - low, 1)
    return jnp.where(high > low, jnp.clip(jnp.floor((x - low) * scale), 0, 255), x)


def _equalized(image: jax.Array) -> jax.Array:
    """Every channel's levels spread so that all are about equally frequent."""

    def channel(levels: jax.Array) -> jax.Array:
        counts = jnp.zeros(256, jnp.int32).at[levels].add(1)
        last = counts[levels.max()]
        step = (levels.size - last) // 255
        before = jnp.cumsum(counts) - counts
        table = jnp.clip((step // 2 + before) // jnp.maximum(step, 1), 0, 255)
        return jnp.where(step > 0, table[levels], levels)

    whole = jnp.asarray(image, jnp.int32)
    return jax.vmap(channel, -1, -1)(whole).astype(jnp.float32)
