"""A black-box search whose rewards are children that are trained."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxnas.children.child_searchers import ChildSearcher, Trial
from jaxnas.children.child_training import (
    Candidate,
    ChildTraining,
    Outcome,
    as_candidates,
    commonest_failure,
    failures,
)
from jaxnas.jobs.job import UNWATCHED, Executor, Job, Watcher, Work
from jaxnas.randomness import stream
from jaxnas.reports.statistics import Spread
from jaxnas.runs.loop import Journal, Kept
from jaxnas.storage.directory import RunDirectory
from jaxnas.storage.files import RunError
from jaxnas.storage.metrics import Metrics

Reward = Callable[[Outcome], float]
"""What a searcher is told of a child that did not fail."""


class Evaluator:
    """Has children trained."""

    def __init__(self, executor: Executor, make: Callable[[], ChildTraining]) -> None:
        """Takes note.

        Args:
          executor: who trains them.
          make: makes the training in each worker; picklable.
        """
        self._executor = executor
        self._make = functools.partial(_trainer, make)

    def evaluate(self, candidates: Sequence[Candidate], epochs: int) -> Iterator[Outcome]:
        """The outcome of each candidate, as they come, in any order.

        Args:
          candidates: different ones.
          epochs: of their training.

        Raises:
          WorkersError: if workers die over and over again.
        """
        jobs = [Job(f"child {' '.join(map(str, each))}", (each, epochs)) for each in candidates]
        for _, outcome in self._executor.run(self._make, jobs):
            yield outcome


def _trainer(make: Callable[[], ChildTraining]) -> Work:
    training = make()

    def train(child: tuple[Candidate, int], watcher: Watcher) -> Outcome:
        return training.train(*child)

    return train


class ChildStore:
    """Children that were trained, on disk: each once, whoever asks for it."""

    def __init__(self, directory: RunDirectory) -> None:
        """Reads what is there.

        Raises:
          RunError: if it is damaged.
        """
        self._rows = Metrics(directory.path, "children", "child")
        self._outcomes: dict[Candidate, Outcome] = {}
        for row in self._rows.rows():
            try:
                outcome = Outcome(
                    tuple(row["candidate"]),
                    tuple(row["accuracies"]),
                    row["seconds"],
                    row["failure"],
                )
            except (KeyError, TypeError) as error:
                raise RunError(
                    f"{directory.path / 'children.jsonl'}: row {row['child']} is no child; "
                    "restore the file, use --overwrite, or use another --run-dir"
                ) from error
            self._outcomes[outcome.candidate] = outcome

    def __len__(self) -> int:
        return len(self._outcomes)

    def __contains__(self, candidate: Candidate) -> bool:
        return candidate in self._outcomes

    def __getitem__(self, candidate: Candidate) -> Outcome:
        return self._outcomes[candidate]

    def outcomes(self) -> list[Outcome]:
        """All of them, in the order in which they came."""
        return list(self._outcomes.values())

    def add(self, outcome: Outcome) -> None:
        """Keeps a child; when this returns it is in the file."""
        self._rows.log({"child": len(self) + 1, **outcome._asdict()})
        self._outcomes[outcome.candidate] = outcome

    def train(
        self,
        candidates: Sequence[Candidate],
        epochs: int,
        evaluator: Evaluator,
        progress: Callable[[], None],
    ) -> None:
        """Sees to it that all of them are here.

        Raises:
          WorkersError: see `Evaluator.evaluate`.
          RunError: if something cannot be written.
        """
        missing = [each for each in dict.fromkeys(candidates) if each not in self]
        for _ in range(len(candidates) - len(missing)):
            progress()
        for outcome in evaluator.evaluate(missing, epochs):
            self.add(outcome)
            progress()


@dataclasses.dataclass(frozen=True)
class ChildSearch:
    """A searcher over children.

    Attributes:
      name: of the searcher.
      searcher: what it does.
      epochs: of a child's training.
      reward: of a child; one that failed has 0.
      seed: of the experiment.
    """

    name: str
    searcher: ChildSearcher
    epochs: int
    reward: Reward
    seed: int

    def run(
        self,
        directory: RunDirectory,
        store: ChildStore,
        evaluator: Evaluator,
        watcher: Watcher = UNWATCHED,
        improved: Callable[[Trial], None] = lambda trial: None,
    ) -> tuple[list[Trial], Any]:
        """Searches from the start, or from the directory's last checkpoint, to the end.

        A batch's children are kept one by one, the searcher's state after each batch; a run that
        is killed goes on to the same bits.

        Args:
          directory: the search's own.
          store: of all children; a child that is there is not trained again.
          evaluator: trains the others.
          watcher: is told how it goes; a step is a child that has been asked for.
          improved: told after a batch of a trial that is better than all before.

        Returns:
          the trials, and the searcher's last state.

        Raises:
          WorkersError: see `Evaluator.evaluate`.
          RunError: if something cannot be written.
        """
        searcher, algorithm = self.searcher, self.searcher.algorithm
        start = algorithm.init(stream(jax.random.key(self.seed), self.name))
        log = Metrics(directory.path, "trials", "number")
        trials: list[Trial] = []

        def steps_before(kept: Kept) -> int:
            log.truncate(kept.meta["children"])
            trials[:] = [read_trial(row) for row in log.rows()]
            return len(trials)

        def advance(kept: Kept) -> Kept | None:
            if len(trials) >= searcher.children:
                return None
            begun = time.perf_counter()
            asked, cells = algorithm.ask(kept.state)
            candidates = as_candidates(searcher.canonical(np.asarray(cells)))
            candidates = candidates[: searcher.children - len(trials)]
            thinking = time.perf_counter() - begun
            if not candidates:
                return None
            known = len(store)
            store.train(candidates, self.epochs, evaluator, watcher.progress)
            outcomes = [store[candidate] for candidate in candidates]
            batch = [
                Trial(
                    number,
                    outcome.candidate,
                    outcome.accuracy,
                    0.0 if outcome.failure else self.reward(outcome),
                )
                for number, outcome in enumerate(outcomes, start=len(trials) + 1)
            ]
            rewards = np.array([trial.reward for trial in batch], np.float32)
            begun = time.perf_counter()
            state = asked
            if len(batch) == len(cells):  # of one cut short nothing is told: nobody asks after it
                state = jax.block_until_ready(algorithm.tell(asked, cells, rewards))
            thinking += time.perf_counter() - begun
            best = max((trial.reward for trial in trials), default=-np.inf)
            for trial in batch:
                log.log(trial._asdict())
            trials.extend(batch)
            leader = max(batch, key=lambda trial: trial.reward)
            if leader.reward > best and leader.accuracy is not None:
                improved(leader)
            mean = Spread.of(trial.accuracy for trial in batch)
            row = {
                "epoch": kept.epoch + 1,
                "children": len(trials),
                "trained": len(store) - known,
                "failed": failures(outcomes),
                "failure": commonest_failure(outcomes),
                "mean_accuracy": mean and mean.mean,
                "best_accuracy": max(
                    (trial.accuracy for trial in trials if trial.accuracy is not None),
                    default=None,
                ),
                "searcher_seconds": round(thinking, 3),
                **searcher.row(asked, rewards, state),
            }
            meta = {"children": len(trials)}
            return Kept(kept.epoch + 1, state, meta, [row], score=kept.epoch + 1)

        kept = Journal(directory, watcher).run(
            abstract=lambda meta: jax.eval_shape(lambda: start),
            begin=lambda: Kept(0, start, {"children": 0}),
            steps_before=steps_before,
            advance=advance,
            line=self._line,
        )
        return trials, kept.state

    def _line(self, row: dict[str, Any]) -> str:
        """A row of metrics in words."""
        mean, best = (
            "none" if row[name] is None else f"{row[name]:.2f}"
            for name in ("mean_accuracy", "best_accuracy")
        )
        failed = f", {row['failed']} failed ({row['failure']})" if row["failed"] else ""
        return (
            f"{self.name}: {row['children']}/{self.searcher.children} children, {row['trained']} "
            f"newly trained, mean accuracy {mean}, best {best}{failed}, {row['seconds']:.0f} s"
        )


def read_trial(row: dict[str, Any]) -> Trial:
    """A row of `trials.jsonl`.

    Raises:
      RunError: if it is none.
    """
    try:
        return Trial(row["number"], tuple(row["candidate"]), row["accuracy"], row["reward"])
    except (KeyError, TypeError) as error:
        raise RunError(f"trials.jsonl: row {row.get('number')} is no trial ({error!r})") from error
