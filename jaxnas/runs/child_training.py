"""Trains the children of a search, one after the other, all by the same compiled programs."""

from __future__ import annotations

import dataclasses
import time
import zlib
from functools import cached_property
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas import nn, training
from jaxnas.data import Dataset, epoch_permutation
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError, WeightTraining, flag
from jaxnas.runs.search_run import part_sizes, search_task, split
from jaxnas.spaces.block_cells import BlockCellSpace
from jaxnas.training.loop import Data, first_bad_step
from jaxnas.training.train import Batch

Candidate = tuple[int, ...]
"""A canonical candidate."""


class Outcome(NamedTuple):
    """What became of a child.

    Attributes:
      candidate: which child.
      accuracies: after its last epochs, in percent of the held-out images; none if it failed.
      seconds: of "compile" (0 but for a process's first child), "init", "train" and "judge".
      failure: why it has no accuracy; empty if it has.
    """

    candidate: Candidate
    accuracies: tuple[float, ...]
    seconds: dict[str, float]
    failure: str


@dataclasses.dataclass(frozen=True)
class ChildTraining:
    """How the children of a search are trained.

    Attributes:
      space: whose networks they are.
      dataset: whose training images are split in two; the test images are never read.
      settings: of the weights.
      train_share: share of the training images that train; the others judge.
      judged: how many of the last epochs are judged.
      most_epochs: that a child may be trained for, and no fewer than those of `settings`.
      seed: of the experiment. What a child becomes depends on it and on the child alone, not on
        which were trained before, where and when.

    Raises:
      ConfigError: if a part of the images is smaller than a batch, or a setting is for networks
        that are not children.
    """

    space: BlockCellSpace
    dataset: Dataset
    settings: WeightTraining
    train_share: float
    judged: int
    most_epochs: int
    seed: int

    def __post_init__(self) -> None:
        plain = WeightTraining()
        for name in ("auxiliary_weight", "drop_path", "dropout", "devices", "accumulate"):
            if getattr(self.settings, name) != getattr(plain, name):
                text = flag(name).replace("--", "--child.")
                raise ConfigError(
                    f"{text} is not for children: they train as they are, on one device"
                )
        if not 1 <= self.judged <= self.settings.epochs:
            raise ConfigError(
                f"--judged must be from 1 to --child.epochs ({self.settings.epochs}), "
                f"not {self.judged}"
            )
        sizes = part_sizes(self.dataset, self.train_share)
        if sizes["train"] < self.settings.batch_size or not sizes["arch"]:
            raise ConfigError(
                f"--train-share {self.train_share} of {sum(sizes.values())} training images leaves "
                f"{sizes['train']} to train by, in batches of {self.settings.batch_size}, and "
                f"{sizes['arch']} to judge by"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass; a last one that is not full is left out."""
        images = part_sizes(self.dataset, self.train_share)["train"]
        return images // self.settings.batch_size

    @cached_property
    def network(self) -> nn.Child:
        """All children."""
        dtype = jnp.dtype(self.settings.precision)
        return nn.Child(self.space, self.dataset.num_classes, dtype)

    @cached_property
    def _key(self) -> jax.Array:
        return jax.random.key(self.seed)

    @cached_property
    def _data(self) -> Data:
        return split(self.dataset, self.train_share, self._key)

    def _optimizer(self, rates: Any) -> optax.GradientTransformation:
        """At the learning rates float32 [steps]."""
        settings = self.settings
        return training.scheduled_sgd(
            lambda count: rates[count],
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            decay_norm_and_bias=settings.decay_norm_and_bias,
            grad_clip=settings.grad_clip,
        )

    def _rates(self, epochs: int) -> jax.Array:
        """float32 [steps of the longest training]: the learning rates of one of `epochs`."""
        steps = epochs * self.steps_per_epoch
        warmup = self.settings.rising_epochs * self.steps_per_epoch
        rate = training.learning_rates(
            self.settings.learning_rate, steps, self.settings.schedule, warmup
        )
        rates: Any = jax.vmap(cast(Any, rate))(jnp.arange(steps))
        return jnp.pad(rates, (0, self.most_epochs * self.steps_per_epoch - steps))

    @cached_property
    def _programs(self) -> tuple[training.Epoch, Any]:
        """A pass over the data, and the judge, compiled.

        What a child's training depends on is an input of them, its learning rates too, so that a
        longer one is the same program.
        """
        plain = training.flax_apply(self.network)

        def apply(variables: Any, inputs: jax.Array, gates: Any, *args: Any) -> tuple[Any, Any]:
            return plain(variables, inputs, gates[0], *args)

        task = search_task(self.dataset, jnp.dtype(self.settings.precision))

        def step(
            state: training.TrainState, batch: Batch, key: jax.Array
        ) -> tuple[training.TrainState, dict[str, jax.Array]]:
            _, rates = cast(Any, state.gates)
            return training.train_step(apply, task, self._optimizer(rates))(state, batch, key)

        return training.default_loop()(step), training.evaluator(apply, task)

    def _start(self, candidate: Candidate, epochs: int) -> tuple[training.TrainState, jax.Array]:
        """A child before its first step, and its key."""
        name = zlib.crc32(np.array(candidate, np.int32).tobytes())
        key = jax.random.fold_in(stream(self._key, "child"), name)
        array = np.array(candidate, np.int32)
        choices = jax.tree.map(jnp.asarray, nn.child_choices(self.network, array))
        variables = nn.child_variables(
            self.network, stream(key, "init"), self.dataset.input_shape, array
        )
        rates: Any = self._rates(epochs)
        gates: Any = (choices, rates)
        return training.init(variables, self._optimizer(rates), gates), key

    def _order(self, key: jax.Array, epoch: int) -> dict[str, jax.Array]:
        order_key = jax.random.fold_in(stream(key, "order"), epoch)
        count = len(self._data["train"][0])
        return {"train": epoch_permutation(order_key, count, self.settings.batch_size)}

    def train(self, candidate: Candidate, epochs: int) -> Outcome:
        """Trains one child from its initial weights and judges it.

        Raises:
          SpaceError: if it is no candidate of the space.
        """
        seconds = {"compile": 0.0, "init": 0.0, "train": 0.0, "judge": 0.0}
        started = time.perf_counter()
        state, key = self._start(candidate, epochs)
        seconds["init"] = time.perf_counter() - started
        epoch, judge = self._programs
        accuracies: list[float] = []
        for number in range(epochs):
            marks = [time.perf_counter()]
            state, metrics = epoch(
                state,
                {"train": self._data["train"]},
                self._order(key, number),
                key,
                lambda marks=marks: marks.append(time.perf_counter()),
            )
            bad = first_bad_step(np.asarray(metrics["loss"]))
            self._book(seconds, "train", np.diff(marks))
            if bad is not None:
                failure = f"the loss was not finite in epoch {number + 1}, step {bad + 1}"
                return Outcome(candidate, (), seconds, failure)
            if number >= epochs - self.judged:
                started = time.perf_counter()
                scores = judge(state.variables, state.gates, *self._data["arch"])
                accuracies.append(round(100 * float(scores["accuracy"]), 4))
                self._book(seconds, "judge", np.array([time.perf_counter() - started]))
        return Outcome(candidate, tuple(accuracies), seconds, "")

    @cached_property
    def _compiled(self) -> set[str]:
        """The parts whose program this process has run before."""
        return set()

    def _book(self, seconds: dict[str, float], part: str, steps: np.ndarray) -> None:
        """Adds the seconds of a part; what its first step ever took above the others is compiling.

        The first judgement, and on an accelerator the first pass, count as compiling whole: they
        are one step.
        """
        compiling = 0.0
        if part not in self._compiled:
            self._compiled.add(part)
            usual = float(np.median(steps[1:])) if len(steps) > 1 else 0.0
            compiling = max(float(steps[0]) - usual, 0.0)
        seconds["compile"] += compiling
        seconds[part] += float(steps.sum()) - compiling


def as_candidates(canonical: np.ndarray) -> list[Candidate]:
    """Rows int [n, decisions] as what can be the key of a dictionary."""
    return [tuple(row) for row in np.asarray(canonical).tolist()]
