"""One training step of each network against the same network in PyTorch.

    python benchmarks/training_step.py --rounds 7
    python benchmarks/training_step.py --precision bfloat16      (on a GPU)

PyTorch (``pip install torch``) is optional: without it only jaxnas is timed. Both do forward pass,
backward pass and an SGD step with Nesterov momentum on random images, on the same number of
threads, interleaved in one process; PyTorch in channels-last, eager and, with ``--compiled``,
through `torch.compile`. A ratio is the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich.console
import rich.table
import tyro

from jaxnas import nn
from jaxnas.spaces import Genotype, zoo

NETWORKS: dict[str, dict[str, int]] = {
    "resnet20": {},
    "mobilenet_v2": {},
    "darts_v2": {"channels": 16, "cells": 8},
    "nasnet_a": {"channels": 24, "cells": 6},
    "pnasnet_5": {"channels": 24, "cells": 6},
}
"""What is timed, and at what size."""


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
    compiled: bool = False
    """Whether to time torch.compile too."""


class Candidate:
    """Something that trains: a step to call, and what it took to get there."""

    def __init__(self, step: Callable[[], Any], setup: float, compile: float, memory: float | None):
        self.step, self.setup, self.compile, self.memory = step, setup, compile, memory
        self.seconds: list[float] = []


def jaxnas_candidate(genotype: Genotype, benchmark: Benchmark) -> tuple[Candidate, int]:
    """jaxnas's step, and its number of parameters."""
    started = time.perf_counter()
    network = nn.build(genotype, 10, jnp.dtype(benchmark.precision))
    variables = jax.block_until_ready(
        jax.jit(lambda key: nn.init(network, key, (32, 32, 3)))(jax.random.key(0))
    )
    setup = time.perf_counter() - started
    optimizer = optax.sgd(0.05, momentum=0.9, nesterov=True)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(benchmark.batch_size, 32, 32, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 10, benchmark.batch_size))

    def step(state: Any) -> Any:
        variables, memory = state

        def loss(params: Any) -> Any:
            logits, changed = network.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), changed["batch_stats"]

        gradient, stats = jax.grad(loss, has_aux=True)(variables["params"])
        updates, memory = optimizer.update(gradient, memory, variables["params"])
        params = optax.apply_updates(variables["params"], updates)
        return {"params": params, "batch_stats": stats}, memory

    state = [(variables, optimizer.init(variables["params"]))]
    started = time.perf_counter()
    program = jax.jit(step, donate_argnums=0).lower(state[0]).compile()
    compile_seconds = time.perf_counter() - started
    analysis = program.memory_analysis()
    assert analysis is not None
    peak = (analysis.temp_size_in_bytes + analysis.argument_size_in_bytes) / 2**20

    def run() -> None:
        state[0] = jax.block_until_ready(program(state[0]))

    params = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    return Candidate(run, setup, compile_seconds, peak), params


def torch_candidate(
    genotype: Genotype, benchmark: Benchmark, params: int, compiled: bool
) -> Candidate:
    """PyTorch's step of the same network, checked to have `params` parameters."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch_network import Network

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    started = time.perf_counter()
    network: Any = Network(genotype, 10).to(device, memory_format=torch.channels_last)
    found = sum(each.numel() for each in network.parameters())
    if found != params:
        raise AssertionError(f"{genotype.name}: {found} parameters in PyTorch, {params} here")
    setup = time.perf_counter() - started
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, nesterov=True)
    rng = np.random.default_rng(0)
    images = torch.tensor(rng.normal(size=(benchmark.batch_size, 3, 32, 32)), dtype=torch.float32)
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.tensor(rng.integers(0, 10, benchmark.batch_size)).to(device)
    model = torch.compile(network) if compiled else network

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=benchmark.precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    started = time.perf_counter()
    run()
    return Candidate(run, setup, time.perf_counter() - started, None)


def main(benchmark: Benchmark) -> None:
    """Times and prints the table."""
    try:
        import torch  # pyright: ignore[reportMissingImports]

        versions = f"torch {torch.__version__}"
    except ImportError:
        versions = "without torch"
    table = rich.table.Table(
        title=f"batch {benchmark.batch_size}, 32x32, {benchmark.precision}, "
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {versions}, n={benchmark.rounds}"
    )
    columns = ("ms (median)", "jaxnas / it", "images/s", "compile s", "setup s", "memory MB")
    table.add_column("network")
    for column in columns:
        table.add_column(column, justify="right")
    for name in benchmark.networks:
        genotype = zoo.named(name, **NETWORKS.get(name, {}))
        ours, params = jaxnas_candidate(genotype, benchmark)
        candidates = {"jaxnas": ours}
        if versions != "without torch":
            candidates["torch"] = torch_candidate(genotype, benchmark, params, False)
            if benchmark.compiled:
                candidates["torch.compile"] = torch_candidate(genotype, benchmark, params, True)
        for round_ in range(benchmark.rounds + 1):
            for candidate in candidates.values():
                started = time.perf_counter()
                candidate.step()
                if round_:  # the first warms up
                    candidate.seconds.append(time.perf_counter() - started)
        for kind, candidate in candidates.items():
            times = np.array(candidate.seconds)
            table.add_row(
                f"{name}, {kind}",
                f"{1e3 * np.median(times):.0f}",
                f"{np.median(np.array(ours.seconds) / times):.2f}",
                f"{benchmark.batch_size / np.median(times):.0f}",
                f"{candidate.compile:.1f}",
                f"{candidate.setup:.1f}",
                "" if candidate.memory is None else f"{candidate.memory:.0f}",
            )
    rich.console.Console(width=120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
