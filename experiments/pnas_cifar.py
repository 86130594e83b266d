"""PNAS (Liu et al. 2018) on CIFAR-10: cells grow block by block, chosen by a learned surrogate.

Trains all cells of one block, then of every further level the cells of which the surrogate expects
most; it learns from each level how to rank the next. The best children are trained longer, and the
best of these at full size (N = 3, F = 48; genotypes for ImageNet's stacks are written too). Random
search does the same beside it with as many children. All children of a number of blocks are one
compiled program, which takes the genotype as an input.

    python experiments/pnas_cifar.py --seed 0
    python experiments/pnas_cifar.py --blocks 2 --children 144 --train-limit 3000 \\
        --child-channels 8 --child.epochs 1 --child.batch-size 64 --finalists 2 \\
        --finalist-epochs 4 --channels 8 --cells 6 --epochs 6 --workers processes
    python experiments/pnas_cifar.py --dataset digits --blocks 2 --children 137 --child-cells 3 \\
        --child-channels 8 --child.epochs 1 --child.batch-size 64 --finalists 1 \\
        --finalist-epochs 4 --channels 8 --cells 3 --epochs 6 --cutout 0
    python experiments/pnas_cifar.py --no-train-last --children 904 --run-dir runs/pnas_expected

`--children` says how many cells a level trains: K = (children - 136) / later levels, 256 for 1,160;
with `--no-train-last` the last level is none of them.
Not known of the paper: the children's optimiser, batch size and weight decay, and how long the
surrogate is trained. The last command has the last level predicted, not trained.
"""

from __future__ import annotations

import dataclasses

from jaxnas.commands.cell_search import run_searchers
from jaxnas.commands.progressive_search import (
    PROGRESSIVE,
    SurrogateName,
    others,
    progressive_searcher,
    tell_levels,
)
from jaxnas.commands.script import run_script
from jaxnas.runs.config import refuse_zero, settings_of
from pnas.flags import PnasFlags


@dataclasses.dataclass(frozen=True)
class Flags(PnasFlags):
    """Searches progressively."""

    train_last: bool = True
    """Train the cells of the last level; else the surrogate's word is taken for them."""
    surrogate: SurrogateName = "block"
    """Kind of the surrogate: a network that reads each block by what it reads; or the paper's, one
    that takes the mean over blocks, or an LSTM."""
    members: int = 5
    """Number of surrogates in the ensemble; 1 for a single one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_zero(self, "members")


def main(flags: Flags) -> None:
    """Searches, and trains what was found."""
    space, children = flags.space, flags.experiment.children
    searcher = progressive_searcher(
        space,
        children,
        surrogate=flags.surrogate,
        members=flags.members,
        train_last=flags.train_last,
    )
    run_searchers(
        flags.experiment,
        "pnas",
        space,
        flags.child,
        {PROGRESSIVE: searcher, **others(space, children, "random")},
        settings_of(flags),
        tell_levels,
    )


if __name__ == "__main__":
    run_script(Flags, __doc__, main)
