"""NAS (Zoph & Le 2017) on CIFAR-10: a controller trained with REINFORCE by children's accuracy.

Searches convolutional networks layer by layer: a filter's height and width, its strides if they are
searched, which earlier layers it reads, and how many filters it has. Children become deeper as the
search goes on. The best are trained longer, and the best of these on all training images; random
search does the same beside it. Every child is compiled for itself.

    python experiments/nas_cifar.py --seed 0
    python experiments/nas_cifar.py --children 40 --train-limit 3000 --filters 6 9 12 16 \\
        --child.epochs 2 --child.batch-size 64 --judged 2 --first-layers 4 --grow-every 16 \\
        --finalists 2 --finalist-epochs 4 --more-filters 6 --epochs 6
    python experiments/nas_cifar.py --dataset digits --children 8 --filters 6 9 12 16 \\
        --child.epochs 2 --child.batch-size 64 --judged 2 --first-layers 4 --grow-every 16 \\
        --finalists 1 --finalist-epochs 4 --more-filters 6 --epochs 6
    python experiments/nas_cifar.py --strides 1 2 3 --workers processes --resume

The paper trained 12,800 children on 800 GPUs. Not found in what is known of it: how children's
weights were trained beside their epochs, and how long the best network was trained.
"""

from __future__ import annotations

from jaxnas.children.child_config import ChildExperiment
from jaxnas.commands.methods.nas_method import NasFlags, run_nas
from jaxnas.commands.script import run_script
from jaxnas.runs.config import Training

DEFAULTS = NasFlags(
    ChildExperiment(
        children=192,
        judged=5,
        finalist_epochs=100,
        training=Training(epochs=300, learning_rate=0.1, weight_decay=1e-4),
    ),
    child=Training(epochs=50, learning_rate=0.1, weight_decay=1e-4),
)
"""The paper's settings where they are known; but 192 children, not 12,800, and a depth that grows
as much faster."""

if __name__ == "__main__":
    run_script(NasFlags, __doc__, run_nas, DEFAULTS)
