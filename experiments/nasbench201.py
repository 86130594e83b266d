"""Black-box searchers on all of NAS-Bench-201, where the truth is known: thousands of seeds.

A search looks up validation accuracies after 12 epochs; the test accuracy after 200 epochs of the
best is reported, next to random search's.

    python experiments/nasbench201.py --algorithm ppo evolution --seeds 500 --queries 300
    python experiments/nasbench201.py --dataset cifar100 --table nasbench201.csv.gz

Writes `results.json`, `found.csv`, `report.md` and the curves of regret.
"""

from __future__ import annotations

from jaxnas.commands.script import run_script
from jaxnas.commands.tabular.tabular_experiment import run_tabular
from jaxnas.commands.tabular.tabular_search import TabularSearch

if __name__ == "__main__":
    run_script(TabularSearch, __doc__, run_tabular)
