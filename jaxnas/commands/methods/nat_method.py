"""NAT as an experiment runs it: its flags, its search and its random control."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxnas import nn, search, training
from jaxnas.commands.inputs import fit_stem
from jaxnas.commands.search_experiment import SearchMethod, run_search
from jaxnas.data import Dataset
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.runs.config import ConfigError, SizeFlags
from jaxnas.runs.genotype_files import load_base
from jaxnas.runs.search_config import SearchExperiment
from jaxnas.spaces import Genotype, GenotypeError, zoo
from jaxnas.spaces.transitions import (
    Version,
    nat_space,
    random_form,
    transformable,
    transformed,
)
from jaxnas.tasks import Task

CELL_FORMS = {
    "resnet20": "resnet20_cells",
    "resnet56": "resnet56_cells",
    "plain20": "plain20_cells",
    "mobilenet_v2": "mobilenet_v2_cells",
}
"""NAT's own form of networks that are not made of cells of DARTS's family, by name in the zoo."""


@dataclasses.dataclass(frozen=True)
class NATSettings:
    """Settings of NAT's search."""

    version: Version = "v1"
    """Transitions that an operation may take: to an identity or to nothing (v1), or by type and
    size of kernel (v2)."""
    faithful: bool = False
    """Keep the quirks of the published code, which may answer with a disconnected network."""
    search_channels: int = 20
    """Number of channels of a node in the supernet's first cells."""
    search_cells: int = 8
    """Number of cells in the supernet."""
    search_learning_rate: float = 0.01
    """Learning rate of the supernet's weights, constant."""

    def __post_init__(self) -> None:
        if min(self.search_channels, self.search_cells) < 1:
            raise ConfigError(
                "--search-channels and --search-cells must be positive, "
                f"not {self.search_channels} and {self.search_cells}"
            )
        if not self.search_learning_rate > 0:
            raise ConfigError(
                f"--search-learning-rate must be above 0, not {self.search_learning_rate}"
            )


@dataclasses.dataclass(frozen=True)
class NATFlags:
    """Transforms a network with NAT."""

    base: str = "resnet20_cells"
    """The network: a name of the zoo of DARTS's family, a genotype.json, or a .txt of DARTS."""
    size: Annotated[SizeFlags, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=SizeFlags
    )
    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=SearchExperiment
    )
    nat: NATSettings = dataclasses.field(default_factory=NATSettings)


def run_nat(flags: NATFlags) -> Path:
    """Transforms the network, and trains what it became; see `run_search`."""
    base = load_base(flags.base, **dataclasses.asdict(flags.size))
    size = flags.experiment.search_batch_size
    dtype = jnp.dtype(flags.experiment.training.precision)
    return run_search(
        flags.experiment,
        "nat",
        lambda task, dataset, steps: make_nat(
            fit_stem(base, flags.base, flags.size.stem, dataset),
            flags.nat,
            task,
            dataset,
            size,
            dtype,
        ),
        {"base": base.name, "nat": dataclasses.asdict(flags.nat)},
    )


def cell_form(base: Genotype) -> Genotype | None:
    """The network that NAT transforms in the place of `base`; None where there is none."""
    if base.family == "darts":
        return base
    return zoo.named(CELL_FORMS[base.name]) if base.name in CELL_FORMS else None


def make_nat(
    base: Genotype,
    settings: NATSettings,
    task: Task,
    dataset: Dataset,
    batch_size: int,
    dtype: Any,
) -> SearchMethod:
    """NAT over `base`, a network of cells, and the control: a random form of it.

    Args:
      base: what is transformed.
      settings: how.
      task: what is learned.
      dataset: of the images.
      batch_size: in which candidates are scored.
      dtype: of the supernet's computation.

    Raises:
      ConfigError: if NAT cannot transform `base`.
    """
    try:
        space = nat_space(
            base,
            settings.version,
            channels=settings.search_channels,
            layers=settings.search_cells,
        )
    except GenotypeError as error:
        raise ConfigError(f"--base {base.name}: {error}") from error
    supernet = CellSupernet(space, dataset.num_classes, dtype)
    method = search.nat(
        search.Supernet(
            training.flax_apply(supernet),
            lambda key: nn.init(supernet, key, dataset.input_shape, jnp.zeros(space.shape)),
            lambda cells: cells,
            lambda operations: transformed(space, base, operations),
        ),
        transformable(space, base, settings.version),
        task,
        faithful=settings.faithful,
        learning_rate=settings.search_learning_rate,
        batch_size=batch_size,
    )

    def random(key: jax.Array) -> Genotype:
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return random_form(space, base, settings.version, generator)

    return SearchMethod(method, random)
