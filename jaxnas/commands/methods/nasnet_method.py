"""NASNet as an experiment runs it: its flags and its controller."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jaxnas import search
from jaxnas.children.child_config import CellSearchFlags
from jaxnas.commands.cell_search import run_cells
from jaxnas.runs.config import refuse_zero, settings_of
from jaxnas.runs.search_config import refuse_no_space
from jaxnas.spaces.block_cells import BlockCellSpace, nasnet_space


@dataclasses.dataclass(frozen=True)
class NasnetFlags(CellSearchFlags):
    """Searches with NASNet's controller."""

    combine: bool = False
    """Let each block choose between sum and concatenation, as the paper does; what is compiled is
    twice as large then, and the paper's best cells only add."""
    controller_units: int = 100
    """Number of units of the controller's LSTM."""
    controller_learning_rate: float = 3.5e-4
    """Learning rate of the controller."""
    controller_batch: int = 20
    """Number of children in one update of the controller."""
    controller_epochs: int = 15
    """Number of steps of Adam on each batch."""
    clip: float = 0.2
    """Distance that the ratio of a decision's probabilities may have from 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_zero(
            self,
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


def nasnet_controller(flags: NasnetFlags) -> search.Algorithm:
    """NASNet's controller over the space of the flags."""
    return search.ppo(
        flags.space,
        controller=search.lstm(flags.space, units=flags.controller_units),
        learning_rate=flags.controller_learning_rate,
        batch=flags.controller_batch,
        clip=flags.clip,
        epochs=flags.controller_epochs,
    )


def run_nasnet(flags: NasnetFlags) -> Path:
    """Searches, and trains what was found; see `run_cells`."""
    controller = nasnet_controller(flags)
    return run_cells(
        flags.experiment, "ppo", flags.space, flags.child, controller, settings_of(flags)
    )
