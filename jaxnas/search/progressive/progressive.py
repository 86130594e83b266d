"""Progressive search (Liu et al. 2018, PNAS, Algorithm 1): cells grow block by block.

    S_1 = all cells of one block, which are trained; the surrogate is fitted to their accuracies
    for b = 2 .. B:
        S_b = the K of all cells grown from S_(b-1) of which the surrogate expects most
        S_b is trained; the surrogate is fitted to its accuracies

The best cell of the last level is the answer. As printed in a version of the paper on arXiv, the
last level is not trained (`train_last=False`): the answer is the cell of which the surrogate
expects most.

    searcher = Progressive(space, mlp_surrogate(space), per_level=256)
    levels = searcher.run(evaluate, jax.random.key(0))
    best = answer(levels)

or step by step, so that the state can be kept:

    state = searcher.init(jax.random.key(0))
    state, cells = searcher.ask(state)
    while len(cells):
        state = searcher.tell(state, cells, evaluate(cells))
        state, cells = searcher.ask(state)

Cells are grown and made canonical by NumPy, so that these functions are not for `jax.jit`; what
the surrogate computes is compiled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.errors import SettingsError
from jaxnas.randomness import check_key, stream
from jaxnas.search.blackbox.algorithm import Algorithm
from jaxnas.search.progressive.surrogates import Surrogate, known_data, pad_cells
from jaxnas.spaces import Space

_TOGETHER = 4096
"""Cells of a level are padded to a multiple, for otherwise every number of them compiles anew."""


class ProgressiveState(NamedTuple):
    """A search at one level; its arrays have the same shapes at all levels.

    Attributes:
      level: int32, from 0; the number of levels when the search is through.
      cells: int32 [largest level, decisions]: those of the level, the most promising first; -1 for
        what is undecided, and from `count` on.
      count: int32, how many cells the level has.
      expected: float32 [largest level]: what the surrogate that chose the cells expects of them;
        NaN at the first level, and from `count` on.
      surrogate: its state, fitted to the levels before.
    """

    level: Any
    cells: Any
    count: Any
    expected: Any
    surrogate: Any


class Level(NamedTuple):
    """What became of a level.

    Attributes:
      cells: int32 [n, decisions so far], canonical, the most promising first.
      expected: float32 [n], by the surrogate before it was told of them; NaN at the first level.
      rewards: float32 [n]; NaN where they were not trained.
      fitted: float32 [n], by the surrogate after it was told of them; likewise.
    """

    cells: np.ndarray
    expected: np.ndarray
    rewards: np.ndarray
    fitted: np.ndarray


@dataclasses.dataclass(frozen=True)
class Progressive:
    """Progressive search: pure functions of a state, which `algorithm` has as all searchers do.

    Attributes:
      space: whose cells have rewards before they are complete (`Space.levels`).
      surrogate: over `space`.
      per_level: cells that a level trains at most, K; the first one trains all of its cells.
      train_last: whether the last level is trained.

    Raises:
      SettingsError: if `per_level` is not positive, or `space` has a single level.
    """

    space: Space
    surrogate: Surrogate
    per_level: int = 256
    train_last: bool = True

    def __post_init__(self) -> None:
        if self.per_level < 1:
            raise SettingsError(f"per_level must be positive, not {self.per_level}")
        if len(self.space.levels) < 2:
            raise SettingsError(
                f"{self.space.name} has a single level: progressive search is for spaces that grow"
            )

    @cached_property
    def trained(self) -> tuple[int, ...]:
        """How many cells each level trains, at most."""
        later = len(self.space.levels) - 1 - (not self.train_last)
        return (len(self._first), *[self.per_level] * later)

    def init(self, key: jax.Array) -> ProgressiveState:
        """The state before the first level.

        Raises:
          TypeError: if `key` is not typed.
        """
        check_key(key)
        start = self.surrogate.init(stream(key, "surrogate"))
        return self._state(0, self._first, np.full(len(self._first), np.nan), start)

    @property
    def algorithm(self) -> Algorithm:
        """What any driver of black-box searches runs."""
        return Algorithm(self.init, self.ask, self.tell, None)

    def ask(self, state: ProgressiveState) -> tuple[ProgressiveState, np.ndarray]:
        """The state as it is and the cells to train, int32 [n, levels[level]].

        There are none, [0, ...], when all is trained.
        """
        cells, _ = self.chosen(state)
        return state, cells[: None if int(state.level) < len(self.trained) else 0]

    def chosen(self, state: ProgressiveState) -> tuple[np.ndarray, np.ndarray]:
        """The cells of the state's level, trained or not, and what is expected of them.

        Returns:
          int32 [n, levels[level]] and float32 [n].
        """
        count = int(state.count)
        length = self.space.levels[min(int(state.level), len(self.space.levels) - 1)]
        return np.asarray(state.cells)[:count, :length], np.asarray(state.expected)[:count]

    def judge(self, state: ProgressiveState, cells: np.ndarray) -> np.ndarray:
        """What the surrogate expects of `cells`, int [n, levels[i]]: float32 [n]."""
        rows = -(-len(cells) // _TOGETHER) * _TOGETHER
        padded = pad_cells(self.space, cells, rows)
        return np.asarray(self._predict(state.surrogate, padded))[: len(cells)]

    def tell(
        self, state: ProgressiveState, cells: np.ndarray, rewards: np.ndarray
    ) -> ProgressiveState:
        """The state at the next level.

        Args:
          state: whose cells were trained.
          cells: all of them, as `ask` gave them.
          rewards: float [n], 0 to 1.

        Raises:
          SettingsError: if they are not those cells, or not so many numbers from 0 to 1.
        """
        _, asked = self.ask(state)
        level, told = int(state.level), np.asarray(rewards, np.float32)
        if not np.array_equal(cells, asked):
            raise SettingsError(f"tell takes the {len(asked)} cells that were asked for, in order")
        if told.shape != (len(cells),) or not ((told >= 0) & (told <= 1)).all():
            raise SettingsError(
                f"tell takes a reward from 0 to 1 for each of the {len(cells)} cells of level "
                f"{level + 1}; got {told}"
            )
        if not len(cells):
            raise SettingsError("the search is through: there is nothing to tell")
        data = known_data(self.space, cells, told, len(state.cells))
        fitted = self._fit(state.surrogate, *data)
        after = state._replace(surrogate=fitted)
        if level + 1 == len(self.space.levels):
            return after._replace(level=np.int32(level + 1))
        grown = self.space.grow(cells)
        expected = self.judge(after, grown)
        best = np.argsort(-expected, kind="stable")[: self.per_level]
        return self._state(level + 1, grown[best], expected[best], fitted)

    def level(
        self, before: ProgressiveState, rewards: np.ndarray, after: ProgressiveState
    ) -> Level:
        """What became of the level of `before`, of which `tell` made `after`."""
        cells, expected = self.chosen(before)
        return Level(cells, expected, np.asarray(rewards, np.float32), self.judge(after, cells))

    def run(self, evaluate: Callable[[np.ndarray], np.ndarray], key: jax.Array) -> list[Level]:
        """A whole search by any Python function.

        Args:
          evaluate: cells int32 [n, levels[i]] to float [n] rewards, 0 to 1.
          key: typed.

        Returns:
          all levels, the last one without rewards if it is not trained.

        Raises:
          TypeError: if `key` is not typed.
          SettingsError: if `evaluate` gives other rewards.
        """
        levels: list[Level] = []
        before, cells = self.ask(self.init(key))
        while len(cells):
            rewards = evaluate(cells)
            state = self.tell(before, cells, rewards)
            levels.append(self.level(before, rewards, state))
            before, cells = self.ask(state)
        if not self.train_last:
            cells, expected = self.chosen(before)
            unknown = np.full(len(cells), np.nan, np.float32)
            levels.append(Level(cells, expected, unknown, unknown))
        return levels

    @cached_property
    def _first(self) -> np.ndarray:
        return self.space.grow()

    @cached_property
    def _fit(self) -> Callable[..., Any]:
        return jax.jit(self.surrogate.fit)

    @cached_property
    def _predict(self) -> Callable[..., jax.Array]:
        return jax.jit(self.surrogate.predict)

    def _state(
        self, level: int, cells: np.ndarray, expected: np.ndarray, surrogate: Any
    ) -> ProgressiveState:
        rows = max(len(self._first), self.per_level)
        unknown = np.full(rows - len(cells), np.nan)
        return ProgressiveState(
            np.int32(level),
            pad_cells(self.space, cells, rows),
            np.int32(len(cells)),
            np.concatenate([expected, unknown]).astype(np.float32),
            surrogate,
        )


def answer(levels: list[Level]) -> np.ndarray:
    """The best cell of the last level, int32 [decisions]: by its reward, or as it was expected."""
    last = levels[-1]
    if np.isnan(last.rewards).all():
        return last.cells[0]
    return last.cells[int(np.argmax(last.rewards))]
