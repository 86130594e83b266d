"""Layers against NumPy, against Flax's own, and against plain automatic differentiation."""

import warnings

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn.layers import (
    BatchNorm,
    Conv,
    Dense,
    concatenate,
    materialise,
    pad_shortcut,
    runtime_one,
    weighted,
)
from support import reference
from support.networks import assert_close, images

pytestmark = pytest.mark.oldest

SIDES = (5, 6)  # one odd, one even


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("padding", ["symmetric", "same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize(
    ("kernel", "dilation"), [(1, 1), (3, 1), (2, 1), ((1, 3), 1), (3, 2)], ids=str
)
def test_a_convolution_pads_as_its_library_does(kernel, dilation, stride, padding):
    if padding == "symmetric" and kernel == 2:
        return  # an even window has no symmetric padding
    x = images(shape=(*SIDES, 4))
    for depthwise in (False, True):
        if depthwise and kernel == 1:
            continue
        conv = Conv(
            4 if depthwise else 6, kernel, stride, depthwise, dilation=dilation, padding=padding
        )
        params = conv.init(jax.random.key(0), x)
        weights = np.asarray(params["params"]["kernel"])
        expected = reference.conv(
            np.asarray(x, np.float64), weights, stride, depthwise, padding, dilation
        )
        assert_close(conv.apply(params, x), expected)
        # Multiply-adds by counting: one kernel for each output value.
        taps = weights.shape[0] * weights.shape[1]
        count = expected[0].size * taps * (1 if depthwise else 4)
        assert conv.macs(expected.shape, x.shape) == count


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="padding 'full' is not symmetric, same or valid"):
        Conv(3, 3, padding="full").init(jax.random.key(0), images())


def test_a_dense_layer_is_affine_and_float32():
    x = images(shape=(7,))
    dense = Dense(3)
    params = {"kernel": images(1, 7, (3,)), "bias": images(2, 3, ())}
    expected = np.asarray(x, np.float64) @ np.asarray(params["kernel"]) + np.asarray(params["bias"])
    assert_close(dense.apply({"params": params}, x), expected)
    assert dense.apply({"params": params}, x.astype(jnp.bfloat16)).dtype == jnp.float32
    assert dense.macs((7, 3), x.shape) == 21
    without = Dense(3, use_bias=False).apply({"params": {"kernel": params["kernel"]}}, x)
    assert_close(without, expected - np.asarray(params["bias"]))


def test_images_of_different_sizes_are_concatenated_in_the_middle_of_the_largest():
    shapes = (3, 4, 2), (5, 2, 1), (2, 1, 3)
    parts = [images(seed, shape=shape) for seed, shape in enumerate(shapes)]
    found = np.asarray(concatenate(parts))
    assert found.shape == (2, 5, 4, 6)
    np.testing.assert_array_equal(found[:, 1:4, :, :2], parts[0])
    np.testing.assert_array_equal(found[:, :, 1:3, 2:3], parts[1])
    np.testing.assert_array_equal(found[:, 1:3, 1:2, 3:], parts[2])
    assert np.count_nonzero(found) == sum(np.count_nonzero(part) for part in parts)
    np.testing.assert_array_equal(concatenate(parts[:1]), parts[0])


@pytest.mark.parametrize(("features", "channels"), [(4, 4), (5, 4), (9, 4), (8, 3)])
def test_a_padded_shortcut_keeps_every_value_and_adds_only_zeros(features, channels):
    x = images(shape=(6, 6, channels))
    for stride in (1, 2):
        found = np.asarray(pad_shortcut(x, features, stride))
        kept = found[..., (features - channels) // 2 :][..., :channels]
        np.testing.assert_array_equal(kept, x[:, ::stride, ::stride])
        assert np.count_nonzero(found) == np.count_nonzero(kept)
        assert found.shape[-1] == features


# Batch norm.


def flax_norm(train):
    return flax.linen.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)


@pytest.mark.parametrize("train", [False, True])
def test_batch_norm_is_flaxs_own(train):
    x = images(batch=6, shape=(3, 4, 5)) * 3 + 1
    ours = BatchNorm()
    rng = np.random.default_rng(3)
    features = x.shape[-1:]
    params = {
        name: jnp.asarray(rng.uniform(0.5, 2, features), jnp.float32) for name in ("scale", "bias")
    }
    stats = {
        name: jnp.asarray(rng.uniform(0.5, 2, features), jnp.float32) for name in ("mean", "var")
    }
    direction = jnp.asarray(rng.normal(size=x.shape), jnp.float32)

    def run(norm, *args):
        def loss(params, x):
            out, changed = norm.apply(
                {"params": params, "batch_stats": stats}, x, *args, mutable=["batch_stats"]
            )
            return (out * direction).sum(), (out, changed)

        gradients, aux = jax.grad(loss, (0, 1), has_aux=True)(params, x)
        return gradients, aux

    assert_close(run(ours, train), run(flax_norm(train)), tolerance=1e-4)


