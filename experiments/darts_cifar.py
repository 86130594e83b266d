"""DARTS (Liu et al. 2019) on CIFAR-10: the paper's search, and its training of what was found.

Searches the two cells of a network with half of the training images for the weights and half for
the architecture, then trains the found network and a random one of the same space from scratch.

    python experiments/darts_cifar.py --seed 0
    python experiments/darts_cifar.py --darts.order second
    python experiments/darts_cifar.py --darts.stop-at-skips 2 --search-epochs 20 --epochs 50
    python experiments/darts_cifar.py --dataset digits --search-channels 4 --search-cells 3 \\
        --channels 8 --cells 5 --search-epochs 5 --epochs 10 --cutout 0

Published: a test error of 2.76 ± 0.09% (second order, 3.3M parameters, ten runs of training).
"""

from __future__ import annotations

from jaxnas.commands.methods.darts_method import DartsFlags, run_darts
from jaxnas.commands.script import run_script
from jaxnas.runs.config import Training
from jaxnas.runs.search_config import SearchExperiment

PAPER = DartsFlags(
    SearchExperiment(
        training=Training(
            epochs=600,
            batch_size=96,
            learning_rate=0.025,
            weight_decay=3e-4,
            grad_clip=5.0,
            auxiliary_weight=0.4,
            drop_path=0.2,
            cutout=16,
        )
    )
)
"""The paper's settings."""

if __name__ == "__main__":
    run_script(DartsFlags, __doc__, run_darts, PAPER, overlapping=True)
