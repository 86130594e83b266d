"""What networks learn of a data set, and by which steps; of one seed or several side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas import nn, tasks, training
from jaxnas.data import Dataset
from jaxnas.data.host.stream import HostData
from jaxnas.nn.weights.init import named_leaves
from jaxnas.randomness import stream
from jaxnas.runs.config import Training
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.objectives import Objective, SelfSupervised, Supervised
from jaxnas.runs.starting.start import Start
from jaxnas.spaces import Genotype
from jaxnas.training.loop import Data
from jaxnas.training.train import Step

HEAD = "head"
"""The phase in which the head learns alone."""

GatesOf = Callable[[Any], jax.Array | None]
"""State to the gates under which its network is judged; None for a network without."""


class Seeds(NamedTuple):
    """Seeds that train side by side in one program by `jax.vmap`.

    Attributes:
      numbers: the seeds; arrays of several have a leading axis, those of one have none.
    """

    numbers: tuple[int, ...]

    @property
    def wide(self) -> bool:
        """Whether there are several."""
        return len(self.numbers) > 1

    @property
    def keys(self) -> jax.Array:
        """The root key of each."""
        keys = jnp.stack([jax.random.key(seed) for seed in self.numbers])
        return keys if self.wide else keys[0]

    def each(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, of all seeds at once."""
        return jax.vmap(function) if self.wide else function

    def one(self, tree: Any, index: int) -> Any:
        """What a pytree of arrays holds of one of them."""
        return jax.tree.map(lambda leaf: leaf[index], tree) if self.wide else tree


class Phase(NamedTuple):
    """A stretch of epochs that run the same compiled step.

    Attributes:
      name: as rows of metrics and checkpoints call it.
      epoch: a pass over the data.
      evaluate: state to scores.
      evaluate_untrained: likewise, with batch statistics of the training images.
      abstract: the state's shapes and dtypes.
    """

    name: str
    epoch: training.Epoch
    evaluate: Callable[[Any], dict[str, jax.Array]]
    evaluate_untrained: Callable[[Any], dict[str, jax.Array]]
    abstract: Any


