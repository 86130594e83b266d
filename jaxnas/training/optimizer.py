"""Optimisers of network weights, over optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from jaxnas.errors import SettingsError
from jaxnas.nn.heads import HEAD_MODULES

Schedule = Literal["cosine", "step", "constant"]


def sgd(
    learning_rate: float,
    total_steps: int,
    *,
    schedule: Schedule = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    decay_norm_and_bias: bool = True,
    grad_clip: float | None = None,
    warmup_steps: int = 0,
) -> optax.GradientTransformation:
    """SGD with Nesterov momentum, L2 weight decay and a schedule.

    Args:
      learning_rate: at the start, or after the warm-up.
      total_steps: after which ``cosine`` has come down to 0; ``step`` divides by 10 at half and at
        three quarters (He et al. 2016) of the steps after the warm-up; ``constant`` does neither.
      schedule: ``cosine``, ``step`` or ``constant``.
      momentum: of SGD.
      weight_decay: added to the gradient as this times the weights, before momentum.
      decay_norm_and_bias: whether batch norms' scales and biases and the classifier's bias decay.
      grad_clip: largest global norm of the gradient, before weight decay; None for no limit.
      warmup_steps: first of the total steps, over which the rate grows linearly from 0.

    Raises:
      SettingsError: for a schedule that does not exist, or a warm-up that is not part of the total.
    """
    rate = learning_rates(learning_rate, total_steps, schedule, warmup_steps)
    return scheduled_sgd(
        rate,
        momentum=momentum,
        weight_decay=weight_decay,
        decay_norm_and_bias=decay_norm_and_bias,
        grad_clip=grad_clip,
    )


def scheduled_sgd(
    rate: optax.Schedule,
    *,
    momentum: float,
    weight_decay: float,
    decay_norm_and_bias: bool,
    grad_clip: float | None,
) -> optax.GradientTransformation:
    """`sgd` at any learning rate: number of the step to float32 scalar."""
    mask = None if decay_norm_and_bias else _kernels
    return optax.chain(
        optax.identity() if grad_clip is None else optax.clip_by_global_norm(grad_clip),
        optax.add_decayed_weights(weight_decay, mask),
        optax.sgd(rate, momentum, nesterov=True),
    )


def lars(
    learning_rate: float,
    total_steps: int,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust_coefficient: float = 1e-3,
    warmup_steps: int = 0,
) -> optax.GradientTransformation:
    """LARS (You et al. 2017, arXiv:1708.03888): SGD for large batches, a rate for each kernel.

    A kernel w of gradient g has u = g + weight_decay w and moves with momentum by the rate times
    trust_coefficient |w| / |u| times u; one of norm 0 by the rate times u. Batch norms' scales and
    biases and the classifier's bias neither decay nor have a rate of their own, as in SimCLR (Chen
    et al. 2020, arXiv:2002.05709). Momentum is not Nesterov's, and sums what the rate has already
    scaled.

    Args:
      learning_rate: after the warm-up; from there it comes down to 0 in a cosine.
      total_steps: of the warm-up and the cosine.
      momentum: of SGD.
      weight_decay: of kernels.
      trust_coefficient: length of a kernel's step at rate 1, as a share of the kernel's norm.
      warmup_steps: first of the total steps, over which the rate grows linearly from 0.

    Raises:
      SettingsError: if the warm-up is not part of the total.
    """
    return optax.lars(
        learning_rates(learning_rate, total_steps, "cosine", warmup_steps),
        weight_decay,
        weight_decay_mask=_kernels,
        trust_coefficient=trust_coefficient,
        trust_ratio_mask=_kernels,
        momentum=momentum,
    )


def adamw(
    learning_rate: float,
    total_steps: int,
    *,
    schedule: Schedule = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 0.05,
    decay_norm_and_bias: bool = False,
    grad_clip: float | None = None,
    warmup_steps: int = 0,
) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam, and weights that decay beside it.

    Args:
      learning_rate: at the start, or after the warm-up.
      total_steps: see `sgd`.
      schedule: see `sgd`.
      momentum: β1; β2 is 0.999.
      weight_decay: share of the weights, times the learning rate, that a step takes away.
      decay_norm_and_bias: see `sgd`.
      grad_clip: see `sgd`.
      warmup_steps: see `sgd`.

    Raises:
      SettingsError: as `sgd`.
    """
    rate = learning_rates(learning_rate, total_steps, schedule, warmup_steps)
    mask = None if decay_norm_and_bias else _kernels
    return optax.chain(
        optax.identity() if grad_clip is None else optax.clip_by_global_norm(grad_clip),
        optax.adamw(rate, b1=momentum, weight_decay=weight_decay, mask=mask),
    )


def accumulate(optimizer: optax.GradientTransformation, every: int) -> optax.GradientTransformation:
    """The optimiser, moving once in `every` updates, by the mean of their gradients.

    Schedules inside count the moves, not the updates. Batch norms still see each batch alone.

    Args:
      optimizer: what moves; returned as it is where `every` is 1.
      every: micro-batches of a move.

    Raises:
      SettingsError: if `every` is below 1.
    """
    if every < 1:
        raise SettingsError(f"gradients are accumulated over at least 1 micro-batch, not {every}")
    if every == 1:
        return optimizer
    return optax.MultiSteps(optimizer, every).gradient_transformation()


def slower_body(
    optimizer: optax.GradientTransformation, share: float
) -> optax.GradientTransformation:
    """The optimiser, with `share` of its learning rate for all parameters but the head's."""
    if share == 1:
        return optimizer

    def body(params: Any) -> Any:
        return {
            module: jax.tree.map(lambda _, module=module: module not in HEAD_MODULES, tree)
            for module, tree in params.items()
        }

    return optax.chain(optimizer, optax.masked(optax.scale(share), body))


def learning_rates(
    learning_rate: float, total_steps: int, schedule: Schedule, warmup_steps: int
) -> optax.Schedule:
    """The learning rate by step; arguments and errors are those of `sgd`."""
    if not 0 <= warmup_steps <= total_steps:
        raise SettingsError(
            f"a warm-up of {warmup_steps} steps does not fit in {total_steps} steps: "
            f"choose warmup_steps from 0 to {total_steps}"
        )
    steps = total_steps - warmup_steps
    if schedule == "cosine":
        rate = optax.cosine_decay_schedule(learning_rate, max(steps, 1))
    elif schedule == "step":
        rate = optax.piecewise_constant_schedule(
            learning_rate, {steps // 2: 0.1, steps * 3 // 4: 0.1}
        )
    elif schedule == "constant":
        rate = optax.constant_schedule(learning_rate)
    else:
        raise SettingsError(f"schedule must be 'cosine', 'step' or 'constant', not {schedule!r}")
    if not warmup_steps:
        return rate
    warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.join_schedules([warmup, rate], [warmup_steps])


def mover(optimizer: optax.GradientTransformation) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """A program: (params, optimiser's state, gradient) to the next two."""

    @jax.jit
    def move(params: Any, opt_state: Any, gradient: Any) -> tuple[Any, Any]:
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return move


def _kernels(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
