"""One searcher over one space after the other, such as networks that grow deeper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.algorithm import Algorithm
from jaxnas.spaces import Space


class Stage(NamedTuple):
    """A part of a search, with a space of its own.

    Attributes:
      start: how many candidates are asked for before it; its first batch is the next to begin.
      space: of the candidates.
      algorithm: the searcher. Those of a search have states of one shape, which goes on from stage
        to stage.
    """

    start: int
    space: Space
    algorithm: Algorithm


class StagedState(NamedTuple):
    """Where the search stands.

    Attributes:
      state: of the searcher.
      asked: int32, how many candidates have been asked for.
      stage: int32, the number of the stage that asked last, from 0.
    """

    state: Any
    asked: Any
    stage: Any


def staged(stages: Sequence[Stage]) -> Algorithm:
    """Each stage's searcher in turn, which is told what it asked for.

    Args:
      stages: in order, the first from the start.

    Raises:
      SettingsError: if there is none, or the first starts later.
    """
    if not stages or stages[0].start:
        raise SettingsError("stages must begin with one that starts at 0")
    algorithms = [stage.algorithm.compiled() for stage in stages]

    def init(key: jax.Array) -> StagedState:
        return StagedState(algorithms[0].init(key), np.int32(0), np.int32(0))

    def ask(state: StagedState) -> tuple[StagedState, Any]:
        asked = int(state.asked)
        stage = max(number for number, each in enumerate(stages) if each.start <= asked)
        inner, candidates = algorithms[stage].ask(state.state)
        return StagedState(inner, np.int32(asked + len(candidates)), np.int32(stage)), candidates

    def tell(state: StagedState, candidates: Any, rewards: Any) -> StagedState:
        algorithm = algorithms[int(state.stage)]
        return state._replace(state=algorithm.tell(state.state, candidates, rewards))

    return Algorithm(init, ask, tell, None)
