"""What a random view does to images: crops, colours, blur, as torchvision's transforms do.

Every operation is a pure function of a key and float images in 0..1, jittable, and vmappable over
its key. What happens to image i depends on the key and on i, not on the other images.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.data.errors import DataError

_GREY = (0.299, 0.587, 0.114)  # the weights of red, green and blue in ITU-R 601's luma
_ATTEMPTS = 10  # boxes a resized crop tries before it falls back to the centre
_BLENDS = np.array(list(itertools.permutations(range(3))))  # of brightness, contrast, saturation


def crop_boxes(
    key: jax.Array,
    n: int,
    size: tuple[int, int],
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> jax.Array:
    """Draws the boxes of a resized crop, in whole pixels, with torchvision's distribution.

    A box is drawn up to ten times, until one is no larger than the image; then its place is
    uniform. Where none is, the box is the largest at the image's centre whose ratio is in range.

    Args:
      key: random key.
      n: number of boxes.
      size: height and width of the images, in pixels.
      area: range of the box's share of the image's area, before rounding to pixels.
      ratio: range of its width over its height, before rounding to pixels.

    Returns:
      int32 [n, 4]: top, left, height, width.
    """
    height, width = size
    draws = jax.random.uniform(key, (n, _ATTEMPTS + 1, 2))
    areas = height * width * _between(draws[:, :-1, 0], area)
    ratios = jnp.exp(_between(draws[:, :-1, 1], (math.log(ratio[0]), math.log(ratio[1]))))
    sizes = jnp.round(jnp.sqrt(jnp.stack([areas / ratios, areas * ratios], -1)))
    fits = ((sizes > 0) & (sizes <= jnp.array(size))).all(-1)  # [n, attempts]
    chosen = jnp.take_along_axis(sizes, fits.argmax(1)[:, None, None], 1)[:, 0]  # the first to fit
    fallback = jnp.array(
        [min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))]
    )
    drawn = fits.any(1, keepdims=True)
    chosen = jnp.where(drawn, chosen, fallback).astype(jnp.int32)
    room = jnp.array(size) - chosen
    corners = jnp.where(drawn, jnp.floor(draws[:, -1] * (room + 1)), room // 2)
    return jnp.concatenate([corners.astype(jnp.int32), chosen], 1)


def random_resized_crop(
    key: jax.Array, images: jax.Array, area: tuple[float, float], ratio: tuple[float, float]
) -> jax.Array:
    """Cuts a random box from each image and resizes it to the image's size.

    The resizing is bilinear between the centres of the pixels; the box's own edge pixels go on
    beyond it. A box is never larger than the image, so nothing is ever made smaller, and an
    antialiasing filter, which torchvision's default has, would change nothing.

    Args:
      key: random key.
      images: float [N, H, W, C].
      area: range of the box's share of the image's area.
      ratio: range of its width over its height.

    Returns:
      [N, H, W, C] of the same dtype; `crop_boxes` is the distribution of the boxes.
    """
    count, height, width, _ = images.shape
    boxes = crop_boxes(key, count, (height, width), area, ratio)

    # On one CPU core, batch [256, 32, 32, 3], this gather of rows and then of columns takes 3.5 ms;
    # products with two matrices of interpolation weights 5.6, take_along_axis per axis 8.5 ms.
    def one(image: jax.Array, box: jax.Array) -> jax.Array:
        top, left, box_height, box_width = box
        return _resample(_resample(image, 0, top, box_height), 1, left, box_width)

    return jax.vmap(one)(images, boxes)


def _resample(image: jax.Array, axis: int, start: jax.Array, size: jax.Array) -> jax.Array:
    """Stretches the `size` pixels of [H, W, C] from `start` along an axis over its full length."""
    length, last = image.shape[axis], start + size - 1
    places = start + (jnp.arange(length) + 0.5) * size / length - 0.5
    places = jnp.clip(places, start, last).astype(image.dtype)
    below = jnp.floor(places).astype(jnp.int32)
    above = jnp.minimum(below + 1, last)
    share = jnp.expand_dims(places - below.astype(image.dtype), (2, 1 - axis))
    low = jnp.take(image, below, axis, mode="clip")
    high = jnp.take(image, above, axis, mode="clip")
    return low * (1 - share) + high * share


def colour_jitter(
    key: jax.Array,
    images: jax.Array,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    probability: float = 1.0,
) -> jax.Array:
    """Changes brightness, contrast, saturation and hue, in an order drawn for each image.

    Brightness, contrast and saturation are blends f * x + (1 - f) * anchor, clipped to 0..1, with
    the anchors black, the mean of the grey image, and the grey image; hue is turned in HSV.
    An image of one channel has no colour: saturation and hue leave it as it is.

    Args:
      key: random key.
      images: float [N, H, W, C] in 0..1; C is 3 (red, green, blue) or 1.
      brightness: strength s; the factor f is uniform in max(0, 1 - s)..1 + s.
      contrast: the same.
      saturation: the same.
      hue: the turn is uniform in -hue..hue, in full turns.
      probability: share of the images that are changed at all.

    Returns:
      [N, H, W, C] of the same dtype.

    Raises:
      DataError: if C is neither 1 nor 3.
    """
    if _channels(images) == 1:
        saturation = hue = 0.0
    draws = jax.random.uniform(key, (images.shape[0], 6), images.dtype)
    factors = jnp.stack(
        [
            _between(draws[:, i], (max(0.0, 1 - strength), 1 + strength))
            for i, strength in enumerate((brightness, contrast, saturation))
        ],
        1,
    )
    turns = _between(draws[:, 3], (-hue, hue))
    # One of the 24 orders: of the three blends among themselves, and how many are before the hue.
    # So each image passes six blends, three of them with factor 1, and one turn of the hue. On one
    # CPU core, batch [256, 32, 32, 3], that takes 8 ms; one order for the whole batch 12, a vmapped
    # `switch` at each of the four places 100. The loops matter: unrolled, XLA computes a blend
    # again for each of its uses, in twice the time.
    order = jnp.floor(24 * draws[:, 4]).astype(jnp.int32)
    blends, before_hue = jnp.asarray(_BLENDS)[order // 4], order % 4
    factors = jnp.take_along_axis(factors, blends, 1)

    def blend(slot: jax.Array, x: jax.Array, active: jax.Array) -> jax.Array:
        kind = _per_image(blends[:, slot])
        factor = _per_image(jnp.where(active, factors[:, slot], 1))
        grey = _grey(x)
        mean = grey.mean((1, 2, 3), keepdims=True)
        anchor = jnp.where(kind == 0, 0, jnp.where(kind == 1, mean, grey))
        return jnp.clip(factor * x + (1 - factor) * anchor, 0, 1)

    x = images
    x = jax.lax.fori_loop(0, 3, lambda slot, x: blend(slot, x, slot < before_hue), x)
    if hue > 0:
        x = turn_hue(x, turns[:, None, None])
    x = jax.lax.fori_loop(0, 3, lambda slot, x: blend(slot, x, slot >= before_hue), x)
    return _sometimes(draws[:, 5], probability, x, images)


def turn_hue(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Adds to the hue of every pixel in HSV, and keeps its saturation and value.

    Args:
      images: float [..., 3] in 0..1: red, green, blue.
      turns: float, broadcast against [...]: what is added, in full turns.

    Returns:
      [..., 3] of the same dtype; grey pixels stay as they are.
    """
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    least = jnp.minimum(jnp.minimum(red, green), blue)
    chroma = value - least
    per_chroma = 1 / jnp.where(chroma > 0, chroma, 1)
    sixths = jnp.where(
        value == red,
        (green - blue) * per_chroma,
        jnp.where(value == green, 2 + (blue - red) * per_chroma, 4 + (red - green) * per_chroma),
    )
    hue = sixths / 6 + turns
    sixths = 6 * (hue - jnp.floor(hue))
    # How far each channel is from the least to the greatest, as a function of the hue: a trapezoid.
    shares = (
        jnp.abs(sixths - 3) - 1,
        2 - jnp.abs(sixths - 2),
        2 - jnp.abs(sixths - 4),
    )
    return jnp.stack([least + chroma * jnp.clip(share, 0, 1) for share in shares], -1)


