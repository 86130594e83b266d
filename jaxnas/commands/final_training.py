"""The networks that a search ends in: how they are trained from scratch, read back and reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from jaxnas.data import Dataset
from jaxnas.reports.drawing.drawing import draw_network
from jaxnas.reports.finished import Finished, folder_name, read_method
from jaxnas.reports.report import write_report
from jaxnas.reports.results import Result
from jaxnas.runs.search_config import SearchFlags
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import Genotype
from jaxnas.storage import files

Picture = tuple[str, str, str]
"""Caption, file and explanation, see `write_report`."""


def final_run(
    experiment: SearchFlags, dataset: Dataset, genotype: Genotype, row: str
) -> TrainingRun:
    """The training of a network on all training images, for that row of the table."""
    return TrainingRun(
        row,
        genotype,
        dataset,
        experiment.training,
        (experiment.seed,),
        experiment.eval_every,
    )


def read_finals(path: Path, rows: Iterable[str], name: str, seed: int) -> list[Finished]:
    """What became of the networks of a search.

    Args:
      path: the run's folder.
      rows: what the networks are called, and their folders.
      name: of the search.
      seed: of the experiment.

    Raises:
      RunError: see `read_method`.
    """
    return [
        each._replace(result=dataclasses.replace(each.result, base=name))
        for row in rows
        for each in read_method(path / folder_name(row, (seed,)))
    ]


def picture_of(path: Path, name: str, genotype: Genotype, caption: str) -> Picture:
    """Draws a network into the run's folder, for the report."""
    draw_network(genotype, path / f"network_{name}")
    return caption, f"network_{name}.svg", f"```\n{genotype}\n```"


def report_search(
    path: Path, title: str, rows: list[Result], pictures: list[Picture], notes: list[str]
) -> None:
    """Writes `report.md` of a search, whose command the folder's `config.json` has."""
    config = files.from_json(files.read_text(path / "config.json"), path / "config.json")
    write_report(
        path,
        title=title,
        command=config["environment"]["command"],
        rows=rows,
        pictures=pictures,
        notes=notes,
    )
