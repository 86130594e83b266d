"""Words for errors."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Container, Iterable


def alike(name: str, known: Iterable[str], otherwise: str, *, most: int = 4) -> str:
    """``did you mean ...?`` with up to `most` of the `known` names alike; else `otherwise`."""
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=0.5)
    return f"did you mean {', '.join(near)}?" if near else otherwise


def escaped(text: str, categories: Container[str]) -> str:
    """The text, its characters of these Unicode categories, such as Cc, as Python writes them."""
    return "".join(
        ascii(each)[1:-1] if unicodedata.category(each) in categories else each for each in text
    )
