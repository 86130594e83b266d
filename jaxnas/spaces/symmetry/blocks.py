"""Cells of blocks that are the same network: in another order of the blocks, or of operands.

A block joins two operands, each a state (one of the cell's two inputs, or an earlier block) and an
operation.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np

_CHUNK = 1 << 15  # cells whose orders are looked at together


def first_forms(
    inputs: np.ndarray,
    operations: np.ndarray,
    combinations: np.ndarray | None,
    number: int,
    interleaved: bool,
) -> np.ndarray:
    """The place, among all cells in the order of their decisions, of each one's first form.

    A block's decisions are inputs, operations and combination, or (`interleaved`) an input, its
    operation, the other input, its operation and the combination.

    Args:
      inputs: int [n, blocks, 2], states of the operands: 0 and 1 the cell's inputs, then blocks.
      operations: int [n, blocks, 2], of the operands.
      combinations: int [n, blocks] of 0 and 1, or none where there is no choice.
      number: of operations there are.
      interleaved: the order of a block's decisions.

    Returns:
      int64 [n], of which `np.unravel_index` makes decisions.
    """
    chunks = [np.zeros(0, np.int64)]
    for start in range(0, len(inputs), _CHUNK):
        part = slice(start, start + _CHUNK)
        bits = None if combinations is None else combinations[part]
        chunks.append(_first_forms(inputs[part], operations[part], bits, number, interleaved))
    return np.concatenate(chunks)


def _first_forms(
    inputs: np.ndarray,
    operations: np.ndarray,
    combinations: np.ndarray | None,
    number: int,
    interleaved: bool,
) -> np.ndarray:
    count = inputs.shape[1]
    # An order gives each block a new place; it is one only if no block that uses another comes to
    # stand before it. A bit for each pair of blocks says which use, and which turn round.
    orders = np.array(list(itertools.permutations(range(count))))
    later, earlier = np.tril_indices(count, -1)
    bits = 1 << np.arange(len(later))
    turned = (orders[:, earlier] > orders[:, later]) @ bits
    used = (inputs[:, later] == 2 + earlier[:, None]).any(-1) @ bits
    rows, chosen = np.nonzero((used[:, None] & turned) == 0)

    # An operand is its state times `number` plus its operation. Flat indices are read much faster.
    relabelled = np.concatenate([np.tile([0, 1], (len(orders), 1)), 2 + orders], 1)
    relabelled = (relabelled[..., None] * number + np.arange(number)).ravel()
    operands = (inputs * number + operations).ravel()
    block_at = orders.argsort(1).ravel()
    keys = np.zeros(len(rows), np.int64)
    for place in range(count):
        block = rows * count + block_at.take(chosen * count + place)
        left, right = (
            relabelled.take(chosen * ((count + 2) * number) + operands.take(2 * block + side))
            for side in range(2)
        )
        radix = (place + 2) * number
        keys *= radix**2
        keys += _block_codes(place + 2, number, interleaved).take(left * radix + right)
        if combinations is not None:
            keys = 2 * keys + combinations.take(block)
    return np.minimum.reduceat(keys, np.flatnonzero(np.diff(rows, prepend=-1)))


@functools.lru_cache
def _block_codes(states: int, operations: int, interleaved: bool) -> np.ndarray:
    """The place of a block among all in order, its operands in the order that comes first.

    Returns:
      int64 [operands, operands]; an operand is its state times `operations` plus its operation.
    """
    left, right = np.indices((states * operations,) * 2)
    first, second = np.minimum(left, right), np.maximum(left, right)
    numbers = (*divmod(first, operations), *divmod(second, operations))
    radices = (states, operations, states, operations)
    if not interleaved:
        numbers, radices = (tuple(each[i] for i in (0, 2, 1, 3)) for each in (numbers, radices))
    return np.asarray(np.ravel_multi_index(numbers, radices))


@functools.lru_cache
def unique_cells(
    blocks: int, operations: int, combine: bool = False, distinct: bool = False
) -> int:
    """How many cells differ by more than the order of operands and of blocks, exactly.

    By Burnside's lemma: the mean, over all orders of the blocks and all exchanges of operands, of
    the number of labelled cells that they leave as they are. Those are counted for the cycles of
    an order: the blocks of a cycle follow from one of them, none uses another of its own cycle,
    and the cycles among themselves have no circle (Robinson's recursion over those that none uses).

    Args:
      blocks: of a cell.
      operations: how many there are.
      combine: whether a block also chooses between sum and concatenation.
      distinct: whether the operands of a block are different states.
    """
    total = sum(
        orders * _fixed(cycles, operations, combine, distinct)
        for cycles, orders in cycle_types(blocks)
    )
    return total // math.factorial(blocks)


def _fixed(cycles: tuple[int, ...], operations: int, combine: bool, distinct: bool) -> int:
    """The mean, over all exchanges of operands, of the cells that an order leaves as they are.

    Args:
      cycles: lengths of the order's cycles.
      operations: how many there are.
      combine: see `unique_cells`.
      distinct: likewise.
    """

    def choices(length: int, others: frozenset[int]) -> int:
        """Choices of a cycle's operands, from the inputs and the blocks of other cycles.

        Once round the cycle, either each operand comes back to itself, or one to the other.
        """
        back, back_in_two = (
            2 + sum(cycles[i] for i in others if turns % cycles[i] == 0)
            for turns in (length, 2 * length)
        )
        same, crossed = back**2, back_in_two
        if distinct:
            same, crossed = same - back, crossed - back
        return (operations**2 * same + operations * crossed) // 2 * (2 if combine else 1)

    @functools.cache
    def acyclic(cycle_set: frozenset[int]) -> int:
        if not cycle_set:
            return 1
        total = 0
        for size in range(1, len(cycle_set) + 1):
            for unused in itertools.combinations(sorted(cycle_set), size):
                rest = cycle_set - set(unused)
                ways = math.prod(choices(cycles[i], rest) for i in unused)
                total -= (-1) ** size * ways * acyclic(rest)
        return total

    return acyclic(frozenset(range(len(cycles))))


def cycle_types(number: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The lengths of cycles that orders of `number` things have, and how many orders have them."""
    for cycles in _partitions(number):
        orders = math.factorial(number)
        for length, times in collections.Counter(cycles).items():
            orders //= length**times * math.factorial(times)
        yield cycles, orders


def _partitions(number: int, most: int | None = None) -> Iterator[tuple[int, ...]]:
    """All ways to write `number` as a sum of falling positive numbers up to `most`."""
    if number == 0:
        yield ()
    for first in range(min(number, most or number), 0, -1):
        for rest in _partitions(number - first, first):
            yield (first, *rest)
