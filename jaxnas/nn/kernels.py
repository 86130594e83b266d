"""Convolution and pooling: how each is computed, forward and backward, on the backend in use.

On a CPU depthwise convolution and pooling are 10 to 40 times too slow as XLA's own. There each is
elementwise arithmetic on shifted slices of the padded images: XLA vectorises that, and `vmap` over
images and weights costs nothing extra. The gradients of a dense convolution are convolutions that
XLA's CPU compiler knows how to compute fast, but only outside loops and branches does it bring
JAX's own gradients into their form (jax#12868); written in that form they are fast everywhere.
Elsewhere all are XLA's own primitives, but for max pooling, the gradient of which is not
deterministic on a GPU.

Images are [b, h, w, c]. Windows, strides and dilations are one number or (height's, width's).
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import operator
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Sides = tuple[int, int]
Padding = tuple[Sides, Sides]
NO_PADDING: Padding = ((0, 0), (0, 0))

# A gradient of weights adds up 2 to this power batch rows inside one loop of XLA's. Above 3 XLA
# splits that loop in two and keeps the products in memory.
HALVINGS = 3
# It takes as many images at once as stay in the cache of a core for all taps, in bytes.
_CACHE = 2**20

_NHWC = ("NHWC", "HWIO", "NHWC")


class Window(NamedTuple):
    """A window that slides over images, all (height's, width's).

    Attributes:
      image: sides of the images, unpadded.
      size: taps.
      stride: between outputs.
      dilation: between taps.
      padding: ((top, bottom), (left, right)).
    """

    image: Sides
    size: Sides
    stride: Sides
    dilation: Sides
    padding: Padding

    def taps(self, x: jax.Array, fill: float) -> list[jax.Array]:
        """What each tap sees, row by row: [b, h, w, c] to [b, h', w', c] each."""
        edges = [(before, after, 0) for before, after in self.padding]
        return _shifts(_pad(x, fill, edges), self.size, self.stride, self.dilation)

    def taps_transposed(self, out: jax.Array, fill: float) -> list[jax.Array]:
        """The output that sees each pixel through each tap: [b, h', w', c] to [b, h, w, c] each.

        `fill` stands where there is no such output.
        """
        edges = []
        for axis, (before, _) in enumerate(self.padding):
            stride, reach = self.stride[axis], (self.size[axis] - 1) * self.dilation[axis]
            last = (out.shape[1 + axis] - 1) * stride
            # Zeros between the outputs, not a scatter: that stays one vectorised loop.
            edges.append((reach - before, self.image[axis] + before - 1 - last, stride - 1))
        return _shifts(_pad(out, fill, edges), self.size, (1, 1), self.dilation)[::-1]

    def counts(self) -> np.ndarray | float:
        """How many taps fall on the image, not on its padding: float32 [h', w', 1] or all."""
        if self.padding == NO_PADDING:
            return float(self.size[0] * self.size[1])
        sides = []
        for size, taps, stride, dilation, (before, after) in zip(*self, strict=True):
            last = size + before + after - (taps - 1) * dilation
            pixel = np.arange(-before, last - before, stride)[:, None] + np.arange(taps) * dilation
            sides.append(((pixel >= 0) & (pixel < size)).sum(1))
        return np.outer(*sides)[..., None].astype(np.float32)


def depthwise(
    x: jax.Array,
    kernel: jax.Array,
    stride: int | Sides = 1,
    dilation: int | Sides = 1,
    padding: Padding = NO_PADDING,
) -> jax.Array:
    """One filter for each channel: x [b, h, w, c] and kernel [kh, kw, 1, c] to [b, h', w', c].

    All of one dtype; on a CPU, sums are in float32 at least, those of the weights' gradient too.
    """
    window = _window(x, kernel.shape[:2], stride, dilation, padding)
    return (depthwise_slices if _on_cpu() else convolution_xla)(x, kernel, window)


def dense(
    x: jax.Array,
    kernel: jax.Array,
    stride: int | Sides = 1,
    dilation: int | Sides = 1,
    padding: Padding = NO_PADDING,
) -> jax.Array:
    """A convolution: x [b, h, w, c] and kernel [kh, kw, c, f] to [b, h', w', f]."""
    window = _window(x, kernel.shape[:2], stride, dilation, padding)
    return (dense_canonical if _on_cpu() else convolution_xla)(x, kernel, window)


def max_pool(
    x: jax.Array, window: int | Sides, stride: int | Sides, padding: Padding = NO_PADDING
) -> jax.Array:
    """The largest pixel of each window, [b, h', w', c]; padding never is.

    The gradient goes to the first of equals, row by row, as in PyTorch and XLA.
    """
    form = max_pool_planes if _portable.get() == "onnx" else max_pool_slices
    return form(x, _window(x, window, stride, 1, padding))


def avg_pool(
    x: jax.Array,
    window: int | Sides,
    stride: int | Sides,
    padding: Padding = NO_PADDING,
) -> jax.Array:
    """The mean of the pixels of each window, [b, h', w', c], padding left out."""
    form = avg_pool_slices if _on_cpu() else avg_pool_xla
    return form(x, _window(x, window, stride, 1, padding))


_portable: contextvars.ContextVar[str] = contextvars.ContextVar("portable", default="")


@contextlib.contextmanager
def portable(to: Literal["xla", "onnx"] = "xla") -> Iterator[None]:
    """Takes XLA's own primitives whatever the backend, while a function is traced: for programs
    that run elsewhere (to onnx, in forms that it has), or are only looked at, much shorter so."""
    token = _portable.set(to)
    try:
        yield
    finally:
        _portable.reset(token)


def _on_cpu() -> bool:
    """Whether this module's own forms beat XLA's primitives on the backend in use."""
    return jax.default_backend() == "cpu" and not _portable.get()


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_slices(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """`depthwise` as a sum of shifted slices."""
    return _weighted_sum(window.taps(x, 0.0), kernel)


def _depthwise_forward(
    x: jax.Array, kernel: jax.Array, window: Window
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    # Not depthwise_slices: a gradient could not be differentiated forward through a custom_vjp.
    return _weighted_sum(window.taps(x, 0.0), kernel), (x, kernel)


def _depthwise_backward(
    window: Window, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    dx = _weighted_sum(window.taps_transposed(gradient, 0.0), kernel)
    wide = _wide(gradient)
    batch, height, width, channels = gradient.shape
    (taps_down, taps_across), (stride, _) = window.size, window.stride
    padded = _pad(x, 0.0, [(*edges, 0) for edges in window.padding])
    images = _cached_images(batch, x[0].size * x.dtype.itemsize)

    def row_of_taps(step: jax.Array, sums: jax.Array) -> jax.Array:
        first, row = step // taps_down * images, step % taps_down
        corner = (first, row * window.dilation[0], 0, 0)
        size = (images, (height - 1) * stride + 1, *padded.shape[2:])
        band = lax.dynamic_slice(padded, corner, size)
        seen = _shifts(band, (1, taps_across), window.stride, window.dilation)
        part = lax.dynamic_slice_in_dim(wide, first, images)
        products = [_halve(_wide(tap) * part) for tap in seen]
        # XLA's reductions pull in the arithmetic before them, but first write every slice to
        # memory; they do not pull in a concatenation. And they are slow for few channels: sum over
        # rows first.
        total = lax.concatenate(products, 0).reshape(taps_across, -1, width * channels).sum(1)
        total = total.reshape(taps_across, width, channels).sum(1)
        total += lax.dynamic_index_in_dim(sums, row, 0, keepdims=False)
        return lax.dynamic_update_index_in_dim(sums, total, row, 0)

    # A loop runs as fast as its iterations written out, and compiles several times faster.
    zeros = jnp.zeros((taps_down, taps_across, channels), wide.dtype)
    dkernel = lax.fori_loop(0, batch // images * taps_down, row_of_taps, zeros)
    return dx, dkernel.reshape(kernel.shape).astype(kernel.dtype)


depthwise_slices.defvjp(_depthwise_forward, _depthwise_backward)


def convolution_xla(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """`dense` and `depthwise` as XLA's convolution, grouped by the kernel's input channels."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window.stride,
        window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=_NHWC,
        feature_group_count=x.shape[-1] // kernel.shape[2],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense_canonical(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """`dense` whose gradients are convolutions of images NHWC with kernels HWIO to NHWC."""
    return convolution_xla(x, kernel, window)


