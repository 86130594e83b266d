"""Any searcher over any space of block cells, by children that are trained."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxnas.children.child_config import CellExperiment
from jaxnas.children.child_networks import CellNetworks
from jaxnas.children.child_searchers import ChildSearcher
from jaxnas.children.child_winners import cells_at_full_size
from jaxnas.commands.child_experiment import More, beside_random, run_children
from jaxnas.commands.tabular.tabular_search import SEARCHERS
from jaxnas.runs.config import Training
from jaxnas.runs.search_config import refuse_no_space
from jaxnas.search import Algorithm
from jaxnas.spaces.block_cells import (
    BlockCellSpace,
    enas_micro_space,
    nasnet_space,
    pnas_space,
)

SPACES: dict[str, Callable[..., BlockCellSpace]] = {
    "nasnet": functools.partial(nasnet_space, combine=False),
    "pnas": pnas_space,
    "enas_micro": enas_micro_space,
}
"""What `--space` names; they take ``blocks``, ``channels`` and ``cell_count``."""


def search_cells(
    experiment: CellExperiment,
    space: str,
    algorithm: str,
    child: Training,
    *,
    blocks: int,
    channels: int,
    cell_count: int,
    settings: dict[str, Any],
) -> Path:
    """Searches with a searcher of `SEARCHERS`, and trains what was found; see `run_children`.

    Args:
      experiment: the flags.
      space: one of `SPACES`.
      algorithm: one of `SEARCHERS`.
      child: how children are trained.
      blocks: of a cell.
      channels: of a node in a child's first cells.
      cell_count: of a child, as the space counts them.
      settings: see `run_children`.

    Returns:
      the path of the report.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    with refuse_no_space():
        cells = SPACES[space](blocks, channels=channels, cell_count=cell_count)
    return run_cells(
        experiment,
        algorithm,
        cells,
        child,
        SEARCHERS[algorithm].make(cells, experiment.children),
        settings,
    )


def run_cells(
    experiment: CellExperiment,
    name: str,
    space: BlockCellSpace,
    child: Training,
    algorithm: Algorithm,
    settings: dict[str, Any],
) -> Path:
    """`run_searchers` of one searcher and of random search."""
    searchers = beside_random(name, algorithm, space, experiment.children)
    return run_searchers(experiment, name, space, child, searchers, settings)


def run_searchers(
    experiment: CellExperiment,
    name: str,
    space: BlockCellSpace,
    child: Training,
    searchers: Mapping[str, ChildSearcher],
    settings: dict[str, Any],
    more: More = lambda searches: ([], []),
) -> Path:
    """`run_children` over block cells, whose reward is the accuracy, 0 to 1."""
    return run_children(
        experiment,
        name,
        CellNetworks(space),
        child,
        searchers,
        functools.partial(cells_at_full_size, experiment, space),
        lambda outcome: outcome.accuracies[-1] / 100,
        settings,
        more,
    )
