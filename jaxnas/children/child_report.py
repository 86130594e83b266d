"""What a search of trained children is told by: a table, curves, and where the time went."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from jaxnas.children.child_search import ChildStore, Trial
from jaxnas.children.child_training import Outcome
from jaxnas.reports import style
from jaxnas.reports.statistics import spread, wins

_TOGETHER = 20
"""Trials of the moving mean."""


def reward_table(trials: Mapping[str, Sequence[Trial]], store: ChildStore) -> str:
    """A row for each search: accuracies on the held-out images, in percent, as Markdown.

    The second half of a search, when it has learnt something, is compared with all of the last
    search, the control.
    """
    *_, control = trials
    lines = [
        "| search | children | different | best | mean of the best 5 | of the best 25 | all | "
        f"second half above {control} | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    theirs = np.array([trial.accuracy for trial in trials[control]])
    for name, rows in trials.items():
        by_child = {trial.candidate: trial.accuracy for trial in rows}
        ranked = sorted(by_child.values(), reverse=True)
        ours = np.array([trial.accuracy for trial in rows])
        std = float(ours.std(ddof=1)) if len(ours) > 1 else None
        means = [
            f"{statistics.fmean(ranked[:count]):.2f}" if len(ranked) >= count else ""
            for count in (5, 25)
        ]
        seconds = sum(sum(store[child].seconds.values()) for child in by_child)
        above = ""
        if name != control:
            above = str(wins(ours[len(ours) // 2 :], theirs))
        lines.append(
            f"| {name} | {len(rows)} | {len(by_child)} | {ranked[0]:.2f} | {means[0]} | {means[1]} "
            f"| {spread(float(ours.mean()), std)} | {above} | {seconds:,.0f} |"
        )
    failed = sum(bool(outcome.failure) for outcome in store.outcomes())
    return (
        "\n".join(lines) + f"\n\n{len(store)} different children were trained, {failed} failed. "
        "Percent of the held-out images; all: mean ± sample standard deviation; above: how often a "
        "child of the search's second half beats one of the control, with a 95% interval; seconds: "
        "of training the different children, whichever search trained them.\n"
    )


def seconds_table(outcomes: Sequence[Outcome]) -> str:
    """Seconds of the children's training by part, as Markdown."""
    parts = list(dict.fromkeys(part for outcome in outcomes for part in outcome.seconds))
    lines = ["| part | seconds, all children | median of a child |", "|---|---:|---:|"]
    for part in parts:
        values = [outcome.seconds[part] for outcome in outcomes]
        lines.append(f"| {part} | {sum(values):.1f} | {statistics.median(values):.2f} |")
    return (
        "\n".join(lines)
        + "\n\nCompiling is what the first run of a program took above later ones, "
        "or all of it where there is no later one.\n"
    )


def reward_curves(trials: Mapping[str, Sequence[Trial]], path: str | os.PathLike[str]) -> None:
    """Draws the accuracy of each child, a moving mean and the best so far to `path`.svg and .png.

    Raises:
      RunError: if a file cannot be written.
    """
    with style.style():
        figure = style.figure(5.6, 3.4)
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
        figure.tight_layout()
        style.save(figure, path)
