"""How many children one search needs to be as good as another (after Liu et al. 2018)."""

from __future__ import annotations

import bisect
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxnas.children.child_report import accuracies
from jaxnas.children.child_training import Candidate
from jaxnas.commands.child_experiment import Searches
from jaxnas.commands.progressive_search import PROGRESSIVE, tell_levels
from jaxnas.reports import style
from jaxnas.reports.page import Content, Section
from jaxnas.reports.tables import Column, Table

TOPS = (1, 5, 25)
"""Numbers of best children whose mean accuracies are compared."""


class Searched(NamedTuple):
    """What a search asked for, in order.

    Attributes:
      children: who they were; those asked for twice are trained once.
      rewards: float [n], by which the best are chosen.
      values: float [n], by which they are compared: the same, or what is known to be true.
    """

    children: Sequence[Candidate]
    rewards: np.ndarray
    values: np.ndarray


def top_means(searched: Searched, top: int) -> np.ndarray:
    """After each child, the mean value of the `top` different ones of highest reward.

    Returns:
      float64 [n]; NaN while there are fewer.
    """
    means = np.full(len(searched.rewards), np.nan)
    best: list[tuple[float, int]] = []  # reward and number of the first asking, rising
    seen: set[Candidate] = set()
    rows = zip(searched.children, np.asarray(searched.rewards).tolist(), strict=True)
    for number, (child, reward) in enumerate(rows):
        if child not in seen:
            seen.add(child)
            bisect.insort(best, (reward, -number))
            del best[:-top]
        if len(best) == top:
            means[number] = np.mean([searched.values[-place] for _, place in best])
    return means


def needed(searched: Searched, top: int, value: float) -> int | None:
    """After how many children the mean of the `top` best first reaches `value`; None if never."""
    reached = np.flatnonzero(top_means(searched, top) >= value)
    return int(reached[0]) + 1 if len(reached) else None


def trained_before(searched: Searched) -> np.ndarray:
    """int [n]: how many different children have been trained, after each that was asked for."""
    first = {child: number for number, child in reversed(list(enumerate(searched.children)))}
    new = np.zeros(len(searched.children), int)
    new[list(first.values())] = 1
    return new.cumsum()


def efficiency_table(searches: Mapping[str, Searched]) -> Table:
    """What the searches need to be as good as the first one."""
    reference, *_ = searches
    ours = searches[reference]
    count, trained = len(ours.rewards), int(trained_before(ours)[-1])
    columns = [
        Column("best"),
        Column(f"mean of {reference}'s", ".4g"),
        Column("search", left=True),
        Column("children"),
        Column(f"times {reference}'s", ".2f"),
        Column("trained"),
        Column("times", ".2f"),
    ]
    lines = []
    for top in TOPS:
        value = float(top_means(ours, top)[-1])
        if np.isnan(value):
            continue
        for name, searched in searches.items():
            asked = needed(searched, top, value)
            if asked is None:
                cells = [f"more than {len(searched.rewards)}", None, None, None]
            else:
                new = int(trained_before(searched)[asked - 1])
                cells = [asked, asked / count, new, new / trained]
            lines.append([top, value, name, *cells])
    return Table(columns, lines)


def efficiency_curves(
    searches: Mapping[str, Searched], examples: int, path: str | os.PathLike[str]
) -> None:
    """Draws the best so far by children and by examples to `path`.svg and .png.

    Args:
      searches: by name.
      examples: that a child is trained on, all epochs together.
      path: without suffix.

    Raises:
      RunError: if a file cannot be written.
    """
    with style.picture(path, 6.8, 3.0) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for (name, searched), colour in zip(searches.items(), style.LINES, strict=False):
            best = np.maximum.accumulate(searched.values)
            number = np.arange(1, len(best) + 1)
            left.plot(number, best, color=colour, linewidth=1.3, label=name)
            trained = trained_before(searched) * examples / 1e6
            right.plot(trained, best, color=colour, linewidth=1.3)
        left.set_xlabel("children asked for")
        right.set_xlabel("examples that were trained on, millions")
        left.set_ylabel("best so far, %")
        left.legend()


def tell_efficiency(searches: Searches) -> tuple[list[Section], list[Content]]:
    """What `tell_levels` tells, and how many children each search needs.

    Raises:
      RunError: if something cannot be read or written.
    """
    pictures, notes = tell_levels(searches)
    searched = {
        name: Searched([trial.candidate for trial in trials], *2 * [accuracies(trials)])
        for name, trials in searches.trials.items()
    }
    efficiency_curves(searched, searches.examples, searches.path / "efficiency")
    curves = Section.of_picture(
        "Children and examples",
        "efficiency.svg",
        f"The best accuracy so far, on held-out images. A child that is asked for again is not "
        f"trained again; {searches.examples:,} examples are a child's training.",
    )
    explained = (
        "What each search needs until the mean accuracy of its best children is that of all that "
        f"{PROGRESSIVE} search trained (after Liu et al. 2018): children asked for, and "
        "different ones trained."
    )
    return [curves, *pictures], [explained, efficiency_table(searched), *notes]
