"""Cell networks of DARTS's family: DARTS and its successors, and the cells that NAT released."""

from __future__ import annotations

from collections.abc import Callable

from jaxnas.spaces.genotype import Block, Cell, Genotype
from jaxnas.spaces.zoo.darts_text import read_cells


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
    return Genotype(
        name=name,
        family="darts",
        stem=channels if imagenet else 3 * channels,
        cells=(normal, reduction),
        blocks=tuple(blocks),
        stem_form="double" if imagenet else "small",
        auxiliary=2 * layers // 3,
    )


# The published texts (`darts_text`): DARTS (Liu et al. 2019), PC-DARTS (Xu et al. 2020), P-DARTS
# (Chen et al. 2019).
_TEXTS = {
    "darts_v1": """Genotype(
        normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1),
                ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)],
        normal_concat=[2, 3, 4, 5],
        reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0),
                ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)],
        reduce_concat=[2, 3, 4, 5])""",
    "darts_v2": """Genotype(
        normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
                ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)],
        normal_concat=[2, 3, 4, 5],
        reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
                ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)],
        reduce_concat=[2, 3, 4, 5])""",
    "pc_darts_cifar": """Genotype(
        normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1),
                ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)],
        normal_concat=range(2, 6),
        reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2),
                ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)],
        reduce_concat=range(2, 6))""",
    "pc_darts_imagenet": """Genotype(
        normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1),
                ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)],
        normal_concat=range(2, 6),
        reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), ('max_pool_3x3', 1),
                ('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)],
        reduce_concat=range(2, 6))""",
    "p_darts": """Genotype(
        normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1),
                ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), ('dil_conv_5x5', 4)],
        normal_concat=range(2, 6),
        reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2),
                ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)],
        reduce_concat=range(2, 6))""",
}

# NAT's cells (Guo et al. 2019, and NATv2) as triples: (normal, its concat, reduction, its concat).
# c conv, sp sep_conv, dl dil_conv, mx max_pool, av avg_pool, s skip_connect, n null.
_SHORT = {
    "n": "null",
    "s": "skip_connect",
    "c1": "conv_1x1",
    "c3": "conv_3x3",
    "sp3": "sep_conv_3x3",
    "sp5": "sep_conv_5x5",
    "dl3": "dil_conv_3x3",
    "mx": "max_pool_3x3",
    "av": "avg_pool_3x3",
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
_CONCAT_LAST = (5,)

_NAT = {
    "nat_darts_v2": (
        _with(_DARTS_NORMAL, "s 0>3", "s 1>4"),
        _NODES,
        _with(_DARTS_REDUCE, "s 1>2", "s 1>3", "n 2>4"),
        _NODES,
    ),
    "natv2_darts_v2": (
        _with(_DARTS_NORMAL, "n 0>3", "s 1>3", "dl3 1>4"),
        _NODES,
        _with(_DARTS_REDUCE, "av 0>2", "s 1>3", "av 0>4"),
        _NODES,
    ),
    "enas_cells": (_ENAS_NORMAL, (2, 3, 4, 5, 6), _ENAS_REDUCE, (2, 3, 6)),
    "nat_enas_cells": (
        _ENAS_NORMAL.replace("av 0>4", "n 0>4"),
        (2, 3, 4, 5, 6),
        _ENAS_REDUCE.replace("av 1>5", "n 1>5"),
        (2, 3, 6),
    ),
    "resnet_cells": (_RES, _CONCAT_LAST, _RES, _CONCAT_LAST),
    "plain_cells": (_with(_RES, "n 2>5"), _CONCAT_LAST, _with(_RES, "n 2>5"), _CONCAT_LAST),
    "nat_resnet_cells": (_NAT_RES, _CONCAT_LAST, _NAT_RES, _CONCAT_LAST),
    "natv2_resnet_cells": (
        _with(_NAT_RES, "s 0>2"),
        _CONCAT_LAST,
        _with(_NAT_RES, "s 0>2", "sp3 3>4"),
        _CONCAT_LAST,
    ),
    "vgg_cells": (_VGG, _CONCAT_LAST, _VGG_REDUCE, _CONCAT_LAST),
    "nat_vgg_cells": (
        _with(_VGG, "s 0>2", "s 0>5"),
        _CONCAT_LAST,
        _with(_VGG_REDUCE, "s 0>2", "s 0>5", "s 4>5"),
        _CONCAT_LAST,
    ),
    "natv2_vgg_cells": (
        _with(_VGG, "s 0>2", "s 0>3", "s 0>5", "sp3 3>4"),
        _CONCAT_LAST,
        _with(_VGG_REDUCE, "s 0>2", "s 0>3", "s 0>5", "sp3 3>4"),
        _CONCAT_LAST,
    ),
    "mobilenet_v2_cells": (_MOBILE, _CONCAT_LAST, _MOBILE_REDUCE, _CONCAT_LAST),
    "nat_mobilenet_v2_cells": (
        _with(_MOBILE, "s 0>4"),
        _CONCAT_LAST,
        _with(_MOBILE_REDUCE, "s 1>2", "s 0>3"),
        _CONCAT_LAST,
    ),
}


def _nat_cells(name: str) -> tuple[Cell, Cell]:
    normal, normal_concat, reduction, reduction_concat = _NAT[name]

    def triples(text: str) -> list[tuple[str, int, int]]:
        found = []
        for edge in text.split(", "):
            op, ends = edge.split()
            source, target = ends.split(">")
            found.append((_SHORT[op], int(source), int(target)))
        return found

    return read_cells(
        f"Genotype(normal={triples(normal)}, normal_concat={normal_concat}, "
        f"reduce={triples(reduction)}, reduce_concat={reduction_concat})"
    )


def cells(name: str) -> tuple[Cell, Cell]:
    """The normal and the reduction cell published under that name."""
    return read_cells(_TEXTS[name]) if name in _TEXTS else _nat_cells(name)


def _entry(name: str, kind: str, width: int, depth: int, imagenet: bool) -> Callable[..., Genotype]:
    def make(channels: int = width, cell_count: int = depth) -> Genotype:
        return darts_network(
            name, *cells(kind), channels=channels, layers=cell_count, imagenet=imagenet
        )

    return make


# Named with the depth of the ResNet that they are shaped after.
_SIZED = ("resnet_cells", "nat_resnet_cells", "natv2_resnet_cells", "plain_cells")

ENTRIES: dict[str, Callable[..., Genotype]] = {
    **{name: _entry(name, name, 36, 20, False) for name in _TEXTS if name != "pc_darts_imagenet"},
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
