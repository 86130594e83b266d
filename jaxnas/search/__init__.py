"""How an architecture is found: pure functions of a state."""

from jaxnas.search.blackbox.algorithm import (
    Algorithm,
    RewardError,
    Trials,
    algorithm,
    best_so_far,
    search,
    simulate,
)
from jaxnas.search.blackbox.controller import Controller, independent, lstm, prefix
from jaxnas.search.blackbox.evolution import evolution
from jaxnas.search.blackbox.local_search import local
from jaxnas.search.blackbox.policy_gradient import ppo, reinforce
from jaxnas.search.blackbox.random_search import random
from jaxnas.search.blackbox.staged import Stage, StagedState, staged
from jaxnas.search.blackbox.surrogate_search import surrogate
from jaxnas.search.progressive.block_surrogate import SURROGATES, block_surrogate
from jaxnas.search.progressive.progressive import Level, Progressive, ProgressiveState, answer
from jaxnas.search.progressive.surrogates import (
    Surrogate,
    known_data,
    lstm_surrogate,
    mlp_surrogate,
    pad_cells,
)
from jaxnas.search.shared.adaptation import (
    Adaptation,
    AdaptationState,
    adaptation,
    initial_theta,
)
from jaxnas.search.shared.darts import DartsSettings, DartsState, darts
from jaxnas.search.shared.enas import EnasSettings, EnasState, enas
from jaxnas.search.shared.enas_controller import LogitSettings, enas_controller
from jaxnas.search.shared.estimators import ESTIMATORS, Estimator
from jaxnas.search.shared.nat import NATState, nat
from jaxnas.search.shared.proxylessnas import ProxylessSettings, ProxylessState, proxylessnas
from jaxnas.search.shared.supernet import Found, SharedWeightSearch, Supernet
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
    "Level",
    "LogitSettings",
    "NATState",
    "Progressive",
    "ProgressiveState",
    "ProxylessSettings",
    "ProxylessState",
    "RewardError",
    "SharedWeightSearch",
    "Stage",
    "StagedState",
    "Supernet",
    "Surrogate",
    "Trials",
    "adaptation",
    "algorithm",
    "answer",
    "best_so_far",
    "block_surrogate",
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
    "nat",
    "pad_cells",
    "ppo",
    "prefix",
    "proxylessnas",
    "random",
    "reinforce",
    "search",
    "simulate",
    "staged",
    "surrogate",
    "synflow",
]
