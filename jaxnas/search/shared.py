"""What searches that train one supernet's weights have in common: DARTS, ProxylessNAS, NAT.

A search is described by the phases of its epochs; whoever runs it (`runs.search_run`) feeds them
with batches of the parts of the data that they name, and knows nothing of the method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax

from jaxnas.spaces.genotype import Genotype
from jaxnas.training.loop import Data, LoopFn
from jaxnas.training.train import Step


class SharedWeightSearch(NamedTuple):
    """A search that trains one supernet's weights while it looks for an architecture.

    Attributes:
      init: root key to the first state, a PyTree.
      steps: by the name of a phase, its step (state, batch, root key) to the next state and
        scalars.
      parts: by the name of a phase, the parts of the data its batches have (``train``, ``arch``);
        the phase goes once through the first of them.
      plan: epoch (from 0) to the names of the phases it runs, in order.
      found: (state, data parts on the device, root key) to what the search would answer now.
      observe: state to named numbers for the log, at the end of an epoch; a true ``stop`` ends the
        search.
      loop: how an epoch goes through a phase's steps; None for `training.default_loop`.
    """

    init: Callable[[jax.Array], Any]
    steps: dict[str, Step]
    parts: dict[str, tuple[str, ...]]
    plan: Callable[[int], tuple[str, ...]]
    found: Callable[[Any, Data, jax.Array], Found]
    observe: Callable[[Any], dict[str, float]]
    loop: LoopFn | None = None


class Found(NamedTuple):
    """An answer of a search: the genotype, and sentences a reader of the result should know."""

    genotype: Genotype
    notes: tuple[str, ...] = ()


def readable(value: float) -> str:
    """A number for a sentence: whole and with separators from 1,000, else four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def refuse_unfit(
    settings: Any, *, positive: Collection[str], not_negative: Collection[str]
) -> None:
    """Raises a ValueError that names the first of these fields that is not such a finite number."""
    for name in (*positive, *not_negative):
        value = getattr(settings, name)
        if not math.isfinite(value) or value < 0 or (value == 0 and name in positive):
            kind = "above 0" if name in positive else "0 or more"
            raise ValueError(f"{name} must be {kind} and finite, not {value}")
