"""The flags that the commands over the cells of PNAS share."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from jaxnas.children.child_config import PNAS, PNAS_CHILD, CellExperiment
from jaxnas.runs.config import WeightTraining, refuse_no_space, refuse_zero
from jaxnas.spaces.block_cells import BlockCellSpace, pnas_space


@dataclasses.dataclass(frozen=True)
class PnasFlags:
    """Searches the cells of PNAS."""

    experiment: Annotated[CellExperiment, tyro.conf.OmitArgPrefixes] = PNAS
    child: WeightTraining = PNAS_CHILD
    """How a child is trained."""
    blocks: int = 5
    """Of the largest cells."""
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
