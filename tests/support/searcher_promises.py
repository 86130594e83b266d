"""What every black-box searcher promises, and all of them at small sizes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import search
from jaxnas.storage.checkpoints import Checkpoints

from .leaves import plain
from .space_promises import SPACES as NETWORKS
from .toys import MIXED, TARGET, Toy

SEARCHERS = {
    "random": lambda space: search.random(space, batch=3),
    "evolution": lambda space: search.evolution(space, population=6, tournament=3, batch=2),
    "local": search.local,
    "reinforce": lambda space: search.reinforce(space, batch=4),
    "reinforce, as NAS": lambda space: search.reinforce(
        space, controller=search.lstm(space, layers=2, units=6, scale=0.08), batch=4
    ),
    "ppo": lambda space: search.ppo(
        space, controller=search.lstm(space, units=6), batch=4, epochs=3
    ),
    "surrogate": lambda space: search.surrogate(
        space, capacity=16, initial=4, batch=2, pool=12, features=8
    ),
}
SPACES = {"mixed": MIXED, "one decision": Toy(4)} | NETWORKS


@functools.cache
def ready(searcher, space="mixed"):
    """An algorithm, and its functions compiled."""
    algorithm = SEARCHERS[searcher](SPACES[space])
    return algorithm, jax.jit(algorithm.init), jax.jit(algorithm.ask), jax.jit(algorithm.tell)


def value(candidates):
    """A reward for any candidate, different for most."""
    return jnp.sin(candidates @ jnp.arange(1, candidates.shape[-1] + 1)) * 0.5 + 0.5


def assert_same_bits(state, other):
    for one, two in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        assert plain(one).tobytes() == plain(two).tobytes()


def candidates_are_of_the_space_and_a_key_gives_one_stream(searcher, space):
    algorithm, init, ask, tell = ready(searcher, space)
    space = SPACES[space]

    def stream(seed):
        state, seen = init(jax.random.key(seed)), []
        for _ in range(6):
            state, candidates = ask(state)
            assert (candidates.shape, candidates.dtype) == (
                (algorithm.batch, len(space.decisions)),
                jnp.int32,
            )
            for candidate in np.asarray(candidates):
                space.validate(candidate)
            state = tell(state, candidates, value(candidates))
            seen.append(candidates)
        return np.concatenate(seen)

    one, again, other = stream(0), stream(0), stream(1)
    np.testing.assert_array_equal(one, again)
    if len(space.decisions) > 1:
        assert (one != other).any()
    assert ask._cache_size() == tell._cache_size() == 1, "the second call compiled again"


def a_scanned_search_of_many_seeds_is_that_of_each(searcher):
    algorithm, init, ask, tell = ready(searcher)
    queries = 2 * algorithm.batch + 1
    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    together = jax.jit(jax.vmap(lambda key: search.simulate(algorithm, value, queries, key)))(keys)
    assert together.candidates.shape == (3, queries, len(MIXED.decisions))
    for seed in range(3):
        state = init(jax.random.key(seed))
        for start in range(0, queries, algorithm.batch):
            state, candidates = ask(state)
            state = tell(state, candidates, value(candidates))
            found = together.candidates[seed, start : start + algorithm.batch]
            np.testing.assert_array_equal(found, candidates[: len(found)])
            rewards = together.rewards[seed, start : start + algorithm.batch]
            np.testing.assert_allclose(rewards, value(candidates)[: len(found)], rtol=1e-6)


def a_search_goes_on_from_a_checkpoint_to_the_same_bits(searcher, tmp_path):
    algorithm, init, ask, tell = ready(searcher)

    def go_on(state):
        for _ in range(3):
            state, candidates = ask(state)
            state = tell(state, candidates, value(candidates))
        return state

    middle = go_on(init(jax.random.key(0)))
    Checkpoints(tmp_path / "checkpoints").save(1, middle, {}, 0.0)
    found = Checkpoints(tmp_path / "checkpoints").restore(
        lambda _: jax.eval_shape(algorithm.init, jax.random.key(0))
    )
    assert found is not None
    assert_same_bits(go_on(middle), go_on(found[1]))


def a_reward_that_is_no_number_is_refused_by_name(searcher):
    algorithm, init, ask, _ = ready(searcher)
    state, candidates = ask(init(jax.random.key(0)))
    for wrong in (np.nan, np.inf, -np.inf):
        rewards = np.zeros(algorithm.batch, np.float32)
        rewards[-1] = wrong
        sentence = f"the reward of candidate {algorithm.batch - 1} .from 0., .*, is {wrong}: reward"
        with pytest.raises(search.RewardError, match=sentence):
            algorithm.tell(state, candidates, rewards)


def trials_of_another_form_are_refused(searcher):
    algorithm, init, _, tell = ready(searcher)
    state, width = init(jax.random.key(0)), len(MIXED.decisions)
    good, rewards = np.zeros((2, width), np.int32), np.zeros(2)
    shapes = "tell takes candidates .n, 8. and n rewards, n at least 1; got shapes"
    for told in (algorithm.tell, tell):
        for candidates, values in (
            (good, rewards[:1]),
            (good, rewards[:, None]),
            (good[:, 1:], rewards),
            (good[0], rewards),
            (good[:0], rewards[:0]),
        ):
            with pytest.raises(ValueError, match=shapes):
                told(state, candidates, values)
        with pytest.raises(ValueError, match="candidates must be whole numbers, not float32"):
            told(state, good.astype(np.float32), rewards)
    for wrong in (-1, 7):
        candidates = good.copy()
        candidates[1, 4] = wrong
        sentence = f"candidate 1 has option {wrong} of decision 4, which has options 0 to 6"
        with pytest.raises(ValueError, match=sentence):
            algorithm.tell(state, candidates, rewards)


# Those that learn, at sizes with which they beat random search within 100 queries.
LEARNERS = {
    "evolution": lambda space: search.evolution(space, population=10, tournament=3),
    "local": search.local,
    "reinforce": search.reinforce,
    "ppo": lambda space: search.ppo(
        space, controller=search.lstm(space, units=16), learning_rate=0.02, batch=10, epochs=4
    ),
    "surrogate": lambda space: search.surrogate(space, capacity=100, pool=100, features=32),
}


def found(algorithm):
    """Of 64 seeds, the mean share of the answer that is right after 100 queries."""
    keys = jax.vmap(jax.random.key)(jnp.arange(64))

    @jax.jit
    def best(keys):
        trials = jax.vmap(
            lambda key: search.simulate(
                algorithm, lambda each: (each == TARGET).mean(-1, dtype=jnp.float32), 100, key
            )
        )(keys)
        return trials.rewards.max(1)

    return np.asarray(best(keys)).mean()


def learns(make, found_by_random):
    """Within 100 queries more of the known answer than random search finds."""
    assert found(make(MIXED)) > found_by_random + 0.05


PROMISES = {
    promise.__name__: promise
    for promise in (
        candidates_are_of_the_space_and_a_key_gives_one_stream,
        a_scanned_search_of_many_seeds_is_that_of_each,
        a_search_goes_on_from_a_checkpoint_to_the_same_bits,
        a_reward_that_is_no_number_is_refused_by_name,
        trials_of_another_form_are_refused,
    )
}
