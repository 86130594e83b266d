"""PNAS (Liu et al. 2018) where the truth is known, without training anything.

nasbench201: NAS-Bench-201 seen path by path; regret next to random search, PPO and evolution at
equal queries, and how well the surrogate ranks. graph: the same on NAS-Bench-Graph, node by node.
surrogates: how well each kind of surrogate ranks
random cells, by a synthetic accuracy of every cell of PNAS's space. race: how many children PPO
and random search need to be as good as PNAS by it.

    python experiments/pnas_tables.py
    python experiments/pnas_tables.py --parts nasbench201 --seeds 20 --run-dir runs/pnas_201

Writes `report.md`, `results.json` and the curves of regret.
"""

from __future__ import annotations

from jaxnas.commands.script import run_script
from pnas.validation import PnasTables, run_pnas_tables

if __name__ == "__main__":
    run_script(PnasTables, __doc__, run_pnas_tables)
