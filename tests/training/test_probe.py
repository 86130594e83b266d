"""Judges of representations against the same formulas in NumPy, float64."""

import inspect
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.data import DataError, epoch_permutation, load
from jaxnas.randomness import stream
from jaxnas.training import (
    FeatureStatistics,
    Probe,
    feature_statistics,
    knn_accuracy,
    linear_probe,
    ridge_accuracy,
)

CLASSES = 4


def clusters(seed=0, n=60, m=400, d=6, spread=1.0):
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


def few_epochs(*data, seed=0):
    """All tests share its program: three epochs of three batches, in which 12 of 60 sit out."""
    return linear_probe(jax.random.key(seed), *data, CLASSES, epochs=3, batch_size=16)


def accuracy_of(found):
    return float(found.accuracy if isinstance(found, Probe) else found)


JUDGES = {
    "knn": lambda *data: knn_accuracy(*data, CLASSES, k=5, chunk=150),
    "ridge": lambda *data: ridge_accuracy(*data, CLASSES),
    "linear": few_epochs,
    "statistics": lambda *data: feature_statistics(data[0]),
}
every_judge = pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)


# What holds of all of them.


@pytest.mark.quick_cases(1)
@every_judge
def test_seeds_side_by_side_are_judged_each_for_itself(judge):
    each = [clusters(seed) for seed in (0, 1)]
    found = jax.vmap(judge)(*(jnp.stack(parts) for parts in zip(*each, strict=True)))
    for index in (0, 1):
        alone = judge(*each[index])
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
            assert (one.shape, one.dtype) == ((2, *other.shape), jnp.float32)
            np.testing.assert_allclose(one[index], other, rtol=1e-4, atol=1e-5)
    assert all((leaf[0] != leaf[1]).any() for leaf in jax.tree.leaves(found)), "the seeds differ"


@every_judge
def test_a_judgement_is_the_same_bits_every_time(judge):
    data = clusters()
    first, again = judge(*data), judge(*data)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


@every_judge
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_features_that_have_all_become_one_are_judged_as_chance(judge, value):
    train, labels, test, test_labels = clusters()
    found = judge(jnp.full_like(train, value), labels, jnp.full_like(test, value), test_labels)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    if isinstance(found, FeatureStatistics):
        assert float(found.std) < 1e-5
        assert float(found.rank) == pytest.approx(1, abs=1e-3)
        return
    accuracy = accuracy_of(found)
    shares = np.bincount(test_labels, minlength=CLASSES) / len(test_labels)
    assert np.isclose(shares, accuracy).any(), "all are taken for one class"
    if judge is not JUDGES["knn"]:
        common = np.bincount(labels).argmax()
        assert accuracy == pytest.approx(shares[common]), "the commonest"


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("judge", ["knn", "ridge", "linear"])
@pytest.mark.parametrize("alike", [True, False])
def test_features_on_one_line_of_more_dimensions_than_images_are_no_trouble(judge, alike):
    """The side of 0 on which an image lies is its class."""
    rng = np.random.default_rng(0)
    line = np.ones(300) if alike else rng.normal(size=300)
    data = []
    for count in (60, 400):
        place = rng.normal(size=count)
        data += [jnp.asarray(np.outer(place, line), jnp.float32), jnp.asarray(place > 0, jnp.int32)]
    assert accuracy_of(JUDGES[judge](*data)) > 0.9


@pytest.mark.parametrize("judge", ["knn", "ridge", "linear"])
def test_labels_drawn_by_lot_are_guessed_by_chance(judge):
    """Each guess is right with probability 1/4; 5 deviations either side."""
    train, labels, test, test_labels = clusters()
    rng = np.random.default_rng(5)
    lots = [jnp.asarray(rng.permutation(each)) for each in (labels, test_labels)]
    found = accuracy_of(JUDGES[judge](train, lots[0], test, lots[1]))
    bound = 5 * math.sqrt(1 / CLASSES * (1 - 1 / CLASSES) / 400)
    assert abs(found - 1 / CLASSES) < bound
    assert accuracy_of(JUDGES[judge](train, labels, test, test_labels)) > 1 / CLASSES + bound


@pytest.mark.parametrize("judge", ["knn", "ridge", "linear"])
def test_classes_far_apart_are_told_without_an_error(judge):
    found = JUDGES[judge](*clusters(spread=0.05))
    assert accuracy_of(found) == 1.0
    if judge == "linear":
        assert float(found.train_accuracy) == 1.0


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


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (7, 5.0)])
def test_neighbours_vote_as_in_a_plain_loop(k, temperature):
    train, labels, test, _ = clusters()
    expected = plain_guesses(train, labels, test, k, temperature)
    found = guesses(train, labels, test, k=k, temperature=temperature)
    np.testing.assert_array_equal(found, np.eye(CLASSES)[expected])
    # The cases are told apart: other neighbours or other weights make other guesses.
    others = [plain_guesses(train, labels, test, *each) for each in [(3, 0.1), (60, 5.0)]]
    assert all((expected != other).any() for other in others)


@pytest.mark.parametrize("chunk", [7, 1000])
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


