"""Images of any size to squares of one, on the host by Pillow.

The filter is Pillow's BICUBIC: Keys's cubic convolution (1981) with a = -0.5, which for a reduction
is widened by the factor of it, so that every pixel counts (what other libraries call antialias),
and whose results are rounded to 0..255 along rows first and then along columns.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

FILTER = Image.Resampling.BICUBIC

_SMALLEST = 0.08  # share below which the resized image would be large beside the square
_LONGEST = 32  # times its shorter side, beyond which an image is cut before it is resized
_REACHED = 5  # times the shorter side: more than the middle square and the filter around it see


def fit(image: Image.Image, side: int, crop_share: float = 1.0) -> Image.Image:
    """The middle of an image as a square, as networks are tested.

    The shorter side is resized to round(side / crop_share) pixels, the longer one in proportion
    (rounded down), and the square in the middle cut out: torchvision's `Resize` and `CenterCrop`.
    For a share below 0.08 only what becomes that square is resized, at least one pixel; and of a
    strip, more than 32 times as long as it is wide, only the middle: all of it would be gigabytes.

    Args:
      image: of mode L or RGB.
      side: of the square, in pixels.
      crop_share: side of the square as a share of the resized image's shorter side.
    """
    if image.size == (side, side) and crop_share == 1:
        return image
    if max(image.size) > _LONGEST * min(image.size):
        image = _middle(image, _REACHED * min(image.size))
    if crop_share < _SMALLEST:
        seen = max(1.0, crop_share * min(image.size))
        left, top = ((each - seen) / 2 for each in image.size)
        return image.resize((side, side), FILTER, (left, top, left + seen, top + seen))
    shorter = round(side / crop_share)
    width, height = (max(shorter, shorter * each // min(image.size)) for each in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    resized = image.resize((width, height), FILTER)
    return resized.crop((left, top, left + side, top + side))


def _middle(image: Image.Image, longest: int) -> Image.Image:
    """An image whose sides are cut to `longest`, or a pixel more, at both ends by the same."""
    cuts = [max(0, each - longest) // 2 for each in image.size]
    (left, top), (width, height) = cuts, image.size
    return image.crop((left, top, width - left, height - top))


def random_resized_crop(
    draw: np.random.Generator, image: Image.Image | np.ndarray, side: int, smallest: float
) -> np.ndarray:
    """A random part of an image, resized to a square: Inception's crop, as torchvision draws it.

    The part has smallest to all of the image's area, and a width of 3/4 to 4/3 of its height (the
    logarithm is uniform); after ten draws that do not fit it is the middle, of the nearest such
    shape.

    Args:
      draw: where the randomness comes from.
      image: of mode L or RGB, or uint8 [h, w, c].
      side: of the square, in pixels.
      smallest: least share of the area, above 0 and at most 1.

    Returns:
      uint8 [side, side, c].
    """
    if isinstance(image, np.ndarray):
        planes = [
            Image.fromarray(np.ascontiguousarray(plane)) for plane in image.transpose(2, 0, 1)
        ]
    else:
        planes = [image]
    box = _random_box(draw, *planes[0].size, smallest)
    cut = [np.asarray(plane.resize((side, side), FILTER, box)) for plane in planes]
    return np.stack(cut, 2) if cut[0].ndim == 2 else cut[0]


def _random_box(
    draw: np.random.Generator, width: int, height: int, smallest: float
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in pixels."""
    narrow, wide = 3 / 4, 4 / 3
    for _ in range(10):
        area = width * height * draw.uniform(smallest, 1)
        ratio = math.exp(draw.uniform(math.log(narrow), math.log(wide)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(draw.integers(width - w + 1)), int(draw.integers(height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, max(1, round(height * wide))), min(height, max(1, round(width / narrow)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def fit_array(images: np.ndarray, side: int, crop_share: float = 1.0) -> np.ndarray:
    """`fit`, of every image of an array uint8 [n, h, w, c]; each channel by itself."""
    fitted = np.empty((len(images), side, side, images.shape[3]), np.uint8)
    for index, image in enumerate(images):
        for channel in range(images.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            fitted[index, ..., channel] = np.asarray(fit(plane, side, crop_share))
    return fitted
