import pytest

from jaxnas.spaces import GenotypeError, zoo
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
        ({"layers": 0}, "must be positive"),
    ],
)
def test_impossible_spaces_are_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        CellSpace(**({"operations": DARTS_OPERATIONS, "channels": 4, "layers": 3} | changes))
