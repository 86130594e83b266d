"""How large the weights on a network's edges are."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from jaxnas.nn.weights.init import kernel_scale
from jaxnas.spaces import Genotype


def edge_norms(base: Genotype, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """How large the weights of each operation are, float64 [blocks, edges].

    It is the mean of |γ| over an operation's batch norms, or, where it has none, of its kernels'
    |w| as a share of what it is of drawn ones: both are near 1 before training. NaN for an
    operation without weights.
    """
    placed = base.placed_cells()
    norms = np.full((len(placed), max(len(cell.edges) for cell in placed)), np.nan)
    for block, cell in enumerate(placed):
        for position, edge in enumerate(cell.edges):
            own = f"params/block_{block}/edge_{position}_{edge.op}/"
            parts = {name: array for name, array in given.items() if name.startswith(own)}
            sizes = [np.abs(a).ravel() for name, a in parts.items() if name.endswith("/scale")]
            if not sizes:
                sizes = [
                    np.abs(a).ravel() / (kernel_scale(a.shape) * math.sqrt(2 / math.pi))
                    for name, a in parts.items()
                    if name.endswith("/kernel")
                ]
            if sizes:
                norms[block, position] = np.concatenate(sizes).mean()
    return norms
