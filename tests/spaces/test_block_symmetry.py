"""Canonical cells and their number against brute force and against known counts."""

import itertools

import numpy as np
import pytest

from jaxnas.spaces.symmetry.blocks import first_forms, unique_cells


@pytest.mark.parametrize(
    ("operations", "counts"),
    [
        (8, (136, 31_620, 10_979_688, 5_194_395_866, 3_147_356_952_080)),  # PNAS: 136 are published
        (13, (351, 212_355, 192_955_698, 239_417_086_311, 380_983_342_099_113)),
        (5, (55, 5_115, 703_560, 131_377_895, 31_355_379_836)),
    ],
)
def test_known_numbers_of_unique_cells(operations: int, counts: tuple[int, ...]):
    assert tuple(unique_cells(blocks, operations) for blocks in range(1, 6)) == counts


def some_label(cell: tuple) -> tuple:
    """The first, in order, of a cell's forms under any names of its blocks.

    Names need not be in the order of use, so nothing depends on which orders are possible.
    """
    forms = []
    for names in itertools.permutations(range(2, 2 + len(cell))):
        called = (0, 1, *names)
        form = [
            (name, combination, sorted((called[state], op) for state, op in operands))
            for name, (operands, combination) in zip(names, cell, strict=True)
        ]
        forms.append(tuple((a, b, tuple(c)) for a, b, c in sorted(form)))
    return min(forms)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(
    ("blocks", "operations", "combine"),
    [(1, 3, True), (2, 2, False), (2, 2, True), (3, 1, True)],
)
def test_against_brute_force(blocks: int, operations: int, combine: bool, interleaved: bool):
    radices = []
    for block in range(blocks):
        options = [block + 2, operations] * 2
        radices += options if interleaved else [options[i] for i in (0, 2, 1, 3)]
        radices += [2] * combine
    everything = np.indices(radices).reshape(len(radices), -1).T
    table = everything.reshape(len(everything), blocks, -1)
    inputs, ops = ([0, 2], [1, 3]) if interleaved else ([0, 1], [2, 3])
    bits = table[..., 4] if combine else np.zeros(table.shape[:2], int)
    keys = first_forms(
        table[..., inputs], table[..., ops], bits if combine else None, operations, interleaved
    )
    first: dict[tuple, int] = {}
    for place, (row, bit) in enumerate(zip(table.tolist(), bits.tolist(), strict=True)):
        cell = tuple(
            (tuple((block[i], block[op]) for i, op in zip(inputs, ops, strict=True)), combination)
            for block, combination in zip(row, bit, strict=True)
        )
        # Rows are in order, so the first of a class is its least.
        assert keys[place] == first.setdefault(some_label(cell), place)
    assert len(first) == unique_cells(blocks, operations, combine)