def random_grey(key: jax.Array, images: jax.Array, probability: float) -> jax.Array:
    """Replaces the channels of each image by its grey (ITU-R 601) with some probability.

    Args:
      key: random key.
      images: float [N, H, W, C] in 0..1; C is 3, or 1, which is grey already.
      probability: of the change, for each image.

    Returns:
      [N, H, W, C] of the same dtype.

    Raises:
      DataError: if C is neither 1 nor 3.
    """
    _channels(images)
    draws = jax.random.uniform(key, images.shape[:1], images.dtype)
    return _sometimes(draws, probability, _grey(images), images)


def random_blur(
    key: jax.Array, images: jax.Array, probability: float, sigma: tuple[float, float]
) -> jax.Array:
    """Blurs each image with a Gaussian with some probability.

    The kernel's side is about a tenth of the image's shorter side, odd, and at least 3, as in
    SimCLR; the image is continued beyond its border by reflection.

    Args:
      key: random key.
      images: float [N, H, W, C], of at least 2 x 2 pixels.
      probability: of the change, for each image.
      sigma: range of the standard deviation, in pixels; uniform.

    Returns:
      [N, H, W, C] of the same dtype.
    """
    count, height, width, _ = images.shape
    radius = max(1, min(height, width) // 20)
    draws = jax.random.uniform(key, (count, 2), images.dtype)
    distances = jnp.arange(-radius, radius + 1) / _between(draws[:, 1:], sigma)
    weights = jnp.exp(-(distances**2) / 2)
    weights = weights / weights.sum(1, keepdims=True)  # [N, 2 * radius + 1]
    blurred = images
    shifts = range(2 * radius + 1)
    for axis in (1, 2):
        border = [(radius, radius) if each == axis else (0, 0) for each in range(4)]
        padded = jnp.pad(blurred, border, mode="reflect")
        length = images.shape[axis]
        parts = [jax.lax.slice_in_dim(padded, i, i + length, axis=axis) for i in shifts]
        blurred = functools.reduce(jnp.add, (_per_image(weights[:, i]) * parts[i] for i in shifts))
    return _sometimes(draws[:, 0], probability, blurred, images)


def random_solarize(key: jax.Array, images: jax.Array, probability: float) -> jax.Array:
    """Inverts what is bright in each image with some probability.

    Values of at least 1/2 are inverted: those that round to at least 128 of the levels 0..255,
    which is the threshold of BYOL (Grill et al. 2020, arXiv:2006.07733).

    Args:
      key: random key.
      images: float [N, H, W, C] in 0..1.
      probability: of the change, for each image.

    Returns:
      [N, H, W, C] of the same dtype.
    """
    draws = jax.random.uniform(key, images.shape[:1], images.dtype)
    return _sometimes(draws, probability, jnp.where(images >= 0.5, 1 - images, images), images)


def _between(draws: jax.Array, limits: tuple[float, float]) -> jax.Array:
    """Maps draws that are uniform in 0..1 to the range."""
    return limits[0] + (limits[1] - limits[0]) * draws


def _per_image(values: jax.Array) -> jax.Array:
    """[N] to [N, 1, 1, 1]."""
    return values[:, None, None, None]


def _sometimes(
    draws: jax.Array, probability: float, changed: jax.Array, images: jax.Array
) -> jax.Array:
    """The changed image where its draw, uniform in [0, 1), is below the probability."""
    return jnp.where(_per_image(draws) < probability, changed, images)


def _channels(images: jax.Array) -> int:
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise DataError(
            f"Images of {channels} channels have no colour to change: give images of 3 channels "
            "(red, green, blue) or 1, or views whose jitter and grey are 0."
        )
    return channels


def _grey(images: jax.Array) -> jax.Array:
    """[..., C] of 1 or 3 channels to the grey image [..., 1]."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    return _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
