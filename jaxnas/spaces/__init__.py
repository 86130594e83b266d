"""What an architecture is: pure data. Imports neither JAX nor Flax."""

from jaxnas.spaces import zoo
from jaxnas.spaces.adaptation import AdaptationSpace, Derivation
from jaxnas.spaces.chain import ChainSpace, proxylessnas_space
from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype, GenotypeError, Node

__all__ = [
    "AdaptationSpace",
    "Block",
    "Cell",
    "ChainSpace",
    "Derivation",
    "Edge",
    "Genotype",
    "GenotypeError",
    "Node",
    "proxylessnas_space",
    "zoo",
]
