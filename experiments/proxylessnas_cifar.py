"""ProxylessNAS (Cai et al. 2019) on a chain of inverted-residual blocks, for CIFAR-10 by default.

Searches each block's kernel and expansion, or that it is left out, then trains the found network
and a random one of the same space from scratch.

    python experiments/proxylessnas_cifar.py --seed 0
    python experiments/proxylessnas_cifar.py --cost macs --proxyless.objective mul_log \\
        --proxyless.cost-reference 4e7
    python experiments/proxylessnas_cifar.py --proxyless.estimator reinforce --cost latency \\
        --proxyless.objective reward --proxyless.cost-reference 5
    python experiments/proxylessnas_cifar.py --dataset digits --width 0.25 --stages 2 --depth 2 \\
        --kernels 3 5 --head 64 --search-epochs 8 --epochs 10

The paper searched ImageNet with this space; its space for CIFAR-10 was another and its search there
was not released. A cost's unit is a multiply-add, a parameter, or a millisecond for one image.
"""

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
from jaxnas.commands.script import run_script
from jaxnas.commands.search_experiment import Method, run_search
from jaxnas.data import Dataset
from jaxnas.nn.supernets.chain_supernet import chain_paths, where_ran
from jaxnas.runs.config import ConfigError, WeightTraining, refuse_no_space, settings_of
from jaxnas.runs.search_config import SearchExperiment
from jaxnas.spaces import ChainSpace, Genotype, proxylessnas_space
from jaxnas.storage.latency_table import kept_latency
from jaxnas.tasks import Task

DEFAULTS = SearchExperiment(
    search_epochs=160,
    search_batch_size=256,
    train_share=0.9,
    training=WeightTraining(epochs=300, batch_size=128, learning_rate=0.05, weight_decay=4e-5),
)
"""The search as the paper's for ImageNet; training anew is this project's choice."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """Searches with ProxylessNAS."""

    experiment: Annotated[SearchExperiment, tyro.conf.OmitArgPrefixes] = DEFAULTS
    proxyless: search.ProxylessSettings = dataclasses.field(
        default_factory=search.ProxylessSettings
    )
    cost: Literal["macs", "params", "latency"] = "macs"
    """What candidates cost: counted, or timed on this device, in milliseconds for one image."""
    latency_table: Path = Path("runs/latency.json")
    """Where timed latencies are kept."""
    width: float = 1.0
    """Factor of the channels of the paper's space."""
    stages: int = 6
    """Use the first so many stages of the paper's space."""
    depth: int = 4
    """Blocks in a stage, at most; the paper's sixth has one."""
    kernels: tuple[int, ...] = (3, 5, 7)
    """Sides of the convolutions to choose from."""
    expansions: tuple[int, ...] = (3, 6)
    """Expansions to choose from."""
    head: int | None = None
    """Channels before the classifier, if not the paper's."""

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

    def costs(self, space: ChainSpace, dataset: Dataset) -> nn.CandidateCosts:
        """Of the candidates; timed ones come from the table, so that a resumed run has the same."""
        shape, classes = dataset.input_shape, dataset.num_classes
        if self.cost != "latency":
            return nn.candidate_costs(space, shape, classes, self.cost)
        self.latency_table.parent.mkdir(parents=True, exist_ok=True)
        latency = kept_latency(self.latency_table, space, shape, classes, batch_size=1)
        return nn.CandidateCosts(1e3 * latency.candidates, 1e3 * latency.fixed, "ms for one image")


def make(flags: Flags, task: Task, dataset: Dataset, steps: dict[str, int]) -> Method:
    """ProxylessNAS over the space of the flags."""
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
            costs=flags.costs(space, dataset),
            where_ran=functools.partial(where_ran, space),
            epochs=flags.experiment.search_epochs,
            steps_per_epoch=steps["train"],
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error

    def random(key: jax.Array) -> Genotype:
        rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
        return named("random", rng.integers(space.options, dtype=np.int32))

    return Method(algorithm, random)


def main(flags: Flags) -> None:
    """Searches, and trains what was found."""
    fields = settings_of(flags)
    del fields["latency_table"]
    # Workers may have another working directory.
    flags = dataclasses.replace(flags, latency_table=flags.latency_table.resolve())
    run_search(flags.experiment, "proxylessnas", functools.partial(make, flags), fields)


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
