"""Accuracy against cost: a known network adapted under one target on its cost after the other.

    python experiments/cost_front.py --targets 1.0 0.85 0.7 0.55 --seeds 0 1 2 --base resnet20
    python experiments/cost_front.py --cost latency --resume

Every target is a run in a folder of its own, `original` the base left alone. Writes `front.md`,
`front.csv`, `front.svg` and `front.png` beside them. Killed, it goes on with `--resume`, also with
more targets.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import rich.console
import tyro

from jaxnas import data
from jaxnas.commands.experiment import run_experiments
from jaxnas.commands.front import point, write_front
from jaxnas.commands.script import run_script
from jaxnas.reports import read_results
from jaxnas.runs.config import ConfigError, Experiment, Method
from jaxnas.runs.edge_costs import edge_costs
from jaxnas.runs.genotype_files import load_base
from jaxnas.spaces import AdaptationSpace
from jaxnas.storage import latency_table


@dataclasses.dataclass(frozen=True)
class Front(Experiment):
    """Adapts a known network under several targets on its cost."""

    methods: tuple[Method, ...] = ("original", "full")
    """What to run: the base left alone, one choice per kind of cell, one choice per block."""
    targets: tuple[float, ...] = (1.0, 0.85, 0.7, 0.55)
    """The most that the adapted network may cost, as shares of the base's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ConfigError("--targets must name each target once, such as 1.0 0.85 0.7")
        if self.training.target_cost is not None:
            raise ConfigError("give --targets, not --target-cost")

    def parts(self, path: Path) -> dict[float | None, Experiment]:
        """The experiment of each target; of None that of the base left alone, where wanted."""
        adapting = tuple(method for method in self.methods if method != "original")
        fields = [field.name for field in dataclasses.fields(Experiment)]
        common: dict[str, Any] = {name: getattr(self, name) for name in fields}
        parts: dict[float | None, Experiment] = {}
        if "original" in self.methods:
            changes = {"methods": ("original",), "run_dir": path / "original"}
            parts[None] = Experiment(**common | changes)
        for target in self.targets if adapting else ():
            changes = {
                "methods": adapting,
                "run_dir": path / f"target_{target:g}",
                "training": dataclasses.replace(self.training, target_cost=target),
            }
            parts[target] = Experiment(**common | changes)
        return parts


def main(front: Front) -> None:
    """Runs every target and writes tables and picture."""
    base = load_base(front.base, front.channels, front.cells)
    label = front.dataset.replace(":", "-").replace("/", "-")
    path = front.run_dir or Path("runs") / f"cost_front-{label}-{base.name}"
    table = path / latency_table.FILE
    if front.overwrite:
        table.unlink(missing_ok=True)
    parts = front.parts(path)
    run_experiments(list(parts.values()), "cost_front", table)
    dataset = data.load(front.dataset, front.data_dir)
    space = AdaptationSpace(base, "full")
    cost = edge_costs(
        front.training.cost,
        space,
        dataset.input_shape,
        dataset.num_classes,
        batch_size=front.training.batch_size,
        dtype=front.training.precision,
        table=table,
    )
    points = []
    for method in front.methods:
        for target, part in parts.items():
            assert part.run_dir is not None
            rows = [row for row in read_results(part.run_dir) if row.method == method]
            if rows:
                points.append(point(target, rows, space, cost))
    told = write_front(path, points, front.training.cost, f"{base.name} on {dataset.name}")
    told.print(rich.console.Console())


if __name__ == "__main__":
    run_script(tyro.conf.OmitArgPrefixes[Front], __doc__, main)
