"""The flags of experiments that train the children of a search."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from jaxnas.runs.config import Training, refuse_below_one, refuse_zero
from jaxnas.runs.search_config import SearchFlags


@dataclasses.dataclass(frozen=True)
class ChildExperiment(SearchFlags):
    """Trains many small networks, and the best of them at full size."""

    children: int = 200
    """Number of children that the search asks for, and random search beside it."""
    train_share: float = 0.9
    """Share of the training images that children are trained by; the others judge them."""
    judged: int = 1
    """Number of a child's last epochs that are judged."""
    finalists: int = 5
    """Number of the best children of each search that are trained longer, to choose the winner."""
    finalist_epochs: int = 60
    """Number of epochs for which the best children are trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_one(self, "children", "finalists", "finalist_epochs")


@dataclasses.dataclass(frozen=True)
class CellExperiment(ChildExperiment):
    """Children of cells, which a larger network is built of as well."""

    channels: int = 32
    """Number of channels of a node in the first cells of the networks of full size."""
    cells: int = 18
    """Number of cells in the networks of full size; two reductions come on top, but PNASNet's are
    two of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_one(self, "channels", "cells")


PNAS_CHILD = Training(epochs=20, learning_rate=0.01, weight_decay=5e-4, grad_clip=5.0)
"""How PNAS's children are trained."""

NASNET_CHILD = Training(epochs=20, learning_rate=0.025, weight_decay=5e-4, grad_clip=5.0)
"""How NASNet's children are trained."""

NASNET = CellExperiment(
    training=Training(
        epochs=600,
        batch_size=32,
        learning_rate=0.025,
        weight_decay=5e-4,
        grad_clip=5.0,
        auxiliary_weight=0.4,
        drop_path=0.4,
        cutout=16,
    ),
)
"""The settings of Zoph et al. 2018, and those of its authors' code where the paper is silent; but
200 children, not 20,000, in batches of 128 images, not 32."""

PNAS = dataclasses.replace(NASNET, children=1160, channels=48, cells=9)
"""The settings of Liu et al. 2018 as far as they are remembered, otherwise those of NASNet. 1,160
children are all 136 cells of one block and 256 of each of four more levels."""


@dataclasses.dataclass(frozen=True)
class CellSearchFlags:
    """Searches cells by children that are trained."""

    experiment: Annotated[CellExperiment, tyro.conf.OmitArgPrefixes] = NASNET
    child: Training = NASNET_CHILD
    """How a child is trained."""
    blocks: int = 5
    """Number of blocks in a cell."""
    child_channels: int = 24
    """Number of channels of a node in a child's first cells."""
    child_cells: int = 6
    """Number of cells in a child; two reductions come on top, but PNAS's are two of them."""

    def __post_init__(self) -> None:
        refuse_zero(self, "child_channels", "child_cells")