def _dense_forward(
    x: jax.Array, kernel: jax.Array, window: Window
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    # Not dense_canonical: a gradient could not be differentiated forward through a custom_vjp.
    return convolution_xla(x, kernel, window), (x, kernel)


def _dense_backward(
    window: Window, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    into_pixels, into_taps = [], []
    sides = zip(gradient.shape[1:3], *window, strict=True)
    for outputs, size, taps, stride, dilation, (before, _) in sides:
        reach, last = (taps - 1) * dilation, (outputs - 1) * stride
        into_pixels.append((reach - before, size + before - 1 - last))
        into_taps.append((before, reach + last + 1 - size - before))
    dx = lax.conv_general_dilated(
        gradient,
        lax.rev(kernel, (0, 1)).swapaxes(2, 3),
        (1, 1),
        into_pixels,
        lhs_dilation=window.stride,
        rhs_dilation=window.dilation,
        dimension_numbers=_NHWC,
    )
    # Images and channels change places: the outputs' gradient slides over the images as a kernel.
    dkernel = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        window.dilation,
        into_taps,
        rhs_dilation=window.stride,
        dimension_numbers=_NHWC,
    )
    return dx, dkernel.transpose(1, 2, 0, 3)


dense_canonical.defvjp(_dense_forward, _dense_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool_slices(x: jax.Array, window: Window) -> jax.Array:
    """`max_pool` as the largest of shifted slices."""
    return functools.reduce(lax.max, window.taps(x, -jnp.inf))


def _max_pool_forward(x: jax.Array, window: Window) -> tuple[jax.Array, jax.Array]:
    best, *taps = window.taps(x, -jnp.inf)
    winner = lax.full_like(best, 0, jnp.int8 if len(taps) < 128 else jnp.int32)
    for index, tap in enumerate(taps, start=1):
        winner = lax.select(tap > best, lax.full_like(winner, index), winner)
        best = lax.max(best, tap)
    return best, winner


def _max_pool_backward(window: Window, winner: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    winners = window.taps_transposed(winner, -1)
    gradients = window.taps_transposed(gradient, 0.0)
    terms = [
        _wide(lax.select(winner == index, gradient, lax.full_like(gradient, 0)))
        for index, (winner, gradient) in enumerate(zip(winners, gradients, strict=True))
    ]
    return (functools.reduce(operator.add, terms).astype(gradient.dtype),)


max_pool_slices.defvjp(_max_pool_forward, _max_pool_backward)


def max_pool_planes(x: jax.Array, window: Window) -> jax.Array:
    """`max_pool` as XLA's windowed reduction of single planes [b * c, h, w]: ONNX's has no more."""
    planes = _reduced(x.transpose(0, 3, 1, 2).reshape(-1, *window.image), -np.inf, lax.max, window)
    return planes.reshape(-1, x.shape[3], *planes.shape[1:]).transpose(0, 2, 3, 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def avg_pool_slices(x: jax.Array, window: Window) -> jax.Array:
    """`avg_pool` as a sum of shifted slices."""
    return _avg_pool_forward(x, window)[0]


def _avg_pool_forward(x: jax.Array, window: Window) -> tuple[jax.Array, None]:
    total = functools.reduce(operator.add, map(_wide, window.taps(x, 0.0)))
    return (total / window.counts()).astype(x.dtype), None


def _avg_pool_backward(window: Window, saved: None, gradient: jax.Array) -> tuple[jax.Array]:
    share = _wide(gradient) / window.counts()
    dx = functools.reduce(operator.add, window.taps_transposed(share, 0.0))
    return (dx.astype(gradient.dtype),)


avg_pool_slices.defvjp(_avg_pool_forward, _avg_pool_backward)


def avg_pool_xla(x: jax.Array, window: Window) -> jax.Array:
    """`avg_pool` as XLA's windowed reduction."""
    total = _reduced(_wide(x), 0.0, lax.add, window)
    return (total / window.counts()).astype(x.dtype)


def _reduced(x: jax.Array, start: float, reduction: Any, window: Window) -> jax.Array:
    """[n, h, w] or [n, h, w, c], reduced in windows of h and w."""
    size, stride = ((1, *each, 1)[: x.ndim] for each in (window.size, window.stride))
    pad = ((0, 0), *window.padding, (0, 0))[: x.ndim]
    return lax.reduce_window(x, np.array(start, x.dtype), reduction, size, stride, pad)


def _window(
    x: jax.Array, size: Any, stride: int | Sides, dilation: int | Sides, padding: Padding
) -> Window:
    image, edges = (x.shape[1], x.shape[2]), (pair(padding[0]), pair(padding[1]))
    return Window(image, pair(size), pair(stride), pair(dilation), edges)


def pair(value: int | Sides) -> Sides:
    """One number for both sides of an image, or one for each."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _wide(x: jax.Array) -> jax.Array:
    """`x` in a dtype to add up in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _pad(x: jax.Array, fill: float, edges: list[tuple[int, int, int]]) -> jax.Array:
    """[b, h, w, c] with (before, after, between) pixels of `fill` along h and w."""
    return lax.pad(x, np.array(fill, x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))


def _shifts(x: jax.Array, size: Sides, stride: Sides, dilation: Sides) -> list[jax.Array]:
    """The slice of [b, h, w, c] under each tap of a window of `size`, row by row."""
    batch, *sides, channels = x.shape
    spans = [
        # From the first to one behind the last place that a window starts at.
        (side - (taps - 1) * apart - 1) // step * step + 1
        for side, taps, apart, step in zip(sides, size, dilation, stride, strict=True)
    ]
    return [
        lax.slice(
            x,
            (0, top, left, 0),
            (batch, top + spans[0], left + spans[1], channels),
            (1, *stride, 1),
        )
        for top, left in itertools.product(
            *(range(0, taps * apart, apart) for taps, apart in zip(size, dilation, strict=True))
        )
    ]


def _weighted_sum(taps: list[jax.Array], kernel: jax.Array) -> jax.Array:
    """Slices [b, h, w, c] times their weights, [kh, kw, 1, c] row by row; in the slices' dtype."""
    weights = _wide(kernel).reshape(len(taps), 1, 1, -1)
    terms = (
        _wide(tap) * lax.slice_in_dim(weights, index, index + 1) for index, tap in enumerate(taps)
    )
    return functools.reduce(operator.add, terms).astype(taps[0].dtype)


def _cached_images(batch: int, size: int) -> int:
    """How many images of `size` bytes to go through at once: those that a core's cache keeps."""
    images = batch
    while images % 2 == 0 and images > 2**HALVINGS and images * size > _CACHE:
        images //= 2
    return images


def _halve(x: jax.Array) -> jax.Array:
    """Sums of batch rows: [b, ...] to [b / 2**HALVINGS, ...], or as far as b can be halved."""
    for _ in range(HALVINGS):
        half, rest = divmod(x.shape[0], 2)
        if rest:
            break
        x = lax.slice_in_dim(x, 0, half) + lax.slice_in_dim(x, half, 2 * half)
    return x
