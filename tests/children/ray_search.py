"""Searches on a Ray cluster of this machine, as a program: what becomes of them, as JSON.

Ray changes the process that starts a cluster, so it is not that of the tests. Workers import
nothing of JAX here: they start often.
"""

import functools
import json
import os
import signal
import sys
import time
from pathlib import Path

from jaxnas.children import ray_evaluator
from jaxnas.children.evaluators import InProcess
from jaxnas.children.ray_evaluator import RayWorkers
from jaxnas.storage.files import RunError

CANDIDATES = [(first, second) for first in range(4) for second in range(6)]


class Toy:
    """In the place of `ChildTraining`; what becomes of a child is a function of its decisions.

    `die` is whether the worker of the fifth child kills itself: "never", "once" or "always".
    """

    def __init__(self, folder, die="never", seconds=0.0):
        self.folder, self.die, self.seconds = Path(folder), die, seconds

    def train(self, candidate, epochs):
        with open(self.folder / f"pid{os.getpid()}", "a") as mark:
            mark.write("{}-{} ".format(*candidate))
        time.sleep(self.seconds)
        died = self.folder / "died"
        dies = {"never": False, "once": not died.exists(), "always": True}[self.die]
        if candidate == CANDIDATES[4] and dies:
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return candidate, (10.0 * sum(candidate) + epochs,), {}, ""


def without_data():
    raise LookupError("there is no such data set")


def end_at_once():
    os._exit(1)


def train(evaluator, candidates=CANDIDATES):
    with evaluator:
        return sorted(evaluator.evaluate(candidates, 3))


def told(make, workers=1, **options):
    """The outcomes, or the sentence of the error."""
    try:
        return train(RayWorkers(make, workers, **{"cpus": 0.1} | options))
    except (LookupError, RunError) as error:
        return f"{type(error).__name__}: {error}"


def once(folder):
    """A worker is killed; and what is refused, in the cluster that the first evaluator starts."""
    toy = functools.partial(Toy, folder, seconds=0.05)
    before, os.environ["RAY_ADDRESS"] = os.environ["RAY_ADDRESS"], "nowhere at all"
    yield "address", told(toy)
    os.environ["RAY_ADDRESS"] = before
    with RayWorkers(functools.partial(toy, "once"), 2, cpus=0.1) as outer:
        yield "once", sorted(outer.evaluate(CANDIDATES, 3))
        yield "pids", marks(folder)
        yield "again", sorted(outer.evaluate(CANDIDATES[:3], 3))
        yield "nothing", list(outer.evaluate([], 3))
        yield "without data", told(without_data)
        yield "gpus", told(toy, 2, gpus=0.5)
        yield "room", told(toy, 9999)
        ray_evaluator.START_SECONDS = 2.0
        yield "busy", told(toy, cpus=outer._ray.cluster_resources()["CPU"])
    yield "left", children()
    yield "expected", train(InProcess(toy))


def always(folder):
    """Workers die over and over again."""
    with RayWorkers(functools.partial(Toy, folder), 1, cpus=0.1) as outer:
        list(outer.evaluate(CANDIDATES[:1], 3))
        yield "always", told(functools.partial(Toy, folder, "always"), 2)
        yield "no start", told(end_at_once)


def endless(folder):
    """Until it is killed."""
    toy = functools.partial(Toy, folder, seconds=60.0)
    yield "never", train(RayWorkers(toy, 2, cpus=0.1))


def marks(folder):
    """What each worker has begun: candidates by the worker's number."""
    return {mark.name: mark.read_text().split() for mark in Path(folder).glob("pid*")}


def children():
    """The processes that this one has started and that are there."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


if __name__ == "__main__":
    found = dict({"once": once, "always": always, "endless": endless}[sys.argv[1]](sys.argv[2]))
    Path(sys.argv[2], "result.json").write_text(json.dumps(found))
