"""Proxyless neural architecture adaptation (Kim & Lee 2022), supervised: the paper's Tables 1 to 3.

Trains a known network as it is (`original`), and the same network while it adapts, with one choice
for each kind of cell (`cell`) or for each block (`full`).

    python experiments/proxyless_cifar.py --seed 0
    python experiments/proxyless_cifar.py --seeds 0 1 2 3 4 --base mobilenet_v2
    python experiments/proxyless_cifar.py --dataset digits
    python experiments/proxyless_cifar.py --dataset tiny_imagenet --resume

Published for ResNet-20 on CIFAR-10: 91.66 ± 0.16 original, 93.29 ± 0.11 cell, 93.12 ± 0.12 full.
"""

from __future__ import annotations

import tyro

from jaxnas.commands.experiment import run_experiment
from jaxnas.commands.script import run_script
from jaxnas.runs.config import Experiment

if __name__ == "__main__":
    flags = tyro.conf.OmitArgPrefixes[Experiment]
    run_script(flags, __doc__, lambda experiment: run_experiment(experiment, "proxyless"))
