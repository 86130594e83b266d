"""How an architecture computes: Flax modules built from genotypes."""

from jaxnas.nn.cost import Cost, cost, edge_macs
from jaxnas.nn.derive import cut, cut_like
from jaxnas.nn.init import abstract_variables, init
from jaxnas.nn.network import Network, build, supernet

__all__ = [
    "Cost",
    "Network",
    "abstract_variables",
    "build",
    "cost",
    "cut",
    "cut_like",
    "edge_macs",
    "init",
    "supernet",
]
