"""One method from the first step to the last: plain training, or adaptation in its two phases.

Every epoch ends with a checkpoint, and what an epoch does depends on the seed, its number and the
state alone. So a run killed anywhere goes on from its last checkpoint to the same bits.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, search, tasks, training
from jaxnas.data import Dataset, epoch_permutation, rounds
from jaxnas.errors import UserError
from jaxnas.randomness import stream
from jaxnas.reports.results import Result
from jaxnas.runs.bases import refuse_unbuildable
from jaxnas.runs.config import ConfigError, Method, SelfSupervision, Training
from jaxnas.runs.learning import Learning, SelfSupervised, Supervised
from jaxnas.runs.loop import Journal
from jaxnas.runs.prices import NAMES, TOLERANCE, Prices, prices
from jaxnas.spaces import AdaptationSpace, Genotype
from jaxnas.spaces.adaptation import Derivation, changes
from jaxnas.storage.digest import run_digest
from jaxnas.storage.directory import RunDirectory
from jaxnas.training.loop import Order

# How far Adam can carry an architecture parameter by default, whatever the number of steps: DARTS's
# 3e-4 over 50 epochs of 391 steps is 5.9, and so much measured best here at a small budget.
_ARCH_TRAVEL = 6.0
# But in fewer steps than this most of it is noise, and loses the network: there the way shrinks
# with the square of their number (docs/results/estimators.md).
_FEW_ARCH_STEPS = 90


class TrainingError(UserError, RuntimeError):
    """Training that went wrong; the message names the step."""


class Outcome(NamedTuple):
    """What one seed of a method came to.

    Attributes:
      result: the row of the table.
      genotype: the final network.
      variables: its trained ``params`` and ``batch_stats``.
      theta: float32 [epochs of adaptation + 1, tables, edges, 3], θ over time, from the start on;
        None for a method that adapts nothing.
      notes: what a reader of the result should know.
    """

    result: Result
    genotype: Genotype
    variables: Any
    theta: np.ndarray | None
    notes: tuple[str, ...]


class _Phase(NamedTuple):
    """A stretch of epochs that run the same compiled step."""

    name: str
    epoch: training.Epoch
    evaluate: Callable[[Any], dict[str, jax.Array]]
    evaluate_untrained: Callable[[Any], dict[str, jax.Array]]
    abstract: Any


@lru_cache
def _refuse_unbuildable(base: Genotype, adapts: bool, shape: tuple[int, ...]) -> None:
    """Raises a ConfigError where `base` makes no network for images of `shape` [h, w, c]."""
    with refuse_unbuildable(f"--base {base.name}", f"shape {list(shape)}"):
        variables = nn.abstract_variables(nn.build(base, 2), shape)
        if adapts:
            space = AdaptationSpace(base, "full")
            gates = jnp.zeros(space.shape)
            variables = nn.abstract_variables(nn.supernet(space, 2), shape, gates)
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
        if count >= 2**31:
            raise ValueError(f"it has {count:,} parameters")


@dataclasses.dataclass(frozen=True)
class MethodRun:
    """One method on one data set, for one seed or for several side by side.

    Attributes:
      method: ``original``; ``cell`` or ``full``, adapted; ``random_cell`` or ``random_full``, with
        random choices of the same space from the first step on.
      base: the network that is given.
      dataset: what it learns.
      settings: how.
      seeds: one, or several to train side by side in one program by `jax.vmap`.
      eval_every: epochs from one test to the next.
      latency_table: where measured latencies are kept, as a resumed run needs; None to keep none.
      supervision: how it learns without labels; None to learn the labels.
    """

    method: Method
    base: Genotype
    dataset: Dataset
    settings: Training
    seeds: tuple[int, ...]
    eval_every: int = 1
    latency_table: Path | None = None
    supervision: SelfSupervision | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ConfigError(
                f"a method is one of {', '.join(get_args(Method))}, not {self.method!r}"
            )
        available = len(self.dataset.train_images)
        if self.adapts and self.settings.arch_data == "holdout":
            available -= self._held_out
        if self.settings.batch_size > available:
            raise ConfigError(
                f"--batch-size {self.settings.batch_size} is more than the {available} training "
                "images there are"
            )
        side = min(self.dataset.input_shape[:2])
        if self.settings.cutout > side:
            raise ConfigError(
                f"--cutout {self.settings.cutout} is more than the side of the images, {side}; "
                "--cutout 0 leaves it out"
            )
        if self.settings.auxiliary_weight and self.base.auxiliary < 0:
            raise ConfigError(
                f"--auxiliary-weight: {self.base.name} has no place for an auxiliary head"
            )
        if self.settings.drop_path and self.base.rules.drop_path == "none":
            raise ConfigError(
                f"--drop-path is for cell networks; {self.base.name} is of the {self.base.family} "
                "family"
            )
        edges = max((len(cell.edges) for cell in self.base.cells), default=0)
        if self.adapts and edges > 16 and self.settings.estimator not in ("mixed", "raw"):
            raise ConfigError(
                f"--estimator {self.settings.estimator} goes through the 2^{edges} patterns of a "
                "cell's edges, which are too many; use mixed or raw"
            )
        if self.settings.devices > jax.device_count():
            raise ConfigError(
                f"--devices {self.settings.devices} is more than the {jax.device_count()} there are"
            )
        if self.settings.accumulate > self.total_steps:
            raise ConfigError(
                f"--accumulate {self.settings.accumulate} is more than the {self.total_steps} "
                "steps of the run, so that the weights would never move"
            )
        _ = self._learning  # which refuses what does not fit it
        _refuse_unbuildable(self.base, self.adapts or self._random, self.dataset.input_shape)

    @property
    def adapts(self) -> bool:
        """Whether the method changes the network."""
        return self.method in ("cell", "full") and self.settings.adaptation_epochs > 0

    @property
    def _random(self) -> bool:
        return self.method.startswith("random")

    @property
    def _wide(self) -> bool:
        return len(self.seeds) > 1

    @property
    def _held_out(self) -> int:
        return max(1, round(self.settings.holdout * len(self.dataset.train_images)))

    @property
    def total_steps(self) -> int:
        """Steps from the first epoch to the last."""
        return sum(self._steps(epoch) for epoch in range(self.settings.epochs))

    def _adapting(self, epoch: int) -> bool:
        return self.adapts and epoch < self.settings.adaptation_epochs

    def _steps(self, epoch: int) -> int:
        images = len(self.dataset.train_images)
        if self._adapting(epoch) and self.settings.arch_data == "holdout":
            images -= self._held_out
        return images // self.settings.batch_size

    @property
    def _arch_steps(self) -> int:
        """Steps in which θ moves, at least 1."""
        moving = range(self.settings.waiting_epochs, self.settings.adaptation_epochs)
        return max(1, sum(self._steps(e) for e in moving) // self.settings.arch_every)

    @property
    def arch_learning_rate(self) -> float:
        """Of θ: what the settings say, or the default for the number of its steps."""
        steps = self._arch_steps
        travel = _ARCH_TRAVEL * min(1.0, steps / _FEW_ARCH_STEPS) ** 2
        return self.settings.arch_learning_rate or travel / steps

    @cached_property
    def _space(self) -> AdaptationSpace:
        return AdaptationSpace(self.base, "full" if self.method.endswith("full") else "cell")

    @cached_property
    def _drawn(self) -> list[Derivation] | None:
        """The architecture of each seed where it is random."""
        if not self._random:
            return None
        keys = [stream(jax.random.key(seed), "random") for seed in self.seeds]
        return [
            self._space.random(np.random.default_rng(np.asarray(jax.random.key_data(key))))
            for key in keys
        ]

    @cached_property
    def _prices(self) -> Prices:
        return prices(
            self.settings.cost,
            self._space,
            self.dataset.input_shape,
            self.dataset.num_classes,
            batch_size=self.settings.batch_size,
            dtype=self._dtype,
            table=self.latency_table,
        )

    def refuse_unreachable(self) -> None:
        """Raises a ConfigError where no network of the space is as cheap as the target."""
        if self.adapts and self.settings.target_cost is not None:
            self._prices.refuse_unreachable(self._space, self.settings.target_cost)

    @cached_property
    def _dtype(self) -> Any:
        return jnp.dtype(self.settings.precision)

    @cached_property
    def _learning(self) -> Learning:
        if self.supervision is None:
            return Supervised(self.dataset, self.settings)
        return SelfSupervised(self.dataset, self.settings, self.supervision)

    @cached_property
    def _task(self) -> tasks.Task:
        devices = jax.devices()[: self.settings.devices]
        task = self._learning.task
        return task if len(devices) == 1 else tasks.data_parallel(task, devices)

    @cached_property
    def _optimizer(self) -> Any:
        settings = self.settings
        warmup = sum(self._steps(epoch) for epoch in range(settings.rising_epochs))
        moves, warmup = (-(-steps // settings.accumulate) for steps in (self.total_steps, warmup))
        common: dict[str, Any] = {
            "momentum": settings.momentum,
            "weight_decay": settings.weight_decay,
            "warmup_steps": warmup,
        }
        if settings.optimizer == "lars":
            optimizer = training.lars(settings.learning_rate, moves, **common)
        else:
            optimizer = training.sgd(
                settings.learning_rate,
                moves,
                schedule=settings.schedule,
                decay_norm_and_bias=settings.decay_norm_and_bias,
                grad_clip=settings.grad_clip,
                **common,
            )
        return training.accumulate(optimizer, settings.accumulate)

    @cached_property
    def _keys(self) -> jax.Array:
        """The root key; [seeds] where there are several."""
        keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        return keys if self._wide else keys[0]

    def _each(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` over the leading axis of seeds, where there is one."""
        return jax.vmap(function) if self._wide else function

    @cached_property
    def _data(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        data = self.dataset
        train = jnp.asarray(data.train_images), jnp.asarray(data.train_labels)
        test = jnp.asarray(data.test_images), jnp.asarray(data.test_labels)
        return {"train": train, "arch": train, "test": test}

    def _order(self, epoch: int) -> Order:
        """Which images the epoch's steps take: int32 [steps, batch] or [steps, seeds, batch]."""
        count, batch = len(self.dataset.train_images), self.settings.batch_size
        held_out = self._held_out

        def order(key: jax.Array) -> Order:
            epoch_key = jax.random.fold_in(stream(key, "order"), epoch)
            if not self._adapting(epoch) or self.settings.arch_data == "train":
                return {"train": epoch_permutation(epoch_key, count, batch)}
            shuffled = jax.random.permutation(stream(key, "holdout"), count)
            train = epoch_permutation(epoch_key, count - held_out, batch)
            arch = rounds(stream(epoch_key, "arch"), held_out, train.shape)
            return {"train": shuffled[held_out:][train], "arch": shuffled[arch]}

        orders = self._each(order)(self._keys)
        return (
            {part: rows.swapaxes(0, 1) for part, rows in orders.items()} if self._wide else orders
        )

    @cached_property
    def _adaptation(self) -> search.Adaptation:
        settings = self.settings
        costs = derive = None
        if settings.cost_weight:
            costs = self._prices.candidates / self._prices.base
        if settings.target_cost is not None:
            derive = partial(self._prices.derive, self._space, settings.target_cost)
        return search.adaptation(
            self._space,
            training.flax_apply(self._supernet),
            self._task,
            self._optimizer,
            estimator=settings.estimator,
            arch_optimizer=settings.arch_optimizer,
            arch_learning_rate=self.arch_learning_rate,
            warmup_steps=sum(self._steps(e) for e in range(settings.waiting_epochs)),
            arch_data=settings.arch_data,
            arch_every=settings.arch_every,
            cost_weight=settings.cost_weight,
            costs=costs,
            derive=derive,
            regularisation=self._regularisation,
        )

    @property
    def _regularisation(self) -> training.Regularisation:
        settings = self.settings
        return training.Regularisation(
            settings.auxiliary_weight, settings.drop_path, self.total_steps, settings.dropout
        )

    @cached_property
    def _supernet(self) -> nn.Network:
        return nn.supernet(
            self._space,
            self._learning.outputs,
            self._dtype,
            auxiliary=self.settings.auxiliary_weight > 0,
        )

    def _build(self, genotype: Genotype) -> nn.Network:
        return nn.build(
            genotype,
            self._learning.outputs,
            self._dtype,
            auxiliary=self.settings.auxiliary_weight > 0,
        )

    def _first_state(self, keys: jax.Array) -> Any:
        """The state before the first epoch."""

        def first(key: jax.Array, gates: jax.Array | None = None) -> Any:
            if self.adapts:
                gates = jnp.zeros((len(self.base.blocks), *self._space.shape[1:]))
                return self._adaptation.init(self._variables(key, self._supernet, gates))
            network = self._fixed_network(self._drawn)
            zeros = () if gates is None else (jnp.zeros_like(gates),)
            return training.init(self._variables(key, network, *zeros), self._optimizer, gates)

        if self._drawn and self._wide:
            return jax.vmap(first)(keys, self._gates(self._drawn))
        return self._each(first)(keys)

    def _gates(self, derived: list[Derivation]) -> jax.Array:
        """float32 [seeds, blocks, edges, 3] of the architecture of each seed."""
        return jnp.stack([search.one_hot_gates(self._space, each.choices) for each in derived])

    def _variables(self, key: jax.Array, network: nn.Network, *gates: jax.Array) -> Any:
        return nn.init(network, stream(key, "init"), self.dataset.input_shape, *gates)

    def _phase(self, name: str, derived: list[Derivation] | None) -> _Phase:
        """The phase ``adaptation``, or of the `derived` architectures ``fixed``.

        The only phase of what does not adapt is ``original``, of the base or of random choices.
        """
        abstract = jax.eval_shape(self._first_state, self._keys)
        if name == "adaptation":
            network, step = self._supernet, self._adaptation.step
        else:
            if name == "fixed":
                abstract = jax.eval_shape(lambda state: self._fix(state, derived), abstract)
            network = self._fixed_network(derived)
            step = training.train_step(
                training.flax_apply(network),
                self._task,
                self._optimizer,
                self._regularisation,
            )
        apply = training.flax_apply(network)
        scores = self._learning.evaluator(apply, self._data, wide=self._wide)
        estimate = training.statistics_estimator(apply, self._learning.task, wide=self._wide)

        def gates(state: Any) -> jax.Array | None:
            if name == "adaptation":
                return self._each(self._adaptation.gates)(state, self._keys)
            return state.gates

        def evaluate(state: Any) -> dict[str, jax.Array]:
            return scores(state.variables, gates(state))

        def evaluate_untrained(state: Any) -> dict[str, jax.Array]:
            own = gates(state)
            return scores(estimate(state.variables, own, self._data["train"][0]), own)

        epoch = training.default_loop(self.total_steps)(self._each(step))
        return _Phase(name, epoch, evaluate, evaluate_untrained, abstract)

    def _fixed_network(self, derived: list[Derivation] | None) -> nn.Network:
        """What trains once the architecture is fixed.

        Seeds side by side have different architectures: one program trains them all as gates of
        the supernet. A seed on its own goes on as the derived network.
        """
        if derived is None:
            return self._build(self.base)
        return self._supernet if self._wide else self._build(derived[0].genotype)

    def _derive(self, theta: list[Any]) -> list[Derivation]:
        """The architecture of each seed, of θ as nested lists."""
        rows = theta if self._wide else [theta]
        return [self._adaptation.derive(jnp.asarray(row, jnp.float32)) for row in rows]

    def _fix(self, state: Any, derived: list[Derivation] | None) -> training.TrainState:
        """The state that goes on once θ is fixed: the same weights, nothing started anew."""
        assert derived is not None
        if self._wide:
            gates = self._gates(derived)
            return training.TrainState(state.step, state.variables, state.opt_state, gates)
        network = self._fixed_network(derived)
        variables = nn.cut(state.variables, network, self.dataset.input_shape)
        wanted = jax.eval_shape(self._optimizer.init, variables["params"])
        return training.TrainState(state.step, variables, nn.cut_like(state.opt_state, wanted))

    def run(
        self,
        directory: RunDirectory | None = None,
        *,
        progress: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda message: None,
        tell: Callable[[dict[str, Any]], None] = lambda row: None,
    ) -> list[Outcome]:
        """Trains from the first step, or from the directory's last checkpoint, to the last.

        Args:
          directory: where metrics and checkpoints go; None to keep nothing.
          progress: called after every step.
          say: told of checkpoints that cannot be used.
          tell: told each row of metrics, one a seed and epoch.

        Returns:
          one `Outcome` for each seed.

        Raises:
          ConfigError: if no network of the space is as cheap as the target.
          TrainingError: naming the step, if loss or weights are no longer finite. The last good
            checkpoint stays.
        """
        self.refuse_unreachable()
        journal = Journal(directory, say)
        theta: list[Any] = []
        first: dict[str, Any] = {}  # scores before the first step
        done = 0
        state: Any = None
        phase = self._phase("adaptation" if self.adapts else "original", self._drawn)
        phases = {phase.name: phase}

        def abstract(meta: dict[str, Any]) -> Any:
            if meta["phase"] not in phases and not (self.adapts and meta["phase"] == "fixed"):
                raise ValueError(f"its phase is {meta['phase']}")
            if meta["phase"] not in phases:
                derived = self._derive(meta["theta"][-1])
                phases[meta["phase"]] = self._phase(meta["phase"], derived)
            return phases[meta["phase"]].abstract

        restored = journal.restore(abstract)
        if restored is not None:
            done, state, meta = restored
            phase, theta, first = phases[meta["phase"]], meta["theta"], meta["first"]
        for _ in range(sum(self._steps(epoch) for epoch in range(done))):
            progress()

        def log(epoch: int, metrics: dict[str, jax.Array], scores: dict[str, jax.Array]) -> None:
            for row in self._rows(epoch, phase.name, metrics, scores, journal.seconds):
                tell(row)
                journal.log(row)

        if state is None:
            state = jax.jit(self._first_state)(self._keys)
            if self.adapts:
                theta.append(np.asarray(state.theta).tolist())
            if self._learning.judges_untrained:
                scores = phase.evaluate_untrained(state)
                first = {name: np.asarray(each).tolist() for name, each in scores.items()}
                log(0, {}, scores)
        scores: dict[str, Any] = {}
        for epoch in range(done, self.settings.epochs):
            if phase.name == "adaptation" and not self._adapting(epoch):
                phase, state = self._enter_fixed(state, theta[-1])
            order = self._order(epoch)
            data = {part: self._data[part] for part in order}
            state, metrics = phase.epoch(state, data, order, self._keys, progress)
            scores = {}
            if epoch + 1 == self.settings.epochs or (epoch + 1) % self.eval_every == 0:
                scores = phase.evaluate(state)
            self._refuse_non_finite(metrics, scores, state, epoch, directory)
            if phase.name == "adaptation":
                theta.append(np.asarray(state.theta).tolist())
            log(epoch + 1, metrics, scores)
            meta = {"phase": phase.name, "theta": theta, "first": first}
            score = float(np.mean(scores[self._learning.headline])) if scores else -1.0
            journal.commit(epoch + 1, state, meta, score)
        if phase.name == "adaptation":
            phase, state = self._enter_fixed(state, theta[-1])
            scores = {}
        scores = scores or phase.evaluate(state)
        return self._outcomes(state, scores, first, theta, journal)

    def _enter_fixed(self, state: Any, theta: list[Any]) -> tuple[_Phase, Any]:
        derived = self._derive(theta)
        # Copies, since an epoch uses up the state that it is given.
        fixed = jax.tree.map(jnp.copy, self._fix(state, derived))
        return self._phase("fixed", derived), fixed

    def _refuse_non_finite(
        self,
        metrics: dict[str, jax.Array],
        scores: dict[str, jax.Array],
        state: Any,
        epoch: int,
        directory: RunDirectory | None,
    ) -> None:
        """Stops before an epoch is kept whose losses, or the weights they led to, are broken."""
        what, bad = "the loss", training.first_bad_step(np.asarray(metrics["loss"]))
        if bad is None:
            learned = jax.device_get((state.variables, getattr(state, "theta", ())))
            if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learned)):
                what, bad = "a weight", self._steps(epoch) - 1
            elif broken := [name for name, each in scores.items() if not np.isfinite(each).all()]:
                what, bad = f"the {broken[0].replace('_', ' ')}", self._steps(epoch) - 1
        if bad is None:
            return
        step = sum(self._steps(each) for each in range(epoch)) + bad + 1
        kept = f"; the checkpoint of epoch {epoch} is kept" if directory and epoch else ""
        raise TrainingError(
            f"{self.method}, seed {', '.join(map(str, self.seeds))}: {what} is not finite at "
            f"step {step} (epoch {epoch + 1}){kept}; try a lower --learning-rate or --grad-clip 5"
        )

    def _rows(
        self, epoch: int, phase: str, metrics: Any, scores: dict[str, Any], seconds: float
    ) -> list[dict[str, Any]]:
        """Rows of metrics, one a seed; epoch 0 is before the first step."""
        rows = []
        for index, seed in enumerate(self.seeds):

            def of_seed(values: Any, index: int = index) -> np.ndarray:
                values = np.asarray(values)
                return values[..., index] if self._wide else values

            row = {
                "epoch": epoch,
                "seed": seed,
                "phase": phase,
            }
            if "loss" in metrics:
                row["train_loss"] = float(of_seed(metrics["loss"]).mean())
            row["seconds"] = round(seconds, 3)
            if "redrawn" in metrics:
                row["redrawn"] = int(of_seed(metrics["redrawn"]).sum())
            row |= _readable({name: float(of_seed(each)) for name, each in scores.items()})
            rows.append(row)
        return rows

    def _outcomes(
        self,
        state: training.TrainState,
        scores: dict[str, Any],
        first: dict[str, Any],
        theta: list[Any],
        journal: Journal,
    ) -> list[Outcome]:
        outcomes = []
        derived = (
            self._derive(theta[-1]) if self.adapts else self._drawn or [None] * len(self.seeds)
        )
        for index, (seed, derivation) in enumerate(zip(self.seeds, derived, strict=True)):
            genotype = self.base if derivation is None else derivation.genotype
            # The auxiliary head has done its work, and is left behind.
            network = nn.build(genotype, self._learning.outputs, self._dtype)
            variables = state.variables
            history = np.asarray(theta, np.float32)
            if self._wide:
                variables = jax.tree.map(lambda leaf, i=index: leaf[i], variables)
                history = history[:, index] if self.adapts else history
            variables = nn.cut(variables, network, self.dataset.input_shape)
            own, own_first = (
                {name: float(np.atleast_1d(each)[index]) for name, each in found.items()}
                for found in (scores, first)
            )
            judged = self._learning.judge(
                jax.random.key(seed), genotype, variables, own, own_first, self._data
            )
            found = _readable(judged.scores)
            classifier = nn.build(genotype, self.dataset.num_classes)
            size = nn.cost(classifier, self.dataset.input_shape)
            device = jax.devices()[0]
            result = Result(
                method=self.method,
                base=self.base.name,
                dataset=self.dataset.name,
                seed=seed,
                test_accuracy=found.pop("test_accuracy"),
                test_loss=found.pop("test_loss"),
                params=size.params,
                macs=size.macs,
                seconds=journal.seconds,
                epochs=self.settings.epochs,
                device=f"{device.platform}: {device.device_kind}",
                vmap_width=len(self.seeds),
                digest=run_digest(judged.variables["params"], genotype.to_json()),
                genotype=json.loads(genotype.to_json()),
                changes="" if derivation is None else changes(self.base, genotype),
                scores=found,
            )
            notes = [f"{self.method}, seed {seed}: {note}" for note in judged.notes]
            notes += [] if derivation is None else self._notes(seed, derivation)
            theta_over_time = history if self.adapts else None
            outcomes.append(
                Outcome(result, genotype, judged.variables, theta_over_time, tuple(notes))
            )
        return outcomes

    def _notes(self, seed: int, derivation: Derivation) -> list[str]:
        """What a reader of an adapted network should know."""
        who = f"{self.method}, seed {seed}"
        edges = sum(len(cell.edges) for cell in self.base.placed_cells())
        told = changes(self.base, derivation.genotype)
        notes = [f"{who}: of the network's {edges} edges, {told}."]
        if self.adapts and self.settings.target_cost is not None:
            notes.append(f"{who}: {self._cost_note(derivation, self.settings.target_cost)}")
        if derivation.repaired:
            notes.append(
                f"{who}: the arg max of {', '.join(derivation.repaired)} left the output "
                "unreachable; the best connected assignment was taken."
            )
        if derivation.pruned:
            notes.append(
                f"{who}: edges on no path from input to output were removed ({derivation.pruned})."
            )
        return notes

    def _cost_note(self, derivation: Derivation, target: float) -> str:
        """What the network costs beside what it may cost."""
        share = self._prices.share(derivation.choices)
        note = (
            f"the network has {100 * share:.1f}% of the base's {NAMES[self._prices.kind]}; "
            f"the target is {100 * target:g}%."
        )
        if share < target - TOLERANCE:
            missed = f"{100 * (target - share):.1f} points below the target"
            why = (
                "no network of this space lies between"
                if derivation.limited
                else "the architecture parameters themselves ask for no more"
            )
            note += f" It is {missed}, as {why}."
        return note


def _readable(scores: dict[str, float]) -> dict[str, float]:
    """Scores with accuracies in percent."""
    return {
        # float32 has no more digits
        name: round(100 * score, 4) if name.endswith("accuracy") else score
        for name, score in scores.items()
    }
