"""What a step of DARTS costs: first order, second by finite difference, second exactly.

    python benchmarks/darts_step.py --channels 4 --cells 3 --batch-size 16

All run on random images, interleaved in one process; a ratio is the median over rounds of the ratio
within a round, so that it holds where the machine's speed drifts.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.table
import tyro
from timing import compile_step, interleaved, random_task

from jaxnas import nn, search, training
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.spaces.cells import DARTS_OPERATIONS, CellSpace

ORDERS = ("first", "second", "second_exact")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """The three orders of DARTS."""

    operations: tuple[str, ...] = DARTS_OPERATIONS
    """What an edge may be."""
    nodes: int = 4
    """Number of nodes in a cell."""
    channels: int = 4
    """Number of channels of a node in the first cells."""
    cells: int = 3
    """Number of cells in the supernet."""
    batch_size: int = 16
    """Number of images of each part in a step."""
    image_side: int = 32
    """Height and width of an image, in pixels."""
    rounds: int = 11
    """Timed steps of each kind."""


def main(benchmark: Benchmark) -> None:
    """Times and prints the table."""
    shape = (benchmark.image_side, benchmark.image_side, 3)
    space = CellSpace(benchmark.operations, benchmark.channels, benchmark.cells, benchmark.nodes)
    supernet = CellSupernet(space, 10)
    task = random_task(benchmark.image_side)
    key = jax.random.key(0)
    count = benchmark.batch_size
    images = jax.random.randint(key, (2, count, *shape), 0, 256).astype(jnp.uint8)
    labels = jax.random.randint(key, (2, count), 0, 10)
    batch = {part: (images[i], labels[i]) for i, part in enumerate(("train", "arch"))}

    steps = {}
    for order in ORDERS:
        algorithm = search.darts(
            search.Supernet(
                training.flax_apply(supernet),
                lambda key: nn.init(supernet, key, shape, jnp.zeros(space.shape)),
                lambda gates: gates,
                space.decode,
            ),
            space,
            task,
            search.DartsSettings(order=order),
            epochs=1,
            steps_per_epoch=10_000,
        )
        state = jax.tree.map(jnp.copy, algorithm.init(key))
        steps[order] = compile_step(algorithm.steps["search"], state, batch, key)
    seconds = interleaved({name: step.run for name, step in steps.items()}, benchmark.rounds)

    table = rich.table.Table(
        title=f"DARTS, C={space.channels}, {space.layers} cells, batch 2 x {count}, "
        f"{shape[0]}x{shape[1]}, {jax.devices()[0].device_kind}, jax {jax.__version__}, "
        f"n={benchmark.rounds}"
    )
    for column in ("order", "ms (median)", "ratio to first", "memory MB", "compile s"):
        table.add_column(column, justify="left" if column == "order" else "right")
    for name, times in seconds.items():
        table.add_row(
            name,
            f"{1e3 * np.median(times):.0f}",
            f"{np.median(times / seconds['first']):.2f}",
            f"{steps[name].megabytes:.0f}",
            f"{steps[name].seconds:.1f}",
        )
    rich.console.Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