def test_batch_norm_leaves_its_statistics_alone_when_it_starts_and_when_it_evaluates():
    x = images(batch=6, shape=(3, 4, 5)) + 2
    for train in (False, True):
        variables = BatchNorm().init(jax.random.key(0), x, train)
        np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(5))
        np.testing.assert_array_equal(variables["batch_stats"]["var"], np.ones(5))
    _, changed = BatchNorm().apply(variables, x, False, mutable=["batch_stats"])
    for name, leaf in variables["batch_stats"].items():
        np.testing.assert_array_equal(changed["batch_stats"][name], leaf)


@pytest.mark.parametrize(
    ("shape", "told"), [((1, 1, 1, 3), 1), ((2, 1, 1, 3), 0), ((1, 1, 2, 3), 0)]
)
def test_one_value_for_each_channel_is_told_in_training(shape, told):
    x = jnp.ones(shape)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        variables = BatchNorm().init(jax.random.key(0), x, True)
        BatchNorm().apply(variables, x, False)
        assert caught == []
        jax.eval_shape(lambda x: BatchNorm().apply(variables, x, True, mutable=["batch_stats"]), x)
    assert [str(each.message)[:30] for each in caught] == ["a batch norm sees one value fo"] * told


def test_batch_norm_lives_through_a_constant_channel():
    # The variance of equal numbers may come out below zero in float32.
    x = jnp.full((6, 3, 4, 5), 1234.567, jnp.float32)
    variables = BatchNorm().init(jax.random.key(0), x, True)

    def loss(x):
        out, _ = BatchNorm().apply(variables, x, True, mutable=["batch_stats"])
        return (out**2).sum()

    assert np.isfinite(loss(x))
    assert np.isfinite(jax.grad(loss)(x)).all()


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.7, 2.5])
def test_a_gate_in_a_batch_norm_is_a_factor(train, value):
    x = images(batch=6, shape=(3, 4, 5))
    variables = random_variables_of_norm()
    direction = images(1, 6, (3, 4, 5))

    def run(params, x, gate, folded):
        out, changed = BatchNorm().apply(
            {**variables, "params": params},
            x,
            train,
            *((gate,) if folded else ()),
            mutable=["batch_stats"],
        )
        out = out if folded else out * gate
        return (out * direction).sum(), (out, changed)

    gradients = [
        jax.grad(lambda *args, folded=folded: run(*args, folded), (0, 1, 2), has_aux=True)(
            variables["params"], x, jnp.float32(value)
        )
        for folded in (True, False)
    ]
    assert_close(*gradients, tolerance=1e-4)


def random_variables_of_norm():
    rng = np.random.default_rng(3)
    draw = lambda: jnp.asarray(rng.uniform(0.5, 2, 5), jnp.float32)  # noqa: E731
    return {
        "params": {"scale": draw(), "bias": draw()},
        "batch_stats": {"mean": draw(), "var": draw()},
    }


# Gates and materialised values.


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1,), (2, 1, 7)], ids=str)
def test_a_weighted_value_has_the_gradients_of_a_product(shape, dtype):
    x = images(0, shape[0], shape[1:]).astype(dtype)
    direction = images(1, shape[0], shape[1:]).astype(dtype)
    gate = jnp.float32(0.75)  # exact in bfloat16

    def of_weighted(x, gate):
        return (weighted(x, gate) * direction).astype(jnp.float32).sum()

    def of_product(x, gate):
        return (x.astype(jnp.float32) * gate * direction.astype(jnp.float32)).sum()

    found, expected = jax.grad(of_weighted, (0, 1))(x, gate), jax.grad(of_product, (0, 1))(x, gate)
    assert weighted(x, gate).dtype == dtype
    assert [each.dtype for each in found] == [dtype, jnp.float32]
    tolerance = 1e-6 if dtype == jnp.float32 else 0.01
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            np.asarray(one, np.float32), np.asarray(other, np.float32), rtol=tolerance, atol=1e-6
        )


def test_without_a_gate_there_is_no_product():
    x = images()
    assert weighted(x, None) is x


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_materialised_value_is_the_value_bit_for_bit(dtype):
    limits = jnp.finfo(dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, limits.max, limits.min, limits.tiny, 1 / 3]
    values = np.concatenate([special, np.random.default_rng(0).normal(size=1000) * 1e3])
    x = jnp.asarray(values, dtype)

    @jax.jit
    def f(x, image):
        return materialise(x, runtime_one(image))

    bits = {4: np.uint32, 2: np.uint16}[limits.bits // 8]
    for image in (images(), -1e30 * images(1), jnp.zeros((1, 2, 2, 1))):
        found = np.asarray(f(x, image))
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found.view(bits), np.asarray(x).view(bits))


def test_a_materialised_value_passes_gradients_through_untouched():
    x, direction = images(), images(1)

    def through(x):
        return (materialise(jnp.sin(x), runtime_one(x)) * direction).sum()

    def plain(x):
        return (jnp.sin(x) * direction).sum()

    np.testing.assert_array_equal(jax.grad(through)(x), jax.grad(plain)(x))
    assert materialise(x, None) is x


def test_the_one_is_one_and_only_a_cpu_needs_it():
    one = runtime_one(images())
    if jax.default_backend() == "cpu":
        assert one is not None
        assert float(one) == 1.0
        assert "constant" not in str(jax.make_jaxpr(runtime_one)(images()))
    else:
        assert one is None
