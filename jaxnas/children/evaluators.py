"""Who trains the children of a search: this process, or several of this machine.

`ray_evaluator` has them trained by a Ray cluster.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Protocol

from jaxnas.storage.files import RunError

if TYPE_CHECKING:  # a worker imports what its training needs
    from jaxnas.children.child_training import Candidate, ChildTraining, Outcome

MOST_DEATHS = 3
"""So often a child may take its worker with it before the search stops."""


class Evaluator(Protocol):
    """Trains children, a context."""

    def __enter__(self) -> Evaluator: ...

    def __exit__(self, *error: object) -> None: ...

    def evaluate(self, candidates: Sequence[Candidate], epochs: int) -> Iterator[Outcome]:
        """The outcome of each candidate, as they come, in any order.

        Args:
          candidates: different ones.
          epochs: of their training.

        Raises:
          RunError: if workers die over and over again.
        """
        ...


class InProcess:
    """One child after the other, here."""

    def __init__(self, make: Callable[[], ChildTraining]) -> None:
        """Takes note of how the training is made."""
        self._make = make
        self._training: ChildTraining | None = None

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._training = None

    def evaluate(self, candidates: Sequence[Candidate], epochs: int) -> Iterator[Outcome]:
        """See `Evaluator`."""
        if self._training is None:
            self._training = self._make()
        for candidate in candidates:
            yield self._training.train(candidate, epochs)


class LocalProcesses:
    """Several processes of this machine; on a GPU they share it.

    A process that dies (for want of memory, say) is replaced, and its children are trained again.
    """

    def __init__(self, make: Callable[[], ChildTraining], workers: int) -> None:
        """Takes note; processes start with the first child.

        Args:
          make: called in each worker to make its training; must be picklable.
          workers: how many.

        Raises:
          ValueError: if there is no worker.
        """
        if workers < 1:
            raise ValueError(f"there must be at least one worker, not {workers}")
        self._make, self._workers = make, workers
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())  # shutdown forgets them
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()  # what a worker has begun is trained again by the next run
            self._pool = None

    def evaluate(self, candidates: Sequence[Candidate], epochs: int) -> Iterator[Outcome]:
        """See `Evaluator`."""
        deaths: Counter[Candidate] = Counter()
        left = list(candidates)
        while left:
            pool = self._started()
            running = {pool.submit(_train, candidate, epochs): candidate for candidate in left}
            try:
                for future in concurrent.futures.as_completed(running):
                    outcome = future.result()
                    left.remove(outcome.candidate)
                    yield outcome
            except BrokenProcessPool:
                self._pool = None
                # Which of the running ones it was is not known; those that wait are not blamed.
                deaths.update(left[: self._workers])
                for candidate, count in deaths.items():
                    if candidate in left and count >= MOST_DEATHS:
                        raise RunError(
                            f"a worker died {count} times while child "
                            f"{' '.join(map(str, candidate))} was among those in training; it may "
                            "be short of memory: use fewer --workers and --resume"
                        ) from None

    def _started(self) -> concurrent.futures.ProcessPoolExecutor:
        if self._pool is None:
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self._workers,
                multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self._make,),
            )
        return self._pool


_worker: list[ChildTraining] = []


def _start_worker(make: Callable[[], ChildTraining]) -> None:
    """In a worker, before it first uses a device: takes of a GPU only what it needs.

    It ends with the process that it works for, however that ends, and without a word.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    _worker[:] = [make()]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _train(candidate: Candidate, epochs: int) -> Outcome:
    return _worker[0].train(candidate, epochs)