@pytest.mark.parametrize(("n", "d"), [(60, 6), (30, 80)])
def test_ridge_is_regularised_least_squares(n, d):
    train, labels, test, test_labels = clusters(n=n, d=d, spread=2.0)
    scales = jnp.asarray(10.0 ** np.linspace(-2, 2, d), jnp.float32)
    train, test = (each * scales + scales for each in (train, test))
    train, test = train.at[:, 1].set(0.3), test.at[:, 1].multiply(1e3)
    penalties = [1e-2, 1.0, 100.0]
    expected = {penalty: plain_ridge(train, labels, test, penalty) for penalty in penalties}
    for penalty, guesses in expected.items():
        found = [
            float(ridge_accuracy(train, labels, test, truth, CLASSES, penalty=penalty))
            for truth in (jnp.asarray(guesses), test_labels)
        ]
        # One guess of 400 may be as good as another to rounding.
        assert found[0] >= 399 / 400
        assert found[1] == pytest.approx((guesses == np.asarray(test_labels)).mean(), abs=1.1 / 400)
    for one, other in itertools.pairwise(penalties):
        assert (expected[one] != expected[other]).mean() > 0.02, "the penalty matters here"


def test_ridge_has_a_bias():
    """Three of four images are of class 0 and the feature says nothing."""
    labels = jnp.array([0, 0, 0, 1] * 10)
    feature = jnp.tile(jnp.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0]), 5)[:, None]
    assert float(ridge_accuracy(feature, labels, feature, labels, 2)) == 0.75


# The linear probe.


def softmax(logits):
    grown = np.exp(logits - logits.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def affine(train, test):
    """Standardised, divided by sqrt(d), and a column of ones for the bias."""
    train, test = wide(train)[0], wide(test)[0]
    size = math.sqrt(train.shape[1])
    return (
        np.c_[(each - train.mean(0)) / train.std(0) / size, np.ones(len(each))]
        for each in (train, test)
    )


def plain_scores(weights, x, labels, t, test_labels):
    p = softmax(t @ weights)
    return {
        "accuracy": (p.argmax(1) == np.asarray(test_labels)).mean(),
        "loss": -np.log(p[np.arange(len(t)), test_labels]).mean(),
        "train_accuracy": ((x @ weights).argmax(1) == np.asarray(labels)).mean(),
    }


def plain_optimum(train, labels, test, test_labels):
    """Scores of the weights of the least training loss, by Newton's method."""
    x, t = affine(train, test)
    targets = np.eye(CLASSES)[labels]
    weights = np.zeros((x.shape[1], CLASSES))
    for _ in range(12):
        p = softmax(x @ weights)
        gradient = (x.T @ (p - targets)).ravel()
        curvature = np.einsum("nc,ck->nck", p, np.eye(CLASSES)) - np.einsum("nc,nk->nck", p, p)
        hessian = np.einsum("ni,nck,nj->icjk", x, curvature, x, optimize=True)
        step, *_ = np.linalg.lstsq(hessian.reshape(weights.size, -1), gradient, rcond=1e-10)
        weights -= step.reshape(weights.shape)
    assert np.abs(gradient).max() < 1e-6
    return plain_scores(weights, x, labels, t, test_labels)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("d", [2, 24])
def test_the_linear_probe_comes_near_the_optimum(d):
    """One learning rate for few and many dimensions, and for features of any scale."""
    train, labels, test, test_labels = clusters(n=512, d=d, spread=0.8 * math.sqrt(d))
    scales = jnp.asarray(10.0 ** np.linspace(-3, 3, d), jnp.float32)
    train, test = (each * scales + scales for each in (train, test))
    expected = plain_optimum(train, labels, test, test_labels)
    found = linear_probe(
        jax.random.key(1), train, labels, test, test_labels, CLASSES, batch_size=64
    )
    assert float(found.loss) == pytest.approx(expected["loss"], rel=0.01)
    assert float(found.accuracy) == pytest.approx(expected["accuracy"], abs=4.5 / 400)
    assert float(found.train_accuracy) == pytest.approx(expected["train_accuracy"], abs=0.01)
    assert expected["loss"] < 0.9 * math.log(CLASSES), "there is something to learn"


def test_its_steps_are_nesterovs_by_hand_in_an_order_of_each_epoch():
    train, labels, test, test_labels = clusters()
    key = jax.random.key(3)
    x, t = affine(train, test)
    targets = np.eye(CLASSES)[labels]
    weights, memory = np.zeros((7, CLASSES)), np.zeros((7, CLASSES))
    for step in range(9):
        epoch_key = jax.random.fold_in(stream(key, "order"), step // 3)
        rows = np.asarray(epoch_permutation(epoch_key, 60, 16)[step % 3])
        gradient = x[rows].T @ (softmax(x[rows] @ weights) - targets[rows]) / 16
        memory = 0.9 * memory + gradient
        rate = 10 * (1 + math.cos(math.pi * step / 9)) / 2
        weights -= rate * (gradient + 0.9 * memory)
    expected = plain_scores(weights, x, labels, t, test_labels)
    found = few_epochs(train, labels, test, test_labels, seed=3)
    for name, value in expected.items():
        assert float(getattr(found, name)) == pytest.approx(value, rel=1e-3), name
    other = few_epochs(train, labels, test, test_labels, seed=4)
    assert float(other.loss) != pytest.approx(expected["loss"], rel=1e-3)


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_classifier_is_one_of_features_as_they_are(has_bias):
    train, labels, test, test_labels = clusters()
    shifted, test = 30 * train - 200, 30 * test - 200
    data = shifted, labels, test, test_labels
    found = linear_probe(
        jax.random.key(0), *data, CLASSES, epochs=3, batch_size=16, has_bias=has_bias
    )
    assert ("bias" in found.classifier) == has_bias
    kernel, bias = wide(found.classifier["kernel"], found.classifier.get("bias", 0.0))
    logits = np.asarray(test, np.float64) @ kernel + bias
    right = logits.argmax(1) == np.asarray(test_labels)
    assert float(found.accuracy) == pytest.approx(right.mean())
    logp = np.log(softmax(logits))[np.arange(len(logits)), test_labels]
    assert float(found.loss) == pytest.approx(-logp.mean(), rel=1e-3)


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
