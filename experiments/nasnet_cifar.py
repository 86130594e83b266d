"""NASNet (Zoph et al. 2018) on CIFAR-10: a controller trained with PPO by the accuracy of children.

Searches a normal and a reduction cell by small networks of them, trains the best children longer,
and the best of these at full size; random search does the same beside it. All children are one
compiled program, which takes the genotype as an input.

    python experiments/nasnet_cifar.py --seed 0
    python experiments/nasnet_cifar.py --children 40 --train-limit 3000 --child-channels 8 \\
        --child.epochs 2 --child.batch-size 64 --finalists 2 --finalist-epochs 4 --channels 8 \\
        --cells 6 --epochs 6
    python experiments/nasnet_cifar.py --dataset digits --blocks 2 --children 16 --child-cells 3 \\
        --child-channels 8 --child.epochs 2 --child.batch-size 64 --finalists 1 \\
        --finalist-epochs 4 --channels 8 --cells 3 --epochs 6 --cutout 0
    python experiments/nasnet_cifar.py --workers processes --resume
    python experiments/nasnet_cifar.py --workers ray --gpus-per-worker 0.5

The paper trained 20,000 children on 500 GPUs. Not in the paper: children's channels, learning rate
and batch size, the controller's optimiser, clip and epochs.
"""

from __future__ import annotations

from jaxnas.commands.methods.nasnet_method import NasnetFlags, run_nasnet
from jaxnas.commands.script import run_script

if __name__ == "__main__":
    run_script(NasnetFlags, __doc__, run_nasnet)
