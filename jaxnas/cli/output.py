"""What commands print and write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rich.console
import tyro

from jaxnas.storage import files
from jaxnas.storage.files import RunError

Flag = tyro.conf.FlagCreatePairsOff[bool]
"""A flag that is off unless it is given."""


def console() -> rich.console.Console:
    """Where sentences go, as they are: names may hold brackets."""
    return rich.console.Console(markup=False, highlight=False)


def say(sentence: str) -> None:
    """Prints a sentence, which is not broken."""
    console().print(sentence, soft_wrap=True)


def print_json(value: Any) -> None:
    """Prints a value as indented JSON."""
    print(json.dumps(value, indent=1))


def print_list(row: dict[str, Any]) -> None:
    """Prints a line a field: numbers are never cut, however narrow the terminal."""
    width = max(map(len, row))
    for name, value in row.items():
        text = f"{value:,}" if isinstance(value, int) else value
        say(f"{name.replace('_', ' '):{width}}  {text}")


def write(path: Path, content: bytes, *, tell: bool = True) -> None:
    """Writes a file and says so, unless `tell` is false.

    Raises:
      RunError: see `refuse_no_folder`.
      WriteError: if it cannot be written.
    """
    refuse_no_folder(path)
    files.write_bytes(path, content)
    if tell:
        say(f"Wrote {path}")


def refuse_no_folder(path: Path) -> None:
    """Raises a RunError unless a file can be made of that path, before what takes long."""
    if not path.parent.is_dir():
        raise RunError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise RunError(f"{path} cannot be written: it is a folder")
