"""The contract of black-box searchers: every searcher over every space."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import search
from jaxnas.runs.checkpoints import Checkpoints
from spaces.test_space import SPACES as NETWORKS

from .toys import MIXED, TARGET, Toy, share_right

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
BOTH = [
    pytest.param(searcher, space, marks=pytest.mark.slow)
    # Whatever takes long to compile meets all spaces of networks among the slow tests.
    if space in NETWORKS and searcher not in ("random", "evolution", "local")
    else (searcher, space)
    for searcher in SEARCHERS
    for space in SPACES
]


@functools.cache
def ready(searcher, space="mixed"):
    """An algorithm, and its functions compiled."""
    algorithm = SEARCHERS[searcher](SPACES[space])
    return algorithm, jax.jit(algorithm.init), jax.jit(algorithm.ask), jax.jit(algorithm.tell)


def value(candidates):
    """A reward for any candidate, different for most."""
    return jnp.sin(candidates @ jnp.arange(1, candidates.shape[-1] + 1)) * 0.5 + 0.5


@pytest.mark.parametrize(("searcher", "space"), BOTH)
def test_candidates_are_of_the_space_and_a_key_gives_one_stream(searcher, space):
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


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_scanned_search_of_many_seeds_is_that_of_each(searcher):
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


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_search_goes_on_from_a_checkpoint_to_the_same_bits(searcher, tmp_path):
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
    for one, other in zip(
        jax.tree.leaves(go_on(middle)), jax.tree.leaves(go_on(found[1])), strict=True
    ):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_reward_that_is_no_number_is_refused_by_name(searcher):
    algorithm, init, ask, _ = ready(searcher)
    state, candidates = ask(init(jax.random.key(0)))
    for wrong in (np.nan, np.inf, -np.inf):
        rewards = np.zeros(algorithm.batch, np.float32)
        rewards[-1] = wrong
        sentence = f"the reward of candidate {algorithm.batch - 1} is {wrong}: rewards must be"
        with pytest.raises(ValueError, match=sentence):
            algorithm.tell(state, candidates, rewards)
    with pytest.raises(ValueError, match="the reward of candidate 0 is nan"):
        search.search(algorithm, lambda each: np.full(len(each), np.nan), 1, jax.random.key(0))


def test_a_search_by_a_python_function_tries_as_many_as_it_is_told():
    algorithm = ready("random")[0]
    seen = []

    def evaluate(candidates):
        seen.extend(candidates)
        return value(candidates)

    trials = search.search(algorithm, evaluate, 7, jax.random.key(0))
    assert (len(trials.candidates), len(seen)) == (7, 9)
    np.testing.assert_array_equal(trials.candidates, seen[:7])
    np.testing.assert_array_equal(trials.rewards, value(np.array(seen[:7])))


def test_rewards_of_another_number_are_refused():
    with pytest.raises(ValueError, match="must give 3 rewards, one for each candidate"):
        search.search(SEARCHERS["random"](MIXED), lambda _: np.zeros(2), 3, jax.random.key(0))


# How much of the known answer is found in 100 queries, at least, beyond what random search finds.
MARGINS = {
    "evolution": lambda space: search.evolution(space, population=10, tournament=3),
    "local": search.local,
    "reinforce": search.reinforce,
    "ppo": lambda space: search.ppo(
        space, controller=search.lstm(space, units=16), learning_rate=0.02, batch=10, epochs=4
    ),
    "surrogate": lambda space: search.surrogate(space, capacity=100, pool=100, features=32),
}


@pytest.fixture(scope="module")
def found_by_random():
    return _found(search.random(MIXED))


def _found(algorithm):
    """Of 200 seeds, the mean share of the answer that is right after 100 queries."""
    keys = jax.vmap(jax.random.key)(jnp.arange(200))

    @jax.jit
    def best(keys):
        trials = jax.vmap(
            lambda key: search.simulate(
                algorithm, lambda each: (each == TARGET).mean(-1, dtype=jnp.float32), 100, key
            )
        )(keys)
        return trials.rewards.max(1)

    return np.asarray(best(keys)).mean()


@pytest.mark.parametrize("searcher", MARGINS)
def test_a_learning_searcher_beats_random(searcher, found_by_random):
    assert share_right(TARGET) == 1.0
    assert _found(MARGINS[searcher](MIXED)) > found_by_random + 0.05


def test_settings_that_are_numbers_can_be_vmapped():
    def best(rate):
        algorithm = search.reinforce(MIXED, learning_rate=rate, batch=4)
        return search.simulate(algorithm, value, 24, jax.random.key(0)).candidates

    found = jax.vmap(best)(jnp.array([0.0, 0.3]))
    np.testing.assert_array_equal(found[0, :4], found[1, :4])  # nothing was learnt yet
    assert (found[0] != found[1]).any()


def test_best_so_far_is_the_first_of_the_best():
    rewards = jnp.array([[1.0, 3.0, 2.0, 3.0, 5.0], [-2.0, -2.0, -3.0, -1.0, -1.0]])
    np.testing.assert_array_equal(search.best_so_far(rewards), [[0, 1, 1, 1, 4], [0, 0, 0, 3, 3]])


def test_a_query_from_python_takes_less_than_five_milliseconds():
    algorithm = search.evolution(MIXED)
    ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
    state = algorithm.init(jax.random.key(0))
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        state, candidates = ask(state)
        state = tell(state, candidates, np.zeros(len(candidates), np.float32))
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 0.005
