"""A whole experiment: every method and seed, its tables, its pictures and its report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jax
import rich.console

from jaxnas.commands.inputs import (
    fit_stem,
    load_data,
    load_start,
    refuse_early,
    refuse_missing,
    run_folder,
)
from jaxnas.commands.training_jobs import trainer, training_job
from jaxnas.data import Dataset
from jaxnas.jobs.folders import FolderJob, do_all
from jaxnas.reports.experiment_report import notes, write_experiment
from jaxnas.reports.page import told_pages
from jaxnas.reports.results import results_table
from jaxnas.runs.adaptation_run import AdaptationRun, method_run
from jaxnas.runs.config import Experiment
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.genotype_files import load_base, usual_stem
from jaxnas.runs.progress import ProgressBars
from jaxnas.runs.space_run import SpaceRun
from jaxnas.runs.starting.start import Start
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import Genotype
from jaxnas.storage import latency_table
from jaxnas.storage.directory import RunDirectory


def run_experiment(
    experiment: Experiment, name: str, supervision: SelfSupervision | None = None
) -> Path:
    """Runs an experiment into its directory and prints its table.

    Args:
      experiment: the flags.
      name: of the experiment, part of the default directory's name.
      supervision: how to learn without labels; None to learn the labels.

    Returns:
      the path of the report.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    base, dataset = load_inputs(experiment, name)
    (report,) = run_experiments([experiment], name, base, dataset, supervision=supervision)
    return report


def load_inputs(experiment: Experiment, name: str | None = None) -> tuple[Genotype, Dataset]:
    """The base network and the data set of the flags; prints what was read.

    Args:
      experiment: the flags.
      name: see `run_experiment`; None of an experiment that has no folder of its own.

    Raises:
      UserError: if the flags, data or files do not allow it; what needs no data comes first.
    """
    base = load_base(experiment.base, **dataclasses.asdict(experiment.size))
    refuse_missing(experiment.pretrained.weights)
    # By default the folder has the base's name, which the data may decide.
    known = experiment.run.run_dir or experiment.size.stem or not usual_stem(experiment.base, 2**31)
    if name is not None and known:
        recorded = experiment.recorded()
        # Other weights are told of as that, once the weights are read.
        del recorded["base"], recorded["pretrained"], recorded["adaptation"]["estimator"]
        place = f"{name}-{experiment.data.label}-{base.name}"
        refuse_early(experiment.run, place, recorded, experiment.training.bound_to_epochs)
    dataset = load_data(experiment.data)
    return fit_stem(base, experiment.base, experiment.size.stem, dataset), dataset


def run_experiments(
    experiments: Sequence[Experiment],
    name: str,
    base: Genotype,
    dataset: Dataset,
    latencies: Path | None = None,
    supervision: SelfSupervision | None = None,
) -> list[Path]:
    """Runs experiments with one base and data set as one list of jobs; see `run_experiment`.

    Args:
      experiments: the flags; where there are several each has a `run_dir`.
      name: see `run_experiment`.
      base: the network that they adapt.
      dataset: what they learn.
      latencies: the table of measured latencies; one in each directory by default.
      supervision: see `run_experiment`.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    executor = experiments[0].jobs.executor()  # before a device is used
    if start := load_start(experiments[0].pretrained, base, dataset):
        dataset = start.normalised(dataset)
    plans = [
        _plan(experiment, name, base, dataset, latencies, supervision, start)
        for experiment in experiments
    ]
    with contextlib.ExitStack() as stack:
        jobs: dict[str, FolderJob] = {}
        steps: dict[str, int] = {}
        titles: dict[str, str] = {}
        for folder, runs in plans:
            stack.enter_context(folder)
            if not (folder.path / "base.json").exists():
                folder.write_text("base.json", base.to_json() + "\n")
            if message := _left_over(runs):
                console.print(message, highlight=False, soft_wrap=True)
            for run in runs:
                if isinstance(run, SpaceRun):
                    run.refuse_unreachable()  # now that there is a folder, which to measure takes
                job = training_job(run, folder.path)
                prefix = f"{folder.path.name}/" if len(plans) > 1 else ""
                job = job._replace(name=prefix + job.name)
                jobs[job.name], steps[job.name] = job, run.total_steps
                seeds = ", ".join(map(str, run.seeds))
                titles[job.name] = f"{prefix}{run.method}, seed {seeds}"
        top = plans[0][0].path
        board = experiments[0].run.board(top if len(plans) == 1 else top.parent)
        with ProgressBars(console, steps, board) as bars, executor:
            do_all(
                executor,
                functools.partial(trainer, dataset),
                plans[0][0].path,
                list(jobs.values()),
                lambda job: bars.watch(job.name, titles[job.name]),
                bars.skip,
            )
        finished = {folder.path: write_experiment(folder.path) for folder, _ in plans}
    for path, rows in finished.items():
        results_table([each.result for each in rows]).print(console)
        for note in notes(rows):
            console.print(note, highlight=False)
        console.print(told_pages(path / "report.md"), highlight=False, soft_wrap=True)
    return [path / "report.md" for path in finished]


def _plan(
    experiment: Experiment,
    name: str,
    base: Genotype,
    dataset: Dataset,
    latencies: Path | None,
    supervision: SelfSupervision | None,
    start: Start | None,
) -> tuple[RunDirectory, list[TrainingRun]]:
    """An experiment's folder, checked, and what is to be run in it."""
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
            latency_table=(latencies or path / latency_table.FILE).resolve(),
            supervision=supervision,
            adaptation=experiment.adaptation,
            start=start,
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
            **(adaptations[0].resolved if adaptations else {}),
            "rate_warmup_epochs": experiment.training.rising_epochs,
            **(supervision.resolved if supervision else {}),
        },
    }
    bound = experiment.training.bound_to_epochs
    if not bound and adaptations and experiment.adaptation.adapt_epochs is None:
        bound = "--adapt-epochs follows --epochs unless it is given from the start"
    folder = run_folder(experiment.run, place, recorded, dataset, bound, start)
    if experiment.adaptation.cost != "latency":
        for run in runs:
            if isinstance(run, SpaceRun):
                run.refuse_unreachable()
    return folder, runs


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
