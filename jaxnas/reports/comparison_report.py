"""What a comparison of methods came to: table, picture and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnas.reports import style
from jaxnas.reports.page import Picture, Section, write_page
from jaxnas.reports.results import ORIGINAL, Result, Summary, summaries, write_results
from jaxnas.reports.statistics import Difference, paired_difference
from jaxnas.reports.tables import Column, Table

_EXPLAINED = (
    "Test accuracy of the final network in percent; mean ± sample standard deviation (n - 1); "
    "parameters, multiply-adds and seconds are means. Accelerator-seconds are search and "
    "training together, of one seed. Differences are means over pairs of equal seeds with "
    "Student's 95% interval, not corrected for their number: *not shown* is an interval that "
    "holds 0."
)


class Compared(NamedTuple):
    """The seeds of a method on a base network, beside other methods.

    Attributes:
      summary: the seeds.
      against: by the name of another method, the difference to it, seed by seed.
    """

    summary: Summary
    against: dict[str, Difference]


def compare(results: Sequence[Result]) -> list[Compared]:
    """A row for each base and method, in the order of their first appearance.

    Each is compared with the base left alone, and a search with the random choices of its space.
    """
    groups = summaries(results)
    scores = {
        (group.base, group.method): {row.seed: row.test_accuracy for row in group.results}
        for group in groups
    }
    rows = []
    for group in groups:
        ours, against = scores[group.base, group.method], {}
        for other in (ORIGINAL, _control(group.method)):
            if other is None or other == group.method:
                continue
            found = paired_difference(ours, scores.get((group.base, other), {}))
            if found is not None:
                against[other] = found
        rows.append(Compared(group, against))
    return rows


def _control(method: str) -> str | None:
    """The random choices of the space that a search chooses from."""
    if method == ORIGINAL or method.startswith("random"):
        return None
    return "random_full" if method.endswith("full") else "random_cell"


def comparison_table(rows: Sequence[Compared], published: Mapping[tuple[str, str], str]) -> Table:
    """The table of a comparison; accuracies of disconnected networks are marked by †.

    Args:
      rows: what `compare` returns.
      published: by base and method, the published accuracy as text.
    """
    seeds = sorted({each.seed for row in rows for each in row.summary.results})
    columns = [
        Column("base", left=True),
        Column("method", left=True),
        *(Column(f"seed {seed}", ".2f") for seed in seeds),
        Column("mean ± std", ".2f"),
        Column("parameters", ",.0f"),
        Column("multiply-adds", ",.0f"),
        Column("accelerator-seconds", ",.0f"),
        Column("against original"),
        Column("against random"),
        Column("published"),
    ]
    lines = []
    for group, against in rows:
        accuracies = {row.seed: _accuracy(row) for row in group.results}
        lines.append(
            [
                group.base,
                group.method,
                *(accuracies.get(seed) for seed in seeds),
                group.accuracy,
                *(group.mean(size) or "-" for size in ("params", "macs")),
                group.mean("accelerator_seconds"),
                against.get(ORIGINAL),
                against.get(_control(group.method) or ""),
                published.get((group.base, group.method)),
            ]
        )
    dead = any(not each.genotype.connected() for row in rows for each in row.summary.results)
    note = "† disconnected: not trained, counted as chance." if dead else ""
    return Table(columns, lines, note=note, keys=2)


def _accuracy(row: Result) -> float | str:
    return row.test_accuracy if row.genotype.connected() else f"{row.test_accuracy:.2f}†"


def picture(rows: Sequence[Compared], path: Path) -> None:
    """Draws every seed, mean and standard deviation to `path`.svg and `path`.png.

    Raises:
      RunError: if a file cannot be written.
    """
    bases = list(dict.fromkeys(row.summary.base for row in rows))
    with style.picture(path, max(4.0, 3.6 * len(bases)), 3.4) as figure:
        for place, base in enumerate(bases, start=1):
            axes = figure.add_subplot(1, len(bases), place)
            own = [row.summary for row in rows if row.summary.base == base]
            for x, group in enumerate(own):
                colour = style.LINES[x % len(style.LINES)]
                values = [each.test_accuracy for each in group.results]
                mean, std = group.accuracy
                axes.errorbar(
                    x, mean, std or 0.0, color=colour, marker="_", markersize=14, capsize=4
                )
                axes.plot([x + 0.18] * len(values), values, "o", color=colour, markersize=3)
            axes.set_xticks(range(len(own)), [row.method for row in own], rotation=35, ha="right")
            axes.set_title(base)
            axes.set_ylabel("test accuracy, %")


def write_comparison(
    folder: Path,
    results: Sequence[Result],
    *,
    title: str,
    settings: Sequence[str],
    unfinished: Sequence[str],
    notes: Sequence[str],
    published: Mapping[tuple[str, str], str],
) -> list[Compared]:
    """Writes `results.json`, `results.csv`, the picture and `report.md` into a folder.

    Args:
      folder: folder of the comparison.
      results: at least one.
      title: the heading.
      settings: sentences on how it was made.
      unfinished: what is not in the table and why, a sentence each.
      notes: what a reader should know, a sentence each.
      published: see `comparison_table`.

    Returns:
      the table's rows.

    Raises:
      RunError: if a file cannot be written.
    """
    rows = compare(results)
    write_results(folder, results)
    picture(rows, folder / "comparison")
    blocks = [
        comparison_table(rows, published),
        _EXPLAINED,
        Picture("Accuracy by method", "comparison.svg"),
        *settings,
    ]
    sections = [
        Section("Results", blocks),
        Section("Not in the table", _list(unfinished)),
        Section("Notes", _list(notes) or ["None."]),
    ]
    write_page(folder, title, sections)
    return rows


def _list(lines: Sequence[str]) -> list[str]:
    """A Markdown list, as blocks of a section."""
    return ["\n".join(f"- {line}" for line in lines)] if lines else []
