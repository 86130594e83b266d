"""Classification: what is learned from images and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.data import Augmentation, normalise, prepare

Metrics = dict[str, jax.Array]


class Task(NamedTuple):
    """What is learned of a batch; the same shape for every kind of learning.

    Attributes:
      prepare: (key, images uint8 [b, h, w, c], labels int32 [b]) to the network's inputs and the
        loss's targets: augmentation, in training.
      inputs: images uint8 [b, h, w, c] to the network's inputs, for evaluation.
      loss: (outputs, targets) to a float32 scalar, the mean over the batch.
      score: (outputs, labels) to per-image metrics float32 [b], named.
      outputs: size of the network's output.
    """

    prepare: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    inputs: Callable[[jax.Array], jax.Array]
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    score: Callable[[jax.Array, jax.Array], Metrics]
    outputs: int


def supervised(
    num_classes: int,
    mean: np.ndarray,
    std: np.ndarray,
    augmentation: Augmentation,
    *,
    label_smoothing: float = 0.0,
    dtype: Any = jnp.float32,
) -> Task:
    """Cross-entropy on augmented images.

    Args:
      num_classes: number of classes.
      mean: float32 [c], the channels' mean in units of 0..1.
      std: float32 [c], their standard deviation.
      augmentation: what training does to an image.
      label_smoothing: share of the target spread over all classes; the score never has it.
      dtype: of the network's inputs.
    """

    def prepare_batch(
        key: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return prepare(key, images, mean, std, augmentation, dtype), labels

    def loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
        targets = optax.smooth_labels(jax.nn.one_hot(labels, num_classes), label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()

    def score(logits: jax.Array, labels: jax.Array) -> Metrics:
        return {
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, labels),
            "accuracy": (logits.argmax(-1) == labels).astype(jnp.float32),
        }

    return Task(
        prepare=prepare_batch,
        inputs=lambda images: normalise(images, mean, std, dtype),
        loss=loss,
        score=score,
        outputs=num_classes,
    )
