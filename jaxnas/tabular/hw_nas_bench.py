"""HW-NAS-Bench (Li et al., ICLR 2021): what NAS-Bench-201's cells cost on six devices.

HW-NAS-Bench-v1_0.pickle is a dict; under "nasbench201" and a data set it has a list for each
metric, and a list "config" of dicts that tell which cell is meant. The look-up tables under
"fbnet" are of another space and are not read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas import pickles
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import DATASETS, SIZE, arch_strings, choose
from jaxnas.tabular.pickled import read_pickle

METRICS = (
    "edgegpu_latency",
    "edgegpu_energy",
    "raspi4_latency",
    "edgetpu_latency",
    "pixel3_latency",
    "eyeriss_latency",
    "eyeriss_energy",
    "eyeriss_arithmetic_intensity",
    "fpga_latency",
    "fpga_energy",
)
_NAMES: dict[str, str] = {
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "imagenet16_120": "ImageNet16-120",
}
_LIMIT = 1 << 28  # bytes


def load_hw_nas_bench(
    path: str | os.PathLike[str], dataset: str = "cifar10"
) -> dict[str, np.ndarray]:
    """Reads what each cell of NAS-Bench-201 costs.

    Args:
      path: the file HW-NAS-Bench-v1_0.pickle of https://github.com/GATECH-EIC/HW-NAS-Bench.
      dataset: "cifar10", "cifar100" or "imagenet16_120", whose images a network takes.

    Returns:
      float64 [15625] by metric, in the order of `NASBench201Space.codes`, as published: latencies
      in milliseconds, energies in millijoules.

    Raises:
      TabularError: if there is no such data set, or the file is missing, damaged or something else.
    """
    choose("dataset", dataset, DATASETS)
    content = read_pickle(Path(path), ("f8", "f4", "i8", "i4"), _LIMIT)
    code_of = {arch: code for code, arch in enumerate(arch_strings())}
    try:
        told = content["nasbench201"][_NAMES[dataset]]
        codes = [code_of[told["config"][place]["arch_str"]] for place in range(SIZE)]
        if len(set(codes)) < SIZE:
            raise ValueError("an architecture is there twice")
        return {metric: _numbers(told[metric])[np.argsort(codes)] for metric in METRICS}
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TabularError(
            f"{path} is no file of HW-NAS-Bench ({error!r}): get HW-NAS-Bench-v1_0.pickle from "
            "https://github.com/GATECH-EIC/HW-NAS-Bench."
        ) from error


def _numbers(values: Any) -> np.ndarray:
    """float64 [15625] of a list, a dict by number, or an array."""
    if isinstance(values, pickles.Array):
        values = np.asarray(values)
    return np.array([float(np.asarray(values[place]).item()) for place in range(SIZE)])
