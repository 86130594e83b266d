"""How well scores without training rank NAS-Bench-201: rank correlations with trained accuracy.

    python experiments/zero_cost_201.py --architectures 200 --seed 0

Scores architectures drawn from the connected ones of the space, all from the same initial weights
and one batch of CIFAR-10's training images, and compares with the table's test accuracy on CIFAR-10
after 200 epochs. Three programs are compiled, however many architectures there are. Writes
`scores.csv` (one row an architecture, as it goes), `results.json` and `results.md`.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import os
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import data, nn
from jaxnas.data.errors import DataError
from jaxnas.randomness import stream
from jaxnas.runs.environment import environment
from jaxnas.runs.files import to_json, write_bytes
from jaxnas.runs.script import run_script
from jaxnas.search import gradient_norm, naswot, synflow
from jaxnas.spaces import NASBench201Space
from jaxnas.tabular import kendall, spearman

SCORES = ("synflow", "naswot", "gradient_norm", "parameters")
ACCURACY = "cifar10_test_acc_200ep"


@dataclasses.dataclass(frozen=True)
class ZeroCost:
    """Scores and their correlations."""

    data_dir: Path | None = None
    """Of CIFAR-10 and nasbench201/nasbench201.csv.gz; JAXNAS_DATA_DIR or ./data by default."""
    architectures: int = 200
    """How many to score."""
    batch_size: int = 32
    """Images that are seen."""
    seed: int = 0
    """Of architectures, images and initial weights."""
    run_dir: Path = Path("runs/zero_cost_201")
    """Where the results go."""


def main(flags: ZeroCost) -> None:
    """Scores, correlates and writes."""
    space = NASBench201Space()
    key = jax.random.key(flags.seed)
    accuracy = read_accuracy(flags.data_dir, space)
    connected = np.flatnonzero(space.canonical(np.array(list(space.enumerate()))).any(1))
    order = jax.random.permutation(stream(key, "architectures"), connected)
    places = np.asarray(order[: flags.architectures])
    candidates = np.stack(np.unravel_index(places, space.options), 1)

    cifar = data.load("cifar10", flags.data_dir)
    shape = cifar.input_shape
    batch = np.asarray(
        jax.random.choice(
            stream(key, "images"), len(cifar.train_images), (flags.batch_size,), replace=False
        )
    )
    images = data.normalise(
        jnp.asarray(cifar.train_images[batch]), cifar.channel_mean(), cifar.channel_std()
    )
    labels = jnp.asarray(cifar.train_labels[batch])
    supernet = nn.NASBench201Supernet(space, cifar.num_classes)
    gates = jax.nn.one_hot(candidates, len(space.decisions[0].options))
    variables = nn.init(supernet, stream(key, "init"), shape, gates[0])
    # All arrays are arguments: what the compiler knows, it works on for minutes.
    programs = {
        "synflow": jax.jit(lambda w, x, y, gates: synflow(supernet, w["params"], shape, gates)),
        "naswot": jax.jit(lambda w, x, y, gates: naswot(supernet, w, x, gates)),
        "gradient_norm": jax.jit(lambda w, x, y, gates: gradient_norm(supernet, w, x, y, gates)),
    }

    flags.run_dir.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    rows: list[dict[str, Any]] = []
    with (flags.run_dir / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["arch", *SCORES, ACCURACY])
        writer.writeheader()
        for place, candidate, gate in zip(places, candidates, gates, strict=True):
            row: dict[str, Any] = {"arch": space.arch_string(candidate)}
            for name, program in programs.items():
                start = time.perf_counter()
                row[name] = float(program(variables, images, labels, gate))
                seconds[name].append(time.perf_counter() - start)
            row["parameters"] = int(space.parameters(candidate, cifar.num_classes))
            row[ACCURACY] = float(accuracy[place])
            writer.writerow(row)
            file.flush()
            rows.append(row)
    write(flags, rows, seconds)


def read_accuracy(data_dir: Path | None, space: NASBench201Space) -> np.ndarray:
    """float64 [5^6]: test accuracies in percent in the order of `space.enumerate`."""
    folder = Path(data_dir or os.environ.get("JAXNAS_DATA_DIR") or "data").expanduser()
    path = folder / "nasbench201" / "nasbench201.csv.gz"
    if not path.is_file():
        raise DataError(f"there is no {path}: name its folder's folder with --data-dir.")
    accuracy = np.full(space.size, np.nan)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            place = np.ravel_multi_index(
                tuple(space.from_arch_string(row["arch"])), tuple(space.options)
            )
            accuracy[place] = float(row[ACCURACY])
    return accuracy


def write(flags: ZeroCost, rows: list[dict[str, Any]], seconds: dict[str, list[float]]) -> None:
    """Writes the correlations as JSON and as a table, and prints the table."""
    accuracy = [row[ACCURACY] for row in rows]
    results: dict[str, dict[str, float | None]] = {}
    lines = [
        "| score | Kendall's tau | Spearman's rho | first, with compiling (s) | each (s) |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in SCORES:
        values = [row[name] for row in rows]
        first, *others = seconds.get(name, (0.0, 0.0))
        each = statistics.median(others)
        results[name] = {
            "kendall": kendall(values, accuracy),
            "spearman": spearman(values, accuracy),
            "seconds_first": first,
            "seconds_each": each,
        }
        lines.append(
            f"| {name} | {results[name]['kendall']:.3f} | {results[name]['spearman']:.3f} | "
            f"{first:.1f} | {each:.2f} |"
        )
    settings = dataclasses.asdict(flags) | {
        "data_dir": str(flags.data_dir) if flags.data_dir else None,
        "run_dir": str(flags.run_dir),
    }
    found = {"settings": settings, "environment": environment(), "scores": results}
    write_bytes(flags.run_dir / "results.json", to_json(found, "results", indent=1).encode())
    table = "\n".join(lines) + "\n"
    write_bytes(flags.run_dir / "results.md", table.encode())
    print(f"{len(rows)} architectures, batch of {flags.batch_size}, seed {flags.seed}\n\n{table}")


if __name__ == "__main__":
    run_script(ZeroCost, __doc__, main)
