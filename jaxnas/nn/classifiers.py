"""From the maps of a network's blocks to logits: the classifier and the auxiliary one."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn import kernels
from jaxnas.nn.heads import Outputs, Representation, finish
from jaxnas.nn.layers import Conv, Dense, Noise, dropped
from jaxnas.nn.operations import Style
from jaxnas.spaces.genotype import Genotype


def classify(
    genotype: Genotype,
    outputs: Outputs,
    style: Style,
    x: jax.Array,
    train: bool,
    noise: Noise | None,
) -> jax.Array | Representation:
    """The last block's output to logits: head, pooling, classifier (or what is in its place).

    Must be called from a compact module.
    """
    if genotype.head:
        x = style.conv(genotype.head, 1, "head_conv")(x)
        x = style.activate(style.norm("head_norm")(x, train))
    if genotype.rules.final_norm:
        x = style.norm("final_norm")(x, train)
    if genotype.rules.final_relu:
        x = style.activate(x)
    x = x.astype(jnp.float32).mean((1, 2))
    if noise is not None:
        dropout_key = jax.random.fold_in(noise.key, len(genotype.blocks))
        x = dropped(dropout_key, noise.dropout, x, x.shape)
    return finish(x, outputs, train, has_bias=genotype.rules.bias)


class AuxiliaryHead(nn.Module):
    """A second classifier halfway (Zoph et al. 2018; its form in DARTS and ENAS).

    NASNet's convolution spans the whole map. That of DARTS is 2x2 and that of ENAS spans the map
    with padding; what is left of the map (nothing at 32x32 in DARTS) is averaged.
    """

    num_classes: int
    style: Style
    large: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[b, h, w, c] to logits float32 [b, num_classes]."""
        style, rules = self.style, self.style.rules
        imagenet = bool(self.large and rules.auxiliary_kernel)
        stride = 2 if imagenet else 3
        window = min(5, x.shape[1]), min(5, x.shape[2])
        x = kernels.avg_pool(style.activate(x), window, (stride, stride), ((0, 0), (0, 0)))
        x = style.norm("reduce_norm")(style.conv(128, 1, "reduce_conv")(x), train)
        sides = x.shape[1], x.shape[2]
        side = rules.auxiliary_kernel or max(sides)
        kernel, padding = (min(side, sides[0]), min(side, sides[1])), rules.auxiliary_padding
        x = Conv(768, kernel, dtype=style.dtype, padding=padding, name="conv")(style.activate(x))
        if not imagenet:  # DARTS's code for ImageNet left it out
            x = style.norm("norm")(x, train)
        x = style.activate(x).astype(jnp.float32).mean((1, 2))
        return Dense(self.num_classes, rules.bias, name="classifier")(x)
