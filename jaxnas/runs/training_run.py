"""Plain training of a network, from the first step to the last.

Every epoch ends with a checkpoint, and what an epoch does depends on the seed, its number and the
state alone: see `runs.loop`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, training
from jaxnas.data import Dataset, epoch_permutation
from jaxnas.jobs.job import UNWATCHED, Watcher
from jaxnas.randomness import stream
from jaxnas.reports.results import Architecture, Result, SeedOutcome
from jaxnas.runs import stopping
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.learner import HEAD, Learner, Phase, Seeds
from jaxnas.runs.loop import Journal, Kept, TrainingError, all_finite
from jaxnas.runs.objectives import as_lists, of_seed, readable
from jaxnas.runs.starting.buildable import refuse_no_network, refuse_unfit
from jaxnas.runs.starting.start import Start
from jaxnas.spaces import Genotype
from jaxnas.storage.digest import run_digest
from jaxnas.storage.directory import RunDirectory
from jaxnas.training.loop import Order


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """Training of a network that is left as it is, on one data set.

    Attributes:
      method: what its results, its folder and its errors call it.
      base: the network.
      dataset: what it learns.
      settings: how.
      seeds: one, or several to train side by side in one program.
      eval_every: epochs from one test to the next.
      supervision: how it learns without labels; None to learn the labels.
      start: what training starts from; None for variables that are drawn.

    Raises:
      ConfigError: if settings, data and network do not fit each other.
    """

    method: str
    base: Genotype
    dataset: Dataset
    settings: Training
    seeds: tuple[int, ...]
    eval_every: int = 1
    supervision: SelfSupervision | None = None
    start: Start | None = None

    def __post_init__(self) -> None:
        settings, images = self.settings, min(self._images)
        if self.start is not None:
            self.start.refuse_beyond(settings, labels=self.supervision is None)
        refuse_unfit(self.base, settings, images, self.dataset.input_shape)
        alone = sum(self.steps[: self._head_epochs])  # of the head
        rest = self.total_steps - alone
        for steps, what in ((rest, "the run"), *([(alone, "--head-epochs")] if alone else [])):
            if settings.accumulate > steps:
                raise ConfigError(
                    f"--accumulate {settings.accumulate} is more than the {steps} steps of {what}, "
                    "so that weights would never move"
                )
        _ = self._learner.objective  # which refuses what does not fit it
        refuse_no_network(self.base, self.dataset.input_shape)

    @property
    def _head_epochs(self) -> int:
        """The first epochs, in which the head alone learns."""
        return 0 if self.start is None else self.start.head_epochs

    @property
    def _images(self) -> tuple[int, ...]:
        """Images that each epoch's weights see."""
        return (self._learned,) * self.settings.epochs

    @property
    def _learned(self) -> int:
        """Number of training images that are learned: all but those that say when to stop."""
        count = len(self.dataset.train_images)
        return count - self.settings.held_out(count)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Steps of each epoch; a last batch that is not full is left out."""
        return tuple(images // self.settings.batch_size for images in self._images)

    @property
    def total_steps(self) -> int:
        """Steps from the first epoch to the last."""
        return sum(self.steps)

    @cached_property
    def _learner(self) -> Learner:
        seeds = Seeds(self.seeds)
        return Learner(self.dataset, self.settings, self.supervision, self.steps, seeds, self.start)

    @cached_property
    def _keys(self) -> jax.Array:
        return self._learner.seeds.keys

    def _order(self, epoch: int) -> Order:
        """Which images the epoch's steps take: int32 [steps, batch] or [steps, seeds, batch]."""
        seeds = self._learner.seeds
        orders = seeds.each(lambda key: self._order_of(key, epoch))(self._keys)
        if not seeds.wide:
            return orders
        return {part: rows.swapaxes(0, 1) for part, rows in orders.items()}

    def _order_of(self, key: jax.Array, epoch: int) -> Order:
        """The order of the seed with this root key."""
        epoch_key = jax.random.fold_in(stream(key, "order"), epoch)
        rows = epoch_permutation(epoch_key, self._learned, self.settings.batch_size)
        return {"train": self._learner.learned_rows(rows)}

    @cached_property
    def _network(self) -> nn.Network:
        """What is trained."""
        return self._learner.build(self.base)

    @cached_property
    def _start_gates(self) -> jax.Array | None:
        """The gates of each seed's network, where what is trained is a supernet; else None."""
        return None

    def _state(self, variables: Any, gates: jax.Array | None) -> Any:
        """The state of one seed before the first step that moves all of these variables."""
        return self._learner.first_state(variables, gates)

    def _head_state(self, variables: Any, gates: jax.Array | None) -> training.TrainState:
        """The state of one seed before the first step that moves the head alone."""
        return training.head_init(variables, self._learner.head_optimizer, gates)

    def _from_keys(self, begin: Callable[[Any, Any], Any]) -> Callable[[jax.Array], Any]:
        """Root keys to what `begin` makes of first variables and gates; compiled."""
        # What is built once is built before anything is traced.
        learner, network, all_gates = self._learner, self._network, self._start_gates

        def first(key: jax.Array, given: Any, gates: jax.Array | None) -> Any:
            more = () if gates is None else (jnp.zeros_like(gates),)
            return begin(learner.variables(key, network, given, *more), gates)

        each = (0, None, None if all_gates is None else 0)
        compiled = jax.jit(jax.vmap(first, each) if learner.seeds.wide else first)
        return lambda keys: compiled(keys, learner.given, all_gates)

    @cached_property
    def _first_state(self) -> Callable[[jax.Array], Any]:
        """Root keys to the state before the first step that moves all weights."""
        return self._from_keys(self._state)

    @cached_property
    def _first_phase(self) -> Phase:
        abstract = jax.eval_shape(self._first_state, self._keys)
        return self._learner.weights_phase("original", self._network, abstract)

    @cached_property
    def _first_head_state(self) -> Callable[[jax.Array], training.TrainState]:
        """Root keys to the state before the first step that moves the head alone."""
        return self._from_keys(self._head_state)

    @cached_property
    def _head_phase(self) -> Phase:
        abstract = jax.eval_shape(self._first_head_state, self._keys)
        return self._learner.head_phase(self._network, abstract)

    def _phase(self, meta: dict[str, Any]) -> Phase:
        """The phase of an epoch that ended with this metadata.

        Raises:
          ValueError: if it is of another kind of run.
        """
        if meta["phase"] == HEAD and self._head_epochs:
            return self._head_phase
        if meta["phase"] != self._first_phase.name:
            raise ValueError(f"its phase is {meta['phase']}")
        return self._first_phase

    def run(
        self, directory: RunDirectory | None = None, watcher: Watcher = UNWATCHED
    ) -> list[SeedOutcome]:
        """Trains from the first step, or from the directory's last checkpoint, to the last.

        Args:
          directory: where metrics and checkpoints go; None to keep nothing.
          watcher: is told how it goes; rows of metrics are one a seed and epoch.

        Returns:
          one `SeedOutcome` for each seed.

        Raises:
          ConfigError: if no network of an adaptation's space is as cheap as its target.
          TrainingError: naming the step, if loss or weights are no longer finite. The last good
            checkpoint stays.
        """
        if self.start is None:  # given statistics start from no such values
            training.warn_of_few_steps(self.method, self.total_steps)
        journal = Journal(directory, watcher)
        kept = journal.run(
            abstract=self._abstract,
            begin=self._begin,
            steps_before=lambda kept: sum(self.steps[: kept.epoch]),
            advance=lambda kept: self._advance(kept, watcher.progress),
            line=self._line,
        )
        return self._outcomes(kept, journal)

    def _abstract(self, meta: dict[str, Any]) -> Any:
        """The state of an epoch with this metadata; a ValueError if it is of other seeds."""
        if meta["seeds"] != list(self.seeds):
            raise ValueError(f"its seeds are {meta['seeds']}")
        return self._phase(meta).abstract

    def _begin(self) -> Kept:
        """What there is before the first epoch."""
        phase, first = self._first_phase, self._first_state
        if self._head_epochs:
            phase, first = self._head_phase, self._first_head_state
        state = first(self._keys)
        meta = {"phase": phase.name, "seeds": list(self.seeds), "first": {}, "scores": {}}
        if not self._learner.objective.judges_untrained:
            return Kept(0, state, meta)
        judge = phase.evaluate_untrained if self.start is None else phase.evaluate
        scores = judge(state)
        rows = self._rows(0, phase.name, {}, scores)
        return Kept(0, state, meta | {"first": as_lists(scores)}, rows)

    def _advance(self, kept: Kept, progress: Callable[[], None]) -> Kept | None:
        """An epoch more; None after the last."""
        epochs, done = self.settings.epochs, kept.epoch + 1
        if kept.epoch == epochs or stopping.all_stopped(kept.meta):
            return None
        if kept.meta["phase"] == HEAD and kept.epoch == self._head_epochs:
            kept = self._enter_body(kept)
        phase, order = self._phase(kept.meta), self._order(kept.epoch)
        images = self._learner.images(order, kept.epoch)
        state, metrics = phase.epoch(kept.state, images, order, self._keys, progress)
        scores = phase.evaluate(state) if done == epochs or done % self.eval_every == 0 else {}
        self._refuse_non_finite(metrics, scores, state, kept.epoch)
        score = float(np.mean(scores[self._learner.objective.headline])) if scores else -1.0
        meta = kept.meta | {"scores": as_lists(scores)}
        patience = self.settings.early_stopping
        whole = isinstance(state, training.TrainState) and kept.meta["phase"] != HEAD
        if scores and patience is not None and whole:
            state, meta = stopping.note(state, meta, done, patience)
        rows = self._rows(done, phase.name, metrics, scores)
        if before := stopping.bests(kept.meta):
            rows = [row for row, best in zip(rows, before, strict=True) if not best.stopped]
        return Kept(done, state, meta, rows, score)

    def _enter_body(self, kept: Kept) -> Kept:
        """The end of the epochs of the head alone as the start of those of all weights."""
        begin = self._learner.seeds.each(self._state)
        state = jax.jit(begin)(kept.state.variables, kept.state.gates)
        # The number of the step is what randomness depends on, and goes on.
        state = jax.tree.map(jnp.copy, state._replace(step=kept.state.step))
        meta = kept.meta | {"phase": self._first_phase.name, "scores": {}}
        return kept._replace(state=state, meta=meta)

    def _refuse_non_finite(
        self, metrics: dict[str, jax.Array], scores: dict[str, jax.Array], state: Any, epoch: int
    ) -> None:
        """Stops before an epoch is kept whose losses, or the weights they led to, are broken."""
        what, bad = "the loss", training.first_bad_step(np.asarray(metrics["loss"]))
        if bad is None:
            broken = [name for name, each in scores.items() if not np.isfinite(each).all()]
            if not all_finite(state):
                what = "a weight"
            elif broken:
                what = f"the {broken[0].replace('_', ' ')}"
            else:
                return
            bad = self.steps[epoch] - 1
        raise TrainingError(
            f"{self.method}, seed {', '.join(map(str, self.seeds))}: {what} is not finite at "
            f"step {sum(self.steps[:epoch]) + bad + 1} (epoch {epoch + 1}); try a lower "
            "--learning-rate or --grad-clip 5"
        )

    def _rows(
        self, epoch: int, phase: str, metrics: dict[str, Any], scores: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Rows of metrics, one a seed; epoch 0 is before the first step.

        Of the steps' ``loss`` they have the mean, of other metrics, which are counts, the sum.
        """
        rows = []
        for index, seed in enumerate(self.seeds):
            row: dict[str, Any] = {"epoch": epoch, "seed": seed, "phase": phase}
            for name, values in metrics.items():
                own = np.asarray(values).reshape(len(values), -1)[:, index]
                if name == "loss":
                    row["train_loss"] = float(own.mean())
                else:
                    row[name] = int(own.sum())
            rows.append(row | readable(of_seed(scores, index)))
        return rows

    def _line(self, row: dict[str, Any]) -> str:
        """A row of metrics in words."""
        parts = [
            f"{self.method}, seed {row['seed']}: epoch {row['epoch']}/{self.settings.epochs}",
            *([f"train loss {row['train_loss']:.3f}"] if "train_loss" in row else []),
            *(
                f"{column.replace('_', ' ')} {value:.2f}%"
                for column, value in row.items()
                if column.endswith("accuracy")
            ),
            *([f"feature std {row['feature_std']:.2f}"] if "feature_std" in row else []),
            f"{row['seconds']:.0f} s",
        ]
        return ", ".join(parts)

    def _architectures(self, meta: dict[str, Any]) -> list[Architecture]:
        """The network that each seed ends with, after an epoch with this metadata."""
        return [Architecture(self.base)] * len(self.seeds)

    def _outcomes(self, kept: Kept, journal: Journal) -> list[SeedOutcome]:
        scores = kept.meta["scores"] or as_lists(self._phase(kept.meta).evaluate(kept.state))
        outcomes = []
        bests = stopping.bests(kept.meta)
        for index, architecture in enumerate(self._architectures(kept.meta)):
            own, first = (of_seed(each, index) for each in (scores, kept.meta["first"]))
            left, epochs = training.judged_variables(kept.state), kept.epoch
            if bests:
                left, own, epochs = kept.state.best, bests[index].scores, bests[index].last
                architecture = architecture._replace(
                    notes=(*architecture.notes, bests[index].note(self.settings))
                )
            variables = self._learner.seeds.one(left, index)
            seed = self.seeds[index]
            outcomes.append(
                self._outcome(seed, architecture, variables, own, first, epochs, journal)
            )
        return outcomes

    def _outcome(
        self,
        seed: int,
        architecture: Architecture,
        variables: Any,
        scores: dict[str, float],
        first: dict[str, float],
        epochs: int,
        journal: Journal,
    ) -> SeedOutcome:
        learner, genotype = self._learner, architecture.genotype
        # The auxiliary head has done its work, and is left behind.
        network = nn.build(genotype, learner.objective.outputs, learner.dtype)
        variables = nn.cut(variables, network, self.dataset.input_shape)
        judged = learner.objective.judge(
            jax.random.key(seed), genotype, variables, scores, first, learner.data
        )
        found = readable(judged.scores)
        size = nn.cost(nn.build(genotype, self.dataset.num_classes), self.dataset.input_shape)
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
            epochs=epochs,
            device=f"{device.platform}: {device.device_kind}",
            vmap_width=len(self.seeds),
            digest=run_digest(judged.variables["params"], genotype),
            genotype=genotype,
            changes=architecture.changes,
            scores=found,
        )
        notes = (*judged.notes, *architecture.notes)
        told = tuple(f"{self.method}, seed {seed}: {note}" for note in notes)
        return SeedOutcome(result, judged.variables, None, told)
