"""What searching a chain costs in memory: XLA's own count for one step of the weights.

    python benchmarks/proxyless_memory.py --width 0.35 --batch-size 32

One row for each way to run `nn.ChainSupernet`, beside the network of the largest candidates
alone. Temporaries are what a step needs besides the weights and what their optimiser remembers.
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

from jaxnas import nn, spaces, training


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One path against two, all and none."""

    width: float = 0.35
    """Of the channels; 1 is the published space."""
    blocks: int = 3
    """How many blocks choose, of the space's first stage; each compiles for about a minute."""
    batch_size: int = 64
    """Images in a step."""
    image_side: int = 32
    """Height and width of an image, in pixels."""
    rounds: int = 5
    """Timed steps of each kind."""


def main(benchmark: Benchmark) -> None:
    """Compiles, times and prints the table."""
    space = spaces.proxylessnas_space(benchmark.width, small=benchmark.image_side <= 32)
    (channels, _, stride), *_ = space.stages
    space = dataclasses.replace(space, stages=((channels, benchmark.blocks, stride),))
    shape = (benchmark.image_side, benchmark.image_side, 3)
    task = random_task(benchmark.image_side)
    optimizer = training.sgd(0.1, 10_000)
    key = jax.random.key(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (benchmark.batch_size, *shape), dtype=np.uint8)
    labels = rng.integers(0, 10, benchmark.batch_size)
    batch = {"train": (jnp.asarray(images), jnp.asarray(labels, jnp.int32))}

    largest = np.array([names.index("k7e6") for names in space.candidates])
    choices = jnp.asarray(largest)
    pair = nn.Pair(
        jnp.stack([choices, choices - 1], 1), jnp.tile(jnp.array([1.0, 0.0]), (len(largest), 1))
    )
    supernet = nn.ChainSupernet(space, 10)
    variables = nn.init(supernet, jax.random.key(0), shape, choices)
    alone, own = nn.cut_chain(space, variables, largest, 10)
    networks = {
        "the network alone": (alone, own, None),
        "one path": (supernet, variables, choices),
        "two paths": (supernet, variables, pair),
        "all paths": (supernet, variables, jax.nn.one_hot(choices, space.shape[1])),
    }
    compiled = {}
    sizes = {}
    for name, (network, weights, paths) in networks.items():
        state = training.init(jax.tree.map(jnp.copy, weights), optimizer, paths)
        step = training.train_step(training.flax_apply(network), task, optimizer)
        compiled[name] = compile_step(step, state, batch, key)
        sizes[name] = sum(leaf.nbytes for leaf in jax.tree.leaves(weights["params"])) / 2**20
    seconds = interleaved({name: each.run for name, each in compiled.items()}, benchmark.rounds)

    console = rich.console.Console()
    table = rich.table.Table(
        "step", "weights MiB", "temporaries MiB", "seconds", "compiled in s",
        title=f"{space.shape[0]} blocks of 6 or 7 candidates, width {benchmark.width}, batch "
        f"{benchmark.batch_size} of {shape[0]}x{shape[0]}, {jax.devices()[0].device_kind}, "
        f"jax {jax.__version__}",
    )  # fmt: skip
    for name, each in compiled.items():
        table.add_row(
            name,
            f"{sizes[name]:.1f}",
            f"{each.temporaries:.1f}",
            f"{np.median(seconds[name]):.3f}",
            f"{each.seconds:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main(tyro.cli(tyro.conf.OmitArgPrefixes[Benchmark], description=__doc__))
