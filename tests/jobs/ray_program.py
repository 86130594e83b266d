"""Lists of jobs on a Ray cluster of this machine, as a program: what becomes of them, as JSON.

Ray changes the process that starts a cluster, so it is not that of the tests.
"""

import functools
import json
import os
import sys
from pathlib import Path

from jaxnas.jobs.job import InProcess, WorkersError
from jaxnas.jobs.ray_cluster import RayWorkers
from support.toy_jobs import JOBS, Told, Toy, done, end_at_once, marks, without_data


def told(make, workers=1, **options):
    """The results, or the sentence of the error."""
    try:
        with RayWorkers(workers, **{"cpus": 0.1} | options) as executor:
            return done(executor, make)
    except (LookupError, WorkersError) as error:
        return f"{type(error).__name__}: {error}"


def once(folder):
    """A worker is killed; and what is refused, in the cluster that the first executor starts."""
    toy = functools.partial(Toy, folder, seconds=0.05)
    before, os.environ["RAY_ADDRESS"] = os.environ["RAY_ADDRESS"], "nowhere at all"
    yield "address", told(toy)
    os.environ["RAY_ADDRESS"] = before
    with RayWorkers(2, cpus=0.1) as outer:
        watchers, deadly = Told(), functools.partial(toy, "once")
        yield "once", done(outer, deadly, watch=watchers.watch)
        yield "watched", [watchers.steps, sorted(watchers.lines), watchers.ended]
        yield "pids", marks(folder)
        yield "again", done(outer, deadly, JOBS[:3])
        yield "nothing", done(outer, deadly, [])
        yield "workers", len(marks(folder))
        yield "without data", told(without_data)
        yield "gpus", told(toy, 2, gpus=0.5)
        yield "room", told(toy, 9999)
        RayWorkers.start_seconds = 2.0
        yield "busy", told(toy, cpus=outer._ray.cluster_resources()["CPU"])
    yield "left", children()
    yield "expected", done(InProcess(), toy)


def always(folder):
    """Workers die over and over again."""
    with RayWorkers(1, cpus=0.1) as outer:
        done(outer, functools.partial(Toy, folder), JOBS[:1])
        yield "always", told(functools.partial(Toy, folder, "always"), 2)
        yield "no start", told(end_at_once)


def endless(folder):
    """Until it is killed."""
    yield "never", told(functools.partial(Toy, folder, seconds=60.0), 2)


def children():
    """The processes that this one has started and that are there."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


if __name__ == "__main__":
    found = dict({"once": once, "always": always, "endless": endless}[sys.argv[1]](sys.argv[2]))
    Path(sys.argv[2], "result.json").write_text(json.dumps(found))
