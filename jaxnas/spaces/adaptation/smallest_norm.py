"""What is left of a network without its operations of the smallest weights, as pruning has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxnas.spaces.adaptation.budget import cost_of
from jaxnas.spaces.adaptation.cell_choices import (
    ID,
    NONE,
    SAME,
    canonical_choices,
    carrying,
    connected,
)
from jaxnas.spaces.adaptation.space import AdaptationSpace, Derivation


class _Loss(NamedTuple):
    """What dropping an operation, and all that it leaves on no path, comes to.

    Attributes:
      overshoot: by how much less is left than should be; 0 if it is not.
      replaces: whether an identity takes the operation's place.
      norm: mean norm of the operations that are lost.
      table: where they are.
      choices: int32 [edges of the cell], what is left there.
    """

    overshoot: int
    replaces: bool
    norm: float
    table: int
    choices: np.ndarray


def without_smallest(
    space: AdaptationSpace,
    norms: np.ndarray,
    free: np.ndarray,
    costs: np.ndarray,
    most: int,
    least: int,
) -> Derivation:
    """The base without its operations of the smallest norms, dropped until it costs at most `most`.

    One after the other goes what has the smallest mean norm: an operation that its block is
    connected without, with all that then lies on no path (in a residual block the whole branch).
    Where none of these is left, an operation alone goes for an identity that needs no weights.
    Where all that is left to drop would leave less than `least`, what leaves most of it goes.

    Args:
      space: of granularity ``full``.
      norms: float [tables, edges], of each operation of the base; NaN for one without weights,
        which is not dropped by itself.
      free: bool [tables, edges], whether an identity in its place has no weights.
      costs: int [tables, edges, 3], of each candidate.
      most: what all that is kept may cost.
      least: what it should cost.

    Raises:
      ValueError: if nothing is left to drop, and still it costs more.
    """
    choices = space.base_choices()
    while (total := cost_of(costs, choices)) > most:
        losses = list(_losses(space, norms, free, costs, choices, total - least))
        if not losses:
            raise ValueError(
                f"without all operations that can be dropped the others still cost {total}, above "
                f"{most}"
            )
        smallest = min(losses, key=lambda each: each[:4])
        choices[smallest.table, : len(smallest.choices)] = smallest.choices
    return Derivation(choices, space.decode(choices[space.valid]), (), 0, limited=True)


def _losses(
    space: AdaptationSpace,
    norms: np.ndarray,
    free: np.ndarray,
    costs: np.ndarray,
    choices: np.ndarray,
    spare: int,
) -> Iterator[_Loss]:
    """All that can be dropped of the network of `choices` next; `spare` is what may be saved."""
    for table, cell in enumerate(space.cells):
        edges = np.arange(len(cell.edges))
        before = choices[table, edges]
        weighted = (before == SAME) & ~np.isnan(norms[table, edges])
        for edge in np.flatnonzero(weighted):
            for choice in (NONE, ID) if free[table, edge] else (NONE,):
                changed = before.copy()
                changed[edge] = choice
                if not connected(cell, carrying(cell)[edges, changed]):
                    continue
                after = canonical_choices(cell, changed)
                saved = int((costs[table, edges, before] - costs[table, edges, after]).sum())
                if saved > 0:
                    norm = float(norms[table, edges][weighted & (after != SAME)].mean())
                    yield _Loss(max(0, saved - spare), choice == ID, norm, table, after)
