"""The flags that the commands over the cells of PNAS share."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from jaxnas.children.child_config import PNAS, PNAS_CHILD, CellExperiment, CellSearchFlags
from jaxnas.runs.config import Training
from jaxnas.runs.search_config import refuse_no_space
from jaxnas.spaces.block_cells import BlockCellSpace, pnas_space


@dataclasses.dataclass(frozen=True)
class PnasFlags(CellSearchFlags):
    """Searches the cells of PNAS."""

    experiment: Annotated[CellExperiment, tyro.conf.OmitArgPrefixes] = PNAS
    child: Training = PNAS_CHILD
    """How a child is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        with refuse_no_space():
            _ = self.space

    @property
    def space(self) -> BlockCellSpace:
        """What is searched."""
        return pnas_space(self.blocks, channels=self.child_channels, cell_count=self.child_cells)
