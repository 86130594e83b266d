"""The adaptation space as decisions, against `AdaptationSpace` itself and by brute force."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnas.spaces import AdaptationSpace, SpaceError, zoo
from jaxnas.spaces.adaptation import CANDIDATES, ID, NONE, SAME
from jaxnas.spaces.adaptation.cell_choices import unique_choices
from jaxnas.spaces.genotype import NULL, SKIP, Cell, Edge, Node
from support.graphs import FAMILIES, FAST, alone, cells

RESNET = AdaptationSpace(zoo.resnet(20), "cell")


def by_walking(cell: Cell, choices: tuple[int, ...]) -> tuple[str, ...]:
    """The operations that are on some walk from an input to an output, each walk taken alone."""
    ops = [
        {NONE: NULL, ID: cell.identity(edge), SAME: edge.op}[choice]
        for edge, choice in zip(cell.edges, choices, strict=True)
    ]
    kept = set()

    def walk(node: int, path: tuple[int, ...]) -> None:
        if node in cell.output:
            kept.update(path)
        for index, edge in enumerate(cell.edges):
            if edge.source == node and ops[index] != NULL:
                walk(edge.target, (*path, index))

    for node in range(cell.inputs):
        walk(node, ())
    return tuple(op if index in kept else NULL for index, op in enumerate(ops))


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_number_of_unique_choices_against_brute_force(family: str):
    @FAST
    @given(cell=cells(family, most_edges=5))
    def check(cell: Cell):
        rows = itertools.product((NONE, ID, SAME), repeat=len(cell.edges))
        assert unique_choices(cell) == len({by_walking(cell, row) for row in rows})

    check()


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_canonical_against_brute_force(family: str):
    @FAST
    @given(cell=cells(family, most_edges=4, connected=True), data=st.data())
    def check(cell: Cell, data: st.DataObject):
        space = AdaptationSpace(alone(cell, family), "cell")
        row = data.draw(st.tuples(*[st.integers(0, 2)] * len(cell.edges)))
        canonical = space.canonical(np.array(row))
        expected = by_walking(cell, row)
        assert [choice == NONE for choice in canonical] == [op == NULL for op in expected]
        for choice, edge, op in zip(canonical, cell.edges, expected, strict=True):
            if op != NULL:
                # Same wherever that gives the operation, id only where it does not.
                assert choice == (SAME if op == edge.op else ID)

    check()


def test_resnet_by_hand():
    # Of two convolutions and a shortcut, the paths are: both convolutions (4 forms) with or
    # without the shortcut, or the shortcut alone, or nothing. The shortcut has one form where it is
    # the identity; where it pads or subsamples, an identity is another.
    assert [unique_choices(cell) for cell in RESNET.cells] == [4 * 2 + 1 + 1, 4 * 3 + 2 + 1]
    assert RESNET.unique_size == 10 * 15
    assert RESNET.size == 3**6
    full = AdaptationSpace(zoo.resnet(20), "full")
    assert (full.name, len(full.decisions)) == ("resnet20_adapted_full", 27)
    assert full.unique_size == 10**7 * 15**2
    assert full.levels == tuple(range(3, 28, 3))
    assert {each.options for each in full.decisions} == {CANDIDATES}


def test_counts_a_whole_published_network_without_listing_it():
    space = AdaptationSpace(zoo.named("darts_v2"), "full")
    assert space.unique_size > 10**60
    assert space.unique_size < space.size


def test_the_base_is_canonical_but_for_its_null_edges():
    for name in ("resnet20", "resnet20_cells"):
        space = AdaptationSpace(zoo.named(name), "cell")
        base = space.encode(space.base)
        null = [edge.op == NULL for cell in space.cells for edge in cell.edges]
        np.testing.assert_array_equal(space.canonical(base), np.where(null, NONE, base))
        assert any(null) == (name == "resnet20_cells")


def test_tables_are_those_of_the_adaptation_space():
    candidate = np.array([2, 0, 1, 1, 2, 0])
    np.testing.assert_array_equal(RESNET.table(candidate), [[2, 0, 1], [1, 2, 0]])
    np.testing.assert_array_equal(RESNET.table(candidate)[RESNET.valid], candidate)


def test_several_edges_between_two_nodes_count_together():
    edges = (Edge("conv_3x3", 0, 1), Edge(SKIP, 0, 1), Edge("conv_3x3", 1, 2))
    cell = Cell("parallel", 1, (Node(), Node()), edges, (2,))
    assert unique_choices(cell) == 1 + (3 * 2 - 1) * 2


def test_refuses_what_choices_do_not_make():
    other = zoo.resnet(20, "B")
    with pytest.raises(SpaceError, match=r"resnet20_b' is no network that choices of 'cell' make"):
        RESNET.encode(other)
    with pytest.raises(SpaceError, match="has stem 8; networks of resnet20_adapted_cell have 16"):
        RESNET.encode(dataclasses.replace(RESNET.base, stem=8))
