"""The networks that a search ends in: how they are trained from scratch, read back and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from jaxnas.data import Dataset
from jaxnas.reports.drawing.drawing import draw_network
from jaxnas.reports.method_folder import Finished, folder_name, read_method
from jaxnas.reports.page import Section
from jaxnas.runs.search_config import SearchFlags
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import Genotype


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
      name: name of the search.
      seed: seed of the experiment.

    Raises:
      RunError: see `read_method`.
    """
    return [
        each._replace(result=dataclasses.replace(each.result, base=name))
        for row in rows
        for each in read_method(path / folder_name(row, (seed,)))
    ]


def network_section(path: Path, name: str, genotype: Genotype, caption: str) -> Section:
    """Draws a network into the run's folder, for the report."""
    draw_network(genotype, path / f"network_{name}")
    return Section.of_picture(caption, f"network_{name}.svg", f"```\n{genotype}\n```")
