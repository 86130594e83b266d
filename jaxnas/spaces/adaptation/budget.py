"""The best architecture of an adaptation space that costs no more than it may.

A multiple-choice knapsack: of every table one assignment, their costs together at most a limit, the
sum of architecture parameters as large as can be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxnas.spaces.adaptation.cell_choices import NONE, SAME, between, connected, pruned
from jaxnas.spaces.adaptation.space import AdaptationSpace, Derivation
from jaxnas.spaces.genotype import Cell

MOST_EDGES = 12
"""Edges of the largest cell whose 3^edges assignments are gone through."""

CELLS = 4096
"""Partial networks that are kept, beyond which those of nearly one cost are held to be alike."""


class _Options(NamedTuple):
    """The assignments of one table worth a look: the best of each cost.

    Attributes:
      cost: int64 [options], in ascending order.
      score: float64 [options], the sum of architecture parameters.
      choices: int8 [options, edges].
    """

    cost: np.ndarray
    score: np.ndarray
    choices: np.ndarray


def cost_of(costs: np.ndarray, choices: np.ndarray) -> int:
    """What `choices` [tables, edges] cost, by the costs [tables, edges, 3] of the candidates."""
    return int(np.take_along_axis(costs, choices[..., None], -1).sum())


def cheapest(space: AdaptationSpace, costs: np.ndarray) -> int:
    """The cost of the cheapest network of `space`; arguments and errors as in `derive_within`."""
    return _cheapest(_all_options(space, np.zeros(space.shape), costs))


def derive_within(
    space: AdaptationSpace,
    theta: np.ndarray,
    costs: np.ndarray,
    most: int,
    least: int = 0,
    *,
    spend: bool = False,
) -> Derivation:
    """The architecture with the largest sum of parameters whose cost is at most `most`.

    The sum is that of log softmax(θ) too, which differs by what no choice changes. An edge that
    carries nothing counts as none, also where it had to go since it lay on no path to the output.
    Where the answer of `AdaptationSpace.derive` is cheap enough, it stands. Where it is not, an
    architecture that costs at least `least` is preferred to any cheaper one, and where none does,
    the costliest; of equal sums, the one that costs more.

    Dynamic programming over the tables keeps, of all partial architectures of one cost, the best,
    and so is exact. Where more than `CELLS` are left, it keeps the best in each of so many equal
    ranges of cost. Costs are added exactly, so the limit holds all the same; the answer
    is then at least as good as all that stay below the limit by `most` * tables / `CELLS`.

    Args:
      space: the choices; of at most `MOST_EDGES` edges a cell.
      theta: float [tables, edges, 3].
      costs: int [tables, edges, 3], of each candidate, over all blocks that share the table.
      most: what all candidates chosen may cost.
      least: what they should cost where θ itself would cost too much.
      spend: whether they should where θ itself would cost less, too.

    Raises:
      ValueError: for parameters or costs of another shape, no numbers or negative; for a cell of
        too many edges; or if no connected architecture is cheap enough.
    """
    own = space.derive(theta)
    _check_costs(space, costs)
    if (least if spend else 0) <= cost_of(costs, own.choices) <= most:
        return own
    options = _all_options(space, np.asarray(theta, np.float64), costs)
    smallest = _cheapest(options)
    if smallest > most:
        raise ValueError(f"the cheapest network of the space costs {smallest}, above {most}")
    cost, score = np.zeros(1, np.int64), np.zeros(1)
    steps = []
    rest = smallest
    for table in options:
        rest -= int(table.cost[0])
        sums = (cost[:, None] + table.cost).ravel()
        scores = (score[:, None] + table.score).ravel()
        fits = np.flatnonzero(sums <= most - rest)
        kept = fits[_best_of_each(sums[fits], sums[fits], scores[fits])]
        if len(kept) > CELLS:
            kept = kept[_best_of_each(sums[kept] * CELLS // most, sums[kept], scores[kept])]
        cost, score = sums[kept], scores[kept]
        steps.append(np.divmod(kept, len(table.cost)))
    index = _best_end(cost, score, least)
    choices = np.zeros(space.shape[:2], np.int32)
    for number in reversed(range(len(options))):
        before, option = (int(each[index]) for each in steps[number])
        choices[number] = options[number].choices[option]
        index = before
    return Derivation(choices, space.genotype(choices), (), 0, limited=True)


def _best_end(cost: np.ndarray, score: np.ndarray, least: int) -> int:
    """The place of the best score among costs of at least `least`; the costliest if none has."""
    score = np.where(cost >= min(least, cost.max()), score, -np.inf)
    return int(np.lexsort((cost, score))[-1])


def _best_of_each(group: np.ndarray, cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The place of the best of each group, in the order of the groups; of equals the costliest."""
    order = np.lexsort((cost, score, group))
    ordered = group[order]
    return order[np.append(ordered[1:] != ordered[:-1], True)]


