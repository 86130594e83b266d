"""Layers of the networks. Images are [batch, height, width, channels].

Padding is PyTorch's or TensorFlow's SAME, which differ at stride 2: each network's is that of the
code that defined it, so that it samples the same pixels.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn import kernels
from jaxnas.nn.kernels import pair

BATCH_NORM_MOMENTUM = 0.9


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> kernels.Sides:
    """TensorFlow's SAME along one side: ceil(size / stride) outputs, the odd pixel at the end."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def symmetric_padding(window: int, dilation: int = 1) -> kernels.Sides:
    """PyTorch's along one side: ceil(size / stride) outputs where the window is odd."""
    return (window - 1) * dilation // 2, (window - 1) * dilation // 2


def pads(
    padding: str,
    shape: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, int],
    dilation: int = 1,
) -> kernels.Padding:
    """((top, bottom), (left, right)) of a window over images [b, h, w, c]."""
    sides = []
    for size, length, stride in zip(shape[1:3], window[:2], strides, strict=True):
        match padding:
            case "symmetric":
                sides.append(symmetric_padding(length, dilation))
            case "same":
                sides.append(same_padding(size, length, stride, dilation))
            case "valid":  # an image smaller than the window has one window all the same
                sides.append((0, 0) if size >= length else same_padding(size, length, stride))
            case _:
                raise ValueError(f"padding {padding!r} is not symmetric, same or valid")
    return sides[0], sides[1]


def run_alone(
    module: nn.Module, variables: Any, x: jax.Array, train: bool, *more: jax.Array
) -> tuple[jax.Array, Any]:
    """The output of a module that stands alone, and its batch statistics after it."""
    if not train:
        out: Any = module.apply(variables, x, False, *more)
        return out, variables["batch_stats"]
    out, changed = module.apply(variables, x, True, *more, mutable=["batch_stats"])
    # No gradient goes through them: a program of this module alone would compute their tangents.
    return out, jax.lax.stop_gradient(changed.get("batch_stats", {}))


class Conv(nn.Module):
    """A convolution without bias: [b, h, w, c] to [b, h', w', features].

    With padding, h' = ceil(h / stride); without, h' = (h - kernel) // stride + 1, at least 1.

    Attributes:
      features: output channels.
      kernel: its side, or (height, width).
      stride: of both sides, or (height's, width's).
      depthwise: one filter for each channel; `features` must equal the input's channels.
      dilation: distance of neighbouring taps.
      padding: ``symmetric`` (PyTorch's), ``same`` (TensorFlow's) or ``valid`` (none, but around
        images that are smaller than the kernel).
    """

    features: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    depthwise: bool = False
    dtype: Any = jnp.float32
    dilation: int = 1
    padding: str = "symmetric"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inputs = 1 if self.depthwise else x.shape[-1]
        kernel = self.param(
            "kernel", nn.initializers.he_normal(), (*pair(self.kernel), inputs, self.features)
        )
        x, kernel, strides = x.astype(self.dtype), kernel.astype(self.dtype), pair(self.stride)
        if kernel.shape[:2] == (1, 1) and not self.depthwise:
            # As a matrix product: XLA's gradient of a 1x1 convolution is several times slower on a
            # CPU, that of a strided one tens of times. All pixels on one axis: on three, the
            # weights' gradient would first transpose its operand, slower than all the rest.
            x = x[:, :: strides[0], :: strides[1], :]
            return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)
        padding = pads(self.padding, x.shape, kernel.shape, strides, self.dilation)
        if self.depthwise:
            return kernels.depthwise(x, kernel, strides, self.dilation, padding)
        return kernels.dense(x, kernel, strides, self.dilation, padding)

    def macs(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> int:
        """Multiply-adds for one image, [..., h, w, c] in and out, borders counted in full."""
        inputs = 1 if self.depthwise else input_shape[-1]
        return math.prod(output_shape[-3:]) * math.prod(pair(self.kernel)) * inputs


class Dense(nn.Module):
    """An affine layer: [b, c] to float32 [b, features]."""

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        out = x.astype(jnp.float32) @ kernel
        if not self.use_bias:
            return out
        return out + self.param("bias", nn.initializers.zeros, (self.features,))

    def macs(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> int:
        """Multiply-adds for one row, [..., c] in and out."""
        return input_shape[-1] * output_shape[-1]


class Activation(nn.Module):
    """One of `ACTIVATIONS`; a module, so that `flax.linen.intercept_methods` sees it."""

    kind: str

    def __call__(self, x: jax.Array) -> jax.Array:
        return {"relu": nn.relu, "relu6": nn.relu6, "silu": nn.silu}[self.kind](x)


def pad_shortcut(x: jax.Array, features: int, stride: int | tuple[int, int]) -> jax.Array:
    """Option A of He et al. 2016: subsampled, and zero channels on both sides up to `features`."""
    height, width = pair(stride)
    x = x[:, ::height, ::width, :]
    extra = features - x.shape[-1]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))


