"""Work of many threads, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """`function` of each item, in their order, by threads, since Pillow computes without the GIL.

    No more than 64 results wait for their turn.
    """
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), 64):
            yield from pool.map(function, items[start : start + 64])
