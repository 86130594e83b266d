"""What an architecture is: pure data. Imports neither JAX nor Flax."""

from jaxnas.spaces import zoo
from jaxnas.spaces.adaptation import AdaptationSpace, Derivation
from jaxnas.spaces.chain import ChainSpace, proxylessnas_space
from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype, GenotypeError, Node
from jaxnas.spaces.nasbench201 import NASBench201Space
from jaxnas.spaces.space import Decision, Space, SpaceError

__all__ = [
    "AdaptationSpace",
    "Block",
    "Cell",
    "ChainSpace",
    "Decision",
    "Derivation",
    "Edge",
    "Genotype",
    "GenotypeError",
    "NASBench201Space",
    "Node",
    "Space",
    "SpaceError",
    "proxylessnas_space",
    "zoo",
]
