"""ENAS over a space, as an experiment runs it: with its control and random networks."""

from __future__ import annotations

import jax
import numpy as np

from jaxnas import search
from jaxnas.commands.search_experiment import Method
from jaxnas.search.blackbox.candidates import sample
from jaxnas.spaces import Genotype, Space
from jaxnas.tasks import Task


def enas_method(
    supernet: search.Supernet,
    space: Space,
    controller: search.Controller,
    task: Task,
    settings: search.EnasSettings,
    *,
    epochs: int,
    steps_per_epoch: int,
) -> Method:
    """ENAS, and its control: as many steps of shared weights, but candidates drawn uniformly.

    Args:
      supernet: what is trained in the search; decodes candidates at full size.
      space: of the candidates.
      controller: draws candidates.
      task: what is learned.
      settings: how.
      epochs: of the search.
      steps_per_epoch: batches of the part ``train``.
    """
    learning, control = (
        search.enas(
            supernet,
            space,
            task,
            settings,
            controller=policy,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
        )
        for policy in (controller, None)
    )

    def random(key: jax.Array) -> Genotype:
        return supernet.decode(np.asarray(sample(key, space.options, 1)[0]))

    return Method(learning, random, control)
