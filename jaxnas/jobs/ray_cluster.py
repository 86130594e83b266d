"""Jobs done by the workers of a Ray cluster: one machine, or many."""

from __future__ import annotations

import logging
import math
import os
import queue
import textwrap
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from jaxnas.allocation import keep_memory
from jaxnas.jobs.job import Job, MakeWork, Work, WorkersError
from jaxnas.jobs.pool import Message, WorkerPool, do_job, start_work
from jaxnas.library_messages import tell_in_lines


class RayWorkers(WorkerPool):
    """Workers of a Ray cluster.

    The cluster is the one that Ray finds: `RAY_ADDRESS`, or what ``ray start`` has started on this
    machine; else one of this machine alone is started, and ended when the context is left. A
    worker that dies is replaced on any machine that has room.
    """

    start_seconds = 300.0

    def __init__(
        self, count: int | None = None, *, cpus: float | None = None, gpus: float | None = None
    ) -> None:
        """Takes note; workers start with the first job.

        Args:
          count: most workers; None for all that the cluster has room for.
          cpus: that the cluster sets aside for a worker; None for one.
          gpus: share of a GPU that it sets aside for a worker, from 0 to 1; None for such a share
            that the workers have all GPUs of the cluster between them, at most one each.

        Raises:
          ValueError: if there is no worker.
          WorkersError: if Ray is not installed.
        """
        super().__init__(count)
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise WorkersError(
                f'a Ray cluster needs Ray ({error}): pip install "jaxnas[ray]"'
            ) from error
        self._cpus, self._gpus = 1.0 if cpus is None else cpus, gpus
        self._ours = False

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._ours:
            self._ray.shutdown()  # ends a cluster that it has started, and leaves any other
            self._ours = False

    def _open(self, make: MakeWork) -> int:
        if not self._ray.is_initialized():
            self._connect()
        count, self._share = self._room()
        # Each machine takes its part; a worker that dies is replaced here, not by Ray.
        self._kind = self._ray.remote(_Actor).options(
            num_cpus=self._cpus, num_gpus=self._share, scheduling_strategy="SPREAD"
        )
        self._put = self._ray.put(make)  # once, for all machines
        return count

    def _new(self) -> _RayWorker:
        return _RayWorker(self._kind.remote(self._put, self._share))

    def _give(self, worker: _RayWorker, job: Job) -> None:
        worker.messages = worker.actor.work.options(num_returns="streaming").remote(job)

    def _hear(
        self, workers: Sequence[_RayWorker], seconds: float | None
    ) -> Iterator[tuple[_RayWorker, Message]]:
        ready, _ = self._ray.wait([each.messages for each in workers], timeout=seconds)
        for worker in workers:
            if any(worker.messages is each for each in ready):
                yield worker, self._message(worker)

    def _message(self, worker: _RayWorker) -> Message:
        errors = self._ray.exceptions
        try:
            return self._ray.get(next(worker.messages))
        except (errors.RayActorError, errors.OutOfMemoryError) as error:
            reason = str(error).strip().splitlines()[-1]
            return Message("died", textwrap.shorten(reason, 120, placeholder=" ..."))
        except errors.RayTaskError as error:
            return Message("failed", error.cause)

    def _end(self, worker: _RayWorker) -> None:
        self._ray.kill(worker.actor)  # also one that is only out of reach

    def _connect(self) -> None:
        """Joins the cluster that there is, or starts one, quietly."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            with warnings.catch_warnings():
                # JAX's of forks; Ray's are followed by an exec at once.
                warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
                self._ray.init(
                    include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise WorkersError(
                f"there is no Ray cluster to join ({str(error).splitlines()[0]}): start it, or "
                "unset RAY_ADDRESS and say `ray stop` to use this machine alone"
            ) from error
        self._ours = True

    def _room(self) -> tuple[int, float]:
        """Most workers, and the share of a GPU for each.

        Raises:
          WorkersError: if there is no room for the workers.
        """
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        have = {kind: sum(each.get(kind, 0) for each in machines) for kind in ("CPU", "GPU")}
        share = self._gpus
        if share is None:
            # Ray counts in ten-thousandths.
            share = 1 / math.ceil((self._count or have["GPU"]) / have["GPU"]) if have["GPU"] else 0
            share = math.floor(share * 10_000) / 10_000
        most = self._count or max(1, int(have["CPU"]), int(have["GPU"]))
        room = sum(_fitting(each, self._cpus, share, most) for each in machines)
        if room < (self._count or 1):
            raise WorkersError(
                f"the Ray cluster has {have['CPU']:g} CPUs and {have['GPU']:g} GPUs, room for "
                f"{room} workers of {self._cpus:g} CPUs and {share:g} GPUs, not for "
                f"{self._count or 1}: use a lower --worker-count, --cpus-per-worker or "
                "--gpus-per-worker"
            )
        return min(room, most), share


def _fitting(machine: dict[str, float], cpus: float, gpus: float, most: int) -> int:
    """How many workers, `most` at most, a machine of these resources has room for."""
    slack = 1e-6  # of divisions
    if cpus:
        most = min(most, int(machine.get("CPU", 0) / cpus + slack))
    if gpus:  # none takes parts of two
        most = min(most, int(1 / gpus + slack) * int(machine.get("GPU", 0)))
    return most


class _RayWorker:
    """A worker, and the messages of what it is at."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.messages = actor.start.options(num_returns="streaming").remote()


class _Actor:
    """A worker's own side, in a process on a machine of the cluster."""

    def __init__(self, make: MakeWork, gpus: float) -> None:
        """Before a device is used: takes of a GPU only what it needs, and none without a share."""
        tell_in_lines()
        keep_memory()
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._make = make
        self._work: Work | None = None

    def start(self) -> Iterator[Message]:
        """Makes the work."""
        messages: list[Message] = []
        self._work = start_work(self._make, messages.append)
        yield from messages

    def work(self, job: Job) -> Iterator[Message]:
        """Does a job; the worker has started."""
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        arguments = (self._work, job, messages.put)
        threading.Thread(target=do_job, args=arguments, daemon=True).start()
        while True:
            message = messages.get()
            yield message
            if message.kind in ("done", "failed"):
                return
