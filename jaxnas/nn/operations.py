"""The operations on the edges of a cell: what their names mean in each family."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn import kernels
from jaxnas.nn.kernels import pair
from jaxnas.nn.layers import Activation, BatchNorm, Conv, Dense, pad_shortcut, pads, weighted
from jaxnas.spaces.families import FAMILIES, Family
from jaxnas.spaces.genotype import Genotype


@dataclasses.dataclass(frozen=True)
class Style:
    """What all layers of a network have in common.

    Attributes:
      family: of the genotype.
      activation: one of `ACTIVATIONS`.
      epsilon: of batch norm.
      dtype: of the computation.
      search: whether it is a supernet's in DARTS's manner: batch norms without scale and bias, and
        one behind each pooling.
    """

    family: str
    activation: str
    epsilon: float
    dtype: Any
    search: bool = False

    @classmethod
    def of(cls, genotype: Genotype, dtype: Any) -> Style:
        """The style of a genotype's network."""
        return cls(genotype.family, genotype.activation, genotype.epsilon, dtype)

    @property
    def rules(self) -> Family:
        """What the networks of the family have in common."""
        return FAMILIES[self.family]

    def conv(self, features: int, kernel: int | tuple[int, int], name: str, **options: Any) -> Conv:
        """A convolution of this style."""
        padding = self.rules.padding
        return Conv(features, kernel, dtype=self.dtype, name=name, padding=padding, **options)

    def norm(self, name: str) -> BatchNorm:
        """A batch norm of this style."""
        return BatchNorm(self.dtype, self.epsilon, not self.search, name=name)

    def activate(self, x: jax.Array) -> jax.Array:
        """The genotype's activation."""
        return Activation(self.activation)(x)


