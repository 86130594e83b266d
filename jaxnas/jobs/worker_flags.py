"""The flags that say who does a command's jobs."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxnas.jobs.job import Executor, InProcess, WorkersError


@dataclasses.dataclass(frozen=True)
class WorkerFlags:
    """Workers for jobs that need nothing of each other; results do not depend on them."""

    workers: Literal["in-process", "processes", "ray"] = "in-process"
    """Who does the jobs: this process, one after the other; processes of this machine; or workers
    of a Ray cluster."""
    worker_count: int | None = None
    """Number of processes or Ray workers; by default two processes, or as many workers as the
    cluster has room for."""
    cpus_per_worker: float | None = None
    """CPUs that the Ray cluster sets aside for a worker; 1 by default."""
    gpus_per_worker: float | None = None
    """Share of a GPU that the Ray cluster sets aside for a worker, 0 to 1; by default the workers
    have all its GPUs between them, at most one each."""

    def __post_init__(self) -> None:
        if self.worker_count is not None:
            if self.worker_count < 1:
                raise WorkersError(f"--worker-count must be at least 1, not {self.worker_count}")
            if self.worker_count > 1 and self.workers == "in-process":
                raise WorkersError(
                    f"--worker-count {self.worker_count} is for --workers processes or "
                    "--workers ray"
                )
        for name in ("cpus_per_worker", "gpus_per_worker"):
            value = getattr(self, name)
            flag = "--" + name.replace("_", "-")
            if value is None:
                continue
            if self.workers != "ray":
                raise WorkersError(f"{flag} is for --workers ray")
            if value < 0:
                raise WorkersError(f"{flag} must not be negative, not {value}")
        if self.gpus_per_worker is not None and self.gpus_per_worker > 1:
            raise WorkersError(
                f"--gpus-per-worker must be at most 1, not {self.gpus_per_worker}: "
                "a worker uses one device"
            )

    def executor(self) -> Executor:
        """Who does the jobs, before one starts.

        Raises:
          WorkersError: if it is Ray, and Ray is not installed.
        """
        if self.workers == "processes":
            from jaxnas.jobs.processes import LocalProcesses

            return LocalProcesses(self.worker_count or 2)
        if self.workers == "ray":
            from jaxnas.jobs.ray_cluster import RayWorkers

            return RayWorkers(
                self.worker_count, cpus=self.cpus_per_worker, gpus=self.gpus_per_worker
            )
        return InProcess()
