"""Neural Architecture Transformer (Guo et al. 2019) on CIFAR-10: search, then training anew.

Transforms the cells of a known network with 40% of the training images for the supernet's weights
and 60% for the policy, then trains the answer and a random form of the same network from scratch.

    python experiments/nat_cifar.py --seed 0
    python experiments/nat_cifar.py --base darts_v2 --nat.faithful
    python experiments/nat_cifar.py --dataset digits --search-epochs 2 --search-batch-size 64 \\
        --epochs 2 --batch-size 64

PNAA's authors measured NAT on ResNet-20 as 55.78 ± 42.34 over five seeds, two of them at chance.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax.numpy as jnp
import tyro

from jaxnas.commands.nat_method import NATSettings, make_nat
from jaxnas.commands.script import run_script
from jaxnas.commands.search_experiment import run_search
from jaxnas.runs.config import WeightTraining
from jaxnas.runs.genotype_files import load_base
from jaxnas.runs.search_config import SearchExperiment

PAPER = SearchExperiment(search_epochs=100, train_share=0.4, training=WeightTraining())
"""The published search, and this project's training of a ResNet."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """Transforms a network with NAT."""

    base: str = "resnet20_cells"
    """The network: a name of the zoo of DARTS's family, a genotype.json, or a .txt of DARTS."""
    channels: int | None = None
    """Of a node in its first cells; the published number by default."""
    cells: int | None = None
    """How many it has; as published by default."""
    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = PAPER
    nat: NATSettings = dataclasses.field(default_factory=NATSettings)


def main(flags: Flags) -> None:
    """Transforms the network, and trains what it became."""
    base = load_base(flags.base, flags.channels, flags.cells)
    size = flags.experiment.search_batch_size
    dtype = jnp.dtype(flags.experiment.training.precision)
    run_search(
        flags.experiment,
        "nat",
        lambda task, dataset, steps: make_nat(base, flags.nat, task, dataset, size, dtype),
        {"base": base.name, "nat": dataclasses.asdict(flags.nat)},
    )


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
