"""How long a query of each searcher takes through `ask` and `tell` from Python, jitted and warm."""

from __future__ import annotations

import dataclasses
import time

import jax
import numpy as np

from jaxnas.commands.script import run_script
from jaxnas.commands.tabular.tabular_search import SEARCHERS
from jaxnas.spaces.nasbench201 import NASBench201Space


@dataclasses.dataclass(frozen=True)
class Queries:
    """What to time."""

    rounds: int = 100
    """Number of timed queries of each searcher."""


def main(queries: Queries) -> None:
    """Times and prints medians, in milliseconds a candidate."""
    space = NASBench201Space()
    for name, searcher in SEARCHERS.items():
        algorithm = searcher.make(space, 300)
        ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
        state, seconds = algorithm.init(jax.random.key(0)), []
        for _ in range(queries.rounds + 1):
            started = time.perf_counter()
            state, candidates = ask(state)
            state = tell(state, candidates, np.zeros(len(candidates), np.float32))
            jax.block_until_ready(state)
            seconds.append((time.perf_counter() - started) / len(candidates))
        print(f"{name}: {1e3 * np.median(seconds[1:]):.2f} ms a candidate, n={queries.rounds}")


if __name__ == "__main__":
    run_script(Queries, __doc__, main)
