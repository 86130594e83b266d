"""ProxylessNAS: search on the target task, in the memory of one network (Cai et al. 2019).

Every block of a chain draws its path from p = softmax(α). In turn the weights learn on a training
batch under one drawn path, and α on a held-out batch, by one of three estimators of its gradient
through the drawn gates g (equation 4, dL/dα_i ≈ Σ_j dL/dg_j p_j (δ_ij - p_i)):

* ``full``: over all paths; every one of them runs.
* ``two_path``: over two drawn paths, with q, the softmax over the two, in place of p. Afterwards
  both are shifted so that the other paths keep their probabilities (section 3.2.1).
* ``reinforce``: from the rewards of drawn networks, forward passes alone (equation 8).

What the paper leaves open follows its code (github.com/mit-han-lab/proxylessnas), but for one
thing: there α stays where it is in a step whose active path is Zero, since the block is skipped.
Here Zero is a path like any other, whose output, and so gate gradient, is 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.errors import SettingsError
from jaxnas.randomness import stream
from jaxnas.search.shared.binary_gates import draw_pair, gates_of, rescale
from jaxnas.search.shared.costs import CostObjective, Costs, cost_objective, expected_cost
from jaxnas.search.shared.supernet import (
    Found,
    SharedWeightSearch,
    Supernet,
    mean_entropy,
    readable,
    refuse_unfit,
)
from jaxnas.spaces import Space
from jaxnas.tasks import Task
from jaxnas.training.loop import Data
from jaxnas.training.train import Batch

WARMUP, JOINT = "warmup", "joint"
"""The phases: weights alone, and weights and α in turn."""

_INITIAL_SCALE = 1e-3  # of α
_ADAM_BETAS = 0.0, 0.999  # no momentum: it would move what a step leaves out
_BASELINE_RATE = 0.99
_HARDLY = 0.01  # of α's greatest entropy, which is all but that of its first draw


@dataclasses.dataclass(frozen=True)
class ProxylessSettings:
    """How ProxylessNAS searches."""

    estimator: Literal["two_path", "full", "reinforce"] = "two_path"
    """Estimator of α's gradient."""
    objective: CostObjective = "none"
    """Place of the cost: mul_log multiplies the loss by (log E[cost] / log reference)^exponent,
    add_linear adds weight (E[cost] / reference - 1); reward, for reinforce, multiplies the accuracy
    by (reference / cost)^exponent."""
    cost_reference: float | None = None
    """Cost that is aimed at, in the unit of the costs: the objective's reference."""
    cost_exponent: float | None = None
    """Exponent of mul_log (0.3 by default) and of reward (0.1)."""
    cost_weight: float = 0.1
    """Weight of the cost in add_linear."""
    samples: int = 10
    """Number of networks that reinforce draws for a step."""
    warmup_share: float = 0.25
    """Share of the epochs in which the weights train alone; the paper has 40 of 160."""
    warmup_learning_rate: float = 0.05
    """Learning rate of the weights at the start; it falls to 0 over the warm-up."""
    learning_rate: float = 0.025
    """Learning rate of the weights after the warm-up; it falls to 0 again."""
    momentum: float = 0.9
    """Nesterov momentum of the weights."""
    weight_decay: float = 4e-5
    """L2 decay of the weights."""
    arch_learning_rate: float = 1e-3
    """Learning rate of Adam for α."""
    arch_every: int = 5
    """Number of steps of the weights from one move of α to the next."""

    def __post_init__(self) -> None:
        if self.estimator not in ("two_path", "full", "reinforce"):
            raise SettingsError(
                f"estimator must be 'two_path', 'full' or 'reinforce', not {self.estimator!r}"
            )
        fitting = ("none", "reward")
        if self.estimator != "reinforce":
            fitting = ("none", "mul_log", "add_linear")
        if self.objective not in fitting:
            raise SettingsError(
                f"objective must be one of {', '.join(fitting)} with the estimator "
                f"{self.estimator}, not {self.objective!r}"
            )
        for name in ("samples", "arch_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.warmup_share < 1:
            raise SettingsError(f"warmup_share must be from 0 to below 1, not {self.warmup_share}")
        refuse_unfit(
            self,
            positive=("warmup_learning_rate", "learning_rate", "arch_learning_rate"),
            not_negative=("momentum", "weight_decay", "cost_weight"),
        )

    def warmup_epochs(self, epochs: int) -> int:
        """Epochs of the warm-up, of `epochs` in all."""
        return round(self.warmup_share * epochs)


class ProxylessState(NamedTuple):
    """Weights and architecture parameters.

    Attributes:
      step: int32 scalar, the number of steps done.
      variables: ``params`` and ``batch_stats`` of the supernet.
      opt_state: of the weights' optimiser.
      alpha: float32 [blocks, candidates], the architecture parameters α; padding stays 0.
      alpha_opt_state: of α's optimiser.
      baseline: float32 scalar, b of reinforce.
    """

    step: jax.Array
    variables: Any
    opt_state: Any
    alpha: jax.Array
    alpha_opt_state: Any
    baseline: jax.Array


WhereRan = Callable[[jax.Array, Any, Any], Any]
"""(candidate int32 [decisions], tree after, tree before) to the tree after, but before for what
belongs to options that did not run; trees are built around ``params``, as an optimiser's state."""


def proxylessnas(
    supernet: Supernet,
    space: Space,
    task: Task,
    settings: ProxylessSettings,
    *,
    costs: Costs,
    where_ran: WhereRan,
    epochs: int,
    steps_per_epoch: int,
) -> SharedWeightSearch:
    """The search over a chain's supernet.

    Args:
      supernet: of which a candidate runs, int32 [decisions]; or all options, as gates float32
        [decisions, options]; or two of each decision, as their places int32 [decisions, 2] and
        gates float32 [decisions, 2].
      space: the choices.
      task: what is learned; its scores must have a ``loss`` and, for reinforce, an ``accuracy``.
      settings: how.
      costs: of the options.
      where_ran: keeps weights that did not run from weight decay and momentum.
      epochs: of the whole search.
      steps_per_epoch: batches of the part ``train``.

    Raises:
      SettingsError: if an objective has no reference, or costs that its logarithm cannot take.
    """
    valid = space.possible
    price = np.float32(costs.candidates)
    objective = cost_objective(
        settings.objective,
        settings.cost_reference,
        settings.cost_exponent,
        settings.cost_weight,
        costs,
        valid,
    )
    warmup_epochs = settings.warmup_epochs(epochs)
    warmup_steps = warmup_epochs * steps_per_epoch
    # The code leaves α alone in the first epoch after the warm-up too.
    alone_epochs = warmup_epochs + 1 if warmup_epochs else 0
    rate = optax.join_schedules(
        [
            optax.cosine_decay_schedule(peak, max(steps, 1))
            for peak, steps in (
                (settings.warmup_learning_rate, warmup_steps),
                (settings.learning_rate, epochs * steps_per_epoch - warmup_steps),
            )
        ],
        [warmup_steps],
    )
    optimizer = optax.chain(
        optax.add_decayed_weights(settings.weight_decay),
        optax.sgd(rate, settings.momentum, nesterov=True),
    )
    arch_optimizer = optax.adam(settings.arch_learning_rate, *_ADAM_BETAS)

    def init(key: jax.Array) -> ProxylessState:
        first = supernet.init(stream(key, "init"))
        noise = _INITIAL_SCALE * jax.random.normal(stream(key, "alpha"), space.shape)
        alpha = jnp.where(valid, noise, 0.0)
        return ProxylessState(
            jnp.zeros((), jnp.int32),
            first,
            optimizer.init(first["params"]),
            alpha,
            arch_optimizer.init(alpha),
            jnp.zeros(()),
        )

    def logits(alpha: jax.Array) -> jax.Array:
        return jnp.where(valid, alpha, -jnp.inf)

    def weights_step(
        state: ProxylessState, batch: Batch, key: jax.Array
    ) -> tuple[ProxylessState, dict[str, jax.Array]]:
        path_key, augment_key = (
            jax.random.fold_in(stream(key, name), state.step) for name in ("paths", "augment")
        )
        choices = jax.random.categorical(path_key, logits(state.alpha))

        params = state.variables["params"]
        (loss, batch_stats), gradient = supernet.gradient(
            task, state.variables, choices, batch["train"], augment_key
        )
        updates, opt_state = optimizer.update(gradient, state.opt_state, params)
        moved = optax.apply_updates(params, updates), opt_state
        params, opt_state = where_ran(choices, moved, (params, state.opt_state))
        state = state._replace(
            step=state.step + 1,
            variables={"params": params, "batch_stats": batch_stats},
            opt_state=opt_state,
        )
        return state, {"loss": loss}

    def score(
        state: ProxylessState,
        paths: Any,
        batch: tuple[jax.Array, jax.Array],
        key: jax.Array,
        name: str,
    ) -> jax.Array:
        """The mean of a score on held-out images, under the batch's own statistics."""
        judged = task.judge(stream(key, "judge"), *batch)
        return supernet.score(task, state.variables, paths, judged, name, True)

    def gradient_step(
        state: ProxylessState, batch: tuple[jax.Array, jax.Array], key: jax.Array
    ) -> ProxylessState:
        """A step of α along the gradient through the gates."""
        pair_key, active_key = jax.random.split(key)
        if settings.estimator == "two_path":
            pair, active = draw_pair(logits(state.alpha), pair_key, active_key)
        else:
            pair, active = valid, jax.random.categorical(active_key, logits(state.alpha))

        def loss_of(alpha: jax.Array) -> jax.Array:
            paths: Any = gates_of(alpha, jnp.asarray(pair), active)
            if settings.estimator == "two_path":
                two = jax.lax.top_k(jnp.asarray(pair, jnp.int32), 2)[1]
                paths = two, jnp.take_along_axis(paths, two, 1)
            loss = score(state, paths, batch, key, "loss")
            among = jnp.where(pair, alpha, -jnp.inf)
            return objective(loss, costs.fixed + expected_cost(among, jnp.asarray(price)))

        moved, alpha_opt_state = move(state, jax.grad(loss_of)(state.alpha))
        if settings.estimator == "two_path":
            moved = rescale(state.alpha, moved, jnp.asarray(pair))
        return state._replace(alpha=moved, alpha_opt_state=alpha_opt_state)

    def reinforce_step(
        state: ProxylessState, batch: tuple[jax.Array, jax.Array], key: jax.Array
    ) -> ProxylessState:
        """A step of α along (R - b) ∇ log p of drawn networks."""
        drawn = jax.random.categorical(
            key, logits(state.alpha), shape=(settings.samples, space.shape[0])
        )

        def reward(choices: jax.Array) -> jax.Array:
            cost = jnp.take_along_axis(jnp.asarray(price), choices[:, None], 1).sum()
            return objective(score(state, choices, batch, key, "accuracy"), costs.fixed + cost)

        rewards = jax.lax.map(reward, drawn)  # one after the other, in the memory of one
        baseline = state.baseline + _BASELINE_RATE * (rewards.mean() - state.baseline)

        def surrogate(alpha: jax.Array) -> jax.Array:
            return reinforce_loss(logits(alpha), drawn, rewards - baseline)

        moved, alpha_opt_state = move(state, jax.grad(surrogate)(state.alpha))
        return state._replace(alpha=moved, alpha_opt_state=alpha_opt_state, baseline=baseline)

    def move(state: ProxylessState, gradient: jax.Array) -> tuple[jax.Array, Any]:
        updates, alpha_opt_state = arch_optimizer.update(gradient, state.alpha_opt_state)
        return jnp.asarray(optax.apply_updates(state.alpha, updates)), alpha_opt_state

    arch_step = reinforce_step if settings.estimator == "reinforce" else gradient_step

    def joint_step(
        state: ProxylessState, batch: Batch, key: jax.Array
    ) -> tuple[ProxylessState, dict[str, jax.Array]]:
        arch_key = jax.random.fold_in(stream(key, "arch_paths"), state.step)
        state, metrics = weights_step(state, batch, key)
        # Weights stay out of the branch, which would copy them.
        alone = state._replace(opt_state=None)
        after = jax.lax.cond(
            state.step % settings.arch_every == 0,
            lambda: _of_alpha(arch_step(alone, batch["arch"], arch_key)),
            lambda: _of_alpha(alone),
        )
        alpha, alpha_opt_state, baseline = after
        state = state._replace(alpha=alpha, alpha_opt_state=alpha_opt_state, baseline=baseline)
        return state, metrics

    def plan(epoch: int) -> tuple[str, ...]:
        return (WARMUP,) if epoch < alone_epochs else (JOINT,)

    def choices_of(alpha: jax.Array) -> np.ndarray:
        return space.preferred(np.asarray(alpha))

    def zero_blocks(choices: np.ndarray) -> int:
        return int(np.take_along_axis(space.nothing, choices[:, None], 1).sum())

    def expected(alpha: jax.Array) -> float:
        return float(costs.fixed + expected_cost(logits(alpha), jnp.asarray(price)))

    def entropy(alpha: jax.Array) -> float:
        return mean_entropy(np.asarray(jax.nn.softmax(logits(alpha))))

    def observe(state: ProxylessState) -> dict[str, float]:
        choices = choices_of(state.alpha)
        return {
            "expected_cost": expected(state.alpha),
            "found_cost": costs.of(choices),
            "entropy": entropy(state.alpha),
            "zero_blocks": float(zero_blocks(choices)),
        }

    def found(state: ProxylessState, data: Data, key: jax.Array) -> Found:
        del data, key
        choices = choices_of(state.alpha)
        aim = ""
        if settings.objective != "none" and settings.cost_reference is not None:
            aim = f"; aimed at {readable(settings.cost_reference)}"
        notes = [
            f"{zero_blocks(choices)} of the {space.nothing.sum()} blocks that may be left out are.",
            f"The found network costs {readable(costs.of(choices))} {costs.unit}; "
            f"{readable(expected(state.alpha))} are expected of a network drawn with the last "
            f"p{aim}.",
        ]
        every = settings.arch_every
        moves = int(state.step) // every - alone_epochs * steps_per_epoch // every
        most = float(np.log(valid.sum(-1)).mean())
        if moves <= 0:
            notes.append("α has not moved: the architecture is that of its initial draw.")
        elif entropy(state.alpha) >= (1 - _HARDLY) * most:
            notes.append(
                f"The architecture parameters hardly moved in their {moves:,} steps; the answer is "
                "near their first draw."
            )
        return Found(supernet.decode(choices), tuple(notes))

    return SharedWeightSearch(
        init=init,
        steps={WARMUP: weights_step, JOINT: joint_step},
        parts={WARMUP: ("train",), JOINT: ("train", "arch")},
        plan=plan,
        found=found,
        observe=observe,
    )


def reinforce_loss(logits: jax.Array, drawn: jax.Array, advantages: jax.Array) -> jax.Array:
    """The scalar whose gradient is the mean of (R - b) ∇(-log p).

    Args:
      logits: float32 [blocks, candidates], -inf where there is none.
      drawn: int32 [samples, blocks], the networks.
      advantages: float32 [samples], R - b.
    """
    log_p = jax.nn.log_softmax(logits)
    of_network = jnp.take_along_axis(log_p[None], drawn[..., None], -1)[..., 0].sum(-1)
    return -(advantages * of_network).mean()


def _of_alpha(state: ProxylessState) -> tuple[jax.Array, Any, jax.Array]:
    return state.alpha, state.alpha_opt_state, state.baseline
