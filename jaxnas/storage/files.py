"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from jaxnas import reading
from jaxnas.errors import ExecutionError, UserError

ADVICE = "restore it, use --overwrite, or use another --run-dir"
"""What to do about a damaged file of a run, where nothing better is known."""

TEMPORARY = ".{}.tmp"
"""What a file is called until it is complete; a run's lock sees to there being one writer."""


class RunError(UserError, RuntimeError):
    """What a run has to leave behind cannot be read or written; says what to do about it."""


class WriteError(RunError, ExecutionError):
    """What a run makes cannot be written: the disk is full, or a number is not finite."""


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, atomically: a reader, or a kill, finds the old file or the new.

    Raises:
      WriteError: if it cannot be written.
    """
    temporary = path.with_name(TEMPORARY.format(path.name))
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}); "
            "make room, or choose another place"
        ) from error


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it, where they are not there.

    Raises:
      RunError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = reading.link_to_nothing(path) or error.strerror
        raise RunError(f"{path} cannot be made ({cause}); choose another folder") from error


def sync_folder(folder: Path) -> None:
    """Puts the folder's entries on disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(value: Any, where: str, *, indent: int | None = None) -> str:
    """JSON text of `value`; scalars of NumPy and JAX are written as plain numbers.

    Raises:
      WriteError: naming `where` and the field that is not finite or has no JSON form.
    """
    try:
        return json.dumps(value, indent=indent, allow_nan=False, default=_plain)
    except (ValueError, TypeError) as error:
        culprit = _culprit(value, "")
        raise WriteError(
            f"{where}: {culprit or 'the value'} has no JSON form ({error}); "
            "write finite numbers, text, lists and dicts only"
        ) from error


def from_json(text: str, path: Path, advice: str = ADVICE) -> Any:
    """The value in JSON `text` read from `path`.

    Raises:
      RunError: naming `path` and giving the `advice`, if `reading.from_json` refuses the text.
    """
    try:
        return reading.from_json(text)
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); {advice}") from error


def read_text(path: Path, advice: str = ADVICE) -> str:
    """The text of a file.

    Raises:
      RunError: naming `path`, if it is missing, or unreadable, for which it gives the `advice`.
    """
    try:
        return reading.read_text(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(f"there is no {path}; is {path.parent} the folder of a run?") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}); {advice}") from error


def _plain(value: Any) -> Any:
    """The Python number in a NumPy or JAX scalar."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no number, text, list or dict")


def _culprit(value: Any, where: str) -> str:
    """The place of the first value in a nest of dicts and lists that has no JSON form."""
    if isinstance(value, dict):
        items = [(f"{where}.{key}" if where else str(key), each) for key, each in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{where}[{index}]", each) for index, each in enumerate(value)]
    else:
        try:
            json.dumps(value, allow_nan=False, default=_plain)
        except (ValueError, TypeError):
            return f"{where} = {value!r}"
        return ""
    return next((found for name, each in items if (found := _culprit(each, name))), "")
