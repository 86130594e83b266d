"""How well scores without training rank NAS-Bench-201: rank correlations with trained accuracy.

    python experiments/zero_cost_201.py --architectures 200 --seed 0

Scores architectures drawn from the connected ones of the space, all from the same initial weights
and one batch of CIFAR-10's training images, and compares with the table's test accuracy on CIFAR-10
after 200 epochs. Three programs are compiled, however many architectures there are. Writes
`scores.csv` (one row an architecture), `results.json` and `report.md`.
"""

from __future__ import annotations

from jaxnas.commands.script import run_script
from jaxnas.commands.tabular.zero_cost_table import ZeroCost, run_zero_cost

if __name__ == "__main__":
    run_script(ZeroCost, __doc__, run_zero_cost)
