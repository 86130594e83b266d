"""The folder of a run: locked, and only ever in a state that can be resumed."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxnas import reading
from jaxnas.errors import refuse_other_bytes
from jaxnas.storage import files
from jaxnas.storage.environment import environment
from jaxnas.storage.files import RunError
from jaxnas.storage.metrics import Metrics

_LOCK = ".lock"
_CONFIG = "config.json"
_ABSENT = "absent"
OUTCOME = "outcome.json"
"""What the folder of finished work has: its outcome, written last."""
DATA = "data_sha256"
"""The field of a configuration that holds `Dataset.fingerprint`, which a resumed run must have."""
WEIGHTS = "weights_sha256"
"""The field that holds the fingerprint of the weights that training started from, if any."""
DATA_READ = "data.txt"
"""What the folder of a run on images has: which were read, and which were left out."""


class InUseError(RunError):
    """A folder that another process holds."""


class RunDirectory:
    """A run's folder, held by this process alone while the context is open.

        with RunDirectory("runs/seed0", config, resume=True) as run:
            run.log({"epoch": 1, "train_loss": 2.3})

    The lock is the kernel's: it goes when the process goes, however it goes.

    Attributes:
      path: the folder.
      resumed: whether it holds an earlier run that is being resumed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: dict[str, Any],
        *,
        resume: bool | None = False,
        overwrite: bool = False,
        growing: Mapping[str, str] | None = None,
        data: str | None = None,
    ) -> None:
        """Takes note only; the folder is created, locked and checked on entering the context.

        Args:
          path: the folder, which may not be there yet.
          config: JSON-able, without the key ``environment``, which is added.
          resume: go on with the earlier run in the folder, if there is one; None of a script that
            has no such flag.
          overwrite: delete the earlier run in the folder, if there is one, with all its files.
          growing: fields of the configuration, by dotted name, that an earlier run may have a
            smaller number in, with what forbids it, which is empty where it may: then work in its
            folder that is done is gone on with.
          data: what was read and left out, which `DATA_READ` keeps; None of a run without data.

        Raises:
          RunError: if both `resume` and `overwrite` are asked for, the path is no UTF-8, or
            `config` has no JSON form.
            On entering: if the folder is in use, holds an earlier run and neither is asked for,
            holds something else, or is to be resumed with another configuration.
        """
        self.path = Path(path)
        refuse_other_bytes(os.path.realpath(self.path), RunError)
        self.resumed = False
        self._lock: int | None = None
        self._resume, self._overwrite = resume, overwrite
        self._growing, self._grown = growing or {}, False
        self._data = data
        if resume and overwrite:
            raise RunError("--resume and --overwrite exclude each other; give one of them")
        if "environment" in config:
            raise RunError("the configuration must not hold 'environment', which is added to it")
        # Compared as what it becomes in the file: a tuple is a list there.
        self._config = files.from_json(files.to_json(config, _CONFIG), self.path / _CONFIG)

    def check(self, *, partial: bool = False) -> None:
        """Raises what entering would raise of a folder that is there; creates nothing.

        With `partial` neither what the configuration lacks is compared nor its fields of data.
        """
        self._refuse_strange_folder()
        if (self.path / _LOCK).exists():
            self._take_lock()  # or is told who holds it
            self._release()
        if self._resume and self._entries():
            self._refuse_other_config(partial)

    def __enter__(self) -> RunDirectory:
        # Before the lock, so that not even a lock file is left in a folder that is no run.
        self._refuse_strange_folder()
        self._take_lock()
        try:
            self._refuse_strange_folder()
            self._start()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def write_text(self, name: str, text: str) -> None:
        """Writes the file `name` of the folder, whole or not at all; what is no UTF-8, escaped."""
        files.write_bytes(self.path / name, text.encode("utf-8", "backslashreplace"))

    def write_json(self, name: str, value: Any) -> None:
        """Writes `value` as JSON, whole or not at all.

        Raises:
          RunError: naming the field, if a number is not finite or a value has no JSON form.
        """
        self.write_text(name, files.to_json(value, name, indent=1) + "\n")

    def read_json(self, name: str) -> Any:
        """What `write_json` wrote.

        Raises:
          RunError: if the file is missing or damaged.
        """
        return files.from_json(files.read_text(self.path / name), self.path / name)

    def log(self, row: dict[str, Any]) -> None:
        """Appends a row of metrics, with at least an int ``epoch``; see `Metrics.log`."""
        self._metrics.log(row)

    def rows(self) -> list[dict[str, Any]]:
        """All rows of metrics, oldest first."""
        return self._metrics.rows()

    def truncate(self, epoch: int) -> None:
        """Drops the rows of metrics of epochs after `epoch`, those that will be run again."""
        self._metrics.truncate(epoch)

    def _entries(self) -> list[Path]:
        """The folder's content but for the lock and files that a kill left half-written."""
        try:
            entries = sorted(self.path.iterdir())
        except FileNotFoundError:
            if told := reading.link_to_nothing(self.path):
                raise RunError(f"{told}; remove it or use another --run-dir") from None
            return []
        except NotADirectoryError as error:
            raise RunError(f"{self.path} is a file; use another --run-dir") from error
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be read ({error.strerror}); use another --run-dir"
            ) from error
        return [entry for entry in entries if entry.name != _LOCK and not _unfinished(entry)]

    def _refuse_strange_folder(self) -> None:
        entries = self._entries()
        if not entries:
            return
        config = self.path / _CONFIG
        strange = RunError(
            f"{self.path} is not empty and not the folder of a run (it holds {entries[0].name!r}); "
            "use another --run-dir"
        )
        if config not in entries:
            raise strange
        if not (self._resume or self._overwrite):
            if self._lock is None and (self.path / _LOCK).exists():
                self._take_lock()  # where another process holds it, that is what to say
                self._release()
            raise RunError(
                f"{self.path} holds an earlier run; use "
                f"{'' if self._resume is None else '--resume to go on with it, '}"
                "--overwrite to delete it, or another --run-dir"
            )
        if self._overwrite and (self.path / _LOCK).exists():
            return  # a run, even if its config.json is damaged
        earlier = files.from_json(files.read_text(config), config)
        if not isinstance(earlier, dict) or not isinstance(earlier.get("environment"), dict):
            raise strange  # some other program's config.json

    def _take_lock(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = _open_lock(self.path, os.O_CREAT)
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written ({error.strerror}); use another --run-dir"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise InUseError(
                f"{self.path} is in use by another run (process {holder}); "
                "wait for it or use another --run-dir"
            ) from error
        self._lock = lock
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode("ascii"))

    def _release(self) -> None:
        # The lock file stays: to remove it would let two runs lock two files of one name.
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start(self) -> None:
        entries = self._entries()
        for leftover in self.path.iterdir():
            if _unfinished(leftover):
                leftover.unlink()
        if entries and self._overwrite:
            # config.json goes last: killed half-way, the folder is still known as a run's.
            for entry in sorted(entries, key=lambda entry: entry.name == _CONFIG):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            entries = []
        self.resumed = bool(entries)
        if self.resumed:
            self._refuse_other_config()
            if self._grown:  # config.json goes last: killed half-way, it is the earlier run still
                for outcome in self.path.glob(f"*/{OUTCOME}"):
                    outcome.unlink()
                own = self.read_json(_CONFIG)["environment"]
                self.write_json(_CONFIG, self._config | {"environment": own})
        else:
            self.write_json(_CONFIG, self._config | {"environment": environment()})
        if self._data is not None:
            self.write_text(DATA_READ, self._data + "\n")
        self._metrics = Metrics(self.path)

    def _refuse_other_config(self, partial: bool = False) -> None:
        earlier = self.read_json(_CONFIG)
        del earlier["environment"]
        before, now = _flat(earlier), _flat(self._config)
        data_before, data_now = before.pop(DATA, _ABSENT), now.pop(DATA, _ABSENT)
        weights_before, weights_now = before.pop(WEIGHTS, _ABSENT), now.pop(WEIGHTS, _ABSENT)
        different = {
            name: f"{name} was {before.get(name, _ABSENT)} and is {now.get(name, _ABSENT)}"
            for name in dict.fromkeys([*before, *now])
            if not (partial and (name not in now or name.startswith("data.")))
            and before.get(name, _ABSENT) != now.get(name, _ABSENT)
        }
        if data_before != data_now != _ABSENT:
            flags = [each for name, each in different.items() if name.startswith("data.")]
            raise RunError(
                f"{self.path} holds a run of a version that did not record {DATA}, which data set "
                "it began with; use --overwrite, or use another --run-dir"
                if data_before == _ABSENT
                else f"{self.path} holds a run that began with another data set: "
                f"{', '.join(flags) or 'its images, labels or class names were others'}; resume "
                "with the earlier one, use --overwrite, or use another --run-dir"
            )
        if weights_before != weights_now and not partial:
            how = "without" if weights_before == _ABSENT else "from other"
            if weights_now == _ABSENT:
                how = "from"
            raise RunError(
                f"{self.path} holds a run that began {how} --weights; resume it as it began, use "
                "--overwrite, or use another --run-dir"
            )
        grown = [
            name
            for name in different
            if name in self._growing and _grows(before.get(name), now.get(name))
        ]
        reasons = {self._growing[name] for name in grown} - {""}
        self._grown = not reasons and grown == list(different) != []
        if different and not self._grown:
            why = f" ({', '.join(reasons)})" if reasons else ""
            raise RunError(
                f"{self.path} holds a run of another configuration: "
                f"{', '.join(different.values())}{why}; resume with the earlier values, use "
                "--overwrite, or use another --run-dir"
            )


