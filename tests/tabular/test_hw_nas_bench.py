"""HW-NAS-Bench: costs of NAS-Bench-201's cells, from a file in the published form."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxnas.tabular import DATASETS, TabularError, load_hw_nas_bench
from jaxnas.tabular.hw_nas_bench import METRICS
from support import official_table

NAMES = ("cifar10", "cifar100", "ImageNet16-120")
CODES = [(7 * place + 3) % 15625 for place in range(15625)]
"""Of the architectures in the order of the file."""


def content(form: Any = list, names: tuple[str, ...] = NAMES[:1]) -> dict[str, Any]:
    """The file's, with numbers that are a metric's place, a code and a fraction."""
    archs = [official_table.arch(official_table.candidates()[code]) for code in CODES]
    configs = [
        {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": arch, "num_classes": 10}
        for arch in archs
    ]
    space = {}
    for fraction, name in enumerate(names):
        space[name] = {"config": configs}
        for place, metric in enumerate(METRICS):
            space[name][metric] = form([100_000 * place + code + fraction / 4 for code in CODES])
    return {"nasbench201": space, "fbnet": {"edgegpu_latency": {"Skip_H1_W1": 0.5}}}


def write(path: Path, whole: Any) -> Path:
    """Pickles as Python 3.6 with NumPy 1.18 did."""
    pickled = pickle.dumps(whole, protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
    path.write_bytes(pickled)
    return path


@pytest.mark.parametrize(
    "form",
    [
        list,
        np.array,
        lambda numbers: np.array(numbers, np.float32),
        lambda numbers: [np.float64(each) for each in numbers],
        lambda numbers: dict(enumerate(numbers)),
    ],
    ids=["list", "float64", "float32", "scalars", "dict"],
)
def test_costs_are_at_their_architectures_code(form, tmp_path: Path):
    names = NAMES if form is list else NAMES[:1]
    path = write(tmp_path / "HW-NAS-Bench-v1_0.pickle", content(form, names))
    for fraction, dataset in enumerate(DATASETS[: len(names)]):
        costs = load_hw_nas_bench(path, dataset)
        assert list(costs) == list(METRICS)
        for place, costs_of in enumerate(costs.values()):
            assert costs_of.dtype == np.float64
            exact = 100_000 * place + np.arange(15625) + fraction / 4
            np.testing.assert_allclose(costs_of, exact, 1e-6 if form is not list else 0)


def test_an_unknown_data_set_is_told(tmp_path: Path):
    with pytest.raises(TabularError, match="dataset must be cifar10, cifar100 or imagenet16_120"):
        load_hw_nas_bench(tmp_path / "x", "ImageNet16-120")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def cut(whole: dict[str, Any]) -> None:
    del whole["nasbench201"]["cifar10"]["fpga_energy"]


def short(whole: dict[str, Any]) -> None:
    whole["nasbench201"]["cifar10"]["raspi4_latency"].pop()


def twice(whole: dict[str, Any]) -> None:
    configs = whole["nasbench201"]["cifar10"]["config"]
    configs[5] = configs[6]


def unknown(whole: dict[str, Any]) -> None:
    whole["nasbench201"]["cifar10"]["config"][0]["arch_str"] = "|other~0|"


def text(whole: dict[str, Any]) -> None:
    whole["nasbench201"]["cifar10"]["pixel3_latency"][7] = "fast"


@pytest.mark.parametrize("damage", [cut, short, twice, unknown, text])
def test_a_file_of_something_else_is_told(damage, tmp_path: Path):
    whole = content()
    damage(whole)
    path = write(tmp_path / "HW-NAS-Bench-v1_0.pickle", whole)
    message = r"HW-NAS-Bench-v1_0\.pickle is no file of HW-NAS-Bench .*: get HW-NAS-Bench-v1_0"
    with pytest.raises(TabularError, match=message):
        load_hw_nas_bench(path)


def test_nothing_in_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "HW-NAS-Bench-v1_0.pickle", {"nasbench201": Hostile()})
    with pytest.raises(
        TabularError, match=r"asks for posix\.system, which numbers and texts do not"
    ):
        load_hw_nas_bench(path)
    assert not (tmp_path / "hacked").exists()
