"""Words for errors."""

from __future__ import annotations

import difflib
import itertools
import os
import unicodedata
from collections.abc import Container, Iterable
from pathlib import Path


def alike(
    name: str, known: Iterable[str], otherwise: str, *, most: int = 4, least: float = 0.5
) -> str:
    """``did you mean ...?`` with up to `most` of the `known` names alike; else `otherwise`.

    Those are alike whose `difflib` ratio is at `least` so much.
    """
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=least)
    return f"did you mean {', '.join(near)}?" if near else otherwise


def beside(path: Path, most: int = 1000) -> list[str]:
    """Paths of what lies in the same folder, those of `most` entries, for `alike`."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, most)]
    except OSError:
        return []
    return [str(path.parent / name) for name in sorted(names) if not name.startswith(".")]


def escaped(text: str, categories: Container[str]) -> str:
    """The text, its characters of these Unicode categories, such as Cc, as Python writes them."""
    return "".join(
        ascii(each)[1:-1] if unicodedata.category(each) in categories else each for each in text
    )
