"""How an architecture is found: pure functions of a state."""

from jaxnas.search.adaptation import (
    Adaptation,
    AdaptationState,
    adaptation,
    initial_theta,
    one_hot_gates,
    table_costs,
)
from jaxnas.search.darts import DartsSettings, DartsState, darts, strongest_edges
from jaxnas.search.estimators import ESTIMATORS, Estimator, Gates
from jaxnas.search.proxylessnas import ProxylessSettings, ProxylessState, proxylessnas
from jaxnas.search.shared import Found, SharedWeightSearch
from jaxnas.search.zero_cost import gradient_norm, naswot, synflow

__all__ = [
    "ESTIMATORS",
    "Adaptation",
    "AdaptationState",
    "DartsSettings",
    "DartsState",
    "Estimator",
    "Found",
    "Gates",
    "ProxylessSettings",
    "ProxylessState",
    "SharedWeightSearch",
    "adaptation",
    "darts",
    "gradient_norm",
    "initial_theta",
    "naswot",
    "one_hot_gates",
    "proxylessnas",
    "strongest_edges",
    "synflow",
    "table_costs",
]
