"""A controller trained by its children's rewards: REINFORCE (Zoph & Le 2017) and PPO (NASNet).

    A = R - b,  b <- decay * b + (1 - decay) * R       the baseline, at first the first batch's mean
    REINFORCE: L = -mean(A * sum_t log pi(a_t))
    PPO:       L = -mean(sum_t min(r_t A, clip(r_t, 1 - c, 1 + c) A)),  r_t = pi(a_t) / pi_old(a_t)
    both:      L - entropy_weight * mean(sum_t H(pi_t))

Rewards are fractions, such as an accuracy of 0 to 1: the entropy's weight is meant for those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.algorithm import Algorithm, algorithm
from jaxnas.search.blackbox.controller import Controller, chosen, entropy, independent, lstm
from jaxnas.spaces import Space


class PolicyState(NamedTuple):
    """A controller and its optimiser.

    Attributes:
      key: typed.
      asked: int32, how often `ask` was called.
      told: int32, how many rewards came in.
      params: of the controller.
      opt_state: of Adam.
      baseline: float32, the moving average of the rewards.
    """

    key: jax.Array
    asked: jax.Array
    told: jax.Array
    params: Any
    opt_state: Any
    baseline: jax.Array


def reinforce(
    space: Space,
    *,
    controller: Controller | None = None,
    learning_rate: float | jax.Array = 0.1,
    entropy_weight: float | jax.Array = 0.0,
    baseline_decay: float | jax.Array = 0.9,
    batch: int = 8,
) -> Algorithm:
    """REINFORCE with a moving average for baseline (Williams 1992; Zoph & Le 2017).

    Args:
      space: what to search.
      controller: `independent` softmaxes by default, which a few hundred queries can train. That of
        NAS is `lstm(space, layers=2, units=35, scale=0.08)`, with a learning rate of 6e-4.
      learning_rate: of Adam.
      entropy_weight: what a nat of entropy is worth.
      baseline_decay: of the moving average.
      batch: candidates of one step.
    """

    def loss(new: jax.Array, _: jax.Array, advantages: jax.Array) -> jax.Array:
        return -(advantages * new.sum(-1)).mean()

    return _policy_gradient(
        space,
        controller or independent(space),
        loss,
        1,
        learning_rate,
        entropy_weight,
        baseline_decay,
        batch,
    )


def ppo(
    space: Space,
    *,
    controller: Controller | None = None,
    learning_rate: float | jax.Array = 3.5e-4,
    entropy_weight: float | jax.Array = 1e-5,
    baseline_decay: float | jax.Array = 0.95,
    batch: int = 20,
    clip: float | jax.Array = 0.2,
    epochs: int = 15,
) -> Algorithm:
    """NASNet's search (Zoph et al. 2018, A.2; Schulman et al. 2017).

    The paper gives the controller, learning rate, entropy's weight, baseline and batch. It does not
    give the optimiser (Adam here), `clip` and `epochs` (chosen in docs/results/nasbench201.md).

    Args:
      space: what to search.
      controller: the paper's, `lstm(space)`, by default.
      learning_rate: of Adam.
      entropy_weight: what a nat of entropy is worth.
      baseline_decay: of the moving average.
      batch: candidates of one update.
      clip: how far the ratio of a decision's probabilities, new to old, may leave 1.
      epochs: steps of Adam on each batch.
    """

    def loss(new: jax.Array, old: jax.Array, advantages: jax.Array) -> jax.Array:
        ratio = jnp.exp(new - old)
        advantages = advantages[:, None]
        clipped = jnp.clip(ratio, 1 - clip, 1 + clip) * advantages
        return -jnp.minimum(ratio * advantages, clipped).sum(-1).mean()

    return _policy_gradient(
        space,
        controller or lstm(space),
        loss,
        epochs,
        learning_rate,
        entropy_weight,
        baseline_decay,
        batch,
    )


def _policy_gradient(
    space: Space,
    controller: Controller,
    policy_loss: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
    epochs: int,
    learning_rate: float | jax.Array,
    entropy_weight: float | jax.Array,
    baseline_decay: float | jax.Array,
    batch: int,
) -> Algorithm:
    """`policy_loss` is of log probabilities [batch, decisions], now and before, and advantages."""
    if min(batch, epochs) < 1:
        raise SettingsError(f"batch and epochs must be positive; got {batch} and {epochs}")
    optimizer = optax.adam(learning_rate)
    all_log_probs = jax.vmap(controller.log_probs, (None, 0))

    def init(key: jax.Array) -> PolicyState:
        first, stream = jax.random.split(key)
        params = controller.init(first)
        zero = jnp.int32(0)
        return PolicyState(stream, zero, zero, params, optimizer.init(params), jnp.float32(0))

    def ask(state: PolicyState) -> tuple[PolicyState, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.asked), batch)
        candidates = jax.vmap(controller.sample, (None, 0))(state.params, keys)
        return state._replace(asked=state.asked + 1), candidates

    def tell(state: PolicyState, candidates: jax.Array, rewards: jax.Array) -> PolicyState:
        advantages, baseline = against_baseline(
            rewards, state.baseline, baseline_decay, state.told == 0
        )
        old = chosen(all_log_probs(state.params, candidates), candidates)

        def loss(params: Any) -> jax.Array:
            log_probs = all_log_probs(params, candidates)
            bonus = entropy_weight * entropy(log_probs).sum(-1).mean()
            return policy_loss(chosen(log_probs, candidates), old, advantages) - bonus

        def step(carry: Any, _: None) -> Any:
            params, opt_state = carry
            updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        (params, opt_state), _ = jax.lax.scan(step, (state.params, state.opt_state), length=epochs)

        return state._replace(
            told=state.told + len(rewards),
            params=params,
            opt_state=opt_state,
            baseline=baseline,
        )

    return algorithm(space, init, ask, tell, batch)


def against_baseline(
    rewards: jax.Array, baseline: jax.Array, decay: float | jax.Array, first: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Rewards less the baseline, which moves only then; the two of the formulas above.

    Args:
      rewards: float32 [n], in order.
      baseline: float32, the moving average so far.
      decay: of the average.
      first: whether these are the first rewards, of which it then is the mean.

    Returns:
      the advantages float32 [n], and the baseline after them.
    """
    baseline = jnp.where(first, rewards.mean(), baseline)

    def average(baseline: jax.Array, reward: jax.Array) -> tuple[jax.Array, None]:
        return decay * baseline + (1 - decay) * reward, None

    return rewards - baseline, jax.lax.scan(average, baseline, rewards)[0]
