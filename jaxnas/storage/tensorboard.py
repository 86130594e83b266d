"""Rows of metrics as TensorBoard reads them."""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any

from jaxnas.errors import UserError

_INDEX = ("epoch", "seed")


class TensorBoard:
    """Writes the numbers of rows of metrics as scalars by epoch, into a folder for each seed.

    An epoch that is done again after an interruption is written again, with the same numbers.
    """

    def __init__(self, folder: Path) -> None:
        """Takes note of the folder; its files begin with the first row."""
        self._folder = folder
        self._writers: dict[Any, Any] = {}

    def log(self, row: dict[str, Any]) -> None:
        """Writes a row, which has an int ``epoch`` and may have a ``seed``, and flushes it."""
        from tensorboardX import SummaryWriter

        seed = row.get("seed")
        if seed not in self._writers:
            folder = self._folder / ("search" if seed is None else f"seed{seed}")
            # Files are named by the second, and one of that name would be written over.
            earlier = len(list(folder.glob("events.*")))
            self._writers[seed] = SummaryWriter(str(folder), filename_suffix=f".{earlier}")
        writer = self._writers[seed]
        for name, value in row.items():
            if name not in _INDEX and isinstance(value, Real) and not isinstance(value, bool):
                writer.add_scalar(name, float(value), row["epoch"])
        writer.flush()

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()


def require() -> None:
    """Raises a UserError that says what to install where tensorboardX is not there."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise UserError(
            f'--tensorboard needs tensorboardX ({error}): pip install "jaxnas[tensorboard]"'
        ) from error
