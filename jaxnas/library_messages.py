"""What libraries say, in a line each: what ends a command is told by its own sentence."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from typing import Any


def tell_in_lines() -> None:
    """Has libraries' logs and warnings told in a line each, and every name of a file printable.

    For this process: workers call it too.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    libraries = logging.StreamHandler()
    libraries.setFormatter(_FirstLine())
    logging.basicConfig(handlers=[libraries])
    # What Orbax's tasks leave of a damaged checkpoint is told by its own sentence.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    told: set[tuple[str, int]] = set()

    def tell(message: Warning | str, kind: Any, file: str, line: int, *_: Any) -> None:
        text = " ".join(str(message).split())
        if (file, line) not in told:  # JAX has one for each program that a full disk cannot keep
            told.add((file, line))
            print(f"warning: {text}", file=sys.stderr, flush=True)

    warnings.showwarning = tell


class _FirstLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage().strip() or record.levelname.lower()
        return f"{record.name}: {said.splitlines()[0][:300]}"
