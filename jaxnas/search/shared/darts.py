"""DARTS: differentiable architecture search (Liu et al. 2019).

Every edge of a supernet computes all operations, weighted by softmax(α). α descends the validation
loss at the weights that training would reach, w*(α); one virtual training step stands in for them:

    ∇α L_val(w', α) - ξ ∇²α,w L_train(w, α) ∇w' L_val(w', α),   w' = w - ξ ∇w L_train(w, α)

(equation 7). The first order leaves out the second term and takes w for w'. In turn α and w move,
every step. What needs the paper's own code to be known follows it (github.com/quark0/darts).
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
from jaxnas.search.shared.supernet import (
    Found,
    SharedWeightSearch,
    Supernet,
    mean_entropy,
    refuse_unfit,
)
from jaxnas.spaces import Genotype, Space
from jaxnas.spaces.genotype import SKIP
from jaxnas.tasks import Task, in_programs
from jaxnas.training.loop import Data, in_parts
from jaxnas.training.optimizer import mover
from jaxnas.training.train import Batch

PHASE = "search"
"""The only phase of an epoch."""

_INITIAL_SCALE = 1e-3  # of α
_ADAM_BETAS = 0.5, 0.999
_NUDGE = 0.01  # ε = this / |∇w' L_val|: how far the finite difference steps aside
_NORMAL = 0  # the table of the normal cell


@dataclasses.dataclass(frozen=True)
class DartsSettings:
    """How DARTS searches."""

    order: Literal["first", "second", "second_exact"] = "first"
    """Order of α's gradient: first, second by the paper's finite difference, or second exactly."""
    learning_rate: float = 0.025
    """Learning rate of the weights at the start."""
    final_learning_rate: float = 0.001
    """Learning rate of the weights at the end of the cosine."""
    momentum: float = 0.9
    """Momentum of the weights' SGD."""
    weight_decay: float = 3e-4
    """L2 decay of the weights."""
    grad_clip: float = 5.0
    """Largest global norm of the weights' gradient."""
    arch_learning_rate: float = 3e-4
    """Learning rate of Adam for the architecture parameters."""
    arch_weight_decay: float = 1e-3
    """L2 decay of the architecture parameters."""
    stop_at_skips: int | None = None
    """Number of skip connections in the derived normal cell at which the search stops; the answer
    is that of the epoch before. DARTS+ (Liang et al. 2019) has 2."""

    def __post_init__(self) -> None:
        if self.order not in ("first", "second", "second_exact"):
            raise SettingsError(
                f"order must be 'first', 'second' or 'second_exact', not {self.order!r}"
            )
        if self.stop_at_skips is not None and self.stop_at_skips < 1:
            raise SettingsError(f"stop_at_skips must be at least 1, not {self.stop_at_skips}")
        refuse_unfit(
            self,
            positive=("learning_rate", "grad_clip", "arch_learning_rate"),
            not_negative=("final_learning_rate", "momentum", "weight_decay", "arch_weight_decay"),
        )


class DartsState(NamedTuple):
    """Weights and architecture parameters.

    Attributes:
      step: int32 scalar, the number of steps done.
      variables: ``params`` and ``batch_stats`` of the supernet.
      opt_state: of the weights' optimiser.
      alpha: float32 [tables, edges, operations], the architecture parameters α.
      alpha_opt_state: of α's optimiser.
      alpha_before: α at the start of the last epoch.
    """

    step: jax.Array
    variables: Any
    opt_state: Any
    alpha: jax.Array
    alpha_opt_state: Any
    alpha_before: jax.Array


