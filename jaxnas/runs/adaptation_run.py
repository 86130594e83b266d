"""Adaptation from the first step to the last: weights and architecture together, then weights."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, search, training
from jaxnas.data import Dataset, epoch_permutation, rounds
from jaxnas.randomness import stream
from jaxnas.reports.results import Architecture, SeedOutcome
from jaxnas.runs.config import ConfigError, Method, Training
from jaxnas.runs.flags.adaptation import AdaptationFlags, EstimatorName
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.learner import Phase
from jaxnas.runs.loop import Journal, Kept
from jaxnas.runs.space_run import IdentitiesRun, NormRun, RandomRun, SpaceRun
from jaxnas.runs.starting.start import Start
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import Derivation, Genotype
from jaxnas.spaces.adaptation import Granularity, granularity_of
from jaxnas.training.loop import Order

# How far Adam can carry an architecture parameter by default, whatever the number of steps: DARTS's
# 3e-4 over 50 epochs of 391 steps is 5.9, and so much measured best here at a small budget.
_ARCH_TRAVEL = 6.0
# But in fewer steps than this most of it is noise, and loses the network: there the way shrinks
# with the square of their number (docs/results/estimators.md).
_FEW_ARCH_STEPS = 90

_JOINT, _FIXED = "adaptation", "fixed"
"""The phases."""


class _Fixed(NamedTuple):
    """The architecture of each seed, and the phase that trains it."""

    derived: list[Derivation]
    phase: Phase


@dataclasses.dataclass(frozen=True)
class AdaptationRun(SpaceRun):
    """Adaptation of the base while it trains."""

    def __post_init__(self) -> None:
        self.adaptation.refuse_beyond(self.settings.epochs, self._head_epochs)
        if self.settings.early_stopping is not None and self._fixed_from == self.settings.epochs:
            raise ConfigError(
                "--early-stopping needs epochs in which the architecture is fixed: give fewer "
                "--adapt-epochs than --epochs"
            )
        super().__post_init__()

    @property
    def _estimator(self) -> EstimatorName:
        return self.adaptation.reading(self.start is not None)

    @property
    def _body_epochs(self) -> int:
        """Epochs in which all weights move; the architecture adapts in the first of them."""
        return self.settings.epochs - self._head_epochs

    @property
    def _joint_epochs(self) -> int:
        return self.adaptation.joint_epochs(self._body_epochs)

    @property
    def _waiting_epochs(self) -> int:
        return self.adaptation.waiting_epochs(self._body_epochs)

    @property
    def _fixed_from(self) -> int:
        """Epochs before the architecture is fixed."""
        return self._head_epochs + self._joint_epochs

    @property
    def _held_out(self) -> int:
        """Images that move θ alone while the architecture adapts."""
        if self.adaptation.arch_data == "train":
            return 0
        return max(1, round(self.adaptation.holdout * self._learned))

    @property
    def _images(self) -> tuple[int, ...]:
        count, fixed = self._learned, self.settings.epochs - self._fixed_from
        return (count - self._held_out,) * self._fixed_from + (count,) * fixed

    @property
    def _arch_steps(self) -> int:
        """Number of moves of θ."""
        moving = self.steps[self._head_epochs + self._waiting_epochs : self._fixed_from]
        return sum(moving) // self.adaptation.arch_every

    @property
    def _hurried(self) -> str | None:
        """A sentence where a target decides before θ can; None elsewhere.

        That is where the default rate lets θ go less than half as far as with enough steps.
        """
        if self.adaptation.target_cost is None or self.adaptation.arch_learning_rate is not None:
            return None
        steps, enough = self._arch_steps, math.ceil(_FEW_ARCH_STEPS / math.sqrt(2))
        if steps >= enough:
            return None
        needed = math.ceil(enough * self.adaptation.arch_every / self.steps[self._head_epochs])
        longer = " and more --epochs" if needed >= self._body_epochs else ""
        return (
            f"θ moves for {steps} steps, by default less than half as far as in {_FEW_ARCH_STEPS}: "
            "under --target-cost what operations cost decides more than what they are good for; "
            f"for {enough} steps give --adapt-epochs {needed} --warmup-epochs 0{longer}"
        )

    @property
    def arch_learning_rate(self) -> float:
        """Learning rate of θ: what the settings say, or the default for the number of its steps."""
        steps = max(1, self._arch_steps)
        travel = _ARCH_TRAVEL * min(1.0, steps / _FEW_ARCH_STEPS) ** 2
        return self.adaptation.arch_learning_rate or travel / steps

    @property
    def resolved(self) -> dict[str, float]:
        """What is in force where the flags leave it to the number of epochs and steps."""
        return {
            "adapt_epochs": self._joint_epochs,
            "warmup_epochs": self._waiting_epochs,
            "arch_learning_rate": self.arch_learning_rate,
        }

    def _order_of(self, key: jax.Array, epoch: int) -> Order:
        if epoch >= self._fixed_from or not self._held_out:
            return super()._order_of(key, epoch)
        count, held_out = self._learned, self._held_out
        epoch_key = jax.random.fold_in(stream(key, "order"), epoch)
        shuffled = jax.random.permutation(stream(key, "holdout"), count)
        train = epoch_permutation(epoch_key, count - held_out, self.settings.batch_size)
        arch = rounds(stream(epoch_key, "arch"), held_out, train.shape)
        rows = {"train": shuffled[held_out:][train], "arch": shuffled[arch]}
        return {part: self._learner.learned_rows(each) for part, each in rows.items()}

    @cached_property
    def _adaptation(self) -> search.Adaptation:
        settings, learner = self.adaptation, self._learner
        costs, decode = None, self._space.derive
        if settings.cost_weight:
            costs = self._costs.candidates / self._costs.base
        if settings.target_cost is not None:
            decode = partial(self._costs.derive, self._space, settings.target_cost)
        table_of_block = self._space.table_of_block

        def draw(key: jax.Array) -> Any:
            zeros = jnp.zeros((len(table_of_block), *self._space.shape[1:]))
            return learner.variables(key, self._supernet, learner.given, zeros)

        return search.adaptation(
            search.Supernet(
                training.flax_apply(self._supernet),
                draw,
                lambda gates: gates[table_of_block],
                decode,
            ),
            self._space,
            learner.task,
            learner.optimizer,
            estimator=self._estimator,
            arch_optimizer=settings.arch_optimizer,
            arch_learning_rate=self.arch_learning_rate,
            warmup_steps=sum(self.steps[: self._head_epochs + self._waiting_epochs]),
            arch_data=settings.arch_data,
            arch_every=settings.arch_every,
            cost_weight=settings.cost_weight,
            costs=costs,
            regularisation=learner.regularisation,
            average_decay=learner.settings.weight_average,
        )

    @cached_property
    def _network(self) -> nn.Network:
        return self._supernet

    @cached_property
    def _theta(self) -> jax.Array:
        """Every seed's θ at the start."""
        theta, seeds = search.initial_theta(self._space), self._learner.seeds
        return jnp.stack([theta] * len(self.seeds)) if seeds.wide else theta

    @cached_property
    def _start_gates(self) -> jax.Array | None:
        reading = search.ESTIMATORS[self._estimator](self._space)

        def gates(theta: jax.Array) -> jax.Array:
            read = reading.gates(theta) if self._head_epochs else theta
            return read[self._space.table_of_block]

        return self._learner.seeds.each(gates)(self._theta)

    def _state(self, variables: Any, gates: jax.Array | None) -> search.AdaptationState:
        return self._adaptation.start(variables)

    @cached_property
    def _first_phase(self) -> Phase:
        def gates(state: search.AdaptationState) -> jax.Array:
            return self._learner.seeds.each(self._adaptation.gates)(state)

        abstract = jax.eval_shape(self._first_state, self._keys)
        return self._learner.phase(_JOINT, self._supernet, self._adaptation.step, gates, abstract)

    @cached_property
    def _fixed_by_theta(self) -> dict[str, _Fixed]:
        """What θ, as text, became; a run has but one."""
        return {}

    def _fixed(self, meta: dict[str, Any]) -> _Fixed:
        """What the θ of an epoch's metadata becomes."""
        theta = meta["theta"][-1]
        name = json.dumps(theta)
        if name not in self._fixed_by_theta:
            rows = theta if self._learner.seeds.wide else [theta]
            derived = [self._adaptation.derive(jnp.asarray(row, jnp.float32)) for row in rows]
            abstract = jax.eval_shape(
                lambda state: self._fix(state, derived), self._first_phase.abstract
            )
            network = self._fixed_network(derived)
            phase = self._learner.weights_phase(_FIXED, network, abstract)
            self._fixed_by_theta[name] = _Fixed(derived, phase)
        return self._fixed_by_theta[name]

    def _fix(self, state: search.AdaptationState, derived: list[Derivation]) -> training.TrainState:
        """The state that goes on once θ is fixed: the same weights, nothing started anew."""
        variables, opt_state, average = state.variables, state.opt_state, state.average
        gates = self._gates(derived) if self._learner.seeds.wide else None
        if gates is None:
            network, shape = self._fixed_network(derived), self.dataset.input_shape
            variables = nn.cut(variables, network, shape)
            average = None if average is None else nn.cut(average, network, shape)
            wanted = jax.eval_shape(self._learner.optimizer.init, variables["params"])
            opt_state = nn.cut_like(opt_state, wanted)
        best = variables if self.settings.early_stopping is not None else None
        return training.TrainState(state.step, variables, opt_state, gates, average, best)

    def _phase(self, meta: dict[str, Any]) -> Phase:
        return self._fixed(meta).phase if meta["phase"] == _FIXED else super()._phase(meta)

    def _begin(self) -> Kept:
        self.refuse_unreachable()
        if self._hurried is not None:
            warnings.warn(f"{self.method}: {self._hurried}", stacklevel=2)
        kept = super()._begin()
        return kept._replace(meta=kept.meta | {"theta": [np.asarray(self._theta).tolist()]})

    def _advance(self, kept: Kept, progress: Callable[[], None]) -> Kept | None:
        if kept.epoch == self._fixed_from < self.settings.epochs:
            kept = self._enter_fixed(kept)
        after = super()._advance(kept, progress)
        if after is not None and after.meta["phase"] == _JOINT:
            theta = [*after.meta["theta"], np.asarray(after.state.theta).tolist()]
            after = after._replace(meta=after.meta | {"theta": theta})
        return after

    def _enter_fixed(self, kept: Kept) -> Kept:
        """The end of the joint phase as the start of the other one."""
        # Copies, since an epoch uses up the state that it is given.
        state = jax.tree.map(jnp.copy, self._fix(kept.state, self._fixed(kept.meta).derived))
        return kept._replace(state=state, meta=kept.meta | {"phase": _FIXED, "scores": {}})

    def _architectures(self, meta: dict[str, Any]) -> list[Architecture]:
        found = [self._architecture(each) for each in self._fixed(meta).derived]
        more = () if self._hurried is None else (f"{self._hurried}.",)
        return [each._replace(notes=(*each.notes, *more)) for each in found]

    def _outcomes(self, kept: Kept, journal: Journal) -> list[SeedOutcome]:
        if kept.meta["phase"] == _JOINT:
            kept = self._enter_fixed(kept)
        theta = np.asarray(kept.meta["theta"], np.float32)
        return [
            outcome._replace(theta=theta[:, index] if self._learner.seeds.wide else theta)
            for index, outcome in enumerate(super()._outcomes(kept, journal))
        ]