def concatenate(images: Sequence[jax.Array]) -> jax.Array:
    """Images [b, h, w, c] of any sizes side by side in the channels, those of the first in front.

    The smaller have zeros around them, an odd one below or on the right. Zoph & Le 2017 pad the
    smaller with zeros; that they stand in the middle is this project's choice.
    """
    largest = [max(image.shape[axis] for image in images) for axis in (1, 2)]
    padded = []
    for image in images:
        missing = [side - own for side, own in zip(largest, image.shape[1:3], strict=True)]
        sides = [(each // 2, each - each // 2) for each in missing]
        padded.append(jnp.pad(image, ((0, 0), *sides, (0, 0))) if any(missing) else image)
    return jnp.concatenate(padded, -1)


class Noise(NamedTuple):
    """What training may switch off at random.

    Attributes:
      key: typed key; equal keys switch off the same.
      drop_path: float32 scalar, the probability that an operation's output is left out for an
        image. Identities are never left out. In the nasnet family it grows linearly with depth up
        to this value (Zoph et al. 2018, ScheduledDropPath); let it grow with the step for the rest.
      dropout: float32 scalar, the probability that an input of the classifier is.
    """

    key: jax.Array
    drop_path: jax.Array | float = 0.0
    dropout: jax.Array | float = 0.0


def drop_path(key: jax.Array, rate: jax.Array | float, x: jax.Array) -> jax.Array:
    """Zeroes `x` [b, ...] for each image with probability `rate`, and scales what is left."""
    return dropped(key, rate, x, (x.shape[0],) + (1,) * (x.ndim - 1))


def dropped(
    key: jax.Array, rate: jax.Array | float, x: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """`x` times a mask of that shape, of zeros with probability `rate` and mean 1."""
    keep = 1.0 - jnp.asarray(rate, jnp.float32)
    alive = jax.random.uniform(key, shape) < keep
    return x * (alive / keep).astype(x.dtype)


class BatchNorm(nn.Module):
    """Batch norm over all but the last axis; statistics in float32 in ``batch_stats``.

    A gate is folded into scale and bias: it weights the output at no cost, forward or backward.
    Without `affine` there are no learned scale and bias. Where training gives it one value for each
    channel, a batch of 1 at a size of 1x1, it warns: what it passes on is its bias alone.
    """

    dtype: Any = jnp.float32
    epsilon: float = 1e-5
    affine: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, gate: jax.Array | None = None) -> jax.Array:
        features = x.shape[-1:]
        scale, bias = jnp.ones(features), jnp.zeros(features)
        if self.affine:
            scale = self.param("scale", nn.initializers.ones, features)
            bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        if train:
            if x.size == x.shape[-1] and not self.is_initializing():
                warnings.warn(
                    "a batch norm sees one value for each channel (a batch of 1 at a size of 1x1), "
                    "whose mean leaves nothing of it: nothing is learned through it; use a batch "
                    "size of at least 2, or larger images",
                    stacklevel=2,
                )
            wide = x.astype(jnp.float32)
            axes = tuple(range(x.ndim - 1))
            mean = wide.mean(axes)
            var = jnp.maximum((wide * wide).mean(axes) - mean * mean, 0.0)
            if not self.is_initializing():
                for running, batch in ((running_mean, mean), (running_var, var)):
                    running.value = (
                        BATCH_NORM_MOMENTUM * running.value + (1 - BATCH_NORM_MOMENTUM) * batch
                    )
        else:
            mean, var = running_mean.value, running_var.value
        if gate is not None:
            scale, bias = gate * scale, gate * bias
        scale = scale * jax.lax.rsqrt(var + self.epsilon)
        return (x * scale + (bias - mean * scale)).astype(self.dtype)


@jax.custom_vjp
def _times(x: jax.Array, gate: jax.Array) -> jax.Array:
    return x * gate.astype(x.dtype)


def _times_forward(x: jax.Array, gate: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    # Not _times: a gradient could not be differentiated forward through a custom_vjp.
    return x * gate.astype(x.dtype), (x, gate)


def _times_backward(
    saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, gate = saved
    # A product of vectors: as a sum of products XLA adds up one number after the other on a CPU.
    return gradient * gate.astype(gradient.dtype), jnp.vdot(
        gradient, x, preferred_element_type=jnp.float32
    )


_times.defvjp(_times_forward, _times_backward)


def weighted(x: jax.Array, gate: jax.Array | None) -> jax.Array:
    """`x` times a float32 scalar gate, in `x`'s dtype; `x` itself without one."""
    return x if gate is None else _times(x, gate)


def runtime_one(x: jax.Array) -> jax.Array | None:
    """On a CPU a 1.0 that the compiler cannot know to be one, for `materialise`; else None."""
    if jax.default_backend() != "cpu":
        return None
    return jax.lax.stop_gradient(1.0 + 0.0 * x.reshape(-1)[0])


def materialise(x: jax.Array, one: jax.Array | None) -> jax.Array:
    """`x`, bit for bit, computed once.

    XLA's CPU compiler fuses a copy of a value's whole elementwise history into each of its users;
    along a chain of shortcuts that repeats most of the network. It drops optimization barriers
    before it fuses, but does not copy a division.
    """
    return x if one is None else x / one.astype(x.dtype)
