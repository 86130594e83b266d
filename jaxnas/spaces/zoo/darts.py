"""Cell networks of DARTS's family: DARTS and its successors, and the cells that NAT released."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Edge, Genotype, Node


def darts_network(
    name: str,
    normal: Cell,
    reduction: Cell,
    *,
    channels: int,
    layers: int,
    imagenet: bool = False,
) -> Genotype:
    """A network of DARTS's shape: reduction cells at 1/3 and 2/3, where channels double.

    The auxiliary head stands after cell 2/3 of `layers`.

    Args:
      name: of the genotype.
      normal: cell of stride 1, called ``normal``.
      reduction: cell of stride 2, called ``reduction``.
      channels: of a node in the first cells; the stem has three times as many.
      layers: number of cells.
      imagenet: whether the stem has three convolutions of stride 2 and `channels` channels.
    """
    blocks = []
    width = channels
    for layer in range(layers):
        if layer in (layers // 3, 2 * layers // 3):
            width *= 2
            blocks.append(Block("reduction", width, 2))
        else:
            blocks.append(Block("normal", width))
    network = Genotype(
        name=name,
        family="darts",
        stem=3 * channels,
        cells=(normal, reduction),
        blocks=tuple(blocks),
        auxiliary=2 * layers // 3,
    )
    return with_stem(network, imagenet=True) if imagenet else network


def with_stem(network: Genotype, *, imagenet: bool) -> Genotype:
    """`network`, one of DARTS's shape, with the other stem: see `darts_network`."""
    first = network.blocks[0]
    channels = first.channels // first.stride
    return dataclasses.replace(
        network,
        stem=channels if imagenet else 3 * channels,
        stem_form="double" if imagenet else "small",
    )


# Cells as triples, operation source>target: (normal, reduction, output or both's outputs).
# c conv, sp sep_conv, dl dil_conv, mx max_pool, av avg_pool, s skip_connect, n null; of pools
# without a number the side is 3.
_SHORT = {
    "n": NULL,
    "s": SKIP,
    "c1": "conv_1x1",
    "c3": "conv_3x3",
    "c13": "conv_1x3_3x1",
    "c17": "conv_1x7_7x1",
    "sp3": "sep_conv_3x3",
    "sp5": "sep_conv_5x5",
    "dl3": "dil_conv_3x3",
    "dl5": "dil_conv_5x5",
    "mx": "max_pool_3x3",
    "av": "avg_pool_3x3",
    "mx2": "max_pool_2x2",
    "av2": "avg_pool_2x2",
    "av5": "avg_pool_5x5",
}
_NODES = (2, 3, 4, 5)

_DARTS_NORMAL = "sp3 0>2, sp3 1>2, sp3 0>3, sp3 1>3, sp3 1>4, s 0>4, s 0>5, dl3 2>5"
_DARTS_REDUCE = "mx 0>2, mx 1>2, s 2>3, mx 1>3, mx 0>4, s 2>4, s 2>5, mx 1>5"
_RES = "n 0>2, s 1>2, n 0>3, c3 2>3, n 0>4, c3 3>4, s 2>5, s 4>5"
_VGG = "n 0>2, s 1>2, n 0>3, c3 2>3, n 0>4, c3 3>4, n 0>5, s 4>5"
_MOBILE = "n 0>2, c1 1>2, n 0>3, sp3 2>3, n 0>4, c1 3>4, s 1>5, s 4>5"
_ENAS_NORMAL = "sp3 1>2, s 1>2, s 0>3, sp5 1>3, av 0>4, sp3 1>4, sp3 0>5, av 1>5, av 0>6, sp5 1>6"
_ENAS_REDUCE = (
    "sp5 0>2, av 1>2, sp3 1>3, av 1>3, av 1>4, sp3 1>4, av 1>5, sp5 4>5, sp5 0>6, sp3 5>6"
)
_NAO_NORMAL = "c3 0>2, av5 1>2, c3 1>3, c13 2>3, c1 0>4, c3 1>4, c13 0>5, c3 4>5, c3 0>6, s 1>6"
_NAO_REDUCE = "c3 0>2, av2 1>2, c1 0>3, av 0>3, mx2 0>4, c17 1>4, av 0>5, c1 2>5, c3 0>6, mx 1>6"


