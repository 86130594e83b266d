"""Proxyless neural architecture adaptation (PNAA; Kim & Lee 2022).

A known network is trained as usual while every edge chooses among {none, identity, same}: weights
ω and architecture parameters θ move in the same steps, θ is then fixed to its arg max and ω trained
on, never started anew (the paper's figure 1). What the paper leaves open is an argument here:
the reading of θ (`estimators`), the data that moves θ, the warm-up, θ's optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.errors import SettingsError
from jaxnas.randomness import stream
from jaxnas.search.shared.costs import expected_cost
from jaxnas.search.shared.estimators import ESTIMATORS, Estimator, ruled_out
from jaxnas.search.shared.supernet import Supernet
from jaxnas.spaces import Space
from jaxnas.tasks import Task
from jaxnas.training.averaging import moving_average
from jaxnas.training.train import (
    NO_REGULARISATION,
    Batch,
    Noise,
    Regularisation,
    Step,
)

_SAME = -1  # the last of the choices
_NEVER = -1e9  # θ of what is ruled out; finite, so that sums with it stay numbers

ArchData = Literal["train", "holdout"]


class AdaptationState(NamedTuple):
    """Weights and architecture parameters of the joint phase.

    Attributes:
      step: int32 scalar, the number of steps done.
      variables: ``params`` and ``batch_stats`` of the supernet.
      opt_state: of the weights' optimiser.
      theta: float32 [tables, edges, 3], θ in the order none, id, same.
      theta_opt_state: of θ's optimiser.
      average: moving average of the variables, by which the network is judged; None without one.
    """

    step: jax.Array
    variables: Any
    opt_state: Any
    theta: jax.Array
    theta_opt_state: Any
    average: Any = None


class Adaptation(NamedTuple):
    """The joint phase as pure functions.

    Attributes:
      init: typed key to the first `AdaptationState`.
      start: the supernet's ``params`` and ``batch_stats`` to the first `AdaptationState`.
      step: (state, batch, key) to the next state and the scalar ``loss``; the batch has a part
        ``train`` and, where θ learns from held-out images, a part ``arch``.
      gates: state to the gates [blocks, edges, 3] that weight the supernet at that state.
      derive: θ [tables, edges, 3] to the architecture that `Supernet.decode` makes of it.
    """

    init: Callable[[jax.Array], AdaptationState]
    start: Callable[[Any], AdaptationState]
    step: Step
    gates: Callable[[AdaptationState], jax.Array]
    derive: Callable[[jax.Array], Any]


def initial_theta(space: Space) -> jax.Array:
    """θ at the start, float32 [tables, edges, 3]: [0, 0, 1] for every operation (figure 1).

    A null edge, which the figure does not show, has no operation to prefer and starts undecided, at
    [0, 0, 0]: none and same are one choice there, and would hold 79% of the softmax otherwise.
    What an edge that has choices cannot become has a softmax of 0.
    """
    prefers_same = (space.possible & ~space.nothing)[..., _SAME].astype(np.float32)
    theta = jnp.zeros(space.shape, jnp.float32).at[..., _SAME].set(prefers_same)
    return jnp.where(ruled_out(space), _NEVER, theta)


def adaptation(
    supernet: Supernet,
    space: Space,
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    estimator: str,
    arch_learning_rate: float,
    arch_optimizer: Literal["adam", "sgd"] = "adam",
    warmup_steps: int = 0,
    arch_data: ArchData = "train",
    arch_every: int = 1,
    cost_weight: float = 0.0,
    costs: np.ndarray | None = None,
    regularisation: Regularisation = NO_REGULARISATION,
    average_decay: float = 0.0,
) -> Adaptation:
    """The joint training of ω and θ.

    Args:
      supernet: of which gates run, float32 [tables, edges, 3]; its `decode` takes the estimator's
        scores of the candidates, float [tables, edges, 3].
      space: the choices.
      task: what is learned.
      optimizer: of ω.
      estimator: one of `estimators.ESTIMATORS`.
      arch_learning_rate: of θ.
      arch_optimizer: ``adam`` (β1 0.5, β2 0.999) or ``sgd`` without momentum.
      warmup_steps: steps before θ first moves; ω trains under the gates of the first θ.
      arch_data: ``train``: θ's gradient comes from the weights' own batch, in the same backward
        pass. ``holdout``: from the batch's part ``arch``, in a pass of its own.
      arch_every: steps from one in which θ moves to the next.
      cost_weight: λ of the loss's added λ E[cost], the expected cost over the base's.
      costs: float [tables, edges, 3], each candidate's share of the base's cost; needed where
        `cost_weight` is not 0.
      regularisation: drop path, dropout and the auxiliary head's weight, as in plain training.
      average_decay: of the average of ω that the state keeps, see `moving_average`; 0 to keep none.

    Raises:
      SettingsError: for an estimator, optimiser, data or interval that does not exist, or missing
        `costs`.
    """
    if estimator not in ESTIMATORS:
        raise SettingsError(f"estimator must be one of {', '.join(ESTIMATORS)}, not {estimator!r}")
    if arch_data not in ("train", "holdout"):
        raise SettingsError(f"arch_data must be 'train' or 'holdout', not {arch_data!r}")
    if arch_every < 1:
        raise SettingsError(f"arch_every must be at least 1, not {arch_every}")
    if cost_weight and costs is None:
        raise SettingsError("cost_weight needs the candidates' costs")
    reading: Estimator = ESTIMATORS[estimator](space)
    if arch_optimizer == "adam":
        theta_optimizer = optax.adam(arch_learning_rate, b1=0.5, b2=0.999)
    elif arch_optimizer == "sgd":
        theta_optimizer = optax.sgd(arch_learning_rate)
    else:
        raise SettingsError(f"arch_optimizer must be 'adam' or 'sgd', not {arch_optimizer!r}")
    # NumPy, so that this may be called while JAX traces.
    valid = space.possible
    price = np.zeros(space.shape, np.float32) if costs is None else np.float32(costs)

    def start(variables: Any) -> AdaptationState:
        theta = initial_theta(space)
        return AdaptationState(
            jnp.zeros((), jnp.int32),
            variables,
            optimizer.init(variables["params"]),
            theta,
            theta_optimizer.init(theta),
            variables if average_decay else None,
        )

    def init(key: jax.Array) -> AdaptationState:
        return start(supernet.init(key))

    def loss_of(
        learned: tuple[Any, jax.Array],
        batch_stats: Any,
        batch: tuple[jax.Array, jax.Array],
        augment_key: jax.Array,
        noise: Noise | None,
    ) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        params, theta = learned
        variables = {"params": params, "batch_stats": batch_stats}
        loss, batch_stats = supernet.loss(
            task,
            variables,
            reading.gates(theta),
            batch,
            augment_key,
            noise,
            regularisation.auxiliary_weight,
        )
        total = loss + cost_weight * expected_cost(theta, jnp.asarray(price))
        return total, (loss, batch_stats)

    def step(
        state: AdaptationState, batch: Batch, key: jax.Array
    ) -> tuple[AdaptationState, dict[str, jax.Array]]:
        augment_key = jax.random.fold_in(stream(key, "augment"), state.step)
        noise = regularisation.noise(key, state.step)
        params, batch_stats = state.variables["params"], state.variables["batch_stats"]
        due = (state.step >= warmup_steps) & ((state.step - warmup_steps) % arch_every == 0)

        if arch_data == "train":
            # One backward pass serves both: the gates are inputs like any other.
            (_, (loss, new_stats)), (gradient, theta_gradient) = jax.value_and_grad(
                loss_of, has_aux=True
            )((params, state.theta), batch_stats, batch["train"], augment_key, noise)
        else:

            def weights_loss(params: Any) -> Any:
                learned = params, state.theta
                return loss_of(learned, batch_stats, batch["train"], augment_key, noise)

            (_, (loss, new_stats)), gradient = jax.value_and_grad(weights_loss, has_aux=True)(
                params
            )

            def arch_loss(theta: jax.Array) -> jax.Array:
                arch_key = stream(augment_key, "arch")
                return loss_of((params, theta), batch_stats, batch["arch"], arch_key, noise)[0]

            theta_gradient = jax.lax.cond(
                due,
                lambda: jax.grad(arch_loss)(state.theta),
                lambda: jnp.zeros_like(state.theta),
            )

        updates, opt_state = optimizer.update(gradient, state.opt_state, params)
        theta_updates, theta_opt_state = theta_optimizer.update(
            jnp.where(valid, theta_gradient, 0.0), state.theta_opt_state, state.theta
        )
        moved = reading.allowed(jnp.asarray(optax.apply_updates(state.theta, theta_updates)))
        theta, theta_opt_state = jax.tree.map(
            lambda new, old: jnp.where(due, new, old),
            (moved, theta_opt_state),
            (state.theta, state.theta_opt_state),
        )
        variables = {"params": optax.apply_updates(params, updates), "batch_stats": new_stats}
        average = state.average
        if average is not None:
            average = moving_average(average, variables, state.step, average_decay)
        return (
            AdaptationState(state.step + 1, variables, opt_state, theta, theta_opt_state, average),
            {"loss": loss},
        )

    def gates(state: AdaptationState) -> jax.Array:
        return supernet.choices(reading.gates(state.theta))

    def derive(theta: jax.Array) -> Any:
        return supernet.decode(np.asarray(reading.scores(theta)))

    return Adaptation(init, start, step, gates, derive)
