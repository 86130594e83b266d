"""Residual and inverted-residual networks: ResNet, MobileNetV2, ProxylessNAS and MnasNet."""

from __future__ import annotations

import dataclasses
import functools
import re
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
    name: str, blocks: Sequence[int], *, width: int = 64, bottleneck: bool = False
) -> Genotype:
    """A ResNet for ImageNet (He et al. 2016, table 1) with the stem for images of 32x32.

    The stem is a 3x3 convolution of stride 1, and no pooling follows it. A shortcut is the identity
    or, where the shape changes, a 1x1 convolution. A bottleneck's 3x3 convolution has the stride.

    Args:
      name: of the genotype.
      blocks: how many of each stage; every stage but the first halves the image and doubles the
        channels.
      width: of the stem and of the first stage's 3x3 convolutions.
      bottleneck: whether a block is 1x1, 3x3 and 1x1 convolutions, the last of four times the
        channels, instead of two of 3x3.
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
    return Genotype(name=name, family="residual", stem=width, cells=cells, blocks=tuple(places))


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


def mobilenet_v2() -> Genotype:
    """MobileNetV2 for 32x32 images.

    Stem and first stages have stride 1, the activation is ReLU, and every block of stride 1 has a
    shortcut: the identity, or a 1x1 convolution where the channels change.
    """

    def cell(name: str, expansion: int, shortcut: str) -> Cell:
        return Cell(
            name=name,
            inputs=1,
            nodes=(
                Node(expansion=expansion, strided=False, relu=True),
                Node(expansion=expansion, relu=True),
                Node(),
            ),
            edges=(
                Edge("conv_1x1", 0, 1),
                Edge("depthwise_conv_3x3", 1, 2),
                *([] if shortcut == "" else [Edge(shortcut, 0, 3)]),
                Edge("conv_1x1", 2, 3),
            ),
            output=(3,),
        )

    # (expansion, channels, blocks, stride of the first)
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    blocks = []
    for expansion, channels, count, stride in stages:
        if expansion == 1:
            first = "first"
        else:
            first = "reduction" if stride == 2 else "widening"
        blocks += [Block(first, channels, stride)] + [Block("normal", channels)] * (count - 1)
    return Genotype(
        name="mobilenet_v2",
        family="residual",
        stem=32,
        cells=(
            cell("first", 1, "conv_1x1"),
            cell("widening", 6, "conv_1x1"),
            cell("reduction", 6, ""),
            cell("normal", 6, SKIP),
        ),
        blocks=tuple(blocks),
        head=1280,
    )


def inverted_chain(
    name: str,
    blocks: str,
    *,
    stem: int,
    head: int,
    activation: Literal["relu", "relu6"] = "relu",
    epsilon: float = 1e-5,
    small: bool = False,
    shared: bool = False,
) -> Genotype:
    """A chain of inverted-residual blocks, as ProxylessNAS and MnasNet find them.

    A block has an identity shortcut where its stride is 1 and its channels do not change. One of
    expansion 1 has no widening convolution.

    Args:
      name: of the genotype.
      blocks: one word a block: ``k5e3c32s2``, that is kernel 5x5, expansion 3, 32 channels, stride
        2; followed by ``q`` with squeeze-and-excitation of a quarter of the block's input channels
        and by ``n`` without a shortcut in spite of equal shapes.
      stem: channels of the stem.
      head: channels of the head.
      activation: ``relu`` or ``relu6``.
      epsilon: of batch norm.
      small: for images of 32x32: the stem and the first block of stride 2 have stride 1 instead, as
        in MobileNetV2's form for CIFAR (this project's choice).
      shared: whether equal blocks share a cell; else each has a cell of its own, and adapting cell
        by cell is adapting the whole network.
    """
    cells: dict[str, Cell] = {}
    places = []
    width, keep = stem, small
    for word in blocks.split():
        found = re.fullmatch(r"k(\d)e(\d)c(\d+)s([12])(q?)(n?)", word)
        if found is None:
            raise ValueError(f"block {word!r} of {name!r} is not of the form k3e6c32s1")
        kernel, expansion, channels, stride = map(int, found.groups()[:4])
        shortcut = stride == 1 and channels == width and not found[6]
        if stride == 2 and keep:
            stride, keep = 1, False
        cell = inverted_cell(kernel, expansion, bool(found[5]), shortcut)
        if not shared:
            cell = dataclasses.replace(cell, name=f"{len(places)}_{cell.name}")
        cells[cell.name] = cell
        places.append(Block(cell.name, channels, stride))
        width = channels
    return Genotype(
        name=name,
        family="residual",
        stem=stem,
        cells=tuple(cells.values()),
        blocks=tuple(places),
        head=head,
        stem_form="small" if small else "strided",
        activation=activation,
        epsilon=epsilon,
    )


def inverted_cell(kernel: int, expansion: int, excited: bool, shortcut: bool) -> Cell:
    """The cell of a block of `inverted_chain`: widen, depthwise, (excite,) narrow.

    Args:
      kernel: side of the depthwise convolution.
      expansion: how many times the input's channels lie inside.
      excited: whether there is squeeze-and-excitation.
      shortcut: whether there is an identity around them.
    """
    ops = [] if expansion == 1 else ["conv_1x1"]
    ops.append(f"depthwise_conv_{kernel}x{kernel}")
    nodes = [Node(expansion, strided=False, relu=True)] * (expansion > 1)
    nodes.append(Node(expansion, relu=True))
    if excited:
        ops.append(f"squeeze_excite_{4 * expansion}")
        nodes.append(Node(expansion))
    ops.append("conv_1x1")
    edges = [Edge(op, index, index + 1) for index, op in enumerate(ops)]
    if shortcut:
        edges.insert(-1, Edge(SKIP, 0, len(ops)))
    name = f"k{kernel}e{expansion}" + "q" * excited + ("_shortcut" if shortcut else "")
    return Cell(name, 1, (*nodes, Node()), tuple(edges), (len(ops),))


# Cai et al. 2019; the layers that their search left out (Zero) are left out here.
_PROXYLESS = {
    "mobile": (
        32,
        1280,
        "k3e1c16s1 k5e3c32s2 k3e3c32s1 k7e3c40s2 k3e3c40s1 k5e3c40s1 k5e3c40s1 k7e6c80s2 k5e3c80s1 "
        "k5e3c80s1 k5e3c80s1 k5e6c96s1 k5e3c96s1 k5e3c96s1 k5e3c96s1 k7e6c192s2 k7e6c192s1 "
        "k7e3c192s1 k7e3c192s1 k7e6c320s1",
    ),
    "gpu": (
        40,
        1728,
        "k3e1c24s1 k5e3c32s2 k7e3c56s2 k3e3c56s1 k7e6c112s2 k5e3c112s1 k5e6c128s1 k3e3c128s1 "
        "k5e3c128s1 k7e6c256s2 k7e6c256s1 k7e6c256s1 k5e6c256s1 k7e6c432s1",
    ),
    "cpu": (
        40,
        1432,
        "k3e1c24s1 k3e6c32s2 k3e3c32s1 k3e3c32s1 k3e3c32s1 k3e6c48s2 k3e3c48s1 k3e3c48s1 k5e3c48s1 "
        "k3e6c88s2 k3e3c88s1 k5e6c104s1 k3e3c104s1 k3e3c104s1 k3e3c104s1 k5e6c216s2 k5e3c216s1 "
        "k5e3c216s1 k3e3c216s1 k5e6c360s1",
    ),
    "mobile_14": (
        48,
        1792,
        "k3e1c24s1 k5e3c40s2 k3e3c40s1 k7e3c56s2 k3e3c56s1 k5e3c56s1 k5e3c56s1 k7e6c112s2 "
        "k5e3c112s1 k5e3c112s1 k5e3c112s1 k5e6c136s1 k5e3c136s1 k5e3c136s1 k5e3c136s1 k7e6c256s2 "
        "k7e6c256s1 k7e3c256s1 k7e3c256s1 k7e6c448s1",
    ),
}


def proxyless(target: str, small: bool = False) -> Genotype:
    """ProxylessNAS's network for ``mobile``, ``gpu``, ``cpu`` or ``mobile_14``.

    Args:
      target: which.
      small: for images of 32x32, see `inverted_chain`.
    """
    stem, head, blocks = _PROXYLESS[target]
    name = f"proxyless_{target}" + ("_cifar" if small else "")
    return inverted_chain(
        name, blocks, stem=stem, head=head, activation="relu6", epsilon=1e-3, small=small
    )


# Tan et al. 2019: (kernel, expansion, channels, blocks, stride of the first, excited).
_MNASNET = {
    "b1": (
        (3, 3, 24, 3, 2, ""),
        (5, 3, 40, 3, 2, ""),
        (5, 6, 80, 3, 2, ""),
        (3, 6, 96, 2, 1, ""),
        (5, 6, 192, 4, 2, ""),
        (3, 6, 320, 1, 1, ""),
    ),
    "a1": (
        (3, 6, 24, 2, 2, ""),
        (5, 3, 40, 3, 2, "q"),
        (3, 6, 80, 4, 2, ""),
        (3, 6, 112, 2, 1, "q"),
        (5, 6, 160, 3, 2, "q"),
        (3, 6, 320, 1, 1, ""),
    ),
}


def mnasnet(variant: Literal["a1", "b1"]) -> Genotype:
    """MnasNet-A1 (with squeeze-and-excitation) or -B1, for ImageNet."""
    blocks = ["k3e1c16s1n"] + [
        f"k{kernel}e{expansion}c{channels}s{1 if index else stride}{excited}"
        for kernel, expansion, channels, count, stride, excited in _MNASNET[variant]
        for index in range(count)
    ]
    return inverted_chain(f"mnasnet_{variant}", " ".join(blocks), stem=32, head=1280, shared=True)


ENTRIES: dict[str, Callable[..., Genotype]] = {
    "resnet20": lambda: resnet(20),
    "resnet20_b": lambda: resnet(20, "B"),
    "resnet56": lambda: resnet(56),
    "resnet56_b": lambda: resnet(56, "B"),
    "plain20": lambda: plain(20),
    "resnet18": lambda: staged_resnet("resnet18", (2, 2, 2, 2)),
    "resnet34": lambda: staged_resnet("resnet34", (3, 4, 6, 3)),
    "resnet50": lambda: staged_resnet("resnet50", (3, 4, 6, 3), bottleneck=True),
    "mobilenet_v2": mobilenet_v2,
    **{
        f"proxyless_{target}{'_cifar' if small else ''}": functools.partial(
            proxyless, target, small
        )
        for target in _PROXYLESS
        for small in (False, True)
    },
    "mnasnet_a1": lambda: mnasnet("a1"),
    "mnasnet_b1": lambda: mnasnet("b1"),
}
"""Genotypes by name."""
