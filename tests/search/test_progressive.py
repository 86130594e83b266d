"""Progressive search grows the best, says what it expects, and goes on from any state."""

import functools
import itertools
import logging

import jax
import numpy as np
import pytest

from jaxnas import search
from jaxnas.spaces import NASBench201Paths
from jaxnas.spaces.block_cells import pnas_space
from support.growing import SPACE, accuracies
from support.leaves import plain
from support.toys import Toy

KEY = jax.random.key(1)


@functools.cache
def searcher(per_level=8, train_last=True, space=SPACE):
    surrogate = search.mlp_surrogate(space, members=3, units=16, steps=60)
    return search.Progressive(space, surrogate, per_level, train_last)


@functools.cache
def found(per_level=8, train_last=True):
    return searcher(per_level, train_last).run(accuracies, KEY)


def copied(leaf):
    """What a file would give back."""
    key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.wrap_key_data(plain(leaf)) if key else plain(leaf)


def everything(blocks):
    """All canonical cells."""
    cells = SPACE.grow()
    for _ in range(blocks - 1):
        cells = SPACE.grow(cells)
    return cells


@pytest.mark.slow
@pytest.mark.parametrize("train_last", [True, False])
def test_each_level_grows_from_the_one_before(train_last):
    levels = found(train_last=train_last)
    np.testing.assert_array_equal(levels[0].cells, SPACE.grow())
    assert [len(level.cells) for level in levels] == [len(SPACE.grow()), 8, 8]
    for before, level in itertools.pairwise(levels):
        grown = {tuple(cell) for cell in SPACE.grow(before.cells).tolist()}
        chosen = [tuple(cell) for cell in level.cells.tolist()]
        assert set(chosen) <= grown
        assert len(set(chosen)) == len(chosen)
        np.testing.assert_array_equal(SPACE.canonical(level.cells), level.cells)


def test_those_are_trained_of_which_most_is_expected():
    one, state = searcher(), searcher().init(KEY)
    while len(cells := one.ask(state)[1]):
        before, state = state, one.tell(state, cells, accuracies(cells))
        level = one.level(before, accuracies(cells), state)
        assert np.isnan(level.expected).all() == (before.level == 0)
        np.testing.assert_allclose(level.fitted, one.judge(state, cells))
        if state.level < 3:
            grown = SPACE.grow(cells)
            best = np.sort(one.judge(state, grown))[::-1][:8]
            np.testing.assert_allclose(one.chosen(state)[1], best, rtol=1e-6)


@pytest.mark.slow
def test_with_room_for_all_it_finds_the_best():
    all_cells = everything(3)
    levels = found(per_level=len(all_cells))
    assert len(levels[-1].cells) == len(all_cells) == SPACE.unique_size
    best = search.answer(levels)
    assert accuracies(best[None])[0] == accuracies(all_cells).max()


def test_with_little_room_it_finds_one_of_the_best():
    """The eight of level 3 are of 1,140 cells or so; random ones would rarely be of the best."""
    values = accuracies(everything(3))
    reached = accuracies(search.answer(found())[None])[0]
    assert (values > reached).mean() < 0.01


def test_a_last_level_that_is_not_trained_is_taken_at_the_surrogates_word():
    levels = found(train_last=False)
    assert np.isnan(levels[-1].rewards).all()
    assert not np.isnan(levels[-1].expected).any()
    np.testing.assert_array_equal(search.answer(levels), levels[-1].cells[0])
    assert levels[-1].expected[0] == levels[-1].expected.max()
    assert searcher(train_last=False).trained == (len(SPACE.grow()), 8)
    assert searcher().trained == (len(SPACE.grow()), 8, 8)
    for ours, theirs in zip(levels[:2], found()[:2], strict=True):
        np.testing.assert_array_equal(ours.rewards, theirs.rewards)


