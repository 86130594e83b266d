"""What adapting costs: the joint step of weights and architecture against the plain step.

    python benchmarks/adaptation_step.py --base resnet20 --batch-size 128

Both run on random images, interleaved in one process; a ratio is the median over rounds of the
ratio within a round, so that it holds where the machine's speed drifts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.table
import tyro
from timing import compile_step, interleaved, random_task

from jaxnas import nn, search, training
from jaxnas.runs.genotype_files import load_base
from jaxnas.spaces import AdaptationSpace


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Plain step against joint step."""

    base: str = "resnet20"
    """The network: a name of the zoo, or the path of a genotype.json."""
    channels: int | None = None
    """Of a node in the first cells of a cell network; the published number by default."""
    cells: int | None = None
    """How many of them; as published by default."""
    granularity: str = "cell"
    """cell or full."""
    estimators: tuple[str, ...] = ("raw", "mixed")
    """Whose joint steps to time."""
    batch_size: int = 128
    """Images in a step."""
    image_side: int = 32
    """Height and width of an image, in pixels."""
    rounds: int = 11
    """Timed steps of each kind."""


def main(benchmark: Benchmark) -> None:
    """Times and prints the table."""
    shape = (benchmark.image_side, benchmark.image_side, 3)
    base = load_base(benchmark.base, benchmark.channels, benchmark.cells)
    task = random_task(benchmark.image_side)
    optimizer = training.sgd(0.1, 10_000)
    key = jax.random.key(0)
    count = benchmark.batch_size
    images = jax.random.randint(key, (count, *shape), 0, 256).astype(jnp.uint8)
    batch = {"train": (images, jax.random.randint(key, (count,), 0, 10))}

    plain = nn.build(base, 10)
    space = AdaptationSpace(base, benchmark.granularity)  # pyright: ignore[reportArgumentType]
    supernet = nn.supernet(space, 10)
    gates = space.one_hot_gates(space.base_choices())
    candidates: dict[str, tuple[Callable[..., Any], Callable[[jax.Array], Any]]] = {
        "plain": (
            training.train_step(training.flax_apply(plain), task, optimizer),
            lambda key: training.init(nn.init(plain, key, shape), optimizer),
        )
    }
    for name in benchmark.estimators:
        joint = search.adaptation(
            search.Supernet(
                training.flax_apply(supernet),
                lambda key: nn.init(supernet, key, shape, gates),
                lambda gates: gates[space.table_of_block],
                space.derive,
            ),
            space,
            task,
            optimizer,
            estimator=name,
            arch_learning_rate=0.01,
        )
        candidates[f"joint, {name}"] = (
            joint.step,
            joint.init,
        )

    console = rich.console.Console()
    table = rich.table.Table(
        title=f"{base.name}, {benchmark.granularity}, batch {count}, {shape[0]}x{shape[1]}, "
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, n={benchmark.rounds}"
    )
    columns = (
        "step",
        "ms (median)",
        "ratio to plain",
        "images/s",
        "memory MB",
        "compile s",
        "init s",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "step" else "right")
    steps, init_seconds = {}, {}
    for name, (step, init) in candidates.items():
        started = time.perf_counter()
        state = jax.block_until_ready(init(key))
        init_seconds[name] = time.perf_counter() - started
        steps[name] = compile_step(step, state, batch, key)
    seconds = interleaved({name: step.run for name, step in steps.items()}, benchmark.rounds)
    for name, times in seconds.items():
        table.add_row(
            name,
            f"{1e3 * np.median(times):.0f}",
            f"{np.median(times / seconds['plain']):.2f}",
            f"{count / np.median(times):.0f}",
            f"{steps[name].megabytes:.0f}",
            f"{steps[name].seconds:.1f}",
            f"{init_seconds[name]:.1f}",
        )
    console.print(table)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
