"""The searchers of a search of children: whom they ask for next, and what they make of it."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import search
from jaxnas.children.child_training import Candidate, as_candidates
from jaxnas.search.blackbox import Algorithm
from jaxnas.spaces import Space
from jaxnas.tabular.rank import RANKS, correlations


class Trial(NamedTuple):
    """A child that was asked for.

    Attributes:
      number: of the trial, from 1.
      candidate: canonical.
      accuracy: of the held-out images after the child's last epoch, percent; 0 if it failed.
      reward: what the searcher was told.
    """

    number: int
    candidate: Candidate
    accuracy: float
    reward: float


class Asked(NamedTuple):
    """What a searcher asks for.

    Attributes:
      state: of the searcher, which waits to be told.
      cells: as the searcher has them, int32 [n, decisions].
      candidates: the first of them, canonical; none when the search is through.
    """

    state: Any
    cells: Any
    candidates: list[Candidate]


class ChildSearcher(abc.ABC):
    """A searcher, whose state is a PyTree of arrays."""

    @property
    @abc.abstractmethod
    def space(self) -> Space:
        """Of its complete candidates, or of the last ones."""

    @property
    @abc.abstractmethod
    def children(self) -> int:
        """How many it asks for, some of them perhaps twice."""

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Any:
        """The state before the first children."""

    @abc.abstractmethod
    def ask(self, state: Any, before: int) -> Asked:
        """The next children, when `before` have been asked for."""

    @abc.abstractmethod
    def tell(self, asked: Asked, rewards: np.ndarray) -> Any:
        """The state after the rewards float32 [n] of what was asked for."""

    def row(self, asked: Asked, rewards: np.ndarray, state: Any) -> dict[str, Any]:
        """What is logged of a batch beside the usual."""
        return {}

    def finalists(self, trials: Sequence[Trial], state: Any, count: int) -> list[Candidate]:
        """The children that are to be trained longer, the most promising first."""
        return best(trials, count)


def best(trials: Sequence[Trial], count: int) -> list[Candidate]:
    """The different children of highest reward, the first of equals first."""
    ranked = sorted(trials, key=lambda trial: -trial.reward)
    return list(dict.fromkeys(trial.candidate for trial in ranked))[:count]


class Stage(NamedTuple):
    """A part of a search, with a space of its own.

    Attributes:
      start: how many children are asked for before it; its first batch is the next to begin.
      space: of the children.
      algorithm: the searcher. Those of a search have states of one shape, which goes on from stage
        to stage, and batches of one size.
    """

    start: int
    space: Space
    algorithm: Algorithm


@dataclasses.dataclass(frozen=True)
class StagedSearcher(ChildSearcher):
    """A black-box searcher, over one space after the other.

    Attributes:
      stages: in order, the first from the start.
      count: children it asks for; the last batch is cut short.
    """

    stages: tuple[Stage, ...]
    count: int

    @property
    def space(self) -> Space:
        return self.stages[-1].space

    @property
    def children(self) -> int:
        return self.count

    @cached_property
    def _programs(self) -> list[tuple[Callable[..., Any], Callable[..., Any]]]:
        """The compiled `ask` and `tell` of each stage."""
        return [
            (jax.jit(stage.algorithm.ask), jax.jit(stage.algorithm.tell)) for stage in self.stages
        ]

    def init(self, key: jax.Array) -> Any:
        return self.stages[0].algorithm.init(key)

    def ask(self, state: Any, before: int) -> Asked:
        if before >= self.count:
            return Asked(state, None, [])
        number = max(n for n, stage in enumerate(self.stages) if stage.start <= before)
        state, cells = self._programs[number][0](state)
        candidates = as_candidates(self.stages[number].space.canonical(np.asarray(cells)))
        return Asked((state, number), cells, candidates[: self.count - before])

    def tell(self, asked: Asked, rewards: np.ndarray) -> Any:
        state, number = asked.state
        if len(rewards) < len(asked.cells):  # the last batch, and nobody asks after it
            return state
        return self._programs[number][1](state, asked.cells, jnp.asarray(rewards))


@dataclasses.dataclass(frozen=True)
class ProgressiveSearcher(ChildSearcher):
    """PNAS, a level at a time.

    Attributes:
      progressive: the search.
    """

    progressive: search.Progressive

    @property
    def space(self) -> Space:
        return self.progressive.space

    @property
    def children(self) -> int:
        return sum(self.progressive.trained)

    def init(self, key: jax.Array) -> search.ProgressiveState:
        return self.progressive.init(key)

    def ask(self, state: search.ProgressiveState, before: int) -> Asked:
        cells = self.progressive.ask(state)
        return Asked(state, cells, as_candidates(cells))

    def tell(self, asked: Asked, rewards: np.ndarray) -> search.ProgressiveState:
        return self.progressive.tell(asked.state, rewards)

    def row(
        self, asked: Asked, rewards: np.ndarray, state: search.ProgressiveState
    ) -> dict[str, Any]:
        """How the surrogate ranks the level after it was told of it, and ranked it before."""
        level = self.progressive.level(asked.state, rewards, state)
        row: dict[str, Any] = {"level": int(asked.state.level) + 1}
        for name, values in (("trained", level.fitted), ("chosen", level.expected)):
            known = len(values) > 1 and not np.isnan(values).any()  # nothing chose the first level
            ranks = correlations(values, rewards) if known else dict.fromkeys(RANKS)
            row |= {f"{kind}_{name}": rank for kind, rank in ranks.items()}
        return row

    def finalists(
        self, trials: Sequence[Trial], state: search.ProgressiveState, count: int
    ) -> list[Candidate]:
        """Of the last level: the best, or, if it was not trained, those expected to be."""
        cells, _ = self.progressive.chosen(state)
        if not self.progressive.train_last:
            return as_candidates(cells[:count])
        last = set(as_candidates(cells))
        return best([trial for trial in trials if trial.candidate in last], count)
