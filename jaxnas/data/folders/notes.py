"""What became of files that a reader may not expect, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jaxnas.data.errors import BrokenImageError
from jaxnas.hints import escaped

_MOST = 8
_MOST_BROKEN = 100


class Notes:
    """Files that were left out, or read in a way that is to be told, counted by what it was."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, Path] = {}

    def add(self, what: str, path: Path) -> None:
        """Counts a file."""
        self._counts[what] += 1
        self._examples.setdefault(what, path)

    def sentences(self) -> list[str]:
        """A sentence for each, the commonest first."""
        commonest = self._counts.most_common(_MOST)
        told = [
            f"{count:,} file{'s' * (count > 1)} {what}, such as {shown(self._examples[what])}."
            for what, count in commonest
        ]
        more = self._counts.total() - sum(count for _, count in commonest)
        return [*told, f"{more:,} more files left out."] if more else told


def broken_files(errors: Sequence[BrokenImageError]) -> list[str]:
    """A sentence that names the files left out as broken; none where there are none."""
    if not errors:
        return []
    named = ", ".join(f"{shown(each.path)} ({each.cause})" for each in errors[:_MOST_BROKEN])
    more = f" and {len(errors) - _MOST_BROKEN:,} more" if len(errors) > _MOST_BROKEN else ""
    return [f"{len(errors):,} broken file{'s' * (len(errors) > 1)} left out: {named}{more}."]


def shown(path: Path) -> str:
    """The path as one line that any terminal and file takes."""
    return escaped(str(path), ("Cc", "Cs"))
