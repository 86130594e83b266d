"""Early stopping: training ends when the accuracy on held-out images has not risen for a while.

Seeds that train side by side stop one by one: what a stopped seed learns after that is dropped, so
that it ends as it would alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.runs.config import Training
from jaxnas.training import judged_variables

_KEY = "best"


class Best(NamedTuple):
    """The best epoch of a seed so far.

    Attributes:
      epoch: its number.
      scores: its scores; ``validation_accuracy``, a share, is what epochs are compared by.
      last: last epoch of the seed so far.
      stopped: whether it has stopped.
    """

    epoch: int
    scores: dict[str, float]
    last: int
    stopped: bool

    def note(self, settings: Training) -> str:
        """What a reader should know."""
        accuracy = 100 * self.scores["validation_accuracy"]
        end = "stopped" if self.stopped else "ended"
        return (
            f"training {end} after epoch {self.last} of {settings.epochs}; the weights are those "
            f"of epoch {self.epoch}, the best on held-out images ({accuracy:.2f}%)."
        )


def bests(meta: Mapping[str, Any]) -> list[Best]:
    """The best epoch of each seed, in the metadata of an epoch; empty where none is noted."""
    return [Best(*each) for each in meta.get(_KEY, ())]


def all_stopped(meta: Mapping[str, Any]) -> bool:
    """Whether every seed has stopped by this metadata of an epoch."""
    found = bests(meta)
    return bool(found) and all(each.stopped for each in found)


def note(state: Any, meta: dict[str, Any], epoch: int, patience: int) -> tuple[Any, dict[str, Any]]:
    """The state and the metadata with what an epoch that was measured says of the best one.

    Args:
      state: a `TrainState` of one seed, or of several on a leading axis.
      meta: of the epoch, with its ``scores``, scalar or a list of the seeds.
      epoch: its number.
      patience: epochs without a better one after which a seed stops.

    Returns:
      the state with the weights of the best epoch as its `best`; the metadata with the `bests`.
    """
    scores = {name: np.atleast_1d(each) for name, each in meta["scores"].items()}
    found, better = [], []
    before: list[Best | None] = [*bests(meta)] or [None] * len(scores["validation_accuracy"])
    for index, best in enumerate(before):
        own = {name: float(each[index]) for name, each in scores.items()}
        if best is not None and best.stopped:
            better.append(False)
        else:
            name = "validation_accuracy"
            better.append(best is None or own[name] > best.scores[name])
            if best is None or better[-1]:
                best = Best(epoch, own, epoch, False)
            best = best._replace(last=epoch, stopped=epoch - best.epoch >= patience)
        found.append(best)
    wide = np.ndim(meta["scores"]["validation_accuracy"]) > 0
    taken = jnp.asarray(better if wide else better[0])

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(taken.reshape(taken.shape + (1,) * (new.ndim - taken.ndim)), new, old)

    chosen = jax.tree.map(choose, judged_variables(state), state.best)
    return state._replace(best=chosen), meta | {_KEY: [list(each) for each in found]}
