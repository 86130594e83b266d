"""A list of jobs with folders, as a program that can be killed: WORKERS FOLDER."""

import functools
import os
import sys
import time
from pathlib import Path

from jaxnas.jobs.folders import FolderJob, do_all
from jaxnas.jobs.job import unwatched
from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.storage.directory import RunDirectory, run_once

COUNT = 8


class Writer:
    """The work: two files in the folder of a job."""

    def __init__(self, top, seconds=0.0):
        self.top, self.seconds = Path(top), seconds

    def __call__(self, number, watcher):
        def work(folder):
            (folder.path / f"begun{os.getpid()}").touch()
            time.sleep(self.seconds)
            return number

        run_once(self.top / str(number), {}, work)


def jobs(top, count=COUNT):
    """The first `count` jobs of a folder."""
    return [FolderJob(f"job {n}", n, Path(top) / str(n)) for n in range(count)]


if __name__ == "__main__":
    with (
        RunDirectory(sys.argv[2], {}, resume=True) as run,
        WorkerFlags(workers=sys.argv[1]).executor() as executor,
    ):
        make = functools.partial(Writer, sys.argv[2], 0.1)
        skipped = []
        do_all(executor, make, run.path, jobs(run.path), unwatched, skipped.append)
    print(len(skipped), "had been done")
