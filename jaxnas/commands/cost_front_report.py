"""Accuracy against cost: what targets on the cost lead to, as a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnas.reports import style
from jaxnas.reports.page import Picture, Section, write_page
from jaxnas.reports.results import ORIGINAL, Result, Summary, summaries
from jaxnas.reports.statistics import Spread, paired_difference
from jaxnas.reports.tables import Column, Table
from jaxnas.runs.edge_costs import COST_NAMES, EdgeCosts
from jaxnas.spaces import AdaptationSpace, Genotype
from jaxnas.storage import files
from jaxnas.storage.environment import environment


class Point(NamedTuple):
    """All seeds of one method at one target.

    Attributes:
      target: share of the base's cost, None for the base left alone.
      summary: the seeds.
      cost: cost of their networks, percent of the base's.
      latency: measured seconds of a batch of their networks; None where it was not measured.
    """

    target: float | None
    summary: Summary
    cost: Spread
    latency: Spread | None = None


def point(
    target: float | None,
    rows: Sequence[Result],
    space: AdaptationSpace,
    edge_costs: EdgeCosts,
    seconds: Mapping[Genotype, float] | None = None,
) -> Point:
    """The point of one method's results, a seed each.

    Args:
      target: share of the base's cost that they were given; None for the base left alone.
      rows: the results.
      space: adaptation space of granularity ``full`` over their base.
      edge_costs: costs of that space.
      seconds: measured, of a batch of each network; None or empty where that was not measured.
    """
    (summary,) = summaries(rows)
    cost = Spread.of(
        100 * edge_costs.share(space.table(space.encode(row.genotype))) for row in rows
    )
    assert cost is not None  # there is one row at least
    latency = Spread.of(seconds[row.genotype] for row in rows) if seconds else None
    return Point(target, summary, cost, latency)


def write_front(folder: Path, points: Sequence[Point], kind: str, title: str) -> Table:
    """Writes `front.csv`, `front.md`, `front.svg` and `front.png`; returns the table of the page.

    Args:
      folder: has to exist.
      points: those of a method in the order in which a line connects them.
      kind: what the cost counts: ``macs``, ``params`` or ``latency``.
      title: heading of the picture and the page.

    Raises:
      RunError: if a file cannot be written.
    """
    names = ("method", "target", "n", "accuracy", "accuracy_std", "cost", "cost_std")
    names += ("params", "macs", "latency", "latency_std")
    rows = [
        [
            *(group.method, target, len(group.results), *group.accuracy, *cost, *_sizes(group)),
            *(latency or (None, None)),
        ]
        for target, group, cost, latency in points
    ]
    table = Table([*map(Column, names)], rows)
    files.write_bytes(folder / "front.csv", table.csv().encode())
    _draw(folder / "front", points, kind, title)
    drawn = Picture("Accuracy against cost", "front.svg")
    told = _table(points, kind)
    results = Section("Results", [told, drawn])
    write_page(folder, title, [results], file="front.md", config={"environment": environment()})
    return told


def _sizes(group: Summary) -> list[float | None]:
    return [group.mean("params"), group.mean("macs")]


def _table(points: Sequence[Point], kind: str) -> Table:
    columns = [
        Column("method", left=True),
        Column("target"),
        Column("seeds"),
        Column(f"{COST_NAMES[kind]}, % of the base", ".1f"),
        Column("test accuracy %", ".2f"),
        Column("parameters", ",.0f"),
        Column("multiply-adds", ",.0f"),
        Column("latency, ms", ".2f"),
        Column("less the original's accuracy"),
    ]
    alone = next((each.summary for each in points if each.summary.method == ORIGINAL), None)
    rows = []
    for target, group, cost, latency in points:
        text = None if target is None else f"{100 * target:g}%"
        numbers = [len(group.results), cost, group.accuracy, *_sizes(group)]
        if latency is not None:
            latency = Spread(1e3 * latency.mean, latency.std and 1e3 * latency.std)
        against = None
        if alone is not None and group != alone:
            ours, theirs = (
                {row.seed: row.test_accuracy for row in each.results} for each in (group, alone)
            )
            against = str(paired_difference(ours, theirs) or "")
        rows.append([group.method, text, *numbers, latency, against])
    note = (
        "Mean ± sample standard deviation (n - 1) over the seeds; differences by pairs of seeds, "
        "with a 95% interval. Latency is the median time of a batch, where it was measured."
    )
    return Table(columns, rows, note=note)


def _draw(path: Path, points: Sequence[Point], kind: str, title: str) -> None:
    methods = list(dict.fromkeys(each.summary.method for each in points))
    with style.picture(path, 5.0, 3.4) as figure:
        axes = figure.add_subplot()
        for colour, method in zip(style.LINES, methods, strict=False):
            mine = [each for each in points if each.summary.method == method]
            accuracies = [each.summary.accuracy for each in mine]
            options: dict[str, Any] = {"color": colour, "label": method, "capsize": 2}
            axes.errorbar(
                [each.cost.mean for each in mine],
                [each.mean for each in accuracies],
                [each.std or 0.0 for each in accuracies],
                [each.cost.std or 0.0 for each in mine],
                marker="o" if mine[0].target is not None else "D",
                markersize=4,
                linewidth=1.2,
                elinewidth=0.8,
                **options,
            )
        axes.set_title(title)
        axes.set_xlabel(f"{COST_NAMES[kind]}, % of the base")
        axes.set_ylabel("test accuracy, %")
        axes.legend(loc="lower right")
