"""The contract of black-box searchers: every searcher over every space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import search
from jaxnas.commands.tabular.tabular_search import SEARCHERS as NAMED
from support import searcher_promises as promises
from support.searcher_promises import (
    LEARNERS,
    NETWORKS,
    SEARCHERS,
    SPACES,
    assert_same_bits,
    ready,
    value,
)
from support.toys import MIXED, TARGET, Toy, share_right

# Whatever takes long to compile meets spaces of networks among the slow tests, and only two of
# these are met by the rest among the others. A controller of NAS's size is the same code as a small
# one.
FAST = ("random", "evolution", "local")
FEW = ("adapted", "nasbench201")
BOTH = [
    (searcher, space)
    if space == "mixed"
    or (space not in NETWORKS and searcher != "reinforce, as NAS")
    or (space in FEW and searcher in FAST)
    else pytest.param(searcher, space, marks=pytest.mark.slow)
    for searcher in SEARCHERS
    for space in SPACES
]
LARGE_ONES_SLOW = [
    pytest.param(name, marks=pytest.mark.slow) if name == "reinforce, as NAS" else name
    for name in SEARCHERS
]


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("searcher", "space"), BOTH)
def test_candidates_are_of_the_space_and_a_key_gives_one_stream(searcher, space):
    promises.candidates_are_of_the_space_and_a_key_gives_one_stream(searcher, space)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("searcher", LARGE_ONES_SLOW)
def test_a_scanned_search_of_many_seeds_is_that_of_each(searcher):
    promises.a_scanned_search_of_many_seeds_is_that_of_each(searcher)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("searcher", LARGE_ONES_SLOW)
def test_a_search_goes_on_from_a_checkpoint_to_the_same_bits(searcher, tmp_path):
    promises.a_search_goes_on_from_a_checkpoint_to_the_same_bits(searcher, tmp_path)


@pytest.mark.parametrize("searcher", LARGE_ONES_SLOW)
def test_a_reward_that_is_no_number_is_refused_by_name(searcher):
    promises.a_reward_that_is_no_number_is_refused_by_name(searcher)


@pytest.mark.parametrize("searcher", LARGE_ONES_SLOW)
def test_trials_of_another_form_are_refused(searcher):
    promises.trials_of_another_form_are_refused(searcher)


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


def test_one_searcher_goes_from_space_to_space():
    deep, shallow = MIXED, Toy(*MIXED.options[:3])
    controller = search.independent(deep)
    stages = [
        search.Stage(
            start,
            space,
            search.reinforce(space, controller=search.prefix(controller, deep, space), batch=4),
        )
        for start, space in ((0, shallow), (6, deep))
    ]
    algorithm, left = search.staged(stages), []
    trials = search.search(
        algorithm, value, 18, jax.random.key(0), on_batch=lambda *each: left.append(each)
    )
    assert ((trials.candidates[:, 3:] == -1).all(1) == (np.arange(18) < 8)).all()
    again = search.search(algorithm, value, 18, jax.random.key(1), start=left[1])
    np.testing.assert_array_equal(again.candidates, trials.candidates)
    assert left[-1][0].asked == 20
    with pytest.raises(ValueError, match="begin with one that starts at 0"):
        search.staged(stages[1:])


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


def test_every_searcher_with_a_name_is_held_to_the_promises():
    assert set(NAMED) <= set(SEARCHERS)
    assert set(LEARNERS) == set(NAMED) - {"random"}


@pytest.fixture(scope="module")
def found_by_random():
    return promises.found(search.random(MIXED))


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("searcher", LEARNERS)
def test_a_learning_searcher_beats_random(searcher, found_by_random):
    assert share_right(TARGET) == 1.0
    promises.learns(LEARNERS[searcher], found_by_random)


def test_settings_that_are_numbers_can_be_vmapped():
    def best(rate):
        algorithm = search.reinforce(MIXED, learning_rate=rate, batch=4)
        return search.simulate(algorithm, value, 24, jax.random.key(0)).candidates

    found = jax.vmap(best)(jnp.array([0.0, 0.3]))
    np.testing.assert_array_equal(found[0, :4], found[1, :4])  # nothing was learnt yet
    assert (found[0] != found[1]).any()


@pytest.mark.quick_cases(1)
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
