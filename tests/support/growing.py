"""A space that grows, small enough to know all of it."""

import numpy as np

from jaxnas.spaces.block_cells import BlockCellSpace

OPERATIONS = ("skip_connect", "conv_3x3", "max_pool_3x3")
WORTH = np.array([0.1, 0.9, 0.4])


def cells(blocks=3, operations=OPERATIONS):
    """PNAS's space with fewer operations."""
    return BlockCellSpace(
        "small", "nasnet", operations, blocks, ("cell",), channels=2, cell_count=3, output="all"
    )


SPACE = cells()


def accuracies(candidates):
    """float32 [n], int [n, decisions of some blocks]: what is the same for equal cells.

    More blocks are better, and blocks that read others.
    """
    blocks = candidates.reshape(len(candidates), -1, 4)
    worth = WORTH[blocks[..., 2:]].mean(-1) + 0.1 * (blocks[..., :2] >= 2).mean(-1)
    return (0.5 + 0.1 * worth.sum(1)).astype(np.float32)
