"""Whatever becomes of the workers of a real Ray cluster, all jobs are done, each once."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxnas.jobs.job import WorkersError
from jaxnas.jobs.pool import MOST_DEATHS
from jaxnas.jobs.ray_cluster import RayWorkers
from support.processes import alive, wait
from support.toy_jobs import DEADLY, JOBS

SCRIPT = Path(__file__).with_name("ray_program.py")
linux = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks at processes as Linux has them"
)


def start(scenario, folder):
    """Runs a scenario of `ray_program.py`, warnings being errors, with no cluster to be found."""
    path = os.pathsep.join(str(each) for each in (SCRIPT.parents[1], SCRIPT.parents[2]))
    environment = {**os.environ, "PYTHONPATH": path, "RAY_ADDRESS": "local"}
    command = [sys.executable, "-W", "error", SCRIPT, scenario, folder]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result(scenario, folder):
    """What a scenario found, and all that it and Ray said."""
    with start(scenario, folder) as driver:
        try:
            said = "".join(driver.communicate(timeout=240))
        finally:
            driver.kill()
    assert driver.returncode == 0, said
    return json.loads((folder / "result.json").read_text()), said


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    found, said = result("once", folder)
    return folder, found, said


@linux
@pytest.mark.slow  # a cluster starts
def test_a_killed_workers_job_is_done_again(once):
    folder, found, _ = once
    assert (folder / "died").exists(), "no worker died"
    assert found["once"] == found["expected"]
    assert [number for number, _ in found["expected"]] == [job.payload for job in JOBS]
    begun = Counter(number for numbers in found["pids"].values() for number in numbers)
    assert 2 <= len(found["pids"]) <= 3, "one in the place of the dead, if it came in time"
    assert begun.pop(str(DEADLY.payload)) == 2
    assert set(begun.values()) == {1}, "done twice"


@linux
@pytest.mark.slow  # a cluster starts
def test_watchers_are_told_what_workers_tell(once):
    steps, lines, ended = once[1]["watched"]
    assert steps == {job.name: 2 for job in JOBS}
    assert lines == sorted(f"told by {job.payload}" for job in JOBS)
    assert ended == {job.name: 1 for job in JOBS}


@linux
@pytest.mark.slow  # a cluster starts
def test_workers_stay_for_the_next_jobs_and_end_with_the_context(once):
    found = once[1]
    assert found["again"] == found["expected"][:3]
    assert found["nothing"] == []
    assert found["workers"] <= 3
    assert found["left"] == []


@linux
@pytest.mark.slow  # a cluster starts
@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            "address",
            "WorkersError: there is no Ray cluster to join (Invalid address format: ",
        ),
        ("without data", "LookupError: there is no such data set"),
        ("gpus", "and 0 GPUs, room for 0 workers of 0.1 CPUs and 0.5 GPUs, not for 2: use a lower"),
        ("room", "workers of 0.1 CPUs and 0 GPUs, not for 9999: use a lower --worker-count"),
        ("busy", "no worker has started in 2 seconds; others may use what the Ray cluster has"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(once, case, sentence):
    assert sentence in once[1][case]
    assert "\n" not in once[1][case]


@linux
@pytest.mark.slow  # a cluster starts
def test_ray_says_nothing_but_that_a_worker_died(once):
    lines = once[2].splitlines()
    assert all("A worker died or was killed" in line for line in lines if line), once[2]


@linux
@pytest.mark.slow  # seven workers, one after the other
def test_a_job_that_always_kills_its_worker_ends_the_list(tmp_path):
    found, _ = result("always", tmp_path)
    assert f"died {MOST_DEATHS} times while it worked on {DEADLY.name};" in found["always"]
    assert "lower --worker-count" in found["always"]
    assert f"died {MOST_DEATHS} times in their start: " in found["no start"]


@linux
@pytest.mark.slow  # a cluster of its own
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_driver(tmp_path, end):
    with start("endless", tmp_path) as driver:
        try:
            wait(lambda: len(list(tmp_path.glob("pid*"))) == 2, 100)
            workers = [int(mark.name.removeprefix("pid")) for mark in tmp_path.glob("pid*")]
            children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
            assert all(alive(number) for number in [*workers, *children])
            driver.send_signal(end)
            wait(lambda: not any(alive(number) for number in [*workers, *children]), 60)
        finally:
            driver.kill()


def test_without_ray_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkersError, match=r'needs Ray .*: pip install "jaxnas\[ray\]"'):
        RayWorkers()


def test_there_is_a_worker():
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        RayWorkers(0)


def machines(*resources):
    """A cluster of these, and one machine that is gone."""
    nodes = [{"Alive": True, "Resources": each} for each in resources]
    gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    return SimpleNamespace(nodes=lambda: [*nodes, gone])


@pytest.mark.parametrize(
    ("gpus", "workers", "asked", "share"),
    [
        ((0, 0), 8, None, 0),
        ((1, 0), 1, None, 1),
        ((1, 0), 2, None, 0.5),
        ((1, 0), 3, None, 0.3333),
        ((2, 1), 4, None, 0.5),
        ((2, 1), 2, None, 1),
        ((2, 1), 3, 0.6, 0.6),
        ((2, 1), 8, 0.0, 0),
        ((2, 1), None, None, 1),
        ((0, 0), None, None, 0),
    ],
)
def test_workers_have_all_gpus_between_them(gpus, workers, asked, share):
    executor = RayWorkers(workers, cpus=2.0, gpus=asked)
    executor._ray = machines(*({"CPU": 8.0, "GPU": float(each)} for each in gpus))
    most = sum(gpus) or 8  # of two CPUs each
    assert executor._room() == (workers or most, share)


@pytest.mark.parametrize(("cpus", "gpus", "room"), [(2.0, 0.6, 3), (3.0, 0.0, 4), (2.0, 0.1, 8)])
def test_what_does_not_fit_is_refused(cpus, gpus, room):
    """No worker has parts of two GPUs, nor of two machines."""
    executor = RayWorkers(9, cpus=cpus, gpus=gpus)
    executor._ray = machines({"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0})
    with pytest.raises(WorkersError, match=rf"16 CPUs and 3 GPUs, room for {room} .*, not for 9:"):
        executor._room()
