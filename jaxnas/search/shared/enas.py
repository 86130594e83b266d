"""ENAS: efficient neural architecture search by shared weights (Pham et al. 2018).

Every candidate is a part of one network and shares its weights ω. In turn, over a pass of the data
each, the weights move with the controller π fixed, one candidate m ~ π in every step,

    ω <- ω - rate ∇ω L(m; ω)                                       on the part ``train``,

and the controller moves with the weights fixed, by REINFORCE,

    θ <- θ + rate ∇θ log π(m; θ) (R - b),   R = accuracy + entropy_weight H(π)   on ``arch``,

b being the moving average of the rewards. In the end the best of several candidates on one batch is
the answer; candidates are always judged with the batch's own statistics, and without dropout.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.errors import SettingsError
from jaxnas.randomness import stream
from jaxnas.search.blackbox.controller import Controller, chosen, entropy, independent
from jaxnas.search.blackbox.policy_gradient import against_baseline
from jaxnas.search.shared.supernet import Found, SharedWeightSearch, Supernet, refuse_unfit
from jaxnas.spaces import Space
from jaxnas.tasks import Task
from jaxnas.training.loop import Data
from jaxnas.training.train import Batch, Noise

WEIGHTS = "weights"
CONTROLLER = "controller"

_JUDGED = 500  # images of the one batch by which the answer is chosen
_B1, _B2, _EPSILON = 0.0, 0.999, 1e-3  # Adam's, in the authors' code


@dataclasses.dataclass(frozen=True)
class EnasSettings:
    """How ENAS searches; the defaults are those of the authors' script for the micro space."""

    learning_rate: float = 0.05
    """Learning rate of the shared weights at the start of each cycle."""
    final_learning_rate: float = 0.0005
    """Learning rate of the shared weights at the end of each cycle's cosine."""
    first_cycle: int = 10
    """Number of epochs of the first cycle; each one is twice as long as the one before."""
    momentum: float = 0.9
    """Nesterov momentum of the shared weights."""
    weight_decay: float = 2e-4
    """L2 decay of the weights that a step's candidate uses; the others do not shrink."""
    grad_clip: float = 5.0
    """Largest global norm of the weights' gradient."""
    auxiliary_weight: float = 0.4
    """Weight of the auxiliary head's loss, where the network has one."""
    dropout: float = 0.1
    """Probability of dropping an input of the classifier, while weights train."""
    controller_learning_rate: float = 0.0035
    """Learning rate of Adam for the controller."""
    arcs: int = 10
    """Number of candidates in one step of the controller, all judged on the step's batch."""
    baseline_decay: float = 0.99
    """Decay of the moving average of the rewards."""
    entropy_weight: float = 1e-4
    """Worth of a nat of the candidate's entropy in its reward, which is at most 1."""
    skip_target: float = 0.4
    """Share of the skips that the controller is drawn to in the macro space."""
    skip_weight: float = 0.0
    """Weight of the divergence from that share in the macro space."""
    best_of: int = 10
    """Number of candidates that are drawn in the end; the best of them is the answer."""

    def __post_init__(self) -> None:
        for name in ("first_cycle", "arcs", "best_of"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("dropout", "baseline_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} must be from 0 to below 1, not {getattr(self, name)}")
        if not 0 < self.skip_target < 1:
            raise SettingsError(f"skip_target must be between 0 and 1, not {self.skip_target}")
        refuse_unfit(
            self,
            positive=("learning_rate", "grad_clip", "controller_learning_rate"),
            not_negative=(
                "final_learning_rate",
                "momentum",
                "weight_decay",
                "auxiliary_weight",
                "entropy_weight",
                "skip_weight",
            ),
        )


class EnasState(NamedTuple):
    """Shared weights and a controller.

    Attributes:
      step: int32 scalar, steps of the weights done.
      variables: ``params`` and ``batch_stats``.
      opt_state: of the weights' optimiser.
      updates: int32 scalar, steps of the controller done.
      params: of the controller.
      controller_opt_state: of its optimiser.
      baseline: float32 scalar, the moving average of the rewards.
    """

    step: jax.Array
    variables: Any
    opt_state: Any
    updates: jax.Array
    params: Any
    controller_opt_state: Any
    baseline: jax.Array


def enas(
    supernet: Supernet,
    space: Space,
    task: Task,
    settings: EnasSettings,
    *,
    controller: Controller | None,
    epochs: int,
    steps_per_epoch: int,
) -> SharedWeightSearch:
    """The search over a network whose weights all candidates share.

    Args:
      supernet: of which a candidate runs, int32 [decisions].
      space: the candidates'.
      task: what is learned.
      settings: how.
      controller: draws candidates and learns to; None to draw all decisions uniformly, the control.
      epochs: of the whole search.
      steps_per_epoch: batches of the part ``train``.
    """
    learns = controller is not None
    policy = controller or independent(space)
    rate = restarted_cosine(settings, epochs, steps_per_epoch)
    optimizer = optax.chain(
        optax.clip_by_global_norm(settings.grad_clip),
        decay_of_used(settings.weight_decay),
        optax.sgd(rate, settings.momentum, nesterov=True),
    )
    controller_optimizer = optax.adam(settings.controller_learning_rate, _B1, _B2, _EPSILON)

    def init(key: jax.Array) -> EnasState:
        first = supernet.init(stream(key, "init"))
        params = policy.init(stream(key, "controller"))
        zero = jnp.zeros((), jnp.int32)
        return EnasState(
            zero,
            first,
            optimizer.init(first["params"]),
            zero,
            params,
            controller_optimizer.init(params),
            jnp.zeros(()),
        )

    def weight_step(
        state: EnasState, batch: Batch, key: jax.Array
    ) -> tuple[EnasState, dict[str, jax.Array]]:
        def key_of(name: str) -> jax.Array:
            return jax.random.fold_in(stream(key, name), state.step)

        candidate = policy.sample(state.params, key_of("arc"))
        noise = Noise(key_of("noise"), dropout=settings.dropout) if settings.dropout else None
        params = state.variables["params"]

        (loss, batch_stats), gradient = supernet.gradient(
            task,
            state.variables,
            candidate,
            batch["train"],
            key_of("augment"),
            noise,
            settings.auxiliary_weight,
        )
        updates, opt_state = optimizer.update(gradient, state.opt_state, params)
        params = optax.apply_updates(params, updates)
        return (
            state._replace(
                step=state.step + 1,
                variables={"params": params, "batch_stats": batch_stats},
                opt_state=opt_state,
            ),
            {"loss": loss},
        )

    def accuracy(
        variables: Any, candidate: jax.Array, images: jax.Array, labels: jax.Array
    ) -> jax.Array:
        """Share of the images that a candidate has right: with their own statistics, no dropout."""
        judged = task.inputs(images), labels
        return supernet.score(task, variables, candidate, judged, "accuracy", True)

    def controller_step(
        state: EnasState, batch: Batch, key: jax.Array
    ) -> tuple[EnasState, dict[str, jax.Array]]:
        keys = jax.random.split(
            jax.random.fold_in(stream(key, "controller_arcs"), state.updates), settings.arcs
        )
        candidates = jax.vmap(policy.sample, (None, 0))(state.params, keys)
        accuracies = jax.lax.map(
            lambda each: accuracy(state.variables, each, *batch["arch"]), candidates
        )
        log_probs = jax.vmap(policy.log_probs, (None, 0))(state.params, candidates)
        entropies = entropy(log_probs).sum(-1)
        rewards = accuracies + settings.entropy_weight * entropies
        advantages, baseline = against_baseline(
            rewards, state.baseline, settings.baseline_decay, state.updates == 0
        )

        def loss(params: Any) -> jax.Array:
            log_probs = jax.vmap(policy.log_probs, (None, 0))(params, candidates)
            likely = chosen(log_probs, candidates).sum(-1)
            penalty = settings.skip_weight * skip_divergence(space, log_probs, settings.skip_target)
            return (penalty - likely * advantages).mean()

        updates, opt_state = controller_optimizer.update(
            jax.grad(loss)(state.params), state.controller_opt_state, state.params
        )

        return (
            state._replace(
                updates=state.updates + 1,
                params=optax.apply_updates(state.params, updates),
                controller_opt_state=opt_state,
                baseline=baseline,
            ),
            {"accuracy": accuracies.mean(), "entropy": entropies.mean()},
        )

    def found(state: EnasState, data: Data, key: jax.Array) -> Found:
        keys = jax.random.split(stream(key, "derive"), settings.best_of)
        candidates = jax.jit(jax.vmap(policy.sample, (None, 0)))(state.params, keys)
        images, labels = (part[:_JUDGED] for part in data["arch"])
        judge = jax.jit(accuracy)
        judged = [float(judge(state.variables, each, images, labels)) for each in candidates]
        best = int(np.argmax(judged))
        how = "by the controller" if learns else "uniformly"
        note = (
            f"The answer is the best of {len(judged)} candidates drawn {how}: with the shared "
            f"weights {100 * judged[best]:.2f}% of {len(images)} held-out images, the mean of all "
            f"{100 * np.mean(judged):.2f}%. That is no accuracy of a trained network."
        )
        return Found(supernet.decode(np.asarray(candidates[best])), (note,))

    steps = {WEIGHTS: weight_step}
    if learns:
        steps[CONTROLLER] = controller_step
    parts = {WEIGHTS: ("train",), CONTROLLER: ("arch",)}
    return SharedWeightSearch(
        init=init,
        steps=steps,
        parts={phase: parts[phase] for phase in steps},
        plan=lambda epoch: tuple(steps),
        found=found,
        observe=lambda state: {"baseline": float(state.baseline)} if learns else {},
    )


def restarted_cosine(settings: EnasSettings, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate by step: cosines of twice the length each (Loshchilov & Hutter 2017)."""
    lengths = [settings.first_cycle * 2**cycle for cycle in range(epochs.bit_length())]
    ends = [steps_per_epoch * end for end in itertools.accumulate(lengths)]
    alpha = settings.final_learning_rate / settings.learning_rate
    cycles = [
        optax.cosine_decay_schedule(settings.learning_rate, length * steps_per_epoch, alpha)
        for length in lengths
    ]
    return optax.join_schedules(cycles, ends[:-1])


def decay_of_used(weight_decay: float) -> optax.GradientTransformation:
    """L2 decay of the weights whose gradient is not exactly 0, as that of unused ones is.

    The decay belongs to a candidate's loss: over all shared weights, those that are seldom used
    would shrink by that alone.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        decayed = jax.tree.map(
            lambda gradient, weight: gradient + jnp.where(gradient != 0, weight_decay * weight, 0),
            updates,
            params,
        )
        return decayed, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def skip_divergence(space: Space, log_probs: jax.Array, target: float) -> jax.Array:
    """KL divergence of the distribution of a candidate's skips from Bernoulli(`target`).

    The mean over the layers; 0 in a space without skips.

    Args:
      space: whose decisions of the kind ``skip`` are none or skip.
      log_probs: float32 [..., decisions, options].
      target: probability of a skip.
    """
    places = [i for i, decision in enumerate(space.decisions) if decision.kind == "skip"]
    if not places:
        return jnp.zeros(log_probs.shape[:-2])
    skips = log_probs[..., np.array(places), :2]
    wanted = jnp.log(jnp.array([1 - target, target]))
    layers = len(set(np.searchsorted(space.levels, places, side="right").tolist()))
    return (jnp.exp(skips) * (skips - wanted)).sum((-2, -1)) / layers
