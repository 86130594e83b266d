"""NASNet (Zoph et al. 2018) on CIFAR-10: a controller trained with PPO by the accuracy of children.

Searches a normal and a reduction cell by small networks of them, trains the best children longer,
and the best of these at full size; random search does the same beside it. All children are one
compiled program, which takes the genotype as an input.

    python experiments/nasnet_cifar.py --seed 0
    python experiments/nasnet_cifar.py --children 40 --train-limit 3000 --child-channels 8 \\
        --child.epochs 2 --child.batch-size 64 --finalists 2 --finalist-epochs 4 --channels 8 \\
        --cells 6 --epochs 6
    python experiments/nasnet_cifar.py --dataset digits --blocks 2 --children 16 --child-cells 3 \\
        --child-channels 8 --child.epochs 2 --child.batch-size 64 --finalists 1 \\
        --finalist-epochs 4 --channels 8 --cells 3 --epochs 6 --cutout 0
    python experiments/nasnet_cifar.py --workers processes --resume
    python experiments/nasnet_cifar.py --workers ray --gpus-per-worker 0.5

The paper trained 20,000 children on 500 GPUs. Not in the paper: children's channels, learning rate
and batch size, the controller's optimiser, clip and epochs.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from jaxnas import search
from jaxnas.children.child_config import NASNET, NASNET_CHILD, CellExperiment
from jaxnas.commands.cell_search import run_cells
from jaxnas.commands.script import run_script
from jaxnas.runs.config import (
    WeightTraining,
    refuse_no_space,
    refuse_zero,
    settings_of,
)
from jaxnas.spaces.block_cells import BlockCellSpace, nasnet_space


@dataclasses.dataclass(frozen=True)
class Flags:
    """Searches with NASNet's controller."""

    experiment: Annotated[CellExperiment, tyro.conf.OmitArgPrefixes] = NASNET
    child: WeightTraining = NASNET_CHILD
    """How a child is trained."""
    blocks: int = 5
    """Of a cell."""
    combine: bool = False
    """Let each block choose between sum and concatenation, as the paper does; what is compiled is
    twice as large then, and the paper's best cells only add."""
    child_channels: int = 24
    """Of a node in a child's first cells."""
    child_cells: int = 6
    """Normal cells of a child; two reductions come on top."""
    controller_units: int = 100
    """Of the controller's LSTM."""
    controller_learning_rate: float = 3.5e-4
    """Of the controller."""
    controller_batch: int = 20
    """Children of one update of the controller."""
    controller_epochs: int = 15
    """Steps of Adam on each batch."""
    clip: float = 0.2
    """How far the ratio of a decision's probabilities may leave 1."""

    def __post_init__(self) -> None:
        refuse_zero(
            self,
            "child_channels",
            "child_cells",
            "controller_units",
            "controller_learning_rate",
            "controller_batch",
            "controller_epochs",
            "clip",
        )
        with refuse_no_space():
            _ = self.space

    @property
    def space(self) -> BlockCellSpace:
        """What is searched."""
        return nasnet_space(
            self.blocks,
            combine=self.combine,
            channels=self.child_channels,
            cell_count=self.child_cells,
        )


def make(flags: Flags) -> search.Algorithm:
    """NASNet's controller over the space of the flags."""
    return search.ppo(
        flags.space,
        controller=search.lstm(flags.space, units=flags.controller_units),
        learning_rate=flags.controller_learning_rate,
        batch=flags.controller_batch,
        clip=flags.clip,
        epochs=flags.controller_epochs,
    )


def main(flags: Flags) -> None:
    """Searches, and trains what was found."""
    run_cells(flags.experiment, "ppo", flags.space, flags.child, make(flags), settings_of(flags))


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
