"""Operations of the networks. Images are [batch, height, width, channels]; padding is SAME as
PyTorch has it (the same on all sides), so that stride 2 samples the pixels the papers' code does.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-5


class Conv(nn.Module):
    """A convolution without bias: [b, h, w, c] to [b, ceil(h/s), ceil(w/s), features].

    Attributes:
      features: output channels.
      kernel: its side, odd.
      stride: 1 or 2.
      depthwise: one filter for each channel; `features` must equal the input's channels.
    """

    features: int
    kernel: int
    stride: int = 1
    depthwise: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inputs = 1 if self.depthwise else x.shape[-1]
        kernel = self.param(
            "kernel", nn.initializers.he_normal(), (self.kernel, self.kernel, inputs, self.features)
        )
        if self.kernel == 1 and not self.depthwise:
            # As a matrix product: XLA's gradient of a 1x1 convolution is several times slower on a
            # CPU, that of a strided one tens of times.
            x = x[:, :: self.stride, :: self.stride, :]
            return x.astype(self.dtype) @ kernel[0, 0].astype(self.dtype)
        pad = self.kernel // 2
        return jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            (self.stride, self.stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1] if self.depthwise else 1,
        )

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Multiply-adds for one image of `input_shape` [..., h, w, c], borders counted in full."""
        height, width, channels = input_shape[-3:]
        positions = -(-height // self.stride) * -(-width // self.stride)
        inputs = 1 if self.depthwise else channels
        return positions * self.kernel**2 * inputs * self.features


class Dense(nn.Module):
    """An affine layer: [b, c] to float32 [b, features]."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return x.astype(jnp.float32) @ kernel + bias

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Multiply-adds for one row of `input_shape` [..., c]."""
        return input_shape[-1] * self.features


class Op(nn.Module):
    """One operation on an edge: an optional ReLU, convolutions and batch norms.

    Attributes:
      op: the operation's name (`spaces.genotype.OPERATIONS`), never ``null``.
      features: channels of the target node.
      stride: 1, or 2 where the edge carries its block's stride.
      relu_first: ReLU before each convolution, as in the darts family.
    """

    op: str
    features: int
    stride: int
    relu_first: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, gate: jax.Array | None = None) -> jax.Array:
        """The operation's output times `gate`, a float32 scalar, where there is one."""
        match self.op:
            case "skip_connect":
                if self.stride == 1 and x.shape[-1] == self.features:
                    return weighted(x, gate)
                return self._norm(self._project(self._relu(x)), train, gate)
            case "pad_shortcut":
                return weighted(pad_shortcut(x, self.features, self.stride), gate)
            case "conv_1x1" | "conv_3x3":
                kernel = int(self.op[5])
                conv = Conv(self.features, kernel, self.stride, dtype=self.dtype, name="conv")
                return self._norm(conv(self._relu(x)), train, gate)
            case "depthwise_conv_3x3":
                x = Conv(
                    self.features, 3, self.stride, depthwise=True, dtype=self.dtype, name="conv"
                )(self._relu(x))
                return self._norm(x, train, gate)
            case "sep_conv_3x3":
                for index, stride in enumerate((self.stride, 1)):
                    x = self._relu(x)
                    x = Conv(x.shape[-1], 3, stride, True, self.dtype, name=f"depthwise_{index}")(x)
                    x = Conv(self.features, 1, dtype=self.dtype, name=f"pointwise_{index}")(x)
                    last = gate if index else None
                    x = BatchNorm(self.dtype, name=f"norm_{index}")(x, train, last)
                return x
            case _:
                raise ValueError(f"operation {self.op!r} has no implementation")

    def _relu(self, x: jax.Array) -> jax.Array:
        return nn.relu(x) if self.relu_first else x

    def _norm(self, x: jax.Array, train: bool, gate: jax.Array | None) -> jax.Array:
        return BatchNorm(self.dtype, name="norm")(x, train, gate)

    def _project(self, x: jax.Array) -> jax.Array:
        """An identity between shapes: a 1x1 convolution, at stride 2 a factorized reduction."""
        if self.stride == 1:
            return Conv(self.features, 1, dtype=self.dtype, name="conv")(x)
        half = self.features // 2
        # The second half sees the pixels that the first one leaves out; the padding keeps an odd
        # side at ceil(side / 2).
        shifted = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:, :]
        return jnp.concatenate(
            [
                Conv(half, 1, 2, dtype=self.dtype, name="conv_even")(x),
                Conv(self.features - half, 1, 2, dtype=self.dtype, name="conv_odd")(shifted),
            ],
            axis=-1,
        )


def pad_shortcut(x: jax.Array, features: int, stride: int) -> jax.Array:
    """Option A of He et al. 2016: subsampled, and zero channels on both sides up to `features`."""
    x = x[:, ::stride, ::stride, :]
    extra = features - x.shape[-1]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))


class BatchNorm(nn.Module):
    """Batch norm over all but the last axis; statistics in float32 in ``batch_stats``.

    A gate is folded into scale and bias: it weights the output at no cost, forward or backward.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, gate: jax.Array | None = None) -> jax.Array:
        features = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        if train:
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
        scale = scale * jax.lax.rsqrt(var + BATCH_NORM_EPSILON)
        return (x * scale + (bias - mean * scale)).astype(self.dtype)


@jax.custom_vjp
def _times(x: jax.Array, gate: jax.Array) -> jax.Array:
    return x * gate.astype(x.dtype)


def _times_forward(x: jax.Array, gate: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _times(x, gate), (x, gate)


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
