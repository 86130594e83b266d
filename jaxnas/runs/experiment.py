"""A whole experiment: every method and seed, its tables, its pictures and its report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import rich.console
import rich.progress

from jaxnas import data
from jaxnas.runs.config import ConfigError, Experiment
from jaxnas.runs.directory import RunDirectory
from jaxnas.runs.drawing import draw_adaptation
from jaxnas.runs.files import RunError
from jaxnas.runs.method import MethodRun, Outcome, TrainingError
from jaxnas.runs.plots import learning_curves, theta_heatmap
from jaxnas.runs.report import write_report
from jaxnas.runs.results import Result, results_table, write_results
from jaxnas.spaces import AdaptationSpace, Genotype, GenotypeError, zoo

USER_ERRORS = (ConfigError, data.DataError, RunError, TrainingError, GenotypeError)
"""Errors whose message is all that a user needs."""


class _Finished(NamedTuple):
    """One seed of a method, as its folder tells it."""

    folder: str
    result: Result
    rows: list[dict[str, Any]]
    theta: np.ndarray | None
    notes: list[str]


def load_base(name: str) -> Genotype:
    """The zoo's genotype called `name`, or that of the JSON file at the path `name`.

    Raises:
      ConfigError: if there is neither.
      GenotypeError: if the file holds no genotype.
    """
    if name in zoo.ZOO:
        return zoo.named(name)
    path = Path(name)
    if path.suffix == ".json":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--base {name} cannot be read: {error}") from error
        try:
            genotype = Genotype.from_json(text)
        except GenotypeError as error:
            raise GenotypeError(f"--base {name}: {error}") from error
        _refuse_names(name, genotype)
        return genotype
    raise ConfigError(
        f"--base {name} is neither a network of the zoo ({', '.join(zoo.ZOO)}) nor a .json file"
    )


def _refuse_names(path: str, genotype: Genotype) -> None:
    """Refuses what would break the folders, tables and pictures that come after the training."""
    for name in (genotype.name, *(cell.name for cell in genotype.cells)):
        if not re.fullmatch(r"[\w .+-]{1,80}", name):
            raise ConfigError(
                f"--base {path}: {name!a} is no name; use up to 80 letters, digits, spaces, _.+-"
            )
    if unplaced := {cell.name for cell in genotype.cells} - {b.cell for b in genotype.blocks}:
        raise ConfigError(f"--base {path}: no block places cell {min(unplaced)!r}; remove it")


def run_experiment(experiment: Experiment, name: str) -> Path:
    """Runs an experiment into its directory and prints its table.

    Args:
      experiment: the flags.
      name: of the experiment, part of the default directory's name.

    Returns:
      the path of the report.

    Raises:
      one of `USER_ERRORS`.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    base = load_base(experiment.base)
    dataset = data.load(experiment.dataset, experiment.data_dir, download=experiment.download)
    if experiment.train_limit is not None:
        dataset = dataset.limit(experiment.train_limit)
    label = experiment.dataset.replace(":", "-").replace("/", "-")
    path = experiment.run_dir or Path("runs") / f"{name}-{label}-{base.name}"
    width = 1 if jax.default_backend() == "cpu" else len(experiment.all_seeds)
    groups = [
        experiment.all_seeds[start : start + width]
        for start in range(0, len(experiment.all_seeds), width)
    ]
    runs = [
        MethodRun(method, base, dataset, experiment.training, seeds, experiment.eval_every)
        for seeds in groups
        for method in experiment.methods
    ]
    recorded = experiment.recorded() | {
        "base": base.name,
        "base_sha256": hashlib.sha256(base.to_json().encode()).hexdigest(),
        "width": width,
    }
    with RunDirectory(
        path, recorded, resume=experiment.resume, overwrite=experiment.overwrite
    ) as directory:
        finished: list[_Finished] = []
        with rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            console=console,
        ) as bars:
            tasks = [bars.add_task(_name(run), total=run.total_steps, start=False) for run in runs]
            for run, task in zip(runs, tasks, strict=True):
                bars.start_task(task)
                finished += _run_method(
                    dataclasses.replace(run),  # a copy, whose data on the device goes with it
                    directory,
                    lambda task=task: bars.advance(task),
                    lambda message: console.print(message, style="yellow", highlight=False),
                )
                bars.update(task, completed=run.total_steps)
        report = _write_report(directory, experiment, base, finished)
    console.print(results_table([each.result for each in finished]))
    for note in (note for each in finished for note in each.notes):
        console.print(note, highlight=False)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return report


def _name(run: MethodRun) -> str:
    return f"{run.method}_seed{'-'.join(map(str, run.seeds))}"


def _run_method(
    run: MethodRun, directory: RunDirectory, progress: Any, say: Any
) -> list[_Finished]:
    """Runs a method in a folder of its own, or reads what it came to before an interruption."""
    settings = {"method": run.method, "base": run.base.name, "seeds": run.seeds}
    with RunDirectory(directory.path / _name(run), settings, resume=True) as folder:
        if not (folder.path / "outcome.json").exists():
            try:
                outcomes = run.run(folder, progress=progress, say=say)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise TrainingError(
                    f"{_name(run)}: out of memory; try a smaller --batch-size"
                ) from error
            for outcome in outcomes:
                suffix = f"_seed{outcome.result.seed}" if len(outcomes) > 1 else ""
                folder.write_text(f"genotype{suffix}.json", outcome.genotype.to_json() + "\n")
            # Written last: a folder that has it is done.
            folder.write_json("outcome.json", [_as_json(outcome) for outcome in outcomes])
        rows = folder.rows()
        return [
            _Finished(
                _name(run),
                Result(**each["result"]),
                [row for row in rows if row["seed"] == each["result"]["seed"]],
                None if each["theta"] is None else np.array(each["theta"], np.float32),
                each["notes"],
            )
            for each in folder.read_json("outcome.json")
        ]


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "result": dataclasses.asdict(outcome.result),
        "theta": None if outcome.theta is None else outcome.theta.tolist(),
        "notes": list(outcome.notes),
    }


def _write_report(
    directory: RunDirectory,
    experiment: Experiment,
    base: Genotype,
    finished: list[_Finished],
) -> Path:
    results = [each.result for each in finished]
    write_results(directory.path, results)
    pictures = [("Learning curves", "curves.svg")]
    series = {f"{each.result.method}/{each.result.seed}": each.rows for each in finished}
    learning_curves(series, directory.path / "curves")
    for each in finished:
        if each.theta is None:
            continue
        who = f"{each.result.method}, seed {each.result.seed}"
        stem = f"{each.result.method}_seed{each.result.seed}"
        space = AdaptationSpace(base, "full" if each.result.method == "full" else "cell")
        theta_heatmap(each.theta, _edge_names(space), directory.path / f"theta_{stem}")
        adapted = Genotype.from_json(json.dumps(each.result.genotype))
        draw_adaptation(base, adapted, directory.path / f"network_{stem}")
        pictures.append((f"Architecture parameters over time ({who})", f"theta_{stem}.svg"))
        pictures.append((f"The base and the adapted network ({who})", f"network_{stem}.svg"))
    write_report(
        directory.path,
        title=f"{base.name} on {results[0].dataset}: original and adapted",
        command=" ".join(["python", *sys.argv]),
        rows=results,
        pictures=pictures,
        notes=[note for each in finished for note in each.notes],
    )
    return directory.path / "report.md"


def _edge_names(space: AdaptationSpace) -> dict[str, list[str]]:
    return {
        name: [str(edge) for edge in cell.edges]
        for name, cell in zip(space.table_names, space.cells, strict=True)
    }
