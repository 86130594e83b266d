"""Results of runs, one row a seed, and the tables made from them."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import rich.console
import rich.table
from rich.cells import cell_len

from jaxnas.reports.statistics import spread
from jaxnas.storage import files
from jaxnas.storage.files import RunError


@dataclasses.dataclass(frozen=True)
class Result:
    """What one seed came to.

    Attributes:
      method: name of the method, such as ``adaptation``.
      base: name of the base network.
      dataset: name of the dataset.
      seed: the seed.
      test_accuracy: percent, 0 to 100.
      test_loss: mean over the test images, nats.
      params: parameters of the final network, without auxiliary heads.
      macs: its multiply-adds for one image.
      seconds: wall clock, everything included.
      epochs: epochs run.
      device: kind of the device.
      vmap_width: seeds trained side by side in one program; 1 for a seed on its own.
      digest: SHA-256 in hex of final parameters and genotype.
      genotype: the final network, as parsed from `Genotype.to_json`.
      changes: what adaptation made of the base's edges, in words; empty where it was left alone.
      scores: what else it was judged by, in percent where the name ends in ``accuracy``; after
        learning without labels `test_accuracy` is a linear classifier's on the frozen features.
    """

    method: str
    base: str
    dataset: str
    seed: int
    test_accuracy: float
    test_loss: float
    params: int
    macs: int
    seconds: float
    epochs: int
    device: str
    vmap_width: int
    digest: str
    genotype: dict[str, Any]
    changes: str = ""
    scores: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Summary:
    """The seeds of one method, base and dataset together.

    Attributes:
      n: number of seeds.
      mean: of the test accuracy, percent.
      std: sample standard deviation (n - 1) of the test accuracy, or None for a single seed.
      params: mean number of parameters.
      macs: mean number of multiply-adds.
      seconds: mean wall clock.
    """

    method: str
    base: str
    dataset: str
    n: int
    mean: float
    std: float | None
    params: float
    macs: float
    seconds: float

    @property
    def accuracy(self) -> str:
        """Mean ± standard deviation."""
        return spread(self.mean, self.std)


_ADDED = {"changes", "scores"}  # which rows of earlier versions lack


def write_results(folder: str | os.PathLike[str], rows: Sequence[Result]) -> None:
    """Writes `results.json` and, without the genotypes, `results.csv`; each whole or not at all.

    Raises:
      RunError: if a number is not finite or a file cannot be written.
    """
    folder = Path(folder)
    records = [dataclasses.asdict(row) for row in rows]
    text = files.to_json(records, "results.json", indent=1) + "\n"
    names = [field.name for field in dataclasses.fields(Result)]
    columns = [name for name in names if name not in ("genotype", "scores")] + _score_names(rows)
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(record | record["scores"] for record in records)
    files.write_bytes(folder / "results.json", text.encode("utf-8"))
    files.write_bytes(folder / "results.csv", table.getvalue().encode("utf-8"))


def read_results(folder: str | os.PathLike[str]) -> list[Result]:
    """Reads the `results.json` of a folder.

    Raises:
      RunError: if it is missing or damaged, or a row's fields are not those of `Result`.
    """
    path = Path(folder) / "results.json"
    advice = "restore it, or let the run's own command write it anew with --resume"
    records = files.from_json(files.read_text(path, advice), path, advice)
    if not isinstance(records, list):
        raise RunError(f"{path} holds no list of results; was it written by another program?")
    names = {field.name for field in dataclasses.fields(Result)}
    rows = []
    for index, record in enumerate(records):
        if not isinstance(record, dict) or set(record) | _ADDED != names:
            wrong = names.symmetric_difference(record) if isinstance(record, dict) else {"all"}
            raise RunError(
                f"{path}, row {index}: missing or unknown fields {', '.join(sorted(wrong))}; "
                "was it written by another version?"
            )
        rows.append(Result(**record))
    return rows


def summary(rows: Iterable[Result]) -> list[Summary]:
    """One row for each method, base and dataset, in the order of their first appearance."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for row in rows:
        groups.setdefault((row.method, row.base, row.dataset), []).append(row)
    return [_summarize(*key, group) for key, group in groups.items()]


def _summarize(method: str, base: str, dataset: str, group: list[Result]) -> Summary:
    accuracy = [row.test_accuracy for row in group]
    return Summary(
        method=method,
        base=base,
        dataset=dataset,
        n=len(group),
        mean=statistics.fmean(accuracy),
        std=statistics.stdev(accuracy) if len(group) > 1 else None,
        params=statistics.fmean(row.params for row in group),
        macs=statistics.fmean(row.macs for row in group),
        seconds=statistics.fmean(row.seconds for row in group),
    )


