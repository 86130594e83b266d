"""Accuracy against cost: a known network adapted under one target on its cost after the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import rich.console
import tyro

from jaxnas.commands.cost_front_report import point, write_front
from jaxnas.commands.experiment import load_inputs, run_experiments
from jaxnas.reports import read_results
from jaxnas.runs.config import ConfigError, Experiment
from jaxnas.runs.edge_costs import edge_costs
from jaxnas.spaces import AdaptationSpace
from jaxnas.storage import latency_table

_BOTH = Experiment(methods=("original", "full"))


@dataclasses.dataclass(frozen=True)
class CostFront:
    """Adapts a known network under several targets on its cost."""

    experiment: Annotated[Experiment, tyro.conf.OmitArgPrefixes] = _BOTH
    targets: tuple[float, ...] = (1.0, 0.85, 0.7, 0.55)
    """Largest costs of the adapted network, as shares of the base's; each is a run."""

    def __post_init__(self) -> None:
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ConfigError("--targets must name each target once, such as 1.0 0.85 0.7")
        if self.experiment.adaptation.target_cost is not None:
            raise ConfigError("give --targets, not --target-cost")

    def parts(self, path: Path) -> dict[float | None, Experiment]:
        """The experiment of each target; of None that of the base left alone, where wanted."""
        whole = self.experiment
        adapting = tuple(method for method in whole.methods if method != "original")
        parts: dict[float | None, Experiment] = {}
        if "original" in whole.methods:
            run = dataclasses.replace(whole.run, run_dir=path / "original")
            parts[None] = dataclasses.replace(whole, methods=("original",), run=run)
        for target in self.targets if adapting else ():
            parts[target] = dataclasses.replace(
                whole,
                methods=adapting,
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
    points = []
    for method in experiment.methods:
        for target, part in parts.items():
            assert part.run.run_dir is not None
            rows = [row for row in read_results(part.run.run_dir) if row.method == method]
            if rows:
                points.append(point(target, rows, space, cost))
    told = write_front(path, points, kind, f"{base.name} on {dataset.name}")
    told.print(rich.console.Console())