def _with(triples: str, *changes: str) -> str:
    """`triples` with the operations of some edges replaced, each "operation source>target"."""
    edges = {ends: op for op, ends in (edge.split() for edge in triples.split(", "))}
    assert len(edges) == len(triples.split(", ")), "an edge named by its ends must be alone"
    for change in changes:
        op, ends = change.split()
        assert ends in edges
        edges[ends] = op
    return ", ".join(f"{op} {ends}" for ends, op in edges.items())


_NAT_RES = _with(_RES, "s 0>3", "s 0>4")
_VGG_REDUCE = _with(_VGG, "mx 4>5")
_MOBILE_REDUCE = _MOBILE.replace("s 1>5", "n 0>5")
_LAST = (5,)

# DARTS (Liu et al. 2019), PC-DARTS (Xu et al. 2020), P-DARTS (Chen et al. 2019).
_PUBLISHED: dict[str, tuple[Any, ...]] = {
    "darts_v1": (
        "sp3 1>2, sp3 0>2, s 0>3, sp3 1>3, s 0>4, sp3 1>4, sp3 0>5, s 2>5",
        "mx 0>2, mx 1>2, s 2>3, mx 0>3, mx 0>4, s 2>4, s 2>5, av 0>5",
        _NODES,
    ),
    "darts_v2": (_DARTS_NORMAL, _DARTS_REDUCE, _NODES),
    "pc_darts_cifar": (
        "sp3 1>2, s 0>2, sp3 0>3, dl3 1>3, sp5 0>4, sp3 1>4, av 0>5, dl3 1>5",
        "sp5 1>2, mx 0>2, sp5 1>3, sp5 2>3, sp3 0>4, sp3 3>4, sp3 1>5, sp3 2>5",
        _NODES,
    ),
    "pc_darts_imagenet": (
        "s 1>2, sp3 0>2, sp3 0>3, s 1>3, sp3 1>4, sp3 3>4, sp3 1>5, dl5 4>5",
        "sp3 0>2, s 1>2, dl5 2>3, mx 1>3, sp3 2>4, sp3 1>4, sp5 0>5, sp3 3>5",
        _NODES,
    ),
    "p_darts": (
        "s 0>2, dl3 1>2, s 0>3, sp3 1>3, sp3 1>4, sp3 3>4, sp3 0>5, dl5 4>5",
        "av 0>2, sp5 1>2, sp3 0>3, dl5 2>3, mx 0>4, dl3 1>4, dl3 1>5, dl5 3>5",
        _NODES,
    ),
}

