"""The flags that say who does independent work."""

import pytest

from jaxnas.jobs.job import InProcess, WorkersError
from jaxnas.jobs.processes import LocalProcesses
from jaxnas.jobs.ray_cluster import RayWorkers
from jaxnas.jobs.worker_flags import WorkerFlags


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"worker_count": 0}, "--worker-count must be at least 1, not 0"),
        ({"worker_count": 2}, "--worker-count 2 is for --workers processes or --workers ray"),
        ({"gpus_per_worker": 0.5}, "--gpus-per-worker is for --workers ray"),
        (
            {"workers": "ray", "gpus_per_worker": 2.0},
            "--gpus-per-worker must be at most 1, not 2.0: a worker uses one device",
        ),
        (
            {"workers": "ray", "cpus_per_worker": -1.0},
            "--cpus-per-worker must not be negative, not -1.0",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(flags, message):
    with pytest.raises(WorkersError) as caught:
        WorkerFlags(**flags)
    assert str(caught.value) == message


def test_each_way_has_its_executor(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    assert isinstance(WorkerFlags().executor(), InProcess)
    processes = WorkerFlags(workers="processes").executor()
    assert isinstance(processes, LocalProcesses)
    assert processes._count == 2
    cluster = WorkerFlags(workers="ray", worker_count=3, gpus_per_worker=0.5).executor()
    assert isinstance(cluster, RayWorkers)
    assert (cluster._count, cluster._cpus, cluster._gpus) == (3, 1.0, 0.5)
