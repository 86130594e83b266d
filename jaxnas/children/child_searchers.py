"""The searchers of a search of children: whom they ask for next, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnas import search
from jaxnas.children.child_training import Candidate, as_candidates
from jaxnas.search import Algorithm
from jaxnas.spaces import Space
from jaxnas.tabular.rank import RANKS, correlations


class Trial(NamedTuple):
    """A child that was asked for.

    Attributes:
      number: of the trial, from 1.
      candidate: canonical.
      accuracy: of the held-out images after the child's last epoch, percent; None if it failed.
      reward: what the searcher was told; 0 if it failed.
    """

    number: int
    candidate: Candidate
    accuracy: float | None
    reward: float


def no_more(before: Any, rewards: np.ndarray, after: Any) -> dict[str, Any]:
    """Nothing beside the usual."""
    return {}


def best(trials: Sequence[Trial], count: int) -> list[Candidate]:
    """The different children of highest reward that did not fail, the first of equals first."""
    trained = (trial for trial in trials if trial.accuracy is not None)
    ranked = sorted(trained, key=lambda trial: -trial.reward)
    return list(dict.fromkeys(trial.candidate for trial in ranked))[:count]


class ChildSearcher(NamedTuple):
    """An algorithm, and what becomes of its candidates where they are trained.

    Attributes:
      algorithm: the searcher.
      space: of its complete candidates, or of the last ones.
      children: how many it asks for, some of them perhaps twice; the last batch is cut short.
      canonical: of candidates as they are asked for, int32 [n, decisions], the canonical ones.
      row: (state before, rewards float32 [n], state after) to what is logged of a batch beside the
        usual.
      finalists: (trials, last state, count) to the children that are to be trained longer, the most
        promising first.
    """

    algorithm: Algorithm
    space: Space
    children: int
    canonical: Callable[[np.ndarray], np.ndarray]
    row: Callable[[Any, np.ndarray, Any], dict[str, Any]] = no_more
    finalists: Callable[[Sequence[Trial], Any, int], list[Candidate]] = (
        lambda trials, state, count: best(trials, count)
    )


def child_searcher(space: Space, algorithm: Algorithm, children: int) -> ChildSearcher:
    """A black-box searcher over `space`."""
    return ChildSearcher(algorithm.compiled(), space, children, space.canonical)


def staged_searcher(stages: Sequence[search.Stage], children: int) -> ChildSearcher:
    """A searcher over one space after the other, see `search.staged`; they differ in decisions."""
    spaces = {len(stage.space.decisions): stage.space for stage in stages}
    return ChildSearcher(
        search.staged(stages),
        stages[-1].space,
        children,
        lambda candidates: spaces[candidates.shape[-1]].canonical(candidates),
    )


def level_searcher(progressive: search.Progressive) -> ChildSearcher:
    """Progressive search, a level at a time."""

    def row(before: Any, rewards: np.ndarray, after: Any) -> dict[str, Any]:
        """How the surrogate ranks the level after it was told of it, and ranked it before."""
        level = progressive.level(before, rewards, after)
        row: dict[str, Any] = {"level": int(before.level) + 1}
        for name, values in (("trained", level.fitted), ("chosen", level.expected)):
            known = len(values) > 1 and not np.isnan(values).any()  # nothing chose the first level
            ranks = correlations(values, rewards) if known else dict.fromkeys(RANKS)
            row |= {f"{kind}_{name}": rank for kind, rank in ranks.items()}
        return row

    def finalists(trials: Sequence[Trial], state: Any, count: int) -> list[Candidate]:
        """The best of the last level, or, if it was not trained, those expected to be."""
        cells, _ = progressive.chosen(state)
        if not progressive.train_last:
            return as_candidates(cells[:count])
        last = set(as_candidates(cells))
        return best([trial for trial in trials if trial.candidate in last], count)

    return ChildSearcher(
        progressive.algorithm,
        progressive.space,
        sum(progressive.trained),
        np.asarray,  # they are grown so
        row,
        finalists,
    )
