"""The official folder NATS-tss-v1_0-3ffb9-simple: one packed pickle for each architecture."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import (
    EPOCHS,
    SIZE,
    SPLITS,
    WHERE_FROM,
    MeasuredTable,
    Record,
    tabulate,
)
from jaxnas.tabular.pickled import read_pickle

# Which training, and which of its evaluations, tells the accuracy on "valid" and on "test".
_SOURCES = {
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "ori-test")),
    "cifar100": (("cifar100", "x-valid"), ("cifar100", "x-test")),
    "imagenet16_120": (("ImageNet16-120", "x-valid"), ("ImageNet16-120", "x-test")),
}


def read_record(path: Path) -> Record:
    """Reads what the benchmark's authors tell of one architecture.

    Accuracies are those after the last epoch; means over seeds, to 5 decimals (3 for seconds), so
    that a table of these files and one of the CSV file made of them are the same.

    Args:
      path: a file NNNNNN.pickle.pbz2, NNNNNN being the architecture's official index.

    Raises:
      TabularError: if the file is missing, damaged or something else, see `read_pickle`.
    """
    content = read_pickle(path)
    try:
        arch = content["200"]["arch_str"]
        if not isinstance(arch, str):
            raise TypeError(f"its arch_str is a {type(arch).__name__}")
        return Record(arch, {"index": int(content["200"]["arch_index"]), **_numbers(content)})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TabularError(
            f"{path} is no record of NATS-Bench's topology search space ({error!r}): {WHERE_FROM}."
        ) from error


def _numbers(content: Any) -> dict[str, float]:
    numbers = {}
    for dataset, (_, test) in _SOURCES.items():
        for epochs in EPOCHS:
            results = content[str(epochs)]["all_results"]
            for split in SPLITS:
                accuracy = accuracy_of(results, dataset, split, epochs)
                numbers[f"{dataset}_{split}_acc_{epochs}ep"] = accuracy
            numbers[f"{dataset}_train_seconds_{epochs}ep"] = _mean(
                (sum(seed["train_times"].values()) for seed in _seeds(results, test[0])),
                decimals=3,
            )
            # Told in millions, and by every training alike.
            numbers[f"params_{dataset}"] = round(
                1e6 * _mean((seed["params"] for seed in _seeds(results, test[0])), decimals=6)
            )
    return numbers


def accuracy_of(results: Any, dataset: str, split: str, epochs: int) -> float:
    """Mean over seeds of the accuracy after the last of the epochs, percent, to 5 decimals."""
    training, images = _SOURCES[dataset][SPLITS.index(split)]
    return _mean(
        (seed["eval_acc1es"][f"{images}@{epochs - 1}"] for seed in _seeds(results, training)),
        decimals=5,
    )


def _seeds(results: Any, training: str) -> Iterator[Any]:
    return (result for (name, _), result in results.items() if name == training)


def _mean(values: Iterable[float], decimals: int) -> float:
    values = list(values)
    return round(sum(values) / len(values), decimals)


def read_folder(folder: Path) -> MeasuredTable:
    """Reads the records of all architectures, which takes minutes: keep the table by `write_csv`.

    Args:
      folder: holds 000000.pickle.pbz2 to 015624.pickle.pbz2.

    Raises:
      TabularError: if files are missing, or see `read_record` and `tabulate`.
    """
    paths = [folder / f"{index:06d}.pickle.pbz2" for index in range(SIZE)]
    there = {path.name for path in folder.iterdir()}
    missing = [path.name for path in paths if path.name not in there]
    if missing:
        raise TabularError(
            f"{len(missing)} of {SIZE} architectures are missing in {folder}, the first of them "
            f"{missing[0]}: {WHERE_FROM}."
        )
    # Unpacking is most of the time, and lets other threads run.
    with ThreadPoolExecutor() as pool:
        records = list(pool.map(read_record, paths))
    return tabulate(records, str(folder))
