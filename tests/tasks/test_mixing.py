"""Images and targets that are mixed in pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.data import Augmentation
from jaxnas.tasks import supervised
from jaxnas.tasks.mixing import cutmix, mix, mixup

COUNT, SIDES = 6, (8, 10)


def batch():
    """Images of one colour each, their number, and targets of a class each."""
    numbers = jnp.arange(COUNT, dtype=jnp.float32)
    return jnp.broadcast_to(numbers[:, None, None, None], (COUNT, *SIDES, 3)), jnp.eye(COUNT)


@pytest.mark.parametrize("seed", range(3))
def test_mixup_blends_images_and_targets_by_one_share(seed):
    images, targets = jax.jit(mixup, static_argnums=3)(jax.random.key(seed), *batch(), 1.0)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    others = np.asarray(targets - jnp.diag(jnp.diag(targets))).argmax(1)
    own = np.diag(targets)
    mixed = own < 1  # an image may be its own partner
    assert len(set(np.round(own[mixed], 5))) == 1
    expected = np.where(mixed, own * np.arange(COUNT) + (1 - own) * others, np.arange(COUNT))
    np.testing.assert_allclose(images[:, 0, 0, 0], expected, rtol=1e-5)
    assert (images == images[:, :1, :1, :1]).all()


@pytest.mark.parametrize("seed", range(6))
def test_cutmix_pastes_a_box_and_counts_what_is_seen(seed):
    images, targets = jax.jit(cutmix, static_argnums=3)(jax.random.key(seed), *batch(), 1.0)
    for number in range(COUNT):
        image, target = np.asarray(images[number]), np.asarray(targets[number])
        foreign = image[..., 0] != number
        assert target[number] == pytest.approx(1 - foreign.mean(), abs=1e-6)
        rows, columns = np.flatnonzero(foreign.any(1)), np.flatnonzero(foreign.any(0))
        assert foreign.sum() == len(rows) * len(columns), "a box"
        if foreign.any():
            assert target[int(image[foreign][0, 0])] == pytest.approx(foreign.mean(), abs=1e-6)


@pytest.mark.slow
def test_shares_are_uniform_at_alpha_1():
    keys = jax.random.split(jax.random.key(0), 2000)
    images = jnp.zeros((2, 32, 32, 1))
    own = jax.vmap(lambda key: mixup(key, images, jnp.eye(2), 1.0)[1][0, 0])(keys)
    own = own[own < 1]  # half of the pairs are an image with itself
    np.testing.assert_allclose(np.quantile(own, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05)


@pytest.mark.slow
def test_of_both_each_batch_has_one():
    images, targets = batch()
    kinds = set()
    for seed in range(12):
        mixed, _ = mix(jax.random.key(seed), images, targets, 0.5, 1.0)
        kinds.add(bool((mixed == jnp.round(mixed)).all()))  # pasted pixels are whole
    assert kinds == {True, False}
    key = jax.random.key(3)
    for alphas, alone in (((0.5, 0.0), mixup), ((0.0, 0.5), cutmix)):
        found, expected = mix(key, images, targets, *alphas), alone(key, images, targets, 0.5)
        assert all(bool((a == b).all()) for a, b in zip(found, expected, strict=True))


def test_the_task_learns_shares_and_is_scored_by_classes():
    settings = (8, np.zeros(3), np.ones(3), Augmentation(pad=0, flip=False))
    plain, mixed = supervised(*settings), supervised(*settings, label_smoothing=0.1, cutmix=1.0)
    images = jax.random.randint(jax.random.key(0), (8, 8, 8, 3), 0, 256).astype(jnp.uint8)
    labels = jnp.arange(8)
    inputs, targets = mixed.prepare(jax.random.key(1), images, labels)
    assert targets.shape == (8, 8)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    logits = jax.random.normal(jax.random.key(2), (8, 8))
    expected = optax.softmax_cross_entropy(logits, 0.9 * targets + 0.1 / 8).mean()
    np.testing.assert_allclose(mixed.loss(logits, targets), expected, rtol=1e-6)
    assert (mixed.judge(jax.random.key(1), images, labels)[1] == labels).all()
    assert (plain.prepare(jax.random.key(1), images, labels)[1] == labels).all()
    whole, _ = plain.prepare(jax.random.key(1), images, labels)
    assert ((inputs == whole).all((1, 2, 3)) == (targets.max(1) == 1)).all()
