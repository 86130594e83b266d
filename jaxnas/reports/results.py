"""Results of runs, one row a seed, and the tables made from them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnas.field_types import other_type
from jaxnas.reports.page import Section
from jaxnas.reports.statistics import Spread, paired_difference
from jaxnas.reports.tables import Column, Table
from jaxnas.spaces.genotype import Genotype
from jaxnas.storage import files
from jaxnas.storage.files import RunError

ORIGINAL = "original"
"""The method that leaves the base network as it is, with which the others are compared."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What one seed of a method came to: a row of every table.

    Attributes:
      method: name of the method, such as ``adaptation``.
      base: name of the base network.
      dataset: name of the dataset.
      seed: the seed.
      test_accuracy: percent, 0 to 100; chance where the network is disconnected.
      test_loss: mean over the test images, nats; likewise.
      params: parameters of the final network, without auxiliary heads; None where it is
        disconnected and was not trained.
      macs: its multiply-adds for one image; likewise.
      seconds: wall clock of the training, adaptation included.
      epochs: epochs run.
      device: kind of the device.
      vmap_width: seeds trained side by side in one program; 1 for a seed on its own.
      digest: SHA-256 in hex of final parameters and genotype.
      genotype: the final network.
      changes: what adaptation made of the base's edges, in words; empty where it was left alone.
      scores: of learning without labels, what else it was judged by, in percent where the name ends
        in ``accuracy``; `test_accuracy` is a linear classifier's on the frozen features then. Empty
        where the labels were learned: tables know the one from the other by it.
      search_seconds: wall clock of a search that came before the training; None without one.
    """

    method: str
    base: str
    dataset: str
    seed: int
    test_accuracy: float
    test_loss: float
    params: int | None
    macs: int | None
    seconds: float
    epochs: int
    device: str
    vmap_width: int
    digest: str
    genotype: Genotype
    changes: str = ""
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    search_seconds: float | None = None

    @property
    def accelerator_seconds(self) -> float:
        """Seconds of the device for this seed alone, search and training together."""
        return (self.search_seconds or 0.0) + self.seconds / self.vmap_width

    def to_record(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return fields | {"genotype": json.loads(self.genotype.to_json())}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Result:
        """The result that `to_record` told.

        Raises:
          ValueError: if a field is missing, unknown or of another type.
          GenotypeError: if the genotype describes no network.
        """
        if wrong := set(_FIELDS).symmetric_difference(record) - _ADDED:
            raise ValueError(f"missing or unknown fields {', '.join(sorted(wrong))}")
        genotype = Genotype.from_json(json.dumps(record["genotype"]))
        result = cls(**{**record, "genotype": genotype})
        if wrong := other_type(result):
            raise ValueError("{} must be {}, not {!r}".format(*wrong))
        if result.vmap_width < 1:
            raise ValueError(f"vmap_width must be at least 1, not {result.vmap_width}")
        return result


_FIELDS = tuple(field.name for field in dataclasses.fields(Result))
_DERIVED = ("accelerator_seconds",)
"""Properties that results.csv has beside the fields."""
_ADDED = {"changes", "scores", "search_seconds"}  # which rows of earlier versions lack


class SeedOutcome(NamedTuple):
    """What one seed of a run came to.

    Attributes:
      result: the row of the table, with the final network.
      variables: trained ``params`` and ``batch_stats``.
      theta: float32 [epochs of adaptation + 1, tables, edges, 3], θ over time, from the start on;
        None where nothing adapts.
      notes: what a reader of the result should know.
    """

    result: Result
    variables: Any
    theta: np.ndarray | None
    notes: tuple[str, ...]


class Architecture(NamedTuple):
    """The network that a seed ends with.

    Attributes:
      genotype: the network.
      changes: what became of the base's edges, in words; empty where it was left alone.
      notes: what a reader should know of it.
    """

    genotype: Genotype
    changes: str = ""
    notes: tuple[str, ...] = ()


class Summary(NamedTuple):
    """The seeds of one method, base and data set together.

    Attributes:
      method: name of the method.
      base: name of the base network.
      dataset: name of the data set.
      results: one for each seed.
    """

    method: str
    base: str
    dataset: str
    results: tuple[Result, ...]

    @property
    def accuracy(self) -> Spread:
        """Mean and sample standard deviation of the test accuracy, percent."""
        found = Spread.of(row.test_accuracy for row in self.results)
        assert found is not None  # there is one result at least
        return found

    def mean(self, field: str) -> float | None:
        """Mean of a number over the seeds that have it; None where none has."""
        found = Spread.of(getattr(row, field) for row in self.results)
        return None if found is None else found.mean


def summaries(rows: Iterable[Result]) -> list[Summary]:
    """One for each method, base and data set, in the order of their first appearance."""
    groups: dict[tuple[str, str, str], tuple[Result, ...]] = {}
    for row in rows:
        key = (row.method, row.base, row.dataset)
        groups[key] = (*groups.get(key, ()), row)
    return [Summary(*key, group) for key, group in groups.items()]


def write_results(folder: str | os.PathLike[str], rows: Sequence[Result]) -> None:
    """Writes `results.json` and, without the genotypes, `results.csv`; each whole or not at all.

    Raises:
      RunError: if a number is not finite or a file cannot be written.
    """
    folder = Path(folder)
    records = [row.to_record() for row in rows]
    text = files.to_json(records, "results.json", indent=1) + "\n"
    names = [name for name in _FIELDS if name not in ("genotype", "scores")]
    names += [*_DERIVED, *_score_names(rows)]
    lines = []
    for row, record in zip(rows, records, strict=True):
        values = record | row.scores | {name: round(getattr(row, name), 3) for name in _DERIVED}
        lines.append([values.get(name) for name in names])
    table = Table([Column(name) for name in names], lines)
    files.write_bytes(folder / "results.json", text.encode("utf-8"))
    files.write_bytes(folder / "results.csv", table.csv().encode("utf-8"))


def read_results(folder: str | os.PathLike[str]) -> list[Result]:
    """Reads the `results.json` of a folder.

    Raises:
      RunError: if it is missing or damaged, or a row is not that of a `Result`.
    """
    path = Path(folder) / "results.json"
    advice = "restore it, or let the run's own command write it anew with --resume"
    records = files.from_json(files.read_text(path, advice), path, advice)
    if not isinstance(records, list):
        raise RunError(f"{path} holds no list of results; was it written by another program?")
    rows = []
    for index, record in enumerate(records):
        try:
            rows.append(Result.from_record(record))
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{path}, row {index}: {error}; was it written by another version?"
            ) from error
    return rows


def without_labels(rows: Sequence[Result]) -> bool:
    """Whether all rows are of learning without labels, and their accuracy that of a probe."""
    return bool(rows) and all("knn_accuracy" in row.scores for row in rows)


class _Shown(NamedTuple):
    """A column of the table of results.

    Attributes:
      column: its head and form.
      of: what it shows of a row.
      mean: the number whose mean it shows of several seeds; None for none.
    """

    column: Column
    of: Callable[[Result], Any]
    mean: str | None = None


_SHOWN = (
    _Shown(Column("parameters", ",.0f"), lambda row: row.params, "params"),
    _Shown(Column("multiply-adds", ",.0f"), lambda row: row.macs, "macs"),
    _Shown(Column("changes", left=True), lambda row: row.changes),
    _Shown(Column("seconds", ".1f"), lambda row: row.seconds, "seconds"),
    _Shown(Column("digest", left=True), lambda row: row.digest[:12]),
)
"""What follows the accuracies."""


def results_table(rows: Sequence[Result]) -> Table:
    """One row a seed, then mean ± standard deviation of each method of several seeds."""
    places = {(row.base, row.dataset) for row in rows}
    title = " on ".join(*places) if len(places) == 1 else None
    names = _score_names(rows)
    columns = [
        Column("method", left=True),
        Column("seed"),
        Column(f"{_accuracy_name(rows)} %", ".2f"),
        *(Column(_words(name) + " %" * name.endswith("accuracy"), ".2f") for name in names),
        *(each.column for each in _SHOWN),
    ]
    seeds, means = [], []
    for group in summaries(rows):
        label = group.method if title else f"{group.method}, {group.base}, {group.dataset}"
        own = group.results
        for row in own:
            scores = [row.scores.get(name) for name in names]
            others = [each.of(row) for each in _SHOWN]
            seeds.append([label, row.seed, row.test_accuracy, *scores, *others])
        if len(own) > 1:
            label += f", mean of {len(own)}"
            whole = [name for name in names if all(name in row.scores for row in own)]
            scores = [
                Spread.of(row.scores[name] for row in own) if name in whole else None
                for name in names
            ]
            others = [each.mean and group.mean(each.mean) for each in _SHOWN]
            means.append([label, None, group.accuracy, *scores, *others])
    note = _FROZEN if without_labels(rows) else _ACCURACY
    return Table(columns, seeds, means, title, note, keys=2)


def results_section(rows: Sequence[Result]) -> Section:
    """The table of results, and what each method's accuracies have more than the original's."""
    listed = "\n".join(f"- {line}" for line in _differences(rows))
    return Section("Results", [results_table(rows), *([_DIFFERENCES, listed] if listed else [])])


_ACCURACY = (
    "Accuracy: test accuracy of the final network; mean ± sample standard deviation (n - 1)."
)
_FROZEN = (
    "Mean ± sample standard deviation (n - 1). Nothing was trained with labels but classifiers of "
    "the frozen features: the linear probe is logistic regression by SGD, ridge accuracy that of "
    "least squares, kNN accuracy that of the nearest training images, each on all training images, "
    "in percent of the test images.\n\nUntrained numbers are of the network before its first step, "
    "its batch norms' statistics estimated on the training images."
)
_DIFFERENCES = (
    "Differences in points, means over pairs of equal seeds with Student's 95% interval; *not "
    "shown* is an interval that holds 0:"
)


def _differences(rows: Sequence[Result]) -> list[str]:
    """A line for each accuracy and method, where seeds show how sure it is."""
    scores: dict[str, dict[str, dict[int, float]]] = {}
    main = _accuracy_name(rows)
    for row in rows:
        for name, value in ({main: row.test_accuracy} | row.scores).items():
            if name in (main, "knn_accuracy", "ridge_accuracy"):
                scores.setdefault(name, {}).setdefault(row.method, {})[row.seed] = value
    lines = []
    for name, methods in scores.items():
        for method, ours in methods.items():
            found = paired_difference(ours, methods.get(ORIGINAL, {}))
            if method != ORIGINAL and found is not None and found.n > 1:
                lines.append(f"{_words(name)}, {method} less original: {found} (n = {found.n})")
    return lines


def _accuracy_name(rows: Sequence[Result]) -> str:
    """What tables call `Result.test_accuracy`."""
    return "linear probe" if without_labels(rows) else "test accuracy"


def _score_names(rows: Iterable[Result]) -> list[str]:
    """The scores that rows have besides the test accuracy, accuracies first."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    return sorted(names, key=lambda name: not name.endswith("accuracy"))


def _words(name: str) -> str:
    return name.replace("_", " ")
