"""NASNet's, PNAS's and ENAS's micro space against published sizes and cells."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import (
    BlockCellSpace,
    Cell,
    Edge,
    Space,
    SpaceError,
    enas_micro_space,
    nasnet_space,
    pnas_space,
    zoo,
)


def test_published_sizes():
    assert [pnas_space(b).size for b in (1, 2, 5)] == [256, 147_456, 556_627_761_561_600]
    assert pnas_space().unique_size == 3_147_356_952_080
    cell = np.prod([(13 * k) ** 2 for k in range(2, 7)], dtype=object)
    assert cell // 10**9 == 71_465_842
    assert nasnet_space(combine=False).size == cell**2
    assert nasnet_space().size == (cell * 2**5) ** 2
    assert nasnet_space(combine=False).unique_size == 380_983_342_099_113**2
    assert enas_micro_space().size == (5_062_500_000_000) ** 2
    assert enas_micro_space().unique_size == 31_355_379_836**2


def test_pnas_grows_from_136_to_31620_cells():
    space = pnas_space()
    first = space.grow()
    children = [space.grow(parent) for parent in first]
    at_once = space.grow(first)
    np.testing.assert_array_equal(at_once, np.unique(np.concatenate(children), axis=0))
    # Of 576 ordered blocks, 300 are left without the order of operands.
    assert max(map(len, children)) == 300
    assert len(np.unique(np.concatenate(children), axis=0)) == 31_620


def test_decisions_stand_in_the_papers_order():
    kinds = {
        nasnet_space(): "input input operation operation combination",
        pnas_space(): "input input operation operation",
        enas_micro_space(): "input operation input operation",
    }
    for space, expected in kinds.items():
        width = space.levels[0]
        assert " ".join(each.kind for each in space.decisions[:width]) == expected
        assert len(space.decisions) == width * len(space.levels)
    assert nasnet_space().decisions[5].name == "normal, block 2, left input"
    assert nasnet_space().decisions[5].options == ("last cell", "cell before", "block 1")
    assert enas_micro_space().decisions[0].options == ("cell before", "last cell")
    assert len(nasnet_space().decisions) == 50


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (pnas_space(channels=48, cell_count=9), "pnasnet_5"),
        (enas_micro_space(channels=36, cell_count=15), "enas_micro"),
    ],
)
def test_reads_published_networks(space: BlockCellSpace, name: str):
    network = zoo.named(name)
    decoded = space.decode(space.encode(network))
    assert dataclasses.replace(decoded, name=name) == network


@pytest.mark.parametrize("combine", [False, True])
def test_reads_nasnet_a_but_for_what_its_cells_put_out(combine: bool):
    space = nasnet_space(combine=combine, channels=32, cell_count=18)
    network = zoo.named("nasnet_a")
    cells = space.cells(space.encode_cells(*network.cells))
    assert [cell.edges for cell in cells] == [cell.edges for cell in network.cells]
    assert [cell.output for cell in cells] == [(2, 3, 4, 5, 6), (4, 5, 6)]
    with pytest.raises(SpaceError, match=r"'normal' of nasnet_a puts out states \(1, 2, 3, 4, 5,"):
        space.encode(network)


def test_left_over_states_are_the_output():
    space = nasnet_space(2, channels=4, cell_count=3)
    # (last cell, last cell) of sums, then the block twice; in the reduction a concatenation.
    normal, reduction = [0, 0, 8, 8, 0, 2, 2, 0, 0, 0], [0, 1, 8, 8, 1, 0, 0, 4, 4, 0]
    cells = space.cells(np.array(normal + reduction))
    assert [cell.output for cell in cells] == [(1, 3), (2, 3)]
    assert [[node.concat for node in cell.nodes] for cell in cells] == [
        [False, False],
        [True, False],
    ]


def params_of(space: Space, candidate: np.ndarray) -> nn.Cost:
    return nn.cost(nn.build(space.decode(candidate), 10), (16, 16, 3))


def test_a_concatenation_computes_and_equal_cells_cost_the_same():
    space = nasnet_space(2, channels=4, cell_count=1)
    # The second input is unused, and a concatenation comes last only in one of the two forms.
    cell = [0, 0, 8, 0, 1, 0, 0, 4, 8, 0]
    other = [0, 0, 4, 8, 0, 0, 0, 0, 8, 1]
    one, two = np.array(cell * 2), np.array(other * 2)
    np.testing.assert_array_equal(space.canonical(one), space.canonical(two))
    assert params_of(space, one) == params_of(space, two)
    network = nn.build(space.decode(one), 10)
    images = np.zeros((2, 16, 16, 3), np.float32)
    shapes = jax.eval_shape(lambda key: network.init(key, images, train=False), jax.random.key(0))
    logits = jax.eval_shape(lambda tree: network.apply(tree, images, train=False), shapes)
    assert logits.shape == (2, 10)


def test_a_canonical_cell_comes_before_its_other_forms():
    space = pnas_space()
    candidates = np.random.default_rng(0).integers(0, space.options, (20_000, 20))
    canonical = space.canonical(candidates)
    # No form in another order comes first.
    places = [
        np.ravel_multi_index(tuple(each.T), tuple(space.options))
        for each in (candidates, canonical)
    ]
    assert (places[1] <= places[0]).all()
    assert (places[1] < places[0]).any()
    np.testing.assert_array_equal(space.canonical(canonical), canonical)


PNASNET = zoo.named("pnasnet_5").cells[0]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (dataclasses.replace(PNASNET, edges=PNASNET.edges[:-1]), "not made of 5 blocks of two"),
        (
            dataclasses.replace(PNASNET, edges=(Edge("conv_1x1", 0, 2), *PNASNET.edges[1:])),
            "'conv_1x1' is no operation of pnas, which has sep_conv_3x3,",
        ),
    ],
)
def test_refuses_cells(cell: Cell, message: str):
    with pytest.raises(SpaceError, match=message):
        pnas_space().encode_cells(cell, cell)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operations": ("conv_9x9",)}, "unknown operation 'conv_9x9'; the nasnet family knows"),
        ({"operations": ("conv_1x1",) * 2}, "operations must be different"),
        ({"blocks": 0}, "blocks must be 1 to 7, not 0"),
        ({"blocks": 7}, "cells of 7 blocks and 8 operations are too many"),
        ({"channels": 0}, "channels and cell_count must be positive, not 0 and 6"),
    ],
)
def test_refuses_fields(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(pnas_space(), **changes)
