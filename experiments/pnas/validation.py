"""The experiment with PNAS where the truth is known: its flags, and what it writes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import rich.console

from jaxnas import search
from jaxnas.commands.progressive_search import SurrogateName
from jaxnas.commands.tabular.tabular_report import regret_curves, search_table
from jaxnas.commands.tabular.tabular_search import SEARCHERS, TableDataset, run_searcher
from jaxnas.reports.page import Picture, Section, told_pages, write_page
from jaxnas.runs.config import ConfigError, refuse_below_one
from jaxnas.runs.progress import ProgressBars
from jaxnas.spaces.block_cells import pnas_space
from jaxnas.storage.directory import RunDirectory, checked_directory
from jaxnas.tabular import GraphDataset
from pnas.measured import Measured, nas_bench_graph, nasbench201, queries_needed
from pnas.race import GROWN_BEST, GROWN_BLIND, answers_table, race, race_rows, race_table
from pnas.surrogate_ranks import (
    POOL,
    grown_blind,
    progressive_on,
    rank_surrogates,
    rank_table,
)
from pnas.synthetic_cells import SyntheticCells

Part = Literal["nasbench201", "graph", "surrogates", "race"]

_OTHERS = ("random", "ppo", "evolution")


@dataclasses.dataclass(frozen=True)
class PnasTables:
    """Runs PNAS on tables."""

    parts: tuple[Part, ...] = get_args(Part)
    """Parts of the validation to run."""
    seeds: int = 200
    """Number of searches on NAS-Bench-201 and on NAS-Bench-Graph, seeds 0 and up."""
    per_level_measured: int = 32
    """Number of cells of a level there, after the first one with its 5 and 9."""
    longer: int = 10
    """How many times as many queries the other searchers have there, to find what it finds."""
    dataset: TableDataset = "cifar10"
    """Data set whose accuracies of NAS-Bench-201 are taken."""
    table: Path | None = None
    """The table of NAS-Bench-201: a .csv, a .csv.gz or NATS-Bench's folder; by default the one in
    $JAXNAS_DATA_DIR."""
    graph: GraphDataset = "cora"
    """Data set whose accuracies of NAS-Bench-Graph are taken."""
    trials: int = 3
    """Number of trials of the surrogates."""
    races: int = 10
    """Number of races against PPO and random search, each on a table of its own, seeds 0 and up."""
    per_level: int = 256
    """Number of cells of a level in trials and races, after the first one with its 136."""
    queries: int = 20_000
    """Number of queries of PPO and of random search in a race."""
    steps: int = 300
    """Number of steps of a fit of progressive search's surrogate in a race."""
    surrogate: SurrogateName = "block"
    """Surrogate of progressive search on measured tables and in a race: each block by a state of
    its own, or the paper's, a network that takes the mean over blocks or an LSTM."""
    blocks: int = 5
    """Number of blocks in the cells of trials and races."""
    run_dir: Path = Path("runs/pnas_tables")
    """The folder in which everything is written."""
    overwrite: bool = False
    """Delete an earlier run in the run directory."""

    def __post_init__(self) -> None:
        refuse_below_one(
            self,
            "seeds",
            "per_level_measured",
            "longer",
            "trials",
            "races",
            "per_level",
            "queries",
            "steps",
        )
        if not 2 <= self.blocks <= 7:
            raise ConfigError(f"--blocks must be 2 to 7, not {self.blocks}")
        if len(set(self.parts)) < len(self.parts) or not self.parts:
            raise ConfigError(f"--parts must name each part once, of {', '.join(get_args(Part))}")


_Part = Callable[[PnasTables, RunDirectory], tuple[Section, Any]]


def run_pnas_tables(settings: PnasTables) -> Path:
    """Does the parts and writes everything into the run directory.

    Returns:
      the path of `report.md`.

    Raises:
      RunError: if the run directory cannot be used.
      TabularError: if the table is not there or damaged.
    """
    console = rich.console.Console(markup=False)
    directory = checked_directory(settings)
    sections: list[Section] = []
    results: dict[str, Any] = {}
    parts: dict[str, _Part] = {"surrogates": _surrogates, "race": _race}
    for part in settings.parts:
        if part in _MEASURED:
            # What is wrong with a table is said before anything is written.
            parts[part] = functools.partial(_on_table, _MEASURED[part](settings))
    with directory as run:
        for part in settings.parts:
            started = time.perf_counter()
            section, results[part] = parts[part](settings, run)
            seconds = time.perf_counter() - started
            blocks = [*section.blocks, f"{part} took {seconds:.0f} s."]
            sections.append(section._replace(blocks=blocks))
            console.print(sections[-1].markdown(), soft_wrap=True)
        run.write_json("results.json", results)
        report = write_page(run.path, "PNAS where the truth is known", sections)
    console.print(told_pages(report), highlight=False, soft_wrap=True)
    return report


