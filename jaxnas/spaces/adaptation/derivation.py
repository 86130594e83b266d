"""What an adaptation of a network is called and told by: granularity, derived network, changes."""

from __future__ import annotations

import collections
from typing import Literal, NamedTuple, get_args

import numpy as np

from jaxnas.spaces.genotype import NULL, SKIP, Cell, Genotype

Granularity = Literal["cell", "full", "block"]
"""One choice of every edge for each kind of cell; the same for each block; or whether a whole block
stays or goes."""


def granularity_of(method: str) -> Granularity:
    """The granularity that a method's name ends with, such as ``random_full``; ``full`` if none."""
    return next((each for each in get_args(Granularity) if method.endswith(each)), "full")


class Derivation(NamedTuple):
    """An architecture read off architecture parameters.

    Attributes:
      choices: int32 [tables, edges], 0 none, 1 id, 2 same; padding is 0.
      genotype: the architecture.
      repaired: names of the tables whose arg max had left the output unreachable.
      pruned: number of edges set to none since they lay on no path from input to output.
      limited: whether a limit on the cost, and not the arg max, decided.
    """

    choices: np.ndarray
    genotype: Genotype
    repaired: tuple[str, ...]
    pruned: int
    limited: bool = False


def changes(base: Genotype, adapted: Genotype) -> str:
    """What became of the base's edges, in words, such as ``9 null edges became identities``.

    Blocks that have nothing left but identities are named, as ``blocks 3, 5 were dropped``, and
    their edges are not counted.

    Args:
      base: the network.
      adapted: the network with other operations on some of its edges; of equal cells otherwise.
    """
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    dropped = []
    blocks = zip(base.placed_cells(), adapted.placed_cells(), strict=True)
    for number, (old, new) in enumerate(blocks):
        if _works(old) and not _works(new):
            dropped.append(str(number))
            continue
        edges = zip(old.edges, new.edges, strict=True)
        counts.update((a.op, b.op) for a, b in edges if a.op != b.op)
    told = []
    if dropped:
        which = "blocks {} were" if len(dropped) > 1 else "block {} was"
        told.append(f"{which.format(', '.join(dropped))} dropped")
    for (old, new), count in counts.most_common():
        many = count > 1
        if old in _IDENTITIES:
            before = "identities" if many else "identity"
        else:
            before = f"{old} edges" if many else f"{old} edge"
        after = new
        if new in _IDENTITIES:
            after = "identities" if many else "an identity"
        told.append(f"{count} {before} became {after}")
    return ", ".join(told) or "none changed"


def _works(cell: Cell) -> bool:
    """Whether a cell does anything but pass on what it is given."""
    return any(edge.op not in (*_IDENTITIES, NULL) for edge in cell.edges)


_IDENTITIES = (SKIP, "pad_shortcut")