# NAT's cells (Guo et al. 2019) and NATv2's.
_NAT: dict[str, tuple[Any, ...]] = {
    "nat_darts_v2": (
        _with(_DARTS_NORMAL, "s 0>3", "s 1>4"),
        _with(_DARTS_REDUCE, "s 1>2", "s 1>3", "n 2>4"),
        _NODES,
    ),
    "natv2_darts_v2": (
        _with(_DARTS_NORMAL, "n 0>3", "s 1>3", "dl3 1>4"),
        _with(_DARTS_REDUCE, "av 0>2", "s 1>3", "av 0>4"),
        _NODES,
    ),
    "enas_cells": (_ENAS_NORMAL, _ENAS_REDUCE, (2, 3, 4, 5, 6), (2, 3, 6)),
    "nat_enas_cells": (
        _ENAS_NORMAL.replace("av 0>4", "n 0>4"),
        _ENAS_REDUCE.replace("av 1>5", "n 1>5"),
        (2, 3, 4, 5, 6),
        (2, 3, 6),
    ),
    "natv2_enas_cells": (
        _ENAS_NORMAL.replace("s 1>2", "n 1>2").replace("av 0>6, sp5 1>6", "s 0>6, sp3 1>6"),
        "sp3 0>2, av 1>2, sp3 1>3, av 1>3, av 1>4, av 1>4, av 1>5, sp5 4>5, sp5 0>6, mx 5>6",
        (2, 3, 4, 5, 6),
        (2, 3, 6),
    ),
    "naonet_cells": (_NAO_NORMAL, _NAO_REDUCE, (3, 5, 6), (3, 4, 5, 6)),
    "nat_naonet_cells": (
        _with(_NAO_NORMAL, "n 1>3", "s 1>4"),
        "n 0>2, av 1>2, c1 0>3, av 0>3, s 0>4, c17 1>4, av 0>5, s 2>5, c3 0>6, mx 1>6",
        (3, 5, 6),
        (3, 4, 5, 6),
    ),
    "natv2_naonet_cells": (
        _with(_NAO_NORMAL, "mx 0>4", "mx 0>5", "sp3 0>6"),
        "c3 0>2, s 1>2, av 0>3, av 0>3, mx2 0>4, c17 1>4, s 0>5, s 2>5, mx 0>6, mx 1>6",
        (3, 5, 6),
        (3, 4, 5, 6),
    ),
    "resnet_cells": (_RES, _RES, _LAST),
    "plain_cells": (_with(_RES, "n 2>5"), _with(_RES, "n 2>5"), _LAST),
    "nat_resnet_cells": (_NAT_RES, _NAT_RES, _LAST),
    "natv2_resnet_cells": (_with(_NAT_RES, "s 0>2"), _with(_NAT_RES, "s 0>2", "sp3 3>4"), _LAST),
    "vgg_cells": (_VGG, _VGG_REDUCE, _LAST),
    "nat_vgg_cells": (
        _with(_VGG, "s 0>2", "s 0>5"),
        _with(_VGG_REDUCE, "s 0>2", "s 0>5", "s 4>5"),
        _LAST,
    ),
    "natv2_vgg_cells": (
        _with(_VGG, "s 0>2", "s 0>3", "s 0>5", "sp3 3>4"),
        _with(_VGG_REDUCE, "s 0>2", "s 0>3", "s 0>5", "sp3 3>4"),
        _LAST,
    ),
    "mobilenet_v2_cells": (_MOBILE, _MOBILE_REDUCE, _LAST),
    "nat_mobilenet_v2_cells": (
        _with(_MOBILE, "s 0>4"),
        _with(_MOBILE_REDUCE, "s 1>2", "s 0>3"),
        _LAST,
    ),
}


def cells(name: str) -> tuple[Cell, Cell]:
    """The normal and the reduction cell published under that name."""
    normal, reduction, *outputs = {**_PUBLISHED, **_NAT}[name]
    return _cell("normal", normal, outputs[0]), _cell("reduction", reduction, outputs[-1])


def _cell(name: str, triples: str, output: tuple[int, ...]) -> Cell:
    edges = []
    for edge in triples.split(", "):
        op, ends = edge.split()
        source, target = map(int, ends.split(">"))
        edges.append(Edge(_SHORT[op], source, target))
    edges.sort(key=lambda edge: edge.target)
    return Cell(name, 2, (Node(),) * (edges[-1].target - 1), tuple(edges), output)


def _entry(name: str, kind: str, width: int, depth: int, imagenet: bool) -> Callable[..., Genotype]:
    def make(channels: int = width, cell_count: int = depth) -> Genotype:
        return darts_network(
            name, *cells(kind), channels=channels, layers=cell_count, imagenet=imagenet
        )

    return make


# Named with the depth of the ResNet that they are shaped after.
_SIZED = ("resnet_cells", "nat_resnet_cells", "natv2_resnet_cells", "plain_cells")

ENTRIES: dict[str, Callable[..., Genotype]] = {
    **{
        name: _entry(name, name, 36, 20, False)
        for name in _PUBLISHED
        if name != "pc_darts_imagenet"
    },
    **{
        name: _entry(name, kind, 48, 14, True)
        for name, kind in (
            ("darts_v1_imagenet", "darts_v1"),
            ("darts_v2_imagenet", "darts_v2"),
            ("p_darts_imagenet", "p_darts"),
            ("pc_darts_imagenet", "pc_darts_imagenet"),
        )
    },
    **{name: _entry(name, name, 36, 20, False) for name in _NAT if name not in _SIZED},
    # ResNet-20's and ResNet-56's shape: 16 channels, as many cells as residual blocks.
    **{
        name.replace("_cells", f"{layers}_cells"): _entry(
            name.replace("_cells", f"{layers}_cells"), name, 16, (layers - 2) // 2, False
        )
        for name in _SIZED
        for layers in ((20,) if name == "plain_cells" else (20, 56))
    },
}
"""Genotypes by name; a value takes ``channels`` and ``cell_count``."""
