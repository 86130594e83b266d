"""Accuracy and loss over a whole set of images, their features and their batch statistics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.data.host.stream import HostData
from jaxnas.nn.layers import BATCH_NORM_MOMENTUM
from jaxnas.tasks.task import Task
from jaxnas.training.train import Apply

_MOST_LEFT = 0.05  # of the statistics that batch norm starts from, without a warning


def _steps_leaving(share: float) -> int:
    """Steps after which no more than that share is left of the batch statistics there were."""
    return math.ceil(math.log(share) / math.log(BATCH_NORM_MOMENTUM))


_STATISTICS_PASSES = _steps_leaving(0.01)


def warn_of_few_steps(what: str, steps: int) -> None:
    """Warns where running statistics of batch norm still hold much of mean 0 and variance 1.

    A step leaves 0.9 of them, and so n steps leave 0.9^n. What is judged by the statistics is off
    by that, more in every further layer.

    Args:
      what: the training, for the sentence.
      steps: that it has.
    """
    left = BATCH_NORM_MOMENTUM**steps
    if left > _MOST_LEFT:
        warnings.warn(
            f"{what}: the {steps} steps of training leave {left:.1%} of the mean 0 and variance 1 "
            "that batch norm's running statistics start from, so that the accuracy and loss they "
            f"lead to may be far off; {_steps_leaving(_MOST_LEFT)} steps leave less than "
            f"{_MOST_LEFT:.0%}: train for more epochs, or by smaller batches",
            stacklevel=3,
        )


def evaluator(
    apply: Apply, task: Task, batch_size: int = 500, *, wide: bool = False
) -> Callable[[Any, jax.Array | None, Any, Any], dict[str, jax.Array]]:
    """A function (variables, gates, images, labels) to the mean of each of the task's scores.

    Batch norm uses its running statistics. Images are uint8 [n, h, w, c] on the device, or a
    `HostData` that has them and their labels in the part ``all``; the last batch is filled up and
    the filling left out of the mean. Where `wide`, variables and gates have a leading axis of
    networks, and so have the scores.
    """

    @jax.jit
    def batch_scores(
        variables: Any,
        gates: jax.Array | None,
        images: jax.Array,
        labels: jax.Array,
        start: jax.Array,
        end: jax.Array,
    ) -> dict[str, jax.Array]:
        index = start + jnp.arange(size(len(images)))
        inside = index < end
        index = jnp.minimum(index, end - 1)
        inputs = task.inputs(images[index])

        def sums(variables: Any, gates: jax.Array | None) -> dict[str, jax.Array]:
            outputs, _ = apply(variables, inputs, gates, False)
            scores = task.score(outputs, labels[index])
            return {name: jnp.where(inside, score, 0.0).sum() for name, score in scores.items()}

        return (jax.vmap(sums) if wide else sums)(variables, gates)

    def size(count: int) -> int:
        return min(batch_size, count)

    def evaluate(
        variables: Any, gates: jax.Array | None, images: Any, labels: Any
    ) -> dict[str, jax.Array]:
        count = len(labels)
        starts = range(0, count, size(count))
        if isinstance(images, HostData):
            rows = np.minimum(np.arange(len(starts) * size(count)), count - 1)
            read = images.chunks({"all": rows.reshape(len(starts), -1)}, 1)
            batches = (
                (data["all"], 0, min(count - at, size(count)))
                for at, (data, _) in zip(starts, read, strict=True)
            )
        else:
            batches = (((images, labels), start, count) for start in starts)
        sums = [
            batch_scores(variables, gates, *pair, jnp.int32(start), jnp.int32(end))
            for pair, start, end in batches
        ]
        return {name: jnp.stack([each[name] for each in sums]).sum(0) / count for name in sums[0]}

    return evaluate


def extractor(
    apply: Apply, task: Task, batch_size: int = 500, *, wide: bool = False
) -> Callable[[Any, jax.Array | None, jax.Array], jax.Array]:
    """A function (variables, gates, images) to features float32 [n, d], of an `nn.Representation`.

    Batch norm uses its running statistics. Images are uint8 [n, h, w, c] on the device. Where
    `wide`, variables and gates have a leading axis of networks, and so have the features.
    """

    @jax.jit
    def batch_features(
        variables: Any, gates: jax.Array | None, images: jax.Array, start: jax.Array
    ) -> jax.Array:
        index = jnp.minimum(start + jnp.arange(min(batch_size, len(images))), len(images) - 1)
        inputs = task.inputs(images[index])

        def features(variables: Any, gates: jax.Array | None) -> jax.Array:
            outputs, _ = apply(variables, inputs, gates, False)
            return outputs.features

        return (jax.vmap(features) if wide else features)(variables, gates)

    def extract(variables: Any, gates: jax.Array | None, images: jax.Array) -> jax.Array:
        parts = [
            batch_features(variables, gates, images, jnp.asarray(start, jnp.int32))
            for start in range(0, len(images), batch_size)
        ]
        return jnp.concatenate(parts, -2)[..., : len(images), :]

    return extract


def statistics_estimator(
    apply: Apply, task: Task, batch_size: int = 500, *, wide: bool = False
) -> Callable[[Any, jax.Array | None, jax.Array], Any]:
    """A function (variables, gates, images) to the variables with batch statistics of the images.

    Batch norms start from mean 0 and variance 1, which say nothing of a network that has not seen
    an image. The weights stay as they are; the statistics are those that forward passes in training
    mode leave, each over images drawn at random without replacement, the same for every network:
    less than 1% of the statistics given is left.

    Images are uint8 [n, h, w, c] on the device. Where `wide`, variables and gates have a leading
    axis of networks.
    """

    @jax.jit
    def once(variables: Any, gates: jax.Array | None, images: jax.Array, index: jax.Array) -> Any:
        key = jax.random.fold_in(jax.random.key(0), index)
        drawn = jax.random.permutation(key, len(images))[:batch_size]
        inputs = task.inputs(images[drawn])

        def statistics(variables: Any, gates: jax.Array | None) -> Any:
            return apply(variables, inputs, gates, True)[1]

        return (jax.vmap(statistics) if wide else statistics)(variables, gates)

    def estimate(variables: Any, gates: jax.Array | None, images: jax.Array) -> Any:
        for index in range(_STATISTICS_PASSES):
            found = once(variables, gates, images, jnp.asarray(index, jnp.int32))
            variables = {**variables, "batch_stats": found}
        return variables

    return estimate
