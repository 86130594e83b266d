"""Measured tables as the searches of this experiment ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnas import tabular
from jaxnas.commands.tabular.tabular_search import Regrets, Rewards, TableDataset, rewards_of
from jaxnas.reports.tables import Column, Table
from jaxnas.spaces import NASBench201Paths, Space
from jaxnas.tabular import GraphDataset
from pnas.surrogate_ranks import GrownTable


class Measured(NamedTuple):
    """A measured table, and what of it is searched.

    Attributes:
      title: of its section.
      space: what searchers that do not grow choose from.
      grown: what progressive search does.
      rewards: what a search sees, and is judged by.
      steps: how progressive search grows a candidate, a sentence.
    """

    title: str
    space: Space
    grown: GrownTable
    rewards: Rewards
    steps: str


def nasbench201(path: Path | None, dataset: TableDataset) -> Measured:
    """NAS-Bench-201, seen path by path; arguments and errors as of `tabular.load_nasbench201`."""
    rewards = rewards_of(tabular.load_nasbench201(path), dataset)
    paths = NASBench201Paths()

    def codes(cells: np.ndarray) -> np.ndarray:
        return paths.edges.codes(paths.as_nasbench201(cells))

    return Measured(
        f"NAS-Bench-201, {dataset}",
        paths.edges,
        GrownTable(paths, codes, rewards.valid),
        rewards,
        "Progressive search decides edge 0>3, the path over node 1, the path over node 2, edge "
        "1>2; undecided edges are `none`.",
    )


def nas_bench_graph(dataset: GraphDataset) -> Measured:
    """NAS-Bench-Graph, node by node; errors as of `tabular.load_nas_bench_graph`."""
    table = tabular.load_nas_bench_graph(dataset)
    space = table.space
    # Networks of nothing but skip have not been trained.
    valid, test = (np.nan_to_num(each, nan=np.nanmin(each)) for each in (table.valid, table.test))
    return Measured(
        f"NAS-Bench-Graph, {dataset}",
        space,
        GrownTable(space, lambda cells: space.codes(space.whole(cells)), valid),
        Rewards(
            valid,
            test,
            ("validation", "test"),
            "The one with the best validation accuracy is its answer; its test accuracy is "
            "reported. Networks of nothing but skip, which are not in the table, have the lowest "
            "accuracies that are.",
        ),
        "Progressive search decides node after node; a part is the network of those nodes alone.",
    )


def queries_needed(ours: Regrets, others: Sequence[Regrets], rewards: Rewards) -> Table:
    """After how many queries the others' mean over seeds first is what `ours` is in the end."""
    columns = [Column("algorithm", left=True)]
    judges = [each for each in (rewards.valid, rewards.test) if each is not None]
    for heading in rewards.headings:
        columns += [Column(heading, ".2f"), Column("queries", ","), Column("times", ".1f")]
    count = ours.incumbents.shape[1]
    goals = [float(accuracies[ours.incumbents[:, -1]].mean()) for accuracies in judges]
    lines: list[list[Any]] = [[ours.algorithm]]
    for goal in goals:
        lines[0] += [goal, count, "1"]
    for other in others:
        line: list[Any] = [other.algorithm]
        for goal, accuracies in zip(goals, judges, strict=True):
            means = accuracies[other.incumbents].mean(0)
            reached = np.flatnonzero(means >= goal)
            if len(reached):
                needed = int(reached[0]) + 1
                line += [float(means[needed - 1]), needed, needed / count]
            else:
                asked = len(means)
                line += [float(means[-1]), f"more than {asked:,}", f"more than {asked / count:.1f}"]
        lines.append(line)
    return Table(columns, lines)
