"""What reads the image."""

from __future__ import annotations

import jax

from jaxnas.nn import kernels
from jaxnas.nn.layers import Conv, pads
from jaxnas.nn.operations import Style
from jaxnas.spaces.genotype import Genotype


def read_image(genotype: Genotype, style: Style, x: jax.Array, train: bool) -> dict[int, jax.Array]:
    """The states before the first block: -1 the stem, -2 its older input.

    Without a stem both are the image. Must be called from a compact module.
    """
    rules = genotype.rules
    if rules.wiring == "concatenated":
        x = x.astype(style.dtype)
        return {-2: x, -1: x}
    if genotype.stem_form == "double":
        x = style.conv(genotype.stem // 2, 3, "stem_conv_0", stride=2)(x)
        x = style.activate(style.norm("stem_norm_0")(x, train))
        x = style.conv(genotype.stem, 3, "stem_conv_1", stride=2)(x)
        early = style.norm("stem_norm_1")(x, train)
        x = style.conv(genotype.stem, 3, "stem_conv_2", stride=2)(style.activate(early))
        return {-2: early, -1: style.norm("stem_norm_2")(x, train)}
    x = Conv(
        genotype.stem,
        7 if genotype.stem_form == "pooled" else 3,
        1 if genotype.stem_form == "small" else 2,
        dtype=style.dtype,
        padding="valid" if genotype.stem_form == "valid" else rules.padding,
        name="stem_conv",
    )(x)
    x = style.norm("stem_norm")(x, train)
    if rules.stem_relu:
        x = style.activate(x)
    if genotype.stem_form == "pooled":
        x = kernels.max_pool(x, 3, 2, pads(rules.padding, x.shape, (3, 3), (2, 2)))
    return {-2: x, -1: x}
