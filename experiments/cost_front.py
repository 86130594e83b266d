"""Accuracy against cost: a known network adapted under one target on its cost after the other.

    python experiments/cost_front.py --targets 1.0 0.85 0.7 0.55 --seeds 0 1 2 --base resnet20
    python experiments/cost_front.py --cost latency --resume

Every target is a run in a folder of its own, `original` the base left alone. Writes `front.md`,
`front.csv`, `front.svg` and `front.png` beside them. Killed, it goes on with `--resume`, also with
more targets.
"""

from __future__ import annotations

from jaxnas.commands.cost_front import CostFront, run_cost_front
from jaxnas.commands.script import run_script

if __name__ == "__main__":
    run_script(CostFront, __doc__, run_cost_front)
