"""NAS (Zoph & Le 2017) as an experiment runs it: its flags, its controller and its reward."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated

import tyro

from jaxnas import search
from jaxnas.children.child_config import ChildExperiment
from jaxnas.children.child_networks import BuiltNetworks
from jaxnas.children.child_training import Candidate, Outcome
from jaxnas.children.child_winners import TRAINED, as_array
from jaxnas.commands.child_experiment import run_children, stages_beside_random
from jaxnas.runs.config import (
    ConfigError,
    Training,
    refuse_zero,
    settings_of,
)
from jaxnas.runs.search_config import refuse_no_space
from jaxnas.spaces import Genotype, Nas2017Space


@dataclasses.dataclass(frozen=True)
class NasFlags:
    """Searches with NAS's controller."""

    experiment: Annotated[ChildExperiment, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=ChildExperiment
    )
    child: Training = dataclasses.field(default_factory=Training)
    """How a child is trained."""
    first_layers: int = 6
    """Number of layers of the first children."""
    grow_by: int = 2
    """Number of layers by which children grow, again and again."""
    grow_every: int = 24
    """Number of children after which they grow, from the next batch on; the paper has 1,600."""
    sides: tuple[int, ...] = (1, 3, 5, 7)
    """Heights and widths that a filter chooses from."""
    filters: tuple[int, ...] = (24, 36, 48, 64)
    """Numbers of filters that a layer chooses from."""
    strides: tuple[int, ...] = ()
    """Strides that a layer chooses from; none for layers of stride 1. The paper has 1, 2 and 3."""
    more_filters: int = 0
    """Number of filters that every layer of the network of full size has above the child's."""
    controller_layers: int = 2
    """Number of layers of the controller's LSTM."""
    controller_units: int = 35
    """Number of units in each layer of the controller's LSTM."""
    controller_learning_rate: float = 6e-4
    """Learning rate of the controller."""
    controller_batch: int = 8
    """Number of children in one update of the controller."""

    def __post_init__(self) -> None:
        refuse_zero(
            self,
            "first_layers",
            "grow_by",
            "grow_every",
            "controller_layers",
            "controller_units",
            "controller_learning_rate",
            "controller_batch",
        )
        if self.more_filters < 0:
            raise ConfigError(f"--more-filters must not be negative, not {self.more_filters}")
        with refuse_no_space():
            _ = self.spaces

    @property
    def spaces(self) -> tuple[Nas2017Space, ...]:
        """What is searched, one depth after the other."""
        growths = (self.experiment.children - 1) // self.grow_every
        return tuple(
            Nas2017Space(
                self.first_layers + number * self.grow_by, self.sides, self.filters, self.strides
            )
            for number in range(growths + 1)
        )


def nas_stages(flags: NasFlags) -> list[search.Stage]:
    """NAS's controller, over one depth after the other."""
    deepest = flags.spaces[-1]
    controller = search.lstm(
        deepest, layers=flags.controller_layers, units=flags.controller_units, scale=0.08
    )
    return [
        search.Stage(
            number * flags.grow_every,
            space,
            search.reinforce(
                space,
                controller=search.prefix(controller, deepest, space),
                learning_rate=flags.controller_learning_rate,
                batch=flags.controller_batch,
            ),
        )
        for number, space in enumerate(flags.spaces)
    ]


def cubed_accuracy(outcome: Outcome) -> float:
    """The best of the judged epochs' accuracies, 0 to 1, to the power of three."""
    return (max(outcome.accuracies) / 100) ** 3


def with_more_filters(
    networks: BuiltNetworks, more_filters: int, candidate: Candidate
) -> dict[str, Genotype]:
    """A candidate's network with more filters in every layer."""
    genotype = networks.genotype(as_array(candidate))
    blocks = tuple(
        dataclasses.replace(block, channels=block.channels + more_filters)
        for block in genotype.blocks
    )
    return {TRAINED: dataclasses.replace(genotype, blocks=blocks)}


def run_nas(flags: NasFlags) -> Path:
    """Searches, and trains what was found; see `run_children`."""
    networks = BuiltNetworks(flags.spaces)
    return run_children(
        flags.experiment,
        "reinforce",
        networks,
        flags.child,
        stages_beside_random("reinforce", nas_stages(flags), flags.experiment.children),
        functools.partial(with_more_filters, networks, flags.more_filters),
        cubed_accuracy,
        settings_of(flags),
    )