class Op(nn.Module):
    """One operation on an edge: an optional ReLU, convolutions and batch norms, or pooling.

    Attributes:
      op: the operation's name (`spaces.families.FAMILIES`), never ``null``.
      features: channels of the target node.
      stride: 1, or where the edge carries its block's stride 2, or height's and width's.
      style: of the network.
    """

    op: str
    features: int
    stride: int | tuple[int, int]
    style: Style

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, gate: jax.Array | None = None) -> jax.Array:
        """The operation's output times `gate`, a float32 scalar, where there is one."""
        style = self.style
        found = re.fullmatch(r"(.*?)((?:_\d+x\d+)*|_\d+)", self.op)
        assert found is not None
        kind = found[1]
        sizes = [_sides(size) for size in found[2].strip("_").split("_") if size]
        match kind:
            case "skip_connect":
                if pair(self.stride) == (1, 1) and x.shape[-1] == self.features:
                    return weighted(x, gate)
                return self._norm(self._project(x), train, gate)
            case "pad_shortcut":
                return weighted(pad_shortcut(x, self.features, self.stride), gate)
            case "squeeze_excite":
                return weighted(self._excite(x, sizes[0][0]), gate)
            case "max_pool" | "avg_pool" | "padded_max_pool" | "padded_avg_pool" | "avg_pool_conv":
                return self._pool(kind, sizes[0], x, train, gate)
            case "depthwise_conv":
                x = style.conv(self.features, sizes[0], "conv", stride=self.stride, depthwise=True)(
                    x
                )
                return self._norm(x, train, gate)
            case "sep_conv":
                return self._separable(x, sizes[0], 2, 1, train, gate)
            case "dil_sep_conv":
                return self._separable(x, sizes[0], 2, 2, train, gate)
            case "dil_conv" if style.rules.separable_dilated:
                return self._separable(x, sizes[0], 1, 2, train, gate)
            case "conv" | "dil_conv":
                dilation = 2 if kind == "dil_conv" else 1
                return self._convolve(x, sizes, self.features, dilation, "", train, gate)
            case "bottleneck_conv" | "bottleneck_dil_conv":
                # A quarter of the channels, three eighths for 1x3 (AmoebaNet's code).
                inner = max(1, self.features * 3 // 8 if (1, 3) in sizes else self.features // 4)
                dilation = 2 if "dil" in kind else 1
                x = style.conv(inner, 1, "reduce")(style.activate(x))
                x = style.norm("norm_reduce")(x, train)
                x = self._convolve(x, sizes, inner, dilation, "_inner", train, None)
                x = style.conv(self.features, 1, "expand")(style.activate(x))
                return self._norm(x, train, gate)
            case _:
                raise ValueError(f"operation {self.op!r} has no implementation")

    def _relu(self, x: jax.Array) -> jax.Array:
        return self.style.activate(x) if self.style.rules.relu_first else x

    def _norm(self, x: jax.Array, train: bool, gate: jax.Array | None) -> jax.Array:
        return self.style.norm("norm")(x, train, gate)

    def _convolve(
        self,
        x: jax.Array,
        sizes: list[Any],
        features: int,
        dilation: int,
        suffix: str,
        train: bool,
        gate: jax.Array | None,
    ) -> jax.Array:
        """A convolution, or 1xk and kx1 in a row; stride 2 is split over the two."""
        style = self.style
        x = self._relu(x)
        for index, size in enumerate(sizes):
            last = index == len(sizes) - 1
            strides = zip(size, pair(self.stride), strict=True)
            stride = tuple(1 if len(sizes) > 1 and k == 1 else step for k, step in strides)
            name = "conv" + suffix + (f"_{index}" if len(sizes) > 1 else "")
            x = style.conv(features, size, name, stride=stride, dilation=dilation)(x)
            if last:
                return style.norm("norm" + suffix)(x, train, gate)
            if style.rules.normed_pairs:
                x = style.activate(style.norm(f"norm{suffix}_{index}")(x, train))
        raise AssertionError("an operation without a size")

    def _separable(
        self,
        x: jax.Array,
        size: Any,
        repeats: int,
        dilation: int,
        train: bool,
        gate: jax.Array | None,
    ) -> jax.Array:
        """ReLU, depthwise, pointwise, batch norm, `repeats` times; the first has the stride."""
        style = self.style
        for index in range(repeats):
            stride = self.stride if index == 0 else 1
            x = style.conv(
                x.shape[-1],
                size,
                f"depthwise_{index}",
                stride=stride,
                depthwise=True,
                dilation=dilation,
            )(style.activate(x))
            x = style.conv(self.features, 1, f"pointwise_{index}")(x)
            x = style.norm(f"norm_{index}")(x, train, gate if index == repeats - 1 else None)
        return x

    def _pool(
        self, kind: str, size: Any, x: jax.Array, train: bool, gate: jax.Array | None
    ) -> jax.Array:
        """Pooling, and a projection: where the channels change, of ``avg_pool_conv`` always."""
        strides = pair(self.stride)
        # An even window has no middle: an odd pixel at the end has a window of its own.
        form = self.style.rules.padding if size[0] % 2 else "same"
        padding = pads(form, x.shape, size, strides)
        if kind.startswith("padded"):  # its windows see the padding, as zeros
            x, padding = jnp.pad(x, ((0, 0), *padding, (0, 0))), kernels.NO_PADDING
        pool = kernels.max_pool if kind.endswith("max_pool") else kernels.avg_pool
        x = pool(x, size, strides, padding)
        if x.shape[-1] == self.features and kind != "avg_pool_conv":
            return self._norm(x, train, gate) if self.style.search else weighted(x, gate)
        if self.style.rules.pool_relu:
            x = self.style.activate(x)
        x = self.style.conv(self.features, 1, "conv")(x)
        return self._norm(x, train, gate) if self.style.rules.pool_norm else weighted(x, gate)

    def _project(self, x: jax.Array) -> jax.Array:
        """An identity between shapes: a 1x1 convolution, at stride 2 as the family has it."""
        rules = self.style.rules
        if self.stride != rules.bare_stride:
            x = self._relu(x)
        if rules.strided_skip:
            return self.style.conv(self.features, 1, "conv", stride=self.stride)(x)
        return project(x, self.features, self.stride, self.style)

    def _excite(self, x: jax.Array, divisor: int) -> jax.Array:
        """Squeeze-and-excitation (Hu et al. 2018) with 1/`divisor` of the channels inside."""
        if pair(self.stride) != (1, 1) or self.features != x.shape[-1]:
            raise ValueError(f"{self.op} keeps an image's shape and cannot change it")
        squeezed = x.astype(jnp.float32).mean((1, 2))
        inner = Dense(max(1, x.shape[-1] // divisor), name="reduce")(squeezed)
        outer = Dense(x.shape[-1], name="expand")(self.style.activate(inner))
        return x * nn.sigmoid(outer)[:, None, None, :].astype(x.dtype)


def _sides(text: str) -> tuple[int, int]:
    """(3, 5) of "3x5", (3, 3) of "3"."""
    first, _, second = text.partition("x")
    return int(first), int(second or first)


def project(x: jax.Array, features: int, stride: int | tuple[int, int], style: Style) -> jax.Array:
    """A 1x1 convolution to `features` channels, at stride 2 the two of a factorized reduction.

    Their second half sees the pixels that the first one leaves out; the padding keeps an odd side
    at ceil(side / 2). Must be called from a compact module.
    """
    if pair(stride) == (1, 1):
        return style.conv(features, 1, "conv")(x)
    half = features // 2
    shifted = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:, :]
    return jnp.concatenate(
        [
            style.conv(half, 1, "conv_even", stride=2)(x),
            style.conv(features - half, 1, "conv_odd", stride=2)(shifted),
        ],
        axis=-1,
    )


class Match(nn.Module):
    """NASNet's factorized reduction of a state to given channels, at stride 1 a 1x1 convolution.

    Attributes:
      features: output channels.
      stride: 1 or 2.
      style: of the network.
      relu: whether ReLU comes first.
    """

    features: int
    stride: int
    style: Style
    relu: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        if self.relu:
            x = self.style.activate(x)
        x = project(x, self.features, self.stride, self.style)
        return self.style.norm("norm")(x, train)
