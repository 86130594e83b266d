"""PNAS, PPO, evolution and random search on CIFAR-10, by the same number of trained children.

All search the cells of PNAS and train the same children in the same way; one that two of them ask
for is trained once. Draws the best accuracy so far by children and by examples, and tells how many
children each needs to be as good as PNAS (after Liu et al. 2018). The winners are
trained longer and at full size, as by the other searches' commands.

    python experiments/efficiency_cifar.py --seed 0
    python experiments/efficiency_cifar.py --blocks 2 --children 144 --train-limit 3000 \\
        --child-channels 8 --child.epochs 1 --child.batch-size 64 --finalists 2 \\
        --finalist-epochs 4 --channels 8 --cells 6 --epochs 6 --workers processes

`--children` are each search's: 136 and a multiple of the later levels, such as 1,160.
"""

from __future__ import annotations

from jaxnas.commands.cell_search import run_searchers
from jaxnas.commands.progressive_search import PROGRESSIVE, others, progressive_searcher
from jaxnas.commands.script import run_script
from jaxnas.runs.config import settings_of
from pnas.children_needed import tell_efficiency
from pnas.flags import PnasFlags


def main(flags: PnasFlags) -> None:
    """Searches by each, and trains what was found."""
    space, children = flags.space, flags.experiment.children
    searchers = {
        PROGRESSIVE: progressive_searcher(space, children),
        **others(space, children, "ppo", "evolution", "random"),
    }
    run_searchers(
        flags.experiment,
        "efficiency",
        space,
        flags.child,
        searchers,
        settings_of(flags),
        tell_efficiency,
    )


if __name__ == "__main__":
    run_script(PnasFlags, __doc__, main)