def run_once(path: Path, config: dict[str, Any], work: Callable[[RunDirectory], Any]) -> Any:
    """The outcome of work in a folder of its own, which is done unless it was done before.

    Args:
      path: the folder.
      config: see `RunDirectory`.
      work: what is done in the folder; gives its outcome, JSON-able.

    Returns:
      the outcome, as its file has it.

    Raises:
      RunError: see `RunDirectory`, and if an outcome that is there is damaged.
    """
    with RunDirectory(path, config, resume=True) as folder:
        if not (folder.path / OUTCOME).exists():
            folder.write_json(OUTCOME, work(folder))
        return folder.read_json(OUTCOME)


def refuse_while_used(path: Path) -> None:
    """Raises an InUseError if another process holds a folder anywhere below `path`."""
    for file in sorted(path.rglob(_LOCK)):
        if error := in_use(file.parent):
            raise error


def in_use(path: Path) -> InUseError | None:
    """An error if another process holds the folder `path`, which need not be there."""
    try:
        lock = _open_lock(path)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return InUseError(f"{path} is in use by another run; wait for it or use another --run-dir")
    finally:
        os.close(lock)
    return None


def _open_lock(folder: Path, create: int = 0) -> int:
    """The descriptor of a folder's lock.

    Raises:
      RunError: if what has its name is no file, which alone can be locked for every process.
      OSError: if it cannot be opened.
    """
    path = folder / _LOCK
    if path.exists():
        try:
            reading.regular(path)
        except OSError as error:
            raise RunError(f"{path} cannot be a run's lock ({error}); remove it") from error
    return os.open(path, os.O_RDWR | create, 0o644)


def _unfinished(path: Path) -> bool:
    """Whether a kill left the file before it got its name."""
    start, end = files.TEMPORARY.split("{}")
    return path.name.startswith(start) and path.name.endswith(end) and path.is_file()


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested fields by dotted name, each as JSON text, which tells 1 from 1.0 and true."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = files.to_json(value, _CONFIG)
    return flat


def _grows(before: str | None, now: str | None) -> bool:
    """Whether both JSON texts are whole numbers, the second one greater."""
    both = [json.loads(text or "null") for text in (before, now)]
    return all(type(each) is int for each in both) and both[0] < both[1]


def checked_directory(settings: Any) -> RunDirectory:
    """The run directory of a script that cannot be resumed, checked before anything takes long.

    Args:
      settings: a dataclass with `run_dir` and `overwrite`; all else of it is the configuration, but
        for where data is (`data_dir`, `table`).

    Raises:
      RunError: if the directory cannot be used.
    """
    places = ("run_dir", "overwrite", "data_dir", "table")
    config = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name not in places
    }
    directory = RunDirectory(settings.run_dir, config, resume=None, overwrite=settings.overwrite)
    directory.check()
    return directory
