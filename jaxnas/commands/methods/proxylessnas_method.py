"""ProxylessNAS as an experiment runs it: its flags, its search and its random control."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxnas import nn, search, training
from jaxnas.commands.search_experiment import SearchMethod, run_search
from jaxnas.data import Dataset
from jaxnas.nn.supernets.chain_supernet import chain_paths, where_ran
from jaxnas.runs.config import ConfigError, settings_of
from jaxnas.runs.search_config import SearchExperiment, refuse_no_space
from jaxnas.spaces import ChainSpace, Genotype, proxylessnas_space
from jaxnas.storage import files
from jaxnas.storage.latency_table import kept_latency
from jaxnas.tasks import Task


@dataclasses.dataclass(frozen=True)
class ProxylessFlags:
    """Searches with ProxylessNAS."""

    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=SearchExperiment
    )
    proxyless: search.ProxylessSettings = dataclasses.field(
        default_factory=search.ProxylessSettings
    )
    cost: Literal["macs", "params", "latency"] = "macs"
    """Cost of a candidate: multiply-adds, parameters, or milliseconds for one image on this
    device."""
    latency_table: Path = Path("runs/latency.json")
    """The file in which measured latencies are kept."""
    width: float = 1.0
    """Factor of the channels of the paper's space."""
    stages: int = 6
    """Number of stages of the paper's space to use, the first ones."""
    depth: int = 4
    """Largest number of blocks in a stage; the paper's sixth has one."""
    kernels: tuple[int, ...] = (3, 5, 7)
    """Sides of the convolutions to choose from."""
    expansions: tuple[int, ...] = (3, 6)
    """Expansions to choose from."""
    head: int | None = None
    """Number of channels before the classifier; by default the paper's."""

    def __post_init__(self) -> None:
        if self.stages < 1 or self.depth < 1:
            raise ConfigError("--stages and --depth must be at least 1")
        with refuse_no_space():
            self.space(32)

    def space(self, side: int) -> ChainSpace:
        """What is searched, for images of that height."""
        whole = proxylessnas_space(self.width, small=side <= 32)
        return dataclasses.replace(
            whole,
            stages=tuple(
                (channels, min(count, self.depth), stride)
                for channels, count, stride in whole.stages[: self.stages]
            ),
            head=whole.head if self.head is None else self.head,
            kernels=self.kernels,
            expansions=self.expansions,
        )


def run_proxylessnas(flags: ProxylessFlags) -> Path:
    """Searches, and trains what was found; see `run_search`."""
    settings = settings_of(flags)
    del settings["latency_table"]
    # Workers may have another working directory.
    flags = dataclasses.replace(flags, latency_table=flags.latency_table.resolve())
    make = functools.partial(make_proxylessnas, flags)
    return run_search(flags.experiment, "proxylessnas", make, settings)


def make_proxylessnas(
    flags: ProxylessFlags, task: Task, dataset: Dataset, steps: dict[str, int]
) -> SearchMethod:
    """ProxylessNAS over the space of the flags; see `MakeSearch`."""
    space = flags.space(dataset.input_shape[0])
    dtype = jnp.dtype(flags.experiment.training.precision)
    supernet = nn.ChainSupernet(space, dataset.num_classes, dtype)
    choices = jnp.zeros(space.shape[0], jnp.int32)

    def named(name: str, choices: np.ndarray) -> Genotype:
        return dataclasses.replace(space.decode(choices), name=name)

    try:
        algorithm = search.proxylessnas(
            search.Supernet(
                training.flax_apply(supernet),
                lambda key: nn.init(supernet, key, dataset.input_shape, choices),
                chain_paths,
                lambda choices: named("proxylessnas", choices),
            ),
            space,
            task,
            flags.proxyless,
            costs=candidate_costs(flags, space, dataset),
            where_ran=functools.partial(where_ran, space),
            epochs=flags.experiment.search_epochs,
            steps_per_epoch=steps["train"],
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error

    def random(key: jax.Array) -> Genotype:
        rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
        return named("random", rng.integers(space.options, dtype=np.int32))

    return SearchMethod(algorithm, random)


def candidate_costs(
    flags: ProxylessFlags, space: ChainSpace, dataset: Dataset
) -> nn.CandidateCosts:
    """Costs of the space's candidates.

    Timed ones come from the table of latencies, so that a resumed run has the same.
    """
    shape, classes = dataset.input_shape, dataset.num_classes
    if flags.cost != "latency":
        return nn.candidate_costs(space, shape, classes, flags.cost)
    files.make_folder(flags.latency_table.parent)
    latency = kept_latency(flags.latency_table, space, shape, classes, batch_size=1)
    return nn.CandidateCosts(1e3 * latency.candidates, 1e3 * latency.fixed, "ms for one image")
