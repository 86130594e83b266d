"""Views: each operation against formulas in NumPy or colorsys, each draw against its law."""

import colorsys
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.data import DataError, Views, normalise, view_operations, views

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
STD = np.array([0.25, 0.2, 0.3], np.float32)
WHOLE = {"crop_area": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
NOTHING = Views(**WHOLE, flip=False, jitter=0, grey=0)
EVERYTHING = Views(blur=0.5, solarize=0.3)
LUMA = np.array([0.299, 0.587, 0.114])


# Operation by operation they would take longer to compile.
crop_boxes = jax.jit(view_operations.crop_boxes, static_argnums=(1, 2, 3, 4))
random_resized_crop = jax.jit(view_operations.random_resized_crop, static_argnums=(2, 3))
colour_jitter = jax.jit(view_operations.colour_jitter, static_argnums=(2, 3, 4, 5))
turn_hue = jax.jit(view_operations.turn_hue)
random_grey = jax.jit(view_operations.random_grey)
random_blur = jax.jit(view_operations.random_blur, static_argnums=3)
random_solarize = jax.jit(view_operations.random_solarize)
view = jax.jit(views.view, static_argnums=(4, 5))


def some_images(count: int = 16, side: int = 8, channels: int = 3) -> jax.Array:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8))


def some_floats(count: int = 16, side: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).random((count, side, side, channels), np.float32)


def distance_from_uniform(values: np.ndarray, low: float, high: float) -> float:
    """The Kolmogorov-Smirnov statistic times sqrt(n): above 1.95 with a probability of 0.001."""
    ranks = (np.sort(values) - low) / (high - low)
    n = len(ranks)
    steps = np.arange(n + 1) / n
    return math.sqrt(n) * max((steps[1:] - ranks).max(), (ranks - steps[:-1]).max())


