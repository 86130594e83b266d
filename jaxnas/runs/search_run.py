"""A search of shared weights from its first epoch to its answer.

As in `method`, every epoch ends with a checkpoint and depends on the seed, its number and the state
alone, so that a run killed anywhere goes on to the same bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import training
from jaxnas.data import Dataset, epoch_permutation, rounds
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError
from jaxnas.runs.loop import Journal
from jaxnas.runs.method import TrainingError
from jaxnas.search.shared import Found, SharedWeightSearch
from jaxnas.storage.digest import run_digest
from jaxnas.storage.directory import RunDirectory
from jaxnas.tasks import Task, supervised
from jaxnas.training.loop import Data, Order

PARTS = ("train", "arch")
"""Into which a search's images are split."""


class Searched(NamedTuple):
    """What a search came to.

    Attributes:
      found: its answer.
      epochs: that it ran.
      seconds: that it took, wall clock.
      digest: SHA-256 in hex of its last state and the found genotype.
    """

    found: Found
    epochs: int
    seconds: float
    digest: str


@dataclasses.dataclass(frozen=True)
class SearchRun:
    """A search on the training images of a data set; the test images are never read.

    Attributes:
      search: what to run.
      name: of the method.
      dataset: what is learned.
      seed: of everything random.
      epochs: of the search, unless it stops by itself.
      batch_size: images of each part of the data in a step.
      train_share: share of the training images in the part ``train``; the others are ``arch``.

    Raises:
      ConfigError: if a pass through a part has no batch.
    """

    search: SharedWeightSearch
    name: str
    dataset: Dataset
    seed: int
    epochs: int
    batch_size: int
    train_share: float

    def __post_init__(self) -> None:
        sizes = part_sizes(self.dataset, self.train_share)
        for parts in self.search.parts.values():
            refuse_few(parts[0], sizes[parts[0]], self.batch_size)
            if not all(sizes[part] for part in parts):
                raise ConfigError(f"--train-share {self.train_share} leaves no image to a part")

    @property
    def total_steps(self) -> int:
        """Steps from the first epoch to the last."""
        return self._steps_before(self.epochs)

    def _steps(self, phase: str) -> int:
        first = self.search.parts[phase][0]
        return part_sizes(self.dataset, self.train_share)[first] // self.batch_size

    def _steps_before(self, epoch: int) -> int:
        return sum(self._steps(p) for each in range(epoch) for p in self.search.plan(each))

    @cached_property
    def _key(self) -> jax.Array:
        return jax.random.key(self.seed)

    @cached_property
    def _data(self) -> Data:
        return split(self.dataset, self.train_share, self._key)

    @cached_property
    def _epochs(self) -> dict[str, training.Epoch]:
        """By the name of a phase, its compiled pass."""
        loop = self.search.loop or training.default_loop()
        return {phase: loop(step) for phase, step in self.search.steps.items()}

    def _order(self, phase: str, epoch: int) -> Order:
        """int32 [steps, batch] for each part of the phase; others than the first go round."""
        key = jax.random.fold_in(stream(stream(self._key, "order"), phase), epoch)
        first, *others = self.search.parts[phase]
        sizes = {part: len(self._data[part][0]) for part in (first, *others)}
        order = {first: epoch_permutation(stream(key, first), sizes[first], self.batch_size)}
        for part in others:
            order[part] = rounds(stream(key, part), sizes[part], order[first].shape)
        return order

    def run(
        self,
        directory: RunDirectory | None = None,
        *,
        progress: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda message: None,
        tell: Callable[[dict[str, Any]], None] = lambda row: None,
    ) -> Searched:
        """Searches from the first epoch, or from the directory's last checkpoint, to the end.

        Args:
          directory: where metrics and checkpoints go; None to keep nothing.
          progress: called after every step.
          say: told of checkpoints that cannot be used.
          tell: told each row of metrics, one an epoch.

        Raises:
          TrainingError: naming the epoch, if a metric or the state is no longer finite. The last
            good checkpoint stays.
        """
        journal = Journal(directory, say)
        restored = journal.restore(lambda meta: jax.eval_shape(self.search.init, self._key))
        done, state, _ = restored or (0, None, None)
        for _ in range(self._steps_before(done)):
            progress()
        if state is None:
            # Copies, since an epoch uses up the state that it is given, each of its arrays once.
            state = jax.tree.map(jnp.copy, self.search.init(self._key))
        observed = self.search.observe(state) if done else {}
        while done < self.epochs and not observed.get("stop"):
            metrics: dict[str, np.ndarray] = {}
            for phase in self.search.plan(done):
                order = self._order(phase, done)
                images = {part: self._data[part] for part in order}
                state, values = self._epochs[phase](state, images, order, self._key, progress)
                prefix = f"{phase}_" if len(self.search.steps) > 1 else ""
                metrics |= {prefix + name: np.asarray(each) for name, each in values.items()}
            done += 1
            self._refuse_non_finite(metrics, state, done)
            observed = self.search.observe(state)
            row = {
                "epoch": done,
                "seed": self.seed,
                **{name: float(each.mean()) for name, each in metrics.items()},
                **observed,
                "seconds": round(journal.seconds, 3),
            }
            tell(row)
            journal.log(row)
            journal.commit(done, state, {}, score=done)
        found = self.search.found(state, self._data, self._key)
        return Searched(found, done, journal.seconds, run_digest(state, found.genotype.to_json()))

    def _refuse_non_finite(self, metrics: dict[str, np.ndarray], state: Any, epoch: int) -> None:
        """Stops before an epoch is kept that broke something."""
        broken = next((name for name, each in metrics.items() if not np.isfinite(each).all()), None)
        if broken is None:
            leaves = jax.tree.leaves(state)
            leaves = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
            if all(np.isfinite(leaf).all() for leaf in jax.device_get(leaves)):
                return
            broken = "a weight"
        raise TrainingError(
            f"{self.name}, seed {self.seed}: {broken} is not finite in epoch {epoch} of the "
            "search; try a lower learning rate"
        )


def search_task(dataset: Dataset, dtype: Any) -> Task:
    """What a search learns of a data set: its classes, under its own augmentation alone."""
    return supervised(
        dataset.num_classes,
        dataset.channel_mean(),
        dataset.channel_std(),
        dataset.augmentation,
        dtype=dtype,
    )


def split(dataset: Dataset, train_share: float, key: jax.Array) -> Data:
    """The training images on the device, dealt out at random to `PARTS`."""
    images = jnp.asarray(dataset.train_images), jnp.asarray(dataset.train_labels)
    shuffled = jax.random.permutation(stream(key, "split"), len(images[0]))
    cut = part_sizes(dataset, train_share)["train"]
    rows = {"train": shuffled[:cut], "arch": shuffled[cut:]}
    return {part: (images[0][rows[part]], images[1][rows[part]]) for part in PARTS}


def refuse_few(part: str, size: int, batch_size: int) -> None:
    """Raises a ConfigError if a part of the images is smaller than a batch."""
    if size < batch_size:
        raise ConfigError(
            f"--search-batch-size {batch_size} is more than the {size} images of the part "
            f"{part!r}; see --train-share"
        )


def part_sizes(dataset: Dataset, train_share: float) -> dict[str, int]:
    """Training images in each of `PARTS`."""
    count = len(dataset.train_images)
    train = round(train_share * count)
    return {"train": train, "arch": count - train}
