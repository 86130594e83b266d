"""What the candidates of a space cost in multiply-adds, parameters or time, and what is allowed."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxnas import nn
from jaxnas.nn.costs.latency import candidate_latency
from jaxnas.runs.config import ConfigError
from jaxnas.spaces import AdaptationSpace, Derivation
from jaxnas.spaces.adaptation import SAME
from jaxnas.spaces.adaptation.budget import cheapest, cost_of, derive_within
from jaxnas.storage.latency_table import kept_latency

TOLERANCE = 0.03
"""How far below the target, as a share of the base, a network may cost before others come first."""

COST_NAMES = {"macs": "multiply-adds", "params": "parameters", "latency": "latency"}


class EdgeCosts(NamedTuple):
    """Costs in whole units: multiply-adds, parameters, or nanoseconds of a batch.

    Attributes:
      kind: ``macs``, ``params`` or ``latency``.
      candidates: int64 [tables, edges, 3], over all blocks that share the table.
      fixed: what every network of the space costs besides.
      base: the whole cost of the base.
    """

    kind: Literal["macs", "params", "latency"]
    candidates: np.ndarray
    fixed: int
    base: int

    def share(self, choices: np.ndarray) -> float:
        """The cost of `choices` int [tables, edges] over the base's."""
        return (self.fixed + cost_of(self.candidates, choices)) / self.base

    def refuse_unreachable(self, space: AdaptationSpace, target: float) -> None:
        """Raises a ConfigError where no network of `space` costs as little as `target`."""
        try:
            smallest = (self.fixed + cheapest(space, self.candidates)) / self.base
        except ValueError as error:
            raise ConfigError(f"--target-cost: {error}") from error
        if self._allowed(target) < smallest * self.base:
            raise ConfigError(
                f"--target-cost {target} is out of reach: the cheapest network that adapts "
                f"{space.base.name} with granularity {space.granularity!r} has "
                f"{100 * smallest:.1f}% of its {COST_NAMES[self.kind]}"
            )

    def derive(
        self, space: AdaptationSpace, target: float, theta: np.ndarray, *, spend: bool = False
    ) -> Derivation:
        """The best architecture that costs at most `target` of the base, and not much less.

        See `spaces.adaptation.budget.derive_within`.
        """
        most, least = self.range_of(target)
        return derive_within(space, theta, self.candidates, most, least, spend=spend)

    def range_of(self, target: float) -> tuple[int, int]:
        """What the candidates that are chosen may cost together, and what they should at least."""
        least = math.ceil((target - TOLERANCE) * self.base)
        return self._allowed(target) - self.fixed, least - self.fixed

    def note(self, derivation: Derivation, target: float) -> str:
        """What a derived network costs beside what it may cost, in words."""
        share = self.share(derivation.choices)
        note = (
            f"the network has {100 * share:.1f}% of the base's {COST_NAMES[self.kind]}; the target "
            f"is {100 * target:g}%."
        )
        if share >= target - TOLERANCE:
            return note
        why = (
            "none within 3 points of it could be chosen"
            if derivation.limited
            else "the architecture parameters themselves ask for no more"
        )
        return f"{note} It is {100 * (target - share):.1f} points below the target, as {why}."

    def _allowed(self, target: float) -> int:
        return math.floor(target * self.base)


def edge_costs(
    kind: Literal["macs", "params", "latency"],
    space: AdaptationSpace,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    batch_size: int,
    dtype: Any,
    table: Path | None,
) -> EdgeCosts:
    """The costs of a space's candidates.

    Args:
      kind: what is counted.
      space: the candidates.
      input_shape: [h, w, c] of an image.
      num_classes: size of the output.
      batch_size: images in the batch that is timed.
      dtype: of the computation that is timed.
      table: where measured latencies are kept; None to measure them anew and keep none.

    Raises:
      RunError: if `table` is of another device, JAX or batch size, or cannot be used.
    """
    if kind != "latency":
        return _counted(kind, space, input_shape, num_classes)
    options: dict[str, Any] = {"batch_size": batch_size, "dtype": dtype}
    if table is None:
        latency = candidate_latency(space, input_shape, num_classes, **options)
    else:
        latency = kept_latency(table, space, input_shape, num_classes, **options)
    edges = np.rint(1e9 * latency.candidates).astype(np.int64)
    fixed = round(1e9 * latency.fixed)
    return EdgeCosts(kind, _by_table(space, edges), fixed, fixed + int(edges[..., SAME].sum()))


@lru_cache
def _counted(
    kind: Literal["macs", "params"],
    space: AdaptationSpace,
    input_shape: tuple[int, ...],
    num_classes: int,
) -> EdgeCosts:
    costs = nn.candidate_costs(space, input_shape, num_classes, kind)
    edges, fixed = costs.candidates, int(costs.fixed)
    return EdgeCosts(kind, _by_table(space, edges), fixed, fixed + int(edges[..., SAME].sum()))


def _by_table(space: AdaptationSpace, edges: np.ndarray) -> np.ndarray:
    return space.table_costs(edges).astype(np.int64)