@contextlib.contextmanager
def _progress(name: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """Shows a part's progress; gives what is called after each of its units."""
    bars = ProgressBars(rich.console.Console(markup=False), {name: total})
    with bars, bars.watch(name, name, unit) as watcher:
        yield watcher.progress


_MEASURED: dict[str, Callable[[PnasTables], Measured]] = {
    "nasbench201": lambda settings: nasbench201(settings.table, settings.dataset),
    "graph": lambda settings: nas_bench_graph(settings.graph),
}


def _on_table(measured: Measured, settings: PnasTables, run: RunDirectory) -> tuple[Section, Any]:
    name, rewards = measured.title, measured.rewards
    with _progress(name, settings.seeds, "seeds") as advance:
        ours, ranks = progressive_on(
            measured.grown, settings.seeds, settings.per_level_measured, advance, settings.surrogate
        )
    queries = ours.incumbents.shape[1]
    longer = [
        run_searcher(
            name,
            SEARCHERS[name],
            measured.space,
            rewards.valid / 100,
            settings.seeds,
            queries * settings.longer,
        )
        for name in _OTHERS
    ]
    blind = grown_blind(measured.grown, settings.seeds, settings.per_level_measured)
    found = [each._replace(incumbents=each.incumbents[:, :queries]) for each in longer]
    found += [blind, ours]
    title = f"{measured.title}, {settings.seeds} seeds"
    picture = f"regret_{measured.grown.space.name}"
    regret_curves(run.path / picture, found, rewards.judged, title, rewards.split)
    blocks = [
        f'{queries} queries each. {rewards.text} {measured.steps} "{GROWN_BLIND}" does so without '
        "a surrogate. The seconds of these two are not told; the others' are of all queries that "
        "they have below.",
        search_table(found, rewards.valid, rewards.test, rewards.headings),
        Picture("Regret over queries", f"{picture}.svg"),
        f"The others go on to {queries * settings.longer:,} queries. When is the mean over their "
        "seeds for the first time what progressive search's is in the end?",
        queries_needed(ours, longer, rewards),
        f"Rank correlations of the surrogate ({settings.surrogate}, five networks), mean ± "
        "standard deviation over seeds: of the cells it was told of, and of all cells that the "
        "next level is chosen from.",
        rank_table({f"{settings.surrogate}, 5 members": ranks}),
    ]
    incumbents = {each.algorithm: each.incumbents[:, -1].tolist() for each in found}
    return Section(title, blocks), {
        "incumbents": incumbents,
        "ranks": [each._asdict() for each in ranks],
    }


def _surrogates(settings: PnasTables, run: RunDirectory) -> tuple[Section, Any]:
    table = SyntheticCells(pnas_space(settings.blocks))
    surrogates = {
        f"{name}, {members} member{'s' * (members > 1)}": make(table.space, members=members)
        for members in (1, 5)
        for name, make in search.SURROGATES.items()
    }
    with _progress("surrogates", settings.trials * len(surrogates), "trials") as advance:
        ranks = rank_surrogates(table, surrogates, settings.trials, settings.per_level, advance)
    text = (
        f"Synthetic accuracies of PNAS's cells. Each learns from {settings.per_level} random cells "
        "of each number of blocks (all 136 of one), one number after the other, and ranks those "
        f"and {POOL:,} random cells of one block more. Mean ± standard deviation over "
        f"{settings.trials} trials."
    )
    return Section("Surrogates", [text, rank_table(ranks)]), {
        name: [each._asdict() for each in rows] for name, rows in ranks.items()
    }


def _race(settings: PnasTables, run: RunDirectory) -> tuple[Section, Any]:
    space = pnas_space(settings.blocks)
    tables = [SyntheticCells(space, seed) for seed in range(settings.races)]
    with _progress("race", settings.races, "races") as advance:
        races = race(
            tables,
            settings.per_level,
            settings.queries,
            settings.steps,
            advance,
            settings.surrogate,
        )
    rows = race_rows(races)
    best = ", ".join(f"{100 * table.best.truth:.2f}" for table in tables)
    blocks = [
        "Synthetic accuracies of PNAS's cells, another table each race, seeds 0 to "
        f"{settings.races - 1}; the best cells of all have {best}. What the others need until the "
        "mean true accuracy of their best children (by the accuracies they were told) is for the "
        "first time what progressive search's is in the end; its best are of all levels. Examples "
        "are 0.9M a child (45,000 images, 20 epochs), and where the search is not progressive 250 "
        "children are trained anew by 13.5M each (300 epochs), which for few children is nearly "
        "all.",
        race_table(rows, ("ppo", "random"), settings.queries),
        answers_table(races),
        f'"{GROWN_BEST}" grows cells as progressive search does and trains those of each level '
        f'that are truly best, "{GROWN_BLIND}" any: what a perfect surrogate would find, and none.',
    ]
    return Section("Race", blocks), rows
