"""Networks of inverted residuals: MobileNetV2, ProxylessNAS, MnasNet and EfficientNet."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable

from jaxnas.spaces.genotype import SKIP, Block, Cell, Edge, Genotype, Node


def mobilenet_v2(name: str = "mobilenet_v2") -> Genotype:
    """MobileNetV2 for 32x32 images, in the form of kuangliu/pytorch-cifar.

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
        name=name,
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
    activation: str = "relu",
    epsilon: float = 1e-5,
    small: bool = False,
    shared: bool = False,
    same_padding: bool = False,
) -> Genotype:
    """A chain of inverted-residual blocks, as MobileNetV2 has them and MnasNet finds them.

    A block has an identity shortcut where its stride is 1 and its channels do not change. One of
    expansion 1 has no widening convolution.

    Args:
      name: of the genotype.
      blocks: one word a block: ``k5e3c32s2``, that is kernel 5x5, expansion 3, 32 channels, stride
        2; followed by ``q`` with squeeze-and-excitation of a quarter of the block's input channels
        and by ``n`` without a shortcut in spite of equal shapes.
      stem: channels of the stem.
      head: channels of the head.
      activation: one of `ACTIVATIONS`.
      epsilon: of batch norm.
      small: for images of 32x32: the stem and the first block of stride 2 have stride 1 instead, as
        in MobileNetV2's form for CIFAR (this project's choice).
      shared: whether equal blocks share a cell; else each has a cell of its own, and adapting cell
        by cell is adapting the whole network.
      same_padding: whether padding is TensorFlow's SAME instead of PyTorch's.
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
        family="residual_same" if same_padding else "residual",
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


# (kernel, expansion, channels, blocks, stride of the first, excited): Tan et al. 2019, Sandler et
# al. 2018, Tan & Le 2019.
_STAGES = {
    "mnasnet_b1": (
        (3, 1, 16, 1, 1, "n"),
        (3, 3, 24, 3, 2, ""),
        (5, 3, 40, 3, 2, ""),
        (5, 6, 80, 3, 2, ""),
        (3, 6, 96, 2, 1, ""),
        (5, 6, 192, 4, 2, ""),
        (3, 6, 320, 1, 1, ""),
    ),
    "mnasnet_a1": (
        (3, 1, 16, 1, 1, "n"),
        (3, 6, 24, 2, 2, ""),
        (5, 3, 40, 3, 2, "q"),
        (3, 6, 80, 4, 2, ""),
        (3, 6, 112, 2, 1, "q"),
        (5, 6, 160, 3, 2, "q"),
        (3, 6, 320, 1, 1, ""),
    ),
    "mobilenet_v2": (
        (3, 1, 16, 1, 1, ""),
        (3, 6, 24, 2, 2, ""),
        (3, 6, 32, 3, 2, ""),
        (3, 6, 64, 4, 2, ""),
        (3, 6, 96, 3, 1, ""),
        (3, 6, 160, 3, 2, ""),
        (3, 6, 320, 1, 1, ""),
    ),
    "efficientnet_b0": (
        (3, 1, 16, 1, 1, "q"),
        (3, 6, 24, 2, 2, "q"),
        (5, 6, 40, 2, 2, "q"),
        (3, 6, 80, 3, 2, "q"),
        (5, 6, 112, 3, 1, "q"),
        (5, 6, 192, 4, 2, "q"),
        (3, 6, 320, 1, 1, "q"),
    ),
}


def inverted_stages(
    name: str,
    stages: str,
    activation: str,
    *,
    excited: bool = True,
    tensorflow: bool = False,
) -> Genotype:
    """A published network for ImageNet of stages of equal blocks.

    Args:
      name: of the genotype.
      stages: ``mnasnet_a1``, ``mnasnet_b1``, ``mobilenet_v2`` or ``efficientnet_b0``.
      activation: one of `ACTIVATIONS`.
      excited: whether the squeeze-and-excitation that is published stays; EfficientNet-Lite has
        none.
      tensorflow: whether padding is TensorFlow's SAME and the epsilon of batch norm 1e-3, as in
        the original code of EfficientNet, and not PyTorch's padding and 1e-5.
    """
    blocks = [
        f"k{kernel}e{expansion}c{channels}s{1 if index else stride}"
        + (extra if excited else extra.replace("q", ""))
        for kernel, expansion, channels, count, stride, extra in _STAGES[stages]
        for index in range(count)
    ]
    return inverted_chain(
        name,
        " ".join(blocks),
        stem=32,
        head=1280,
        activation=activation,
        epsilon=1e-3 if tensorflow else 1e-5,
        shared=True,
        same_padding=tensorflow,
    )


ENTRIES: dict[str, Callable[..., Genotype]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v2_cifar": lambda: mobilenet_v2("mobilenet_v2_cifar"),
    "mobilenet_v2_imagenet": lambda: inverted_stages(
        "mobilenet_v2_imagenet", "mobilenet_v2", "relu6"
    ),
    **{
        f"proxyless_{target}{'_cifar' if small else ''}": functools.partial(
            proxyless, target, small
        )
        for target in _PROXYLESS
        for small in (False, True)
    },
    **{
        name: functools.partial(inverted_stages, name, name, "relu")
        for name in ("mnasnet_a1", "mnasnet_b1")
    },
    **{
        f"{prefix}efficientnet_{form}": functools.partial(
            inverted_stages,
            f"{prefix}efficientnet_{form}",
            "efficientnet_b0",
            activation,
            excited=form == "b0",
            tensorflow=bool(prefix),
        )
        for prefix in ("", "tf_")
        for form, activation in (("b0", "silu"), ("lite0", "relu6"))
    },
}
"""Genotypes by name."""
