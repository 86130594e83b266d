"""Training of networks of the {none, id, same} space that are chosen before the first step.

What adapts them while they train (`runs.adaptation_run`) shares their space and its costs.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn
from jaxnas.randomness import stream
from jaxnas.reports.results import Architecture
from jaxnas.runs.config import AdaptationFlags, ConfigError
from jaxnas.runs.edge_costs import EdgeCosts, edge_costs
from jaxnas.runs.starting.buildable import refuse_no_supernet
from jaxnas.runs.starting.edge_norms import edge_norms
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import AdaptationSpace, Derivation
from jaxnas.spaces.adaptation import ID, SAME, Granularity, changes
from jaxnas.spaces.adaptation.smallest_norm import without_smallest


@dataclasses.dataclass(frozen=True)
class SpaceRun(TrainingRun):
    """Training of networks of a space over the base, a different one for each seed.

    Attributes:
      granularity: of the space.
      latency_table: where measured latencies are kept, as a resumed run needs; None to keep none.
      adaptation: what a network may cost, and how the architecture adapts.
    """

    granularity: Granularity = "cell"
    latency_table: Path | None = None
    adaptation: AdaptationFlags = dataclasses.field(default_factory=AdaptationFlags)

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_no_supernet(self.base, self.dataset.input_shape)
        try:
            AdaptationSpace(self.base, self.granularity)
        except ValueError as error:
            raise ConfigError(f"--base {self.base.name}: {error}") from error

    @cached_property
    def _space(self) -> AdaptationSpace:
        return AdaptationSpace(self.base, self.granularity)

    @cached_property
    def _costs(self) -> EdgeCosts:
        return edge_costs(
            self.adaptation.cost,
            self._space,
            self.dataset.input_shape,
            self.dataset.num_classes,
            batch_size=self.settings.batch_size,
            dtype=self._learner.dtype,
            table=self.latency_table,
        )

    def refuse_unreachable(self) -> None:
        """Raises a ConfigError where no network of the space is as cheap as the target."""
        if self.adaptation.target_cost is not None:
            self._costs.refuse_unreachable(self._space, self.adaptation.target_cost)

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

    def _architecture(self, derivation: Derivation) -> Architecture:
        """A derived network with what a reader should know of it."""
        target = self.adaptation.target_cost
        more = () if target is None else (self._costs.note(derivation, target),)
        edges = sum(len(cell.edges) for cell in self.base.placed_cells())
        told = changes(self.base, derivation.genotype)
        notes = [f"of {len(self.base.blocks)} blocks and their {edges} edges, {told}.", *more]
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
class ChosenRun(SpaceRun):
    """Training of networks of the space that are chosen before the first step."""

    @cached_property
    def _chosen(self) -> list[Derivation]:
        """The architecture of each seed."""
        raise NotImplementedError

    @cached_property
    def _network(self) -> nn.Network:
        return self._fixed_network(self._chosen)

    @cached_property
    def _start_gates(self) -> jax.Array | None:
        return self._gates(self._chosen) if self._learner.seeds.wide else None

    def refuse_unreachable(self) -> None:
        """Raises a ConfigError where no network can be chosen that is as cheap as the target."""
        super().refuse_unreachable()
        if self.adaptation.target_cost is not None:
            _ = self._chosen

    def _architectures(self, meta: dict[str, Any]) -> list[Architecture]:
        return [self._architecture(each) for each in self._chosen]


@dataclasses.dataclass(frozen=True)
class RandomRun(ChosenRun):
    """Training of networks that are drawn from the space, of a target's cost where there is one."""

    @cached_property
    def _chosen(self) -> list[Derivation]:
        target = self.adaptation.target_cost
        drawn = []
        for seed in self.seeds:
            key = jax.random.key_data(stream(jax.random.key(seed), "random"))
            generator = np.random.default_rng(np.asarray(key))
            if target is None:
                drawn.append(self._space.random(generator))
            else:  # of the networks of that cost, the best by preferences that are drawn
                preferences = generator.gumbel(size=self._space.shape)
                drawn.append(self._costs.derive(self._space, target, preferences, spend=True))
        return drawn


@dataclasses.dataclass(frozen=True)
class IdentitiesRun(ChosenRun):
    """Training of the base with every null edge an identity.

    It is a control of adaptation: how much of a gain is the added edges', whoever adds them.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._null.any():
            raise ConfigError(
                f"identities: {self.base.name} has no null edge that could become an identity; "
                "leave the method out"
            )

    @property
    def _null(self) -> np.ndarray:
        """bool [tables, edges], true for the null edges of the base."""
        return self._space.nothing[..., SAME]

    @cached_property
    def _chosen(self) -> list[Derivation]:
        choices = np.where(self._null, ID, self._space.base_choices()).astype(np.int32)
        return [Derivation(choices, self._space.genotype(choices), (), 0)] * len(self.seeds)


@dataclasses.dataclass(frozen=True)
class NormRun(ChosenRun):
    """Training of what is left of the base without the operations of the smallest weights.

    It is what a pruning tool does, and a control of adaptation: see `without_smallest`.
    """

    def __post_init__(self) -> None:
        if self.start is None or self.adaptation.target_cost is None:
            raise ConfigError(
                "norm drops operations whose --weights are small until --target-cost is met; give "
                "both"
            )
        if self.adaptation.target_cost > 1:
            raise ConfigError(
                "norm drops operations of the base: --target-cost must be at most 1, not "
                f"{self.adaptation.target_cost}"
            )
        super().__post_init__()

    @cached_property
    def _chosen(self) -> list[Derivation]:
        target = self.adaptation.target_cost
        assert target is not None
        most, least = self._costs.range_of(target)
        identities = nn.candidate_costs(
            self._space, self.dataset.input_shape, self.dataset.num_classes, "params"
        ).candidates[..., ID]
        try:
            left = without_smallest(
                self._space,
                edge_norms(self.base, self._learner.given),
                identities == 0,
                self._costs.candidates,
                most,
                least,
            )
        except ValueError as error:
            raise ConfigError(f"--target-cost {target}, norm: {error}") from error
        return [left] * len(self.seeds)
