"""The networks that ENAS found (Pham et al. 2018), as the authors' scripts have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxnas.spaces.genotype import SKIP, Block, Cell, Edge, Genotype, Node

# ENAS's micro cells (the authors' script for the final network): for nodes 2 to 6 the index and
# operation of both operands. Its inputs are numbered as in DARTS.
_ENAS_OPS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", SKIP)
_ENAS_NORMAL = (0, 2, 0, 0, 0, 4, 0, 1, 0, 4, 1, 1, 1, 0, 0, 1, 0, 2, 1, 1)
_ENAS_REDUCTION = (1, 0, 1, 0, 0, 3, 0, 2, 1, 1, 3, 1, 1, 0, 0, 4, 0, 3, 1, 1)


def _enas_cell(name: str, arc: tuple[int, ...]) -> Cell:
    edges = tuple(
        Edge(_ENAS_OPS[op], source, 2 + index // 2)
        for index, (source, op) in enumerate(zip(arc[::2], arc[1::2], strict=True))
    )
    nodes = len(edges) // 2
    used = {edge.source for edge in edges}
    output = tuple(state for state in range(nodes + 2) if state not in used)
    return Cell(name, 2, (Node(),) * nodes, edges, output)


def enas_micro_network(
    name: str, normal: Cell, reduction: Cell, *, channels: int, cell_count: int
) -> Genotype:
    """A network of the shape of ENAS's micro ones: two reductions between three stages.

    The auxiliary head stands behind the second reduction.

    Args:
      name: of the genotype.
      normal: cell of stride 1, called ``normal``.
      reduction: cell of stride 2, called ``reduction``.
      channels: of a node in the first cells; each reduction doubles them.
      cell_count: number of normal cells; two reductions are added.
    """
    reductions = (cell_count // 3, 2 * (cell_count // 3) + 1)
    width, blocks = channels, []
    for layer in range(cell_count + 2):
        if layer in reductions:
            width *= 2
            blocks.append(Block("reduction", width, 2))
        else:
            blocks.append(Block("normal", width))
    return Genotype(
        name=name,
        family="enas",
        stem=3 * channels,
        cells=(normal, reduction),
        blocks=tuple(blocks),
        auxiliary=reductions[1] + 1,
    )


def enas_micro(channels: int = 36, cell_count: int = 15) -> Genotype:
    """ENAS's final micro network (Pham et al. 2018, the authors' script).

    Args:
      channels: of a node in the first cells.
      cell_count: number of normal cells; two reductions are added.
    """
    return enas_micro_network(
        "enas_micro",
        _enas_cell("normal", _ENAS_NORMAL),
        _enas_cell("reduction", _ENAS_REDUCTION),
        channels=channels,
        cell_count=cell_count,
    )


# ENAS's macro network (the authors' script for the final network): for each layer its operation,
# and for the stem and each layer but the last before it whether it is an input as well.
_MACRO = (
    "0|3 0|0 1 0|2 0 0 1|2 0 0 0 0|3 1 1 0 1 0|2 0 0 0 0 0 1|2 0 1 1 0 1 1 1|1 0 1 1 1 0 1 0 1"
    "|0 0 0 0 0 0 0 0 0 0|2 0 0 0 0 0 1 0 0 0 0|0 1 0 0 1 1 0 0 0 0 1 1|2 0 1 0 0 0 0 0 1 0 1 1 0"
    "|1 0 0 1 0 0 0 1 1 1 0 1 0 1|0 1 1 0 1 0 1 0 0 0 0 0 1 0 0|2 0 0 1 0 0 0 0 0 0 0 1 0 1 0 1"
    "|2 0 1 0 0 0 1 0 0 1 1 1 1 0 0 1 0|2 0 0 0 0 1 0 1 0 1 0 0 1 0 1 0 0 1"
    "|3 0 1 1 0 1 0 0 0 0 0 1 0 1 0 1 0 0 0|3 0 1 1 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 1"
    "|0 1 0 0 1 0 1 1 0 0 0 1 0 0 0 0 0 1 1 0 0|3 0 1 0 1 1 0 0 1 0 1 1 0 1 1 0 1 0 0 1 0 0"
    "|0 1 0 1 0 1 0 0 0 0 0 0 0 0 1 0 1 0 0 1 0 0 0"
    "|0 1 1 0 0 0 1 1 1 0 1 0 0 0 1 0 1 0 0 1 1 0 0 0"
)
# A pooling layer has no form in the authors' code for the final network, and a separable
# convolution is a plain one.
_MACRO_OPS = ("conv_3x3", "conv_3x3", "conv_5x5", "conv_5x5")


def _macro_cell(op: str, skips: int, first: bool) -> Cell:
    """A layer: a bottleneck and a convolution, then joined with `skips` earlier outputs."""
    inputs = 1 + skips
    narrow, wide, joined, out = range(inputs, inputs + 4)
    edges = [Edge("conv_1x1", 0, narrow), Edge(op, narrow, wide)]
    if first:
        return Cell(f"{op}_first", inputs, (Node(), Node()), tuple(edges), (wide,))
    edges += [Edge(SKIP, source, joined) for source in (wide, *range(1, inputs))]
    edges += [Edge("conv_1x1", joined, out)]
    nodes = (Node(), Node(), Node(concat=True), Node())
    return Cell(f"{op}_{skips}_skips", inputs, nodes, tuple(edges), (out,))


def enas_macro_network(
    name: str, layers: Sequence[tuple[str, Sequence[int]]], *, channels: int
) -> Genotype:
    """A network of the shape of ENAS's macro ones.

    A layer's input is the layer before; the earlier layers that it skips to are concatenated with
    its own output. After a third and two thirds of the layers, every output so far is halved in
    size and doubled in channels by a factorized reduction, a block of its own.

    Args:
      name: of the genotype.
      layers: of each its operation, and the numbers of those it skips to: 0 is the stem, k the
        k-th layer.
      channels: of the first third.
    """
    reduce = Cell("reduce", 1, (Node(),), (Edge(SKIP, 0, 1),), (1,))
    cells, blocks, outputs, width = {reduce.name: reduce}, [], [-1], channels
    for layer, (op, skips) in enumerate(layers):
        sources = [outputs[skip] for skip in skips]
        cell = _macro_cell(op, len(sources), layer == 0)
        cells[cell.name] = cell
        blocks.append(Block(cell.name, width, sources=(outputs[-1], *sources)))
        outputs.append(len(blocks) - 1)
        if layer + 1 in (len(layers) // 3, 2 * (len(layers) // 3)):
            width *= 2
            for index, output in enumerate(outputs):
                blocks.append(Block(reduce.name, width, 2, sources=(output,)))
                outputs[index] = len(blocks) - 1
    return Genotype(name, "macro", channels, tuple(cells.values()), tuple(blocks))


def enas_macro(channels: int = 96, cell_count: int = 24) -> Genotype:
    """ENAS's final macro network (Pham et al. 2018, the authors' script).

    Args:
      channels: of the first third.
      cell_count: number of layers: the first of the 24 published ones.

    Raises:
      ValueError: for more than 24 layers.
    """
    arc = [[int(number) for number in layer.split()] for layer in _MACRO.split("|")]
    if cell_count > len(arc):
        raise ValueError(f"enas_macro has {len(arc)} layers, not {cell_count}")
    layers = [
        (_MACRO_OPS[op], [index for index, taken in enumerate(skips) if taken])
        for op, *skips in arc[:cell_count]
    ]
    return enas_macro_network("enas_macro", layers, channels=channels)


ENTRIES: dict[str, Callable[..., Genotype]] = {"enas_micro": enas_micro, "enas_macro": enas_macro}
"""Genotypes by name; a value takes ``channels`` and ``cell_count``."""
