"""The smallest network that learns: one affine layer, with a running mean of its inputs."""

import jax.numpy as jnp
import numpy as np

from jaxnas.data import Augmentation
from jaxnas.tasks import supervised

CLASSES, SIDE = 3, 2
SIZE = SIDE * SIDE * 3
MEAN = np.array([0.5, 0.4, 0.3], np.float32)
STD = np.array([0.25, 0.2, 0.3], np.float32)
TASK = supervised(CLASSES, MEAN, STD, Augmentation(pad=0, flip=False))


def variables(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "params": {
            "dense": {
                "kernel": jnp.asarray(rng.normal(size=(SIZE, CLASSES)) * 0.1, jnp.float32),
                "bias": jnp.asarray(rng.normal(size=CLASSES) * 0.1, jnp.float32),
            }
        },
        "batch_stats": {"mean": jnp.zeros(SIZE)},
    }


def apply(variables, inputs, gates, train, noise=None):
    """Logits, times a gate where there is one; in training the running mean follows."""
    flat = inputs.reshape(len(inputs), -1)
    dense, stats = variables["params"]["dense"], variables["batch_stats"]
    if train:
        stats = {"mean": 0.9 * stats["mean"] + 0.1 * flat.mean(0)}
    else:
        flat = flat - stats["mean"]
    logits = flat @ dense["kernel"] + dense["bias"]
    return logits if gates is None else logits * gates, stats


def images(count, seed=1):
    rng = np.random.default_rng(seed)
    return (
        jnp.asarray(rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)),
        jnp.asarray(rng.integers(0, CLASSES, count), jnp.int32),
    )


def flat(images):
    """What the layer sees, float64 [n, SIZE]."""
    return ((np.asarray(images, np.float64) / 255 - MEAN) / STD).reshape(len(images), -1)
