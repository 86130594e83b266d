"""A search of shared weights from its first epoch to its answer; see `runs.loop`."""

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
from jaxnas.jobs.job import UNWATCHED, Watcher
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError
from jaxnas.runs.loop import Journal, Kept, TrainingError, all_finite
from jaxnas.search.shared.supernet import Found, SharedWeightSearch, readable
from jaxnas.storage.digest import run_digest
from jaxnas.storage.directory import RunDirectory
from jaxnas.tasks import Task, supervised
from jaxnas.training.loop import Data, Order


@dataclasses.dataclass(frozen=True)
class SearchImages:
    """The training images of a data set, dealt out at random to the parts of a search.

    The test images are never read.

    Attributes:
      dataset: what is learned.
      train_share: share of the images in the part ``train``; the others are ``arch``.
      seed: of the experiment.

    Raises:
      ConfigError: for a data set on the host.
    """

    dataset: Dataset
    train_share: float
    seed: int

    def __post_init__(self) -> None:
        if self.dataset.host_workers is not None:
            raise ConfigError(
                "--data-on host and --crop-area are for training and adaptation; a search holds "
                "its images on the device, so leave them out"
            )

    @property
    def key(self) -> jax.Array:
        """The root key."""
        return jax.random.key(self.seed)

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each part."""
        count = len(self.dataset.train_images)
        train = round(self.train_share * count)
        return {"train": train, "arch": count - train}

    def steps(self, batch_size: int) -> dict[str, int]:
        """Batches in one pass through each part; a last one that is not full is left out."""
        return {part: size // batch_size for part, size in self.sizes.items()}

    def refuse_few(self, part: str, batch_size: int) -> None:
        """Raises a ConfigError if a part is smaller than a batch."""
        if self.sizes[part] < batch_size:
            raise ConfigError(
                f"--search-batch-size {batch_size} is more than the {self.sizes[part]} images of "
                f"the part {part!r}; see --train-share"
            )

    def parts(self) -> Data:
        """The images and labels of the parts, on the device."""
        images = jnp.asarray(self.dataset.train_images), jnp.asarray(self.dataset.train_labels)
        shuffled = jax.random.permutation(stream(self.key, "split"), len(images[0]))
        cut = self.sizes["train"]
        rows = {"train": shuffled[:cut], "arch": shuffled[cut:]}
        return {part: (images[0][each], images[1][each]) for part, each in rows.items()}

    def task(self, dtype: Any) -> Task:
        """The classes of the images, under the data set's own augmentation alone."""
        return supervised(
            self.dataset.num_classes,
            self.dataset.channel_mean(),
            self.dataset.channel_std(),
            self.dataset.augmentation,
            dtype=dtype,
        )


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
    """A search on the training images of a data set.

    Attributes:
      search: what to run.
      name: of the method.
      images: what is learned.
      epochs: of the search, unless it stops by itself.
      batch_size: images of each part of the data in a step.

    Raises:
      ConfigError: if a pass through a part has no batch.
    """

    search: SharedWeightSearch
    name: str
    images: SearchImages
    epochs: int
    batch_size: int

    def __post_init__(self) -> None:
        for parts in self.search.parts.values():
            self.images.refuse_few(parts[0], self.batch_size)
            if not all(self.images.sizes[part] for part in parts):
                raise ConfigError(
                    f"--train-share {self.images.train_share} leaves no image to a part"
                )

    @property
    def total_steps(self) -> int:
        """Steps from the first epoch to the last."""
        return self._steps_before(self.epochs)

    def _steps_before(self, epoch: int) -> int:
        steps = self.images.steps(self.batch_size)
        phases = (phase for each in range(epoch) for phase in self.search.plan(each))
        return sum(steps[self.search.parts[phase][0]] for phase in phases)

    @cached_property
    def _key(self) -> jax.Array:
        return self.images.key

    @cached_property
    def _data(self) -> Data:
        return self.images.parts()

    @cached_property
    def _epochs(self) -> dict[str, training.Epoch]:
        """By the name of a phase, its compiled pass."""
        loop = self.search.loop or training.default_loop()
        return {phase: loop(step) for phase, step in self.search.steps.items()}

    def _order(self, phase: str, epoch: int) -> Order:
        """int32 [steps, batch] for each part of the phase; others than the first go round."""
        key = jax.random.fold_in(stream(stream(self._key, "order"), phase), epoch)
        first, *others = self.search.parts[phase]
        sizes = self.images.sizes
        order = {first: epoch_permutation(stream(key, first), sizes[first], self.batch_size)}
        for part in others:
            order[part] = rounds(stream(key, part), sizes[part], order[first].shape)
        return order

    def run(self, directory: RunDirectory | None = None, watcher: Watcher = UNWATCHED) -> Searched:
        """Searches from the first epoch, or from the directory's last checkpoint, to the end.

        Args:
          directory: where metrics and checkpoints go; None to keep nothing.
          watcher: is told how it goes; rows of metrics are one an epoch.

        Raises:
          TrainingError: naming the epoch, if a metric or the state is no longer finite. The last
            good checkpoint stays.
        """
        journal = Journal(directory, watcher)
        kept = journal.run(
            abstract=lambda meta: jax.eval_shape(self.search.init, self._key),
            # Copies, since an epoch uses up the state that it is given, each of its arrays once.
            begin=lambda: Kept(0, jax.tree.map(jnp.copy, self.search.init(self._key)), {}),
            steps_before=lambda kept: self._steps_before(kept.epoch),
            advance=lambda kept: self._advance(kept, watcher.progress),
            line=self._line,
        )
        found = self.search.found(kept.state, self._data, self._key)
        digest = run_digest(kept.state, found.genotype)
        return Searched(found, kept.epoch, journal.seconds, digest)

    def _advance(self, kept: Kept, progress: Callable[[], None]) -> Kept | None:
        """An epoch more; None after the last, or where the search stopped."""
        if kept.epoch == self.epochs or kept.meta.get("stop"):
            return None
        state, metrics = kept.state, {}
        for phase in self.search.plan(kept.epoch):
            order = self._order(phase, kept.epoch)
            images = {part: self._data[part] for part in order}
            state, values = self._epochs[phase](state, images, order, self._key, progress)
            prefix = f"{phase}_" if len(self.search.steps) > 1 else ""
            metrics |= {prefix + name: np.asarray(each) for name, each in values.items()}
        done = kept.epoch + 1
        self._refuse_non_finite(metrics, state, done)
        observed = self.search.observe(state)
        means = {name: float(each.mean()) for name, each in metrics.items()}
        row = {"epoch": done, "seed": self.images.seed, **means, **observed}
        return Kept(done, state, {"stop": bool(observed.get("stop"))}, [row], score=done)

    def _line(self, row: dict[str, Any]) -> str:
        """A row of metrics in words."""
        numbers = (
            f"{name} {readable(value)}"
            for name, value in row.items()
            if name not in ("epoch", "seed", "seconds")
        )
        head = f"{self.name}, seed {self.images.seed}: epoch {row['epoch']}/{self.epochs}"
        return ", ".join((head, *numbers, f"{row['seconds']:.0f} s"))

    def _refuse_non_finite(self, metrics: dict[str, np.ndarray], state: Any, epoch: int) -> None:
        """Stops before an epoch is kept that broke something."""
        broken = next((name for name, each in metrics.items() if not np.isfinite(each).all()), None)
        if broken is None and all_finite(state):
            return
        raise TrainingError(
            f"{self.name}, seed {self.images.seed}: {broken or 'a weight'} is not finite in epoch "
            f"{epoch} of the search; try a lower learning rate"
        )
