"""Judges of representations against the same formulas in NumPy, float64."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.data import DataError, load
from jaxnas.training import (
    FeatureStatistics,
    Probe,
    feature_statistics,
    knn_accuracy,
    linear_probe,
    ridge_accuracy,
)

CLASSES = 4


def clusters(seed=0, n=60, m=37, d=6, spread=1.0):
    """Overlapping Gaussians, one per class: train, its labels, test, its labels."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(CLASSES, d))
    parts = []
    for count in (n, m):
        labels = rng.integers(0, CLASSES, count)
        features = centres[labels] + spread * rng.normal(size=(count, d)) + 0.5
        parts += [jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.int32)]
    return tuple(parts)


def wide(*arrays):
    return np.asarray(arrays[0], np.float64), *map(np.asarray, arrays[1:])


def few_epochs(*data):
    return linear_probe(jax.random.key(0), *data, CLASSES, epochs=3, batch_size=16)


JUDGES = {
    "knn": lambda *data: knn_accuracy(*data, CLASSES, k=5, chunk=10),
    "ridge": lambda *data: ridge_accuracy(*data, CLASSES),
    "linear": few_epochs,
    "statistics": lambda *data: feature_statistics(data[0]),
}
every_judge = pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)


# What holds of all of them.


@every_judge
def test_seeds_side_by_side_are_judged_each_for_itself(judge):
    each = [clusters(seed) for seed in (0, 1)]
    found = jax.vmap(judge)(*(jnp.stack(parts) for parts in zip(*each, strict=True)))
    for index in (0, 1):
        alone = judge(*each[index])
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
            assert (one.shape, one.dtype) == ((2,), jnp.float32)
            assert float(one[index]) == pytest.approx(float(other), rel=1e-4)
    assert all(leaf[0] != leaf[1] for leaf in jax.tree.leaves(found)), "the seeds differ"


@every_judge
def test_a_judgement_is_the_same_bits_every_time(judge):
    data = clusters()
    first, again = judge(*data), judge(*data)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(jax.tree.leaves(jax.jit(judge)(*data)), jax.tree.leaves(first)):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@every_judge
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_features_that_have_all_become_one_are_judged_as_chance(judge, value):
    train, labels, test, test_labels = clusters()
    found = judge(jnp.full_like(train, value), labels, jnp.full_like(test, value), test_labels)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(found))
    if isinstance(found, FeatureStatistics):
        assert float(found.std) == 0
        assert float(found.rank) == pytest.approx(1, abs=1e-4)
        return
    accuracy = found.accuracy if isinstance(found, Probe) else found
    shares = np.bincount(test_labels, minlength=CLASSES) / len(test_labels)
    assert np.isclose(shares, accuracy).any(), "all are taken for one class"
    if judge is not JUDGES["knn"]:
        common = np.bincount(labels).argmax()
        assert float(accuracy) == pytest.approx(shares[common]), "the commonest"


@every_judge
def test_features_on_one_line_and_more_dimensions_than_images_are_no_trouble(judge):
    rng = np.random.default_rng(0)
    _, labels, _, test_labels = clusters()
    for line in (np.ones(300), rng.normal(size=300)):
        train = jnp.asarray(np.outer(rng.normal(size=60), line), jnp.float32)
        test = jnp.asarray(np.outer(rng.normal(size=37), line), jnp.float32)
        found = judge(train, labels, test, test_labels)
        assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("judge", ["knn", "ridge", "linear"])
def test_labels_drawn_by_lot_are_guessed_by_chance(judge):
    """Each guess is right with probability 1/4; 5 deviations either side."""
    train, _, test, _ = clusters(n=200, m=1000)
    rng = np.random.default_rng(5)
    labels, test_labels = (jnp.asarray(rng.integers(0, CLASSES, n), jnp.int32) for n in (200, 1000))
    found = JUDGES[judge](train, labels, test, test_labels)
    accuracy = float(found.accuracy if isinstance(found, Probe) else found)
    assert abs(accuracy - 1 / CLASSES) < 5 * math.sqrt(1 / CLASSES * (1 - 1 / CLASSES) / 1000)


