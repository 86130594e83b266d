"""Jobs that cost nothing: what one comes to is a function of its payload. Nothing of JAX is needed,
since workers start often."""

import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path

from jaxnas.jobs.job import Job, Watcher

JOBS = [Job(f"toy {number}", number) for number in range(24)]
DEADLY = JOBS[4]


class Toy:
    """The work, which leaves a line in `folder` for every job that a worker begins.

    `die` is whether the worker of `DEADLY` kills itself: "never", "once" or "always".
    """

    def __init__(self, folder, die="never", seconds=0.0):
        self.folder, self.die, self.seconds = Path(folder), die, seconds

    def __call__(self, number, watcher):
        with open(self.folder / f"pid{os.getpid()}", "a") as mark:
            mark.write(f"{number} ")
        watcher.progress()
        time.sleep(self.seconds)
        died = self.folder / "died"
        dies = {"never": False, "once": not died.exists(), "always": True}[self.die]
        if number == DEADLY.payload and dies:
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        watcher.progress()
        watcher.tell(f"told by {number}")
        watcher.on_epoch({"epoch": 1, "number": number})
        return 10 * number


class Told:
    """What watchers were told, by job."""

    def __init__(self):
        self.steps, self.lines, self.rows, self.ended = Counter(), [], [], Counter()

    @contextlib.contextmanager
    def watch(self, job):
        self.steps[job.name] = 0

        def progress():
            self.steps[job.name] += 1

        yield Watcher(progress, self.lines.append, self.lines.append, self.rows.append)
        self.ended[job.name] += 1


def without_data():
    raise LookupError("there is no such data set")


def end_at_once():
    os._exit(1)


def done(executor, make, jobs=JOBS, **options):
    """Names and results, in the order of the list."""
    return sorted(((job.payload, result) for job, result in executor.run(make, jobs, **options)))


def marks(folder):
    """What each worker has begun, by its number."""
    return {mark.name: mark.read_text().split() for mark in Path(folder).glob("pid*")}
