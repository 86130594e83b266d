"""One dense convolution with both gradients: in a program's outer computation, a loop and a branch.

    python benchmarks/convolution.py

Ratios to the outer computation are medians over rounds of the ratio within a round; `oneDNN` is
what `jaxnas.compilation.jit` takes for networks of dense convolutions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.table
import tyro
from timing import interleaved

from jaxnas.compilation import jit
from jaxnas.nn import kernels

SHAPES = ((32, 16, 16, 1), (16, 32, 32, 1), (8, 64, 64, 1), (32, 16, 32, 2), (32, 3, 16, 1))
"""Side, channels in and out, stride: those of ResNet-20."""
REPEATS = 4
"""Of the convolution in a loop."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A convolution of 3x3 in three places."""

    batch_size: int = 64
    """Number of images."""
    rounds: int = 15
    """Number of timed runs of each."""


def gradients(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, jax.Array]:
    """Of the sum of squares of the output."""

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return (kernels.dense(x, kernel, stride, 1, ((1, 1), (1, 1))) ** 2).sum()

    return jax.grad(loss, (0, 1))(x, kernel)


def places(stride: int) -> dict[str, Callable[..., Any]]:
    """The gradients outside, in a loop of `REPEATS` and in a branch."""

    def outside(x: jax.Array, kernel: jax.Array) -> Any:
        return gradients(x, kernel, stride)

    def loop(x: jax.Array, kernel: jax.Array) -> Any:
        def body(carry: Any, _: None) -> tuple[Any, None]:
            dx, dkernel = outside(*carry)
            return (carry[0] - 1e-6 * dx, carry[1] - 1e-6 * dkernel), None

        return jax.lax.scan(body, (x, kernel), None, REPEATS)[0]

    def branch(x: jax.Array, kernel: jax.Array) -> Any:
        small = x[0, 0, 0, 0] < 100  # not known to the compiler
        return jax.lax.cond(small, outside, lambda x, kernel: (2 * x, 2 * kernel), x, kernel)

    return {
        "outside": jax.jit(outside),
        "oneDNN": jit(outside, many=1),
        "loop": jax.jit(loop),
        "branch": jax.jit(branch),
    }


def run(program: Callable[..., Any], x: jax.Array, kernel: jax.Array) -> None:
    """Runs, and waits for the end."""
    jax.block_until_ready(program(x, kernel))


def main(benchmark: Benchmark) -> None:
    """Times and prints the table."""
    table = rich.table.Table(
        title=f"batch {benchmark.batch_size}, {jax.devices()[0].device_kind}, "
        f"jax {jax.__version__}, n={benchmark.rounds}"
    )
    table.add_column("side, channels in and out, stride")
    for column in ("outside ms", "oneDNN / outside", "loop / outside", "branch / outside"):
        table.add_column(column, justify="right")
    rng = np.random.default_rng(0)
    for side, inputs, outputs, stride in SHAPES:
        shapes = (benchmark.batch_size, side, side, inputs), (3, 3, inputs, outputs)
        x, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
        runs = {
            name: functools.partial(run, program, x, kernel)
            for name, program in places(stride).items()
        }
        seconds = interleaved(runs, benchmark.rounds)
        seconds["loop"] = seconds["loop"] / REPEATS
        ratios = (
            f"{np.median(seconds[name] / seconds['outside']):.2f}"
            for name in ("oneDNN", "loop", "branch")
        )
        outside = f"{1e3 * np.median(seconds['outside']):.1f}"
        table.add_row(f"{side}, {inputs} to {outputs}, {stride}", outside, *ratios)
    rich.console.Console(width=120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
