"""NAS (Zoph & Le 2017) on CIFAR-10: a controller trained with REINFORCE by children's accuracy.

Searches convolutional networks layer by layer: a filter's height and width, its strides if they are
searched, which earlier layers it reads, and how many filters it has. Children become deeper as the
search goes on. The best are trained longer, and the best of these on all training images; random
search does the same beside it. Every child is compiled for itself.

    python experiments/nas_cifar.py --seed 0
    python experiments/nas_cifar.py --children 40 --train-limit 3000 --filters 6 9 12 16 \\
        --child.epochs 2 --child.batch-size 64 --judged 2 --first-layers 4 --grow-every 16 \\
        --finalists 2 --finalist-epochs 4 --more-filters 6 --epochs 6
    python experiments/nas_cifar.py --dataset digits --children 8 --filters 6 9 12 16 \\
        --child.epochs 2 --child.batch-size 64 --judged 2 --first-layers 4 --grow-every 16 \\
        --finalists 1 --finalist-epochs 4 --more-filters 6 --epochs 6
    python experiments/nas_cifar.py --strides 1 2 3 --workers processes --resume

The paper trained 12,800 children on 800 GPUs. Not found in what is known of it: how children's
weights were trained beside their epochs, and how long the best network was trained.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated

import tyro

from jaxnas import search
from jaxnas.children.child_config import ChildExperiment
from jaxnas.children.child_networks import BuiltNetworks
from jaxnas.children.child_training import Candidate, Outcome
from jaxnas.children.child_winners import TRAINED, as_array
from jaxnas.commands.child_experiment import run_children, stages_beside_random
from jaxnas.commands.script import run_script
from jaxnas.runs.config import (
    ConfigError,
    WeightTraining,
    refuse_no_space,
    refuse_zero,
    settings_of,
)
from jaxnas.spaces import Genotype, Nas2017Space

CHILD = WeightTraining(epochs=50, learning_rate=0.1, weight_decay=1e-4)
DEFAULTS = ChildExperiment(
    children=192,
    judged=5,
    finalist_epochs=100,
    training=WeightTraining(epochs=300, learning_rate=0.1, weight_decay=1e-4),
)
"""The paper's settings where they are known; but 192 children, not 12,800, and a depth that grows
as much faster."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """Searches with NAS's controller."""

    experiment: Annotated[ChildExperiment, tyro.conf.OmitArgPrefixes] = DEFAULTS
    child: WeightTraining = CHILD
    """How a child is trained."""
    first_layers: int = 6
    """Of the first children."""
    grow_by: int = 2
    """Layers by which children grow, again and again."""
    grow_every: int = 24
    """Children after which they grow, from the next batch on; the paper's 1,600."""
    sides: tuple[int, ...] = (1, 3, 5, 7)
    """To choose a filter's height and width from."""
    filters: tuple[int, ...] = (24, 36, 48, 64)
    """To choose a layer's number of filters from."""
    strides: tuple[int, ...] = ()
    """To choose a layer's strides from, the paper's are 1, 2 and 3; none for layers of stride 1."""
    more_filters: int = 0
    """That every layer of the network of full size has above the child's."""
    controller_layers: int = 2
    """Of the controller's LSTM."""
    controller_units: int = 35
    """Of each of its layers."""
    controller_learning_rate: float = 6e-4
    """Of the controller."""
    controller_batch: int = 8
    """Children of one update of the controller."""

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


def make(flags: Flags) -> list[search.Stage]:
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


def reward(outcome: Outcome) -> float:
    """The best of the judged epochs' accuracies, 0 to 1, to the power of three; 0 for a failure."""
    return (max(outcome.accuracies, default=0.0) / 100) ** 3


def full_size(
    networks: BuiltNetworks, more_filters: int, candidate: Candidate
) -> dict[str, Genotype]:
    """A candidate's network with more filters in every layer."""
    genotype = networks.genotype(as_array(candidate))
    blocks = tuple(
        dataclasses.replace(block, channels=block.channels + more_filters)
        for block in genotype.blocks
    )
    return {TRAINED: dataclasses.replace(genotype, blocks=blocks)}


def main(flags: Flags) -> None:
    """Searches, and trains what was found."""
    networks = BuiltNetworks(flags.spaces)
    run_children(
        flags.experiment,
        "reinforce",
        networks,
        flags.child,
        stages_beside_random("reinforce", make(flags), flags.experiment.children),
        functools.partial(full_size, networks, flags.more_filters),
        reward,
        settings_of(flags),
    )


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
