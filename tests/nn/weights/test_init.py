"""Initial values: their distribution, and that a leaf's name and key alone decide them."""

import dataclasses
import math

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn import abstract_variables, build, init, supernet
from jaxnas.spaces import AdaptationSpace, Block, zoo
from support.networks import CLASSES, SHAPE, SMALL, by_path

pytestmark = pytest.mark.oldest

# Standard deviation of a normal cut off at 2: 1 - 4 φ(2) / (Φ(2) - Φ(-2)) is its variance.
TRUNCATED = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def wide():
    """A network with enough values in its kernels to see their distribution."""
    blocks = (Block("reduction", 96, 2), Block("normal", 96))
    return dataclasses.replace(zoo.named("resnet20_b"), stem=64, blocks=blocks)


@pytest.fixture(scope="module")
def wide_params():
    return by_path(init(build(wide(), 500), jax.random.key(0), SHAPE)["params"])


def test_kernels_are_truncated_normals_of_the_papers_deviations(wide_params):
    seen = 0
    for path, values in wide_params.items():
        if path[-1] != "kernel":
            continue
        fan_in = values[..., 0].size
        gain = 1 if path[0] == "classifier" else 2
        deviation = math.sqrt(gain / fan_in)
        error = 1 / math.sqrt(2 * values.size)  # of a standard deviation, relative
        assert values.std() == pytest.approx(deviation, rel=5 * error), path
        assert abs(values.mean()) < 5 * deviation / math.sqrt(values.size), path
        unit = values / deviation * TRUNCATED
        assert np.abs(unit).max() <= 2 + 1e-5, path
        # Kolmogorov and Smirnov's distance from the truncated normal.
        ordered = np.sort(unit.reshape(-1))
        cdf = (np.array([math.erf(each / math.sqrt(2)) for each in ordered]) / math.erf(2**0.5)) + 1
        steps = np.arange(1, ordered.size + 1) / ordered.size
        assert np.abs(cdf / 2 - steps).max() < 2 / math.sqrt(ordered.size), path
        seen += 1
    assert seen == 7, "stem, two convolutions in each block, option B's, the classifier"


def test_batch_norms_start_as_the_identity_and_the_classifier_without_bias():
    variables = init(build(SMALL["mobilenet_cells"], CLASSES), jax.random.key(0), SHAPE)
    start = {"scale": 1, "var": 1, "bias": 0, "mean": 0}
    for path, values in by_path(variables).items():
        if path[-1] != "kernel":
            np.testing.assert_array_equal(values, np.full(values.shape, start[path[-1]]))


def test_a_depthwise_kernels_fan_in_is_its_window():
    genotype = dataclasses.replace(SMALL["mobilenet"], stem=64, blocks=(Block("first", 8),), head=0)
    params = by_path(init(build(genotype, CLASSES), jax.random.key(1), SHAPE)["params"])
    kernel = params["block_0", "edge_1_depthwise_conv_3x3", "conv", "kernel"]
    assert kernel.shape == (3, 3, 1, 64)
    assert kernel.std() == pytest.approx(math.sqrt(2 / 9), rel=5 / math.sqrt(2 * kernel.size))


def test_a_key_decides_all_values():
    network = build(SMALL["concat"], CLASSES)
    first, again, other = (
        by_path(init(network, jax.random.key(seed), SHAPE)["params"]) for seed in (0, 0, 1)
    )
    for path, values in first.items():
        np.testing.assert_array_equal(values, again[path])
        if path[-1] == "kernel":
            assert not np.isin(values, other[path]).any(), path


def test_no_two_leaves_and_no_two_parts_of_a_leaf_are_drawn_alike(wide_params):
    runs = []
    for path, values in wide_params.items():
        if path[-1] == "kernel":
            gain = 1 if path[0] == "classifier" else 2
            unit = values.reshape(-1)[:8192] * math.sqrt(values[..., 0].size / gain)
            runs.append(np.stack([unit[:-2], unit[1:-1], unit[2:]], -1).round(4))
    runs = np.concatenate(runs)
    assert len(runs) > 40_000
    assert len(np.unique(runs, axis=0)) == len(runs), "three values in a row come but once"


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ["mobilenet", "residual_cells", "tangle"])
def test_a_base_and_its_supernet_share_every_value_of_the_base(name):
    space = AdaptationSpace(SMALL[name], "full")
    key = jax.random.key(3)
    gates = jnp.zeros((len(space.base.blocks), space.shape[1], 3))
    made = []
    for module, args in ((build(space.base, CLASSES), ()), (supernet(space, CLASSES), (gates,))):
        variables = init(module, key, SHAPE, *args)
        shapes = abstract_variables(module, SHAPE, *args)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), variables) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), shapes
        )
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
        made.append(by_path(variables))
    base, whole = made
    assert set(base) < set(whole)
    for path, values in base.items():
        np.testing.assert_array_equal(values, whole[path])


@pytest.mark.slow
def test_seeds_can_be_mapped_over():
    network = build(SMALL["concat"], CLASSES)
    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    together = jax.jit(jax.vmap(lambda key: init(network, key, SHAPE)))(keys)
    for index in range(3):
        alone = init(network, jax.random.key(index), SHAPE)
        for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(one[index], other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8, 3), (0, 8, 3), (8, 8, 2.5)])
def test_a_shape_of_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="input_shape must be height, width and channels"):
        init(build(SMALL["concat"], CLASSES), jax.random.key(0), shape)


@pytest.mark.parametrize("key", [0, jnp.zeros(2, jnp.uint32)])
def test_what_is_no_typed_key_is_refused(key):
    with pytest.raises(TypeError, match=r"key must be a typed key such as jax\.random\.key\(0\)"):
        init(build(SMALL["concat"], CLASSES), key, SHAPE)


def test_a_variable_without_a_known_start_is_refused_by_name():
    class Odd(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x, *, train):
            return x * self.param("temperature", flax.linen.initializers.ones, ())

    with pytest.raises(ValueError, match=r"'params/temperature'.*'temperature'"):
        init(Odd(), jax.random.key(0), SHAPE)
