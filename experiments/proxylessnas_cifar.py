"""ProxylessNAS (Cai et al. 2019) on a chain of inverted-residual blocks, for CIFAR-10 by default.

Searches each block's kernel and expansion, or that it is left out, then trains the found network
and a random one of the same space from scratch.

    python experiments/proxylessnas_cifar.py --seed 0
    python experiments/proxylessnas_cifar.py --cost macs --proxyless.objective mul_log \\
        --proxyless.cost-reference 4e7
    python experiments/proxylessnas_cifar.py --proxyless.estimator reinforce --cost latency \\
        --proxyless.objective reward --proxyless.cost-reference 5
    python experiments/proxylessnas_cifar.py --dataset digits --width 0.25 --stages 2 --depth 2 \\
        --kernels 3 5 --head 64 --search-epochs 8 --epochs 10

The paper searched ImageNet with this space; its space for CIFAR-10 was another and its search there
was not released. A cost's unit is a multiply-add, a parameter, or a millisecond for one image.
"""

from __future__ import annotations

from jaxnas.commands.methods.proxylessnas_method import ProxylessFlags, run_proxylessnas
from jaxnas.commands.script import run_script
from jaxnas.runs.config import Training
from jaxnas.runs.search_config import SearchExperiment

DEFAULTS = ProxylessFlags(
    SearchExperiment(
        search_epochs=160,
        search_batch_size=256,
        train_share=0.9,
        training=Training(epochs=300, batch_size=128, learning_rate=0.05, weight_decay=4e-5),
    )
)
"""The search as the paper's for ImageNet; training anew is this project's choice."""

if __name__ == "__main__":
    run_script(ProxylessFlags, __doc__, run_proxylessnas, DEFAULTS)
