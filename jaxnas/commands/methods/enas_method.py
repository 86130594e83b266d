"""ENAS as an experiment runs it: its flags, its search, its control and random networks."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxnas import nn, search, training
from jaxnas.commands.search_experiment import SearchMethod, run_search
from jaxnas.data import Dataset
from jaxnas.nn.supernets.child_choice import choices
from jaxnas.runs.config import ConfigError, refuse_zero, settings_of
from jaxnas.runs.search_config import SearchExperiment, refuse_no_space
from jaxnas.search.blackbox.candidates import sample
from jaxnas.spaces import Genotype, Space
from jaxnas.spaces.block_cells import BlockCellSpace, enas_micro_space
from jaxnas.spaces.enas_macro import EnasMacroSpace
from jaxnas.tasks import Task


@dataclasses.dataclass(frozen=True)
class EnasFlags(abc.ABC):
    """Flags of ENAS over any space."""

    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=SearchExperiment
    )
    enas: search.EnasSettings = dataclasses.field(default_factory=search.EnasSettings)
    logits: search.LogitSettings = dataclasses.field(default_factory=search.LogitSettings)
    controller_units: int = 64
    """Number of units of the controller's LSTM."""

    def __post_init__(self) -> None:
        refuse_zero(self, "controller_units")
        with refuse_no_space():
            _ = self.space, self.full_size

    @property
    @abc.abstractmethod
    def space(self) -> Any:
        """The space that is searched."""

    @property
    @abc.abstractmethod
    def full_size(self) -> Any:
        """The same space at the size of the networks that are trained from scratch."""


@dataclasses.dataclass(frozen=True)
class EnasCellFlags(EnasFlags):
    """Searches cells with ENAS."""

    blocks: int = 5
    """Number of blocks in a cell."""
    search_channels: int = 20
    """Number of channels of a node in the first cells of the network that is searched in."""
    search_cells: int = 6
    """Number of its normal cells; two reductions come on top."""
    channels: int = 36
    """Number of channels of a node in the first cells of the networks that are trained from
    scratch."""
    cells: int = 15
    """Number of their normal cells; two reductions come on top."""

    @property
    def space(self) -> BlockCellSpace:
        return enas_micro_space(
            self.blocks, channels=self.search_channels, cell_count=self.search_cells
        )

    @property
    def full_size(self) -> BlockCellSpace:
        return enas_micro_space(self.blocks, channels=self.channels, cell_count=self.cells)


@dataclasses.dataclass(frozen=True)
class EnasMacroFlags(EnasFlags):
    """Searches whole networks with ENAS."""

    enas: search.EnasSettings = dataclasses.field(
        default_factory=functools.partial(search.EnasSettings, auxiliary_weight=0.0)
    )
    layers: int = 12
    """Number of layers of the network."""
    search_channels: int = 36
    """Number of channels of the first third of the layers in the network that is searched in."""
    channels: int = 96
    """Number of channels of the first third of the layers in the networks that are trained from
    scratch."""

    def __post_init__(self) -> None:
        if self.enas.auxiliary_weight:
            raise ConfigError(
                "--enas.auxiliary-weight must be 0: macro networks have no place for the head"
            )
        super().__post_init__()

    @property
    def space(self) -> EnasMacroSpace:
        return EnasMacroSpace(self.layers, self.search_channels)

    @property
    def full_size(self) -> EnasMacroSpace:
        return EnasMacroSpace(self.layers, self.channels)


def enas_method(
    supernet: search.Supernet,
    space: Space,
    controller: search.Controller,
    task: Task,
    settings: search.EnasSettings,
    *,
    epochs: int,
    steps_per_epoch: int,
) -> SearchMethod:
    """ENAS, and its control: as many steps of shared weights, but candidates drawn uniformly.

    Args:
      supernet: what is trained in the search; decodes candidates at full size.
      space: of the candidates.
      controller: draws candidates.
      task: what is learned.
      settings: how.
      epochs: of the search.
      steps_per_epoch: batches of the part ``train``.
    """
    learning, control = (
        search.enas(
            supernet,
            space,
            task,
            settings,
            controller=policy,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
        )
        for policy in (controller, None)
    )

    def random(key: jax.Array) -> Genotype:
        return supernet.decode(np.asarray(sample(key, space.options, 1)[0]))

    return SearchMethod(learning, random, control)


def run_enas_cells(flags: EnasCellFlags) -> Path:
    """Searches cells, and trains what was found; see `run_search`."""
    return _run(flags, "enas", cell_supernet)


def run_enas_macro(flags: EnasMacroFlags) -> Path:
    """Searches whole networks, and trains what was found; see `run_search`."""
    return _run(flags, "enas_macro", macro_supernet)


def _run(flags: EnasFlags, name: str, supernet: Callable[[Any, Dataset], search.Supernet]) -> Path:
    make = functools.partial(make_enas, flags, supernet)
    return run_search(flags.experiment, name, make, settings_of(flags))


def make_enas(
    flags: EnasFlags,
    supernet: Callable[[Any, Dataset], search.Supernet],
    task: Task,
    dataset: Dataset,
    steps: dict[str, int],
) -> SearchMethod:
    """ENAS over the space of the flags; see `MakeSearch`."""
    return enas_method(
        supernet(flags, dataset),
        flags.space,
        search.enas_controller(flags.space, flags.logits, units=flags.controller_units),
        task,
        flags.enas,
        epochs=flags.experiment.search_epochs,
        steps_per_epoch=steps["train"],
    )


def cell_supernet(flags: EnasCellFlags, dataset: Dataset) -> search.Supernet:
    """A network of cells whose weights all candidates share."""
    network = nn.Child(
        flags.space,
        dataset.num_classes,
        jnp.dtype(flags.experiment.training.precision),
        shared=True,
        auxiliary=flags.enas.auxiliary_weight > 0,
    )
    return search.Supernet(
        training.flax_apply(network),
        lambda key: nn.shared_variables(network, key, dataset.input_shape),
        lambda candidate: choices(network.layouts, candidate),
        flags.full_size.decode,
    )


def macro_supernet(flags: EnasMacroFlags, dataset: Dataset) -> search.Supernet:
    """A chain of layers whose weights all candidates share."""
    space = flags.space
    dtype = jnp.dtype(flags.experiment.training.precision)
    network = nn.MacroSupernet(space, dataset.num_classes, dtype)
    some = nn.macro_choice(space, np.zeros(len(space.decisions), np.int32))
    return search.Supernet(
        training.flax_apply(network),
        lambda key: nn.init(network, key, dataset.input_shape, some),
        lambda candidate: nn.macro_choice(space, candidate),
        flags.full_size.decode,
    )
