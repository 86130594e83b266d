"""The report of a finished experiment: every method and seed, told from its folder alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.reports.drawing.drawing import draw_adaptation, side_by_side
from jaxnas.reports.html.document import drawing
from jaxnas.reports.html.theta_slider import theta_slider
from jaxnas.reports.method_folder import Finished, folder_name, read_method
from jaxnas.reports.page import Section, write_page
from jaxnas.reports.plots import learning_curves, theta_heatmap
from jaxnas.reports.results import results_section, without_labels, write_results
from jaxnas.spaces import AdaptationSpace, Genotype, GenotypeError
from jaxnas.spaces.adaptation import granularity_of
from jaxnas.storage import files
from jaxnas.storage.directory import OUTCOME
from jaxnas.storage.files import RunError

_CURVES = (
    "Loss and accuracy at the end of each epoch, a line for each method and seed. While the "
    "architecture adapts, accuracy is that of the network with its edges weighted; where the "
    "architecture is then fixed, it may dip before the weights catch up."
)
_EDGES = (
    "Every edge of the network chooses among none (it disappears), id (it becomes an identity) and "
    "same (it stays)."
)
_BLOCKS = (
    "The last operation of a block's branch chooses between none (the whole branch disappears, and "
    "its shortcut is left) and same (it stays). Nothing else has a choice."
)
_THETA = (
    "In the heat map a row is one choice of one edge, a column one epoch of "
    "adaptation, a colour its parameter; the largest of an edge's three at the end is what the "
    "network keeps, unless a target on its cost, or a path that would be broken, wants otherwise: "
    "then the network has the largest sum of parameters that is allowed."
)
_SHARES = "A bar has an edge's choices by their softmax(θ)."
_WEIGHTS = (
    "A bar has an edge's choices by their θ, which are weights; a choice that carries nothing "
    "counts as 1/2: it is kept where no other weight exceeds that."
)
_NETWORK = "Edges that changed are coloured; an edge marked null is gone."


def write_experiment(path: str | os.PathLike[str]) -> list[Finished]:
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
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is not the folder of an experiment; give --run-dir's") from error
    if not names:
        raise RunError(f"{path / 'config.json'} is damaged: it names no method or seed; restore it")
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
    series = {f"{each.result.method}/{each.result.seed}": each.rows for each in finished}
    learning_curves(series, path / "curves")
    sections = [
        results_section(results),
        Section.of_picture("Learning curves", "curves.svg", _CURVES),
        *(
            section
            for each in finished
            for section in _adapted(path, base, each, config.get("adaptation") or {})
        ),
        Section("Notes", notes(finished)),
    ]
    write_page(path, f"{base.name} on {results[0].dataset}", sections, config=config)
    return finished


def _adapted(path: Path, base: Genotype, one: Finished, settings: dict[str, Any]) -> list[Section]:
    """Draws what adaptation by some settings did to the architecture, if the method adapts."""
    if one.theta is None:
        return []
    method, seed = one.result.method, one.result.seed
    stem = f"{method}_seed{seed}"
    theta, network = f"theta_{stem}", f"network_{stem}"
    space = AdaptationSpace(base, granularity_of(method))
    edges = ([str(edge) for edge in cell.edges] for cell in space.cells)
    tables = dict(zip(space.table_names, edges, strict=True))
    drawn = np.where(space.possible, one.theta, 0.0)  # what is ruled out has a number far below
    theta_heatmap(drawn, tables, path / theta)
    draw_adaptation(base, one.result.genotype, path / network)
    chosen = _BLOCKS if space.granularity == "block" else _EDGES
    raw = settings.get("estimator") == "raw"
    weights = np.where(space.nothing, 0.5, one.theta) if raw else one.theta
    who = f"{method}, seed {seed}"
    over_time = f"Architecture parameters over time ({who})"
    all_epochs = drawing(files.read_text(path / f"{theta}.svg"), theta, over_time)
    slider = (
        f"{theta_slider(weights, tables, space.possible, raw=raw)}\n"
        f"<p>{_WEIGHTS if raw else _SHARES}</p>\n"
        f"<details><summary>Heat map of all epochs</summary>{all_epochs}</details>"
    )
    both = zip(("base", "adapted"), side_by_side(base, one.result.genotype), strict=True)
    pair = "".join(drawing(svg, f"{network}-{name}", f"{name}, {who}") for name, svg in both)
    return [
        Section.of_picture(over_time, f"{theta}.svg", f"{chosen} {_THETA}", slider),
        Section.of_picture(
            f"The base and the adapted network ({who})",
            f"{network}.svg",
            _NETWORK,
            f'<div class="pair">{pair}</div>',
        ),
    ]


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


def _folders(config: dict[str, Any]) -> list[str]:
    """The folders of an experiment's methods, in the order in which they ran."""
    seeds, width = config["seeds"], config["width"]
    return [
        folder_name(method, seeds[start : start + width])
        for start in range(0, len(seeds), width)
        for method in config["methods"]
    ]
