"""Jobs done by several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from jaxnas.allocation import keep_memory
from jaxnas.jobs.job import Job, MakeWork, WorkersError
from jaxnas.jobs.pool import Message, WorkerPool, do_job, start_work
from jaxnas.library_messages import tell_in_lines


class LocalProcesses(WorkerPool):
    """Processes of this machine; on a GPU they share it.

    They end with this process, however that ends.
    """

    def __init__(self, count: int) -> None:
        """See `WorkerPool`; this process, too, takes of a GPU only what it needs from now on."""
        super().__init__(count)
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers inherit it

    def _open(self, make: MakeWork) -> int:
        try:
            self._pickled = pickle.dumps(make)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise WorkersError(
                f"what the workers are to do cannot be sent to them ({error}); let it be functions "
                "and classes of a module, or use --workers in-process"
            ) from error
        assert self._count is not None
        return self._count

    def _new(self) -> _Process:
        return _Process(self._pickled)

    def _give(self, worker: _Process, job: Job) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has died, as will be heard
            worker.connection.send(job)

    def _hear(
        self, workers: Sequence[_Process], seconds: float | None
    ) -> Iterator[tuple[_Process, Message]]:
        ready = multiprocessing.connection.wait([each.connection for each in workers], seconds)
        for worker in workers:
            if worker.connection in ready:
                yield worker, worker.message()

    def _end(self, worker: _Process) -> None:
        worker.end()


class _Process:
    """A worker."""

    def __init__(self, pickled: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(pickled, _kept_programs(), theirs), daemon=True
        )
        self._process.start()
        theirs.close()  # so that its death is heard

    def message(self) -> Message:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return Message("died", f"exit status {self._process.exitcode}")

    def end(self) -> None:
        self._process.kill()  # what it has begun is done again by the next run
        self._process.join()
        self.connection.close()


def _kept_programs() -> dict[str, Any]:
    """JAX's settings for programs that are kept on disk, where it is in use here."""
    config = sys.modules["jax"].config if "jax" in sys.modules else None
    names = ("jax_compilation_cache_dir", "jax_compilation_cache_max_size")
    return {name: getattr(config, name) for name in names} if config else {}


def _serve(pickled: bytes, settings: dict[str, Any], connection: Any) -> None:
    """In a worker, before it first uses a device."""
    tell_in_lines()
    keep_memory()
    if settings:
        import jax

        for name, value in settings.items():
            jax.config.update(name, value)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent, without a word
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work = start_work(lambda: pickle.loads(pickled)(), connection.send)
    while work is not None:
        do_job(work, connection.recv(), connection.send)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
