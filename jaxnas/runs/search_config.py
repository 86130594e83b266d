"""The flags that experiments with a search have in common."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.runs.config import (
    ConfigError,
    RunFlags,
    Training,
    refuse_below_one,
    without_places,
)
from jaxnas.runs.flags.data import DataFlags


@contextlib.contextmanager
def refuse_no_space() -> Iterator[None]:
    """Makes a ConfigError of the ValueError of a space that is made here."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"there is no such space: {error}") from error


SearcherName = Literal["random", "evolution", "local", "reinforce", "ppo", "surrogate"]
"""What `--algorithm` names: the keys of `tabular_search.SEARCHERS`, in a file that needs no JAX."""


@dataclasses.dataclass(frozen=True)
class SearchFlags:
    """What every search takes that is judged on a part of the training images."""

    data: DataFlags = dataclasses.field(default_factory=DataFlags)
    run: RunFlags = dataclasses.field(default_factory=RunFlags)
    seed: int = 0
    """Seed of everything that is random."""
    jobs: WorkerFlags = dataclasses.field(default_factory=WorkerFlags)
    eval_every: int = 1
    """Number of epochs from one measurement of the test accuracy to the next, of the networks that
    are trained from scratch in the end; the search never reads the test images."""
    train_share: float = 0.5
    """Share of the training images that networks are trained by; the others judge them."""
    training: Training = dataclasses.field(default_factory=Training)
    """How the networks are trained from scratch in the end, the search's and its control's."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ConfigError("a seed is a whole number from 0 to 2**32 - 1")
        refuse_below_one(self, "eval_every")
        if not 0 < self.train_share < 1:
            raise ConfigError(f"--train-share must be between 0 and 1, not {self.train_share}")

    def recorded(self) -> dict[str, Any]:
        """What a resumed run must agree on; see `without_places`."""
        return without_places(self)


@dataclasses.dataclass(frozen=True)
class SearchExperiment(SearchFlags):
    """Searches a network on a part of the training images, then trains it anew on all of them."""

    search_epochs: int = 50
    """Number of epochs of the search."""
    search_batch_size: int = 64
    """Number of images in a step of the search, from each part of the data that the step has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_one(self, "search_epochs", "search_batch_size")
