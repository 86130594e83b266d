"""NAT as an experiment runs it: its supernet, its search and its random control."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, search, training
from jaxnas.commands.search_experiment import Method
from jaxnas.data import Dataset
from jaxnas.nn.supernets.cell_supernet import CellSupernet, Paths
from jaxnas.runs.config import ConfigError
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
    """Of NAT's search."""

    version: Version = "v1"
    """v1: an operation stays, becomes an identity or disappears; v2: transitions by type and size
    of kernel."""
    faithful: bool = False
    """With the quirks of the published code, which may answer with a disconnected network."""
    search_channels: int = 20
    """Of a node in the supernet's first cells."""
    search_cells: int = 8
    """Of the supernet."""
    search_learning_rate: float = 0.01
    """Of the supernet's weights, constant."""

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
) -> Method:
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
            lambda cells: Paths(*cells),
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

    return Method(method, random)