def test_it_goes_on_from_any_state_to_the_same_bits():
    whole = []
    state = searcher().init(KEY)
    while len(cells := searcher().ask(state)[1]):
        whole.append(state)
        state = searcher().tell(state, cells, accuracies(cells))
    for start in whole:
        again = jax.tree.map(copied, start)
        while len(cells := searcher().ask(again)[1]):
            again = searcher().tell(again, cells, accuracies(cells))
        for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
            np.testing.assert_array_equal(plain(ours), plain(theirs))


def test_all_levels_and_seeds_are_one_program(caplog):
    surrogate = search.mlp_surrogate(SPACE, members=2, units=5, steps=2)
    one = search.Progressive(SPACE, surrogate, 8)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for seed in range(2):
            one.run(accuracies, jax.random.key(seed))
    messages = [record.getMessage() for record in caplog.records]
    for name in ("fit", "predict"):
        text = f"Finished XLA compilation of jit({name})"
        assert sum(text in message for message in messages) == 1


def test_states_are_of_one_shape():
    """So that one description reads a checkpoint of any level."""
    state = searcher().init(KEY)
    form = jax.eval_shape(lambda: state)
    while len(cells := searcher().ask(state)[1]):
        state = searcher().tell(state, cells, accuracies(cells))
        assert jax.eval_shape(lambda state=state: state) == form


def test_pnas_begins_with_136_cells():
    one = search.Progressive(pnas_space(), search.mlp_surrogate(pnas_space()))
    assert one.trained == (136, 256, 256, 256, 256)
    assert sum(one.trained) == 1160
    assert one.ask(one.init(KEY))[1].shape == (136, 4)


def test_another_seed_is_another_search():
    ours, theirs = (searcher().run(accuracies, jax.random.key(seed)) for seed in (1, 2))
    assert not np.array_equal(ours[1].expected, theirs[1].expected)
    np.testing.assert_array_equal(ours[1].cells, found()[1].cells)


@pytest.mark.slow
def test_it_searches_nasbench201_by_paths():
    space = NASBench201Paths()
    one = searcher(10, True, space)
    table = np.random.default_rng(0).uniform(size=space.size)
    levels = one.run(lambda cells: table[space.edges.codes(space.as_nasbench201(cells))], KEY)
    assert [level.cells.shape for level in levels] == [(5, 1), (10, 3), (10, 5), (10, 6)]


def test_what_cannot_be_is_refused():
    one, start = searcher(), searcher().init(KEY)
    count = len(SPACE.grow())
    for rewards in (np.zeros(3), np.full(count, np.nan), np.full(count, 1.5)):
        with pytest.raises(ValueError, match=f"each of the {count} cells of level 1"):
            one.tell(start, SPACE.grow(), rewards)
    with pytest.raises(ValueError, match=f"the {count} cells that were asked for"):
        one.tell(start, SPACE.grow()[1:], np.zeros(count - 1))
    state = start
    while len(cells := one.ask(state)[1]):
        state = one.tell(state, cells, accuracies(cells))
    with pytest.raises(ValueError, match="the search is through"):
        one.tell(state, cells, np.zeros(0))
    with pytest.raises(TypeError, match="typed key"):
        one.init(0)
    surrogate = search.mlp_surrogate(SPACE)
    with pytest.raises(ValueError, match="per_level must be positive, not 0"):
        search.Progressive(SPACE, surrogate, 0)
    with pytest.raises(ValueError, match="toy has a single level"):
        search.Progressive(Toy(2, 3), search.mlp_surrogate(Toy(2, 3)))


def test_it_is_an_algorithm_as_others_are():
    levels = found()
    trials = search.search(searcher().algorithm, accuracies, 10**6, KEY)
    wanted = np.concatenate([level.rewards for level in levels])
    np.testing.assert_array_equal(trials.rewards, wanted)
    assert (trials.candidates[: len(SPACE.grow()), SPACE.levels[0] :] == -1).all()
    np.testing.assert_array_equal(trials.candidates[-8:], levels[-1].cells)
    with pytest.raises(TypeError, match="whose candidates grow is no one program"):
        search.simulate(searcher().algorithm, accuracies, 3, KEY)