def _cheapest(options: list[_Options]) -> int:
    return sum(int(each.cost[0]) for each in options)


def _check_costs(space: AdaptationSpace, costs: np.ndarray) -> None:
    if costs.shape != space.shape or costs.dtype.kind != "i" or (costs < 0).any():
        raise ValueError(
            f"costs must be whole numbers {space.shape}, none negative; got {costs.dtype} of shape "
            f"{costs.shape}"
        )


def _all_options(space: AdaptationSpace, theta: np.ndarray, costs: np.ndarray) -> list[_Options]:
    _check_costs(space, costs)
    if space.shape[1] > MOST_EDGES:
        raise ValueError(
            f"a cell of {space.base.name!r} has {space.shape[1]} edges, whose 3^{space.shape[1]} "
            f"assignments are too many to go through; at most {MOST_EDGES} are possible"
        )
    carries = space.carries
    # On an edge without an operation, none and same are one choice.
    nothing = np.where(carries, -np.inf, theta).max(-1)
    found: dict[tuple[Cell, bytes], tuple[np.ndarray, np.ndarray]] = {}
    options = []
    for table, cell in enumerate(space.cells):
        possible = space.possible[table]
        if (key := (cell, possible.tobytes())) not in found:
            found[key] = _assignments(cell, carries[table], possible)
        choices, lost = found[key]
        best = np.where(possible, theta[table], -np.inf).max(-1)
        cost, score = np.zeros(len(choices), np.int64), np.zeros(len(choices))
        for edge in range(len(cell.edges)):
            taken = choices[:, edge]
            cost += costs[table, edge][taken]
            value = np.where(taken == NONE, nothing[table, edge], theta[table, edge][taken])
            score += np.where(lost[:, edge], best[edge], value)
        kept = _best_of_each(cost, cost, score)
        options.append(_Options(cost[kept], score[kept], choices[kept]))
    return options


def _assignments(
    cell: Cell, candidate_carries: np.ndarray, possible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What connects a cell's output and has nothing left to prune.

    Edges that carry nothing, and padding, are none. An edge that cannot be chosen to be none is so
    where it lies on no path any more.

    Returns:
      int8 [assignments, edges], and bool of that shape, true where an edge went in that way.
    """
    edges = len(cell.edges)
    choices = np.zeros((3**edges, len(candidate_carries)), np.int8)
    for index in range(edges):
        choices[:, index] = np.arange(3**edges) // 3**index % 3
    rows = choices[:, :edges]
    carried = candidate_carries[np.arange(edges), rows]
    kept = connected(cell, carried) & (carried == (rows != NONE)).all(1)
    kept &= (between(cell, carried) | ~carried).all(1)
    lost = (choices == NONE) & ~possible[:, NONE] & possible.any(-1)
    before = np.where(lost[:, :edges], SAME, rows)
    kept &= possible[np.arange(edges), before].all(1)
    kept &= (pruned(cell, before) == rows).all(1)
    return choices[kept], lost[kept]
