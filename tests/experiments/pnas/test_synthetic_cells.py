"""The invented accuracy of cells: by brute force where that can be, else by its promises."""

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from jaxnas import spaces
from jaxnas.spaces import (
    BlockCellSpace,
    SpaceError,
    enas_micro_space,
    nasnet_space,
    pnas_space,
)
from pnas.synthetic_cells import SyntheticCells

PNAS = pnas_space()
TABLE = SyntheticCells(PNAS)
INTERLEAVED = dataclasses.replace(enas_micro_space(3), tables=("cell",))
RNG = np.random.default_rng


def small(blocks: int, operations: int) -> BlockCellSpace:
    return dataclasses.replace(PNAS, blocks=blocks, operations=PNAS.operations[:operations])


def drawn(space: BlockCellSpace, blocks: int, count: int, seed: int = 0) -> np.ndarray:
    options = space.options[: space.levels[blocks - 1]]
    return RNG(seed).integers(0, options, (count, len(options)))


def every(space: BlockCellSpace) -> np.ndarray:
    return np.indices(tuple(space.options)).reshape(len(space.options), -1).T


@pytest.mark.parametrize("space", [PNAS, small(4, 3), INTERLEAVED], ids=str)
def test_the_same_cell_has_the_same_accuracy_to_the_bit(space: BlockCellSpace):
    table = SyntheticCells(space, 3)
    for blocks in range(1, space.blocks + 1):
        cells = drawn(space, blocks, 2000)
        canonical = space.canonical(cells)
        assert (canonical != cells).any()
        np.testing.assert_array_equal(table.truth(canonical), table.truth(cells))
        np.testing.assert_array_equal(table.rewards(canonical, 2), table.rewards(cells, 2))


def test_few_different_cells_have_the_same_accuracy():
    one, two = (np.unique(PNAS.canonical(every(pnas_space(n))), axis=0) for n in (1, 2))
    assert len(np.unique(TABLE.truth(one))) == len(one) == 136
    assert len(np.unique(TABLE.truth(two))) > 0.9 * len(two)
    # The same operations read the same, though in other blocks.
    tied = np.array([[0, 0, 2, 5, 1, 1, 2, 5], [0, 1, 2, 5, 1, 0, 2, 5]])
    assert np.ptp(PNAS.canonical(tied), 0).any()
    assert np.ptp(TABLE.truth(tied)) == 0


def test_parts_are_cells_of_fewer_blocks():
    for blocks in range(1, 5):
        cells, fewer = drawn(PNAS, blocks, 500), pnas_space(blocks)
        other = SyntheticCells(fewer)
        np.testing.assert_array_equal(TABLE.truth(cells), other.truth(cells))
        np.testing.assert_array_equal(TABLE.rewards(cells, 5), other.rewards(cells, 5))


def test_the_order_of_decisions_in_a_block_does_not_matter():
    cells = drawn(INTERLEAVED, 3, 500).reshape(-1, 3, 4)
    apart = dataclasses.replace(INTERLEAVED, interleaved=False)
    np.testing.assert_array_equal(
        SyntheticCells(INTERLEAVED).truth(cells.reshape(-1, 12)),
        SyntheticCells(apart).truth(cells[..., [0, 2, 1, 3]].reshape(-1, 12)),
    )


@pytest.mark.parametrize("seed", range(4))
def test_looks_like_accuracies(seed: int):
    table = SyntheticCells(PNAS, seed)
    levels = [table.truth(drawn(PNAS, blocks, 20_000)) for blocks in range(1, 6)]
    means = np.array([each.mean() for each in levels])
    assert (np.diff(means) > 0).all()
    assert (np.diff(means, 2) < 0).all()
    for each in levels:
        assert 0.8 < np.quantile(each, 0.01) < np.quantile(each, 0.99) < 0.935
        assert 0.005 < each.std() < 0.02
    assert ((np.concatenate(levels) > 0) & (np.concatenate(levels) < 1)).all()


