"""Augmentation: every output is compared with what a brute force over its choices allows."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.data import Augmentation, DataError, augmentation

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
STD = np.array([0.25, 0.2, 0.3], np.float32)


# Operation by operation they would take longer to compile.
random_crop = jax.jit(augmentation.random_crop, static_argnums=2)
random_flip = jax.jit(augmentation.random_flip)
cutout = jax.jit(augmentation.cutout, static_argnums=2)
normalise = jax.jit(augmentation.normalise, static_argnums=3)
prepare = jax.jit(augmentation.prepare, static_argnums=4)


def some_images(count: int = 64, side: int = 12) -> jax.Array:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_every_crop_is_a_window_of_the_padded_image():
    images, pad = some_images(), 2
    crops = np.asarray(random_crop(jax.random.key(0), images, pad))
    assert crops.dtype == np.uint8
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    corners = set()
    for image, crop in zip(padded, crops, strict=True):
        matches = [
            (y, x)
            for y in range(2 * pad + 1)
            for x in range(2 * pad + 1)
            if np.array_equal(image[y : y + 12, x : x + 12], crop)
        ]
        assert len(matches) == 1
        corners.update(matches)
    assert len(corners) > 15, "64 draws of 25 corners leave few of them out"


def test_all_corners_are_equally_likely():
    # One pixel that is lit tells where the window was cut.
    images = jnp.zeros((9000, 3, 3, 1), jnp.uint8).at[:, 1, 1].set(1)
    crops = np.asarray(random_crop(jax.random.key(1), images, 1))[..., 0]
    np.testing.assert_allclose(crops.mean(0), np.full((3, 3), 1 / 9), atol=0.015)


def test_flip_mirrors_half_of_the_images():
    images = some_images(2000, 4)
    flipped = np.asarray(random_flip(jax.random.key(0), images))
    same = (flipped == images).all((1, 2, 3))
    mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
    assert flipped.dtype == np.uint8
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 0.05


@pytest.mark.parametrize("side", [1, 4, 5, 30])
def test_cutout_blanks_one_square_clipped_at_the_border(side: int):
    blanked = np.asarray(cutout(jax.random.key(0), jnp.ones((500, 10, 8, 2)), side)) == 0
    for image in blanked:
        assert (image[..., 0] == image[..., 1]).all()
        rows, columns = np.flatnonzero(image[..., 0].any(1)), np.flatnonzero(image[..., 0].any(0))
        assert image[..., 0].sum() == len(rows) * len(columns), "a rectangle without holes"
        for found, size in ((rows, 10), (columns, 8)):
            assert (np.diff(found) == 1).all()
            touches = found[0] == 0 or found[-1] == size - 1
            assert len(found) == side or (touches and min(side // 2, size) <= len(found) < side)


def test_cutout_centre_is_uniform_over_the_image():
    hits = np.asarray(cutout(jax.random.key(0), jnp.ones((8000, 4, 4, 1)), 1)) == 0
    np.testing.assert_allclose(hits.mean(0)[..., 0], np.full((4, 4), 1 / 16), atol=0.012)


def test_normalise_maps_mean_to_zero_and_one_std_to_one():
    images = jnp.full((1, 2, 2, 3), 255, jnp.uint8)
    expected = np.broadcast_to((1 - MEAN) / STD, (1, 2, 2, 3))
    np.testing.assert_allclose(normalise(images, MEAN, STD), expected, rtol=1e-5)
    assert normalise(images, MEAN, STD, jnp.bfloat16).dtype == jnp.bfloat16


def test_normalise_refuses_floats():
    with pytest.raises(DataError, match="are float32: give the uint8 images"):
        normalise(jnp.zeros((1, 2, 2, 3)), MEAN, STD)


def test_prepare_pads_with_black_and_cuts_out_with_the_mean():
    images = jnp.full((200, 8, 8, 3), 255, jnp.uint8)
    batch = np.asarray(prepare(jax.random.key(0), images, MEAN, STD, Augmentation(2, True, 4)))
    white, black = (1 - MEAN) / STD, -MEAN / STD
    kinds = [np.isclose(batch, kind, atol=1e-5).all(-1) for kind in (white, black, np.zeros(3))]
    assert (np.sum(kinds, axis=0) == 1).all()
    assert all(kind.any() for kind in kinds)
    assert (kinds[2].sum((1, 2)) >= 4).all()


def test_prepare_without_augmentation_is_normalise():
    images = some_images()
    batch = prepare(jax.random.key(0), images, MEAN, STD, Augmentation(0, False, 0))
    np.testing.assert_array_equal(batch, normalise(images, MEAN, STD))


def test_prepare_is_a_pure_function_of_the_key_and_compiles_once():
    images = some_images()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(key: jax.Array, images: jax.Array) -> jax.Array:
        return augmentation.prepare(key, images, MEAN, STD, Augmentation(cutout=4))

    first, again = step(jax.random.key(0), images), step(jax.random.key(0), images)
    other = step(jax.random.key(1), images)
    np.testing.assert_array_equal(first, again)
    assert first.shape == images.shape
    assert first.dtype == jnp.float32
    assert not np.array_equal(first, other)
    eager = augmentation.prepare(jax.random.key(0), images, MEAN, STD, Augmentation(cutout=4))
    np.testing.assert_allclose(first, eager, rtol=1e-4, atol=1e-5)


def test_prepare_vmaps_over_keys():
    images, keys = some_images(8), jax.random.split(jax.random.key(0), 3)

    @jax.jit
    def one(key: jax.Array) -> jax.Array:
        return augmentation.prepare(key, images, MEAN, STD, Augmentation(cutout=4))

    together = jax.vmap(one)(keys)
    for key, batch in zip(keys, together, strict=True):
        np.testing.assert_allclose(batch, one(key), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fields", [{"pad": -1}, {"cutout": 1.5}, {"pad": True}])
def test_augmentation_refuses_what_is_no_number_of_pixels(fields):
    with pytest.raises(DataError, match="give a whole number, 0 or more"):
        Augmentation(**fields)


def test_default_augmentation_follows_the_side():
    assert Augmentation.for_side(32) == Augmentation(4, True, 0)
    assert Augmentation.for_side(64) == Augmentation(8, True, 0)
