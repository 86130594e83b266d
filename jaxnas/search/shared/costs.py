"""What networks cost, expected of architecture parameters, and how that counts in a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.search.shared.supernet import readable

CostObjective = Literal["none", "mul_log", "add_linear", "reward"]

_MUL_LOG_SCALE = 0.2  # a; Adam does not see it


class Costs(Protocol):
    """What networks cost, such as `nn.CandidateCosts`."""

    @property
    def candidates(self) -> np.ndarray:
        """float64 [decisions, options]; 0 for padding."""
        ...

    @property
    def fixed(self) -> float:
        """The cost of what all networks have."""
        ...

    @property
    def unit(self) -> str:
        """What is counted, in words."""
        ...

    def of(self, choices: np.ndarray) -> float:
        """The cost of the network of a candidate, int [decisions]."""
        ...


def expected_cost(parameters: jax.Array, costs: jax.Array) -> jax.Array:
    """Sum of sum_j p_j cost_j, p the softmax of parameters; both are [..., options]."""
    return (jax.nn.softmax(parameters) * costs).sum()


def cost_objective(
    objective: CostObjective,
    reference: float | None,
    exponent: float | None,
    weight: float,
    costs: Costs,
    possible: np.ndarray,
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """(loss or accuracy, cost) to what is minimised, or the reward (Cai et al. 2019; its code).

    Args:
      objective: ``mul_log`` multiplies the loss by (log cost / log reference)^exponent,
        ``add_linear`` adds weight (cost / reference - 1); ``reward`` multiplies the accuracy by
        (reference / cost)^exponent.
      reference: the cost that is aimed at.
      exponent: of ``mul_log``, 0.3 by default, or ``reward``, 0.1 by default.
      weight: of ``add_linear``.
      costs: of the options.
      possible: bool [decisions, options].

    Raises:
      SettingsError: if an objective has no reference, or costs that its logarithm cannot take.
    """
    if objective == "none":
        return lambda value, cost: value
    least = costs.fixed + np.where(possible, costs.candidates, np.inf).min(1).sum()
    most = costs.fixed + costs.candidates.max(1).sum()
    if reference is None or not reference > 0:
        raise SettingsError(
            f"objective {objective!r} needs a positive cost_reference, not {reference}; "
            f"the networks of this space cost {readable(least)} to {readable(most)} {costs.unit}"
        )
    if objective == "mul_log":
        if min(least, reference) <= 1:
            raise SettingsError(
                "objective 'mul_log' takes the logarithm of costs, which must exceed 1; they are "
                f"{readable(least)} to {readable(most)} {costs.unit} and the reference "
                f"{readable(reference)}: choose a smaller unit"
            )
        power = 0.3 if exponent is None else exponent
        scale = np.log(reference)
        return lambda loss, cost: _MUL_LOG_SCALE * loss * (jnp.log(cost) / scale) ** power
    if objective == "add_linear":
        return lambda loss, cost: loss + weight * (cost - reference) / reference
    power = 0.1 if exponent is None else exponent
    return lambda accuracy, cost: accuracy * (reference / cost) ** power
