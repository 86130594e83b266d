"""RandAugment against what Pillow does."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jaxnas.data import Augmentation, DataError, prepare
from jaxnas.data.augmenting.rand_augment import LARGEST, OPERATIONS, change, rand_augment

MAGNITUDE = 11  # of which no place falls between two pixels
STRENGTH = MAGNITUDE / LARGEST
HEIGHT, WIDTH = 17, 23


def image(channels=3):
    draws = np.random.default_rng(0)
    smooth = np.linspace(20, 200, HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels)
    return (smooth + draws.integers(0, 50, smooth.shape)).astype(np.uint8)


def moved(picture, *row):
    return picture.transform(picture.size, Image.Transform.AFFINE, row)


def by_pillow(name, picture, sign):
    """The operation, as torchvision has Pillow do it."""
    factor, shear = 1 + 0.9 * STRENGTH * sign, 0.3 * STRENGTH * sign
    turn = math.radians(30 * STRENGTH) * sign
    cosine, sine, x, y = math.cos(turn), math.sin(turn), WIDTH / 2, HEIGHT / 2
    middle = x - cosine * x + sine * y, y - sine * x - cosine * y
    far = [math.trunc(150 / 331 * side * STRENGTH * sign) for side in (WIDTH, HEIGHT)]
    return {
        "identity": lambda: picture,
        "shear_x": lambda: moved(picture, 1, shear, 0, 0, 1, 0),
        "shear_y": lambda: moved(picture, 1, 0, 0, shear, 1, 0),
        "translate_x": lambda: moved(picture, 1, 0, far[0], 0, 1, 0),
        "translate_y": lambda: moved(picture, 1, 0, 0, 0, 1, far[1]),
        "rotate": lambda: moved(picture, cosine, -sine, middle[0], sine, cosine, middle[1]),
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(factor),
        "colour": lambda: ImageEnhance.Color(picture).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(factor),
        "posterize": lambda: ImageOps.posterize(picture, 8 - round(4 * STRENGTH)),
        "solarize": lambda: ImageOps.solarize(picture, 255 * (1 - STRENGTH)),
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
    }[name]()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_pillow_s(channels):
    apply = jax.jit(change, static_argnums=2)
    pixels = image(channels)
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    for kind, name in enumerate(OPERATIONS):
        for sign in (1, -1):
            found = np.asarray(apply(pixels, kind, MAGNITUDE, float(sign)), int)
            expected = np.asarray(by_pillow(name, picture, sign), int).reshape(pixels.shape)
            # A level where a fraction falls to the other side; a pixel where a place does.
            apart = np.abs(found - expected)
            wrong = (apart > 1).mean() if kind <= 5 else apart.max() > 1
            assert wrong <= (0.01 if kind <= 5 else 0), (name, sign, apart.max())


@pytest.mark.slow
def test_a_flat_image_stays_flat():
    flat = np.full((1, 8, 8, 3), 77, np.uint8)
    for name in ("autocontrast", "equalize", "contrast", "colour", "sharpness"):
        kind = OPERATIONS.index(name)
        assert (np.asarray(change(flat[0], kind, 30, 1.0)) == 77).all(), name


def test_operations_are_drawn_for_each_image_on_its_own():
    images = np.stack([image()] * 200)
    augment = jax.jit(rand_augment, static_argnums=(2, 3))
    changed = np.asarray(augment(jax.random.key(0), images, 2, 9))
    assert changed.dtype == np.uint8
    assert len({each.tobytes() for each in changed}) > 100
    fewer = rand_augment(jax.random.key(0), images[:50], 0, 9)
    assert (np.asarray(fewer) == images[:50]).all()


@pytest.mark.slow
def test_it_stands_between_the_flip_and_the_normalisation():
    images, key = np.stack([image()] * 4), jax.random.key(0)
    plain = Augmentation(pad=0, flip=False)
    moments = np.zeros(3), np.full(3, 1 / 255)
    same = prepare(key, jnp.asarray(images), *moments, plain)
    changed = prepare(key, jnp.asarray(images), *moments, Augmentation(0, False, operations=2))
    np.testing.assert_allclose(same, images, atol=1e-3)
    assert not np.allclose(changed, images, atol=1)
    np.testing.assert_allclose(changed, np.round(changed), atol=1e-3)  # levels


def test_what_cannot_be_is_refused():
    key = jax.random.key(0)
    drawing = Augmentation(operations=2)
    with pytest.raises(DataError, match="Images of 2 channels have no colour"):
        prepare(key, np.zeros((1, 8, 8, 2), np.uint8), np.zeros(2), np.ones(2), drawing)
    with pytest.raises(DataError, match="magnitude is 31"):
        Augmentation(magnitude=31)
