"""How an architecture is found: pure functions of a state."""

from jaxnas.search.adaptation import (
    Adaptation,
    AdaptationState,
    adaptation,
    initial_theta,
    one_hot_gates,
    table_costs,
)
from jaxnas.search.blackbox import (
    Algorithm,
    RewardError,
    Trials,
    algorithm,
    best_so_far,
    search,
    simulate,
)
from jaxnas.search.controller import Controller, independent, lstm, prefix
from jaxnas.search.darts import DartsSettings, DartsState, darts, strongest_edges
from jaxnas.search.enas import EnasSettings, EnasState, enas
from jaxnas.search.enas_controller import LogitSettings, enas_controller
from jaxnas.search.estimators import ESTIMATORS, Estimator, Gates
from jaxnas.search.evolution import evolution
from jaxnas.search.local_search import local
from jaxnas.search.policy_gradient import ppo, reinforce
from jaxnas.search.progressive import Level, Progressive, ProgressiveState, answer
from jaxnas.search.proxylessnas import ProxylessSettings, ProxylessState, proxylessnas
from jaxnas.search.random_search import random
from jaxnas.search.shared import Found, SharedWeightSearch
from jaxnas.search.surrogate import surrogate
from jaxnas.search.surrogates import (
    SURROGATES,
    Surrogate,
    known_data,
    lstm_surrogate,
    mlp_surrogate,
    pad_cells,
)
from jaxnas.search.zero_cost import gradient_norm, naswot, synflow

__all__ = [
    "ESTIMATORS",
    "SURROGATES",
    "Adaptation",
    "AdaptationState",
    "Algorithm",
    "Controller",
    "DartsSettings",
    "DartsState",
    "EnasSettings",
    "EnasState",
    "Estimator",
    "Found",
    "Gates",
    "Level",
    "LogitSettings",
    "Progressive",
    "ProgressiveState",
    "ProxylessSettings",
    "ProxylessState",
    "RewardError",
    "SharedWeightSearch",
    "Surrogate",
    "Trials",
    "adaptation",
    "algorithm",
    "answer",
    "best_so_far",
    "darts",
    "enas",
    "enas_controller",
    "evolution",
    "gradient_norm",
    "independent",
    "initial_theta",
    "known_data",
    "local",
    "lstm",
    "lstm_surrogate",
    "mlp_surrogate",
    "naswot",
    "one_hot_gates",
    "pad_cells",
    "ppo",
    "prefix",
    "proxylessnas",
    "random",
    "reinforce",
    "search",
    "simulate",
    "strongest_edges",
    "surrogate",
    "synflow",
    "table_costs",
]
