"""What a network ends in: classifiers, or the heads of self-supervised learning."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from jaxnas.nn.layers import BatchNorm, Dense


@dataclasses.dataclass(frozen=True)
class Projector:
    """Heads that training without labels puts in the place of a classifier, and then drops.

    Attributes:
      widths: outputs of the layers of the projection (Chen et al. 2020, g); each but the last has a
        batch norm and a ReLU.
      final_norm: whether the last has a batch norm too.
      predictor: hidden width of a prediction of the projection, of two layers (Chen & He 2021, h);
        None for none.

    Raises:
      ValueError: if there is no layer, or for a width that is not positive.
    """

    widths: tuple[int, ...]
    final_norm: bool = False
    predictor: int | None = None

    def __post_init__(self) -> None:
        widths = self.widths if self.predictor is None else (*self.widths, self.predictor)
        if not self.widths or min(widths) < 1:
            raise ValueError(
                f"a projection needs layers of positive widths, not {self.widths} "
                f"with a predictor of {self.predictor}"
            )


HEADS = ("projection", "prediction")
"""Names of a `Projector`'s modules in a network."""

HEAD_MODULES = ("classifier", "auxiliary", *HEADS)
"""Names of all modules of a network that depend on what is learned: the others are its body."""

Outputs = int | Projector
"""What a network ends in: so many classes, 0 for the features alone, or the heads."""


class Representation(NamedTuple):
    """What a network with a `Projector` says of images.

    Attributes:
      features: float32 [b, d], what a classifier would see.
      projection: float32 [b, widths[-1]].
      prediction: float32 [b, widths[-1]]; None without a predictor.
    """

    features: jax.Array
    projection: jax.Array
    prediction: jax.Array | None


class WithAuxiliary(NamedTuple):
    """Logits float32 [b, classes] of a network and of its auxiliary head, in training."""

    logits: Any
    auxiliary: Any


class _Layers(nn.Module):
    """Dense layers, with batch norm and ReLU between them."""

    widths: tuple[int, ...]
    final_norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for index, width in enumerate(self.widths):
            last = index == len(self.widths) - 1
            normed = not last or self.final_norm
            x = Dense(width, not normed, name=f"dense_{index}")(x)
            if normed:
                x = BatchNorm(name=f"norm_{index}")(x, train)
            if not last:
                x = nn.relu(x)
        return x


def finish(
    features: jax.Array, outputs: Outputs, train: bool, *, has_bias: bool = True
) -> jax.Array | Representation:
    """Features float32 [b, d] to logits float32 [b, classes], or to what else `outputs` asks for.

    Must be called from a compact module.

    Args:
      features: of images.
      outputs: what to end in.
      train: whether batch norms of the heads use the batch's statistics.
      has_bias: whether the classifier has one.
    """
    if outputs == 0:
        return features
    if isinstance(outputs, int):
        return Dense(outputs, has_bias, name="classifier")(features)
    projection = _Layers(outputs.widths, outputs.final_norm, name=HEADS[0])(features, train)
    prediction = None
    if outputs.predictor is not None:
        widths = outputs.predictor, outputs.widths[-1]
        prediction = _Layers(widths, False, name=HEADS[1])(projection, train)
    return Representation(features, projection, prediction)
