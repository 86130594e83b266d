"""Trains the children of a search, one after the other, by the fewest compiled programs."""

from __future__ import annotations

import collections
import dataclasses
import functools
import time
import zlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas import training
from jaxnas.children.child_networks import Networks
from jaxnas.data import epoch_permutation
from jaxnas.errors import ExecutionError
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError, Training, flag
from jaxnas.runs.search_run import SearchImages
from jaxnas.tasks import Task
from jaxnas.training.loop import Data, first_bad_step
from jaxnas.training.train import Batch

Candidate = tuple[int, ...]
"""A canonical candidate."""


class Outcome(NamedTuple):
    """What became of a child.

    Attributes:
      candidate: which child.
      accuracies: after its last epochs, in percent of the held-out images; none if it failed.
      seconds: of "compile" (0 where the programs of the child before served), "init", "train" and
        "judge".
      failure: why it has no accuracy; empty if it has.
    """

    candidate: Candidate
    accuracies: tuple[float, ...]
    seconds: dict[str, float]
    failure: str

    @property
    def accuracy(self) -> float | None:
        """After the last epoch, percent; None if it failed."""
        return self.accuracies[-1] if self.accuracies else None


class ChildrenFailed(ExecutionError):
    """No child that something is to be chosen from could be trained."""


def failures(outcomes: Iterable[Outcome]) -> int:
    """How many of them failed."""
    return sum(bool(each.failure) for each in outcomes)


def commonest_failure(outcomes: Iterable[Outcome]) -> str:
    """Why most of those that failed did, wherever in their training; empty if none did."""
    reasons = [each.failure.partition(" in epoch ")[0] for each in outcomes if each.failure]
    ((reason, _),) = collections.Counter(reasons).most_common(1) or [("", 0)]
    return reason


_OF_CHILDREN = {
    *("epochs", "batch_size", "learning_rate", "schedule", "momentum", "weight_decay"),
    *("decay_norm_and_bias", "grad_clip", "rate_warmup_epochs", "precision"),
}
"""Settings that children train by."""


class _Programs(NamedTuple):
    """What a network is trained and judged by.

    Attributes:
      network: the module.
      epoch: a pass over the data, compiled.
      judge: compiled.
      run: the parts, "train" and "judge", whose program has been run before.
    """

    network: Any
    epoch: training.Epoch
    judge: Any
    run: set[str]


