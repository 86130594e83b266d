"""Proxyless neural architecture adaptation (Kim & Lee 2022) without labels: the paper's Table 4.

Trains a known network on two random views of every image, as it is (`original`) and while it adapts
(`cell`, `full`); frozen features are judged by nearest neighbours and a linear classifier.

    python experiments/proxyless_ssl_cifar.py --dataset digits --base resnet20 --methods original \\
        --epochs 5 --batch-size 128
    python experiments/proxyless_ssl_cifar.py --seed 0 --base darts_v2 --method simclr
    python experiments/proxyless_ssl_cifar.py --base resnet18 --method simsiam --seeds 0 1 2
    python experiments/proxyless_ssl_cifar.py --base resnet20 --train-limit 5000 --epochs 10
    python experiments/proxyless_ssl_cifar.py --batch-size 512 --accumulate 2 --optimizer lars \\
        --learning-rate 4 --weight-decay 1e-6

Published on CIFAR-10: ResNet-50 82.39 original, 86.80 adapted; DARTS 88.56 and 89.04. By which
method and how judged is not known; SimCLR and a linear classifier are this project's choice.
"""

from __future__ import annotations

import dataclasses

import tyro

from jaxnas.commands.experiment import run_experiment
from jaxnas.commands.script import run_script
from jaxnas.runs.config import Experiment, Training
from jaxnas.runs.flags.self_supervision import SelfSupervision

DEFAULTS = Experiment(
    base="darts_v2",
    methods=("original", "cell"),
    eval_every=10,
    training=Training(epochs=200, batch_size=256, learning_rate=0.06, rate_warmup_epochs=None),
)
"""SimSiam's recipe for CIFAR-10, with warm-up and a quarter of its epochs."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """Adapts a network while it learns without labels."""

    supervision: SelfSupervision = dataclasses.field(default_factory=SelfSupervision)
    experiment: Experiment = DEFAULTS


def main(flags: Flags) -> None:
    """Runs the methods, and judges what they learned."""
    name = f"proxyless_{flags.supervision.method}"
    run_experiment(flags.experiment, name, supervision=flags.supervision)


if __name__ == "__main__":
    run_script(tyro.conf.OmitArgPrefixes[Flags], __doc__, main)
