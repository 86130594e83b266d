"""What a job is, and who does a list of them: the first of the ways is this process itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, Self

from jaxnas.errors import ExecutionError, UserError


class WorkersError(UserError, RuntimeError):
    """Workers that cannot be had; says what to do about it."""


class WorkersDied(WorkersError, ExecutionError):
    """Workers that die over and over again, or do not start; says what to do about it."""


class Job(NamedTuple):
    """A piece of work that needs no other of its list.

    Attributes:
      name: no other job of the list has it.
      payload: what the work is given; picklable.
    """

    name: str
    payload: Any


def _ignore(*told: Any) -> None:
    """For jobs that nobody watches."""


class Watcher(NamedTuple):
    """Whom a job tells how it goes.

    Attributes:
      progress: called after every step.
      say: told of checkpoints that cannot be used, in a sentence.
      tell: told each epoch, in a line.
      on_epoch: told each epoch's rows of metrics, one after the other: ``epoch``, ``seconds`` of
        the run so far, and what the run measures.
    """

    progress: Callable[[], None] = _ignore
    say: Callable[[str], None] = _ignore
    tell: Callable[[str], None] = _ignore
    on_epoch: Callable[[dict[str, Any]], None] = _ignore


UNWATCHED = Watcher()


Work = Callable[[Any, Watcher], Any]
"""What is done with a job's payload; the result is picklable."""

MakeWork = Callable[[], Work]
"""Called once by each worker, whose jobs share what it makes; picklable."""

Watch = Callable[[Job], contextlib.AbstractContextManager[Watcher]]
"""Opened when a job starts; left without an error when it is done."""


@contextlib.contextmanager
def unwatched(job: Job) -> Iterator[Watcher]:
    """Tells nobody."""
    yield UNWATCHED


class Executor(Protocol):
    """Does lists of jobs, a context."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def run(
        self, make: MakeWork, jobs: Iterable[Job], watch: Watch = unwatched
    ) -> Iterator[tuple[Job, Any]]:
        """Each job and its result, as they come, in any order.

        A job whose worker dies is done again. What a job raises ends the list.

        Args:
          make: makes the work; where it is that of the last list, workers stay as they are.
          jobs: of different names; one is taken when somebody can start it.
          watch: is told in this process how a job goes.

        Raises:
          WorkersError: if there are no workers; WorkersDied, if they die over and over again.
        """
        ...


class InProcess:
    """One job after the other, here."""

    def __init__(self) -> None:
        """Makes nothing yet."""
        self._made: tuple[MakeWork, Work] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._made = None

    def run(
        self, make: MakeWork, jobs: Iterable[Job], watch: Watch = unwatched
    ) -> Iterator[tuple[Job, Any]]:
        """See `Executor`."""
        for job in jobs:
            if self._made is None or self._made[0] is not make:
                self._made = make, make()
            with watch(job) as watcher:
                result = self._made[1](job.payload, watcher)
            yield job, result