@pytest.mark.parametrize("judge", ["knn", "ridge", "linear"])
def test_classes_far_apart_are_told_without_an_error(judge):
    found = JUDGES[judge](*clusters(spread=0.05))
    for accuracy in (found.accuracy, found.train_accuracy) if judge == "linear" else (found,):
        assert float(accuracy) == 1.0


# kNN.


def guesses(train, labels, test, **options):
    """The class guessed of each test image, read off the shares of one image and one label."""

    def right(feature, label):
        return knn_accuracy(train, labels, feature[None], label[None], CLASSES, **options)

    of_label = jax.vmap(jax.vmap(right, (None, 0)), (0, None))
    return np.asarray(of_label(test, jnp.arange(CLASSES)))


def plain_guesses(train, labels, test, k, temperature):
    train, labels = wide(train, labels)
    (test,) = wide(test)
    out = []
    for row in test:
        similarities = [row @ other / math.sqrt(row @ row * (other @ other)) for other in train]
        votes = [0.0] * CLASSES
        for index in sorted(range(len(train)), key=lambda i: -similarities[i])[:k]:
            votes[labels[index]] += math.exp(similarities[index] / temperature)
        out.append(int(np.argmax(votes)))
    return np.array(out)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (7, 5.0), (60, 0.1)])
def test_neighbours_vote_as_in_a_plain_loop(k, temperature):
    train, labels, test, test_labels = clusters()
    expected = plain_guesses(train, labels, test, k, temperature)
    found = guesses(train, labels, test, k=k, temperature=temperature)
    np.testing.assert_array_equal(found, np.eye(CLASSES)[expected])
    accuracy = knn_accuracy(
        train, labels, test, test_labels, CLASSES, k=k, temperature=temperature
    )
    assert float(accuracy) == pytest.approx((expected == np.asarray(test_labels)).mean())
    # The cases are told apart: other neighbours or other weights make other guesses.
    others = [plain_guesses(train, labels, test, *each) for each in [(2, 0.1), (60, 5.0)]]
    assert all((expected != other).any() for other in others)


@pytest.mark.parametrize("chunk", [1, 10, 36, 37, 38, 500])
def test_chunks_change_nothing(chunk):
    data = clusters()
    expected = (plain_guesses(*data[:3], 9, 0.1) == np.asarray(data[3])).mean()
    found = knn_accuracy(*data, CLASSES, k=9, chunk=chunk)
    assert float(found) == pytest.approx(expected)


def test_of_equal_neighbours_the_earlier_and_of_equal_votes_the_lower_class_wins():
    train = jnp.ones((6, 3))
    found = guesses(train, jnp.array([2, 2, 1, 1, 1, 1]), jnp.ones((1, 3)), k=3)
    assert found.argmax() == 2
    found = guesses(train, jnp.array([3, 2, 2, 3, 0, 0]), jnp.ones((1, 3)), k=4)
    assert found.argmax() == 2


def test_lengths_do_not_matter_and_a_cold_vote_is_that_of_the_nearest():
    train, labels, test, test_labels = clusters()
    nearest = knn_accuracy(train, labels, test, test_labels, CLASSES, k=1)
    lengths = jnp.exp(jnp.linspace(-5, 5, 60))[:, None]
    cold = knn_accuracy(
        train * lengths, labels, 1e-3 * test, test_labels, CLASSES, k=50, temperature=1e-5
    )
    assert float(nearest) == float(cold) != 1


@pytest.mark.parametrize("k", [0, 61])
def test_more_neighbours_than_images_are_refused(k):
    with pytest.raises(ValueError, match=f"k is {k} neighbours of 60 .* from 1 to 60"):
        knn_accuracy(*clusters(), CLASSES, k=k)


def test_defaults_are_those_of_the_field():
    defaults = {
        name: each.default for name, each in inspect.signature(knn_accuracy).parameters.items()
    }
    assert (defaults["k"], defaults["temperature"]) == (200, 0.1)


# Ridge regression.


def plain_ridge(train, labels, test, penalty):
    """As least squares of the rows and sqrt(λ n) I below them: no normal equations."""
    train, labels = wide(train, labels)
    (test,) = wide(test)
    mean, deviation = train.mean(0), train.std(0)
    deviation[deviation < 1e-6] = np.inf
    train, test = (train - mean) / deviation, (test - mean) / deviation
    targets = np.eye(CLASSES)[labels]
    n, d = train.shape
    weights, *_ = np.linalg.lstsq(
        np.vstack([train, math.sqrt(penalty * n) * np.eye(d)]),
        np.vstack([targets - targets.mean(0), np.zeros((d, CLASSES))]),
    )
    return (test @ weights + targets.mean(0)).argmax(1)


