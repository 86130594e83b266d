"""What an architecture is: pure data. Imports neither JAX nor Flax."""

from jaxnas.spaces import zoo
from jaxnas.spaces.adaptation import AdaptationSpace, Derivation
from jaxnas.spaces.block_cells import (
    BlockCellSpace,
    enas_micro_space,
    nasnet_space,
    pnas_space,
)
from jaxnas.spaces.cells import DARTS_OPERATIONS, CellSpace
from jaxnas.spaces.chain import ChainSpace, proxylessnas_space
from jaxnas.spaces.enas_macro import EnasMacroSpace
from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype, GenotypeError, Node
from jaxnas.spaces.mnasnet import MnasNetSpace
from jaxnas.spaces.nas2017 import Nas2017Space
from jaxnas.spaces.nas_bench_macro import NasBenchMacroSpace
from jaxnas.spaces.nasbench201 import NASBench201Paths, NASBench201Space
from jaxnas.spaces.nats_size import NATSSizeSpace
from jaxnas.spaces.space import Decision, Space, SpaceError

__all__ = [
    "DARTS_OPERATIONS",
    "AdaptationSpace",
    "Block",
    "BlockCellSpace",
    "Cell",
    "CellSpace",
    "ChainSpace",
    "Decision",
    "Derivation",
    "Edge",
    "EnasMacroSpace",
    "Genotype",
    "GenotypeError",
    "MnasNetSpace",
    "NASBench201Paths",
    "NASBench201Space",
    "NATSSizeSpace",
    "Nas2017Space",
    "NasBenchMacroSpace",
    "Node",
    "Space",
    "SpaceError",
    "enas_micro_space",
    "nasnet_space",
    "pnas_space",
    "proxylessnas_space",
    "zoo",
]
