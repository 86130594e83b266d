import numpy as np
import pytest

from jaxnas.spaces import GenotypeError, zoo
from jaxnas.spaces.transitions import OPERATION_SETS, nat_space, transitions

V2 = OPERATION_SETS["v2"][0]


@pytest.mark.parametrize("operations", OPERATION_SETS["v1"])
def test_v1_removes_keeps_or_skips(operations):
    actions = transitions(operations, "v1")
    for index, name in enumerate(operations):
        named = [operations[target] for target in actions.targets[index]]
        assert named == ["null", name, "skip_connect"]
        assert actions.targets[index, actions.keep[index]] == index
    assert actions.valid.all()


def cost(name):
    """Multiply-adds of the published figure, 128 channels at 32x32, in millions."""
    return {
        "conv_5x5": 419.4,
        "conv_3x3": 151.0,
        "sep_conv_5x5": 40.1,
        "sep_conv_3x3": 35.9,
        "dil_conv_5x5": 20.1,
        "dil_conv_3x3": 18.0,
        "conv_1x1": 16.8,
        "max_pool_5x5": 3.3,
        "avg_pool_5x5": 3.3,
        "max_pool_3x3": 1.2,
        "avg_pool_3x3": 1.2,
        "skip_connect": 0.1,
        "null": 0.0,
    }[name]


def test_v2_never_costs_more_but_for_null_to_skip():
    actions = transitions(V2, "v2")
    for index, name in enumerate(V2):
        targets = [V2[j] for j in np.flatnonzero(actions.valid[index])]
        assert name in targets
        assert {"null", "skip_connect"} <= set(targets)
        if name != "null":
            assert all(cost(target) <= cost(name) for target in targets)
        assert actions.targets[index].tolist() == list(range(len(V2)))
        assert actions.keep[index] == index
    counts = dict(zip(V2, actions.valid.sum(1).tolist(), strict=True))
    assert counts["conv_5x5"] == 13
    assert counts["sep_conv_5x5"] == 10
    assert counts["dil_conv_5x5"] == 8
    assert counts["sep_conv_3x3"] == 6
    assert counts["conv_1x1"] == 3
    assert counts["skip_connect"] == counts["null"] == 2


def test_v2_has_its_own_operations():
    with pytest.raises(ValueError, match="v2 has its own operations"):
        transitions(OPERATION_SETS["v1"][0], "v2")


@pytest.mark.parametrize(
    ("base", "version", "holds", "nodes"),
    [
        ("darts_v2", "v1", "dil_conv_3x3", 4),
        ("resnet20_cells", "v1", "dil_conv_3x3", 4),
        ("mobilenet_v2_cells", "v1", "conv_1x1", 4),
        ("enas_cells", "v1", "sep_conv_5x5", 5),
        ("darts_v2", "v2", "max_pool_5x5", 4),
    ],
)
def test_the_published_set_that_holds_a_network_is_taken(base, version, holds, nodes):
    space = nat_space(zoo.named(base), version, channels=8, layers=5)
    assert space.operations in OPERATION_SETS[version]
    assert holds in space.operations
    assert space.nodes == nodes


def test_networks_that_nat_cannot_transform_are_refused():
    with pytest.raises(GenotypeError, match="resnet20_cells, mobilenet_v2_cells"):
        nat_space(zoo.named("resnet20"), "v1", channels=8, layers=5)
    with pytest.raises(ValueError, match="v1 and v2, not 'v3'"):
        nat_space(zoo.named("darts_v2"), "v3", channels=8, layers=5)
