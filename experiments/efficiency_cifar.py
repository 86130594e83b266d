"""PNAS, PPO, evolution and random search on CIFAR-10, by the same number of trained children.

All search the cells of PNAS and train the same children in the same way; one that two of them ask
for is trained once. Draws the best accuracy so far by children and by examples, and tells how many
children each needs to be as good as PNAS (Liu et al. 2018, Table 2). The winners are
trained longer and at full size, as by the other searches' commands.

    python experiments/efficiency_cifar.py --seed 0
    python experiments/efficiency_cifar.py --blocks 2 --children 144 --train-limit 3000 \\
        --child-channels 8 --child.epochs 1 --child.batch-size 64 --finalists 2 \\
        --finalist-epochs 4 --channels 8 --cells 6 --epochs 6 --evaluator processes --workers 2

`--children` are each search's: 136 and a multiple of the later levels, such as the paper's 1,160.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from jaxnas.runs.cell_search import run_searchers
from jaxnas.runs.child_config import PNAS, PNAS_CHILD, CellExperiment
from jaxnas.runs.config import WeightTraining, refuse_no_space, refuse_zero, settings_of
from jaxnas.runs.progressive_search import (
    PROGRESSIVE,
    others,
    progressive_searcher,
    tell_efficiency,
)
from jaxnas.runs.script import run_script
from jaxnas.spaces.block_cells import BlockCellSpace, pnas_space


@dataclasses.dataclass(frozen=True)
class Flags:
    """Compares searches."""

    experiment: Annotated[CellExperiment, tyro.conf.OmitArgPrefixes] = PNAS
    child: WeightTraining = PNAS_CHILD
    """How a child is trained."""
    blocks: int = 5
    """Of a cell."""
    child_channels: int = 24
    """Of a node in a child's first cells."""
    child_cells: int = 6
    """Cells of a child, two of them reductions."""

    def __post_init__(self) -> None:
        refuse_zero(self, "child_channels", "child_cells")
        with refuse_no_space():
            _ = self.space

    @property
    def space(self) -> BlockCellSpace:
        """What is searched."""
        return pnas_space(self.blocks, channels=self.child_channels, cell_count=self.child_cells)


def main(flags: Flags) -> None:
    """Searches by each, and trains what was found."""
    space, children = flags.space, flags.experiment.children
    searchers = {
        PROGRESSIVE: progressive_searcher(space, children),
        **others(space, children, "ppo", "evolution", "random"),
    }
    run_searchers(
        flags.experiment,
        "efficiency",
        space,
        flags.child,
        searchers,
        settings_of(flags),
        tell_efficiency,
    )


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
