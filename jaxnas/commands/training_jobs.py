"""Trainings as jobs: each in a folder of its own, by whatever worker takes it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxnas.data import Dataset
from jaxnas.jobs.folders import FolderJob
from jaxnas.jobs.job import Watcher, Work
from jaxnas.nn import save_safetensors
from jaxnas.nn.weights.safetensors_file import image_form
from jaxnas.reports.method_folder import folder_name, seed_suffix
from jaxnas.runs.loop import TrainingError
from jaxnas.runs.training_run import SeedOutcome, TrainingRun
from jaxnas.storage.directory import DATA, OUTCOME, RunDirectory, run_once
from jaxnas.storage.files import RunError


class _Training(NamedTuple):
    """What a worker is given to train: all of a run but its data set.

    Attributes:
      kind: the class of the run.
      fields: its other fields.
      top: see `run_method`.
    """

    kind: type[TrainingRun]
    fields: dict[str, Any]
    top: Path


def training_job(run: TrainingRun, top: Path) -> FolderJob:
    """The job for a `trainer` of `run_method`."""
    fields = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    del fields["dataset"]
    name = folder_name(run.method, run.seeds)
    return FolderJob(name, _Training(type(run), fields, top.resolve()), top / name)


def trainer(dataset: Dataset) -> Work:
    """Trains what `training_job` makes."""

    def train(job: _Training, watcher: Watcher) -> None:
        # A run of its own for each: what it has put on the device goes with it.
        run_method(job.kind(dataset=dataset, **job.fields), job.top, watcher)

    return train


def run_method(run: TrainingRun, top: Path, watcher: Watcher) -> None:
    """Runs a method in a folder of its own, unless it was done before an interruption.

    Args:
      run: the method.
      top: the folder of the experiment.
      watcher: is told how it goes.

    Raises:
      TrainingError: if the loss is no longer finite, or the memory does not suffice.
    """
    name = folder_name(run.method, run.seeds)

    def work(folder: RunDirectory) -> list[dict[str, Any]]:
        with refuse_exhaustion(name, "--batch-size"):
            outcomes = run.run(folder, watcher)
        for outcome in outcomes:
            suffix = seed_suffix(outcome.result.seed, len(outcomes))
            folder.write_text(f"genotype{suffix}.json", outcome.result.genotype.to_json() + "\n")
            weights = folder.path / f"weights{suffix}.safetensors"
            form = image_form(*_images(run.dataset).values())
            names = run.dataset.class_names
            save_safetensors(outcome.variables, weights, outcome.result.genotype, names, form)
        return [_as_json(outcome, run.dataset) for outcome in outcomes]

    config = {"method": run.method, "base": run.base.name, "seeds": run.seeds}
    config[DATA] = run.dataset.fingerprint
    run_once(top / name, config, work)
    for seed in run.seeds:
        weights = top / name / f"weights{seed_suffix(seed, len(run.seeds))}.safetensors"
        if not weights.is_file():
            raise RunError(
                f"{weights} is gone; restore it, or delete {weights.with_name(OUTCOME)}, and "
                "--resume writes it anew from the last checkpoint"
            )


@contextlib.contextmanager
def refuse_exhaustion(what: str, flag: str) -> Iterator[None]:
    """Turns running out of the device's memory into a TrainingError that advises a lower `flag`."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise TrainingError(f"{what}: out of memory; try a smaller {flag}") from error


def _as_json(outcome: SeedOutcome, dataset: Dataset) -> dict[str, Any]:
    return {
        "result": outcome.result.to_record(),
        "images": _images(dataset) | {"class_names": dataset.class_names},
        "theta": None if outcome.theta is None else outcome.theta.tolist(),
        "notes": list(outcome.notes),
    }


def _images(dataset: Dataset) -> dict[str, Any]:
    """Which images a network of this data set takes: the fields of an `ImageForm`."""
    return {
        "shape": dataset.input_shape,
        "mean": dataset.channel_mean().tolist(),
        "std": dataset.channel_std().tolist(),
    }
