"""DARTS as an experiment runs it: its flags, its search and its random control."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxnas import nn, search, training
from jaxnas.commands.search_experiment import SearchMethod, run_search
from jaxnas.data import Dataset
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.runs.config import ConfigError, settings_of
from jaxnas.runs.search_config import SearchExperiment, refuse_no_space
from jaxnas.spaces import Genotype
from jaxnas.spaces.cells import DARTS_OPERATIONS, CellSpace
from jaxnas.spaces.genotype import NULL
from jaxnas.tasks import Task


@dataclasses.dataclass(frozen=True)
class DartsFlags:
    """Searches with DARTS."""

    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=SearchExperiment
    )
    darts: search.DartsSettings = dataclasses.field(default_factory=search.DartsSettings)
    operations: tuple[str, ...] = DARTS_OPERATIONS
    """Operations that an edge chooses from; null is nothing."""
    nodes: int = 4
    """Number of nodes of a cell, after its two inputs."""
    search_channels: int = 16
    """Number of channels of a node in the supernet's first cells."""
    search_cells: int = 8
    """Number of cells in the supernet."""
    channels: int = 36
    """Number of channels of a node in the found network's first cells."""
    cells: int = 20
    """Number of cells in the found network."""

    def __post_init__(self) -> None:
        if set(self.operations) <= {NULL}:
            raise ConfigError(f"--operations must name one other than {NULL}")
        with refuse_no_space():
            _ = self.space

    @property
    def space(self) -> CellSpace:
        """What is searched."""
        return CellSpace(self.operations, self.search_channels, self.search_cells, self.nodes)


def run_darts(flags: DartsFlags) -> Path:
    """Searches, and trains what was found; see `run_search`."""
    return run_search(
        flags.experiment, "darts", functools.partial(make_darts, flags), settings_of(flags)
    )


def make_darts(
    flags: DartsFlags, task: Task, dataset: Dataset, steps: dict[str, int]
) -> SearchMethod:
    """DARTS over the space of the flags; see `MakeSearch`."""
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

    return SearchMethod(algorithm, random)
