"""Training of networks of the {none, id, same} space: what draws and adapts them shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, training
from jaxnas.randomness import stream
from jaxnas.runs.genotype_files import refuse_unbuildable
from jaxnas.runs.training_run import Architecture, TrainingRun, refuse_huge
from jaxnas.spaces import AdaptationSpace, Derivation, Genotype
from jaxnas.spaces.adaptation import Granularity, changes


@dataclasses.dataclass(frozen=True)
class SpaceRun(TrainingRun):
    """Training of networks of a space over the base, a different one for each seed.

    Attributes:
      granularity: of the space.
    """

    granularity: Granularity = "cell"

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_no_supernet(self.base, self.dataset.input_shape)

    @cached_property
    def _space(self) -> AdaptationSpace:
        return AdaptationSpace(self.base, self.granularity)

    @cached_property
    def _supernet(self) -> nn.Network:
        learner = self._learner
        auxiliary = self.settings.auxiliary_weight > 0
        return nn.supernet(
            self._space, learner.objective.outputs, learner.dtype, auxiliary=auxiliary
        )

    def _fixed_network(self, derived: list[Derivation]) -> nn.Network:
        """What trains once the architecture of each seed is fixed.

        Seeds side by side have different architectures: one program trains them all as gates of
        the supernet. A seed on its own goes on as the derived network.
        """
        if self._learner.seeds.wide:
            return self._supernet
        return self._learner.build(derived[0].genotype)

    def _gates(self, derived: list[Derivation]) -> jax.Array:
        """float32 [seeds, blocks, edges, 3] of the architecture of each seed."""
        return jnp.stack([self._space.one_hot_gates(each.choices) for each in derived])

    def _architecture(self, derivation: Derivation, *more: str) -> Architecture:
        """A derived network with what a reader should know of it, and `more` of that."""
        edges = sum(len(cell.edges) for cell in self.base.placed_cells())
        told = changes(self.base, derivation.genotype)
        notes = [f"of the network's {edges} edges, {told}.", *more]
        if derivation.repaired:
            notes.append(
                f"the arg max of {', '.join(derivation.repaired)} left the output unreachable; the "
                "best connected assignment was taken."
            )
        if derivation.pruned:
            notes.append(
                f"edges on no path from input to output were removed ({derivation.pruned})."
            )
        return Architecture(derivation.genotype, told, tuple(notes))


@dataclasses.dataclass(frozen=True)
class RandomRun(SpaceRun):
    """Training of networks that are drawn from the space before the first step."""

    @cached_property
    def _drawn(self) -> list[Derivation]:
        """The architecture of each seed."""
        keys = [stream(jax.random.key(seed), "random") for seed in self.seeds]
        return [
            self._space.random(np.random.default_rng(np.asarray(jax.random.key_data(key))))
            for key in keys
        ]

    @cached_property
    def _network(self) -> nn.Network:
        return self._fixed_network(self._drawn)

    @cached_property
    def _first_state(self) -> Callable[[jax.Array], Any]:
        learner, network = self._learner, self._network  # drawn before anything is traced
        if not learner.seeds.wide:
            return super()._first_state
        all_gates = self._gates(self._drawn)

        def first(key: jax.Array, gates: jax.Array) -> training.TrainState:
            variables = learner.variables(key, network, jnp.zeros_like(gates))
            return learner.first_state(variables, gates)

        return jax.jit(lambda keys: jax.vmap(first)(keys, all_gates))

    def _architectures(self, meta: dict[str, Any]) -> list[Architecture]:
        return [self._architecture(each) for each in self._drawn]


@lru_cache
def _refuse_no_supernet(base: Genotype, shape: tuple[int, ...]) -> None:
    """Raises a ConfigError where `base` makes no supernet for images of `shape` [h, w, c]."""
    with refuse_unbuildable(f"--base {base.name}", f"shape {list(shape)}"):
        space = AdaptationSpace(base, "full")
        gates = jnp.zeros(space.shape)
        refuse_huge(nn.abstract_variables(nn.supernet(space, 2), shape, gates))
