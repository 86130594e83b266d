"""DARTS (Liu et al. 2019) on CIFAR-10: the paper's search, and its training of what was found.

Searches the two cells of a network with half of the training images for the weights and half for
the architecture, then trains the found network and a random one of the same space from scratch.

    python experiments/darts_cifar.py --seed 0
    python experiments/darts_cifar.py --darts.order second
    python experiments/darts_cifar.py --darts.stop-at-skips 2 --search-epochs 20 --epochs 50
    python experiments/darts_cifar.py --dataset digits --search-channels 4 --search-cells 3 \\
        --channels 8 --cells 5 --search-epochs 5 --epochs 10 --cutout 0

Published: a test error of 2.76 ± 0.09% (second order, 3.3M parameters, ten runs of training).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxnas import nn, search, training
from jaxnas.commands.script import run_script
from jaxnas.commands.search_experiment import Method, run_search
from jaxnas.data import Dataset
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.runs.config import ConfigError, WeightTraining, refuse_no_space, settings_of
from jaxnas.runs.search_config import SearchExperiment
from jaxnas.spaces import Genotype
from jaxnas.spaces.cells import DARTS_OPERATIONS, CellSpace
from jaxnas.spaces.genotype import NULL
from jaxnas.tasks import Task

PAPER = SearchExperiment(
    training=WeightTraining(
        epochs=600,
        batch_size=96,
        learning_rate=0.025,
        weight_decay=3e-4,
        grad_clip=5.0,
        auxiliary_weight=0.4,
        drop_path=0.2,
        cutout=16,
    )
)
"""The paper's settings."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """Searches with DARTS."""

    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = PAPER
    darts: search.DartsSettings = dataclasses.field(default_factory=search.DartsSettings)
    operations: tuple[str, ...] = DARTS_OPERATIONS
    """What an edge may be, null for nothing."""
    nodes: int = 4
    """Of a cell, after its two inputs."""
    search_channels: int = 16
    """Of a node in the supernet's first cells."""
    search_cells: int = 8
    """Of the supernet."""
    channels: int = 36
    """Of a node in the found network's first cells."""
    cells: int = 20
    """Of the found network."""

    def __post_init__(self) -> None:
        if set(self.operations) <= {NULL}:
            raise ConfigError(f"--operations must name one other than {NULL}")
        with refuse_no_space():
            _ = self.space

    @property
    def space(self) -> CellSpace:
        """What is searched."""
        return CellSpace(self.operations, self.search_channels, self.search_cells, self.nodes)


def make(flags: Flags, task: Task, dataset: Dataset, steps: dict[str, int]) -> Method:
    """DARTS over the space of the flags."""
    space = flags.space
    dtype = jnp.dtype(flags.experiment.training.precision)
    supernet = CellSupernet(space, dataset.num_classes, dtype)

    full_size = dataclasses.replace(space, channels=flags.channels, layers=flags.cells)
    algorithm = search.darts(
        search.Supernet(
            training.flax_apply(supernet),
            lambda key: nn.init(supernet, key, dataset.input_shape, jnp.zeros(space.shape)),
            lambda gates: gates,
            full_size.decode,
        ),
        space,
        task,
        flags.darts,
        epochs=flags.experiment.search_epochs,
        steps_per_epoch=steps["train"],
    )

    def random(key: jax.Array) -> Genotype:
        # Equally likely edges and operations: the weights are drawn alike.
        drawn = space.preferred(np.asarray(jax.random.normal(key, space.shape)))
        return dataclasses.replace(full_size.decode(drawn), name="random")

    return Method(algorithm, random)


def main(flags: Flags) -> None:
    """Searches, and trains what was found."""
    run_search(flags.experiment, "darts", functools.partial(make, flags), settings_of(flags))


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
