"""Which clip and how many epochs PPO should take: a grid, many seeds on the table of NAS-Bench-201.

    python benchmarks/ppo_settings.py --seeds 100

The paper has neither number. The grid is on another data set than the results are reported of.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

from jaxnas import search, tabular
from jaxnas.commands.script import run_script
from jaxnas.commands.tabular.tabular_search import SEARCHERS, Searcher, TableDataset, run_searcher
from jaxnas.reports import Column, Table
from jaxnas.reports.statistics import Spread
from jaxnas.spaces import NASBench201Space


@dataclasses.dataclass(frozen=True)
class Grid:
    """What to try."""

    clips: tuple[float, ...] = (0.1, 0.2, 0.4)
    """Of the ratio of the probabilities."""
    epochs: tuple[int, ...] = (1, 3, 10, 30)
    """How often each batch is used."""
    seeds: int = 100
    """0 and up."""
    queries: int = 300
    """Of each search."""
    dataset: TableDataset = "cifar100"
    """Whose accuracies."""
    table: Path | None = None
    """The table: a .csv, .csv.gz or NATS-Bench's folder; in JAXNAS_DATA_DIR by default."""


def main(grid: Grid) -> None:
    """Runs the grid and prints the table."""
    table = tabular.load_nasbench201(grid.table)
    valid = table.accuracy(grid.dataset, "valid", 12)
    test = table.accuracy(grid.dataset, "test", 200)
    columns = [
        *(Column("clip"), Column("epochs")),
        *(Column("validation, 12 epochs", ".2f"), Column("test, 200 epochs", ".2f")),
        Column("seconds", ".1f"),
    ]
    rows = []
    for clip, epochs in itertools.product(grid.clips, grid.epochs):

        def make(space, _, clip=clip, epochs=epochs):
            return search.ppo(space, clip=clip, epochs=epochs)

        searcher = Searcher(make, SEARCHERS["ppo"].together)
        found = run_searcher(
            "ppo", searcher, NASBench201Space(), valid / 100, grid.seeds, grid.queries
        )
        last = found.incumbents[:, -1]
        accuracies = [Spread.of(of[last].tolist()) for of in (valid, test)]
        rows.append([clip, epochs, *accuracies, found.seconds])
    print(Table(columns, rows).markdown())


if __name__ == "__main__":
    run_script(Grid, __doc__, main)
