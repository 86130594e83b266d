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
    "initial_theta",
    "one_hot_gates",
    "proxylessnas",
    "strongest_edges",
    "table_costs",
]
