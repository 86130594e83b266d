"""Plain training of a network, from the first step to the last.

Every epoch ends with a checkpoint, and what an epoch does depends on the seed, its number and the
state alone: see `runs.loop`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import nn, training
from jaxnas.data import Dataset, epoch_permutation
from jaxnas.jobs.job import UNWATCHED, Watcher
from jaxnas.randomness import stream
from jaxnas.reports.results import Result
from jaxnas.runs import stopping
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.genotype_files import refuse_unbuildable
from jaxnas.runs.learner import Learner, Phase, Seeds
from jaxnas.runs.loop import Journal, Kept, TrainingError, all_finite
from jaxnas.runs.objectives import as_lists, of_seed, readable
from jaxnas.spaces import Genotype
from jaxnas.storage.digest import run_digest
from jaxnas.storage.directory import RunDirectory
from jaxnas.training.loop import Order


class SeedOutcome(NamedTuple):
    """What one seed of a run came to.

    Attributes:
      result: the row of the table, with the final network.
      variables: trained ``params`` and ``batch_stats``.
      theta: float32 [epochs of adaptation + 1, tables, edges, 3], θ over time, from the start on;
        None where nothing adapts.
      notes: what a reader of the result should know.
    """

    result: Result
    variables: Any
    theta: np.ndarray | None
    notes: tuple[str, ...]


class Architecture(NamedTuple):
    """The network that a seed ends with.

    Attributes:
      genotype: the network.
      changes: what became of the base's edges, in words; empty where it was left alone.
      notes: what a reader should know of it.
    """

    genotype: Genotype
    changes: str = ""
    notes: tuple[str, ...] = ()


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

    def __post_init__(self) -> None:
        settings, images = self.settings, min(self._images)
        if settings.batch_size > images:
            raise ConfigError(
                f"--batch-size {settings.batch_size} is more than the {images} training images "
                "there are"
            )
        side = min(self.dataset.input_shape[:2])
        if settings.cutout > side:
            raise ConfigError(
                f"--cutout {settings.cutout} is more than the side of the images, {side}; "
                "--cutout 0 leaves it out"
            )
        if settings.auxiliary_weight and self.base.auxiliary < 0:
            raise ConfigError(
                f"--auxiliary-weight: {self.base.name} has no place for an auxiliary head"
            )
        if settings.drop_path and self.base.rules.drop_path == "none":
            raise ConfigError(
                f"--drop-path is for cell networks; {self.base.name} is of the {self.base.family} "
                "family"
            )
        if settings.devices > jax.device_count():
            raise ConfigError(
                f"--devices {settings.devices} is more than the {jax.device_count()} there are"
            )
        if settings.accumulate > self.total_steps:
            raise ConfigError(
                f"--accumulate {settings.accumulate} is more than the {self.total_steps} "
                "steps of the run, so that the weights would never move"
            )
        _ = self._learner.objective  # which refuses what does not fit it
        _refuse_no_network(self.base, self.dataset.input_shape)

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
        return Learner(self.dataset, self.settings, self.supervision, self.steps, Seeds(self.seeds))

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
    def _first_state(self) -> Callable[[jax.Array], Any]:
        """Root keys to the state before the first epoch; compiled."""
        learner = self._learner

        def first(key: jax.Array) -> training.TrainState:
            return learner.first_state(learner.variables(key, self._network))

        return jax.jit(learner.seeds.each(first))

    @cached_property
    def _first_phase(self) -> Phase:
        abstract = jax.eval_shape(self._first_state, self._keys)
        return self._learner.weights_phase("original", self._network, abstract)

    def _phase(self, meta: dict[str, Any]) -> Phase:
        """The phase of an epoch that ended with this metadata.

        Raises:
          ValueError: if it is of another kind of run.
        """
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
        phase, state = self._first_phase, self._first_state(self._keys)
        meta = {"phase": phase.name, "seeds": list(self.seeds), "first": {}, "scores": {}}
        if not self._learner.objective.judges_untrained:
            return Kept(0, state, meta)
        scores = phase.evaluate_untrained(state)
        rows = self._rows(0, phase.name, {}, scores)
        return Kept(0, state, meta | {"first": as_lists(scores)}, rows)

    def _advance(self, kept: Kept, progress: Callable[[], None]) -> Kept | None:
        """An epoch more; None after the last."""
        epochs, done = self.settings.epochs, kept.epoch + 1
        if kept.epoch == epochs or stopping.all_stopped(kept.meta):
            return None
        phase, order = self._phase(kept.meta), self._order(kept.epoch)
        images = {part: self._learner.data[part] for part in order}
        state, metrics = phase.epoch(kept.state, images, order, self._keys, progress)
        scores = phase.evaluate(state) if done == epochs or done % self.eval_every == 0 else {}
        self._refuse_non_finite(metrics, scores, state, kept.epoch)
        score = float(np.mean(scores[self._learner.objective.headline])) if scores else -1.0
        meta = kept.meta | {"scores": as_lists(scores)}
        patience = self.settings.early_stopping
        if scores and patience is not None and isinstance(state, training.TrainState):
            state, meta = stopping.note(state, meta, done, patience)
        rows = self._rows(done, phase.name, metrics, scores)
        if before := stopping.bests(kept.meta):
            rows = [row for row, best in zip(rows, before, strict=True) if not best.stopped]
        return Kept(done, state, meta, rows, score)

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


@lru_cache
def _refuse_no_network(base: Genotype, shape: tuple[int, ...]) -> None:
    """Raises a ConfigError where `base` makes no network for images of `shape` [h, w, c]."""
    with refuse_unbuildable(f"--base {base.name}", f"shape {list(shape)}"):
        refuse_huge(nn.abstract_variables(nn.build(base, 2), shape))


def refuse_huge(variables: Any) -> None:
    """Raises a ValueError for more numbers than an int32 counts."""
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
    if count >= 2**31:
        raise ValueError(f"it has {count:,} parameters")
