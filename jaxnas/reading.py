"""How what a user gives is read: files that end, JSON that says one thing, and plain numbers."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_DEEPEST = 100  # levels of lists and objects in JSON; what is written here has some ten
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular(path: Path) -> Path:
    """The path, if it is a file or a link to one; the reader of a pipe might wait for ever.

    Raises:
      OSError: if it is anything else, or is not there.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(f"it is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file")
    return path


def link_to_nothing(path: Path) -> str | None:
    """That the path is, or leads over, a link to what is not there, as a clause; else None."""
    if not path.exists():
        for each in (path, *path.parents):
            if each.is_symlink() and not each.exists():
                return f"{each} is a link to {os.readlink(each)}, where there is nothing"
    return None


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
      OSError: see `regular`, and if it cannot be read.
      UnicodeDecodeError: if it is no UTF-8.
    """
    return regular(path).read_text(encoding="utf-8")


def from_json(text: str) -> Any:
    """The value in JSON text.

    Raises:
      ValueError: if it is none, is nested deeper than `_DEEPEST`, has a number that is not finite,
        or an object with two values of one name.
    """
    try:
        value = json.loads(
            text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _inside(each)]
    if level:
        raise ValueError("it is nested too deeply")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    name = repeated(name for name, _ in pairs)
    if name is not None:
        raise ValueError(f"an object has {name!r} twice")
    return dict(pairs)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def repeated(names: Iterable[str]) -> str | None:
    """The first of the names that was there before, if one was."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def number(text: str, kind: type[int] | type[float] = float) -> Any:
    """The number in text, without the underscores and foreign digits that Python takes.

    Raises:
      ValueError: if it is none.
    """
    try:
        if "_" not in text and text.isascii():
            return kind(text)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no {'whole ' * (kind is int)}number")
