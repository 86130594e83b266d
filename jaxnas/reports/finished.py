"""A finished experiment, read back from its folder, and its report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnas.reports.drawing.drawing import draw_adaptation
from jaxnas.reports.plots import learning_curves, theta_heatmap
from jaxnas.reports.report import write_report
from jaxnas.reports.results import Result, accuracy_name, without_labels, write_results
from jaxnas.reports.statistics import paired_difference
from jaxnas.spaces import AdaptationSpace, Genotype, GenotypeError
from jaxnas.storage import files
from jaxnas.storage.directory import OUTCOME
from jaxnas.storage.files import RunError
from jaxnas.storage.metrics import Metrics

_CURVES = (
    "Loss and accuracy at the end of each epoch, a line for each method and seed. While the "
    "architecture adapts, accuracy is that of the network with its edges weighted; where the "
    "architecture is then fixed, it may dip before the weights catch up."
)
_THETA = (
    "Every edge of the network chooses among none (it disappears), id (it becomes an identity) and "
    "same (it stays). A row is one choice of one edge, a column one epoch of adaptation, a colour "
    "its parameter; the largest of an edge's three at the end is what the network keeps."
)
_NETWORK = "Edges that changed are coloured; an edge marked null is gone."


class Finished(NamedTuple):
    """One seed of a method, as its folder tells it."""

    folder: str
    result: Result
    rows: list[dict[str, Any]]
    theta: np.ndarray | None
    notes: list[str]


def folder_name(method: str, seeds: list[int] | tuple[int, ...]) -> str:
    """The folder of a method that trains these seeds side by side."""
    return f"{method}_seed{'-'.join(map(str, seeds))}"


def seed_suffix(seed: int, seeds: int) -> str:
    """What the names of a seed's files end with, where several were trained side by side."""
    return f"_seed{seed}" if seeds > 1 else ""


def read_method(folder: Path) -> list[Finished]:
    """The seeds of a method that is done.

    Raises:
      RunError: if a file is missing or damaged.
    """
    rows = Metrics(folder).rows()
    path = folder / OUTCOME
    outcomes = files.from_json(files.read_text(path), path)
    try:
        return [
            Finished(
                folder.name,
                Result(**each["result"]),
                [row for row in rows if row["seed"] == each["result"]["seed"]],
                None if each["theta"] is None else np.array(each["theta"], np.float32),
                each["notes"],
            )
            for each in outcomes
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged or of another version ({error!r})") from error


def write_everything(path: str | os.PathLike[str]) -> list[Finished]:
    """Writes tables, pictures and `report.md` of a finished experiment into its folder, anew.

    Returns:
      every seed of every method.

    Raises:
      RunError: if the folder is no experiment's, if a method has not finished, if a file is
        missing or damaged, or if one cannot be written.
    """
    path = Path(path)
    config = files.from_json(files.read_text(path / "config.json"), path / "config.json")
    if isinstance(config, dict) and "search" in config:
        raise RunError(
            f"{path} is the folder of a search: its own command with --resume writes its report"
        )
    try:
        names = _folders(config)
        command = config["environment"]["command"]
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is not the folder of an experiment; give --run-dir's") from error
    for name in names:
        if not (path / name / OUTCOME).is_file():
            raise RunError(f"{path / name} has not finished; go on with it with --resume")
    try:
        base = Genotype.from_json(files.read_text(path / "base.json"))
    except GenotypeError as error:
        raise RunError(f"{path / 'base.json'} is damaged: {error}") from error
    finished = [each for name in names for each in read_method(path / name)]
    results = [each.result for each in finished]
    write_results(path, results)
    pictures = [("Learning curves", "curves.svg", _CURVES)]
    series = {f"{each.result.method}/{each.result.seed}": each.rows for each in finished}
    learning_curves(series, path / "curves")
    for each in finished:
        if each.theta is None:
            continue
        who = f"{each.result.method}, seed {each.result.seed}"
        stem = f"{each.result.method}_seed{each.result.seed}"
        space = AdaptationSpace(base, "full" if each.result.method == "full" else "cell")
        theta_heatmap(each.theta, _edge_names(space), path / f"theta_{stem}")
        adapted = Genotype.from_json(json.dumps(each.result.genotype))
        draw_adaptation(base, adapted, path / f"network_{stem}")
        pictures += [
            (f"Architecture parameters over time ({who})", f"theta_{stem}.svg", _THETA),
            (f"The base and the adapted network ({who})", f"network_{stem}.svg", _NETWORK),
        ]
    write_report(
        path,
        title=f"{base.name} on {results[0].dataset}",
        command=command,
        rows=results,
        differences=_differences(results),
        pictures=pictures,
        notes=notes(finished),
    )
    return finished


def notes(finished: list[Finished]) -> list[str]:
    """What a reader of an experiment's table should know."""
    found = [note for each in finished for note in each.notes]
    results = [each.result for each in finished]
    if without_labels(results) and len({row.method for row in results}) > 1:
        compare = "Compare methods by linear probe, kNN and ridge accuracy over equal seeds"
        found.append(
            f"{compare}; from one seed a difference is no evidence."
            if len({row.seed for row in results}) == 1
            else f"{compare}: the report has the differences and their intervals."
        )
    return found


def _differences(results: list[Result]) -> list[str]:
    """What each method's accuracies have more than the original's, where seeds show how sure."""
    scores: dict[str, dict[str, dict[int, float]]] = {}
    main = accuracy_name(results)
    for row in results:
        of_row = {main: row.test_accuracy} | row.scores
        for name, value in of_row.items():
            if name == main or name in ("knn_accuracy", "ridge_accuracy"):
                scores.setdefault(name, {}).setdefault(row.method, {})[row.seed] = value
    lines = []
    for name, methods in scores.items():
        for method, ours in methods.items():
            found = paired_difference(ours, methods.get("original", {}))
            if method != "original" and found is not None and found.n > 1:
                label = name.replace("_", " ")
                lines.append(f"{label}, {method} less original: {found} (n = {found.n})")
    return lines


def _folders(config: dict[str, Any]) -> list[str]:
    """The folders of an experiment's methods, in the order in which they ran."""
    seeds, width = config["seeds"], config["width"]
    return [
        folder_name(method, seeds[start : start + width])
        for start in range(0, len(seeds), width)
        for method in config["methods"]
    ]


def _edge_names(space: AdaptationSpace) -> dict[str, list[str]]:
    return {
        name: [str(edge) for edge in cell.edges]
        for name, cell in zip(space.table_names, space.cells, strict=True)
    }
