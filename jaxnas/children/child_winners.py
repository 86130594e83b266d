"""From the trials of a search to its winner: trained longer, and built at full size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxnas.children.child_config import CellExperiment
from jaxnas.children.child_search import ChildStore
from jaxnas.children.child_training import Candidate
from jaxnas.spaces import Genotype, zoo
from jaxnas.spaces.block_cells import BlockCellSpace
from jaxnas.storage.directory import RunDirectory

TRAINED = ""
"""The size at which a winner is trained in the end."""

FullSize = Callable[[Candidate], dict[str, Genotype]]
"""A candidate's network at `TRAINED`, and at other sizes, of which only the genotype is written."""


def cells_at_full_size(
    experiment: CellExperiment, space: BlockCellSpace, candidate: Candidate
) -> dict[str, Genotype]:
    """A candidate's cells in the network of full size, and in the stacks for ImageNet.

    Those are NASNet-A's or PNASNet-5's with other cells. ENAS's cells have no such stacks.
    """
    own = space.of_length(len(candidate))
    full = dataclasses.replace(own, channels=experiment.channels, cell_count=experiment.cells)
    sizes = {TRAINED: full.decode(as_array(candidate))}
    if space.family == "enas":
        return sizes
    normal, reduction = own.cells(as_array(candidate))
    published = "pnasnet_5" if len(space.tables) == 1 else "nasnet_a"
    for size, stack in (("imagenet", "mobile"), ("imagenet_large", "large")):
        sizes[size] = dataclasses.replace(
            zoo.named(f"{published}_{stack}"),
            name=f"{space.name}_{size}",
            cells=(normal, reduction),
        )
    return sizes


def write_winner(directory: RunDirectory, name: str, sizes: dict[str, Genotype]) -> None:
    """Writes a winner's genotypes, each to its `genotype_file`."""
    for size, genotype in sizes.items():
        if size == TRAINED:
            genotype = dataclasses.replace(genotype, name=name)
        directory.write_text(genotype_file(name, size), genotype.to_json() + "\n")


def genotype_file(name: str, size: str = TRAINED) -> str:
    """The file of a winner's genotype."""
    return f"genotype_{name}_{size}.json" if size else f"genotype_{name}.json"


def as_array(candidate: Candidate) -> np.ndarray:
    """int32 [decisions]."""
    return np.array(candidate, np.int32)


def winner_note(
    name: str, finals: ChildStore, winner: Candidate, sizes: dict[str, Genotype]
) -> str:
    """What a report says of a winner."""
    files = [
        f"{genotype_file(name, size)} is it {f'for {size}' if size else 'at full size'}"
        for size in sizes
    ]
    return (
        f"{name}: the winner had {finals[winner].accuracy:.2f}% of the held-out images after the "
        f"longer training; {', '.join(files)} (`--base` of the other commands)."
    )
