"""Classification against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from jaxnas.data import Augmentation, normalise, prepare
from jaxnas.tasks import balanced_class_weights, supervised

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
STD = np.array([0.25, 0.2, 0.3], np.float32)
PLAIN = Augmentation(pad=0, flip=False)
CLASSES = 7


def task(augmentation=PLAIN, **options):
    return supervised(CLASSES, MEAN, STD, augmentation, **options)


def batch(count=5):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8))
    labels = jnp.asarray(rng.integers(0, CLASSES, count), jnp.int32)
    logits = jnp.asarray(rng.normal(size=(count, CLASSES)) * 3, jnp.float32)
    return images, labels, logits


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_loss_is_the_cross_entropy_with_smoothed_labels(smoothing):
    _, labels, logits = batch()
    target = np.full((5, CLASSES), smoothing / CLASSES)
    target[np.arange(5), labels] += 1 - smoothing
    expected = -(target * log_softmax(logits)).sum(-1).mean()
    found = task(label_smoothing=smoothing).loss(logits, labels)
    assert found.shape == ()
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_the_losss_gradient_is_the_error_of_the_probabilities():
    _, labels, logits = batch()
    expected = np.exp(log_softmax(logits))
    expected[np.arange(5), labels] -= 1
    found = jax.grad(task().loss)(logits, labels)
    np.testing.assert_allclose(found, expected / 5, rtol=1e-5, atol=1e-7)


def test_the_loss_of_large_logits_is_finite():
    logits = jnp.full((2, CLASSES), -1e4).at[:, 0].set(1e4)
    labels = jnp.array([0, 1], jnp.int32)
    assert float(task().loss(logits, labels)) == pytest.approx(1e4)
    assert np.isfinite(jax.grad(task().loss)(logits, labels)).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_score_is_each_images_own_and_never_smoothed(smoothing):
    _, labels, logits = batch()
    logits = logits.at[0, labels[0]].set(10.0)
    score = task(label_smoothing=smoothing).score(logits, labels)
    assert set(score) == {"loss", "accuracy"}
    expected = -log_softmax(logits)[np.arange(5), labels]
    np.testing.assert_allclose(score["loss"], expected, rtol=1e-5, atol=1e-6)
    right = np.asarray(logits).argmax(-1) == np.asarray(labels)
    assert 0 < right.sum() < 5
    np.testing.assert_array_equal(score["accuracy"], right.astype(np.float32))
    assert {each.dtype for each in score.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_evaluation_sees_the_normalised_images_and_nothing_else(dtype):
    images, labels, _ = batch()
    inputs = task(Augmentation(pad=2, cutout=3), dtype=dtype).inputs(images)
    expected = (np.asarray(images, np.float64) / 255 - MEAN) / STD
    tolerance = 1e-5 if dtype == jnp.float32 else 0.02
    np.testing.assert_allclose(np.asarray(inputs, np.float32), expected, tolerance, tolerance)
    assert inputs.dtype == dtype
    np.testing.assert_array_equal(inputs, normalise(images, MEAN, STD, dtype))
    without, same = task(dtype=dtype).prepare(jax.random.key(0), images, labels)
    np.testing.assert_array_equal(without, inputs)
    assert same is labels


def test_training_augments_by_its_key():
    images, labels, _ = batch()
    augmentation = Augmentation(pad=2, flip=True, cutout=3)
    draw = jax.jit(task(augmentation).prepare)
    first, again, other = (draw(jax.random.key(seed), images, labels)[0] for seed in (0, 0, 1))
    expected = jax.jit(lambda key, images: prepare(key, images, MEAN, STD, augmentation))
    np.testing.assert_array_equal(first, expected(jax.random.key(0), images))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_balanced_weights_are_scikit_learns():
    labels = np.array([0, 0, 0, 1, 2, 2, 0, 0])
    found = balanced_class_weights(labels, 3)
    np.testing.assert_allclose(found, [8 / (3 * 5), 8 / 3, 8 / (3 * 2)], rtol=1e-6)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[labels].mean() == pytest.approx(1)


def test_class_weights_are_in_the_loss_alone():
    _, labels, logits = batch()
    weights = np.arange(1, 8, dtype=np.float32)
    losses = -log_softmax(logits)[np.arange(5), labels]
    expected = (weights[labels] * losses).mean()
    weighted = task(class_weights=weights)
    assert float(weighted.loss(logits, labels)) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(
        weighted.score(logits, labels)["loss"], task().score(logits, labels)["loss"]
    )


def test_shares_of_classes_weigh_as_much_as_their_classes_do():
    _, labels, logits = batch()
    weights = np.arange(1, 8, dtype=np.float32)
    shares = 0.25 * np.eye(7)[labels] + 0.75 * np.eye(7)[labels[::-1]]
    losses = -(log_softmax(logits) * shares).sum(1)
    expected = ((shares @ weights) * losses).mean()
    weighted = task(class_weights=weights, mixup=0.2)
    loss = weighted.loss(logits, shares.astype(np.float32))
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_a_task_knows_its_outputs():
    assert task().outputs == CLASSES
