"""What a search of trained children is told by: a table, curves, and where the time went."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from jaxnas.children.child_search import ChildStore
from jaxnas.children.child_searchers import Trial
from jaxnas.children.child_training import Outcome, commonest_failure, failures
from jaxnas.reports import style
from jaxnas.reports.statistics import Spread, wins
from jaxnas.reports.tables import Column, Table

_TOGETHER = 20
"""Trials of the moving mean."""


def reward_table(trials: Mapping[str, Sequence[Trial]], store: ChildStore) -> Table:
    """A row for each search: accuracies on the held-out images, in percent.

    Children that failed have none, and are beaten by all that have one.
    The second half of a search, when it has learnt something, is compared with all of the last
    search, the control.
    """
    *_, control = trials
    columns = [
        Column("search", left=True),
        Column("children"),
        Column("different"),
        Column("failed"),
        Column("best", ".2f"),
        Column("mean of the best 5", ".2f"),
        Column("of the best 25", ".2f"),
        Column("all", ".2f"),
        Column(f"second half above {control}"),
        Column("seconds", ",.0f"),
    ]
    theirs = accuracies(trials[control])
    lines = []
    for name, rows in trials.items():
        by_child = {trial.candidate: trial.accuracy for trial in rows}
        trained = [accuracy for accuracy in by_child.values() if accuracy is not None]
        ranked = sorted(trained, reverse=True)
        ours = accuracies(rows)
        lines.append(
            [
                name,
                len(rows),
                len(by_child),
                len(by_child) - len(trained),
                ranked[0] if ranked else None,
                *(
                    statistics.fmean(ranked[:count]) if len(ranked) >= count else None
                    for count in (5, 25)
                ),
                Spread.of(trial.accuracy for trial in rows),
                None if name == control else wins(ours[len(ours) // 2 :], theirs),
                sum(sum(store[child].seconds.values()) for child in by_child),
            ]
        )
    note = (
        f"{len(store)} different children were trained, {failed_children(store.outcomes())}. "
        "Percent of the held-out images, of the children that did not fail; all: mean ± sample "
        "standard deviation; above: how often a child of the search's second half beats one of the "
        "control, with a 95% interval; seconds: of training the different children, whichever "
        "search trained them."
    )
    return Table(columns, lines, note=note)


def accuracies(trials: Sequence[Trial]) -> np.ndarray:
    """float64 [n], by which trials are compared: accuracies in percent, -1 for a failure."""
    return np.array([-1.0 if trial.accuracy is None else trial.accuracy for trial in trials])


def failed_children(outcomes: Sequence[Outcome]) -> str:
    """How many of some children failed, and the commonest reason."""
    failed = failures(outcomes)
    if not failed:
        return "0 failed"
    return f"{failed} failed, mostly because {commonest_failure(outcomes)}"


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
            trained = [trial for trial in rows if trial.accuracy is not None]
            number, values = np.array([trial.number for trial in trained]), accuracies(trained)
            width = min(_TOGETHER, len(values))
            mean = np.convolve(values, np.ones(width) / width, "valid")
            axes.plot(number, values, ".", color=colour, markersize=3, alpha=0.4)
            axes.plot(number[width - 1 :], mean, color=colour, linewidth=1.4, label=name)
            best = np.maximum.accumulate(values)
            axes.plot(number, best, color=colour, linewidth=1.0, linestyle="--")
        axes.set_xlabel("children")
        axes.set_ylabel("accuracy on held-out images, %")
        axes.legend()
