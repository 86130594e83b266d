"""Plain training of a network's weights, as pure functions: init and step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnas.nn.heads import HEAD_MODULES, WithAuxiliary
from jaxnas.nn.layers import Noise
from jaxnas.randomness import stream
from jaxnas.tasks.task import Task
from jaxnas.training.averaging import moving_average

Batch = dict[str, tuple[jax.Array, jax.Array]]
"""Images uint8 [b, h, w, c] and labels int32 [b], by the part of the data they come from."""

Apply = Callable[..., tuple[Any, Any]]
"""(variables, inputs, gates or None, train, noise or None) to outputs and the batch statistics that
follow; in training the outputs of a network with an auxiliary head are `nn.WithAuxiliary`."""

Step = Callable[[Any, Batch, jax.Array], tuple[Any, dict[str, jax.Array]]]
"""(state, batch, root key) to the next state and named scalars."""


class TrainState(NamedTuple):
    """Weights and what their optimiser remembers.

    Attributes:
      step: int32 scalar, the number of steps done.
      variables: ``params`` and ``batch_stats``.
      opt_state: of optax.
      gates: float32 [blocks, edges, 3] of a supernet that trains one architecture, else None.
      average: moving average of the variables, by which the network is judged; None without one.
      best: variables of the best epoch so far, where training may stop early, else None.
    """

    step: jax.Array
    variables: Any
    opt_state: Any
    gates: jax.Array | None = None
    average: Any = None
    best: Any = None


class Regularisation(NamedTuple):
    """What training adds to the loss's own network.

    Attributes:
      auxiliary_weight: of the auxiliary head's loss, where the network has one.
      drop_path: probability at the end, see `nn.Noise`.
      drop_path_steps: steps over which it grows linearly from 0, at least 1.
      dropout: probability for the classifier's inputs.
    """

    auxiliary_weight: float = 0.0
    drop_path: float = 0.0
    drop_path_steps: int = 1
    dropout: float = 0.0

    def noise(self, key: jax.Array, step: jax.Array) -> Noise | None:
        """The noise of a step under its root key; None where there is none."""
        if not self.drop_path and not self.dropout:
            return None
        grown = jnp.minimum((step + 1) / self.drop_path_steps, 1.0)
        noise_key = jax.random.fold_in(stream(key, "noise"), step)
        return Noise(noise_key, self.drop_path * grown, self.dropout)


NO_REGULARISATION = Regularisation()


def flax_apply(network: Any) -> Apply:
    """The `Apply` of a jaxnas network."""

    def apply(
        variables: Any,
        inputs: jax.Array,
        gates: jax.Array | None,
        train: bool,
        noise: Noise | None = None,
    ) -> tuple[Any, Any]:
        arguments = (inputs,) if gates is None else (inputs, gates)
        if not train:
            outputs = network.apply(variables, *arguments, train=False, noise=noise)
            return outputs, variables["batch_stats"]
        outputs, changed = network.apply(
            variables, *arguments, train=True, noise=noise, mutable=["batch_stats"]
        )
        return outputs, changed["batch_stats"]

    return apply


def batch_loss(
    apply: Apply,
    task: Task,
    variables: Any,
    gates: Any,
    batch: tuple[jax.Array, jax.Array],
    key: jax.Array,
    noise: Noise | None = None,
    auxiliary_weight: float = 0.0,
) -> tuple[jax.Array, Any]:
    """Training loss of a batch and the batch statistics that follow; `key` augments."""
    inputs, targets = task.prepare(key, *batch)
    outputs, batch_stats = apply(variables, inputs, gates, True, noise)
    if not isinstance(outputs, WithAuxiliary):
        return task.loss(outputs, targets), batch_stats
    auxiliary = task.loss(outputs.auxiliary, targets)
    return task.loss(outputs.logits, targets) + auxiliary_weight * auxiliary, batch_stats


def init(
    variables: Any,
    optimizer: optax.GradientTransformation,
    gates: jax.Array | None = None,
    *,
    averages: bool = False,
    stops: bool = False,
) -> TrainState:
    """The state before the first step; with an average of the variables, and with the best ones."""
    return TrainState(
        jnp.zeros((), jnp.int32),
        variables,
        optimizer.init(variables["params"]),
        gates,
        variables if averages else None,
        variables if stops else None,
    )


def head_init(
    variables: Any, optimizer: optax.GradientTransformation, gates: jax.Array | None = None
) -> TrainState:
    """The state before the first `head_step`; `optimizer` remembers of the head alone."""
    opt_state = optimizer.init(_head(variables["params"]))
    return TrainState(jnp.zeros((), jnp.int32), variables, opt_state, gates)


def _head(params: Any) -> Any:
    return {module: tree for module, tree in params.items() if module in HEAD_MODULES}


def head_step(
    apply: Apply, task: Task, optimizer: optax.GradientTransformation, dropout: float
) -> Step:
    """A step in which the head alone learns, on the batch's part ``train``.

    The body computes in test mode: its parameters stay, and so do its batch statistics, by which
    its batch norms normalise. An auxiliary head, which test mode has not, stays as well.
    """
    regularisation = Regularisation(dropout=dropout)

    def step(
        state: TrainState, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        augment_key = jax.random.fold_in(stream(key, "augment"), state.step)
        params = state.variables["params"]
        head = _head(params)
        inputs, targets = task.prepare(augment_key, *batch["train"])

        def loss_of(head: Any) -> jax.Array:
            variables = {**state.variables, "params": {**params, **head}}
            noise = regularisation.noise(key, state.step)
            return task.loss(apply(variables, inputs, state.gates, False, noise)[0], targets)

        loss, gradient = jax.value_and_grad(loss_of)(head)
        updates, opt_state = optimizer.update(gradient, state.opt_state, head)
        moved: Any = optax.apply_updates(head, updates)
        variables = {**state.variables, "params": {**params, **moved}}
        return TrainState(state.step + 1, variables, opt_state, state.gates), {"loss": loss}

    return step


def judged_variables(state: Any) -> Any:
    """The variables that a state's network is judged by: their average, where it keeps one."""
    return state.variables if state.average is None else state.average


def train_step(
    apply: Apply,
    task: Task,
    optimizer: optax.GradientTransformation,
    regularisation: Regularisation = NO_REGULARISATION,
    average_decay: float = 0.0,
) -> Step:
    """A step of plain training on the batch's part ``train``; see `moving_average`, if the state
    keeps an average, for its decay."""

    def step(
        state: TrainState, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        augment_key = jax.random.fold_in(stream(key, "augment"), state.step)
        params = state.variables["params"]

        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            variables = {**state.variables, "params": params}
            return batch_loss(
                apply,
                task,
                variables,
                state.gates,
                batch["train"],
                augment_key,
                regularisation.noise(key, state.step),
                regularisation.auxiliary_weight,
            )

        (loss, batch_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, params)
        variables = {"params": optax.apply_updates(params, updates), "batch_stats": batch_stats}
        average = state.average
        if average is not None:
            average = moving_average(average, variables, state.step, average_decay)
        following = state._replace(
            step=state.step + 1, variables=variables, opt_state=opt_state, average=average
        )
        return following, {"loss": loss}

    return step
