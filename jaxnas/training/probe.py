"""How representations are judged, from features and labels alone.

All take features float32 [n, d] and labels int32 [n], are compiled as a whole, and vmap over a
leading axis of seeds. The judges of labels return shares 0..1 of the test images.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnas.data.order import epoch_permutation
from jaxnas.randomness import stream
from jaxnas.training.optimizer import sgd

_HIGHEST = jax.lax.Precision.HIGHEST  # an accelerator's default drops bits of float32


@partial(jax.jit, static_argnames=("num_classes", "k", "chunk"))
def knn_accuracy(
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    test_labels: jax.Array,
    num_classes: int,
    *,
    k: int = 200,
    temperature: float = 0.1,
    chunk: int = 500,
) -> jax.Array:
    """Share of test images that the weighted kNN classifies right (Wu et al. 2018, section 3.4).

    The k training images of the largest cosine similarity s vote for their classes with the weight
    exp(s / temperature). Of equally similar images the earlier ones are taken, of classes with
    equal votes the first.

    Args:
      train_features: float32 [n, d]; a row of zeros is as similar to all.
      train_labels: int32 [n].
      test_features: float32 [m, d].
      test_labels: int32 [m].
      num_classes: number of classes.
      k: number of neighbours, 1 to n; 200 in the paper.
      temperature: above 0; 0.07 in the paper, 0.1 where training is monitored on CIFAR-10.
      chunk: test images whose n similarities stand in memory at once.

    Returns:
      float32 scalar.

    Raises:
      ValueError: if k is below 1 or above n.
    """
    if not 1 <= k <= len(train_features):
        raise ValueError(
            f"k is {k} neighbours of {len(train_features)} training images: "
            f"choose k from 1 to {len(train_features)}."
        )
    bank = _unit_rows(train_features)

    def predict(feature: jax.Array) -> jax.Array:
        # On two CPU cores, [500, n] similarities and k = 200, milliseconds for n = 5,000 and
        # 50,000: top_k 125 and 300, a threshold found by bisection 170 and 1,770, a sort 1,440
        # and 17,800. It gives the values in falling order and equal ones by their index.
        similarities, neighbours = jax.lax.top_k(jnp.matmul(bank, feature, precision=_HIGHEST), k)
        # Shifted by the largest, so that no temperature overflows.
        weights = jnp.exp((similarities - similarities[0]) / temperature)
        return jnp.zeros(num_classes).at[train_labels[neighbours]].add(weights).argmax()

    found = jax.lax.map(predict, _unit_rows(test_features), batch_size=chunk)
    return _share(found == test_labels)


@partial(jax.jit, static_argnames="num_classes")
def ridge_accuracy(
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    test_labels: jax.Array,
    num_classes: int,
    *,
    penalty: float = 1e-2,
) -> jax.Array:
    """Share of test images that ridge regression onto one-hot labels classifies right.

    The features X are standardised, the targets Y centred, and the weights W solve
    (X^T X + λ n I) W = X^T Y.

    Args:
      train_features: float32 [n, d]; more dimensions than images are fine.
      train_labels: int32 [n].
      test_features: float32 [m, d].
      test_labels: int32 [m].
      num_classes: number of classes.
      penalty: λ above 0; the mean eigenvalue of X^T X / n is 1, so it is a share of that. Of 0.001,
        0.01 and 0.1, on 5,000 CIFAR-10 images, 0.01 does best on the features of a random ResNet-20
        (64: 0.308, 0.319, 0.288) and of random filters (512: 0.531, 0.541, 0.522); pixels (3072:
        0.238, 0.286, 0.328) and 500 images want more.

    Returns:
      float32 scalar.
    """
    mean, scale = _standardisation(train_features)
    train, test = ((each - mean) * scale for each in (train_features, test_features))
    targets = jax.nn.one_hot(train_labels, num_classes)
    share = targets.mean(0)
    count, size = train.shape
    gram = jnp.matmul(train.T, train, precision=_HIGHEST) / count
    moment = jnp.matmul(train.T, targets - share, precision=_HIGHEST) / count
    weights = jax.scipy.linalg.solve(gram + penalty * jnp.eye(size), moment, assume_a="pos")
    outputs = jnp.matmul(test, weights, precision=_HIGHEST) + share
    return _share(outputs.argmax(-1) == test_labels)


class Probe(NamedTuple):
    """A linear classifier of features as they are, and its scores, float32 scalars.

    Attributes:
      classifier: ``kernel`` float32 [d, classes] and, if it has one, ``bias`` [classes].
      accuracy: share of test images classified right.
      loss: mean cross-entropy on the test images, in nats.
      train_accuracy: share of training images classified right.
    """

    classifier: dict[str, jax.Array]
    accuracy: jax.Array
    loss: jax.Array
    train_accuracy: jax.Array


@partial(
    jax.jit, static_argnames=("num_classes", "epochs", "batch_size", "learning_rate", "has_bias")
)
def linear_probe(
    key: jax.Array,
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    test_labels: jax.Array,
    num_classes: int,
    *,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 10.0,
    has_bias: bool = True,
) -> Probe:
    """Multinomial logistic regression on frozen features, from weights of 0.

    SGD with Nesterov momentum of 0.9 and a cosine, without weight decay. The features are
    standardised and divided by sqrt(d), so that their mean squared length is 1, whatever d is: one
    learning rate serves every network.

    Args:
      key: random key, which orders the images of every epoch.
      train_features: float32 [n, d].
      train_labels: int32 [n].
      test_features: float32 [m, d].
      test_labels: int32 [m].
      num_classes: number of classes.
      epochs: times through the training images.
      batch_size: images of a step.
      learning_rate: at the start. Of 1, 3, 10, 30 and 100, on the features named at
        `ridge_accuracy`, 10 ends at the lowest test loss of the networks' and 100 is unstable;
        pixels overfit at any above 1.
      has_bias: whether the classifier has one; without, the features are scaled but not centred.

    Raises:
      DataError: if batch_size is below 1 or above n.
    """
    count, size = train_features.shape
    mean, scale = _standardisation(train_features)
    mean, scale = mean * has_bias, scale / jnp.sqrt(size)
    train = (train_features - mean) * scale
    optimizer = sgd(learning_rate, epochs * (count // batch_size), weight_decay=0.0)
    params = {"kernel": jnp.zeros((size, num_classes))}
    if has_bias:
        params["bias"] = jnp.zeros(num_classes)

    def logits(params: Any, features: jax.Array) -> jax.Array:
        return jnp.matmul(features, params["kernel"], precision=_HIGHEST) + params.get("bias", 0.0)

    def loss(params: Any, features: jax.Array, labels: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(
            logits(params, features), labels
        ).mean()

    def step(state: Any, rows: jax.Array) -> tuple[Any, None]:
        params, opt_state = state
        gradient = jax.grad(loss)(params, train[rows], train_labels[rows])
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def one_epoch(state: Any, epoch: jax.Array) -> tuple[Any, None]:
        epoch_key = jax.random.fold_in(stream(key, "order"), epoch)
        return jax.lax.scan(step, state, epoch_permutation(epoch_key, count, batch_size))

    start = params, optimizer.init(params)
    (params, _), _ = jax.lax.scan(one_epoch, start, jnp.arange(epochs))
    classifier = {"kernel": params["kernel"] * scale[:, None]}
    if has_bias:
        shift = jnp.matmul(mean, classifier["kernel"], precision=_HIGHEST)
        classifier["bias"] = params["bias"] - shift
    outputs = logits(classifier, test_features)
    return Probe(
        classifier=classifier,
        accuracy=_share(outputs.argmax(-1) == test_labels),
        loss=loss(classifier, test_features, test_labels),
        train_accuracy=_share(logits(params, train).argmax(-1) == train_labels),
    )


class FeatureStatistics(NamedTuple):
    """Signs of collapse, float32 scalars.

    Attributes:
      std: standard deviation of the L2-normalised features, the mean over dimensions, times
        sqrt(d): about 1 for an isotropic Gaussian, 0 where all features are one (Chen & He 2021,
        section 4.1, arXiv:2011.10566, where 1 / sqrt(d) stands for our 1).
      rank: effective rank, 1 to min(n, d).
    """

    std: jax.Array
    rank: jax.Array


@jax.jit
def feature_statistics(features: jax.Array) -> FeatureStatistics:
    """How far features have collapsed.

    The rank is RankMe (Garrido et al. 2023, arXiv:2210.02885, equation 1): the exponential of the
    entropy of p_k = σ_k / |σ|_1 + 1e-7, σ the singular values of the features as they are, not
    centred and not normalised. Features that are all 0 have the rank 1.

    Args:
      features: float32 [n, d].
    """
    _, deviation = _moments(_unit_rows(features))
    # Of the features themselves: the roots of X^T X's eigenvalues are noise below 3e-4 of the
    # largest, and d of them add up to a rank that is not there.
    singular = jnp.linalg.svd(features, compute_uv=False)
    share = singular / jnp.maximum(singular.sum(), _TINY) + 1e-7
    return FeatureStatistics(
        std=deviation.mean() * jnp.sqrt(features.shape[1]),
        rank=jnp.exp(-(share * jnp.log(share)).sum()),
    )


_TINY = 1e-12


def _unit_rows(features: jax.Array) -> jax.Array:
    """Rows of length 1; those of 0 stay."""
    lengths = jnp.linalg.norm(features, axis=-1, keepdims=True)
    return features / jnp.maximum(lengths, _TINY)


def _moments(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation [d] of each feature, 0 exactly where it is constant."""
    # A mean of many equal numbers is not that number: seen from the first row they are all 0.
    seen = features - features[0]
    return features[0] + seen.mean(0), seen.std(0)


def _standardisation(train: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Means [d] and scales [d] of (features - mean) * scale; constant features become 0."""
    mean, deviation = _moments(train)
    return mean, jnp.where(deviation > 0, 1 / deviation, 0.0)


def _share(right: jax.Array) -> jax.Array:
    return right.astype(jnp.float32).mean()
