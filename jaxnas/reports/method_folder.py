"""The folder of a method that has finished, read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnas.reports.results import Result
from jaxnas.storage import files
from jaxnas.storage.directory import OUTCOME
from jaxnas.storage.files import RunError
from jaxnas.storage.metrics import Metrics


class Finished(NamedTuple):
    """One seed of a method that has finished.

    Attributes:
      result: its row of the table.
      rows: its metrics, epoch by epoch.
      theta: float32 [epochs of adaptation + 1, tables, edges, 3], θ over time; None where nothing
        was adapted.
      notes: what a reader of the result should know.
    """

    result: Result
    rows: list[dict[str, Any]]
    theta: np.ndarray | None
    notes: list[str]


def folder_name(method: str, seeds: Sequence[int]) -> str:
    """Name of the folder of a method that trains these seeds side by side."""
    return f"{method}_seed{'-'.join(map(str, seeds))}"


def seed_suffix(seed: int, seeds: int) -> str:
    """What the names of a seed's files end with, where several were trained side by side."""
    return f"_seed{seed}" if seeds > 1 else ""


def read_method(folder: Path) -> list[Finished]:
    """Reads the seeds of a method that is done.

    Raises:
      RunError: if a file is missing or damaged.
    """
    rows = Metrics(folder).rows()
    path = folder / OUTCOME
    outcomes = files.from_json(files.read_text(path), path)
    try:
        finished = [
            Finished(
                Result.from_record(each["result"]),
                [row for row in rows if row.get("seed") == each["result"]["seed"]],
                None if each["theta"] is None else np.array(each["theta"], np.float32),
                each["notes"],
            )
            for each in outcomes
        ]
        for each in finished:
            if not isinstance(each.notes, list) or not all(isinstance(n, str) for n in each.notes):
                raise ValueError(f"notes must be a list of text, not {each.notes!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged or of another version ({error!r})") from error
    seeds = [each.result.seed for each in finished]
    if not finished or folder_name(finished[0].result.method, seeds) != folder.name:
        raise RunError(f"{path} is damaged: it is not of {folder.name}; restore it")
    if not all(each.rows for each in finished):
        raise RunError(f"{folder / 'metrics.jsonl'} lacks rows of a seed; restore it")
    return finished