@dataclasses.dataclass(frozen=True)
class Learner:
    """What networks learn of a data set, and how their weights move.

    Attributes:
      dataset: what is learned.
      settings: how.
      supervision: how without labels; None to learn the labels.
      steps: of each epoch.
      seeds: that train side by side.
      start: what training starts from; None for variables that are drawn.

    Raises:
      ConfigError: if settings and data do not fit each other.
    """

    dataset: Dataset
    settings: Training
    supervision: SelfSupervision | None
    steps: tuple[int, ...]
    seeds: Seeds
    start: Start | None = None

    @property
    def head_epochs(self) -> int:
        """The first epochs, in which the head alone learns."""
        return 0 if self.start is None else self.start.head_epochs

    @property
    def given(self) -> dict[str, np.ndarray]:
        """The variables that are not drawn, by name."""
        return {} if self.start is None else self.start.given

    @cached_property
    def objective(self) -> Objective:
        """What is learned, and by what it is judged."""
        if self.supervision is None:
            return Supervised(self.dataset, self.settings)
        return SelfSupervised(self.dataset, self.settings, self.supervision)

    @cached_property
    def dtype(self) -> Any:
        """Dtype of the computation."""
        return jnp.dtype(self.settings.precision)

    @cached_property
    def task(self) -> tasks.Task:
        """The objective's task, over as many devices as the settings say."""
        devices = jax.devices()[: self.settings.devices]
        task = self.objective.task
        return task if len(devices) == 1 else tasks.data_parallel(task, devices)

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The weights' optimizer, of the epochs in which all of them move."""
        share = 1.0 if self.start is None else self.start.body_share
        steps = self.steps[self.head_epochs :]
        return training.slower_body(self._optimizer(steps, self.settings.rising_epochs), share)

    @cached_property
    def head_optimizer(self) -> optax.GradientTransformation:
        """The head's, of the epochs in which it alone moves: the same schedule over them."""
        return self._optimizer(self.steps[: self.head_epochs], 0)

    def _optimizer(
        self, steps_of_epochs: tuple[int, ...], rising_epochs: int
    ) -> optax.GradientTransformation:
        settings = self.settings
        moves, warmup = (
            -(-sum(steps) // settings.accumulate)
            for steps in (steps_of_epochs, steps_of_epochs[:rising_epochs])
        )
        common: dict[str, Any] = {
            "momentum": settings.momentum,
            "weight_decay": settings.weight_decay,
            "warmup_steps": warmup,
        }
        if settings.optimizer == "lars":
            optimizer = training.lars(settings.learning_rate, moves, **common)
        else:
            make = training.sgd if settings.optimizer == "sgd" else training.adamw
            optimizer = make(
                settings.learning_rate,
                moves,
                schedule=settings.schedule,
                decay_norm_and_bias=settings.decay_norm_and_bias,
                grad_clip=settings.grad_clip,
                **common,
            )
        return training.accumulate(optimizer, settings.accumulate)

    @property
    def regularisation(self) -> training.Regularisation:
        """Drop path, dropout and the auxiliary head's weight."""
        settings = self.settings
        return training.Regularisation(
            settings.auxiliary_weight, settings.drop_path, sum(self.steps), settings.dropout
        )

    @cached_property
    def data(self) -> Data:
        """The images on the device, in the parts ``train``, ``arch`` (the same) and ``test``; where
        training may stop early also ``validation``, those of ``train`` that are held out.

        Those of a data set on the host stay there; ``test`` and ``validation`` are as
        `training.evaluator` takes them.
        """
        data: Any = self.dataset
        if data.host_workers is not None:

            def hosted(images: Any, labels: Any) -> Any:
                return HostData({"all": (images, labels)}, workers=data.host_workers), labels

            train = data.train_images, data.train_labels
            parts = {
                "train": train,
                "arch": train,
                "test": hosted(data.test_images, data.test_labels),
            }
            if self._held_out:
                rows = np.asarray(self._shuffled[: self._held_out])
                parts["validation"] = hosted(train[0][rows], train[1][rows])
            return parts
        train = jnp.asarray(data.train_images), jnp.asarray(data.train_labels)
        test = jnp.asarray(data.test_images), jnp.asarray(data.test_labels)
        parts = {"train": train, "arch": train, "test": test}
        if self._held_out:
            rows = self._shuffled[: self._held_out]
            parts["validation"] = train[0][rows], train[1][rows]
        return parts

    @property
    def _held_out(self) -> int:
        return self.settings.held_out(len(self.dataset.train_images))

    @cached_property
    def _shuffled(self) -> jax.Array:
        """The training images, those held out first: the same for every seed and method."""
        return jax.random.permutation(
            stream(jax.random.key(0), "validation"), len(self.dataset.train_images)
        )

    def learned_rows(self, rows: jax.Array) -> jax.Array:
        """Where those of the images that are not held out stand, which these numbers count."""
        return self._shuffled[self._held_out :][rows] if self._held_out else rows

    def images(self, parts: Iterable[str], epoch: int) -> Any:
        """The parts of the data that an epoch learns from, as its loop takes them."""
        data = {part: self.data[part] for part in parts}
        workers, area = self.dataset.host_workers, self.dataset.augmentation.crop_area
        return data if workers is None else HostData(cast(Any, data), epoch, area, workers)

    def build(self, genotype: Genotype) -> nn.Network:
        """The network that is trained of a genotype, with its auxiliary head if that counts."""
        auxiliary = self.settings.auxiliary_weight > 0
        return nn.build(genotype, self.objective.outputs, self.dtype, auxiliary=auxiliary)

    def variables(self, key: jax.Array, network: nn.Network, given: Any, *gates: jax.Array) -> Any:
        """Initial variables of a seed with this root key: `given` by name, drawn for the rest."""
        drawn = nn.init(network, stream(key, "init"), self.dataset.input_shape, *gates)
        if not given:
            return drawn
        values = [given.get(name, leaf) for name, leaf in named_leaves(drawn).items()]
        return jax.tree.unflatten(jax.tree.structure(drawn), values)

    def head_phase(self, network: nn.Network, abstract: Any) -> Phase:
        """A phase in which the head of `network` learns alone."""
        apply = training.flax_apply(network)
        step = training.head_step(apply, self.task, self.head_optimizer, self.settings.dropout)
        return self.phase(HEAD, network, step, lambda state: state.gates, abstract)

    def first_state(self, variables: Any, gates: jax.Array | None = None) -> training.TrainState:
        """The state before the first step that trains the weights alone."""
        return training.init(
            variables,
            self.optimizer,
            gates,
            averages=self.settings.weight_average > 0,
            stops=self.settings.early_stopping is not None,
        )

    def weights_phase(self, name: str, network: nn.Network, abstract: Any) -> Phase:
        """A phase that trains the weights of `network` alone."""
        apply = training.flax_apply(network)
        step = training.train_step(
            apply,
            self.task,
            self.optimizer,
            self.regularisation,
            self.settings.weight_average,
        )
        return self.phase(name, network, step, lambda state: state.gates, abstract)

    def phase(
        self, name: str, network: nn.Network, step: Step, gates: GatesOf, abstract: Any
    ) -> Phase:
        """A phase of steps of one seed, judged as `network`.

        Args:
          name: see `Phase`.
          network: the network.
          step: of one seed.
          gates: of all seeds.
          abstract: see `Phase`.
        """
        apply, wide = training.flax_apply(network), self.seeds.wide
        scores = self.objective.evaluator(apply, self.data, wide=wide)
        estimate = training.statistics_estimator(apply, self.objective.task, wide=wide)

        def evaluate(state: Any) -> dict[str, jax.Array]:
            return scores(training.judged_variables(state), gates(state))

        def evaluate_untrained(state: Any) -> dict[str, jax.Array]:
            own = gates(state)
            return scores(estimate(state.variables, own, self.data["train"][0]), own)

        loop = training.default_loop(sum(self.steps))
        if self.dataset.host_workers is not None:
            loop = training.host_loop(loop)
        epoch = loop(self.seeds.each(step))
        return Phase(name, epoch, evaluate, evaluate_untrained, abstract)
