"""Whether a network, its supernet and the settings of a run fit the images."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from jaxnas import nn
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.genotype_files import refuse_unbuildable
from jaxnas.spaces import AdaptationSpace, Genotype


@lru_cache
def refuse_no_network(base: Genotype, shape: tuple[int, ...]) -> None:
    """Raises a ConfigError where `base` makes no network for images of `shape` [h, w, c]."""
    with refuse_unbuildable(f"--base {base.name}", f"shape {list(shape)}"):
        _refuse_huge(nn.abstract_variables(nn.build(base, 2), shape))


@lru_cache
def refuse_no_supernet(base: Genotype, shape: tuple[int, ...]) -> None:
    """Raises a ConfigError where `base` makes no supernet for images of `shape` [h, w, c]."""
    with refuse_unbuildable(f"--base {base.name}", f"shape {list(shape)}"):
        space = AdaptationSpace(base, "full")
        gates = jnp.zeros(space.shape)
        _refuse_huge(nn.abstract_variables(nn.supernet(space, 2), shape, gates))


def refuse_unfit(base: Genotype, settings: Training, images: int, shape: tuple[int, ...]) -> None:
    """Raises a ConfigError where settings ask for more than there is.

    Args:
      base: the network.
      settings: how it is trained.
      images: number of the images of its smallest epoch.
      shape: [h, w, c] of an image.
    """
    if settings.batch_size > images:
        raise ConfigError(
            f"--batch-size {settings.batch_size} is more than the {images} training images "
            "there are"
        )
    side = min(shape[:2])
    if settings.cutout > side:
        raise ConfigError(
            f"--cutout {settings.cutout} is more than the side of the images, {side}; "
            "--cutout 0 leaves it out"
        )
    if settings.auxiliary_weight and base.auxiliary < 0:
        raise ConfigError(f"--auxiliary-weight: {base.name} has no place for an auxiliary head")
    if settings.drop_path and base.rules.drop_path == "none":
        raise ConfigError(
            f"--drop-path is for cell networks; {base.name} is of the {base.family} family"
        )
    if settings.devices > jax.device_count():
        raise ConfigError(
            f"--devices {settings.devices} is more than the {jax.device_count()} there are"
        )


def _refuse_huge(variables: Any) -> None:
    """Raises a ValueError for more numbers than an int32 counts."""
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
    if count >= 2**31:
        raise ValueError(f"it has {count:,} parameters")
