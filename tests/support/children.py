"""A space of the smallest children, and how often their programs were compiled."""

from jaxnas.spaces.block_cells import BlockCellSpace

SPACE = BlockCellSpace(
    title="small",
    family="nasnet",
    operations=("skip_connect", "avg_pool_3x3", "conv_1x1"),
    blocks=2,
    tables=("cell",),
    channels=4,
    cell_count=2,
    output="all",
)

PROGRAMS = ("prepared", "learn", "batch_scores")
"""What children are trained and judged by."""


def compiled(records, name):
    """How often the program was."""
    text = f"Finished XLA compilation of jit({name})"
    return sum(text in record.getMessage() for record in records)