@pytest.mark.parametrize("penalty", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize(("n", "d"), [(60, 6), (30, 80)])
def test_ridge_is_regularised_least_squares(n, d, penalty):
    train, labels, test, test_labels = clusters(n=n, m=200, d=d, spread=2.0)
    scales = jnp.asarray(10.0 ** np.linspace(-2, 2, d), jnp.float32)
    train, test = (each * scales + scales for each in (train, test))
    train, test = train.at[:, 1].set(0.3), test.at[:, 1].multiply(1e3)
    expected = plain_ridge(train, labels, test, penalty)
    found = ridge_accuracy(train, labels, test, jnp.asarray(expected), CLASSES, penalty=penalty)
    assert float(found) >= 199 / 200, "one guess may be as good as another to rounding"
    found = ridge_accuracy(train, labels, test, test_labels, CLASSES, penalty=penalty)
    assert abs(float(found) - (expected == np.asarray(test_labels)).mean()) <= 1 / 200 + 1e-6
    other = plain_ridge(train, labels, test, 100 * penalty)
    assert (expected != other).mean() > 0.02, "the penalty matters here"


def test_ridge_has_a_bias():
    """Three of four images are of class 0 and the feature says nothing."""
    labels = jnp.array([0, 0, 0, 1] * 10)
    feature = jnp.tile(jnp.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0]), 5)[:, None]
    assert float(ridge_accuracy(feature, labels, feature, labels, 2)) == 0.75


# The linear probe.


def plain_optimum(train, labels, test, test_labels):
    """Loss on the test images of the least training loss, by Newton's method."""
    train, labels = wide(train, labels)
    test, test_labels = wide(test, test_labels)
    mean, deviation = train.mean(0), train.std(0)
    x, t = (np.c_[(each - mean) / deviation, np.ones(len(each))] for each in (train, test))
    targets = np.eye(CLASSES)[labels]
    weights = np.zeros((x.shape[1], CLASSES))

    def probabilities(x):
        logits = x @ weights
        grown = np.exp(logits - logits.max(1, keepdims=True))
        return grown / grown.sum(1, keepdims=True)

    for _ in range(20):
        p = probabilities(x)
        gradient = (x.T @ (p - targets)).ravel()
        curvature = np.einsum("nc,ck->nck", p, np.eye(CLASSES)) - np.einsum("nc,nk->nck", p, p)
        hessian = np.einsum("ni,nck,nj->icjk", x, curvature, x).reshape(weights.size, -1)
        step, *_ = np.linalg.lstsq(hessian, gradient, rcond=1e-10)
        weights -= step.reshape(weights.shape)
    assert np.abs(gradient).max() < 1e-6
    p = probabilities(t)
    loss = -np.log(p[np.arange(len(t)), test_labels]).mean()
    return loss, (p.argmax(1) == test_labels).mean(), (probabilities(x).argmax(1) == labels).mean()


@pytest.mark.parametrize("d", [2, 24])
def test_the_linear_probe_comes_near_the_optimum(d):
    """One learning rate for few and many dimensions, and for features of any scale."""
    train, labels, test, test_labels = clusters(n=512, m=512, d=d, spread=1.5)
    scales = jnp.asarray(10.0 ** np.linspace(-3, 3, d), jnp.float32)
    train, test = (each * scales + scales for each in (train, test))
    loss, accuracy, train_accuracy = plain_optimum(train, labels, test, test_labels)
    found = linear_probe(
        jax.random.key(1), train, labels, test, test_labels, CLASSES, batch_size=64
    )
    assert float(found.loss) == pytest.approx(loss, rel=0.02)
    assert float(found.accuracy) == pytest.approx(accuracy, abs=0.02)
    assert float(found.train_accuracy) == pytest.approx(train_accuracy, abs=0.02)
    assert loss < 0.9 * math.log(CLASSES)


