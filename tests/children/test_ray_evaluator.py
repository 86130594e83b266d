"""Whatever becomes of the workers of a real Ray cluster, all outcomes come, each once."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxnas.children.evaluators import MOST_DEATHS
from jaxnas.children.ray_evaluator import RayWorkers
from jaxnas.storage.files import RunError
from support.processes import alive, wait

from .ray_search import CANDIDATES, Toy

SCRIPT = Path(__file__).with_name("ray_search.py")
linux = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks at processes as Linux has them"
)


def start(scenario, folder):
    """Runs a scenario of `ray_search.py`, warnings being errors, with no cluster to be found."""
    path = os.pathsep.join(str(each) for each in (SCRIPT.parents[1], SCRIPT.parents[2]))
    environment = {**os.environ, "PYTHONPATH": path, "RAY_ADDRESS": "local"}
    command = [sys.executable, "-W", "error", SCRIPT, scenario, folder]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result(scenario, folder):
    """What a scenario found, and all that it and Ray said."""
    with start(scenario, folder) as search:
        try:
            said = "".join(search.communicate(timeout=240))
        finally:
            search.kill()
    assert search.returncode == 0, said
    return json.loads((folder / "result.json").read_text()), said


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    found, said = result("once", folder)
    return folder, found, said


@linux
def test_a_killed_workers_child_is_trained_again(once):
    folder, found, _ = once
    assert (folder / "died").exists(), "no worker died"
    assert found["once"] == found["expected"]
    assert [tuple(outcome[0]) for outcome in found["expected"]] == CANDIDATES
    begun = Counter(child for children in found["pids"].values() for child in children)
    assert 2 <= len(found["pids"]) <= 3, "one in the place of the dead, if it came in time"
    assert begun.pop("{}-{}".format(*CANDIDATES[4])) == 2
    assert set(begun.values()) == {1}, "trained twice"


@linux
def test_workers_stay_for_the_next_children_and_end_with_the_context(once):
    found = once[1]
    assert found["again"] == found["expected"][:3]
    assert found["nothing"] == []
    assert found["left"] == []


@linux
@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("address", "RunError: there is no Ray cluster to join (Invalid address format: nowhere"),
        ("without data", "LookupError: there is no such data set"),
        ("gpus", "and 0 GPUs, room for 0 workers of 0.1 CPUs and 0.5 GPUs, not for 2: use fewer"),
        ("room", "workers of 0.1 CPUs and 0 GPUs, not for 9999: use fewer --workers"),
        ("busy", "no worker of the Ray cluster has started in 2 seconds"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(once, case, sentence):
    assert sentence in once[1][case]
    assert "\n" not in once[1][case]


@linux
def test_ray_says_nothing_but_that_a_worker_died(once):
    lines = once[2].splitlines()
    assert all("A worker died or was killed" in line for line in lines if line), once[2]


@linux
@pytest.mark.slow  # seven workers, one after the other
def test_a_child_that_always_kills_its_worker_stops_the_search(tmp_path):
    found, _ = result("always", tmp_path)
    child = " ".join(map(str, CANDIDATES[4]))
    assert f"died {MOST_DEATHS} times while it trained child {child};" in found["always"]
    assert "fewer --workers" in found["always"]
    assert f"died {MOST_DEATHS} times in their start: " in found["no start"]


@linux
@pytest.mark.slow  # a cluster of its own
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_search(tmp_path, end):
    with start("endless", tmp_path) as search:
        try:
            wait(lambda: len(list(tmp_path.glob("pid*"))) == 2, 100)
            workers = [int(mark.name.removeprefix("pid")) for mark in tmp_path.glob("pid*")]
            children = Path(f"/proc/{search.pid}/task/{search.pid}/children").read_text().split()
            assert all(alive(number) for number in [*workers, *children])
            search.send_signal(end)
            wait(lambda: not any(alive(number) for number in [*workers, *children]), 60)
        finally:
            search.kill()


def test_without_ray_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r'needs Ray .*: pip install "jaxnas\[ray\]"'):
        RayWorkers(Toy, 1)


def test_there_is_a_worker():
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        RayWorkers(Toy, 0)


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
    ],
)
def test_workers_have_all_gpus_between_them(gpus, workers, asked, share):
    evaluator = RayWorkers(Toy, workers, cpus=2.0, gpus=asked)
    evaluator._ray = machines(*({"CPU": 8.0, "GPU": float(each)} for each in gpus))
    assert evaluator._share() == share


@pytest.mark.parametrize(("cpus", "gpus", "room"), [(2.0, 0.6, 3), (3.0, 0.0, 4), (2.0, 0.1, 8)])
def test_what_does_not_fit_is_refused(cpus, gpus, room):
    """No worker has parts of two GPUs, nor of two machines."""
    evaluator = RayWorkers(Toy, 9, cpus=cpus, gpus=gpus)
    evaluator._ray = machines({"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0})
    with pytest.raises(RunError, match=rf"16 CPUs and 3 GPUs, room for {room} .*, not for 9:"):
        evaluator._share()
