"""What searches that train one supernet's weights have in common.

They know a network as a `Supernet` and a space by its decisions, and nothing else of either. A
search is described by the phases of its epochs; whoever runs it (`runs.search_run`) feeds them with
batches of the parts of the data that they name, and knows nothing of the method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.spaces.genotype import Genotype
from jaxnas.tasks import Task
from jaxnas.training.loop import Data, LoopFn
from jaxnas.training.train import Apply, Noise, Step, WithAuxiliary, batch_loss


class Supernet(NamedTuple):
    """A network whose weights all candidates of a space share, as pure functions.

    Attributes:
      apply: the network; its gates are what `choices` gives.
      init: typed key to the first ``params`` and ``batch_stats``.
      choices: what a search runs, to the network's gates, under jit. Each search says what it
        runs: a candidate int32 [decisions], or gates float32 in the shape of its parameters.
      decode: what a search answers, of NumPy, to its architecture: a candidate int32 [decisions]
        to a `Genotype`, if the search does not say something else.
    """

    apply: Apply
    init: Callable[[jax.Array], Any]
    choices: Callable[[Any], Any]
    decode: Callable[[np.ndarray], Any]

    def loss(
        self,
        task: Task,
        variables: Any,
        chosen: Any,
        batch: tuple[jax.Array, jax.Array],
        key: jax.Array,
        noise: Noise | None = None,
        auxiliary_weight: float = 0.0,
    ) -> tuple[jax.Array, Any]:
        """`training.train.batch_loss` of what runs, and the batch statistics that follow."""
        gates = self.choices(chosen)
        return batch_loss(self.apply, task, variables, gates, batch, key, noise, auxiliary_weight)

    def gradient(
        self, task: Task, variables: Any, *arguments: Any
    ) -> tuple[tuple[jax.Array, Any], Any]:
        """The `loss` of these arguments, the statistics, and the gradient of ``params``."""

        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            return self.loss(task, {**variables, "params": params}, *arguments)

        return jax.value_and_grad(loss_of, has_aux=True)(variables["params"])

    def score(
        self,
        task: Task,
        variables: Any,
        chosen: Any,
        judged: tuple[jax.Array, Any],
        name: str,
        own_statistics: bool,
    ) -> jax.Array:
        """The mean of a score of what runs, without noise.

        Args:
          task: what is learned.
          variables: of the supernet.
          chosen: what runs.
          judged: the network's inputs and the targets.
          name: of the score.
          own_statistics: whether batch norms use those of the inputs, not the running ones.
        """
        inputs, targets = judged
        outputs, _ = self.apply(variables, inputs, self.choices(chosen), own_statistics)
        if isinstance(outputs, WithAuxiliary):
            outputs = outputs.logits
        return task.score(outputs, targets)[name].mean()


class SharedWeightSearch(NamedTuple):
    """A search that trains one supernet's weights while it looks for an architecture.

    Attributes:
      init: root key to the first state, a PyTree.
      steps: by the name of a phase, its step (state, batch, root key) to the next state and
        scalars.
      parts: by the name of a phase, the parts of the data its batches have (``train``, ``arch``);
        the phase goes once through the first of them.
      plan: epoch (from 0) to the names of the phases it runs, in order.
      found: (state, data parts on the device, root key) to what the search would answer now.
      observe: state to named numbers for the log, at the end of an epoch; a true ``stop`` ends the
        search.
      loop: how an epoch goes through a phase's steps; None for `training.default_loop`.
    """

    init: Callable[[jax.Array], Any]
    steps: dict[str, Step]
    parts: dict[str, tuple[str, ...]]
    plan: Callable[[int], tuple[str, ...]]
    found: Callable[[Any, Data, jax.Array], Found]
    observe: Callable[[Any], dict[str, float]]
    loop: LoopFn | None = None


class Found(NamedTuple):
    """An answer of a search: the genotype, and sentences a reader of the result should know."""

    genotype: Genotype
    notes: tuple[str, ...] = ()


def mean_entropy(probabilities: np.ndarray) -> float:
    """The entropy in nats of distributions [..., options], their mean."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1))
    return float(-(probabilities * logs).sum(-1).mean())


def readable(value: float) -> str:
    """A number for a sentence: whole and with separators from 1,000, else four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def refuse_unfit(
    settings: Any, *, positive: Collection[str], not_negative: Collection[str]
) -> None:
    """Raises a ValueError that names the first of these fields that is not such a finite number."""
    for name in (*positive, *not_negative):
        value = getattr(settings, name)
        if not math.isfinite(value) or value < 0 or (value == 0 and name in positive):
            kind = "above 0" if name in positive else "0 or more"
            raise SettingsError(f"{name} must be {kind} and finite, not {value}")