def method_run(
    method: Method,
    base: Genotype,
    dataset: Dataset,
    settings: Training,
    seeds: Sequence[int],
    eval_every: int = 1,
    *,
    latency_table: Path | None = None,
    supervision: SelfSupervision | None = None,
    adaptation: AdaptationFlags | None = None,
    start: Start | None = None,
) -> TrainingRun:
    """The run of a method by its name; other arguments are those of the runs.

    ``original`` leaves the base alone, ``cell`` and ``full`` adapt it (unless for no epoch at all),
    ``random_cell`` and ``random_full`` draw a network from the same space. ``block`` and
    ``random_block`` do so by blocks that stay or go; see `AdaptationSpace`. ``identities`` makes an
    identity of every null edge before the first step. From given weights
    ``norm`` leaves out the operations of the smallest, and ``scratch`` trains the base without
    them.

    Raises:
      ConfigError: for another method, or if settings, data and network do not fit each other.
    """
    if method not in get_args(Method):
        raise ConfigError(f"a method is one of {', '.join(get_args(Method))}, not {method!r}")
    if start is None and method in ("norm", "scratch"):
        raise ConfigError(f"{method} is a control of training from --weights; give them")
    if start is not None:
        dataset = start.normalised(dataset)
    common = (method, base, dataset, settings, tuple(seeds), eval_every, supervision)
    adaptation = adaptation or AdaptationFlags()
    if method == "scratch":
        return TrainingRun(*common)
    body_epochs = settings.epochs - (0 if start is None else start.head_epochs)
    granularity = granularity_of(method)
    adapts = method in get_args(Granularity) and adaptation.joint_epochs(body_epochs)
    if not adapts and method in get_args(Granularity) and adaptation.target_cost is not None:
        raise ConfigError(
            f"--target-cost {adaptation.target_cost} needs epochs in which {method} adapts: give "
            "--adapt-epochs of at least 1"
        )
    if not adapts and method in ("original", *get_args(Granularity)):
        return TrainingRun(*common, start)
    chosen = {"norm": NormRun, "identities": IdentitiesRun}.get(method, RandomRun)
    return (AdaptationRun if adapts else chosen)(
        *common, start, granularity, latency_table, adaptation
    )
