"""Children trained by the workers of a Ray cluster: one machine, or many."""

from __future__ import annotations

import logging
import math
import os
import textwrap
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxnas.children.evaluators import MOST_DEATHS
from jaxnas.storage.files import RunError

if TYPE_CHECKING:  # a worker imports what its training needs
    from jaxnas.children.child_training import Candidate, ChildTraining, Outcome

START_SECONDS = 300.0
"""So long the search waits for a first worker while none trains."""


class RayWorkers:
    """Workers of a Ray cluster, each of which trains one child after the other.

    The cluster is the one that Ray finds: `RAY_ADDRESS`, or what ``ray start`` has started on this
    machine; else one of this machine alone is started, and ended when the context is left. A
    worker that dies is replaced, on any machine that has room, and its child is trained again.
    """

    def __init__(
        self,
        make: Callable[[], ChildTraining],
        workers: int,
        *,
        cpus: float = 1.0,
        gpus: float | None = None,
    ) -> None:
        """Takes note; workers start with the first child.

        Args:
          make: called in each worker to make its training; must be picklable, and is sent once.
          workers: how many.
          cpus: that the cluster sets aside for a worker.
          gpus: share of a GPU that it sets aside for a worker, from 0 to 1; None for such a share
            that the workers have all GPUs of the cluster between them, at most one each.

        Raises:
          ValueError: if there is no worker.
          RunError: if Ray is not installed.
        """
        if workers < 1:
            raise ValueError(f"there must be at least one worker, not {workers}")
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise RunError(
                f'a Ray cluster needs Ray ({error}): pip install "jaxnas[ray]"'
            ) from error
        self._make, self._count = make, workers
        self._cpus, self._gpus = cpus, gpus
        self._ours = False
        self._workers: list[Any] = []
        self._new: Callable[[], Any] | None = None

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers, self._new = [], None
        if self._ours:
            self._ray.shutdown()  # ends a cluster that it has started, and leaves any other
            self._ours = False

    def evaluate(self, candidates: Sequence[Candidate], epochs: int) -> Iterator[Outcome]:
        """See `Evaluator`.

        Raises:
          RunError: also if there is no such cluster, or not what the workers ask of it.
        """
        if not candidates:
            return
        ray, new = self._ray, self._started()
        died = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)
        waiting, idle = deque(candidates), deque[Any]()
        deaths: Counter[Candidate | None] = Counter()
        # What each worker is at; None is its start, which is soon over if it has started before.
        running: dict[Any, tuple[Any, Candidate | None]] = {
            worker.start.remote(): (worker, None) for worker in self._workers
        }
        while True:
            training = any(candidate is not None for _, candidate in running.values())
            if not waiting and not training:
                return
            done, _ = ray.wait(list(running), timeout=None if training else START_SECONDS)
            if not done:
                raise RunError(
                    f"no worker of the Ray cluster has started in {START_SECONDS:.0f} seconds; "
                    "others may use what it has (`ray status` tells): --resume when it is free"
                )
            worker, candidate = running.pop(done[0])
            outcome = None
            try:
                outcome = ray.get(done[0])
            except died as error:
                self._workers.remove(worker)
                ray.kill(worker)  # it may only be out of reach
                deaths[candidate] += 1
                if deaths[candidate] >= MOST_DEATHS:
                    raise _too_many(deaths[candidate], candidate, error) from None
                if candidate is not None:
                    waiting.appendleft(candidate)
                worker = new()
                self._workers.append(worker)
                running[worker.start.remote()] = (worker, None)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            else:
                idle.append(worker)
                deaths[None] = 0  # workers can start
            while waiting and idle:
                worker, candidate = idle.popleft(), waiting.popleft()
                running[worker.train.remote(candidate, epochs)] = (worker, candidate)
            if outcome is not None:
                yield outcome

    def _started(self) -> Callable[[], Any]:
        """Sees to it that there are workers; returns what makes one more."""
        if self._new is None:
            ray = self._ray
            if not ray.is_initialized():
                self._connect()
            gpus = self._share()
            # Each machine takes its part; a worker that dies is replaced here, not by Ray.
            kind = ray.remote(_Worker).options(
                num_cpus=self._cpus, num_gpus=gpus, scheduling_strategy="SPREAD"
            )
            make = ray.put(self._make)
            self._new = lambda: kind.remote(make, gpus)
        while len(self._workers) < self._count:
            self._workers.append(self._new())
        return self._new

    def _connect(self) -> None:
        """Joins the cluster that there is, or starts one, quietly."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(
                include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunError(
                f"there is no Ray cluster to join ({str(error).splitlines()[0]}): start it, or "
                "unset RAY_ADDRESS and say `ray stop` to use this machine alone"
            ) from error
        self._ours = True

    def _share(self) -> float:
        """Of a GPU, for each worker.

        Raises:
          RunError: if there is no room for the workers.
        """
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        have = {kind: sum(each.get(kind, 0) for each in machines) for kind in ("CPU", "GPU")}
        share = self._gpus
        if share is None:
            # Ray counts in ten-thousandths.
            share = 1 / math.ceil(self._count / have["GPU"]) if have["GPU"] else 0.0
            share = math.floor(share * 10_000) / 10_000
        room = sum(_room(each, self._cpus, share, self._count) for each in machines)
        if room < self._count:
            raise RunError(
                f"the Ray cluster has {have['CPU']:g} CPUs and {have['GPU']:g} GPUs, room for "
                f"{room} workers of {self._cpus:g} CPUs and {share:g} GPUs, not for {self._count}: "
                "use fewer --workers, or less --cpus-per-child or --gpus-per-child"
            )
        return share


def _room(machine: dict[str, float], cpus: float, gpus: float, most: int) -> int:
    """How many workers, `most` at most, a machine of these resources has room for."""
    slack = 1e-6  # of divisions
    if cpus:
        most = min(most, int(machine.get("CPU", 0) / cpus + slack))
    if gpus:  # none takes parts of two
        most = min(most, int(1 / gpus + slack) * int(machine.get("GPU", 0)))
    return most


def _too_many(deaths: int, candidate: Candidate | None, error: Exception) -> RunError:
    """For what workers died of."""
    if candidate is None:
        reason = textwrap.shorten(str(error).strip().splitlines()[-1], 120, placeholder=" ...")
        return RunError(f"workers of the Ray cluster died {deaths} times in their start: {reason}")
    return RunError(
        f"a worker died {deaths} times while it trained child {' '.join(map(str, candidate))}; it "
        "may be short of memory: use fewer --workers and --resume"
    )


class _Worker:
    """An actor: in a process of its own, on a machine of the cluster."""

    def __init__(self, make: Callable[[], ChildTraining], gpus: float) -> None:
        """Before a device is used: takes of a GPU only what it needs, and none without a share."""
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._make = make
        self._training: ChildTraining | None = None

    def start(self) -> None:
        """Makes the training, once."""
        if self._training is None:
            self._training = self._make()

    def train(self, candidate: Candidate, epochs: int) -> Outcome:
        """Trains a child; the worker has started."""
        assert self._training is not None
        return self._training.train(candidate, epochs)
