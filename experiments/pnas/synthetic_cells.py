"""Cells of blocks with an invented accuracy, so that the best of 3e12 cells is known.

Progressive search (PNAS, Liu et al. 2018) is to find the best cells of five blocks of a space that
nobody has trained. Here an accuracy is computed for every cell of every number of blocks, and the
best one is found exactly.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.special

from jaxnas.spaces.block_cells import BlockCellSpace
from jaxnas.spaces.space import SpaceError

_LOW, _HIGH = 0.7, 0.94  # no accuracy is beyond
_STEP = 2.0**-40  # constants are multiples: sums are exact, and so the same in any order
_DECAY = 0.5  # what one more operand of an operation gains, of what the last one did
_OFFSET = 0.5
_CHUNK = 1 << 14  # cells looked at together
_BEAM = 1000


class Best(NamedTuple):
    """A cell than which none is better.

    Attributes:
      candidate: int32 [decisions], canonical, read-only.
      truth: its accuracy.
    """

    candidate: np.ndarray
    truth: float


class _Worth(NamedTuple):
    """The constants of a table, float64.

    Attributes:
      gains: [operations, n]: what n operands of an operation are worth together.
      pairs: [operations, operations]: of a block's two operations, symmetric.
      reads: [operations, 2 + operations²]: of an operation and what it reads: the cell's inputs,
        then blocks by their two operations.
      depths: [blocks + 1]: of the blocks on the longest path.
    """

    gains: np.ndarray
    pairs: np.ndarray
    reads: np.ndarray
    depths: np.ndarray


class _Parts(NamedTuple):
    """Parts of cells, by what matters for the best: one row for each multiset of blocks.

    Attributes:
      scores: float64 [n], without the cell's depth.
      kinds: int [n, blocks], the place of each block's two operations among all pairs p <= q.
      depths: int [n, blocks], rising by at most one; kinds rise where it stays.
      bounds: float64 [n], what no complete cell that has this part exceeds.
    """

    scores: np.ndarray
    kinds: np.ndarray
    depths: np.ndarray
    bounds: np.ndarray


@dataclasses.dataclass(frozen=True)
class SyntheticCells:
    """An accuracy for every cell of a space, of one block up to all.

    The logistic function takes a score to an accuracy between 0.70 and 0.94, and most cells to 0.80
    to 0.93. The score is made of

    - operations: each has a worth, and every further operand with it is worth half of the
      one before, so that blocks gain less and less;
    - pairs: two operations of a block help each other, or are in each other's way;
    - inputs: it matters whether an operand is the last cell, the cell before or an earlier block,
      and what suits one operation does not suit another;
    - flow: the operation of an operand goes well or badly with those of the block that it reads;
    - depth: the most blocks on a path. Two to four is best, the table's seed says which; the loss
      grows with the square of the distance.

    No sum or mean over blocks is equal to it. Cells that are the same (`space.canonical`) have the
    same accuracy, bit for bit; few others have, such as two whose operations read the same in
    blocks that are paired otherwise. Constants depend on the number of operations and the seed
    alone, so that a cell is worth the same in a space of more blocks. All this is this project's
    invention; nothing was trained.

    Attributes:
      space: of one table, whose blocks do not choose how to join their operands.
      seed: of the constants and of the noise, from 0 to 2^63 - 1.
      noise: standard deviation of `rewards` around `truth`.

    Raises:
      ValueError: for another space, seed or noise.
    """

    space: BlockCellSpace
    seed: int = 0
    noise: float = 0.004

    def __post_init__(self) -> None:
        if len(self.space.tables) > 1 or self.space.combine:
            raise ValueError(
                "synthetic accuracies are of spaces of one cell whose blocks add their operands, "
                f"such as pnas_space(), not of {self.space.name}"
            )
        if not 0 <= self.seed < 1 << 63 or not 0 <= self.noise < np.inf:
            raise ValueError(
                "seed must be from 0 to 2^63 - 1 and noise from 0, "
                f"not {self.seed} and {self.noise}"
            )

    def truth(self, candidates: np.ndarray) -> np.ndarray:
        """The accuracy of cells, a share of 1.

        Args:
          candidates: int [n, levels[i]]; where not all blocks are decided, of the cell so far.

        Returns:
          float64 [n].

        Raises:
          SpaceError: if they have another shape, or are no options.
        """
        cells = self._valid(candidates)
        chunks = range(0, len(cells), _CHUNK)
        scores = [np.zeros(0), *(self._scores(cells[start : start + _CHUNK]) for start in chunks)]
        return _LOW + (_HIGH - _LOW) * scipy.special.expit(np.concatenate(scores))

    def rewards(self, candidates: np.ndarray, trial: int = 0) -> np.ndarray:
        """What training the cells once would tell: `truth` with noise, clipped to 0 to 1.

        The noise is normal. It depends on the canonical cell, the table's seed and `trial` alone:
        the same question has the same answer, in any batch.

        Args:
          candidates: as `truth` takes them.
          trial: number of the training, at least 0.

        Returns:
          float64 [n].

        Raises:
          SpaceError: see `truth`.
          ValueError: if `trial` is negative.
        """
        if trial < 0:
            raise ValueError(f"trial must be at least 0, not {trial}")
        truth = self.truth(candidates)
        canonical = self.space.canonical(candidates)
        width = canonical.shape[1]
        codes = np.ravel_multi_index(tuple(canonical.T), tuple(self.space.options[:width].tolist()))
        bits = np.zeros(len(truth), np.uint64)
        for number in (self.seed, trial, width, codes):
            bits = _mixed(bits ^ np.asarray(number, np.uint64))
        uniform = ((bits >> np.uint64(12)) + 0.5) * 2.0**-52  # neither 0 nor 1
        return np.clip(truth + self.noise * scipy.special.ndtri(uniform), 0, 1)

    @functools.cached_property
    def best(self) -> Best:
        """The best complete cell, or one of them, by branch and bound.

        What a block is worth in a cell depends on its operations, on those of the rest, and on the
        operations and depths of the blocks it may read. So a part of a cell is a multiset of blocks
        by operations and depth, each reading what is best for it, and grows in the order of depths.
        A part is dropped when it would stay below a complete cell that is known even if every
        further block were the best one for this part, reading whatever suits it best. Less than a
        second for five blocks of eight operations.
        """
        floor = -np.inf
        for width in (_BEAM, None):  # a cell to beat, then the proof
            parts = self._parts(width, floor)
            floor = parts.bounds.max()
        place = int(parts.bounds.argmax())
        candidate = self._read_best(parts.kinds[place], parts.depths[place])
        candidate.setflags(write=False)
        return Best(candidate, float(self.truth(candidate[None])[0]))

    def threshold(self, share: float, samples: int = 1_000_000, seed: int = 0) -> float:
        """The accuracy that a share of the complete cells reaches, by a sample.

        Args:
          share: such as 0.001.
          samples: candidates, drawn uniformly and independently, as random search does.
          seed: of the draw.

        Raises:
          ValueError: if the share is not of one cell of the sample up to all.
        """
        if not 1 <= share * samples <= samples:
            raise ValueError(
                f"share must be from 1 of {samples} samples to 1, not {share}; take more samples "
                "for a smaller one"
            )
        return float(_sample(self, samples, seed)[-round(share * samples)])

    def rank_share(self, values: np.ndarray, samples: int = 1_000_000, seed: int = 0) -> np.ndarray:
        """The share of complete cells that are better than each accuracy, by a sample.

        Args:
          values: float [...], of `truth`.
          samples: see `threshold`.
          seed: of the draw.

        Returns:
          float64 [...].
        """
        return 1 - np.searchsorted(_sample(self, samples, seed), values, "right") / samples

    @functools.cached_property
    def _worth(self) -> _Worth:
        number = len(self.space.operations)
        generator = np.random.Generator(np.random.Philox(self.seed))

        def draw(low: float, high: float, *shape: int) -> np.ndarray:
            return low + (high - low) * generator.random(shape)

        preferred = 2 + int(draw(0, 3))
        operands = np.arange(2 * self.space.blocks + 1)
        gains = draw(0.05, 0.3, number, 1) * (1 - _DECAY**operands) / (1 - _DECAY)
        pairs = draw(-0.15, 0.15, number, number)
        sources = draw(-0.1, 0.1, 3) + draw(-0.1, 0.1, number, 3)
        flow = draw(-0.12, 0.12, number, number)
        blocks = sources[:, 2:, None] + flow[:, :, None] + flow[:, None, :]
        reads = np.concatenate([sources[:, :2], blocks.reshape(number, -1)], 1)
        depths = -0.06 * (np.arange(self.space.blocks + 1) - preferred) ** 2
        tables = (gains, np.triu(pairs) + np.triu(pairs, 1).T, reads, depths)
        return _Worth(*(np.round(table / _STEP) * _STEP for table in tables))

    @functools.cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Where in a block's decisions its inputs and its operations stand."""
        kinds = np.array([each.kind for each in self.space.decisions[: self.space.levels[0]]])
        return np.flatnonzero(kinds == "input"), np.flatnonzero(kinds == "operation")

    def _valid(self, candidates: np.ndarray) -> np.ndarray:
        """`candidates` as an array.

        Raises:
          SpaceError: see `truth`.
        """
        cells = np.asarray(candidates)
        levels = self.space.levels
        if cells.ndim != 2 or cells.shape[1] not in levels or cells.dtype.kind not in "iu":
            raise SpaceError(
                f"candidates of {self.space.name} must be whole numbers [n, "
                f"{' or '.join(map(str, levels))}]; got shape {cells.shape} of {cells.dtype}"
            )
        wrong = ((cells < 0) | (cells >= self.space.options[: cells.shape[1]])).any(1)
        if wrong.any():
            self.space.validate(cells[wrong.argmax()])
        return cells

    def _scores(self, cells: np.ndarray) -> np.ndarray:
        """float64 [n]: what `truth` makes accuracies of."""
        worth, number = self._worth, len(self.space.operations)
        blocks = cells.reshape(len(cells), -1, self.space.levels[0])
        inputs, operations = (blocks[..., columns] for columns in self._columns)
        rows, count = blocks.shape[:2]
        left, right = operations[..., 0], operations[..., 1]
        states = np.empty((rows, 2 + count), np.intp)  # columns of `reads`
        states[:, :2] = 0, 1
        states[:, 2:] = 2 + left * number + right
        flat = operations.reshape(rows, -1)
        read = np.take_along_axis(states, inputs.reshape(rows, -1), 1)
        place = np.arange(rows)[:, None] * number + flat
        used = np.bincount(place.ravel(), minlength=rows * number).reshape(rows, number)
        depths = np.zeros((rows, 2 + count), np.intp)
        for block in range(count):
            depths[:, 2 + block] = 1 + np.take_along_axis(depths, inputs[:, block], 1).max(1)
        return (
            _OFFSET
            + worth.gains[np.arange(number), used].sum(1)
            + worth.pairs[left, right].sum(1)
            + worth.reads[flat, read].sum(1)
            + worth.depths[depths.max(1)]
        )

    def _parts(self, width: int | None, floor: float) -> _Parts:
        """The complete cells of at least `floor`, looking at most at `width` parts of a size."""
        none = np.zeros((1, 0), np.intp)
        parts = _Parts(np.zeros(1), none, none, np.zeros(1))
        for remaining in reversed(range(self.space.blocks)):
            grown = [
                each
                for start in range(0, len(parts.scores), _CHUNK)
                for each in self._grown(
                    _Parts(*(field[start : start + _CHUNK] for field in parts)), remaining, floor
                )
            ]
            parts = _Parts(*(np.concatenate(fields) for fields in zip(*grown, strict=True)))
            first = np.argsort(-parts.bounds, kind="stable")[:width]
            parts = _Parts(*(field[first] for field in parts))
        return parts

    def _grown(self, parts: _Parts, remaining: int, floor: float) -> Iterator[_Parts]:
        """The parts with a block more that may reach `floor` with `remaining` further ones."""
        worth = self._worth
        left, right = np.triu_indices(len(self.space.operations))
        count = parts.kinds.shape[1]
        used = np.zeros((len(parts.kinds), len(worth.gains)), np.intp)
        for side in (left, right):
            np.add.at(used, (np.arange(len(used))[:, None], side[parts.kinds]), 1)

        def gain(side: np.ndarray, before: np.ndarray | int) -> np.ndarray:
            """float64 [n, kinds]: of an operand, after `before` others of its block."""
            place = used[:, side] + before
            return worth.gains[side, place + 1] - worth.gains[side, place]

        alone = worth.pairs[left, right] + gain(left, 0) + gain(right, left == right)
        suited = worth.reads.max(1)
        most = (alone + suited[left] + suited[right]).max(1)  # of a further block
        inputs = worth.reads[:, :2].max(1)
        blocks = worth.reads.T[2 + _codes(parts.kinds, len(worth.pairs))]  # [n, blocks, operations]
        deepest = parts.depths.max(1, initial=0)

        def best_read(may: np.ndarray) -> np.ndarray:
            """float64 [n, operations]: the best of the blocks where `may`, bool [n, blocks]."""
            return np.where(may[..., None], blocks, -np.inf).max(1, initial=-np.inf)

        for deeper in (False, True) if count else (True,):
            depth = deepest + deeper
            below = np.maximum(inputs, best_read(parts.depths < depth[:, None]))
            just_below = best_read(parts.depths == depth[:, None] - 1)
            just_below = np.where(depth[:, None] == 1, inputs, just_below)
            reading = np.maximum(
                just_below[:, left] + below[:, right], below[:, left] + just_below[:, right]
            )
            scores = parts.scores[:, None] + alone + reading
            ends = np.max([worth.depths[depth + more] for more in range(remaining + 1)], axis=0)
            bounds = scores + (remaining * most + ends)[:, None]
            good = bounds >= floor
            if not deeper:
                good &= np.arange(len(left)) >= parts.kinds[:, -1:]
            rows, kinds = np.nonzero(good)
            yield _Parts(
                scores[rows, kinds],
                np.concatenate([parts.kinds[rows], kinds[:, None]], 1),
                np.concatenate([parts.depths[rows], depth[rows, None]], 1),
                bounds[rows, kinds],
            )

    def _read_best(self, kinds: np.ndarray, depths: np.ndarray) -> np.ndarray:
        """int32 [decisions]: the best cell of these blocks, canonical."""
        number = len(self.space.operations)
        reads = self._worth.reads[:, [0, 1, *(2 + _codes(kinds, number))]]  # of states
        operations = np.stack(np.triu_indices(number), 1)[kinds]
        levels = [0, 0, *depths.tolist()]
        cell = np.zeros((len(kinds), self.space.levels[0]), np.int32)
        for block, (left, right) in enumerate(operations):
            depth = levels[2 + block]
            states = [state for state, level in enumerate(levels) if level < depth]
            choices = [
                (reads[left, first] + reads[right, second], first, second)
                for first, second in itertools.product(states, repeat=2)
                if max(levels[first], levels[second]) == depth - 1
            ]
            cell[block, self._columns[0]] = max(choices)[1:]
            cell[block, self._columns[1]] = left, right
        return self.space.canonical(cell.ravel())


def _codes(kinds: np.ndarray, operations: int) -> np.ndarray:
    """The place of blocks of two operations in order among those in any order, int like `kinds`."""
    left, right = np.triu_indices(operations)
    return (left * operations + right)[kinds]


def _mixed(bits: np.ndarray) -> np.ndarray:
    """uint64 like `bits`, each bit of which depends on all.

    One step of the generator SplitMix64 (Steele, Lea & Flood 2014).
    """
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@functools.lru_cache(maxsize=4)
def _sample(table: SyntheticCells, samples: int, seed: int) -> np.ndarray:
    """float64 [samples]: accuracies of random complete cells, rising."""
    space = table.space
    shape = (samples, len(space.decisions))
    cells = np.random.default_rng(seed).integers(0, space.options, shape, np.int32)
    return np.sort(table.truth(cells))
