"""Cell networks of NASNet's family.

The wiring is that of the released code (tensorflow/models slim and tpu): a cell's input 0 is the
output of the cell before, input 1 that of the one before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from jaxnas.spaces.genotype import SKIP, Block, Cell, Edge, Genotype, Node

Stack = Literal["cifar", "mobile", "large"]

# The two operations of each block with their operands, and the states whose concatenation is the
# output.
_CELLS = {
    # Zoph et al. 2018.
    "nasnet_a": (
        "sep5 0 sep3 1, sep5 1 sep3 1, avg3 0 id 1, avg3 1 avg3 1, sep3 0 id 0",
        (1, 2, 3, 4, 5, 6),
        "sep5 0 sep7 1, max3 0 sep7 1, avg3 0 sep5 1, id 3 avg3 2, sep3 2 max3 0",
        (3, 4, 5, 6),
    ),
    # Liu et al. 2018: one cell, all of whose blocks are concatenated.
    "pnasnet_5": (
        "sep5 1 max3 1, sep7 0 max3 0, sep5 0 sep3 0, sep3 4 max3 0, sep3 1 id 0",
        (2, 3, 4, 5, 6),
        "sep5 1 max3 1, sep7 0 max3 0, sep5 0 sep3 0, sep3 4 max3 0, sep3 1 id 0",
        (2, 3, 4, 5, 6),
    ),
    # Real et al. 2019.
    "amoebanet_a": (
        "avg3 0 max3 0, sep3 1 id 1, id 0 avg3 1, sep3 0 sep5 2, avg3 5 sep3 0",
        (1, 3, 4, 6),
        "sep3 1 avg3 0, max3 0 sep7 2, max3 1 max3 0, sep3 4 b1x7 0, avg3 1 sep7 0",
        (2, 3, 4, 5, 6),
    ),
    "amoebanet_b": (
        "c1 1 max3 1, id 1 sep3 0, c1 1 sep3 0, c1 2 id 2, avg3 1 c1 5",
        (0, 3, 4, 6),
        "max2 0 max3 0, id 2 b3 1, dsep5 2 max3 2, id 3 sep3 1, avg3 4 c1 3",
        (5, 6),
    ),
    "amoebanet_c": (
        "avg3 0 sep3 0, id 0 sep3 0, avg3 2 sep3 1, id 0 sep3 1, avg3 3 sep3 0",
        (1, 2, 4, 5, 6),
        "max3 0 max3 0, sep7 2 sep3 0, sep7 0 max3 1, sep5 4 sep5 4, max3 1 sep3 1",
        (0, 2, 3, 4, 5, 6),
    ),
    "amoebanet_d": (
        "c1 1 max3 1, id 1 b1x7 0, c1 0 b1x7 0, max3 2 id 2, avg3 1 c1 5",
        (0, 3, 4, 6),
        "max2 0 max3 0, id 2 b3 1, b1x7 2 max3 2, id 3 max2 1, avg3 2 c1 3",
        (4, 5, 6),
    ),
}
_SHORT = {
    "id": SKIP,
    "c1": "conv_1x1",
    "b3": "bottleneck_conv_3x3",
    "b1x7": "bottleneck_conv_1x7_7x1",
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "sep7": "sep_conv_7x7",
    "dsep5": "dil_sep_conv_5x5",
    "avg3": "avg_pool_3x3",
    "max2": "max_pool_2x2",
    "max3": "max_pool_3x3",
}


def _cell(name: str, text: str, output: tuple[int, ...]) -> Cell:
    blocks = [block.split() for block in text.split(", ")]
    edges = tuple(
        Edge(_SHORT[op], int(source), target)
        for target, block in enumerate(blocks, start=2)
        for op, source in (block[:2], block[2:])
    )
    return Cell(name, 2, (Node(),) * len(blocks), edges, output)


def cells(name: str) -> tuple[Cell, Cell]:
    """The normal and the reduction cell published under that name."""
    normal, normal_output, reduction, reduction_output = _CELLS[name]
    return _cell("normal", normal, normal_output), _cell("reduction", reduction, reduction_output)


def nasnet_network(
    name: str,
    normal: Cell,
    reduction: Cell,
    *,
    filters: int,
    normal_cells: int,
    stack: Stack,
    stem: int,
    in_place: bool = False,
) -> Genotype:
    """A network of NASNet's shape: three stages, filters doubled between them.

    The auxiliary head stands before the second reduction.

    Args:
      name: of the genotype.
      normal: cell of stride 1, called ``normal``.
      reduction: cell of stride 2, called ``reduction``.
      filters: channels of a node in the first stage.
      normal_cells: number of cells without the reductions (3N), or with them where `in_place`.
      stack: ``cifar``: a stem of stride 1. ``mobile`` and ``large``: a stem without padding and two
        reduction cells with 1/4 and 1/2 of the filters, epsilon 1e-3. ``large``: the cell behind a
        reduction has the reduction's older input for its own.
      stem: channels of the stem.
      in_place: whether the first cell of the second and third stage is a reduction (PNASNet)
        instead of standing behind one.
    """
    blocks = []
    if stack != "cifar":
        blocks = [Block("reduction", int(filters * scale), 2) for scale in (0.25, 0.5)]
    reductions = [int(stage / 3 * normal_cells) for stage in (1, 2)]
    auxiliary = -1
    width = filters
    for index in range(normal_cells):
        previous = 2
        if index in reductions:
            width *= 2
            blocks.append(Block("reduction", width, 2))
            previous = 3 if stack == "large" and len(blocks) > 2 else 2
        if not (in_place and index in reductions):
            blocks.append(Block("normal", width, previous=previous))
        if index == reductions[1] - 1:
            auxiliary = len(blocks) - 1
    return Genotype(
        name=name,
        family="nasnet",
        stem=stem,
        cells=(normal, reduction),
        blocks=tuple(blocks),
        stem_form="small" if stack == "cifar" else "valid",
        epsilon=1e-5 if stack == "cifar" else 1e-3,
        auxiliary=auxiliary,
    )


def _entry(
    name: str, kind: str, filters: int, depth: int, stack: Stack, stem: int = 0
) -> Callable[..., Genotype]:
    """`stem` 0 is three times the filters."""

    def make(channels: int = filters, cell_count: int = depth) -> Genotype:
        return nasnet_network(
            name,
            *cells(kind),
            filters=channels,
            normal_cells=cell_count,
            stack=stack,
            stem=stem or 3 * channels,
            in_place=kind == "pnasnet_5",
        )

    return make


ENTRIES: dict[str, Callable[..., Genotype]] = {
    "nasnet_a": _entry("nasnet_a", "nasnet_a", 32, 18, "cifar"),
    "nasnet_a_mobile": _entry("nasnet_a_mobile", "nasnet_a", 44, 12, "mobile", 32),
    "nasnet_a_large": _entry("nasnet_a_large", "nasnet_a", 168, 18, "large", 96),
    "pnasnet_5": _entry("pnasnet_5", "pnasnet_5", 48, 9, "cifar"),
    "pnasnet_5_mobile": _entry("pnasnet_5_mobile", "pnasnet_5", 54, 9, "mobile", 32),
    "pnasnet_5_large": _entry("pnasnet_5_large", "pnasnet_5", 216, 12, "large", 96),
    **{
        f"amoebanet_{letter}": _entry(f"amoebanet_{letter}", f"amoebanet_{letter}", 36, 18, "cifar")
        for letter in "abcd"
    },
    **{
        f"amoebanet_{letter}_{stack}": _entry(
            f"amoebanet_{letter}_{stack}", f"amoebanet_{letter}", filters, depth, "mobile", 32
        )
        for letter, stack, filters, depth in (
            ("a", "mobile", 50, 12),
            ("a", "large", 190, 18),
            ("b", "mobile", 62, 9),
            ("b", "large", 190, 18),
            ("c", "mobile", 50, 12),
            ("c", "large", 228, 18),
            ("d", "large", 256, 18),
        )
    },
}
"""Genotypes by name; a value takes ``channels`` and ``cell_count``."""
