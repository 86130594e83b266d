"""Workers that may die: who has which job, and what becomes of it. The kinds of workers differ in
how they are started, given a job, heard and ended."""

from __future__ import annotations

import abc
import contextlib
import functools
import pickle
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

from jaxnas.jobs.job import Job, MakeWork, Watch, Watcher, Work, WorkersDied, unwatched

MOST_DEATHS = 3
"""How often a job may take its worker with it before the list stops."""

_NEWS_SECONDS = 0.2


class Message(NamedTuple):
    """What a worker lets hear.

    Attributes:
      kind: "ready" for a job; "told", (steps, [(method of a `Watcher`, line)]); "done", the result;
        "failed", the exception; "died", the reason.
      value: see `kind`.
    """

    kind: str
    value: Any = None


class _Running(NamedTuple):
    job: Job
    context: contextlib.ExitStack
    watcher: Watcher


class WorkerPool(abc.ABC):
    """An `Executor` by several workers, each of which does one job after the other."""

    start_seconds: float | None = None
    """How long a first worker is waited for while no job runs."""

    def __init__(self, count: int | None) -> None:
        """Takes note; workers start with the first job.

        Args:
          count: most workers.

        Raises:
          ValueError: if there is no worker.
        """
        if count is not None and count < 1:
            raise ValueError(f"there must be at least one worker, not {count}")
        self._count = count
        self._make: MakeWork | None = None
        self._starting: list[Any] = []
        self._idle: deque[Any] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_all()

    @abc.abstractmethod
    def _open(self, make: MakeWork) -> int:
        """Prepares for workers of this work; returns the most of them."""

    @abc.abstractmethod
    def _new(self) -> Any:
        """A worker that starts, and will say that it is ready."""

    @abc.abstractmethod
    def _give(self, worker: Any, job: Job) -> None:
        """Gives a job to a worker that is ready."""

    @abc.abstractmethod
    def _hear(self, workers: Sequence[Any], seconds: float | None) -> Iterable[tuple[Any, Message]]:
        """Waits for messages; after so many seconds there may be none."""

    @abc.abstractmethod
    def _end(self, worker: Any) -> None:
        """Ends a worker, whatever it does."""

    def _end_all(self) -> None:
        for worker in (*self._starting, *self._idle):
            self._end(worker)
        self._starting, self._make = [], None
        self._idle.clear()

    def run(
        self, make: MakeWork, jobs: Iterable[Job], watch: Watch = unwatched
    ) -> Iterator[tuple[Job, Any]]:
        """See `Executor`."""
        upcoming = iter(jobs)
        waiting: deque[Job] = deque()
        if (first := next(upcoming, None)) is None:
            return
        waiting.append(first)
        if make is not self._make:
            self._end_all()
            self._most = self._open(make)
            self._make = make
        running: dict[Any, _Running] = {}
        deaths: Counter[str | None] = Counter()
        results: list[tuple[Job, Any]] = []
        try:
            while True:
                self._hand_out(upcoming, waiting, running, watch)
                yield from results
                results.clear()
                if not waiting and not running:
                    return
                seconds = None if running else self.start_seconds
                heard = False
                for worker, message in self._hear([*self._starting, *running], seconds):
                    heard = True
                    result = self._take(worker, message, waiting, running, deaths)
                    results += [] if result is None else [result]
                if not heard:
                    raise WorkersDied(
                        f"no worker has started in {seconds:.0f} seconds; others may use what the "
                        "Ray cluster has (`ray status` tells): --resume when it is free"
                    )
        finally:
            for worker in running:
                self._end(worker)

    def _hand_out(
        self,
        upcoming: Iterator[Job],
        waiting: deque[Job],
        running: dict[Any, _Running],
        watch: Watch,
    ) -> None:
        """Takes as many jobs as there may be workers, starts these, and gives out what it can."""
        while len(waiting) + len(running) < self._most:
            if (job := next(upcoming, None)) is None:
                break
            waiting.append(job)
        while len(self._starting) + len(self._idle) < len(waiting):
            self._starting.append(self._new())
        while waiting and self._idle:
            worker, job = self._idle.popleft(), waiting.popleft()
            context = contextlib.ExitStack()
            running[worker] = _Running(job, context, context.enter_context(watch(job)))
            self._give(worker, job)

    def _take(
        self,
        worker: Any,
        message: Message,
        waiting: deque[Job],
        running: dict[Any, _Running],
        deaths: Counter[str | None],
    ) -> tuple[Job, Any] | None:
        """Does what a message asks for; returns a job that is done with its result."""
        if message.kind == "told":
            _pass_on(running[worker].watcher, *message.value)
            return None
        if message.kind == "ready":
            self._starting.remove(worker)
            self._idle.append(worker)
            deaths[None] = 0  # workers can start
            return None
        one = running.pop(worker, None)
        if message.kind == "done":
            assert one is not None
            self._idle.append(worker)
            one.context.close()
            return one.job, message.value
        if one is None:
            self._starting.remove(worker)
        self._end(worker)
        error = message.value
        if message.kind == "died":
            error = _death(deaths, None if one is None else one.job.name, message.value)
        if one is not None:
            left = error or WorkersDied("a worker died")
            one.context.__exit__(type(left), left, None)
        if error is not None:
            raise error
        if one is not None:
            waiting.appendleft(one.job)
        return None


def _pass_on(watcher: Watcher, steps: int, told: list[tuple[str, Any]]) -> None:
    for _ in range(steps):
        watcher.progress()
    for kind, what in told:
        getattr(watcher, kind)(what)


def _death(deaths: Counter[str | None], job: str | None, reason: str) -> WorkersDied | None:
    """Counts the death of a worker at a job, or of None in its start; an error if too many."""
    deaths[job] += 1
    if deaths[job] < MOST_DEATHS:
        return None
    if job is None:
        return WorkersDied(f"workers died {deaths[job]} times in their start: {reason}")
    return WorkersDied(
        f"a worker died {deaths[job]} times while it worked on {job}; it may be short of memory: "
        "use a lower --worker-count and --resume"
    )


def start_work(make: MakeWork, send: Callable[[Message], None]) -> Work | None:
    """In a worker: makes its work and says that it is ready, or what kept it from that."""
    try:
        work = make()
    except BaseException as error:
        send(Message("failed", _sendable(error)))
        return None
    send(Message("ready"))
    return work


def do_job(work: Work, job: Job, send: Callable[[Message], None]) -> None:
    """In a worker: does a job, and sends what it tells and at last what it comes to."""
    steps, told, sent = 0, [], time.monotonic()

    def news(now: bool) -> None:
        nonlocal steps, told, sent
        if now or time.monotonic() - sent > _NEWS_SECONDS:
            send(Message("told", (steps, told)))
            steps, told, sent = 0, [], time.monotonic()

    def progress() -> None:
        nonlocal steps
        steps += 1
        news(now=False)

    def tell(kind: str, what: Any) -> None:
        told.append((kind, what))
        news(now=True)

    watcher = Watcher(
        progress, *(functools.partial(tell, kind) for kind in ("say", "tell", "on_epoch"))
    )
    try:
        result = work(job.payload, watcher)
        news(now=True)
        send(Message("done", result))
    except BaseException as error:  # in a thread of a worker none ends the process
        send(Message("failed", _sendable(error)))


def _sendable(error: BaseException) -> Exception:
    """The error with its traceback as a note, or where it cannot be sent so, its text."""
    text = "".join(traceback.format_exception(error))
    if isinstance(error, Exception):
        error.add_note(f"It was raised in a worker:\n{text}")
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    return RuntimeError(text)
