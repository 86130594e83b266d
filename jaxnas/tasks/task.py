"""What every kind of learning has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.nn.heads import Outputs

Scores = dict[str, jax.Array]
"""Named numbers, of one network or of several; those that end in ``accuracy`` are shares."""


Prepare = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(key, images uint8 [b, h, w, c], labels int32 [b]) to a network's inputs and a loss's targets."""


class Task(NamedTuple):
    """What is learned of a batch; the same shape for every kind of learning.

    Attributes:
      prepare: what a training step makes of a batch: augmentation, or views.
      judge: as `prepare`, for judging an architecture: at random only what the loss cannot do
        without.
      inputs: images uint8 [b, h, w, c] to the network's inputs, for evaluation.
      loss: (outputs, targets) to a float32 scalar, the mean over the batch.
      score: (outputs, targets) to per-image metrics float32 [b], ``loss`` and ``accuracy`` (a share
        of the best possible).
      outputs: what the network ends in.
    """

    prepare: Prepare
    judge: Prepare
    inputs: Callable[[jax.Array], jax.Array]
    loss: Callable[[Any, jax.Array], jax.Array]
    score: Callable[[Any, jax.Array], Scores]
    outputs: Outputs


def in_programs(task: Task) -> Task:
    """The task with every function a program, for steps that are not compiled as a whole."""
    return task._replace(
        prepare=jax.jit(task.prepare),
        judge=jax.jit(task.judge),
        inputs=jax.jit(task.inputs),
        loss=jax.jit(task.loss),
        score=jax.jit(task.score),
    )


def data_parallel(task: Task, devices: Sequence[Any]) -> Task:
    """The task with each batch, once it is prepared, split over several devices.

    A step that learns it is compiled for all of them at once, so that the means of batch norms, and
    the pairs of a loss that compares images, are those of the whole batch: the step's results are
    those of one device, to rounding.

    Args:
      task: whose inputs and targets split evenly over the devices.
      devices: of one kind.
    """
    mesh = jax.sharding.Mesh(np.asarray(devices), ("batch",))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))

    def parallel(prepare: Prepare) -> Prepare:
        return lambda key, images, labels: jax.lax.with_sharding_constraint(
            prepare(key, images, labels), split
        )

    return task._replace(prepare=parallel(task.prepare), judge=parallel(task.judge))
