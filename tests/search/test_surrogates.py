"""Surrogates compute what their documentation says, learn, and rank what they have not seen."""

import functools

import jax
import numpy as np
import pytest
import scipy.special

from jaxnas import search
from jaxnas.spaces import NASBench201Paths
from jaxnas.spaces.block_cells import pnas_space
from jaxnas.tabular.rank import spearman
from support.growing import SPACE, accuracies
from support.toys import Toy

MAKE = search.SURROGATES
KEY = jax.random.key(3)


def some(blocks, count=40, seed=0):
    """Different random cells, -1 where nothing is decided."""
    length = SPACE.levels[blocks - 1]
    drawn = np.random.default_rng(seed).integers(0, SPACE.options[:length], (10 * count, length))
    unique = np.unique(SPACE.canonical(drawn), axis=0)
    return padded(np.random.default_rng(seed).permutation(unique)[:count])


def padded(cells, space=SPACE):
    return search.pad_cells(space, cells, len(cells))


@functools.cache
def fitted(name, members=5):
    """A surrogate that was told of cells of one and of two blocks."""
    surrogate = MAKE[name](SPACE, members=members, units=24, steps=200)
    fit, state = jax.jit(surrogate.fit), surrogate.init(KEY)
    for cells in (padded(SPACE.grow()), some(2)):
        state = fit(state, *told(cells))
    return surrogate, state


def told(cells, rows=60):
    """Cells and their accuracies, with rows that are not known."""
    missing = rows - len(cells)
    rewards = accuracies_of(cells)
    garbage = np.full((missing, cells.shape[1]), -1)
    return (
        np.concatenate([cells, garbage]).astype(np.int32),
        np.pad(rewards, (0, missing), constant_values=np.nan),
        np.arange(rows) < len(cells),
    )


def accuracies_of(cells):
    return accuracies(cells[:, : (cells[0] >= 0).sum()])


def member(state, number):
    return jax.tree.map(lambda leaf: np.asarray(leaf[number], float), state.params)


def mlp_by_hand(params, cell):
    """The mean over blocks of the embeddings of their decisions, and two layers."""
    blocks = [
        [
            params.embeddings["input"][block[0]],
            params.embeddings["input"][block[1]],
            params.embeddings["operation"][block[2]],
            params.embeddings["operation"][block[3]],
        ]
        for block in cell[cell >= 0].reshape(-1, 4)
    ]
    mean = np.mean([np.concatenate(block) for block in blocks], 0)
    hidden = np.maximum(mean @ np.concatenate(params.hidden) + params.hidden_bias, 0)
    hidden = np.maximum(hidden @ params.second + params.second_bias, 0)
    return scipy.special.expit(hidden @ params.output + params.output_bias)


def lstm_by_hand(params, cell):
    """Token after token."""
    hidden = memory = np.zeros(len(params.output))
    for place, option in enumerate(cell[cell >= 0]):
        kind = "input" if place % 4 < 2 else "operation"
        gates = np.concatenate([params.embeddings[kind][option], hidden]) @ params.kernel
        into, forget, new, out = np.split(gates + params.bias, 4)
        memory = scipy.special.expit(forget) * memory
        memory += scipy.special.expit(into) * np.tanh(new)
        hidden = scipy.special.expit(out) * np.tanh(memory)
    return scipy.special.expit(hidden @ params.output + params.output_bias)


