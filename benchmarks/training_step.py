"""One training step of each network against the same network in PyTorch.

    python benchmarks/training_step.py --torch-python PATH
    python benchmarks/training_step.py --precision bfloat16 --peak-tflops 989      (on a GPU)

PyTorch is timed where ``--torch-python`` names an interpreter that has it, which may be another
than this one. Both do forward pass, backward pass and an SGD step with Nesterov momentum and weight
decay on random images, on the same number of threads, in alternating steps; PyTorch in
channels-last, eager and, with ``--compiled``, through `torch.compile`. jaxnas keeps freed memory
in its process as its scripts do; with ``--keeping`` PyTorch is timed so too. A ratio is the median
over rounds of the ratio within a round.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.table
import tyro
from timing import compile_step, interleaved

from jaxnas import nn, training
from jaxnas.allocation import keep_memory
from jaxnas.data import Augmentation
from jaxnas.spaces import Genotype, zoo
from jaxnas.tasks import supervised

NETWORKS: dict[str, dict[str, int]] = {
    "resnet20": {},
    "mobilenet_v2": {},
    "darts_v2": {"channels": 16, "cells": 8},
    "nasnet_a": {"channels": 24, "cells": 6},
    "pnasnet_5": {"channels": 24, "cells": 6},
}
"""What is timed, and at what size."""
CLASSES, SIDE = 10, 32
RATE, MOMENTUM, DECAY = 0.05, 0.9, 5e-4


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """jaxnas against PyTorch."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which."""
    batch_size: int = 64
    """Images in a step, of 32x32."""
    rounds: int = 7
    """Timed steps of each."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the computation."""
    torch_python: str | None = None
    """Interpreter that has PyTorch; without one only jaxnas is timed."""
    compiled: bool = False
    """Whether to time torch.compile too."""
    keeping: bool = False
    """Whether to time PyTorch too in a process that keeps freed memory, as jaxnas's does."""
    peak_tflops: float | None = None
    """The device's highest speed in this precision, to state the share of it that is reached."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Something that trains: a step to call, and what it took to get there."""

    run: Callable[[], object]
    init_seconds: float
    compile_seconds: float
    megabytes: float | None
    version: str


def jaxnas_candidate(genotype: Genotype, benchmark: Benchmark) -> Candidate:
    """jaxnas's own training step, without augmentation."""
    network = nn.build(genotype, CLASSES, jnp.dtype(benchmark.precision))
    key = jax.random.key(0)
    started = time.perf_counter()
    variables = jax.block_until_ready(nn.init(network, key, (SIDE, SIDE, 3)))
    init_seconds = time.perf_counter() - started
    statistics = np.zeros(3, np.float32), np.ones(3, np.float32)
    task = supervised(CLASSES, *statistics, Augmentation.for_side(SIDE))
    task = task._replace(prepare=lambda key, images, labels: (images, labels))
    optimizer = training.sgd(RATE, 10_000, momentum=MOMENTUM, weight_decay=DECAY)
    step = training.train_step(training.flax_apply(network), task, optimizer)
    images, labels = map(jnp.asarray, random_batch(benchmark.batch_size))
    batch = {"train": (images, labels)}
    made = compile_step(step, training.init(variables, optimizer), batch, key)
    version = f"jax {jax.__version__}"
    return Candidate(made.run, init_seconds, made.seconds, made.megabytes, version)


def torch_candidate(
    genotype: Genotype,
    benchmark: Benchmark,
    params: int,
    *,
    compiled: bool = False,
    keeping: bool = False,
) -> Candidate:
    """PyTorch's step of the same network, checked to have `params` parameters."""
    assert benchmark.torch_python is not None
    process = subprocess.Popen(
        [benchmark.torch_python, str(Path(__file__).with_name("torch_step.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    asking, answers = process.stdin, process.stdout
    assert asking is not None
    assert answers is not None

    def ask(line: str) -> Any:
        asking.write(line + "\n")
        asking.flush()
        answer = answers.readline()
        if not answer:
            sys.exit(f"PyTorch in {benchmark.torch_python} gave up, see above")
        return json.loads(answer)

    asked = {
        "genotype": genotype.to_json(),
        "classes": CLASSES,
        "params": params,
        "side": SIDE,
        "batch_size": benchmark.batch_size,
        "precision": benchmark.precision,
        "compiled": compiled,
        "keep_memory": keeping,
        "rate": RATE,
        "momentum": MOMENTUM,
        "decay": DECAY,
    }
    ready = ask(json.dumps(asked))
    version = f"torch {ready['version']}"
    return Candidate(lambda: ask("step"), ready["init"], ready["compile"], None, version)


def random_batch(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [size, h, w, c] and labels int32 [size]."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(size, SIDE, SIDE, 3)).astype(np.float32)
    return images, rng.integers(0, CLASSES, size, np.int32)


def main(benchmark: Benchmark) -> None:
    """Times and prints the table."""
    keep_memory()
    table = rich.table.Table()
    versions: set[str] = set()
    table.add_column("network")
    columns = ["ms (median)", "jaxnas / it", "images/s", "GFLOP/s", "compile s", "init s"]
    for column in [*columns, "memory MB"] + ["% of peak"] * (benchmark.peak_tflops is not None):
        table.add_column(column, justify="right")
    for name in benchmark.networks:
        genotype = zoo.named(name, **NETWORKS.get(name, {}))
        cost = nn.cost(nn.build(genotype, CLASSES), (SIDE, SIDE, 3))
        candidates = {"jaxnas": jaxnas_candidate(genotype, benchmark)}
        if benchmark.torch_python:
            candidates["torch"] = torch_candidate(genotype, benchmark, cost.params)
        if benchmark.torch_python and benchmark.keeping:
            candidates["torch, keeping"] = torch_candidate(
                genotype, benchmark, cost.params, keeping=True
            )
        if benchmark.torch_python and benchmark.compiled:
            candidates["torch.compile"] = torch_candidate(
                genotype, benchmark, cost.params, compiled=True
            )
        runs = {kind: candidate.run for kind, candidate in candidates.items()}
        seconds = interleaved(runs, benchmark.rounds)
        versions |= {candidate.version for candidate in candidates.values()}
        for kind, candidate in candidates.items():
            median = np.median(seconds[kind])
            # Forward pass and both gradients: three multiplications and additions for each.
            flops = 6 * cost.macs * benchmark.batch_size / median
            memory = candidate.megabytes
            row = [
                f"{name}, {kind}",
                f"{1e3 * median:.0f}",
                f"{np.median(seconds['jaxnas'] / seconds[kind]):.2f}",
                f"{benchmark.batch_size / median:.0f}",
                f"{flops / 1e9:.1f}",
                f"{candidate.compile_seconds:.1f}",
                f"{candidate.init_seconds:.1f}",
                "" if memory is None else f"{memory:.0f}",
            ]
            if benchmark.peak_tflops is not None:
                row.append(f"{flops / benchmark.peak_tflops / 1e10:.1f}")
            table.add_row(*row)
    table.title = (
        f"batch {benchmark.batch_size}, {SIDE}x{SIDE}, {benchmark.precision}, "
        f"{jax.devices()[0].device_kind}, {', '.join(sorted(versions))}, n={benchmark.rounds}"
    )
    rich.console.Console(width=120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
