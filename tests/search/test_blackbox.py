"""The contract of black-box searchers: every searcher over every space."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import search
from jaxnas.runs.checkpoints import Checkpoints
from leaves import plain
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


def assert_same_bits(state, other):
    for one, two in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        assert plain(one).tobytes() == plain(two).tobytes()


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
    assert_same_bits(go_on(middle), go_on(found[1]))


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_reward_that_is_no_number_is_refused_by_name(searcher):
    algorithm, init, ask, _ = ready(searcher)
    state, candidates = ask(init(jax.random.key(0)))
    for wrong in (np.nan, np.inf, -np.inf):
        rewards = np.zeros(algorithm.batch, np.float32)
        rewards[-1] = wrong
        sentence = f"the reward of candidate {algorithm.batch - 1} .from 0., .*, is {wrong}: reward"
        with pytest.raises(search.RewardError, match=sentence):
            algorithm.tell(state, candidates, rewards)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_trials_of_another_form_are_refused(searcher):
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


@pytest.mark.parametrize(
    "searcher",
    [
        # Operation by operation, these take long to compile.
        pytest.param(name, marks=pytest.mark.slow) if name not in ("random", "evolution") else name
        for name in SEARCHERS
    ],
)
def test_a_state_of_numpy_goes_on_by_hand_to_the_same_bits(searcher):
    algorithm, init, ask, tell = ready(searcher)
    state, candidates = ask(init(jax.random.key(0)))
    state = tell(state, candidates, value(candidates))

    def by_hand(state):
        state, candidates = algorithm.ask(state)
        return algorithm.tell(state, candidates, value(candidates))

    assert_same_bits(by_hand(state), by_hand(jax.device_get(state)))


def test_more_trials_than_are_remembered_leave_the_last():
    algorithm = search.evolution(MIXED, population=3, tournament=1)
    one = many = algorithm.init(jax.random.key(0))
    candidates = jax.random.randint(jax.random.key(1), (8, len(MIXED.decisions)), 0, MIXED.options)
    rewards = jnp.arange(8.0)
    for trial in range(8):
        one = algorithm.tell(one, candidates[trial : trial + 1], rewards[trial : trial + 1])
    for first, end in ((0, 1), (1, 8)):
        many = algorithm.tell(many, candidates[first:end], rewards[first:end])
    assert_same_bits(one, many)
    assert set(np.asarray(many.rewards)) == {5, 6, 7}


def test_a_reward_that_is_no_number_does_not_lose_the_trials_before_it():
    algorithm = search.random(MIXED, batch=3)
    expected = search.search(algorithm, value, 6, jax.random.key(0))

    def at_the_sixth(candidates):
        return np.where((candidates == expected.candidates[5]).all(-1), np.nan, value(candidates))

    with pytest.raises(search.RewardError) as caught:
        search.search(algorithm, at_the_sixth, 9, jax.random.key(0))
    named = f"the reward of query 5 (from 0), {expected.candidates[5].tolist()}, is nan: "
    assert str(caught.value).startswith(named)
    np.testing.assert_array_equal(caught.value.trials.candidates, expected.candidates[:5])
    np.testing.assert_array_equal(caught.value.trials.rewards, expected.rewards[:5])

    def traced(candidates):
        worst = (candidates == expected.candidates[5]).all(-1)
        return jnp.where(worst, jnp.nan, value(candidates))

    with pytest.raises(search.RewardError) as caught:
        search.simulate(algorithm, traced, 9, jax.random.key(0))
    assert str(caught.value).startswith(named)
    np.testing.assert_array_equal(caught.value.trials.candidates, expected.candidates[:5])


def test_a_search_goes_on_from_what_a_batch_left():
    algorithm = search.evolution(MIXED, population=4, tournament=2, batch=2)
    left = []
    whole = search.search(
        algorithm, value, 13, jax.random.key(0), on_batch=lambda *each: left.append(each)
    )
    assert [len(trials.rewards) for _, trials in left] == [2, 4, 6, 8, 10, 12, 14]
    for start in (left[2], jax.device_get(left[2]), left[-1]):
        again = search.search(algorithm, value, 13, jax.random.key(7), start=start)
        np.testing.assert_array_equal(again.candidates, whole.candidates)
        np.testing.assert_array_equal(again.rewards, whole.rewards)
    with pytest.raises(ValueError, match=r"start must have whole batches of 2 trials, .* has 13"):
        search.search(algorithm, value, 20, jax.random.key(0), start=(left[-1][0], whole))


@pytest.mark.parametrize("run", [search.search, search.simulate])
def test_what_is_no_search_is_told(run):
    algorithm, key = search.random(MIXED), jax.random.key(0)
    for queries in (0, -3):
        with pytest.raises(ValueError, match=f"queries must be above 0, not {queries}"):
            run(algorithm, value, queries, key)
    for wrong in (0, jax.random.PRNGKey(0), None):
        with pytest.raises(TypeError, match=r"key must be a typed key such as jax\.random\.key"):
            run(algorithm, value, 3, wrong)
    with pytest.raises(TypeError, match=r"algorithm must be an Algorithm, .* not <function"):
        run(search.random, value, 3, key)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_what_is_no_space_is_told(searcher):
    for wrong in (Toy, np.array([2, 3])):
        with pytest.raises(TypeError, match=r"space must be a jaxnas\.spaces\.Space, such as"):
            SEARCHERS[searcher](wrong)


def test_sizes_that_cannot_be_are_told():
    with pytest.raises(ValueError, match="tournament and batch no more than population; got 3, 10"):
        search.evolution(MIXED, population=3, tournament=10)
    with pytest.raises(ValueError, match="batch must be positive; got 0"):
        search.random(MIXED, batch=0)


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


@pytest.mark.parametrize("searcher", ["random", "evolution", "local", "reinforce", "surrogate"])
def test_the_scale_of_rewards_does_not_matter_but_to_an_entropys_weight(searcher):
    algorithm = SEARCHERS[searcher](MIXED)

    def tried(scale):
        key = jax.random.key(0)
        return search.simulate(algorithm, lambda each: scale * value(each), 24, key).candidates

    one, other = jax.jit(jax.vmap(tried))(jnp.array([1.0, 128.0]))
    np.testing.assert_array_equal(one, other)


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
