"""How an architecture is found: pure functions of a state."""

from jaxnas.search.adaptation import (
    Adaptation,
    AdaptationState,
    adaptation,
    initial_theta,
    one_hot_gates,
    table_costs,
)
from jaxnas.search.estimators import ESTIMATORS, Estimator, Gates

__all__ = [
    "ESTIMATORS",
    "Adaptation",
    "AdaptationState",
    "Estimator",
    "Gates",
    "adaptation",
    "initial_theta",
    "one_hot_gates",
    "table_costs",
]
