"""ResNets, for small images and for ImageNet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Edge, Genotype, Node


def resnet(depth: int, shortcut: Literal["A", "B"] = "A") -> Genotype:
    """ResNet of 6n+2 layers for small images.

    Args:
      depth: 20, 32, 44, 56 or 110: 6n+2.
      shortcut: what a shortcut is where the shape changes: option A, subsampling and zero padding
        (no parameters), or option B, a 1x1 convolution.

    Raises:
      ValueError: if `depth` is not 6n+2.
    """
    down = {"A": "pad_shortcut", "B": "conv_1x1"}[shortcut]
    return _residual(f"resnet{depth}" + ("" if shortcut == "A" else "_b"), depth, SKIP, down)


def plain(depth: int) -> Genotype:
    """The ResNet of `depth` layers with its shortcuts as null edges, the plain net of He et al.

    Raises:
      ValueError: if `depth` is not 6n+2.
    """
    return _residual(f"plain{depth}", depth, NULL, NULL)


def _residual(name: str, depth: int, shortcut: str, down_shortcut: str) -> Genotype:
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"a ResNet for small images has 6n+2 layers, not {depth}")
    blocks = tuple(
        Block("reduction", channels, 2) if stage and not index else Block("normal", channels)
        for stage, channels in enumerate((16, 32, 64))
        for index in range((depth - 2) // 6)
    )
    return Genotype(
        name=name,
        family="residual",
        stem=16,
        cells=(_basic("normal", shortcut), _basic("reduction", down_shortcut)),
        blocks=blocks,
    )


def _basic(name: str, shortcut: str) -> Cell:
    return Cell(
        name=name,
        inputs=1,
        nodes=(Node(relu=True), Node(relu=True)),
        edges=(Edge("conv_3x3", 0, 1), Edge(shortcut, 0, 2), Edge("conv_3x3", 1, 2)),
        output=(2,),
    )


def staged_resnet(
    name: str,
    blocks: Sequence[int],
    *,
    width: int = 64,
    bottleneck: bool = False,
    small: bool = True,
) -> Genotype:
    """A ResNet for ImageNet (He et al. 2016, table 1), by default with the stem for 32x32 images.

    A shortcut is the identity or, where the shape changes, a 1x1 convolution. A bottleneck's 3x3
    convolution has the stride, as in torchvision's version 1.5.

    Args:
      name: of the genotype.
      blocks: how many of each stage; every stage but the first halves the image and doubles the
        channels.
      width: of the stem and of the first stage's 3x3 convolutions.
      bottleneck: whether a block is 1x1, 3x3 and 1x1 convolutions, the last of four times the
        channels, instead of two of 3x3.
      small: whether the stem is a 3x3 convolution of stride 1, without pooling behind it; else it
        is ImageNet's, a 7x7 convolution and a 3x3 max pooling, both of stride 2.
    """
    if bottleneck:
        # The first block's input is as wide as the inside, and its first node says so: there an
        # identity needs no convolution.
        cells = (
            _bottleneck("widening", Node(expansion=1, strided=False, relu=True), "conv_1x1"),
            _bottleneck("normal", Node(squeeze=4, strided=False, relu=True), SKIP),
            _bottleneck("reduction", Node(squeeze=4, strided=False, relu=True), "conv_1x1"),
        )
    else:
        cells = _basic("normal", SKIP), _basic("reduction", "conv_1x1")
    places = []
    for stage, count in enumerate(blocks):
        channels = 2**stage * width * (4 if bottleneck else 1)
        first = Block("reduction", channels, 2) if stage else Block(cells[0].name, channels)
        places += [first] + [Block("normal", channels)] * (count - 1)
    return Genotype(
        name=name,
        family="residual",
        stem=width,
        cells=cells,
        blocks=tuple(places),
        stem_form="small" if small else "pooled",
    )


def _bottleneck(name: str, narrow: Node, shortcut: str) -> Cell:
    return Cell(
        name=name,
        inputs=1,
        nodes=(narrow, Node(squeeze=4, relu=True), Node(relu=True)),
        edges=(
            Edge("conv_1x1", 0, 1),
            Edge("conv_3x3", 1, 2),
            Edge(shortcut, 0, 3),
            Edge("conv_1x1", 2, 3),
        ),
        output=(3,),
    )


_STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}

ENTRIES: dict[str, Callable[..., Genotype]] = {
    "resnet20": lambda: resnet(20),
    "resnet20_b": lambda: resnet(20, "B"),
    "resnet56": lambda: resnet(56),
    "resnet56_b": lambda: resnet(56, "B"),
    "plain20": lambda: plain(20),
    **{
        f"resnet{depth}{form}": functools.partial(
            staged_resnet,
            f"resnet{depth}{form}",
            blocks,
            bottleneck=depth == 50,
            small=form != "_imagenet",
        )
        for form in ("", "_cifar", "_imagenet")
        for depth, blocks in _STAGES.items()
    },
}
"""Genotypes by name."""
