"""Whoever does the jobs, all are done, each once, also where workers are killed."""

import functools
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

from jaxnas.jobs.job import InProcess, WorkersError
from jaxnas.jobs.pool import MOST_DEATHS
from jaxnas.jobs.processes import LocalProcesses
from support.processes import alive, wait
from support.toy_jobs import DEADLY, JOBS, Told, Toy, done, end_at_once, marks, without_data

TESTS = Path(__file__).parents[1]


def test_all_ways_come_to_the_same_and_tell_the_same(tmp_path):
    make = functools.partial(Toy, tmp_path)
    expected = [(job.payload, 10 * job.payload) for job in JOBS]
    for executor in (InProcess(), LocalProcesses(2)):
        told = Told()
        with executor as each:
            assert done(each, make, watch=told.watch) == expected
            assert done(each, make, JOBS[:3]) == expected[:3], "workers are there again"
            assert done(each, make, []) == []
        assert told.steps == {job.name: 2 for job in JOBS}
        assert sorted(told.lines) == sorted(f"told by {job.payload}" for job in JOBS)
        assert sorted(row["number"] for row in told.rows) == [job.payload for job in JOBS]
        assert told.ended == Counter(job.name for job in JOBS)
    pids = marks(tmp_path)
    assert 2 <= len(pids) <= 3, "one may do all before the other is ready"
    assert len(pids.pop(f"pid{os.getpid()}")) == 27
    assert sum(map(len, pids.values())) == 27


def test_a_job_is_taken_when_a_worker_can_start_it(tmp_path):
    taken = []

    def jobs():
        for job in JOBS[:6]:
            taken.append(job)
            yield job

    with LocalProcesses(2) as workers:
        for finished, _ in enumerate(workers.run(functools.partial(Toy, tmp_path), jobs())):
            assert len(taken) <= finished + 1 + 2 + 1


def fail(payload, watcher):
    raise LookupError(f"nothing for {payload}")


def failing():
    return fail


@pytest.mark.parametrize(
    ("make", "message"), [(without_data, "no such data set"), (failing, "nothing for 0")]
)
def test_what_a_job_raises_ends_the_list(make, message):
    with LocalProcesses(1) as workers, pytest.raises(LookupError, match=message) as caught:
        done(workers, make)
    assert (
        "test_processes.py" in caught.value.__notes__[0] or "toy_jobs" in caught.value.__notes__[0]
    )


def warn(payload, watcher):
    warnings.warn("first\nsecond", stacklevel=1)
    logging.getLogger("a.library").error("it failed:\nhere")


def warning():
    return warn


def test_what_libraries_tell_in_a_worker_is_a_line_each(capfd):
    with LocalProcesses(1) as workers:
        done(workers, warning, JOBS[:2])
    assert capfd.readouterr().err == "warning: first second\n" + "a.library: it failed:\n" * 2


def test_what_cannot_be_sent_is_told_in_a_sentence():
    with LocalProcesses(1) as workers, pytest.raises(WorkersError, match="cannot be sent to them"):
        done(workers, lambda: None)


@pytest.mark.slow
def test_a_killed_workers_job_is_done_again(tmp_path):
    told = Told()
    with LocalProcesses(2) as workers:
        found = done(workers, functools.partial(Toy, tmp_path, "once", 0.02), watch=told.watch)
    assert found == [(job.payload, 10 * job.payload) for job in JOBS]
    assert (tmp_path / "died").exists(), "no worker died"
    begun = Counter(number for numbers in marks(tmp_path).values() for number in numbers)
    assert begun.pop(str(DEADLY.payload)) == 2
    assert set(begun.values()) == {1}, "done twice"
    assert told.ended == Counter(job.name for job in JOBS)


@pytest.mark.slow  # three times a process
def test_a_job_that_always_kills_its_worker_ends_the_list(tmp_path):
    message = f"died {MOST_DEATHS} times while it worked on {DEADLY.name}; .* lower --worker-count"
    with LocalProcesses(2) as workers, pytest.raises(WorkersError, match=message):
        done(workers, functools.partial(Toy, tmp_path, "always"))
    message = f"died {MOST_DEATHS} times in their start: exit status 1"
    with LocalProcesses(2) as workers, pytest.raises(WorkersError, match=message):
        done(workers, end_at_once)


DRIVER = """
import functools, sys
from jaxnas.jobs.processes import LocalProcesses
from support.toy_jobs import JOBS, Toy

if __name__ == "__main__":
    with LocalProcesses(2) as workers:
        list(workers.run(functools.partial(Toy, sys.argv[1], seconds=60), JOBS))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes as Linux has them")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_driver(tmp_path, end):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    path = os.pathsep.join(str(folder) for folder in (TESTS, TESTS.parent))
    command = [sys.executable, script, tmp_path]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as driver:
        try:
            wait(lambda: len(list(tmp_path.glob("pid*"))) == 2, 60)
            workers = [int(mark.name.removeprefix("pid")) for mark in tmp_path.glob("pid*")]
            assert all(alive(number) for number in workers)
            driver.send_signal(end)
            wait(lambda: not any(alive(number) for number in workers), 20)
        finally:
            driver.kill()


def test_there_is_a_worker():
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        LocalProcesses(0)