def loop_boxes(rng: np.random.Generator, n: int, height: int, width: int, area, ratio):
    """The algorithm in torchvision's documentation of RandomResizedCrop, box by box."""
    boxes = []
    for _ in range(n):
        for _ in range(10):
            pixels = height * width * rng.uniform(*area)
            shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
            if 0 < w <= width and 0 < h <= height:
                boxes.append((rng.integers(height - h + 1), rng.integers(width - w + 1), h, w))
                break
        else:
            w, h = width, height
            if width / height < ratio[0]:
                h = round(width / ratio[0])
            elif width / height > ratio[1]:
                w = round(height * ratio[1])
            boxes.append(((height - h) // 2, (width - w) // 2, h, w))
    return np.array(boxes)


@pytest.mark.parametrize(
    ("size", "area", "ratio"),
    [
        ((32, 32), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((16, 24), (0.2, 1.0), (3 / 4, 4 / 3)),
        ((12, 40), (0.9, 1.0), (3 / 4, 4 / 3)),  # never fits: always the fallback
        ((40, 12), (0.9, 1.0), (3 / 4, 4 / 3)),
    ],
)
def test_boxes_have_the_distribution_of_the_loop(size, area, ratio):
    n = 4000
    boxes = np.asarray(crop_boxes(jax.random.key(0), n, size, area, ratio))
    expected = loop_boxes(np.random.default_rng(0), n, *size, area, ratio)
    assert boxes.dtype == np.int32
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= size).all()
    # Two samples of one law differ in no empirical distribution by more than this but once in 1000.
    bound = 1.95 * math.sqrt(2 / n)
    features = [lambda b, i=i: b[:, i] for i in range(4)]
    features += [lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2]]
    for feature in features:
        ours, theirs = np.sort(feature(boxes)), np.sort(feature(expected))
        at = np.union1d(ours, theirs)
        gap = np.searchsorted(ours, at, "right") - np.searchsorted(theirs, at, "right")
        assert np.abs(gap).max() / n < bound


def test_area_and_log_ratio_of_a_box_are_uniform_before_rounding():
    # On a large image rounding is small, and where every box fits nothing is drawn again.
    area, ratio = (0.1, 0.5), (0.5, 2.0)
    boxes = np.asarray(crop_boxes(jax.random.key(1), 4000, (4096, 4096), area, ratio))
    _, _, heights, widths = boxes.T
    assert distance_from_uniform(heights * widths / 4096**2, *area) < 1.95
    assert distance_from_uniform(np.log(widths / heights), -math.log(2), math.log(2)) < 1.95


def test_the_place_of_a_box_is_uniform():
    boxes = np.asarray(crop_boxes(jax.random.key(2), 9000, (8, 8), (0.5, 0.5), (1.0, 1.0)))
    assert (boxes[:, 2:] == 6).all(), "8 * sqrt(1/2), rounded"
    counts = np.histogram2d(boxes[:, 0], boxes[:, 1], bins=[np.arange(4)] * 2)[0]
    np.testing.assert_allclose(counts / 9000, np.full((3, 3), 1 / 9), atol=0.015)


def bilinear(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Each pixel of the result, one by one, from the four of the box around its centre."""
    top, left, box_height, box_width = box
    cut = image[top : top + box_height, left : left + box_width].astype(np.float64)
    height, width, channels = image.shape
    result = np.zeros((height, width, channels))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * box_height / height - 0.5, 0), box_height - 1)
            u = min(max((x + 0.5) * box_width / width - 0.5, 0), box_width - 1)
            y0, x0 = int(v), int(u)
            y1, x1 = min(y0 + 1, box_height - 1), min(x0 + 1, box_width - 1)
            upper = cut[y0, x0] * (1 - u + x0) + cut[y0, x1] * (u - x0)
            lower = cut[y1, x0] * (1 - u + x0) + cut[y1, x1] * (u - x0)
            result[y, x] = upper * (1 - v + y0) + lower * (v - y0)
    return result


@pytest.mark.parametrize("shape", [(12, 9, 9, 3), (12, 6, 10, 1)])
def test_crop_is_the_box_resized(shape):
    images = np.random.default_rng(0).random(shape, np.float32)
    key, area, ratio = jax.random.key(3), (0.08, 1.0), (3 / 4, 4 / 3)
    boxes = np.asarray(crop_boxes(key, shape[0], shape[1:3], area, ratio))
    crops = random_resized_crop(key, images, area, ratio)
    for image, box, crop in zip(images, boxes, crops, strict=True):
        np.testing.assert_allclose(crop, bilinear(image, box), atol=2e-6)


def test_a_full_crop_is_the_image_itself():
    images = jnp.asarray(some_floats())
    whole = (1.0, 1.0)
    crops = random_resized_crop(jax.random.key(0), images, whole, whole)
    np.testing.assert_array_equal(crops, images)


def test_hue_turns_as_in_colorsys():
    rng = np.random.default_rng(0)
    pixels = rng.random((3000, 3), np.float32)
    pixels[:500] = np.round(pixels[:500] * 2) / 2  # ties between channels, grey, black and white
    turns = rng.uniform(-0.5, 0.5, 3000).astype(np.float32)
    expected = []
    for pixel, turn in zip(pixels.tolist(), turns.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected.append(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
    turned = turn_hue(jnp.asarray(pixels), jnp.asarray(turns))
    np.testing.assert_allclose(turned, np.array(expected), atol=5e-6)


def jittered(images, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, seed=0):
    return np.asarray(
        colour_jitter(
            jax.random.key(seed), jnp.asarray(images), brightness, contrast, saturation, hue
        )
    )


ANCHORS = {
    "brightness": lambda x: np.zeros_like(x),
    "contrast": lambda x: np.broadcast_to((x @ LUMA).mean((1, 2))[:, None, None, None], x.shape),
    "saturation": lambda x: np.broadcast_to((x @ LUMA)[..., None], x.shape),
}


@pytest.mark.parametrize("name", ANCHORS)
def test_each_blend_is_its_formula_with_a_uniform_factor(name: str):
    strength = 0.6
    # Values around one half are not clipped, so the factor can be solved for.
    images = 0.5 + 0.2 * (some_floats(2000, 4) - 0.5)
    changed, anchor = jittered(images, **{name: strength}), ANCHORS[name](images)
    away = images - anchor
    factors = ((changed - anchor) * away).sum((1, 2, 3)) / (away**2).sum((1, 2, 3))
    expected = factors[:, None, None, None] * away + anchor
    np.testing.assert_allclose(changed, expected, atol=1e-5)
    assert distance_from_uniform(factors, 1 - strength, 1 + strength) < 1.95


def test_factors_stay_positive_and_results_in_range():
    images = some_floats(1000, 2)
    changed = jittered(images, brightness=1.5)
    factors = changed.max((1, 2, 3)) / images.max((1, 2, 3))
    assert factors.min() >= 0
    assert changed.max() == 1, "factors up to 2.5 are clipped"
    # Of the factors in 0..2.5, those below 0.5 are a fifth: four standard deviations are 0.051.
    assert abs((factors < 0.5).mean() - 0.2) < 0.051


def test_hue_is_uniform_and_two_sided():
    red = np.broadcast_to(np.float32([0.8, 0.2, 0.2]), (2000, 1, 1, 3))
    changed = jittered(red, hue=0.25)[:, 0, 0]
    hues = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in changed.tolist()])
    assert distance_from_uniform((hues + 0.5) % 1 - 0.5, -0.25, 0.25) < 1.95


def hues_turned(images: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """colorsys's hue, turned by one share of the circle for each image."""
    result = np.empty_like(images)
    for image, turned, turn in zip(images, result, turns, strict=True):
        for place in np.ndindex(image.shape[:2]):
            hue, saturation, value = colorsys.rgb_to_hsv(*image[place])
            turned[place] = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    return result


def test_all_24_orders_are_equally_likely_for_each_image():
    # One image many times. The draws are read from the key; which order was taken is not, but
    # only some orders lead to the result, and they share the credit for it.
    count, key = 1500, jax.random.key(0)
    image = np.array([[0.9, 0.3, 0.1], [0.2, 0.6, 0.4]]).reshape(1, 1, 2, 3)
    images = np.broadcast_to(image, (count, 1, 2, 3))
    changed = np.asarray(colour_jitter(key, jnp.asarray(images, jnp.float32), 1, 1, 1, 0.3))
    draws = np.asarray(jax.random.uniform(key, (count, 6)), np.float64)
    factors, turns = 2 * draws[:, :3, None, None, None], 0.6 * draws[:, 3] - 0.3
    matches = []
    for order in itertools.permutations([*ANCHORS, "hue"]):
        x = images
        for name in order:
            if name == "hue":
                x = hues_turned(x, turns)
            else:
                factor, anchor = factors[:, list(ANCHORS).index(name)], ANCHORS[name](x)
                x = np.clip(factor * x + (1 - factor) * anchor, 0, 1)
        matches.append(np.isclose(x, changed, atol=2e-5).all((1, 2, 3)))
    found = np.array(matches)
    assert found.any(0).all(), "one of the 24 orders gives what was computed"
    assert (found.sum(0) == 1).mean() > 0.25, "often no other order gives the same"
    shares = (found / found.sum(0)).mean(1)
    np.testing.assert_allclose(shares, np.full(24, 1 / 24), atol=4 * math.sqrt(1 / 24 / count))


def test_grey_is_the_luma_in_every_channel():
    images = some_floats()
    grey = random_grey(jax.random.key(0), jnp.asarray(images), 1.0)
    np.testing.assert_allclose(grey, ANCHORS["saturation"](images), atol=1e-6)


@pytest.mark.parametrize("side", [7, 60])
def test_blur_is_a_convolution_with_a_gaussian(side: int):
    images, sigma = some_floats(3, side), 1.3
    radius = {7: 1, 60: 3}[side]
    distance = np.arange(-radius, radius + 1)
    square = np.exp(-(distance[:, None] ** 2 + distance[None] ** 2) / (2 * sigma**2))
    square /= square.sum()
    border = ((0, 0), (radius, radius), (radius, radius), (0, 0))
    padded = np.pad(images, border, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, square.shape, (1, 2))
    expected = (windows * square).sum((-2, -1))
    blurred = random_blur(jax.random.key(0), jnp.asarray(images), 1.0, (sigma, sigma))
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_blur_keeps_constants_and_draws_its_sigma():
    constant = jnp.full((4, 6, 6, 3), 0.7)
    blurred = random_blur(jax.random.key(0), constant, 1.0, (0.1, 2.0))
    np.testing.assert_allclose(blurred, constant, atol=1e-6)
    # A lit column's neighbour over itself is exp(-1 / (2 sigma^2)).
    lines = jnp.zeros((2000, 3, 5, 1)).at[:, :, 2].set(1)
    blurred = np.asarray(random_blur(jax.random.key(0), lines, 1.0, (0.5, 2.0)))[:, 1, :, 0]
    sigmas = np.sqrt(-0.5 / np.log(blurred[:, 1] / blurred[:, 2]))
    assert distance_from_uniform(sigmas, 0.5, 2.0) < 1.95


def test_solarize_inverts_the_levels_from_128():
    levels = np.arange(256).reshape(1, 16, 16, 1)
    images = jnp.asarray(levels / 255, jnp.float32)
    solarized = np.asarray(random_solarize(jax.random.key(0), images, 1.0)) * 255
    np.testing.assert_allclose(solarized, np.where(levels < 128, levels, 255 - levels), atol=1e-4)


OPERATIONS = {
    "jitter": lambda key, x, p: colour_jitter(key, x, 0.4, 0.4, 0.4, 0.1, p),
    "grey": random_grey,
    "blur": lambda key, x, p: random_blur(key, x, p, (1.0, 2.0)),
    "solarize": random_solarize,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_probability_is_the_share_of_images_changed(name: str):
    images = jnp.asarray(some_floats(1000, 4))

    def changes(probability: jax.Array) -> jax.Array:
        changed = OPERATIONS[name](jax.random.key(0), images, probability)
        return (changed != images).any((1, 2, 3))

    assert not changes(jnp.float32(0)).any()
    assert changes(jnp.float32(1)).all()
    assert abs(changes(jnp.float32(0.5)).mean() - 0.5) < 4 * 0.5 / math.sqrt(1000)


def test_the_view_that_changes_nothing_is_normalise():
    images = some_images()
    plain = view(jax.random.key(0), images, MEAN, STD, NOTHING)
    np.testing.assert_allclose(plain, normalise(images, MEAN, STD), atol=1e-5)
    half = view(jax.random.key(0), images, MEAN, STD, NOTHING, jnp.bfloat16)
    assert half.dtype == jnp.bfloat16


def test_flip_mirrors_half_of_the_images():
    images = some_images(1000, 4)
    flipping = Views(**WHOLE, jitter=0, grey=0)
    zeros, ones = np.zeros(3), np.ones(3)
    flipped = np.asarray(view(jax.random.key(0), images, zeros, ones, flipping))
    plain = np.asarray(images) / 255
    same, mirrored = (
        np.isclose(flipped, each, atol=1e-6).all((1, 2, 3)) for each in (plain, plain[:, :, ::-1])
    )
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / math.sqrt(1000)


def test_a_view_is_a_pure_function_of_key_and_place():
    images = some_images()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def draw(key: jax.Array, images: jax.Array) -> jax.Array:
        return views.view(key, images, MEAN, STD, EVERYTHING)

    first = np.asarray(draw(jax.random.key(0), images))
    assert first.shape == images.shape
    assert first.dtype == jnp.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, draw(jax.random.key(0), images))
    other = np.asarray(draw(jax.random.key(1), images))
    assert (first != other).any((1, 2, 3)).all()
    # The other images of the batch make no difference: neither what they are nor, but for the
    # rounding of another program, how many.
    changed = np.asarray(draw(jax.random.key(0), images.at[1:].set(0)))
    np.testing.assert_array_equal(changed[0], first[0])
    few = view(jax.random.key(0), images[:3], MEAN, STD, EVERYTHING)
    np.testing.assert_allclose(few, first[:3], atol=2e-4)


@pytest.mark.slow
def test_two_views_are_the_views_of_two_keys_and_vmap():
    images, keys = some_images(), jax.random.split(jax.random.key(5), 2)
    draw = jax.jit(jax.vmap(lambda key: views.two_views(key, images, MEAN, STD, EVERYTHING)))
    pairs = np.asarray(draw(keys))
    assert pairs.shape == (2, 32, 8, 8, 3)
    for key, pair in zip(keys, pairs, strict=True):
        first, second = np.split(pair, 2)
        assert (first != second).any((1, 2, 3)).all()
        for half, each in zip((first, second), jax.random.split(key), strict=True):
            one = view(each, images, MEAN, STD, EVERYTHING)
            np.testing.assert_allclose(half, one, atol=2e-4)


@pytest.mark.slow
def test_one_channel_has_brightness_and_contrast_but_no_colour():
    images = some_floats(8, 4, 1)
    for changed in (
        jittered(images, saturation=0.9, hue=0.5),
        random_grey(jax.random.key(0), jnp.asarray(images), 1.0),
    ):
        np.testing.assert_array_equal(changed, images)
    assert (jittered(images, brightness=0.5) != images).any((1, 2, 3)).all()
    assert (jittered(images, contrast=0.5) != images).any((1, 2, 3)).all()
    digits = view(jax.random.key(0), some_images(4, 8, 1), [0.3], [0.4], EVERYTHING)
    assert digits.shape == (4, 8, 8, 1)
    assert np.isfinite(digits).all()


def test_colour_of_other_channel_counts_is_refused():
    images = jnp.asarray(some_floats(2, 4, 4))
    with pytest.raises(DataError, match="Images of 4 channels have no colour to change"):
        colour_jitter(jax.random.key(0), images, 0.4, 0.4, 0.4, 0.1)
    with pytest.raises(DataError, match="Images of 4 channels have no colour to change"):
        random_grey(jax.random.key(0), images, 0.2)
    plain = Views(jitter=0, grey=0)
    zeros, ones = np.zeros(4), np.ones(4)
    assert view(jax.random.key(0), some_images(2, 4, 4), zeros, ones, plain).shape == (2, 4, 4, 4)


def test_views_of_floats_are_refused():
    with pytest.raises(DataError, match="are float32: give the uint8 images"):
        view(jax.random.key(0), jnp.zeros((1, 4, 4, 3)), MEAN, STD, Views())


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"jitter": 1.5}, "give a probability, from 0 to 1"),
        ({"grey": -0.1}, "give a probability"),
        ({"blur": math.nan}, "give a probability"),
        ({"solarize": True}, "give a probability"),
        ({"brightness": -1}, "give a strength, 0 or more"),
        ({"contrast": math.inf}, "give a strength"),
        ({"saturation": "0.4"}, "give a strength"),
        ({"hue": 0.6}, "give a share of the full turn, from 0 to 0.5"),
        ({"crop_area": (0.5, 1.5)}, "two positive numbers of at most 1, the lower first"),
        ({"crop_area": (0.0, 1.0)}, "two positive numbers"),
        ({"crop_area": [0.5, 1.0]}, "give a tuple"),
        ({"crop_ratio": (2, 1)}, "the lower first"),
        ({"blur_sigma": (1.0,)}, "two positive numbers, the lower first"),
        ({"flip": 1}, "give True or False"),
    ],
)
def test_bad_settings_are_refused_by_name(fields, remedy):
    ((name, _),) = fields.items()
    with pytest.raises(DataError, match=rf"^Views's {name} is .*: .*{remedy}.*\.$"):
        Views(**fields)


def test_named_distributions():
    assert Views.simclr() == Views()
    assert hash(Views.simclr()) == hash(Views())
    strong = Views.simclr(strength=1.0)
    assert (strong.brightness, strong.contrast, strong.saturation, strong.hue) == (
        (0.8, 0.8, 0.8, 0.2)
    )
    simsiam = Views.simsiam()
    assert (simsiam.brightness, simsiam.contrast, simsiam.saturation) == (0.4, 0.4, 0.4)
    assert (simsiam.hue, simsiam.jitter, simsiam.grey) == (0.1, 0.8, 0.2)
    assert (simsiam.crop_area, simsiam.blur, simsiam.solarize) == ((0.2, 1.0), 0, 0)
