"""The network that NAS found on CIFAR-10 (Zoph & Le 2017, figure 7).

The paper has it as a picture alone. Two published transcriptions of it agree but for two places
(one has height and width the other way round). Layer 12 is 7x7 with 48 filters here: with these the
network has the 4.2 million parameters of the paper's table 1, with the other's 7x5 and 36 it would
have 3.9. Layer 15 reads layer 6 here; the other has layer 2, which is as wide.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype, Node

# Height and width of a layer's filters, their number, and the layers that it reads, from 1; the
# first reads the image.
_LAYERS = """
3x3 36:
3x3 48: 1
3x3 36: 1 2
5x5 36: 1 2 3
3x7 48: 3 4
7x7 48: 2 3 4 5
7x7 48: 2 3 4 5 6
7x3 36: 1 6 7
7x1 36: 1 5 6 8
7x7 36: 1 3 4 5 6 7 8 9
5x7 36: 1 2 5 6 7 8 9 10
7x7 48: 1 2 3 4 6 11
7x5 48: 1 3 6 7 8 9 10 11 12
7x5 48: 3 7 12 13
7x5 48: 6 7 11 12 13 14
"""


def nas_v1() -> Genotype:
    """The paper's version 1: 15 layers without strides and pooling."""
    cells: dict[str, Cell] = {}
    blocks = []
    for line in _LAYERS.strip().splitlines():
        own, _, read = line.partition(":")
        size, filters = own.split()
        op = f"conv_{size}"
        cells[op] = Cell(op, 1, (Node(relu=True),), (Edge(op, 0, 1),), (1,))
        sources = tuple(int(layer) - 1 for layer in read.split()) or (-1,)
        blocks.append(Block(op, int(filters), sources=sources, strides=(1, 1)))
    return Genotype("nas_v1", "nas2017", 0, tuple(cells.values()), tuple(blocks))


ENTRIES: dict[str, Callable[..., Genotype]] = {"nas_v1": nas_v1}
"""Genotypes by name."""