def block_by_hand(params, cell):
    """Block after block; an input beyond the cell's two is the state of an earlier block."""
    states = [*params.embeddings["input"]]
    for block in cell[cell >= 0].reshape(-1, 4):
        read = [states[block[0]], states[block[1]]]
        read += [params.embeddings["operation"][option] for option in block[2:]]
        hidden = np.concatenate(read) @ np.concatenate(params.hidden) + params.hidden_bias
        states.append(np.maximum(np.maximum(hidden, 0) @ params.state + params.state_bias, 0))
    mean = np.mean(states[2:], 0)
    hidden = np.maximum(mean @ params.second + params.second_bias, 0)
    return scipy.special.expit(hidden @ params.output + params.output_bias)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("name", "by_hand"), [("block", block_by_hand), ("mlp", mlp_by_hand), ("lstm", lstm_by_hand)]
)
@pytest.mark.parametrize("blocks", [1, 3])
def test_it_computes_the_mean_of_its_members(name, by_hand, blocks):
    surrogate, state = fitted(name, 2)
    cells = some(blocks, 7)
    wanted = [np.mean([by_hand(member(state, i), cell) for i in range(2)]) for cell in cells]
    np.testing.assert_allclose(surrogate.predict(state, cells), wanted, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_it_ranks_cells_of_a_block_more_than_it_has_seen(name):
    surrogate, state = fitted(name)
    known, larger = some(2), some(3)
    error = np.abs(np.asarray(surrogate.predict(state, known)) - accuracies_of(known)).mean()
    assert error < 0.01
    assert spearman(surrogate.predict(state, larger), accuracies_of(larger)) > 0.7


@pytest.mark.parametrize("name", MAKE)
def test_it_starts_at_a_sigmoid_of_1_8(name):
    surrogate = MAKE[name](pnas_space(2))
    start = surrogate.predict(surrogate.init(KEY), padded(pnas_space(2).grow(), pnas_space(2)))
    np.testing.assert_allclose(start, scipy.special.expit(1.8), atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_each_member_leaves_out_a_part_of_its_own(name):
    surrogate = MAKE[name](SPACE, units=16, steps=2)
    fit, start = jax.jit(surrogate.fit), surrogate.init(KEY)
    cells, rewards, known = told(some(2, 20))
    before = fit(start, cells, rewards, known)
    left_out = []
    for row in range(20):
        # Below and above what is expected at the start: the slope of L1 is another.
        changed = np.where(np.arange(60) == row, 1.0, rewards)
        after = fit(start, cells, changed, known)
        same = [
            all(
                np.array_equal(ours, theirs)
                for ours, theirs in zip(
                    jax.tree.leaves(member(before, number)),
                    jax.tree.leaves(member(after, number)),
                    strict=True,
                )
            )
            for number in range(5)
        ]
        left_out += np.flatnonzero(same).tolist()
    assert sorted(left_out) == sorted(list(range(5)) * 4), "each child by one, four by each"


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_a_single_member_and_little_data_leave_nothing_out(name):
    for members, count in ((1, 20), (5, 3)):
        surrogate = MAKE[name](SPACE, members=members, units=4, steps=1)
        cells, rewards, known = told(some(2, count))
        start = surrogate.init(KEY)
        fit = jax.jit(surrogate.fit)
        before = fit(start, cells, rewards, known)
        after = fit(start, cells, np.where(known, 1.0, rewards), known)
        assert (before.params.output_bias < start.params.output_bias).all()
        assert (after.params.output_bias > start.params.output_bias).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_later_fits_are_at_a_smaller_rate(name):
    surrogate = MAKE[name](SPACE, units=4, steps=1, first_rate=0.01, later_rate=0.002)
    state = surrogate.init(KEY)
    for rate in (0.01, 0.002, 0.002):
        after = surrogate.fit(state, *told(some(2)))
        moved = np.abs(after.params.output_bias - state.params.output_bias)
        np.testing.assert_allclose(moved, rate, rtol=1e-3)  # Adam's first step
        state = after
    assert state.fits == 3


def test_how_many_cells_are_looked_at_makes_no_difference():
    surrogate, state = fitted("block")
    cells = np.tile(some(3), (250, 1))
    at_once = surrogate.predict(state, cells)
    assert len(cells) > 2 * 4096
    np.testing.assert_allclose(at_once, np.tile(surrogate.predict(state, some(3)), 250), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_edges_of_their_own_kind_are_told_apart(name):
    """In NAS-Bench-201 every edge is a kind: a mean over blocks must not mix them up."""
    space = NASBench201Paths()
    surrogate = MAKE[name](space, units=8, steps=1)
    cells = np.array([[1, 2, 0, 0, 0, 0], [1, 0, 0, 2, 0, 0], [2, 1, 0, 0, 0, 0]], np.int32)
    assert len(set(np.asarray(surrogate.predict(surrogate.init(KEY), cells)).tolist())) == 3


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="must be positive; got 0, 100 and 300"):
        search.mlp_surrogate(SPACE, members=0)
    with pytest.raises(TypeError, match="space must be a jaxnas"):
        search.lstm_surrogate("pnas")

    class Mixed(Toy):
        decisions = property(
            lambda self: [
                each._replace(kind="one", options=each.options[::-1] if place else each.options)
                for place, each in enumerate(self._decisions)
            ]
        )

    with pytest.raises(ValueError, match="decisions of the kind 'one' of toy have the options"):
        search.mlp_surrogate(Mixed(2, 3))