def _score_names(rows: Iterable[Result]) -> list[str]:
    """Of the scores that rows have besides the test accuracy, accuracies first."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    return sorted(names, key=lambda name: not name.endswith("accuracy"))


def without_labels(rows: Sequence[Result]) -> bool:
    """Whether all rows are of learning without labels, and their accuracy that of a probe."""
    return bool(rows) and all(row.scores for row in rows)


def accuracy_name(rows: Sequence[Result]) -> str:
    """What tables call `Result.test_accuracy`."""
    return "linear probe" if without_labels(rows) else "test accuracy"


def _header(rows: Sequence[Result]) -> list[str]:
    scores = [
        name.replace("_", " ") + (" %" if name.endswith("accuracy") else "")
        for name in _score_names(rows)
    ]
    changes = ["changes"] if _tells_changes(rows) else []
    return [
        "method", "seed", f"{accuracy_name(rows)} %", *scores, "parameters", "multiply-adds",
        *changes, "seconds", "digest",
    ]  # fmt: skip


def _tells_changes(rows: Iterable[Result]) -> bool:
    return any(row.changes for row in rows)


def print_results(console: rich.console.Console, rows: Sequence[Result]) -> None:
    """Prints one row a seed, then mean ± standard deviation of each group.

    A file or a pipe gets all columns; a terminal too narrow for them as many as fit, from the left,
    and the names of the others.
    """
    header, (seeds, means) = _header(rows), _lines(rows)
    cells = [max(cell_len(line[i]) for line in seeds + means) for i in range(len(header))]
    widths = [max(cell_len(name), width) for name, width in zip(header, cells, strict=True)]
    shown = len(header)

    def too_wide() -> bool:
        return console.is_terminal and sum(widths[:shown]) + 3 * shown + 1 > console.width

    if too_wide():  # a header may stand on several lines, a number may not
        words = [max(cell_len(word) for word in name.split()) for name in header]
        widths = [max(pair) for pair in zip(words, cells, strict=True)]
    while too_wide() and shown > _FEWEST_COLUMNS:
        shown -= 1
    left_out = header[shown:]
    table = rich.table.Table(
        title=_title(rows), caption=f"no room for {', '.join(left_out)}" if left_out else None
    )
    for name, width in zip(header[:shown], widths, strict=False):
        justify = "left" if name in _TEXTS else "right"
        table.add_column(name, justify=justify, width=width)
    for line in seeds:
        table.add_row(*line[:shown])
    if means:
        table.add_section()
    for line in means:
        table.add_row(*line[:shown], style="bold")
    if not console.is_terminal:  # whose width is none
        whole = sum(widths) + 3 * shown + 1
        console = rich.console.Console(file=console.file, width=whole, markup=False)
    console.print(table)


_TEXTS = ("method", "changes", "digest")
_FEWEST_COLUMNS = 3  # method, seed, accuracy


def markdown_table(rows: Sequence[Result]) -> str:
    """The same table as Markdown, ending in a newline."""
    seeds, means = _lines(rows)
    header = _header(rows)
    rule = ["---" if name in _TEXTS else "---:" for name in header]
    bold = [[f"**{text}**" if text else "" for text in line] for line in means]
    lines = [header, rule, *seeds, *bold]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _title(rows: Sequence[Result]) -> str | None:
    places = {(row.base, row.dataset) for row in rows}
    return " on ".join(places.pop()) if len(places) == 1 else None


def _label(row: Result | Summary, one: bool) -> str:
    return row.method if one else f"{row.method}, {row.base}, {row.dataset}"


def _lines(rows: Sequence[Result]) -> tuple[list[list[str]], list[list[str]]]:
    """The table's cells: a line for each seed, and one for each group of several."""
    one = _title(rows) is not None
    names = _score_names(rows)
    tells_changes = _tells_changes(rows)
    seeds, means = [], []

    def changes(row: Result) -> list[str]:
        return [row.changes] if tells_changes else []

    for group in summary(rows):
        key = (group.method, group.base, group.dataset)
        own = [row for row in rows if (row.method, row.base, row.dataset) == key]
        for row in own:
            numbers = [f"{row.params:,}", f"{row.macs:,}", *changes(row), f"{row.seconds:.1f}"]
            accuracy = f"{row.test_accuracy:.2f}"
            scores = [f"{row.scores[name]:.2f}" if name in row.scores else "" for name in names]
            line = [_label(row, one), str(row.seed), accuracy, *scores, *numbers, row.digest[:12]]
            seeds.append(line)
        size = [f"{group.params:,.0f}", f"{group.macs:,.0f}"]
        numbers = [*size, *([""] * len(changes(own[0]))), f"{group.seconds:.1f}"]
        if group.n > 1:
            label = f"{_label(group, one)}, mean of {group.n}"
            columns = [[row.scores[n] for row in own if n in row.scores] for n in names]
            scores = [
                spread(statistics.fmean(values), statistics.stdev(values))
                if len(values) == group.n
                else ""
                for values in columns
            ]
            means.append([label, "", group.accuracy, *scores, *numbers, ""])
    return seeds, means
