"""Whether a network, and its supernet, can be built for the images of a run."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from jaxnas import nn
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


def _refuse_huge(variables: Any) -> None:
    """Raises a ValueError for more numbers than an int32 counts."""
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
    if count >= 2**31:
        raise ValueError(f"it has {count:,} parameters")
