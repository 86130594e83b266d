"""How an architecture computes: Flax modules built from genotypes."""

from jaxnas.nn.costs.cost import CandidateCosts, Cost, candidate_costs, cost
from jaxnas.nn.heads import HEAD_MODULES, HEADS, Outputs, Projector, Representation, WithAuxiliary
from jaxnas.nn.layers import Noise
from jaxnas.nn.network import Network, build, supernet
from jaxnas.nn.supernets.chain_supernet import ChainSupernet, Pair
from jaxnas.nn.supernets.child_network import Child
from jaxnas.nn.supernets.macro_supernet import MacroChoice, MacroSupernet, macro_choice
from jaxnas.nn.supernets.nasbench201_supernet import NASBench201Supernet
from jaxnas.nn.weights.checks import WeightsError
from jaxnas.nn.weights.child_weights import (
    child_choices,
    child_variables,
    cut_child,
    shared_variables,
)
from jaxnas.nn.weights.cut import cut, cut_chain, cut_like, cut_macro
from jaxnas.nn.weights.export import export, load_exported
from jaxnas.nn.weights.foreign import Imported
from jaxnas.nn.weights.from_keras import import_keras
from jaxnas.nn.weights.from_torch import import_timm, import_torchvision
from jaxnas.nn.weights.init import abstract_variables, init
from jaxnas.nn.weights.onnx_file import export_onnx
from jaxnas.nn.weights.pretrained import import_weights
from jaxnas.nn.weights.safetensors_file import load_network, load_safetensors, save_safetensors

__all__ = [
    "HEADS",
    "HEAD_MODULES",
    "CandidateCosts",
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
    "candidate_costs",
    "child_choices",
    "child_variables",
    "cost",
    "cut",
    "cut_chain",
    "cut_child",
    "cut_like",
    "cut_macro",
    "export",
    "export_onnx",
    "import_keras",
    "import_timm",
    "import_torchvision",
    "import_weights",
    "init",
    "load_exported",
    "load_network",
    "load_safetensors",
    "macro_choice",
    "save_safetensors",
    "shared_variables",
    "supernet",
]
