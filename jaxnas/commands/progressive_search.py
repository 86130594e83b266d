"""PNAS by children that are trained: the searcher of a number of children, and its levels told."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxnas import search
from jaxnas.children.child_report import accuracies
from jaxnas.children.child_searchers import (
    ChildSearcher,
    best,
    child_searcher,
    level_searcher,
)
from jaxnas.children.child_winners import TRAINED, as_array
from jaxnas.commands.child_experiment import RANDOM, Searches
from jaxnas.commands.final_training import network_section
from jaxnas.commands.tabular.tabular_search import SEARCHERS
from jaxnas.reports.page import Content, Section
from jaxnas.reports.statistics import wins
from jaxnas.reports.tables import Column, Table
from jaxnas.runs.config import ConfigError
from jaxnas.spaces import Space
from jaxnas.storage import files
from jaxnas.storage.metrics import Metrics

PROGRESSIVE = "progressive"

SurrogateName = Literal["block", "mlp", "lstm"]

_BATCH = 20
"""Children of a batch of random search, as of NASNet's controller."""


def progressive_searcher(
    space: Space,
    children: int,
    *,
    surrogate: SurrogateName = "block",
    members: int = 5,
    train_last: bool = True,
) -> ChildSearcher:
    """PNAS with as many cells a level as make `children` of all levels together.

    Raises:
      ConfigError: if no number of cells does, or the space cannot grow.
    """
    levels = len(space.levels)
    if levels < 2:
        raise ConfigError("--blocks must be at least 2: progressive search grows its cells")
    first, later = len(space.grow()), levels - 1 - (not train_last)
    per_level, rest = divmod(children - first, later) if later else (1, children - first)
    if rest or per_level < 1:
        near = first + later * max(per_level, 1)
        raise ConfigError(
            f"--children {children} cannot be shared out: progressive search trains all {first} "
            f"cells of the first level and equally many of {later} later ones; {near} "
            + (f"or {near + later} " if later else "")
            + "can"
        )
    chooser = search.SURROGATES[surrogate](space, members=members)
    return level_searcher(search.Progressive(space, chooser, per_level, train_last))


def tell_levels(searches: Searches) -> tuple[list[Section], list[Content]]:
    """The best cell of each level, drawn and written at full size, and a table of the levels.

    Raises:
      RunError: if something cannot be read or written.
    """
    path = searches.path
    ranks = ("spearman_trained", "spearman_chosen", "kendall_trained", "kendall_chosen")
    columns = [
        Column("level"),
        Column("children"),
        Column("mean accuracy", ".2f"),
        Column("best", ".2f"),
        Column("Spearman, trained", ".3f"),
        Column("before", ".3f"),
        Column("Kendall, trained", ".3f"),
        Column("before", ".3f"),
    ]
    pictures, lines = [], []
    ours, before, of_level = list(searches.trials[PROGRESSIVE]), 0, []
    for row in Metrics(path / PROGRESSIVE).rows():
        level, of_level = row["level"], ours[before : row["children"]]
        before = row["children"]
        leaders = best(of_level, 1)  # none if all of its children failed
        accuracy = max(accuracies(of_level)) if leaders else None
        numbers = [row["mean_accuracy"], accuracy, *(row[name] for name in ranks)]
        lines.append([level, len(of_level), *numbers])
        if not leaders:
            continue
        (leader,) = leaders
        genotype = dataclasses.replace(searches.full_size(leader)[TRAINED], name=f"level_{level}")
        files.write_bytes(
            path / f"genotype_level_{level}.json", (genotype.to_json() + "\n").encode()
        )
        child = searches.networks.genotype(as_array(leader))
        pictures.append(
            network_section(path, f"level_{level}", child, f"The best cell of level {level}")
        )
    above = wins(accuracies(of_level), accuracies(searches.trials[RANDOM]))
    return pictures, [
        "Progressive search by levels; level b has cells of b blocks. Rank correlations of the "
        "surrogate's expectations and the accuracies of the level's children: after it was told of "
        "them (trained), and by the surrogate that chose them (before), which is of the chosen "
        "alone, and so lower than of all cells of the level. Percent of the held-out images. "
        "genotype_level_b.json is the best cell of b blocks at full size.",
        Table(columns, lines),
        f"How often one of the {len(of_level)} children of the last trained level is better than "
        f"one of random search, all pairs, with a 95% interval: {above}.",
    ]


def others(space: Space, children: int, *names: str) -> dict[str, ChildSearcher]:
    """Searchers of `SEARCHERS` with as many children.

    Random search comes in batches, so that workers have something to do side by side.
    """
    made = {name: SEARCHERS[name].make(space, children) for name in names}
    if "random" in made:
        made["random"] = search.random(space, batch=_BATCH)
    return {name: child_searcher(space, algorithm, children) for name, algorithm in made.items()}
