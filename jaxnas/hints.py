"""Words for errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def alike(name: str, known: Iterable[str], otherwise: str, *, most: int = 4) -> str:
    """``did you mean ...?`` with up to `most` of the `known` names alike; else `otherwise`."""
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=0.5)
    return f"did you mean {', '.join(near)}?" if near else otherwise
