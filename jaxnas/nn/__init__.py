"""How an architecture computes: Flax modules built from genotypes."""

from jaxnas.nn.chain import ChainSupernet, Pair, cut_chain
from jaxnas.nn.child_weights import (
    child_choices,
    child_variables,
    cut_child,
    shared_variables,
)
from jaxnas.nn.children import Child
from jaxnas.nn.cost import (
    ChainCost,
    Cost,
    chain_cost,
    cost,
    edge_macs,
    edge_params,
    fixed_cost,
)
from jaxnas.nn.derive import cut, cut_like
from jaxnas.nn.export import export, load_exported
from jaxnas.nn.heads import HEADS, Outputs, Projector, Representation
from jaxnas.nn.imports import Imported, import_keras, import_timm
from jaxnas.nn.init import abstract_variables, init
from jaxnas.nn.macro import MacroChoice, MacroSupernet, cut_macro, macro_choice
from jaxnas.nn.nasbench201 import NASBench201Supernet
from jaxnas.nn.network import Network, Noise, WithAuxiliary, build, supernet
from jaxnas.nn.weights import WeightsError, load_network, load_safetensors, save_safetensors

__all__ = [
    "HEADS",
    "ChainCost",
    "ChainSupernet",
    "Child",
    "Cost",
    "Imported",
    "MacroChoice",
    "MacroSupernet",
    "NASBench201Supernet",
    "Network",
    "Noise",
    "Outputs",
    "Pair",
    "Projector",
    "Representation",
    "WeightsError",
    "WithAuxiliary",
    "abstract_variables",
    "build",
    "chain_cost",
    "child_choices",
    "child_variables",
    "cost",
    "cut",
    "cut_chain",
    "cut_child",
    "cut_like",
    "cut_macro",
    "edge_macs",
    "edge_params",
    "export",
    "fixed_cost",
    "import_keras",
    "import_timm",
    "init",
    "load_exported",
    "load_network",
    "load_safetensors",
    "macro_choice",
    "save_safetensors",
    "shared_variables",
    "supernet",
]
