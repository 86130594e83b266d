"""The {none, id, same} space over a known network, and what is read off architecture parameters."""

from jaxnas.spaces.adaptation.cell_choices import CANDIDATES, ID, NONE, SAME
from jaxnas.spaces.adaptation.derivation import Derivation, Granularity, changes, granularity_of
from jaxnas.spaces.adaptation.space import AdaptationSpace

__all__ = [
    "CANDIDATES",
    "ID",
    "NONE",
    "SAME",
    "AdaptationSpace",
    "Derivation",
    "Granularity",
    "changes",
    "granularity_of",
]
