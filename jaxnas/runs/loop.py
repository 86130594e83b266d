"""The one loop of every resumable run: goes on where it was, and keeps each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.errors import ExecutionError
from jaxnas.jobs.job import Watcher
from jaxnas.storage.checkpoints import AbstractFn, Checkpoints
from jaxnas.storage.directory import RunDirectory


class TrainingError(ExecutionError):
    """Training that went wrong; the message names the step."""


class Kept(NamedTuple):
    """What a run keeps of itself at the end of an epoch.

    Attributes:
      epoch: number of epochs done; 0 before the first step.
      state: pytree of arrays.
      meta: JSON-able; what else the next epochs depend on.
      rows: of metrics; the loop adds the seconds of the run so far.
      score: of the epoch; greater is better, and the best checkpoint stays.
    """

    epoch: int
    state: Any
    meta: dict[str, Any]
    rows: Sequence[dict[str, Any]] = ()
    score: float = 0.0


class Journal:
    """What a run keeps of itself, epoch by epoch; without a directory its clock alone.

    An epoch is kept by its rows of metrics first and its checkpoint last: rows behind the last
    checkpoint are of an epoch that is done again.
    """

    def __init__(self, directory: RunDirectory | None, watcher: Watcher) -> None:
        """Starts the clock.

        Args:
          directory: where rows and checkpoints go; None to keep nothing.
          watcher: is told how it goes.
        """
        self._started = time.perf_counter()
        self._before = 0.0
        self._directory, self._watcher = directory, watcher
        self._checkpoints = None
        if directory is not None:
            self._checkpoints = Checkpoints(directory.path / "checkpoints", watcher.say)

    @property
    def seconds(self) -> float:
        """Wall clock of the run so far, over all its starts."""
        return self._before + time.perf_counter() - self._started

    def run(
        self,
        *,
        abstract: AbstractFn,
        begin: Callable[[], Kept],
        steps_before: Callable[[Kept], int],
        advance: Callable[[Kept], Kept | None],
        line: Callable[[dict[str, Any]], str],
    ) -> Kept:
        """Runs from the start, or from the last epoch that was kept, to the end.

        What an epoch does must depend on what it is given alone: then a run that is killed at any
        moment goes on to the same bits.

        Args:
          abstract: see `Checkpoints.restore`.
          begin: what there is before the first epoch.
          steps_before: steps that lead to what was kept; they are told as done at once.
          advance: does an epoch more; None where there is none to do.
          line: a row of metrics in words.

        Returns:
          the end of the last epoch.

        Raises:
          TrainingError: of `advance`, with the epoch whose checkpoint is kept.
        """
        kept = self._restore(abstract)
        if kept is None:
            kept = begin()
            self._log(kept, line)
        for _ in range(steps_before(kept)):
            self._watcher.progress()
        while (after := self._advance(kept, advance)) is not None:
            self._log(after, line)
            if self._checkpoints is not None:
                meta = after.meta | {"seconds": self.seconds}
                self._checkpoints.save(after.epoch, after.state, meta, after.score)
            kept = after
        return kept

    def _restore(self, abstract: AbstractFn) -> Kept | None:
        if self._directory is None or self._checkpoints is None:
            return None
        restored = self._checkpoints.restore(abstract)
        # Before the first checkpoint epoch 0, which has no step, is done again too.
        self._directory.truncate(restored[0] if restored else -1)
        if restored is None:
            return None
        self._before = restored[2]["seconds"]
        return Kept(*restored)

    def _advance(self, kept: Kept, advance: Callable[[Kept], Kept | None]) -> Kept | None:
        try:
            return advance(kept)
        except TrainingError as error:
            if self._checkpoints is None or not kept.epoch:
                raise
            told = f"{error}; the checkpoint of epoch {kept.epoch} is kept"
            raise TrainingError(told) from error

    def _log(self, kept: Kept, line: Callable[[dict[str, Any]], str]) -> None:
        for row in kept.rows:
            timed = row | {"seconds": round(self.seconds, 3)}
            self._watcher.tell(line(timed))
            if self._directory is not None:
                self._directory.log(timed)
            self._watcher.on_epoch(timed)


def all_finite(state: Any) -> bool:
    """Whether every floating-point leaf of a pytree of arrays is finite."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return all(np.isfinite(leaf).all() for leaf in jax.device_get(leaves))