def test_seeds_are_different_tables():
    cells = drawn(PNAS, 5, 5000)
    truths = np.array([SyntheticCells(PNAS, seed).truth(cells) for seed in range(8)])
    rewards = np.array([SyntheticCells(PNAS, seed).rewards(cells) for seed in range(8)])
    for each in (truths, rewards - truths):
        assert np.abs(np.corrcoef(each)[np.triu_indices(8, 1)]).max() < 0.7
    np.testing.assert_array_equal(truths[2], SyntheticCells(PNAS, 2).truth(cells))


@functools.cache
def two_blocks(table: SyntheticCells) -> np.ndarray:
    """float64 [256, 576]: the accuracy by the first block and by the second."""
    return table.truth(every(pnas_space(2))).reshape(256, 576)


def test_every_part_of_a_block_matters():
    """Of one-block cells and of the second block: the mean over the rest differs by the choice."""
    truth = two_blocks(TABLE).reshape(256, 3, 3, 8, 8)
    by_input, by_operation = (truth.mean(axes) for axes in ((0, 2, 3, 4), (0, 1, 2, 4)))
    assert np.ptp(by_input) > 0.002
    assert np.ptp(by_operation) > 0.005
    pairs = TABLE.truth(every(pnas_space(1))).reshape(4, 8, 8).mean(0)
    apart = pairs.mean(0) + pairs.mean(1)[:, None] - pairs.mean()
    assert np.abs(pairs - apart).max() > 0.003


def test_blocks_cannot_be_judged_one_by_one():
    """A sum over blocks, however it bends, puts second blocks in one order after any first one."""
    ranks = two_blocks(TABLE).argsort(1).argsort(1)
    alike = np.corrcoef(ranks)[np.triu_indices(256, 1)]
    assert alike.min() < 0.8
    assert alike.mean() < 0.95


def test_depth_has_a_best():
    """Cells of one operation, whose first block reads an input and the others a block, twice."""
    cells = np.zeros((4, 5, 4), np.int64)
    for row, depth in enumerate(range(2, 6)):  # a chain, and blocks beside its last one
        for block in range(1, 5):
            cells[row, block, :2] = 1 + min(block, depth - 1)
    found = set()
    for seed in range(10):
        truth = SyntheticCells(small(5, 1), seed).truth(cells.reshape(4, 20))
        best = int(truth.argmax())
        assert (np.sign(np.diff(truth)) == [1] * best + [-1] * (3 - best)).all()
        found.add(2 + best)
    assert found == {2, 3, 4}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("blocks", "operations", "seeds"),
    [(1, 8, 20), (2, 8, 6), (3, 2, 10), (3, 3, 2), (4, 1, 10), (5, 1, 2)],
)
def test_the_best_is_the_best_of_all(blocks: int, operations: int, seeds: int):
    space = small(blocks, operations)
    cells = every(space)
    for seed in range(seeds):
        table = SyntheticCells(space, seed)
        best = table.best
        assert best.truth == table.truth(cells).max()
        assert best.truth == table.truth(best.candidate[None])[0]
        np.testing.assert_array_equal(space.canonical(best.candidate), best.candidate)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_found_beats_the_best_of_five_blocks(seed: int):
    table = SyntheticCells(PNAS, seed)
    best = table.best
    assert table.best is best
    assert best.candidate.dtype == np.int32
    assert not best.candidate.flags.writeable
    assert table.truth(drawn(PNAS, 5, 20_000, seed)).max() < best.truth
    # Nor what is left by a search from many cells, each step the best of all changes of a decision.
    changes = [(i, j) for i, count in enumerate(PNAS.options) for j in range(count)]
    cells = np.concatenate([drawn(PNAS, 5, 20, seed), best.candidate[None]])
    for _ in range(12):
        near = np.repeat(cells[:, None], len(changes), 1)
        for change, (place, option) in enumerate(changes):
            near[:, change, place] = option
        truth = table.truth(near.reshape(-1, 20)).reshape(near.shape[:2])
        cells = near[np.arange(len(near)), truth.argmax(1)]
    assert table.truth(cells).max() == best.truth


