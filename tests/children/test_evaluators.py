"""Whoever trains the children, all outcomes come, each once, also where workers are killed."""

import functools
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxnas.children.evaluators import MOST_DEATHS, InProcess, LocalProcesses
from jaxnas.storage.files import RunError
from support.processes import alive, wait
from support.toy_children import SPACE, ToyTraining

TESTS = Path(__file__).parents[1]
CANDIDATES = [tuple(each) for each in itertools.islice(SPACE.enumerate(), 24)]


def outcomes(evaluator):
    with evaluator:
        return sorted(evaluator.evaluate(CANDIDATES, 3))


@pytest.fixture(scope="module")
def expected():
    return outcomes(InProcess(ToyTraining))


def test_processes_train_what_this_process_does(expected):
    assert [outcome.candidate for outcome in expected] == CANDIDATES
    assert outcomes(LocalProcesses(ToyTraining, 2)) == expected


@pytest.mark.slow
def test_a_killed_workers_children_are_trained_again(tmp_path, expected):
    make = functools.partial(ToyTraining, str(tmp_path))
    assert outcomes(LocalProcesses(make, 2)) == expected
    assert (tmp_path / "died").exists(), "no worker died"


@pytest.mark.slow  # three times two processes
def test_a_child_that_always_kills_its_worker_stops_the_search(tmp_path):
    make = functools.partial(ToyTraining, str(tmp_path), always=True)
    with pytest.raises(RunError, match=f"died {MOST_DEATHS} times .* fewer --workers"):
        outcomes(LocalProcesses(make, 2))


SEARCH = """
import functools, sys
from jaxnas.children.evaluators import LocalProcesses
from support.toy_children import ToyTraining

if __name__ == "__main__":
    with LocalProcesses(functools.partial(ToyTraining, sys.argv[1], seconds=60), 2) as workers:
        list(workers.evaluate([(0, 0, 0, 0), (0, 0, 0, 1)], 1))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes as Linux has them")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_search(tmp_path, end):
    script = tmp_path / "driver.py"
    script.write_text(SEARCH)
    path = os.pathsep.join(str(folder) for folder in (TESTS, TESTS.parent))
    command = [sys.executable, script, tmp_path]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as search:
        try:
            wait(lambda: len(list(tmp_path.glob("pid*"))) == 2, 60)
            workers = [int(mark.name.removeprefix("pid")) for mark in tmp_path.glob("pid*")]
            assert all(alive(number) for number in workers)
            search.send_signal(end)
            wait(lambda: not any(alive(number) for number in workers), 20)
        finally:
            search.kill()


def test_there_is_a_worker():
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        LocalProcesses(ToyTraining, 0)
