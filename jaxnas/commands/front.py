"""Accuracy against cost: what targets on the cost lead to, as a table and a picture."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnas.reports import style
from jaxnas.reports.results import Result
from jaxnas.reports.statistics import spread
from jaxnas.runs.edge_costs import COST_NAMES, EdgeCosts
from jaxnas.spaces import AdaptationSpace, Genotype
from jaxnas.storage import files


class Point(NamedTuple):
    """All seeds of one method at one target.

    Attributes:
      method: its name.
      target: share of the base's cost, None for the base left alone.
      n: seeds.
      accuracy: mean test accuracy, percent.
      accuracy_std: sample standard deviation over the seeds (n - 1), None for one seed.
      cost: mean cost, percent of the base's.
      cost_std: likewise.
      params: mean number of parameters.
      macs: mean number of multiply-adds.
    """

    method: str
    target: float | None
    n: int
    accuracy: float
    accuracy_std: float | None
    cost: float
    cost_std: float | None
    params: float
    macs: float


def point(
    target: float | None, rows: Sequence[Result], space: AdaptationSpace, edge_costs: EdgeCosts
) -> Point:
    """The point of one method's results, a seed each.

    Args:
      target: that they were given.
      rows: the results.
      space: of granularity ``full`` over their base.
      edge_costs: of that space.
    """
    genotypes = [Genotype.from_json(json.dumps(row.genotype)) for row in rows]
    costs = [100 * edge_costs.share(space.encode(each)) for each in genotypes]
    accuracies = [row.test_accuracy for row in rows]
    return Point(
        rows[0].method,
        target,
        len(rows),
        statistics.fmean(accuracies),
        _std(accuracies),
        statistics.fmean(costs),
        _std(costs),
        statistics.fmean(row.params for row in rows),
        statistics.fmean(row.macs for row in rows),
    )


def _std(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def write_front(folder: Path, points: Sequence[Point], kind: str, title: str) -> None:
    """Writes `front.csv`, `front.md`, `front.svg` and `front.png` into a folder.

    Args:
      folder: has to exist.
      points: those of a method in the order in which a line connects them.
      kind: of the cost: ``macs``, ``params`` or ``latency``.
      title: of the picture and the page.

    Raises:
      RunError: if a file cannot be written.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(Point._fields)
    writer.writerows(points)
    files.write_bytes(folder / "front.csv", table.getvalue().encode())
    files.write_bytes(folder / "front.md", _markdown(points, kind, title).encode())
    _draw(folder / "front", points, kind, title)


def _markdown(points: Sequence[Point], kind: str, title: str) -> str:
    header = ("method", "target", "seeds", f"{COST_NAMES[kind]}, % of the base", "test accuracy %")
    lines = [[*header, "parameters", "multiply-adds"], ["---"] + ["---:"] * 6]
    for each in points:
        lines.append(
            [
                each.method,
                "" if each.target is None else f"{100 * each.target:g}%",
                str(each.n),
                spread(each.cost, each.cost_std, 1),
                spread(each.accuracy, each.accuracy_std),
                f"{each.params:,.0f}",
                f"{each.macs:,.0f}",
            ]
        )
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return (
        f"# {title}\n\n{rows}\nMean ± sample standard deviation (n - 1) over the seeds.\n\n"
        "![Accuracy against cost](front.svg)\n"
    )


def _draw(path: Path, points: Sequence[Point], kind: str, title: str) -> None:
    methods = list(dict.fromkeys(each.method for each in points))
    with style.style():
        figure = style.figure(5.0, 3.4)
        axes = figure.add_subplot()
        for colour, method in zip(style.LINES, methods, strict=False):
            mine = [each for each in points if each.method == method]
            options: dict[str, Any] = {"color": colour, "label": method, "capsize": 2}
            axes.errorbar(
                [each.cost for each in mine],
                [each.accuracy for each in mine],
                [each.accuracy_std or 0.0 for each in mine],
                [each.cost_std or 0.0 for each in mine],
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
        figure.tight_layout()
        style.save(figure, path)
