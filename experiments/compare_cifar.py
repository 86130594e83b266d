"""PNAA against what it replaces: Tables 1 to 3 of Kim & Lee 2022 from this code alone.

Every base network left alone, transformed by NAT and trained anew, adapted cell by cell and over
the whole network, and with random choices of the same spaces.

    python experiments/compare_cifar.py                      # small budget: minutes a run on a CPU
    python experiments/compare_cifar.py --budget paper --base resnet20_cells mobilenet_v2 darts_v2
    python experiments/compare_cifar.py --dataset tiny_imagenet --budget paper        # Table 3
    python experiments/compare_cifar.py --resume           # goes on; in several processes at a time
    python experiments/compare_cifar.py --workers ray      # on a Ray cluster

Every cell of the table can be resumed, and processes that share a run directory share the work.
"""

from __future__ import annotations

import tyro

from jaxnas.commands.comparison import run_comparison
from jaxnas.commands.comparison_config import Comparison
from jaxnas.commands.script import run_script

PUBLISHED = {
    "cifar10": {
        ("resnet20_cells", "original"): "91.66 ± 0.16",
        ("resnet20_cells", "nat"): "55.78 ± 42.34",
        ("resnet20_cells", "adapt_cell"): "93.29 ± 0.11",
        ("resnet20_cells", "adapt_full"): "93.12 ± 0.12",
        ("mobilenet_v2", "original"): "93.91 ± 0.12",
        ("mobilenet_v2", "nat"): "91.97 ± 5.10",
        ("mobilenet_v2", "adapt_cell"): "95.02 ± 0.31",
        ("mobilenet_v2", "adapt_full"): "94.93 ± 0.13",
        ("darts_v2", "original"): "96.75 ± 0.11",
        ("darts_v2", "nat"): "96.95 ± 0.09",
        ("darts_v2", "adapt_cell"): "96.97 ± 0.15",
        ("darts_v2", "adapt_full"): "96.82 ± 0.13",
    },
    "tiny_imagenet": {
        ("resnet20_cells", "original"): "50.72 ± 0.41",
        ("resnet20_cells", "adapt_cell"): "52.86 ± 0.49",
        ("resnet20_cells", "adapt_full"): "52.71 ± 0.23",
        ("mobilenet_v2", "original"): "51.57 ± 0.76",
        ("mobilenet_v2", "adapt_cell"): "53.17 ± 1.03",
        ("mobilenet_v2", "adapt_full"): "52.92 ± 0.50",
        ("darts_v2", "original"): "59.25 ± 0.44",
        ("darts_v2", "adapt_cell"): "60.24 ± 0.35",
        ("darts_v2", "adapt_full"): "60.63 ± 0.50",
    },
}
"""Test accuracy by data set, base and method: the paper's Tables 1 and 3.

Its ResNet-20 is taken to be NAT's form, the only one in which an edge can be added.
"""


def main(flags: Comparison) -> None:
    """Compares; the published numbers are for the published budget."""
    published = PUBLISHED.get(flags.data.dataset, {}) if flags.budget == "paper" else {}
    run_comparison(flags, published)


if __name__ == "__main__":
    run_script(tyro.conf.OmitArgPrefixes[Comparison], __doc__, main)
