"""Known networks as genotypes.

`resnet20`, `resnet56` (He et al. 2016, section 4.2) and `mobilenet_v2` (Sandler et al. 2018 in the
CIFAR form of kuangliu/pytorch-cifar) stand in two forms: their own, and the cell form that NAT
(Guo et al. 2019) released for them, which has null edges from the block before the last.
`plain20` is ResNet-20 with its shortcuts turned into null edges.
"""

from __future__ import annotations

from collections.abc import Callable
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

    def cell(cell_name: str, skip: str) -> Cell:
        return Cell(
            name=cell_name,
            inputs=1,
            nodes=(Node(relu=True), Node(relu=True)),
            edges=(Edge("conv_3x3", 0, 1), Edge(skip, 0, 2), Edge("conv_3x3", 1, 2)),
            output=(2,),
        )

    blocks = tuple(
        Block("reduction", channels, 2) if stage and not index else Block("normal", channels)
        for stage, channels in enumerate((16, 32, 64))
        for index in range((depth - 2) // 6)
    )
    return Genotype(
        name=name,
        family="residual",
        stem=16,
        cells=(cell("normal", shortcut), cell("reduction", down_shortcut)),
        blocks=blocks,
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


def darts_network(
    name: str, normal: Cell, reduction: Cell, *, channels: int, layers: int
) -> Genotype:
    """A network of DARTS's shape: reduction cells at 1/3 and 2/3, where channels double.

    Args:
      name: of the genotype.
      normal: cell of stride 1, called ``normal``.
      reduction: cell of stride 2, called ``reduction``.
      channels: of a node in the first cells; the stem has three times as many.
      layers: number of cells.
    """
    blocks = []
    width = channels
    for layer in range(layers):
        if layer in (layers // 3, 2 * layers // 3):
            width *= 2
            blocks.append(Block("reduction", width, 2))
        else:
            blocks.append(Block("normal", width))
    return Genotype(
        name=name,
        family="darts",
        stem=3 * channels,
        cells=(normal, reduction),
        blocks=tuple(blocks),
    )


def _nat_cell(name: str, text: str) -> Cell:
    """A cell of two inputs and four nodes, node 5 its output, from NAT's list of triples."""
    edges = []
    for triple in text.split(","):
        op, route = triple.split()
        source, target = route.split(">")
        edges.append(Edge(op, int(source), int(target)))
    return Cell(name, inputs=2, nodes=(Node(),) * 4, edges=tuple(edges), output=(5,))


_RES_BLOCK = (
    "null 0>2, skip_connect 1>2, null 0>3, conv_3x3 2>3, "
    "null 0>4, conv_3x3 3>4, skip_connect 2>5, skip_connect 4>5"
)
_NAT_RES_BLOCK = _RES_BLOCK.replace("null 0>3", "skip_connect 0>3").replace(
    "null 0>4", "skip_connect 0>4"
)
_PLAIN_BLOCK = _RES_BLOCK.replace("skip_connect 2>5", "null 2>5")
_MOBILENET_NORMAL = (
    "null 0>2, conv_1x1 1>2, null 0>3, sep_conv_3x3 2>3, "
    "null 0>4, conv_1x1 3>4, skip_connect 1>5, skip_connect 4>5"
)
_MOBILENET_REDUCTION = _MOBILENET_NORMAL.replace("skip_connect 1>5", "null 0>5")


def _nat(name: str, normal: str, reduction: str, channels: int, layers: int) -> Genotype:
    return darts_network(
        name,
        _nat_cell("normal", normal),
        _nat_cell("reduction", reduction),
        channels=channels,
        layers=layers,
    )


ZOO: dict[str, Callable[[], Genotype]] = {
    "resnet20": lambda: resnet(20),
    "resnet20_b": lambda: resnet(20, "B"),
    "resnet56": lambda: resnet(56),
    "resnet56_b": lambda: resnet(56, "B"),
    "plain20": lambda: plain(20),
    "mobilenet_v2": mobilenet_v2,
    "resnet20_cells": lambda: _nat("resnet20_cells", _RES_BLOCK, _RES_BLOCK, 16, 9),
    "resnet56_cells": lambda: _nat("resnet56_cells", _RES_BLOCK, _RES_BLOCK, 16, 27),
    "plain20_cells": lambda: _nat("plain20_cells", _PLAIN_BLOCK, _PLAIN_BLOCK, 16, 9),
    "nat_resnet20_cells": lambda: _nat("nat_resnet20_cells", _NAT_RES_BLOCK, _NAT_RES_BLOCK, 16, 9),
    "mobilenet_v2_cells": lambda: _nat(
        "mobilenet_v2_cells", _MOBILENET_NORMAL, _MOBILENET_REDUCTION, 36, 20
    ),
}
"""The genotypes by name; a value makes the genotype."""


def named(name: str) -> Genotype:
    """The zoo's genotype of that name.

    Raises:
      ValueError: if there is none; the message lists the names.
    """
    if name not in ZOO:
        raise ValueError(f"there is no base network {name!r}; the zoo has {', '.join(ZOO)}")
    return ZOO[name]()
