"""A whole experiment: every method and seed, its tables, its pictures and its report."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import rich.console

from jaxnas.commands.inputs import load_data, run_folder
from jaxnas.data import Dataset
from jaxnas.nn import save_safetensors
from jaxnas.reports.experiment_report import notes, write_experiment
from jaxnas.reports.method_folder import folder_name, seed_suffix
from jaxnas.reports.results import results_table
from jaxnas.runs.adaptation_run import AdaptationRun, method_run
from jaxnas.runs.config import Experiment, SelfSupervision
from jaxnas.runs.genotype_files import load_base
from jaxnas.runs.loop import TrainingError, Watcher
from jaxnas.runs.progress import ProgressBars
from jaxnas.runs.training_run import SeedOutcome, TrainingRun
from jaxnas.storage import latency_table
from jaxnas.storage.directory import OUTCOME, RunDirectory, run_once


def run_experiment(
    experiment: Experiment,
    name: str,
    latencies: Path | None = None,
    supervision: SelfSupervision | None = None,
) -> Path:
    """Runs an experiment into its directory and prints its table.

    Args:
      experiment: the flags.
      name: of the experiment, part of the default directory's name.
      latencies: the table of measured latencies; one in its directory by default.
      supervision: how to learn without labels; None to learn the labels.

    Returns:
      the path of the report.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    base = load_base(experiment.base, experiment.size.channels, experiment.size.cells)
    dataset = load_data(experiment.data)
    place = f"{name}-{experiment.data.label}-{base.name}"
    path = experiment.run.path(place)
    width = 1 if jax.default_backend() == "cpu" else len(experiment.all_seeds)
    groups = [
        experiment.all_seeds[start : start + width]
        for start in range(0, len(experiment.all_seeds), width)
    ]
    runs = [
        method_run(
            method,
            base,
            dataset,
            experiment.training,
            seeds,
            experiment.eval_every,
            latency_table=latencies or path / latency_table.FILE,
            supervision=supervision,
            adaptation=experiment.adaptation,
        )
        for seeds in groups
        for method in experiment.methods
    ]
    adaptations = [run for run in runs if isinstance(run, AdaptationRun)]
    recorded = experiment.recorded() | {
        "base": base.name,
        "base_sha256": hashlib.sha256(base.to_json().encode()).hexdigest(),
        "width": width,
        "supervision": supervision and dataclasses.asdict(supervision),
        "resolved": {
            "adapt_epochs": experiment.adaptation.joint_epochs(experiment.training.epochs),
            "warmup_epochs": experiment.adaptation.waiting_epochs(experiment.training.epochs),
            "arch_learning_rate": adaptations[0].arch_learning_rate if adaptations else None,
            "rate_warmup_epochs": experiment.training.rising_epochs,
            **(supervision.resolved if supervision else {}),
        },
    }
    folder = run_folder(experiment.run, place, recorded)
    if experiment.adaptation.cost != "latency":
        for run in adaptations:
            run.refuse_unreachable()
    with folder as directory:
        if not (directory.path / "base.json").exists():
            directory.write_text("base.json", base.to_json() + "\n")
        for run in adaptations:  # before anything trains; to measure takes a folder
            run.refuse_unreachable()
        steps = {folder_name(run.method, run.seeds): run.total_steps for run in runs}
        if message := _left_over(runs):
            console.print(message, highlight=False, soft_wrap=True)
        with ProgressBars(console, steps) as bars:
            for run, name in zip(runs, steps, strict=True):
                if (directory.path / name / OUTCOME).exists():
                    bars.skip(name)
                    continue
                title = f"{run.method}, seed {', '.join(map(str, run.seeds))}"
                with bars.watch(name, title) as watcher:
                    # A copy, whose data on the device goes with it.
                    run_method(dataclasses.replace(run), directory, watcher)
        finished = write_experiment(directory.path)
    report = directory.path / "report.md"
    results_table([each.result for each in finished]).print(console)
    for note in notes(finished):
        console.print(note, highlight=False)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return report


def _left_over(runs: list[TrainingRun]) -> str | None:
    """A sentence about the last steps, where they are too few to move the weights."""
    accumulate = runs[0].settings.accumulate
    left = {run.method: run.total_steps % accumulate for run in runs}
    if not any(left.values()):
        return None
    each = ", ".join(f"{method} {steps}" for method, steps in left.items())
    return (
        f"--accumulate {accumulate}: the last steps of a run are too few to move the weights and "
        f"count for batch norms only ({each})."
    )


def run_method(run: TrainingRun, directory: RunDirectory, watcher: Watcher) -> None:
    """Runs a method in a folder of its own, unless it was done before an interruption.

    Args:
      run: the method.
      directory: of the experiment.
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
            save_safetensors(outcome.variables, weights, outcome.result.genotype)
        return [_as_json(outcome, run.dataset) for outcome in outcomes]

    config = {"method": run.method, "base": run.base.name, "seeds": run.seeds}
    run_once(directory.path / name, config, work)


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
        "images": {
            "shape": dataset.input_shape,
            "mean": dataset.channel_mean().tolist(),
            "std": dataset.channel_std().tolist(),
        },
        "theta": None if outcome.theta is None else outcome.theta.tolist(),
        "notes": list(outcome.notes),
    }
