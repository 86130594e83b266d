"""Learning without labels, from two random views of every image: SimCLR and SimSiam.

The views of a batch are one batch of twice as many images, the first views and then the second ones
in the same order; so batch norms see both (as in SimCLR's code; SimSiam's runs them one after the
other). Over several devices the loss is still that of the whole batch, as long as the step is
compiled for all of them at once (`tasks.data_parallel`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.data.augmentation import normalise
from jaxnas.data.views import Views, two_views
from jaxnas.nn.heads import Projector, Representation
from jaxnas.tasks.task import Scores, Task

_SMALLEST_SQUARE = 1e-12

SIMCLR_PROJECTOR = Projector((512, 128))
"""Two layers of which the last has 128 outputs, as SimCLR's; the hidden width is this project's."""

SIMSIAM_PROJECTOR = Projector((2048, 2048), final_norm=True, predictor=512)
"""SimSiam's for CIFAR-10: two layers of projection, a bottleneck of a quarter in the prediction."""


def simclr(
    mean: np.ndarray,
    std: np.ndarray,
    views: Views,
    *,
    projector: Projector = SIMCLR_PROJECTOR,
    temperature: float = 0.5,
    dtype: Any = jnp.float32,
) -> Task:
    """SimCLR: the two views of an image are to be alike, and unlike all others (Chen et al. 2020).

    Args:
      mean: float32 [c], the channels' mean in units of 0..1.
      std: float32 [c], their standard deviation.
      views: how a view is drawn.
      projector: the head, without a predictor.
      temperature: τ of `nt_xent`; 0.5 is the paper's for CIFAR-10.
      dtype: of the network's inputs.

    Raises:
      ValueError: if the temperature is not positive, or the projector has a predictor.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, not {temperature}")
    if projector.predictor is not None:
        raise ValueError("SimCLR has no predictor")

    def score(outputs: Representation, labels: jax.Array) -> Scores:
        similarity = _similarities(outputs.projection) / temperature
        return {
            "loss": _of_image(_cross_entropy(similarity)),
            "accuracy": _of_image(_recognised(similarity)),
        }

    return _two_view_task(
        lambda outputs, labels: nt_xent(outputs.projection, temperature),
        score,
        (mean, std, views, dtype),
        projector,
    )


def simsiam(
    mean: np.ndarray,
    std: np.ndarray,
    views: Views,
    *,
    projector: Projector = SIMSIAM_PROJECTOR,
    dtype: Any = jnp.float32,
) -> Task:
    """SimSiam: one view predicts the other, which is held still (Chen & He 2021, equation 4).

    The loss is from -1 to 1; at -1 every prediction points where the other view's projection does,
    which a network that answers all images alike reaches too: watch the features.

    Args:
      mean: float32 [c], the channels' mean in units of 0..1.
      std: float32 [c], their standard deviation.
      views: how a view is drawn.
      projector: the heads, with a predictor.
      dtype: of the network's inputs.

    Raises:
      ValueError: if the projector has no predictor.
    """
    if projector.predictor is None:
        raise ValueError("SimSiam needs a predictor")

    def distances(outputs: Representation) -> jax.Array:
        """Negative cosine of each prediction and the other view's projection, [2b]."""
        assert outputs.prediction is not None
        still = _swapped(jax.lax.stop_gradient(_normalised(outputs.projection)))
        return -(_normalised(outputs.prediction) * still).sum(-1)

    def score(outputs: Representation, labels: jax.Array) -> Scores:
        return {
            "loss": _of_image(distances(outputs)),
            "accuracy": _of_image(_recognised(_similarities(outputs.projection))),
        }

    return _two_view_task(
        lambda outputs, labels: distances(outputs).mean(),
        score,
        (mean, std, views, dtype),
        projector,
    )


def nt_xent(projections: jax.Array, temperature: float) -> jax.Array:
    """The normalised temperature-scaled cross entropy (Chen et al. 2020, equation 1).

    Every view is to tell its image's other view from the 2b - 2 views of other images, by cosine
    over the temperature.

    Args:
      projections: float32 [2b, k]; rows i and b + i are views of one image.
      temperature: τ, above 0.

    Returns:
      float32 scalar, the mean over the 2b views, in nats; log(2b - 1) for equal projections.
    """
    return _cross_entropy(_similarities(projections) / temperature).mean()


def _two_view_task(
    loss: Callable[[Representation, jax.Array], jax.Array],
    score: Callable[[Representation, jax.Array], Scores],
    drawing: tuple[np.ndarray, np.ndarray, Views, Any],
    projector: Projector,
) -> Task:
    """A task on two views; the labels are handed through, and neither loss nor score reads them."""
    mean, std, views, dtype = drawing

    def prepare(
        key: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return two_views(key, images, mean, std, views, dtype), labels

    return Task(
        prepare=prepare,
        judge=prepare,  # there is no loss without views
        inputs=lambda images: normalise(images, mean, std, dtype),
        loss=loss,
        score=score,
        outputs=projector,
    )


def _normalised(rows: jax.Array) -> jax.Array:
    """Rows of length 1, in float32; those of almost no length become short."""
    rows = rows.astype(jnp.float32)
    squared = jnp.square(rows).sum(-1, keepdims=True)
    return rows * jax.lax.rsqrt(jnp.maximum(squared, _SMALLEST_SQUARE))


def _similarities(projections: jax.Array) -> jax.Array:
    """Cosines of all pairs of views [2b, 2b]; of a view with itself minus infinity."""
    rows = _normalised(projections)
    # Full precision also where an accelerator would round its operands.
    cosines = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.where(jnp.eye(len(rows), dtype=bool), -jnp.inf, cosines)


def _other_view(count: int) -> jax.Array:
    """The row of each row's other view, int32 [2b]."""
    return jnp.roll(jnp.arange(count), count // 2)


def _swapped(rows: jax.Array) -> jax.Array:
    return rows[_other_view(len(rows))]


def _cross_entropy(similarity: jax.Array) -> jax.Array:
    """Cross-entropy [2b] of finding each view's other one."""
    return optax.softmax_cross_entropy_with_integer_labels(similarity, _other_view(len(similarity)))


def _recognised(similarity: jax.Array) -> jax.Array:
    """Whether each view [2b] is more like its image's other one than like any other: 0 or 1."""
    count = len(similarity)
    rows = jnp.arange(count)
    own = similarity[rows, _other_view(count)]
    others = similarity.at[rows, _other_view(count)].set(-jnp.inf).max(-1)
    return (own > others).astype(jnp.float32)


def _of_image(values: jax.Array) -> jax.Array:
    """The mean of both views: [2b] to [b]."""
    return values.reshape(2, -1).mean(0)
