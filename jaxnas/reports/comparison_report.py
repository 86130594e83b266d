"""What a comparison of methods came to: table, picture and report."""

from __future__ import annotations

import csv
import dataclasses
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnas.reports import style
from jaxnas.reports.statistics import Difference, paired_difference, spread
from jaxnas.storage import files

ORIGINAL = "original"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One seed of a method on a base network.

    Attributes:
      base: name of the base network.
      method: name of the method.
      seed: the seed.
      test_accuracy: percent; chance where the network is disconnected.
      params: parameters of the final network; None where it is disconnected.
      macs: its multiply-adds for one image; likewise.
      search_seconds: wall clock of a search that comes before the training.
      seconds: wall clock of the training, adaptation included.
      vmap_width: seeds trained side by side in that time.
      connected: whether the network's output is reached from its input.
      digest: SHA-256 in hex of final parameters and genotype.
      notes: what a reader should know.
    """

    base: str
    method: str
    seed: int
    test_accuracy: float
    params: int | None
    macs: int | None
    search_seconds: float
    seconds: float
    vmap_width: int
    connected: bool
    digest: str
    notes: tuple[str, ...]

    @property
    def accelerator_seconds(self) -> float:
        """Of the device, for this seed alone."""
        return self.search_seconds + self.seconds / self.vmap_width


class Row(NamedTuple):
    """The seeds of a method on a base network together.

    Attributes:
      base: name of the base network.
      method: name of the method.
      entries: by seed.
      mean: of the accuracies.
      std: their sample standard deviation (n - 1); None for one seed.
      against: by the name of another method, the difference to it, seed by seed.
    """

    base: str
    method: str
    entries: dict[int, Entry]
    mean: float
    std: float | None
    against: dict[str, Difference]

    @property
    def accuracy(self) -> str:
        """Mean ± standard deviation."""
        return spread(self.mean, self.std)

    def average(self, field: str) -> str:
        """The mean of a number of the connected networks, for a table."""
        values = [getattr(each, field) for each in self.entries.values()]
        values = [value for value in values if value is not None]
        return f"{statistics.fmean(values):,.0f}" if values else "-"


def summarise(entries: Sequence[Entry]) -> list[Row]:
    """A row for each base and method, in the order of their first appearance.

    Each is compared with the base left alone, and a search with the random choices of its space.
    """
    groups: dict[tuple[str, str], dict[int, Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.base, entry.method), {})[entry.seed] = entry
    rows = []
    for (base, method), group in groups.items():
        ours = {seed: each.test_accuracy for seed, each in group.items()}
        against = {}
        for other in (ORIGINAL, _control(method)):
            if other in (None, method) or (base, other) not in groups:
                continue
            theirs = groups[base, other]
            found = paired_difference(ours, {s: e.test_accuracy for s, e in theirs.items()})
            if found is not None:
                against[other] = found
        std = statistics.stdev(ours.values()) if len(ours) > 1 else None
        rows.append(Row(base, method, group, statistics.fmean(ours.values()), std, against))
    return rows


def _control(method: str) -> str | None:
    """The random choices of the space that a search chooses from."""
    if method == ORIGINAL or method.startswith("random"):
        return None
    return "random_full" if method.endswith("full") else "random_cell"


def markdown(rows: Sequence[Row], published: Mapping[tuple[str, str], str]) -> str:
    """The table, ending in a newline.

    Args:
      rows: of `summarise`.
      published: by base and method, the published accuracy as text.
    """
    seeds = sorted({seed for row in rows for seed in row.entries})
    with_published = any((row.base, row.method) in published for row in rows)
    header = [
        "base",
        "method",
        *(f"seed {seed}" for seed in seeds),
        "mean ± std",
        "parameters",
        "multiply-adds",
        "accelerator-seconds",
        "against original",
        "against random",
        *(["published"] if with_published else []),
    ]
    lines = [header, ["---", "---", *["---:"] * (len(header) - 2)]]
    for row in rows:
        accuracies = [
            f"{row.entries[seed].test_accuracy:.2f}" + ("" if row.entries[seed].connected else "†")
            if seed in row.entries
            else ""
            for seed in seeds
        ]
        control = _control(row.method) or ""
        seconds = statistics.fmean(each.accelerator_seconds for each in row.entries.values())
        lines.append(
            [
                row.base,
                row.method,
                *accuracies,
                row.accuracy,
                row.average("params"),
                row.average("macs"),
                f"{seconds:,.0f}",
                str(row.against.get(ORIGINAL, "")),
                str(row.against.get(control, "")),
                *([published.get((row.base, row.method), "")] if with_published else []),
            ]
        )
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if any(not entry.connected for row in rows for entry in row.entries.values()):
        table += "\n† disconnected: not trained, counted as chance.\n"
    return table


def picture(rows: Sequence[Row], path: Path) -> None:
    """Draws every seed, mean and standard deviation to `path`.svg and `path`.png.

    Raises:
      RunError: if a file cannot be written.
    """
    bases = list(dict.fromkeys(row.base for row in rows))
    with style.style():
        figure = style.figure(max(4.0, 3.6 * len(bases)), 3.4)
        for place, base in enumerate(bases, start=1):
            axes = figure.add_subplot(1, len(bases), place)
            own = [row for row in rows if row.base == base]
            for x, row in enumerate(own):
                colour = style.LINES[x % len(style.LINES)]
                values = [each.test_accuracy for each in row.entries.values()]
                axes.errorbar(
                    x, row.mean, row.std or 0.0, color=colour, marker="_", markersize=14, capsize=4
                )
                axes.plot([x + 0.18] * len(values), values, "o", color=colour, markersize=3)
            axes.set_xticks(range(len(own)), [row.method for row in own], rotation=35, ha="right")
            axes.set_title(base)
            axes.set_ylabel("test accuracy, %")
        figure.tight_layout()
        style.save(figure, path)


def write(
    folder: Path,
    entries: Sequence[Entry],
    *,
    title: str,
    command: str,
    settings: Sequence[str],
    unfinished: Sequence[str],
    published: Mapping[tuple[str, str], str],
) -> list[Row]:
    """Writes `results.json`, `results.csv`, the picture and `report.md` into a folder.

    Args:
      folder: of the comparison.
      entries: at least one.
      title: the heading.
      command: what made it.
      settings: sentences on how it was made.
      unfinished: what is not in the table and why, a sentence each.
      published: as in `markdown`.

    Returns:
      the table's rows.

    Raises:
      RunError: if a file cannot be written.
    """
    rows = summarise(entries)
    records = [dataclasses.asdict(entry) for entry in entries]
    text = files.to_json(records, "results.json", indent=1) + "\n"
    files.write_bytes(folder / "results.json", text.encode())
    table = io.StringIO()
    names = [each.name for each in dataclasses.fields(Entry) if each.name != "notes"]
    writer = csv.DictWriter(table, [*names, "accelerator_seconds"], extrasaction="ignore")
    writer.writeheader()
    for entry, record in zip(entries, records, strict=True):
        writer.writerow(record | {"accelerator_seconds": round(entry.accelerator_seconds, 3)})
    files.write_bytes(folder / "results.csv", table.getvalue().encode())
    picture(rows, folder / "comparison")
    parts = [
        f"# {title}",
        f"```\n{command}\n```",
        markdown(rows, published).rstrip(),
        "Test accuracy of the final network in percent; mean ± sample standard deviation (n - 1); "
        "parameters, multiply-adds and seconds are means. Accelerator-seconds are search and "
        "training together, of one seed. Differences are means over pairs of equal seeds with "
        "Student's 95% interval, not corrected for their number: *not shown* is an interval that "
        "holds 0.",
        "![Accuracy by method](comparison.svg)",
        *settings,
        *(["## Not in the table", *(f"- {each}" for each in unfinished)] if unfinished else []),
        "## Notes",
        "\n".join(
            f"- {entry.base}, {entry.method}, seed {entry.seed}: {' '.join(entry.notes)}"
            for entry in entries
            if entry.notes
        )
        or "None.",
    ]
    files.write_bytes(folder / "report.md", ("\n\n".join(parts) + "\n").encode())
    return rows
