"""How long PNAS's last step takes: all cells of five blocks that grow from 256 of four are scored.

    python benchmarks/surrogate_scores.py
    python benchmarks/surrogate_scores.py --surrogate lstm --parents 8

Growing leaves out what is the same network; the 589,824 that are scored are with it.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnas import search
from jaxnas.commands.progressive_search import SurrogateName
from jaxnas.commands.script import run_script
from jaxnas.runs.config import refuse_below_one
from jaxnas.spaces.block_cells import pnas_space


@dataclasses.dataclass(frozen=True)
class Scores:
    """What to time."""

    surrogate: SurrogateName = "block"
    """Which kind."""
    members: int = 5
    """Of its ensemble."""
    parents: int = 256
    """Cells of four blocks."""
    rounds: int = 5
    """Of each, after the first one, which compiles."""

    def __post_init__(self) -> None:
        refuse_below_one(self, "members", "parents", "rounds")


def main(scores: Scores) -> None:
    """Times growing and scoring, and prints medians."""
    space = pnas_space()
    surrogate = search.SURROGATES[scores.surrogate](space, members=scores.members)
    state, predict = surrogate.init(jax.random.key(0)), jax.jit(surrogate.predict)
    generator = np.random.default_rng(0)
    parents = space.canonical(generator.integers(0, space.options[:16], (scores.parents, 16)))
    children = scores.parents * int(np.prod(space.options[16:]))
    cells = generator.integers(0, space.options, (children, 20)).astype(np.int32)
    grown = _median(lambda: space.grow(parents), scores.rounds)
    first = time.perf_counter()
    jax.block_until_ready(predict(state, cells))
    first = time.perf_counter() - first
    scored = _median(lambda: jax.block_until_ready(predict(state, cells)), scores.rounds)
    print(
        f"{children:,} cells, {scores.surrogate} of {scores.members}: grown in {grown:.2f} s "
        f"({len(space.grow(parents)):,} different ones), scored in {scored:.2f} s "
        f"({first - scored:.1f} s to compile); medians of {scores.rounds}, {jax.devices()[0]}, "
        f"jax {jax.__version__}"
    )


def _median(run: Callable[[], Any], rounds: int) -> float:
    """Seconds of a run."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    run_script(Scores, __doc__, main)
