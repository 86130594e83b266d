"""Layers against NumPy, against Flax's own, and against plain automatic differentiation."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn.layers import (
    BatchNorm,
    Conv,
    Dense,
    Op,
    materialise,
    pad_shortcut,
    runtime_one,
    weighted,
)
from jaxnas.spaces.genotype import NULL, OPERATIONS

from . import reference
from .networks import assert_close, by_path, images, random_variables

SIDES = (5, 6)  # one odd, one even
FAMILIES = {"residual": False, "darts": True}


class Plain(flax.linen.Module):
    """An operation as a network, so that it can be given images and random variables."""

    op: Op
    gated: bool = False

    @flax.linen.compact
    def __call__(self, x, gate=None, *, train):
        return self.op(x, train, gate)


def _cases():
    for family, ops in OPERATIONS.items():
        for op in sorted(ops - {NULL}):
            for stride in (1, 2):
                for features in (4,) if op == "depthwise_conv_3x3" else (4, 7):
                    yield pytest.param(
                        family, op, stride, features, id=f"{family}-{op}-{stride}-{features}"
                    )


CASES = pytest.mark.parametrize(("family", "op", "stride", "features"), list(_cases()))


@CASES
def test_an_operation_computes_what_numpy_says(family, op, stride, features):
    module = Plain(Op(op, features, stride, FAMILIES[family]))
    shape = (*SIDES, 4)
    x = images(shape=shape)
    variables = random_variables(module, shape=shape)
    for train in (False, True):
        found, changed = module.apply(variables, x, train=train, mutable=["batch_stats"])
        expected = reference.Reference(variables, train)
        out = expected.op(("op",), op, np.asarray(x, np.float64), features, stride, family)
        assert found.shape == (2, -(-SIDES[0] // stride), -(-SIDES[1] // stride), features)
        assert_close(found, out)
        if train:
            stats = by_path(changed["batch_stats"]) if changed else {}
            assert_close(stats, expected.batch_stats)


@pytest.mark.parametrize(
    ("family", "op", "stride", "features"),
    [
        ("residual", "skip_connect", 2, 7),
        ("residual", "pad_shortcut", 2, 7),
        ("residual", "depthwise_conv_3x3", 2, 4),
        ("darts", "skip_connect", 1, 4),
        ("darts", "skip_connect", 1, 7),
        ("darts", "skip_connect", 2, 7),
        ("darts", "conv_1x1", 1, 4),
        ("darts", "conv_3x3", 2, 7),
        ("darts", "sep_conv_3x3", 2, 7),
    ],
)
def test_a_gate_weights_an_operation_in_value_and_in_gradients(family, op, stride, features):
    module = Plain(Op(op, features, stride, FAMILIES[family]))
    shape = (*SIDES, 4)
    x, gate = images(shape=shape), jnp.float32(-0.7)
    variables = random_variables(module, shape=shape)
    params, stats = (variables.get(part, {}) for part in ("params", "batch_stats"))

    def run(params, x, gate, folded):
        variables = {"params": params, "batch_stats": stats}
        given = (x, gate) if folded else (x,)
        out, changed = module.apply(variables, *given, train=True, mutable=["batch_stats"])
        return (out if folded else out * gate), changed

    direction = jnp.asarray(
        np.random.default_rng(1).normal(size=run(params, x, gate, True)[0].shape)
    )

    def loss(folded):
        return lambda *args: (run(*args, folded)[0] * direction).sum()

    (found, found_stats), (expected, expected_stats) = (
        run(params, x, gate, folded) for folded in (True, False)
    )
    assert_close(found, expected)
    assert_close(found_stats, expected_stats)
    gradients = [jax.grad(loss(folded), (0, 1, 2))(params, x, gate) for folded in (True, False)]
    assert_close(*gradients, tolerance=1e-4)
    assert not np.any(run(params, x, jnp.float32(0), True)[0])


def test_an_unknown_operation_is_refused_by_name():
    with pytest.raises(ValueError, match="operation 'conv_9x9' has no implementation"):
        random_variables(Plain(Op("conv_9x9", 4, 1, True)))


def test_every_operation_of_a_genotype_has_an_implementation():
    for family, ops in OPERATIONS.items():
        for op in ops - {NULL}:
            out = jax.eval_shape(
                lambda x, op=op, family=family: Plain(
                    Op(op, 3, 2, FAMILIES[family])
                ).init_with_output(jax.random.key(0), x, train=True)[0],
                jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32),
            )
            assert out.shape == (1, 4, 4, 3)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
def test_a_convolution_pads_as_pytorch_does(depthwise, stride, kernel):
    x = images(shape=(*SIDES, 4))
    conv = Conv(4 if depthwise else 6, kernel, stride, depthwise)
    params = conv.init(jax.random.key(0), x)
    expected = reference.conv(
        np.asarray(x, np.float64), np.asarray(params["params"]["kernel"]), stride, depthwise
    )
    assert_close(conv.apply(params, x), expected)
    # Multiply-adds by counting: one kernel for each output value.
    outputs = expected[0].size
    assert conv.macs(x.shape) == outputs * kernel**2 * (1 if depthwise else 4)


def test_a_dense_layer_is_affine_and_float32():
    x = images(shape=(7,))
    dense = Dense(3)
    params = {"kernel": images(1, 7, (3,)), "bias": images(2, 3, ())}
    expected = np.asarray(x, np.float64) @ np.asarray(params["kernel"]) + np.asarray(params["bias"])
    assert_close(dense.apply({"params": params}, x), expected)
    assert dense.apply({"params": params}, x.astype(jnp.bfloat16)).dtype == jnp.float32
    assert dense.macs(x.shape) == 21


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
