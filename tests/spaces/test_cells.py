import math

import numpy as np
import pytest

from jaxnas.spaces import GenotypeError, SpaceError, zoo
from jaxnas.spaces.cells import DARTS_OPERATIONS, CellSpace

SPACE = CellSpace(DARTS_OPERATIONS, channels=16, layers=8)


def test_edges_are_numbered_as_published():
    assert len(SPACE.edges) == 14
    for number, (source, target) in enumerate(SPACE.edges):
        assert number == (target - 2) * (target + 1) // 2 + source
    assert SPACE.shape == (2, 14, 8)


def test_the_networks_of_the_space_are_those_of_the_zoo():
    published = zoo.named("darts_v2")
    cells = [
        [(edge.op, edge.source, edge.target) for edge in cell.edges]
        for cell in SPACE.cells_of(published)
    ]
    assert SPACE.genotype("darts_v2", *cells, channels=36, layers=20) == published
    small = SPACE.genotype("small", *cells)
    assert [block.channels for block in small.blocks] == [16, 16, 32, 32, 32, 64, 64, 64]
    assert small.blocks == SPACE.blocks


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("resnet20", "does not repeat a normal and a reduction cell"),
        ("enas_cells", "has 5 nodes; the space has 4"),
        ("resnet20_cells", "conv_3x3 2>3 is not in the space"),
    ],
)
def test_other_networks_are_refused(base, reason):
    with pytest.raises(GenotypeError, match=reason):
        SPACE.cells_of(zoo.named(base))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"operations": ("conv_9x9",)}, "unknown operation 'conv_9x9'"),
        ({"operations": ("null", "null")}, "must be different"),
        ({"operations": ()}, "must be different"),
        ({"operations": ("null",)}, "must name one other than null"),
        ({"layers": 0}, "must be positive"),
    ],
)
def test_impossible_spaces_are_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        CellSpace(**({"operations": DARTS_OPERATIONS, "channels": 4, "layers": 3} | changes))


TWO_NODES = CellSpace(("null", "skip_connect", "sep_conv_3x3"), channels=2, layers=3, nodes=2)


def preferred(weights):
    """(operation, source, target) of the edges of both cells, which prefer the same."""
    both = np.broadcast_to(weights, TWO_NODES.shape)
    cells = TWO_NODES.decode(TWO_NODES.preferred(both)).cells
    assert cells[0].edges == cells[1].edges
    return [(edge.op, edge.source, edge.target) for edge in cells[0].edges]


def test_a_node_keeps_its_two_strongest_edges_but_for_null():
    weights = [
        [0.9, 0.06, 0.04],  # null wins, and does not count
        [0.2, 0.3, 0.5],
        [0.0, 0.4, 0.6],
        [0.5, 0.2, 0.3],
        [0.1, 0.7, 0.2],
    ]
    assert preferred(np.array(weights)) == [
        ("sep_conv_3x3", 1, 2),
        ("skip_connect", 0, 2),
        ("skip_connect", 2, 3),
        ("sep_conv_3x3", 0, 3),
    ]


def test_equally_strong_edges_keep_their_order_and_operations_likewise():
    kept = preferred(np.full((5, 3), 1 / 3))
    assert kept == [("skip_connect", source, target) for source, target in TWO_NODES.edges[:4]]


def test_published_cells_are_candidates():
    for name in ("darts_v1", "darts_v2"):
        published = zoo.named(name, channels=16, cells=8)
        candidate = SPACE.encode(published)
        assert SPACE.decode(candidate).cells == published.cells
        again = SPACE.canonical(candidate)
        assert {edge for cell in SPACE.decode(again).cells for edge in cell.edges}
        np.testing.assert_array_equal(SPACE.canonical(again), again)


def test_there_are_as_many_cells_as_darts_counts_but_for_the_order_of_nodes():
    # Liu et al. 2019: two of the earlier states and seven operations, node by node.
    ordered = math.prod(math.comb(states, 2) * 7**2 for states in range(2, 6)) ** 2
    assert SPACE.size == ordered * 2**8
    assert SPACE.unique_size < ordered


@pytest.mark.parametrize(("operations", "nodes"), [(1, 3), (2, 2), (3, 1)])
def test_number_of_unique_cells_against_brute_force(operations, nodes):
    names = ("skip_connect", "sep_conv_3x3", "conv_1x1")[:operations]
    space = CellSpace(names, channels=2, layers=3, nodes=nodes)
    one_table = space.options[: 3 * nodes]
    every = np.indices(one_table).reshape(3 * nodes, -1).T
    assert len(np.unique(space.canonical(every), axis=0)) ** 2 == space.unique_size


def test_a_node_that_reads_one_state_twice_is_refused():
    twice = [("skip_connect", 0, 2), ("sep_conv_3x3", 0, 2)]
    once = [("skip_connect", 0, 2), ("sep_conv_3x3", 1, 2)]
    space = CellSpace(("skip_connect", "sep_conv_3x3"), channels=2, layers=3, nodes=1)
    with pytest.raises(SpaceError, match="node 2 does not read two different states"):
        space.encode(space.genotype("twice", once, twice))
