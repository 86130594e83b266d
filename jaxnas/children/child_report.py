"""What a search of trained children is told by: a table, curves, and where the time went."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from jaxnas.children.child_search import ChildStore, Trial
from jaxnas.children.child_training import Outcome
from jaxnas.reports import style
from jaxnas.reports.statistics import Spread, wins
from jaxnas.reports.tables import Column, Table

_TOGETHER = 20
"""Trials of the moving mean."""


def reward_table(trials: Mapping[str, Sequence[Trial]], store: ChildStore) -> Table:
    """A row for each search: accuracies on the held-out images, in percent.

    The second half of a search, when it has learnt something, is compared with all of the last
    search, the control.
    """
    *_, control = trials
    columns = [
        Column("search", left=True),
        Column("children"),
        Column("different"),
        Column("best", ".2f"),
        Column("mean of the best 5", ".2f"),
        Column("of the best 25", ".2f"),
        Column("all", ".2f"),
        Column(f"second half above {control}"),
        Column("seconds", ",.0f"),
    ]
    theirs = np.array([trial.accuracy for trial in trials[control]])
    lines = []
    for name, rows in trials.items():
        by_child = {trial.candidate: trial.accuracy for trial in rows}
        ranked = sorted(by_child.values(), reverse=True)
        ours = [trial.accuracy for trial in rows]
        lines.append(
            [
                name,
                len(rows),
                len(by_child),
                ranked[0],
                *(
                    statistics.fmean(ranked[:count]) if len(ranked) >= count else None
                    for count in (5, 25)
                ),
                Spread.of(ours),
                None if name == control else wins(np.array(ours[len(ours) // 2 :]), theirs),
                sum(sum(store[child].seconds.values()) for child in by_child),
            ]
        )
    failed = sum(bool(outcome.failure) for outcome in store.outcomes())
    note = (
        f"{len(store)} different children were trained, {failed} failed. Percent of the held-out "
        "images; all: mean ± sample standard deviation; above: how often a child of the search's "
        "second half beats one of the control, with a 95% interval; seconds: of training the "
        "different children, whichever search trained them."
    )
    return Table(columns, lines, note=note)


def seconds_table(outcomes: Sequence[Outcome]) -> Table:
    """Seconds of the children's training by part."""
    columns = [
        Column("part", left=True),
        Column("seconds, all children", ".1f"),
        Column("median of a child", ".2f"),
    ]
    lines = []
    for part in dict.fromkeys(part for outcome in outcomes for part in outcome.seconds):
        values = [outcome.seconds[part] for outcome in outcomes]
        lines.append([part, sum(values), statistics.median(values)])
    note = (
        "Compiling is what the first run of a program took above later ones, "
        "or all of it where there is no later one."
    )
    return Table(columns, lines, note=note)


def reward_curves(trials: Mapping[str, Sequence[Trial]], path: str | os.PathLike[str]) -> None:
    """Draws the accuracy of each child, a moving mean and the best so far to `path`.svg and .png.

    Raises:
      RunError: if a file cannot be written.
    """
    with style.picture(path, 5.6, 3.4) as figure:
        axes = figure.add_subplot()
        for (name, rows), colour in zip(trials.items(), style.LINES, strict=False):
            number = np.array([trial.number for trial in rows])
            values = np.array([trial.accuracy for trial in rows])
            width = min(_TOGETHER, len(values))
            mean = np.convolve(values, np.ones(width) / width, "valid")
            axes.plot(number, values, ".", color=colour, markersize=3, alpha=0.4)
            axes.plot(number[width - 1 :], mean, color=colour, linewidth=1.4, label=name)
            best = np.maximum.accumulate(values)
            axes.plot(number, best, color=colour, linewidth=1.0, linestyle="--")
        axes.set_xlabel("children")
        axes.set_ylabel("accuracy on held-out images, %")
        axes.legend()
