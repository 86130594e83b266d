"""Classification: what is learned from images and labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.data.augmentation import Augmentation, normalise, prepare
from jaxnas.randomness import stream
from jaxnas.tasks.mixing import mix
from jaxnas.tasks.task import Scores, Task


def supervised(
    num_classes: int,
    mean: np.ndarray,
    std: np.ndarray,
    augmentation: Augmentation,
    *,
    label_smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    dtype: Any = jnp.float32,
) -> Task:
    """Cross-entropy on augmented images.

    Args:
      num_classes: number of classes.
      mean: float32 [c], the channels' mean in units of 0..1.
      std: float32 [c], their standard deviation.
      augmentation: what training does to an image.
      label_smoothing: share of the target spread over all classes; the score never has it.
      class_weights: float32 [num_classes], by which the loss of an image counts in the mean over
        the batch; None for 1 each. The score never has them.
      mixup: alpha of `mixing.mixup` while training; 0 for none.
      cutmix: alpha of `mixing.cutmix` likewise; where neither is 0, each batch has one of them.
      dtype: of the network's inputs.
    """

    def prepare_batch(
        key: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        inputs = prepare(key, images, mean, std, augmentation, dtype)
        if not mixup and not cutmix:
            return inputs, labels
        targets = jax.nn.one_hot(labels, num_classes)
        return mix(stream(key, "mix"), inputs, targets, mixup, cutmix)

    def loss(logits: jax.Array, targets: jax.Array) -> jax.Array:
        if targets.ndim == 1:  # classes, not shares of them
            targets = jax.nn.one_hot(targets, num_classes)
        losses = optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))
        if class_weights is not None:
            losses = losses * (targets @ jnp.asarray(class_weights, jnp.float32))
        return losses.mean()

    def score(logits: jax.Array, labels: jax.Array) -> Scores:
        return {
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, labels),
            "accuracy": (logits.argmax(-1) == labels).astype(jnp.float32),
        }

    def inputs(images: jax.Array) -> jax.Array:
        return normalise(images, mean, std, dtype)

    return Task(
        prepare=prepare_batch,
        judge=lambda key, images, labels: (inputs(images), labels),
        inputs=inputs,
        loss=loss,
        score=score,
        outputs=num_classes,
    )


def balanced_class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """n / (k n_c) for each of k classes with n_c of the n labels, as scikit-learn's ``balanced``.

    Their mean over the labels is 1 (King & Zeng 2001, which scikit-learn's
    `compute_class_weight` names).

    Args:
      labels: int [n], in which every class occurs.
      num_classes: k.

    Returns:
      float32 [num_classes].
    """
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * counts)).astype(np.float32)
