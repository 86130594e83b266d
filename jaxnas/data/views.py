"""Random views of images for self-supervised learning, on the device.

The distribution is that of SimCLR (Chen et al. 2020, arXiv:2002.05709, appendix A) as torchvision's
transforms define it: a resized crop, a flip, colour jitter, grey, blur, solarisation. Pure
functions of a key and a batch, jittable, and vmappable over the key.
"""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxnas.data.augmentation import random_flip, require_uint8, standardise
from jaxnas.data.errors import DataError
from jaxnas.data.view_operations import (
    colour_jitter,
    random_blur,
    random_grey,
    random_resized_crop,
    random_solarize,
)


@dataclass(frozen=True)
class Views:
    """The distribution of one random view; hashable, so it can be a static argument of jit.

    The defaults are SimCLR's on CIFAR.

    Attributes:
      crop_area: range of the crop's share of the image's area, uniform.
      crop_ratio: range of the crop's width over its height, uniform in its logarithm.
      flip: whether each image is mirrored left to right with probability 1/2.
      brightness: strength s of the jitter: the factor is uniform in max(0, 1 - s)..1 + s.
      contrast: the same for contrast.
      saturation: the same for saturation.
      hue: the hue turns by a share of the full circle that is uniform in -hue..hue; at most 0.5.
      jitter: probability of the jitter of these four.
      grey: probability that the colour is taken away.
      blur: probability of a Gaussian blur.
      blur_sigma: range of the blur's standard deviation, in pixels, uniform.
      solarize: probability of a solarisation, which BYOL has in its second view.

    Raises:
      DataError: if a probability is outside 0..1, a strength negative, or a range empty or not
        positive.
    """

    crop_area: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter: float = 0.8
    grey: float = 0.2
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize: float = 0.0

    def __post_init__(self) -> None:
        for name in ("jitter", "grey", "blur", "solarize"):
            if not _in_range(getattr(self, name), 0, 1):
                self._refuse(name, "give a probability, from 0 to 1")
        for name in ("brightness", "contrast", "saturation"):
            if not _in_range(getattr(self, name), 0, math.inf):
                self._refuse(name, "give a strength, 0 or more")
        if not _in_range(self.hue, 0, 0.5):
            self._refuse("hue", "give a share of the full turn, from 0 to 0.5")
        for name, most in (("crop_area", 1), ("crop_ratio", math.inf), ("blur_sigma", math.inf)):
            if not _is_range(getattr(self, name), most):
                limit = " of at most 1" if most == 1 else ""
                self._refuse(name, f"give a tuple of two positive numbers{limit}, the lower first")
        if not isinstance(self.flip, bool):
            self._refuse("flip", "give True or False")

    def _refuse(self, name: str, remedy: str) -> None:
        raise DataError(f"Views's {name} is {getattr(self, name)!r}: {remedy}.")

    @staticmethod
    def simclr(strength: float = 0.5) -> "Views":
        """SimCLR's: colour jitter of a strength that the paper sets to 0.5 on CIFAR, 1 elsewhere.

        It leaves blur out on CIFAR (appendix B.9), and so is it left out here.
        """
        return Views(
            brightness=0.8 * strength,
            contrast=0.8 * strength,
            saturation=0.8 * strength,
            hue=0.2 * strength,
        )

    @staticmethod
    def simsiam() -> "Views":
        """SimSiam's on CIFAR (Chen & He 2021, arXiv:2011.10566): crops of at least a fifth."""
        return Views(crop_area=(0.2, 1.0))


def _in_range(value: Any, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return math.isfinite(value) and low <= float(value) <= high


def _is_range(value: Any, most: float) -> bool:
    if not (isinstance(value, tuple) and len(value) == 2):
        return False
    return all(_in_range(each, 0, most) for each in value) and 0 < value[0] <= value[1]


def view(
    key: jax.Array,
    images: jax.Array,
    mean: ArrayLike,
    std: ArrayLike,
    views: Views,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Makes one random view of each image: flip, crop, jitter, grey, blur, solarise, normalise.

    Args:
      key: random key of this view.
      images: uint8 [N, H, W, C].
      mean: float [C], in units of 0..1.
      std: float [C], in units of 0..1.
      views: the distribution; static under jit.
      dtype: dtype of the result; the view is computed in float32.

    Returns:
      [N, H, W, C] of `dtype`.

    Raises:
      DataError: if the images are not uint8, or if jitter or grey is asked for and C is neither 1
        nor 3.
    """
    require_uint8(images)
    crop, flip, jitter, grey, blur, solarize = jax.random.split(key, 6)
    # The box's place is uniform, so whether the flip comes before or after it makes no difference
    # in distribution. After it, XLA computes the crop twice: 40 ms instead of 16 on one CPU core,
    # batch [256, 32, 32, 3], for the whole view.
    if views.flip:
        images = random_flip(flip, images)
    x = images.astype(jnp.float32) / 255
    x = random_resized_crop(crop, x, views.crop_area, views.crop_ratio)
    if views.jitter > 0:
        strengths = views.brightness, views.contrast, views.saturation, views.hue
        x = colour_jitter(jitter, x, *strengths, views.jitter)
    if views.grey > 0:
        x = random_grey(grey, x, views.grey)
    if views.blur > 0:
        x = random_blur(blur, x, views.blur, views.blur_sigma)
    if views.solarize > 0:
        x = random_solarize(solarize, x, views.solarize)
    return standardise(x, 1, mean, std, dtype)


def two_views(
    key: jax.Array,
    images: jax.Array,
    mean: ArrayLike,
    std: ArrayLike,
    views: Views,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Makes two independent views of each image, the pairs of self-supervised learning.

    Args:
      key: random key of the batch.
      images: uint8 [N, H, W, C].
      mean: float [C], in units of 0..1.
      std: float [C], in units of 0..1.
      views: the distribution of either view; static under jit.
      dtype: dtype of the result.

    Returns:
      [2 * N, H, W, C] of `dtype`: the first views of all images, then the second ones.

    Raises:
      DataError: as `view`.
    """
    keys = jax.random.split(key)
    # One program for both halves: it compiles in half the time of two.
    both = jax.vmap(lambda each: view(each, images, mean, std, views, dtype))(keys)
    return both.reshape(-1, *images.shape[1:])
