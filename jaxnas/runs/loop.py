"""What every resumable loop does beside its own work: goes on where it was, and keeps an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jaxnas.storage.checkpoints import AbstractFn, Checkpoints
from jaxnas.storage.directory import RunDirectory


class Journal:
    """What a run keeps of itself, epoch by epoch; without a directory its clock alone.

    An epoch is kept by its rows of metrics first and its checkpoint last: rows behind the last
    checkpoint are of an epoch that is done again.
    """

    def __init__(self, directory: RunDirectory | None, say: Callable[[str], None]) -> None:
        """Starts the clock.

        Args:
          directory: where rows and checkpoints go; None to keep nothing.
          say: told of checkpoints that cannot be used.
        """
        self._started = time.perf_counter()
        self._before = 0.0
        self._directory = directory
        self._checkpoints = None
        if directory is not None:
            self._checkpoints = Checkpoints(directory.path / "checkpoints", say)

    @property
    def seconds(self) -> float:
        """Wall clock of the run so far, over all its starts."""
        return self._before + time.perf_counter() - self._started

    def restore(self, abstract: AbstractFn) -> tuple[int, Any, dict[str, Any]] | None:
        """The last epoch that was kept, its state and what `commit` was given with it.

        Args:
          abstract: see `Checkpoints.restore`.

        Returns:
          None where nothing was kept.
        """
        if self._directory is None or self._checkpoints is None:
            return None
        restored = self._checkpoints.restore(abstract)
        # Before the first checkpoint epoch 0, which has no step, is done again too.
        self._directory.truncate(restored[0] if restored else -1)
        if restored:
            self._before = restored[2]["seconds"]
        return restored

    def log(self, row: dict[str, Any]) -> None:
        """Keeps a row of metrics."""
        if self._directory is not None:
            self._directory.log(row)

    def commit(self, epoch: int, state: Any, meta: dict[str, Any], score: float) -> None:
        """Keeps the epoch: see `Checkpoints.save`."""
        if self._checkpoints is not None:
            self._checkpoints.save(epoch, state, {**meta, "seconds": self.seconds}, score)
