"""Optimisers of network weights, over optax."""

from __future__ import annotations

from typing import Any, Literal

import jax
import optax


def sgd(
    learning_rate: float,
    total_steps: int,
    *,
    schedule: Literal["cosine", "step"] = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    decay_norm_and_bias: bool = True,
    grad_clip: float | None = None,
) -> optax.GradientTransformation:
    """SGD with Nesterov momentum, L2 weight decay and a schedule.

    Args:
      learning_rate: at the start.
      total_steps: after which ``cosine`` has come down to 0; ``step`` divides by 10 at half and at
        three quarters (He et al. 2016).
      schedule: ``cosine`` or ``step``.
      momentum: of SGD.
      weight_decay: added to the gradient as this times the weights, before momentum.
      decay_norm_and_bias: whether batch norms' scales and biases and the classifier's bias decay.
      grad_clip: largest global norm of the gradient, before weight decay; None for no limit.
    """
    if schedule == "cosine":
        rate = optax.cosine_decay_schedule(learning_rate, total_steps)
    elif schedule == "step":
        rate = optax.piecewise_constant_schedule(
            learning_rate, {total_steps // 2: 0.1, total_steps * 3 // 4: 0.1}
        )
    else:
        raise ValueError(f"schedule must be 'cosine' or 'step', not {schedule!r}")
    mask = None if decay_norm_and_bias else _kernels
    return optax.chain(
        optax.identity() if grad_clip is None else optax.clip_by_global_norm(grad_clip),
        optax.add_decayed_weights(weight_decay, mask),
        optax.sgd(rate, momentum, nesterov=True),
    )


def _kernels(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
