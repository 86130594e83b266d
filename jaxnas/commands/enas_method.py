"""ENAS over a space, as an experiment runs it: with its control and random networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import search, training
from jaxnas.commands.search_experiment import Method
from jaxnas.search.candidates import sample
from jaxnas.spaces import Genotype, Space
from jaxnas.tasks import Task


class SharedNetwork(NamedTuple):
    """A network whose weights all candidates of a space share.

    Attributes:
      module: the network.
      variables: typed key to its initial ``params`` and ``batch_stats``.
      choices: candidate int32 [decisions] to what the module is called with, under `jit`.
    """

    module: Any
    variables: Callable[[jax.Array], Any]
    choices: Callable[[jax.Array], Any]


def enas_method(
    network: SharedNetwork,
    space: Space,
    full_size: Space,
    controller: search.Controller,
    task: Task,
    settings: search.EnasSettings,
    *,
    epochs: int,
    steps_per_epoch: int,
) -> Method:
    """ENAS, and its control: as many steps of shared weights, but candidates drawn uniformly.

    Args:
      network: what is trained in the search.
      space: of the candidates, at the size of `network`.
      full_size: the same space at the size of the network that is trained anew.
      controller: draws candidates.
      task: what is learned.
      settings: how.
      epochs: of the search.
      steps_per_epoch: batches of the part ``train``.
    """
    learning, control = (
        search.enas(
            training.flax_apply(network.module),
            network.variables,
            space,
            network.choices,
            full_size.decode,
            policy,
            task,
            settings,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
        )
        for policy in (controller, None)
    )

    def random(key: jax.Array) -> Genotype:
        return full_size.decode(np.asarray(sample(key, space.options, 1)[0]))

    return Method(learning, random, control)
