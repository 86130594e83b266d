"""Shifted slices against XLA's own convolution and windowed reductions: values and gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnas.nn import kernels, layers

pytestmark = pytest.mark.oldest

SLOW_ON_A_CPU = ("conv_general_dilated", "reduce_window", "select_and", "scatter", "gather", "sort")
TOLERANCE = {np.float32: 1e-5, jnp.bfloat16: 2e-2}


def _draw(seed, shape, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def _images(sides, dtype=np.float32):
    """Six rows: halved once, then no more."""
    return _draw(0, (6, *sides, 3), dtype)


def _padding(kind, sides, size, stride, dilation=1):
    if kind == "symmetric":
        return tuple(layers.symmetric_padding(length, dilation) for length in size)
    if kind == "same":
        return tuple(
            layers.same_padding(side, length, stride, dilation)
            for side, length in zip(sides, size, strict=True)
        )
    return kind


def _max_pool_xla(x, window):
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),
        lax.max,
        (1, *window.size, 1),
        (1, *window.stride, 1),
        ((0, 0), *window.padding, (0, 0)),
    )


def _value_and_gradients(function):
    """Compiled: what `function` returns, and the gradients of its sum, weighted at random."""

    @jax.jit
    def run(*args):
        value, pullback = jax.vjp(function, *args)
        return value, pullback(_draw(9, value.shape, value.dtype))

    return run


def _assert_equal(form, reference, args, window, dtype=np.float32):
    """`form` in `dtype` against `reference` in float32."""
    found = _value_and_gradients(lambda *args: form(*args, window))(*args)
    wide = [arg.astype(np.float32) for arg in args]
    expected = _value_and_gradients(lambda *args: reference(*args, window))(*wide)
    for have, want in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert have.dtype == dtype
        have, want = np.asarray(have, np.float32), np.asarray(want)
        assert have.shape == want.shape
        scale = max(1.0, np.abs(want).max())
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding", "sides"),
    [
        ((3, 3), 1, 1, "symmetric", (5, 8)),
        ((3, 3), 1, 2, "symmetric", (7, 6)),
        ((3, 3), 2, 1, "symmetric", (7, 8)),
        ((3, 3), 2, 1, "same", (7, 8)),
        ((3, 3), 2, 2, "same", (7, 8)),
        ((5, 5), 1, 1, "same", (3, 4)),  # wider than the image
        ((5, 5), 2, 2, "symmetric", (9, 8)),
        ((7, 7), 2, 1, "same", (6, 7)),
        ((1, 7), 1, 1, "symmetric", (4, 9)),
        ((7, 1), 2, 1, "same", (8, 5)),
        ((2, 2), 1, 1, "same", (5, 4)),
        ((4, 2), 2, 2, "same", (9, 8)),
        ((1, 1), 2, 1, "symmetric", (5, 6)),
        ((3, 3), 3, 1, ((0, 0), (0, 0)), (8, 7)),  # leaves pixels out at the end
        ((2, 3), (1, 2), (2, 1), ((3, 0), (0, 4)), (6, 5)),  # padded by more than it reaches
    ],
)
def test_depthwise_is_a_grouped_convolution(size, stride, dilation, padding, sides):
    x, kernel = _images(sides), _draw(1, (*size, 1, 3))
    padding = _padding(padding, sides, size, stride, dilation)
    window = kernels._window(x, size, stride, dilation, padding)
    _assert_equal(kernels.depthwise_slices, kernels.convolution_xla, (x, kernel), window)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding", "sides"),
    [
        ((3, 3), 1, 1, "same", (5, 8)),
        ((3, 3), 2, 2, "same", (7, 8)),
        ((1, 7), 1, 1, "same", (4, 9)),
        ((7, 1), (2, 1), 1, "symmetric", (8, 5)),
        ((3, 3), 3, 1, ((0, 0), (0, 0)), (8, 7)),  # leaves pixels out at the end
        ((2, 3), (1, 2), (2, 1), ((3, 0), (0, 4)), (6, 5)),  # padded by more than it reaches
    ],
)
def test_canonical_gradients_are_those_of_the_convolution(size, stride, dilation, padding, sides):
    x, kernel = _images(sides), _draw(1, (*size, 3, 4))
    padding = _padding(padding, sides, size, stride if isinstance(stride, int) else 1, dilation)
    window = kernels._window(x, size, stride, dilation, padding)
    _assert_equal(kernels.dense_canonical, kernels.convolution_xla, (x, kernel), window)


def test_gradients_of_a_convolution_are_in_the_form_that_is_fast_in_loops():
    x, kernel = _images((5, 6)), _draw(1, (3, 3, 3, 4))

    def gradients(x, kernel):
        loss = lambda *both: kernels.dense(*both, 2, 1, ((1, 1), (1, 1))).sum()  # noqa: E731
        return jax.grad(loss, (0, 1))(x, kernel)

    equations = jax.make_jaxpr(gradients)(x, kernel).eqns
    forms = [
        equation.params["dimension_numbers"]
        for equation in equations
        if str(equation.primitive) == "conv_general_dilated"
    ]
    nhwc = jax.lax.conv_dimension_numbers(x.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))
    assert forms == [nhwc] * 3  # forward, to the images, to the kernel


POOLS = pytest.mark.parametrize(
    ("size", "stride", "padding", "sides"),
    [
        ((2, 2), 2, "symmetric", (6, 7)),
        ((2, 2), 2, "same", (6, 7)),
        ((3, 3), 1, "symmetric", (5, 6)),
        ((3, 3), 2, "symmetric", (7, 8)),
        ((3, 3), 2, "same", (7, 8)),
        ((5, 5), 3, ((0, 0), (0, 0)), (8, 9)),
        ((1, 7), 1, "same", (4, 5)),
        ((2, 3), (1, 2), ((1, 0), (2, 1)), (5, 6)),
    ],
)


@pytest.mark.quick_cases(1)
@POOLS
def test_max_pool_is_a_windowed_maximum(size, stride, padding, sides):
    x = np.maximum(_images(sides), 0)  # so that half of all pixels are equal
    window = kernels._window(x, size, stride, 1, _padding(padding, sides, size, stride))
    _assert_equal(kernels.max_pool_slices, _max_pool_xla, (x,), window)
    np.testing.assert_array_equal(
        kernels.max_pool_planes(jnp.asarray(x), window), _max_pool_xla(x, window)
    )


@POOLS
def test_avg_pool_is_a_windowed_mean(size, stride, padding, sides):
    x = _images(sides)
    window = kernels._window(x, size, stride, 1, _padding(padding, sides, size, stride))
    _assert_equal(kernels.avg_pool_slices, kernels.avg_pool_xla, (x,), window)


@pytest.mark.parametrize(
    ("form", "reference"),
    [
        (kernels.depthwise_slices, kernels.convolution_xla),
        (kernels.max_pool_slices, _max_pool_xla),
        (kernels.avg_pool_slices, kernels.avg_pool_slices),
    ],
)
def test_bfloat16(form, reference):
    args = [_images((6, 7), jnp.bfloat16)]
    if form is kernels.depthwise_slices:
        args.append(_draw(1, (3, 3, 1, 3), jnp.bfloat16))
    window = kernels._window(args[0], (3, 3), 2, 1, ((1, 1), (1, 1)))
    _assert_equal(form, reference, args, window, jnp.bfloat16)


@jax.jit
def _gradient_of_a_count(x):
    kernel = jnp.ones((1, 1, 1, 1), x.dtype)
    return jax.grad(lambda kernel: kernels.depthwise(x, kernel).sum())(kernel)


def test_a_sum_of_many_bfloat16_is_not_rounded_on_the_way():
    """In bfloat16, 256 + 1 is 256."""
    assert float(_gradient_of_a_count(np.ones((2, 32, 32, 1), jnp.bfloat16)).item()) == 2048


@pytest.mark.parametrize("batch", [7, 16, 24, 40])
def test_images_beyond_a_cache_are_gone_through_in_parts(batch, monkeypatch):
    x, kernel = _draw(1, (batch, 6, 5, 3)), _draw(2, (3, 3, 1, 3))
    direction = _draw(3, (batch, 3, 3, 3))

    def gradient(cache):
        monkeypatch.setattr(kernels, "_CACHE", cache)
        padding = ((1, 1), (1, 1))
        loss = lambda kernel: (kernels.depthwise(x, kernel, 2, 1, padding) * direction).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(kernel)

    parts = {"whole": gradient(2**20), "parts": gradient(1)}
    np.testing.assert_allclose(parts["parts"], parts["whole"], rtol=1e-5, atol=1e-5)
    assert kernels._cached_images(batch, 10) == {7: 7, 16: 8, 24: 6, 40: 5}[batch]


def test_the_first_of_equals_takes_the_gradient():
    x = np.array([[1, 3, 3], [3, 1, 3]], np.float32)[None, :, :, None]
    gradient = jax.jit(jax.grad(lambda x: kernels.max_pool(x, 2, 1).sum()))(x)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 2, 0], [0, 0, 0]])


def test_a_mean_leaves_padding_out():
    x, padding = np.ones((1, 3, 3, 1), np.float32), ((1, 1), (1, 1))
    np.testing.assert_array_equal(jax.jit(lambda x: kernels.avg_pool(x, 3, 1, padding))(x), x)


def test_max_pool_reports_nan():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 2, 2, 0] = np.nan
    pooled = np.asarray(jax.jit(lambda x: kernels.max_pool(x, 2, 2))(x))[0, :, :, 0]
    np.testing.assert_array_equal(pooled, [[0, 0], [0, np.nan]])


@pytest.mark.parametrize("size", [1, 5, 8, 32])
def test_same_padding_is_tensorflows(size):
    for window, stride, dilation in itertools.product((1, 2, 3, 5, 7), (1, 2, 3), (1, 2)):
        span = (window - 1) * dilation + 1
        expected = lax.padtype_to_pads((size,), (span,), (stride,), "SAME")[0]
        assert layers.same_padding(size, window, stride, dilation) == expected


def test_symmetric_padding_is_pytorchs():
    assert layers.symmetric_padding(3) == (1, 1)
    assert layers.symmetric_padding(5, 2) == (4, 4)
    assert layers.symmetric_padding(2) == (0, 0)


PADDING = ((0, 1), (1, 1))
OPERATIONS = {
    "depthwise": lambda x, kernel: kernels.depthwise(x, kernel, 2, 1, PADDING),
    "max_pool": lambda x, kernel: kernels.max_pool(x * kernel[0, 0], 3, 2, PADDING),
    "avg_pool": lambda x, kernel: kernels.avg_pool(x * kernel[0, 0], 3, 2, PADDING),
}
EACH = pytest.mark.parametrize("name", sorted(OPERATIONS))


@pytest.mark.quick_cases(1)
@EACH
@pytest.mark.parametrize("shared_images", [False, True])
def test_vmap_over_seeds_equals_a_loop(name, shared_images):
    run = _value_and_gradients(OPERATIONS[name])
    x = np.maximum(_draw(0, (2, 4, 6, 5, 3)), 0)
    kernel = _draw(1, (2, 3, 3, 1, 3))
    if shared_images:
        x = x[0]
    found = jax.vmap(run, in_axes=(None if shared_images else 0, 0))(x, kernel)
    for seed in range(2):
        expected = run(x if shared_images else x[seed], kernel[seed])
        for have, want in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(have[seed], want, rtol=0, atol=1e-5)


@EACH
def test_a_second_call_is_not_compiled(name):
    run = _value_and_gradients(OPERATIONS[name])
    for seed in range(2):
        run(_draw(seed, (2, 6, 5, 3)), _draw(seed, (3, 3, 1, 3)))
    assert run._cache_size() == 1


@EACH
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_cpu_is_given_nothing_it_is_slow_at(name, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    run = _value_and_gradients(OPERATIONS[name])
    program = str(jax.make_jaxpr(run)(_draw(0, (2, 6, 5, 3)), _draw(1, (3, 3, 1, 3))))
    slow = [primitive for primitive in SLOW_ON_A_CPU if primitive in program]
    # Max pooling is the same on a GPU: XLA's gradient has no fixed order of additions there.
    assert bool(slow) == (backend == "gpu" and name != "max_pool")
