"""Accuracy against cost: a known network adapted under one target on its cost after the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import rich.console
import tyro

from jaxnas.commands.cost_front_report import point, write_front
from jaxnas.commands.experiment import load_inputs, run_experiments
from jaxnas.nn.costs.latency import network_latency
from jaxnas.reports import read_results
from jaxnas.reports.results import Result
from jaxnas.runs.config import ConfigError, Experiment
from jaxnas.runs.edge_costs import edge_costs
from jaxnas.spaces import AdaptationSpace, Genotype
from jaxnas.storage import latency_table

_ALONE = "original", "scratch", "identities"
"""Methods that no target changes."""
_BOTH = Experiment(methods=("original", "full"))


@dataclasses.dataclass(frozen=True)
class CostFront:
    """Adapts a known network under several targets on its cost."""

    experiment: Annotated[Experiment, tyro.conf.OmitArgPrefixes] = _BOTH
    targets: tuple[float, ...] = (1.0, 0.85, 0.7, 0.55)
    """Largest costs of the adapted network, as shares of the base's; each is a run."""
    measure_latency: bool = False
    """Time every network that was found on this device too, whole, for a batch of --batch-size."""

    def __post_init__(self) -> None:
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ConfigError("--targets must name each target once, such as 1.0 0.85 0.7")
        if self.experiment.adaptation.target_cost is not None:
            raise ConfigError("give --targets, not --target-cost")

    def parts(self, path: Path) -> dict[float | None, Experiment]:
        """The experiment of each target; of None those that leave the base alone, where wanted."""
        whole = self.experiment
        alone, adapting = (
            tuple(method for method in whole.methods if (method in _ALONE) == left_alone)
            for left_alone in (True, False)
        )
        parts: dict[float | None, Experiment] = {}
        if alone:
            run = dataclasses.replace(whole.run, run_dir=path / "original")
            parts[None] = dataclasses.replace(whole, methods=alone, run=run)
        for target in self.targets:
            # Of the whole cost nothing is dropped: that is the base left alone.
            methods = tuple(each for each in adapting if each != "norm" or target < 1)
            if not methods:
                continue
            parts[target] = dataclasses.replace(
                whole,
                methods=methods,
                run=dataclasses.replace(whole.run, run_dir=path / f"target_{target:g}"),
                adaptation=dataclasses.replace(whole.adaptation, target_cost=target),
            )
        return parts


def run_cost_front(flags: CostFront) -> None:
    """Runs every target and writes tables and picture.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    experiment = flags.experiment
    base, dataset = load_inputs(experiment)
    path = experiment.run.path(f"cost_front-{experiment.data.label}-{base.name}")
    table = path / latency_table.FILE
    if experiment.run.overwrite:
        table.unlink(missing_ok=True)
    parts = flags.parts(path)
    run_experiments(list(parts.values()), "cost_front", base, dataset, table)
    space = AdaptationSpace(base, "full")
    kind = experiment.adaptation.cost
    cost = edge_costs(
        kind,
        space,
        dataset.input_shape,
        dataset.num_classes,
        batch_size=experiment.training.batch_size,
        dtype=experiment.training.precision,
        table=table,
    )
    found: list[tuple[float | None, list[Result]]] = []
    for method in experiment.methods:
        for target, part in parts.items():
            assert part.run.run_dir is not None
            rows = [row for row in read_results(part.run.run_dir) if row.method == method]
            if rows:
                found.append((target, rows))
    seconds: dict[Genotype, float] = {}
    if flags.measure_latency:
        seconds = network_latency(
            {row.genotype for _, rows in found for row in rows},
            dataset.input_shape,
            dataset.num_classes,
            batch_size=experiment.training.batch_size,
            dtype=experiment.training.precision,
        )
    points = [point(target, rows, space, cost, seconds) for target, rows in found]
    told = write_front(path, points, kind, f"{base.name} on {dataset.name}")
    told.print(rich.console.Console())