def test_the_order_of_the_images_is_the_keys():
    data = clusters()
    first, second = (
        linear_probe(jax.random.key(seed), *data, CLASSES, epochs=2, batch_size=16)
        for seed in (0, 1)
    )
    assert float(first.loss) != float(second.loss)
    whole = [
        linear_probe(jax.random.key(seed), *data, CLASSES, epochs=2, batch_size=60)
        for seed in (0, 1)
    ]
    assert float(whole[0].loss) == pytest.approx(float(whole[1].loss), rel=1e-5)


def test_every_epoch_has_an_order_of_its_own():
    """With 33 of 60 images in a batch, 27 sit out: over epochs all are seen."""
    train, labels = jnp.eye(60), jnp.zeros(60, jnp.int32)
    train = jnp.concatenate([train, train])
    labels = jnp.concatenate([labels, labels + 1])
    found = linear_probe(
        jax.random.key(0), train, labels, train, labels, 2, epochs=1, batch_size=61
    )
    assert np.isfinite(found.loss)


def test_a_batch_of_more_images_than_there_are_is_refused():
    with pytest.raises(DataError, match="A batch of 61 cannot be drawn from 60"):
        linear_probe(jax.random.key(0), *clusters(), CLASSES, batch_size=61)


# Collapse.


def plain_statistics(features):
    (features,) = wide(features)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    singular = np.linalg.svd(features, compute_uv=False)
    share = singular / singular.sum() + 1e-7
    return FeatureStatistics(
        std=unit.std(0).mean() * math.sqrt(features.shape[1]),
        rank=math.exp(-(share * np.log(share)).sum()),
    )


def low_rank(rng, n=300, d=40):
    return 5 * rng.normal(size=(n, 3)) @ rng.normal(size=(3, d)) + 1e-3 * rng.normal(size=(n, d))


FEATURES = {
    "isotropic": lambda rng: rng.normal(size=(300, 40)),
    "wider than many": lambda rng: rng.normal(size=(20, 40)),
    "of three dimensions and noise": low_rank,
    "far from the centre": lambda rng: rng.normal(size=(300, 40)) + 3,
    "nearly one": lambda rng: 1 + 1e-3 * rng.normal(size=(300, 40)),
    "of many lengths": lambda rng: rng.normal(size=(300, 40)) * 10.0 ** rng.normal(size=(300, 1)),
}


@pytest.mark.parametrize("kind", FEATURES)
def test_statistics_are_those_of_the_papers(kind):
    features = jnp.asarray(FEATURES[kind](np.random.default_rng(0)), jnp.float32)
    found, expected = feature_statistics(features), plain_statistics(features)
    assert float(found.std) == pytest.approx(expected.std, rel=1e-3)
    assert float(found.rank) == pytest.approx(expected.rank, rel=1e-3)


def test_what_is_known_of_statistics():
    rng = np.random.default_rng(1)
    isotropic = feature_statistics(jnp.asarray(rng.normal(size=(2000, 50)), jnp.float32))
    assert float(isotropic.std) == pytest.approx(1, abs=0.01)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(90, 30)))
    assert float(feature_statistics(jnp.asarray(orthogonal, jnp.float32)).rank) == pytest.approx(
        30, rel=1e-4
    )
    assert float(feature_statistics(jnp.asarray(low_rank(rng), jnp.float32)).rank) < 3.1
    two = jnp.asarray(np.sign(rng.normal(size=(200, 1))) * np.ones(16), jnp.float32)
    assert float(feature_statistics(two).rank) == pytest.approx(1, abs=1e-3)
    assert float(feature_statistics(two).std) == pytest.approx(1, abs=0.02)


# On real images.


def test_pixels_of_cifar10_tell_classes_better_than_chance(real_data_dir):
    dataset = load("cifar10", real_data_dir).limit(1000)
    data = [
        jnp.asarray(part)
        for part in (
            dataset.train_images[:1000, ::4, ::4].reshape(1000, -1).astype(np.float32),
            dataset.train_labels[:1000],
            dataset.test_images[:500, ::4, ::4].reshape(500, -1).astype(np.float32),
            dataset.test_labels[:500],
        )
    ]
    bound = 0.1 + 5 * math.sqrt(0.1 * 0.9 / 500)
    assert float(knn_accuracy(*data, 10)) > bound
    assert float(ridge_accuracy(*data, 10)) > bound
    assert float(linear_probe(jax.random.key(0), *data, 10, epochs=5).accuracy) > bound
