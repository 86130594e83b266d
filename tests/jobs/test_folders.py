"""Jobs with folders: nothing is lost and nothing doubled, whoever is killed or is at it besides."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxnas.jobs import folders
from jaxnas.jobs.folders import FolderJob, do_all, do_in_folders
from jaxnas.jobs.job import InProcess, Watcher, WorkersError, unwatched
from jaxnas.storage.directory import InUseError, RunDirectory
from support.processes import wait

from .folder_program import COUNT, Writer, jobs

SCRIPT = Path(__file__).with_name("folder_program.py")


@pytest.fixture
def top(tmp_path):
    with RunDirectory(tmp_path / "run", {"a": 1}) as run:
        yield run.path


def test_what_is_done_and_what_is_held_is_left_alone(top):
    make, skipped = functools.partial(Writer, top), []
    arguments = (InProcess(), make, top, jobs(top, 3), unwatched, skipped.append)
    Writer(top)(0, Watcher())
    before = jobs(top)[0].done.stat().st_mtime_ns
    with RunDirectory(top / "1", {}):
        found = list(do_in_folders(*arguments))
        with pytest.raises(InUseError, match="1 is in use by another run"):
            do_all(*arguments)
    assert [(job.payload, error is None) for job, error in found] == [(2, True), (1, False)]
    assert skipped == ["job 0", "job 0", "job 2"]
    assert jobs(top)[0].done.stat().st_mtime_ns == before
    do_all(*arguments)
    assert all(job.done.exists() for job in jobs(top, 3))


def test_a_folder_that_is_taken_meanwhile_is_left_to_its_holder(top):
    def taken():
        def work(number, watcher):
            with RunDirectory(top / str(number), {}, resume=True):
                Writer(top)(number, watcher)

        return work

    ((_, error),) = do_in_folders(InProcess(), taken, top, jobs(top, 1), unwatched, print)
    assert isinstance(error, InUseError)


def test_a_worker_that_does_not_see_the_folder_says_so(top, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_SEEN_SECONDS", 0.0)
    make = functools.partial(Writer, top)
    for place in (tmp_path / "elsewhere", top):
        with pytest.raises(WorkersError, match=rf"does not see {place}; choose a --run-dir"):
            folders._in_sight(make, place, "another machine's", sys.argv)
    elsewhere = [FolderJob("job 0", 0, tmp_path / "elsewhere")]
    with pytest.raises(WorkersError, match=r"job 0 is done, but there is no .*/outcome.json"):
        do_all(InProcess(), make, top, elsewhere, unwatched, print)


@pytest.mark.slow  # workers import what folders need
@pytest.mark.parametrize("workers", ["in-process", "processes"])
def test_a_driver_that_is_killed_goes_on(tmp_path, workers):
    path = os.pathsep.join(str(folder) for folder in (SCRIPT.parents[1], SCRIPT.parents[2]))
    command = [sys.executable, SCRIPT, workers, tmp_path / "run"]
    options = {"env": {**os.environ, "PYTHONPATH": path}, "stdout": subprocess.PIPE, "text": True}
    for least in (1, 4):
        with subprocess.Popen(command, **options) as driver:
            wait(lambda least=least: len(list(tmp_path.glob("run/*/outcome.json"))) >= least, 60)
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        wait(lambda: not any(folders.in_use(each) for each in tmp_path.glob("run/*/")), 20)
        done = {each: each.stat().st_mtime_ns for each in tmp_path.glob("run/*/outcome.json")}
        assert least <= len(done) < COUNT
    last = subprocess.run(command, check=True, **options)
    assert last.stdout.split()[0] == str(len(done))
    assert {each: each.stat().st_mtime_ns for each in done} == done, "done twice"
    assert len(list(tmp_path.glob("run/*/outcome.json"))) == COUNT