@dataclasses.dataclass(frozen=True)
class ChildTraining:
    """How the children of a search are trained.

    Attributes:
      networks: as what they are built.
      images: what they learn, and by what they are judged.
      settings: of the weights.
      judged: how many of the last epochs are judged.
      most_epochs: that a child may be trained for, and no fewer than those of `settings`.

    What a child becomes depends on the seed of the images and on the child alone, not on which were
    trained before, where and when.

    Raises:
      ConfigError: if a part of the images is smaller than a batch, or a setting is for networks
        that are not children.
    """

    networks: Networks
    images: SearchImages
    settings: Training
    judged: int
    most_epochs: int

    def __post_init__(self) -> None:
        plain = Training()
        for name in (field.name for field in dataclasses.fields(Training)):
            if name not in _OF_CHILDREN and getattr(self.settings, name) != getattr(plain, name):
                text = flag(name).replace("--", "--child.")
                raise ConfigError(
                    f"{text} is not for children: they train as they are, on one device"
                )
        if not 1 <= self.judged <= self.settings.epochs:
            raise ConfigError(
                f"--judged must be from 1 to --child.epochs ({self.settings.epochs}), "
                f"not {self.judged}"
            )
        sizes = self.images.sizes
        if sizes["train"] < self.settings.batch_size or not sizes["arch"]:
            raise ConfigError(
                f"--train-share {self.images.train_share} of {sum(sizes.values())} training images "
                f"leaves {sizes['train']} to train by, in batches of {self.settings.batch_size}, "
                f"and {sizes['arch']} to judge by"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass; a last one that is not full is left out."""
        return self.images.steps(self.settings.batch_size)["train"]

    @cached_property
    def _key(self) -> jax.Array:
        return self.images.key

    @cached_property
    def _data(self) -> Data:
        return self.images.parts()

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
    def _task(self) -> Task:
        return self.images.task(jnp.dtype(self.settings.precision))

    @cached_property
    def _prepared(self) -> Any:
        """(number of the step, batch, key) to its inputs and targets; one program for all."""

        @jax.jit
        def prepared(step: jax.Array, batch: Any, key: jax.Array) -> Any:
            augment_key = jax.random.fold_in(stream(key, "augment"), step)
            return self._task.prepare(augment_key, *batch)

        return prepared

    @cached_property
    def _kept(self) -> list[_Programs]:
        """Those of the last network; more would fill the memory."""
        return []

    def _programs(self, network: Any) -> _Programs:
        """The programs of a network.

        What else a child's training depends on is an input of them, its learning rates too, so that
        a longer one is the same program.
        """
        if self._kept and self._kept[0].network == network:
            return self._kept[0]
        plain = training.flax_apply(network)

        def apply(variables: Any, inputs: jax.Array, gates: Any, *args: Any) -> tuple[Any, Any]:
            return plain(variables, inputs, gates[0], *args)

        task = self._task._replace(prepare=lambda key, *batch: batch)

        @functools.partial(jax.jit, donate_argnums=0)
        def learn(
            state: training.TrainState, batch: Batch, key: jax.Array
        ) -> tuple[training.TrainState, dict[str, jax.Array]]:
            _, rates = cast(Any, state.gates)
            return training.train_step(apply, task, self._optimizer(rates))(state, batch, key)

        def step(
            state: training.TrainState, batch: Batch, key: jax.Array
        ) -> tuple[training.TrainState, dict[str, jax.Array]]:
            return learn(state, {"train": self._prepared(state.step, batch["train"], key)}, key)

        # On a CPU augmentation compiles for as long as a small network, and so on its own.
        loop = training.eager_loop if jax.default_backend() == "cpu" else training.scan_loop
        epoch, judge = loop(step), training.evaluator(apply, task)
        self._kept[:] = [_Programs(network, epoch, judge, set())]
        return self._kept[0]

    def _start(
        self, network: Any, candidate: Candidate, epochs: int
    ) -> tuple[training.TrainState, jax.Array]:
        """A child before its first step, and its key."""
        array = np.array(candidate, np.int32)
        key = jax.random.fold_in(stream(self._key, "child"), zlib.crc32(array.tobytes()))
        choices = self.networks.choices(network, array)
        variables = self.networks.variables(
            network, stream(key, "init"), self.images.dataset.input_shape, array
        )
        rates: Any = self._rates(epochs)
        gates: Any = (choices, rates)
        return training.init(variables, self._optimizer(rates), gates), key

    def _order(self, key: jax.Array, epoch: int) -> dict[str, jax.Array]:
        order_key = jax.random.fold_in(stream(key, "order"), epoch)
        count = self.images.sizes["train"]
        return {"train": epoch_permutation(order_key, count, self.settings.batch_size)}

    def train(self, candidate: Candidate, epochs: int) -> Outcome:
        """Trains one child from its initial weights and judges it.

        Raises:
          SpaceError: if it is no candidate of the space.
        """
        seconds = {"compile": 0.0, "init": 0.0, "train": 0.0, "judge": 0.0}
        started = time.perf_counter()
        dtype = jnp.dtype(self.settings.precision)
        array = np.array(candidate, np.int32)
        network = self.networks.network(array, self.images.dataset.num_classes, dtype)
        state, key = self._start(network, candidate, epochs)
        programs = self._programs(network)
        seconds["init"] = time.perf_counter() - started
        steps: list[np.ndarray] = []
        judgements: list[np.ndarray] = []
        accuracies: list[float] = []
        failure = ""
        for number in range(epochs):
            marks = [time.perf_counter()]
            state, metrics = programs.epoch(
                state,
                {"train": self._data["train"]},
                self._order(key, number),
                key,
                lambda marks=marks: marks.append(time.perf_counter()),
            )
            bad = first_bad_step(np.asarray(metrics["loss"]))
            steps.append(np.diff(marks))
            if bad is not None:
                failure = f"the loss was not finite in epoch {number + 1}, step {bad + 1}"
                break
            if number >= epochs - self.judged:
                started = time.perf_counter()
                scores = programs.judge(state.variables, state.gates, *self._data["arch"])
                accuracies.append(round(100 * float(scores["accuracy"]), 4))
                judgements.append(np.array([time.perf_counter() - started]))
        for part, rows in (("train", steps), ("judge", judgements)):
            if rows:
                _book(seconds, part, rows, part not in programs.run)
                programs.run.add(part)
        return Outcome(candidate, () if failure else tuple(accuracies), seconds, failure)


def _book(seconds: dict[str, float], part: str, rows: list[np.ndarray], compiles: bool) -> None:
    """Adds the seconds of a part's steps, a row for each epoch.

    What the first step took above the first of later epochs, or above the others of its own, is
    compiling; where there are none it is compiling whole. On an accelerator a pass is one step.
    """
    compiling = 0.0
    if compiles:
        others = [row[0] for row in rows[1:]] or rows[0][1:]
        usual = float(np.median(others)) if len(others) else 0.0
        compiling = max(float(rows[0][0]) - usual, 0.0)
    seconds["compile"] += compiling
    seconds[part] += float(sum(row.sum() for row in rows)) - compiling


def as_candidates(canonical: np.ndarray) -> list[Candidate]:
    """Rows int [n, decisions] as what can be the key of a dictionary."""
    return [tuple(row) for row in np.asarray(canonical).tolist()]
