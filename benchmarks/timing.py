"""How the benchmarks time: compiled once, then interleaved."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.compilation import jit
from jaxnas.data import Augmentation
from jaxnas.tasks import Task, supervised
from jaxnas.training import Step
from jaxnas.training.train import Batch


def random_task(side: int) -> Task:
    """Ten classes of images whose statistics do not matter."""
    middle, spread = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
    return supervised(10, middle, spread, Augmentation.for_side(side))


class Compiled(NamedTuple):
    """A training step ready to run.

    Attributes:
      run: takes a step, and waits for it.
      seconds: that tracing and compiling took.
      megabytes: XLA's own analysis: temporaries and arguments.
      temporaries: the temporaries alone, in the same unit.
    """

    run: Callable[[], None]
    seconds: float
    megabytes: float
    temporaries: float


def compile_step(step: Step, state: Any, batch: Batch, key: jax.Array) -> Compiled:
    """Compiles `step`; its runs go on from `state`, the buffers of which they take."""
    started = time.perf_counter()
    program = jit(step, donate_argnums=0).lower(state, batch, key).compile()
    seconds = time.perf_counter() - started
    analysis = program.memory_analysis()
    assert analysis is not None
    states = [state]

    def run() -> None:
        states[0], _ = jax.block_until_ready(program(states[0], batch, key))

    size = analysis.temp_size_in_bytes + analysis.argument_size_in_bytes
    return Compiled(run, seconds, size / 2**20, analysis.temp_size_in_bytes / 2**20)


def interleaved(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds [rounds] of each run, one after the other in every round; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - started)
    return {name: np.array(times) for name, times in seconds.items()}
