"""The flags of experiments that train the children of a search."""

from __future__ import annotations

import dataclasses

from jaxnas.runs.config import WeightTraining, refuse_below_one
from jaxnas.runs.search_config import SearchFlags


@dataclasses.dataclass(frozen=True)
class ChildExperiment(SearchFlags):
    """Trains many small networks, and the best of them at full size."""

    children: int = 200
    """Children that the search asks for, and random search beside it."""
    train_share: float = 0.9
    """Share of the training images that children are trained by; the others judge them."""
    judged: int = 1
    """How many of a child's last epochs are judged."""
    finalists: int = 5
    """The best children of each search, which are trained longer to choose the winner."""
    finalist_epochs: int = 60
    """Epochs of their training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_one(self, "children", "finalists", "finalist_epochs")


@dataclasses.dataclass(frozen=True)
class CellExperiment(ChildExperiment):
    """Children of cells, which a larger network is built of as well."""

    channels: int = 32
    """Of a node in the first cells of the networks of full size."""
    cells: int = 18
    """Of the networks of full size; two reductions come on top, but PNASNet's are two of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_one(self, "channels", "cells")


PNAS_CHILD = WeightTraining(epochs=20, learning_rate=0.01, weight_decay=5e-4, grad_clip=5.0)
"""How PNAS's children are trained."""

NASNET_CHILD = WeightTraining(epochs=20, learning_rate=0.025, weight_decay=5e-4, grad_clip=5.0)
"""How NASNet's children are trained."""

NASNET = CellExperiment(
    training=WeightTraining(
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
"""Those of Liu et al. 2018 as far as they are remembered, and otherwise those of NASNet. 1,160
children are all 136 cells of one block and 256 of each of four more levels."""
