"""Neural Architecture Transformer (Guo et al. 2019) on CIFAR-10: search, then training anew.

Transforms the cells of a known network with 40% of the training images for the supernet's weights
and 60% for the policy, then trains the answer and a random form of the same network from scratch.

    python experiments/nat_cifar.py --seed 0
    python experiments/nat_cifar.py --base darts_v2 --nat.faithful
    python experiments/nat_cifar.py --dataset digits --search-epochs 2 --search-batch-size 64 \\
        --epochs 2 --batch-size 64

PNAA's authors measured NAT on ResNet-20 as 55.78 ± 42.34 over five seeds, two of them at chance.
"""

from __future__ import annotations

from jaxnas.commands.methods.nat_method import NATFlags, run_nat
from jaxnas.commands.script import run_script
from jaxnas.runs.search_config import SearchExperiment

PAPER = NATFlags(experiment=SearchExperiment(search_epochs=100, train_share=0.4))
"""The published search, and this project's training of a ResNet."""

if __name__ == "__main__":
    run_script(NATFlags, __doc__, run_nat, PAPER, overlapping=True)
