"""A training step of a child as an input of one program, and of the same child compiled alone.

python benchmarks/child_step.py --children 5
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from timing import compile_step, interleaved, random_task

from jaxnas import nn, training
from jaxnas.spaces import nasnet_space


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What to time."""

    children: int = 5
    """Drawn at random."""
    channels: int = 8
    """Of a node in a child's first cells."""
    cells: int = 6
    """Normal cells of a child."""
    batch_size: int = 64
    """Images in a step."""
    image_side: int = 32
    """Height and width of an image, in pixels."""
    rounds: int = 3
    """Timed steps of each kind."""


def main(benchmark: Benchmark) -> None:
    """Times and prints a line for each child."""
    side, count = benchmark.image_side, benchmark.batch_size
    shape = (side, side, 3)
    space = nasnet_space(combine=False, channels=benchmark.channels, cell_count=benchmark.cells)
    network = nn.Child(space, 10)
    task, optimizer, key = random_task(side), training.sgd(0.025, 10_000), jax.random.key(0)
    images = jax.random.randint(key, (count, *shape), 0, 256).astype(jnp.uint8)
    batch = {"train": (images, jax.random.randint(key, (count,), 0, 10))}
    step = jax.jit(training.train_step(training.flax_apply(network), task, optimizer))
    print(
        f"{benchmark.channels} channels, {benchmark.cells} normal cells, batch {count}, {side}x"
        f"{side}, {jax.devices()[0].device_kind}, jax {jax.__version__}, n={benchmark.rounds}\n"
        "child: ms as an input, ms alone, ratio; seconds to compile alone"
    )
    for seed in range(benchmark.children):
        candidate = np.random.default_rng(seed).integers(0, space.options).astype(np.int32)
        gates: Any = nn.child_choices(network, candidate)
        variables = nn.child_variables(network, key, shape, candidate)
        state = training.init(variables, optimizer, gates)
        built = nn.build(space.decode(candidate), 10)
        own = compile_step(
            training.train_step(training.flax_apply(built), task, optimizer),
            training.init(nn.init(built, key, shape), optimizer),
            batch,
            key,
        )
        runs = {
            "input": lambda state=state: jax.block_until_ready(step(state, batch, key)),
            "alone": own.run,
        }
        seconds = interleaved(runs, benchmark.rounds)
        medians = {name: 1e3 * float(np.median(times)) for name, times in seconds.items()}
        ratio = float(np.median(seconds["input"] / seconds["alone"]))
        print(
            f"{seed}: {medians['input']:.0f}, {medians['alone']:.0f}, {ratio:.2f}; "
            f"{own.seconds:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