def test_rewards_are_the_truth_with_frozen_noise():
    cells = drawn(PNAS, 5, 20_000)
    truth = TABLE.truth(cells)
    noise = np.array([TABLE.rewards(cells, trial) - truth for trial in range(4)])
    assert noise.std(1) == pytest.approx(0.004, rel=0.03)
    assert noise.mean(1) == pytest.approx(0, abs=2e-4)
    assert np.abs(np.corrcoef([*noise, truth])[np.triu_indices(5, 1)]).max() < 0.04
    assert (np.abs(noise) < 0.008).mean() == pytest.approx(0.954, abs=0.01)
    few = [5, 77, 4]
    np.testing.assert_array_equal(TABLE.rewards(cells[few], 3), (truth + noise[3])[few])
    still = dataclasses.replace(TABLE, noise=0.0)
    np.testing.assert_array_equal(still.rewards(cells), truth)
    loud = dataclasses.replace(TABLE, noise=1.0).rewards(cells)
    assert (loud.min(), loud.max()) == (0, 1)


def test_shares_and_thresholds_are_each_others_inverse():
    table, samples = SyntheticCells(pnas_space(1)), 50_000
    exact = np.sort(table.truth(every(table.space)))
    for share in (0.9, 0.5, 0.05):
        threshold = table.threshold(share, samples)
        assert (exact > threshold).mean() <= share + 0.01
        assert (exact >= threshold).mean() >= share - 0.01
        better = table.rank_share(np.array(threshold), samples)
        assert better <= share
        assert better == pytest.approx((exact > threshold).mean(), abs=0.01)
    assert table.rank_share(np.array([0.0, table.best.truth, 1.0]), samples).tolist() == [1, 0, 0]
    assert table.threshold(1 / samples, samples) == table.best.truth
    assert table.threshold(1.0, samples) == exact[0]
    assert table.threshold(0.3, samples, 1) == table.threshold(0.3, samples, 1)


def test_no_cells_have_no_accuracies():
    assert TABLE.truth(np.zeros((0, 8), int)).shape == (0,)
    assert TABLE.rewards(np.zeros((0, 8), int)).shape == (0,)


@pytest.mark.parametrize("space", [nasnet_space(), enas_micro_space(), None], ids=str)
def test_refuses_other_spaces(space: BlockCellSpace | None):
    space = space or dataclasses.replace(PNAS, combine=True, blocks=3)
    with pytest.raises(ValueError, match=f"such as pnas_space.., not of {space.name}"):
        SyntheticCells(space)


def test_refuses_what_is_no_question():
    for changes in ({"seed": -1}, {"seed": 1 << 63}, {"noise": -0.1}, {"noise": np.nan}):
        with pytest.raises(ValueError, match=r"seed must be from 0 to 2\^63 - 1 and noise from 0"):
            dataclasses.replace(TABLE, **changes)
    for wrong in (np.zeros(20, int), np.zeros((2, 6), int), np.zeros((2, 20))):
        with pytest.raises(SpaceError, match=r"\[n, 4 or 8 or 12 or 16 or 20\]; got shape"):
            TABLE.truth(wrong)
    with pytest.raises(SpaceError, match=r"cell, block 2, left input has options 0 to 2 .*, not 3"):
        TABLE.rewards(np.array([[0] * 8, [0, 0, 0, 0, 3, 0, 0, 0]]))
    with pytest.raises(ValueError, match="trial must be at least 0, not -1"):
        TABLE.rewards(np.zeros((1, 4), int), -1)
    for share in (0.0, 0.0001, 1.1):
        with pytest.raises(ValueError, match="share must be from 1 of 1000 samples to 1"):
            TABLE.threshold(share, 1000)


def test_the_guides_code_tells_of_136_cells():
    guide = (Path(__file__).parents[3] / "docs" / "tabular.md").read_text()
    (code,) = re.findall(r"```python\n(from pnas.*?)```", guide, re.DOTALL)
    names: dict = {"spaces": spaces}
    exec(compile(code, "tabular.md", "exec"), names)
    assert names["truth"] == TABLE.best.truth > names["goal"]
    assert len(names["first"]) == len(names["rewards"]) == len(names["better"]) == 136
    assert names["better"].min() > 0.001
