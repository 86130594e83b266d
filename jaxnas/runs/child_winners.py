"""From the trials of a search to its winner: trained longer, and built at full size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxnas.data import Dataset
from jaxnas.runs.child_config import ChildExperiment
from jaxnas.runs.child_search import ChildStore, Trial, accuracy
from jaxnas.runs.child_training import Candidate
from jaxnas.runs.directory import RunDirectory
from jaxnas.runs.method import MethodRun
from jaxnas.spaces import Genotype
from jaxnas.spaces.block_cells import BlockCellSpace
from jaxnas.spaces.zoo.nasnet import nasnet_network


def best(trials: Sequence[Trial], count: int) -> list[Candidate]:
    """The different children of highest reward, the first of equals first."""
    ranked = sorted(trials, key=lambda trial: -trial.reward)
    return list(dict.fromkeys(trial.candidate for trial in ranked))[:count]


def full_size(experiment: ChildExperiment, space: BlockCellSpace, candidate: Candidate) -> Genotype:
    """A candidate's cells in the network of full size."""
    full = dataclasses.replace(space, channels=experiment.channels, cell_count=experiment.cells)
    return full.decode(as_array(candidate))


def final_run(
    experiment: ChildExperiment, dataset: Dataset, space: BlockCellSpace, candidate: Candidate
) -> MethodRun:
    """The training of a winner at full size, on all training images."""
    return MethodRun(
        "original",
        full_size(experiment, space, candidate),
        dataset,
        experiment.plain_training,
        (experiment.seed,),
        experiment.eval_every,
    )


def write_winner(
    directory: RunDirectory,
    name: str,
    space: BlockCellSpace,
    experiment: ChildExperiment,
    winner: Candidate,
) -> None:
    """Writes a winner's genotypes: at full size, and in the stack for large images."""
    normal, reduction = space.cells(as_array(winner))
    large = nasnet_network(
        f"{space.name}_imagenet",
        normal,
        reduction,
        filters=44,
        normal_cells=12,
        stack="mobile",
        stem=32,
        in_place=len(space.tables) == 1,
    )
    genotype = dataclasses.replace(full_size(experiment, space, winner), name=name)
    directory.write_text(f"genotype_{name}.json", genotype.to_json() + "\n")
    directory.write_text(f"genotype_{name}_imagenet.json", large.to_json() + "\n")


def as_array(candidate: Candidate) -> np.ndarray:
    """int32 [decisions]."""
    return np.array(candidate, np.int32)


def winner_note(name: str, finals: ChildStore, winner: Candidate) -> str:
    """What a report says of a winner."""
    return (
        f"{name}: the winner had {accuracy(finals[winner]):.2f}% of the held-out images after the "
        f"longer training; genotype_{name}.json is it at full size, genotype_{name}_imagenet.json "
        "in the stack for large images (`--base` of the other commands)."
    )
