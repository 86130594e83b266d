"""NAS-Bench-201 (Dong & Yang, ICLR 2020): all 15,625 cells of a space, trained on three data sets.

A cell has four nodes. Six edges, written ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, choose among
five operations, so a candidate is six numbers from 0 to 4, and its code those digits in base 5,
the first edge first. Every array of the table is in the order of the codes: looking up is one
gather.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxnas.spaces.nasbench201 import OPERATIONS, NASBench201Space
from jaxnas.tabular.errors import TabularError

DATASETS = ("cifar10", "cifar100", "imagenet16_120")
SPLITS = ("valid", "test")
EPOCHS = (12, 200)
SIZE = NASBench201Space().size

# The columns of a record, named and ordered as in the CSV file.
ACCURACY_COLUMNS = tuple(
    f"{dataset}_{split}_acc_{epochs}ep"
    for epochs in (200, 12)
    for dataset in DATASETS
    for split in SPLITS
)
PARAMS_COLUMNS = tuple(f"params_{dataset}" for dataset in DATASETS)
SECONDS_COLUMNS = tuple(
    f"{dataset}_train_seconds_{epochs}ep" for dataset in DATASETS for epochs in EPOCHS
)
_COLUMNS = ("index", *ACCURACY_COLUMNS, *PARAMS_COLUMNS, *SECONDS_COLUMNS)

WHERE_FROM = (
    "unpack NATS-tss-v1_0-3ffb9-simple.tar, which https://github.com/D-X-Y/NATS-Bench links to"
)


class Record(NamedTuple):
    """What is known of one architecture.

    Attributes:
      arch: the cell as NAS-Bench-201 writes it.
      numbers: by column of the CSV file; what is unknown is NaN, or left out.
    """

    arch: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """What is known of every architecture, in the order of `NASBench201Space.codes`.

    Attributes:
      source: what to call where it is from.
      columns: float32 [15625] for each column of accuracy or seconds, int32 [15625] for each of
        parameters, by its name in the CSV file. The methods below are the way to ask.
      index: int32 [15625], the number that the benchmark's authors gave the architecture; None
        where the source does not tell.
    """

    source: str
    columns: Mapping[str, np.ndarray]
    index: np.ndarray | None

    def _column(self, name: str, what: str) -> np.ndarray:
        """The column of that name, or TabularError that `what` is not told."""
        if name not in self.columns:
            raise TabularError(f"{self.source} does not tell {what}: for all numbers {WHERE_FROM}.")
        return self.columns[name]

    def has_accuracy(self, split: str, epochs: int) -> bool:
        """Whether the accuracies of that split and training are told; see `accuracy`."""
        return f"{DATASETS[0]}_{split}_acc_{epochs}ep" in self.columns

    def accuracy(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """float32 [15625]: percent of images classified rightly, a mean over seeds.

        Args:
          dataset: "cifar10", "cifar100" or "imagenet16_120".
          split: "valid" or "test". On CIFAR-10 the networks judged on "valid" were trained on half
            of the training images, the other half being "valid", and those judged on "test" on all
            of them. On the others one training serves both: "valid" and "test" are halves of the
            official test (validation) images.
          epochs: 12 or 200, two trainings each with its own schedule.

        Raises:
          TabularError: if there is no such data set, split or training, or the source lacks it.
        """
        choose("dataset", dataset, DATASETS)
        choose("split", split, SPLITS)
        choose("epochs", epochs, EPOCHS)
        what = f"{split} accuracies after {epochs} epochs"
        return self._column(f"{dataset}_{split}_acc_{epochs}ep", what)

    def parameters(self, dataset: str) -> np.ndarray:
        """int32 [15625]: the number of parameters with this data set's classifier.

        Raises:
          TabularError: if there is no such data set.
        """
        choose("dataset", dataset, DATASETS)
        return self.columns[f"params_{dataset}"]

    def train_seconds(self, dataset: str, epochs: int, split: str = "test") -> np.ndarray:
        """float32 [15625]: seconds of the training that is judged on `split`, NaN if unknown.

        Measured by the benchmark's authors on a GPU of theirs, without the time of evaluation. For
        `split` see `accuracy`: it matters on CIFAR-10 alone.

        Raises:
          TabularError: if there is no such data set, training or split, or the source lacks it.
        """
        choose("dataset", dataset, DATASETS)
        choose("epochs", epochs, EPOCHS)
        choose("split", split, SPLITS)
        half = "valid_" if (dataset, split) == ("cifar10", "valid") else ""
        what = f"seconds of {epochs} epochs of {dataset}'s {split!r} training"
        return self._column(f"{dataset}_{half}train_seconds_{epochs}ep", what)

    def latency(self, dataset: str) -> np.ndarray:
        """float32 [15625]: seconds that one batch took on the benchmark's authors' GPU.

        Raises:
          TabularError: if there is no such data set, or the source does not tell.
        """
        choose("dataset", dataset, DATASETS)
        return self._column(f"{dataset}_latency_seconds", "latencies")


def choose(name: str, value: object, known: tuple[object, ...]) -> None:
    """Raises TabularError if `value` is not one of `known`."""
    if value not in known:
        *others, last = map(str, known)
        raise TabularError(f"{name} must be {', '.join(others)} or {last}, not {value!r}.")


@functools.cache
def arch_strings() -> tuple[str, ...]:
    """All architectures as NAS-Bench-201 writes them, in the order of their codes."""
    return tuple(
        "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*operations)
        for operations in itertools.product(OPERATIONS, repeat=len(NASBench201Space().decisions))
    )


def tabulate(
    records: Iterable[Record],
    where: str,
    remedy: str = WHERE_FROM,
    columns: Sequence[str] = _COLUMNS,
) -> MeasuredTable:
    """Makes a table of the records of all architectures.

    Args:
      records: one for each architecture, in any order.
      where: what to call their source in messages.
      remedy: what to do about it, in messages.
      columns: what the source tells.

    Raises:
      TabularError: if an architecture is missing, there twice or unknown, an official index is
        there twice, or a number is out of its range.
    """
    code_of = {arch: code for code, arch in enumerate(arch_strings())}
    values = np.full((SIZE, len(columns)), np.nan)
    seen = np.zeros(SIZE, bool)
    for arch, numbers in records:
        code = code_of.get(arch)
        if code is None:
            raise TabularError(
                f"{where} tells of {arch!r}, which is no architecture of NAS-Bench-201: {remedy}."
            )
        if seen[code]:
            raise TabularError(f"{where} tells of {arch} twice: {remedy}.")
        seen[code] = True
        values[code] = [numbers.get(column, np.nan) for column in columns]
    if not seen.all():
        raise TabularError(
            f"{where} lacks {SIZE - seen.sum()} of the {SIZE} architectures, the first of them "
            f"{arch_strings()[int(np.argmin(seen))]}: {remedy}."
        )
    named = dict(zip(columns, values.T, strict=True))
    _check(named, where, remedy)
    index = named.pop("index", None)
    return MeasuredTable(
        where,
        {
            column: numbers.astype(np.int32 if column in PARAMS_COLUMNS else np.float32)
            for column, numbers in named.items()
        },
        None if index is None else index.astype(np.int32),
    )


def _check(columns: Mapping[str, np.ndarray], where: str, remedy: str) -> None:
    for column, numbers in columns.items():
        if column in ACCURACY_COLUMNS:
            good = (numbers >= 0) & (numbers <= 100)
            needed = "a percentage from 0 to 100"
        elif "_seconds" in column:
            good = np.isnan(numbers) | ((numbers >= 0) & np.isfinite(numbers))
            needed = "seconds, or nothing"
        else:
            highest = SIZE - 1 if column == "index" else np.iinfo(np.int32).max
            good = (numbers >= 0) & (numbers <= highest) & (numbers % 1 == 0)
            needed = f"a whole number from 0 to {highest}"
        if not good.all():
            code = int(np.argmin(good))
            raise TabularError(
                f"{where} has {numbers[code]:g} as {column} of {arch_strings()[code]}, where "
                f"{needed} belongs: {remedy}."
            )
    index = np.sort(columns.get("index", np.zeros(0)))
    if (index[1:] == index[:-1]).any():
        twice = int(index[1:][index[1:] == index[:-1]][0])
        raise TabularError(f"{where} gives index {twice} to two architectures: {remedy}.")
