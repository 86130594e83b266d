"""Black-box search: what all its algorithms have in common, and how they are run.

An algorithm is a tuple of pure functions of its state, as an optax transformation is:

    algorithm = evolution(space)
    state = algorithm.init(jax.random.key(0))
    state, candidates = algorithm.ask(state)
    state = algorithm.tell(state, candidates, rewards)

`ask` and `tell` can be jitted and vmapped, over seeds and over the float settings of an algorithm.
Where rewards come from a table, `simulate` is a whole search as one program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxnas.errors import ExecutionError, SettingsError
from jaxnas.randomness import check_key
from jaxnas.search.blackbox.candidates import options_of
from jaxnas.spaces import Space


class Algorithm(NamedTuple):
    """A searcher over candidates, int32 [batch, decisions]. Higher rewards are better.

    `algorithm` makes one. Leaves of a state may be NumPy's, as a file gives them back.

    Attributes:
      init: typed key to state, a PyTree. Raises TypeError for another key.
      ask: state to (state, candidates).
      tell: (state, candidates int [n, decisions], finite float [n] rewards) to state. Candidates
        need not be those asked for last, nor as many. Raises ValueError for another shape, a
        decision that has no such option, or a reward that is not finite; under jit, where values
        are not known, only shapes are checked.
      batch: how many candidates one `ask` gives. None where networks grow from ask to ask
        (`staged`, `Progressive.algorithm`): their candidates have fewer decisions at first, there
        are none when all is asked, and the functions are not for `jax.jit`.
    """

    init: Callable[[jax.Array], Any]
    ask: Callable[[Any], tuple[Any, Any]]
    tell: Callable[[Any, Any, Any], Any]
    batch: int | None

    def compiled(self) -> Algorithm:
        """The same with `ask` and `tell` compiled, where they can be."""
        if self.batch is None:
            return self
        return self._replace(ask=jax.jit(self.ask), tell=jax.jit(self.tell))


class Trials(NamedTuple):
    """What was tried, in order.

    Attributes:
      candidates: int32 [queries, decisions].
      rewards: float32 [queries].
    """

    candidates: Any
    rewards: Any


class RewardError(ExecutionError, ValueError):
    """A reward that is NaN or infinite.

    Attributes:
      trials: all before it, in order.
    """

    def __init__(self, message: str, trials: Trials) -> None:
        super().__init__(message)
        self.trials = trials


def algorithm(
    space: Space,
    init: Callable[[jax.Array], Any],
    ask: Callable[[Any], tuple[Any, jax.Array]],
    tell: Callable[[Any, jax.Array, jax.Array], Any],
    batch: int,
) -> Algorithm:
    """An `Algorithm` of these pure functions, with the checks that all have in common.

    Args:
      space: what to search.
      init: typed key to state, a PyTree of arrays.
      ask: state to (state, candidates int32 [batch, decisions]).
      tell: (state, candidates int32 [n, decisions], rewards float32 [n]) to state.
      batch: how many candidates one `ask` gives.

    Raises:
      TypeError: if `space` is none.
      SettingsError: if `batch` is not positive.
    """
    options = options_of(space)
    if batch < 1:
        raise SettingsError(f"batch must be positive; got {batch}")

    def checked_init(key: jax.Array) -> Any:
        check_key(key)
        return init(key)

    def checked_ask(state: Any) -> tuple[Any, jax.Array]:
        return ask(jax.tree.map(jnp.asarray, state))

    def checked_tell(state: Any, candidates: jax.Array, rewards: jax.Array) -> Any:
        candidates, rewards = jnp.asarray(candidates), jnp.asarray(rewards, jnp.float32)
        count = candidates.shape[0] if candidates.ndim else 0
        if not count or candidates.shape[1:] != options.shape or rewards.shape != (count,):
            raise SettingsError(
                f"tell takes candidates [n, {len(options)}] and n rewards, n at least 1; got "
                f"shapes {candidates.shape} and {rewards.shape}"
            )
        if not jnp.issubdtype(candidates.dtype, jnp.integer):
            raise SettingsError(f"candidates must be whole numbers, not {candidates.dtype}")
        if not isinstance(candidates, Tracer):
            _check_candidates(np.asarray(candidates), options)
        if not isinstance(rewards, Tracer):
            _check_rewards(Trials(np.asarray(candidates), np.asarray(rewards)), "candidate")
        return tell(jax.tree.map(jnp.asarray, state), candidates.astype(jnp.int32), rewards)

    return Algorithm(checked_init, checked_ask, checked_tell, batch)


def _check_candidates(candidates: np.ndarray, options: np.ndarray) -> None:
    """Raises ValueError naming the first decision that has no such option."""
    wrong = np.argwhere((candidates < 0) | (candidates >= options))
    if len(wrong):
        row, place = wrong[0]
        raise SettingsError(
            f"candidate {row} has option {candidates[row, place]} of decision {place}, which has "
            f"options 0 to {options[place] - 1}"
        )


def _check_rewards(trials: Trials, what: str) -> None:
    """Raises RewardError naming the first reward that is NaN or infinite."""
    wrong = np.flatnonzero(~np.isfinite(trials.rewards))
    if len(wrong):
        first = wrong[0]
        raise RewardError(
            f"the reward of {what} {first} (from 0), {trials.candidates[first].tolist()}, is "
            f"{trials.rewards[first]}: rewards must be finite; give a candidate that failed the "
            "reward of the worst network, such as 0",
            Trials(trials.candidates[:first], trials.rewards[:first]),
        )


def _check_search(algorithm: Algorithm, queries: int) -> None:
    if not isinstance(algorithm, Algorithm):
        raise TypeError(
            "algorithm must be an Algorithm, such as jaxnas.search.evolution(space), not "
            f"{algorithm!r}"
        )
    if queries < 1:
        raise SettingsError(f"queries must be above 0, not {queries}")


def simulate(
    algorithm: Algorithm,
    evaluate: Callable[[jax.Array], jax.Array],
    queries: int,
    key: jax.Array,
) -> Trials:
    """A whole search as one `lax.scan`, for `evaluate` that can be jitted, such as a table.

    Args:
      algorithm: the searcher.
      evaluate: candidates int32 [batch, decisions] to float32 [batch] finite rewards.
      queries: how many candidates are tried; the last batch is cut short.
      key: typed; vmap over keys for many seeds.

    Raises:
      RewardError: afterwards, naming the first reward that is not finite. Under jit or vmap, where
        values are not known, that is the caller's to see to.
      TypeError: if `algorithm` is none or one whose candidates grow, or `key` is not typed.
      SettingsError: if `queries` is below 1.
    """
    _check_search(algorithm, queries)
    if algorithm.batch is None:
        raise TypeError("an algorithm whose candidates grow is no one program; see `search`")

    def step(state: Any, _: None) -> tuple[Any, Trials]:
        state, candidates = algorithm.ask(state)
        rewards = evaluate(candidates)
        return algorithm.tell(state, candidates, rewards), Trials(candidates, rewards)

    rounds = -(-queries // algorithm.batch)
    _, trials = jax.lax.scan(step, algorithm.init(key), length=rounds)
    trials = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:queries], trials)
    if not isinstance(trials.rewards, Tracer):
        _check_rewards(jax.tree.map(np.asarray, trials), "query")
    return trials


def search(
    algorithm: Algorithm,
    evaluate: Callable[[np.ndarray], np.ndarray],
    queries: int,
    key: jax.Array,
    *,
    start: tuple[Any, Trials] | None = None,
    on_batch: Callable[[Any, Trials], object] | None = None,
) -> Trials:
    """The same with any Python function for `evaluate`, one batch after the other.

    Candidates of fewer decisions than others are filled up with -1 in the result; a search that has
    nothing more to ask ends before `queries`.

    Args:
      algorithm: the searcher.
      evaluate: candidates int32 [batch, decisions] to as many finite rewards.
      queries: how many candidates are tried, those of `start` among them; the result is cut to as
        many.
      key: typed; without meaning where there is a `start`.
      start: what `on_batch` was given, to go on from there to the same bits.
      on_batch: called after every batch with the state and all trials so far, to save them.

    Raises:
      RewardError: naming the first reward that is not finite; it holds the trials before it.
      TypeError: if `algorithm` is none or `key` is not typed.
      SettingsError: if `queries` is below 1, `evaluate` gives rewards of another number, or `start`
        has trials that are not whole batches.
    """
    _check_search(algorithm, queries)
    _, ask, tell, batch = algorithm.compiled()
    state, trials = (algorithm.init(key), None) if start is None else start
    if trials is not None and batch is not None and len(trials.rewards) % batch:
        raise SettingsError(
            f"start must have whole batches of {batch} trials, as on_batch was given "
            f"them; it has {len(trials.rewards)} trials"
        )
    while trials is None or len(trials.rewards) < queries:
        state, asked = ask(state)
        candidates = np.asarray(asked)
        if not len(candidates):
            break
        rewards = np.asarray(evaluate(candidates), np.float32)
        if rewards.shape != candidates.shape[:1]:
            raise SettingsError(
                f"evaluate must give {len(candidates)} rewards, one for each candidate; "
                f"got shape {rewards.shape}"
            )
        new = Trials(candidates, rewards)
        trials = new if trials is None else Trials(*map(_join, trials, new))
        _check_rewards(trials, "query")
        state = tell(state, asked, rewards)
        if on_batch is not None:
            on_batch(state, trials)
    assert trials is not None, "an algorithm asks for something at first"
    return Trials(trials.candidates[:queries], trials.rewards[:queries])


def _join(before: np.ndarray, new: np.ndarray) -> np.ndarray:
    """All rows, those that are shorter than others filled up with -1."""
    if before.shape[1:] != new.shape[1:]:
        width = max(before.shape[1], new.shape[1])
        before, new = (
            np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=-1)
            for each in (before, new)
        )
    return np.concatenate([before, new])


def best_so_far(rewards: jax.Array) -> jax.Array:
    """int32 of the same shape: after each query, the number of the first of the best so far.

    Args:
      rewards: float32 [..., queries].
    """
    best = jax.lax.cummax(rewards, axis=rewards.ndim - 1)
    number = jnp.arange(rewards.shape[-1])
    is_new = jnp.concatenate(
        [jnp.ones_like(rewards[..., :1], bool), rewards[..., 1:] > best[..., :-1]], -1
    )
    return jax.lax.cummax(jnp.where(is_new, number, 0).astype(jnp.int32), axis=rewards.ndim - 1)
