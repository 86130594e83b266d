"""Jobs that leave what they come to in a folder each, where a last file says that they are done.

The folders lie below one that all workers see. A job is done by whoever holds its folder's lock, so
that several programs may share a list.
"""

from __future__ import annotations

import functools
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxnas.jobs.job import Executor, Job, MakeWork, Watch, Watcher, Work, WorkersError
from jaxnas.storage import files
from jaxnas.storage.directory import OUTCOME, InUseError, in_use

_CONFIG = "config.json"
_SEEN_SECONDS = 60.0
"""How long a network's file system may take to show one machine what another has written."""


class FolderJob(NamedTuple):
    """A job with a folder.

    Attributes:
      name: no other job of the list has it.
      payload: what the work is given; picklable. The work goes through
        `storage.directory.run_once`.
      folder: of the job, in which an outcome says that it is done.
    """

    name: str
    payload: Any
    folder: Path

    @property
    def done(self) -> Path:
        """What is there once it is done."""
        return self.folder / OUTCOME


def do_in_folders(
    executor: Executor,
    make: MakeWork,
    top: Path,
    jobs: Iterable[FolderJob],
    watch: Watch,
    skip: Callable[[str], None],
) -> Iterator[tuple[FolderJob, InUseError | None]]:
    """Sees to it that all jobs are done, but for those that another program is at.

    Args:
      executor: who does them.
      make: makes the work, which is done in the folders.
      top: the folder of a run, in which those of the jobs are.
      jobs: of different names.
      watch: see `Executor.run`.
      skip: told the name of a job that has been done before.

    Returns:
      each job that was not done before, with None, or an error that names who is at it.

    Raises:
      WorkersError: see `Executor.run`, and if a worker does not see the folders.
    """
    by_name = {job.name: job for job in jobs}
    held: list[tuple[FolderJob, InUseError | None]] = []

    def to_do() -> Iterator[Job]:
        for job in by_name.values():
            if job.done.exists():
                skip(job.name)
            elif error := in_use(job.folder):
                held.append((job, error))
            else:
                yield Job(job.name, job.payload)

    config = files.read_text(top / _CONFIG)
    there = functools.partial(_in_sight, make, top.resolve(), config, sys.argv)
    for (name, _), error in executor.run(there, to_do(), watch):
        job = by_name[name]
        if error is None and not _appears(job.done):
            raise WorkersError(f"{name} is done, but there is no {job.done}; {_shared(top)}")
        yield job, error
    yield from held


def do_all(
    executor: Executor,
    make: MakeWork,
    top: Path,
    jobs: Iterable[FolderJob],
    watch: Watch,
    skip: Callable[[str], None],
) -> None:
    """`do_in_folders` of what no other program may be at.

    Raises:
      InUseError: if one is.
    """
    for _, error in do_in_folders(executor, make, top, jobs, watch, skip):
        if error is not None:
            raise error


def _in_sight(make: MakeWork, top: Path, config: str, command: list[str]) -> Work:
    """In a worker: makes the work if it sees the folders."""
    if not _appears(top / _CONFIG) or files.read_text(top / _CONFIG) != config:
        raise WorkersError(f"{platform.node()} does not see {top}; {_shared(top)}")
    sys.argv = command  # what a folder's config.json tells of
    work = make()

    def careful(payload: Any, watcher: Watcher) -> InUseError | None:
        try:
            work(payload, watcher)
        except InUseError as error:
            return error
        return None

    return careful


def _shared(top: Path) -> str:
    return (
        f"choose a --run-dir in the place of {top} on a file system that all machines of the "
        "cluster share"
    )


def _appears(path: Path) -> bool:
    """Whether a file is there, or is so soon."""
    until = time.monotonic() + _SEEN_SECONDS
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(1)
        if path.parent.exists():
            list(path.parent.iterdir())  # asks a network's server anew
    return True