def darts(
    supernet: Supernet,
    space: Space,
    task: Task,
    settings: DartsSettings,
    *,
    epochs: int,
    steps_per_epoch: int,
) -> SharedWeightSearch:
    """The search over a supernet.

    Args:
      supernet: of which softmax(α) runs, float32 [*space.shape].
      space: whose options α weighs, all of them possible; what `Space.preferred` makes of
        softmax(α) is the answer.
      task: what is learned.
      settings: how.
      epochs: of the whole search, over which the weights' learning rate falls.
      steps_per_epoch: batches of the part ``train``.
    """
    rate = optax.cosine_decay_schedule(
        settings.learning_rate,
        epochs * steps_per_epoch,
        settings.final_learning_rate / settings.learning_rate,
    )
    # The virtual step is the weights' own but for the clipping; their states are of one form.
    optimizer, virtual = (
        optax.chain(
            clip,
            optax.add_decayed_weights(settings.weight_decay),
            optax.sgd(rate, settings.momentum),
        )
        for clip in (optax.clip_by_global_norm(settings.grad_clip), optax.identity())
    )
    arch_optimizer = optax.chain(
        optax.add_decayed_weights(settings.arch_weight_decay),
        optax.adam(settings.arch_learning_rate, *_ADAM_BETAS),
    )

    task, move, move_alpha = in_programs(task), mover(optimizer), mover(arch_optimizer)
    gates = jax.jit(jax.nn.softmax)

    @jax.jit
    def virtual_move(params: Any, opt_state: Any, gradient: Any) -> Any:
        updates, _ = virtual.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates)

    def init(key: jax.Array) -> DartsState:
        first = supernet.init(stream(key, "init"))
        alpha = _INITIAL_SCALE * jax.random.normal(stream(key, "alpha"), space.shape)
        return DartsState(
            jnp.zeros((), jnp.int32),
            first,
            optimizer.init(first["params"]),
            alpha,
            arch_optimizer.init(alpha),
            alpha,
        )

    def step(
        state: DartsState, batch: Batch, key: jax.Array
    ) -> tuple[DartsState, dict[str, jax.Array]]:
        augment_key = jax.random.fold_in(stream(key, "augment"), state.step)
        params, batch_stats = state.variables["params"], state.variables["batch_stats"]

        def loss_of(part: str) -> Callable[[Any, jax.Array], tuple[jax.Array, Any]]:
            def loss(params: Any, alpha: jax.Array) -> tuple[jax.Array, Any]:
                variables = {"params": params, "batch_stats": batch_stats}
                own_key = stream(augment_key, part)
                return supernet.loss(task, variables, gates(alpha), batch[part], own_key)

            return loss

        train_loss, arch_loss = loss_of("train"), loss_of("arch")

        def virtual_weights() -> Any:
            gradient, _ = jax.grad(train_loss, has_aux=True)(params, state.alpha)
            return virtual_move(params, state.opt_state, gradient)

        alpha_gradient, loss_val = hypergradient(
            settings.order,
            train_loss,
            arch_loss,
            params,
            state.alpha,
            virtual_weights,
            jnp.asarray(rate(state.step)),
        )
        alpha, alpha_opt_state = move_alpha(state.alpha, state.alpha_opt_state, alpha_gradient)
        (loss, batch_stats), gradient = jax.value_and_grad(train_loss, has_aux=True)(params, alpha)
        params, opt_state = move(params, state.opt_state, gradient)
        starts = state.step % steps_per_epoch == 0
        return (
            DartsState(
                state.step + 1,
                {"params": params, "batch_stats": batch_stats},
                opt_state,
                alpha,
                alpha_opt_state,
                jnp.where(starts, state.alpha, state.alpha_before),
            ),
            {"loss": loss, "arch_loss": loss_val},
        )

    def derive(alpha: jax.Array) -> Genotype:
        return supernet.decode(space.preferred(_weights(alpha)))

    def stops(alpha: jax.Array) -> bool:
        skips = _skips(derive(alpha))
        return settings.stop_at_skips is not None and skips[_NORMAL] >= settings.stop_at_skips

    def observe(state: DartsState) -> dict[str, float]:
        weights = _weights(state.alpha)
        genotype = derive(state.alpha)
        row = {
            f"skips_{cell.name}": float(count)
            for cell, count in zip(genotype.cells, _skips(genotype), strict=True)
        }
        row["entropy"] = mean_entropy(weights)
        if space.nothing.any():
            row["null"] = float(weights[space.nothing].mean())
        if settings.stop_at_skips is not None:
            row["stop"] = float(stops(state.alpha))
        return row

    def found(state: DartsState, data: Data, key: jax.Array) -> Found:
        del data, key
        stopped = stops(state.alpha)
        genotype = derive(state.alpha_before if stopped else state.alpha)
        counts = ", ".join(
            f"{count} of the {len(cell.edges)} edges of cell {cell.name}"
            for cell, count in zip(genotype.cells, _skips(genotype), strict=True)
        )
        notes = [f"Skip connections: {counts}."]
        if stopped:
            epoch = int(state.step) // steps_per_epoch
            notes.append(
                f"Stopped after epoch {epoch}, whose normal cell would have had "
                f"{_skips(derive(state.alpha))[_NORMAL]} skip connections; the answer is "
                + (f"that of epoch {epoch - 1}." if epoch > 1 else "that of the initial draw of α.")
            )
        return Found(genotype, tuple(notes))

    return SharedWeightSearch(
        init=init,
        steps={PHASE: step},
        parts={PHASE: ("train", "arch")},
        plan=lambda epoch: (PHASE,),
        found=found,
        observe=observe,
        loop=in_parts(),
    )


def hypergradient(
    order: str,
    train_loss: Callable[[Any, jax.Array], tuple[jax.Array, Any]],
    arch_loss: Callable[[Any, jax.Array], tuple[jax.Array, Any]],
    params: Any,
    alpha: jax.Array,
    virtual_weights: Callable[[], Any],
    rate: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """α's gradient of the validation loss, through the virtual step for the second order.

    Args:
      order: of `DartsSettings`.
      train_loss: (w, α) to L_train and something else.
      arch_loss: (w, α) to L_val and something else.
      params: w.
      alpha: α.
      virtual_weights: to w', whose derivative in α is -`rate` ∇²w,α L_train.
      rate: ξ.

    Returns:
      the gradient, of the shape of α, and L_val(w', α).
    """
    if order == "first":
        (loss, _), gradient = jax.value_and_grad(arch_loss, 1, has_aux=True)(params, alpha)
        return gradient, loss
    (loss, _), (direction, gradient) = jax.value_and_grad(arch_loss, (0, 1), has_aux=True)(
        virtual_weights(), alpha
    )

    def alpha_gradient(params: Any) -> jax.Array:
        # The weights' gradient, which is not used and not computed, has every operation with a
        # gradient of its own form go through that form before it is differentiated forward.
        return jax.grad(train_loss, (0, 1), has_aux=True)(params, alpha)[0][1]

    if order == "second":
        nudge = _NUDGE / optax.tree.norm(direction)
        ahead = alpha_gradient(jax.tree.map(lambda w, d: w + nudge * d, params, direction))
        behind = alpha_gradient(jax.tree.map(lambda w, d: w - nudge * d, params, direction))
        along = (ahead - behind) / (2 * nudge)
    else:
        # Forward over reverse: the derivative of α's gradient along the direction, in one pass.
        _, along = jax.jvp(alpha_gradient, (params,), (direction,))
    return gradient - rate * along, loss


def _weights(alpha: jax.Array) -> np.ndarray:
    return np.asarray(jax.nn.softmax(alpha))


def _skips(genotype: Genotype) -> list[int]:
    """Skip connections of each cell."""
    return [sum(edge.op == SKIP for edge in cell.edges) for cell in genotype.cells]
