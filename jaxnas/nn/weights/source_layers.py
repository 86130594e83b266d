"""How the layers of a network are called in another library, and where its arrays come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from jaxnas.nn.weights.checks import Shape
from jaxnas.spaces.genotype import Cell, Genotype

# An array that is read when it is needed, and its shape.
Source = Mapping[str, tuple[Shape, Callable[[], np.ndarray]]]


class SourceArray(NamedTuple):
    """Where a variable comes from: the source's name and shape for it, and the way from there."""

    name: str
    shape: Shape
    convert: Callable[[np.ndarray], np.ndarray]


class Place(NamedTuple):
    """What a block is called in the sources.

    Attributes:
      cell: of the block.
      keras: suffix of the names of its layers.
      torch: prefix of the names of its layers in timm, torchvision or efficientnet_pytorch.
      resized: whether its older input is larger than its newer one.
    """

    cell: Cell
    keras: str
    torch: str
    resized: bool = False


LayerName = Callable[[Place, tuple[str, ...]], str]
SourceArrayOf = Callable[[str, str, str, Shape], SourceArray]


def with_padded_pools(genotype: Genotype, source: str, kinds: str) -> Genotype:
    """A NASNet whose strided pools of those kinds see their padding as zeros."""
    names = {f"{kind}_pool_3x3" for kind in kinds.split()}
    cells = tuple(
        dataclasses.replace(
            cell,
            edges=tuple(
                dataclasses.replace(edge, op=f"padded_{edge.op}")
                if cell.name == "reduction" and edge.op in names and edge.source < cell.inputs
                else edge
                for edge in cell.edges
            ),
        )
        for cell in genotype.cells
    )
    return dataclasses.replace(genotype, name=f"{genotype.name}_{source}", cells=cells)


def cell_places(genotype: Genotype) -> list[Place]:
    """The places of the blocks of a NASNet or PNASNet, in order."""
    places = []
    in_place = genotype.name.startswith("pnasnet")
    reductions = cells = 0
    for index, cell in enumerate(genotype.placed_cells()):
        if index < 2:
            keras, timm = f"stem_{index + 1}", f"cell_stem_{index}"
        elif cell.name == "reduction" and not in_place:
            keras, timm = f"reduce_{cells}", f"reduction_cell_{reductions}"
            reductions += 1
        else:
            keras, timm = str(cells + (reductions > 0)), f"cell_{cells}"
            cells += 1
        places.append(Place(cell, keras, timm, genotype.halves_older(index)))
    return places
