"""NATS-Bench's space of sizes against the counts that the benchmark stores."""

import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import NASBench201Space, NATSSizeSpace, SpaceError, zoo

SPACE = NATSSizeSpace()


@pytest.mark.parametrize(
    ("text", "params"),
    [("8:8:8:8:8", 11_714), ("8:8:16:40:40", 107_826), ("64:64:64:64:64", 713_674)],
)
def test_parameters_are_those_that_the_benchmark_stores(text, params):
    candidate = SPACE.from_arch_string(text)
    assert SPACE.parameters(candidate, 10) == params
    cost = nn.cost(nn.build(SPACE.decode(candidate), 10), (32, 32, 3))
    assert cost.params == params
    # The benchmark's FLOPs add the classifier's bias to the multiply-adds.
    assert SPACE.flops(candidate, 10) == cost.macs + 10


def test_counts_are_those_of_the_networks_on_all_its_data_sets():
    candidate = np.array([3, 0, 7, 7, 1])
    for classes, side in ((100, 32), (120, 16)):
        cost = nn.cost(nn.build(SPACE.decode(candidate), classes), (side, side, 3))
        assert SPACE.parameters(candidate, classes) == cost.params
        assert SPACE.flops(candidate, classes, side) == cost.macs + classes
    several = np.array([[0] * 5, [3, 0, 7, 7, 1]])
    assert SPACE.parameters(several, 100).tolist() == [
        int(SPACE.parameters(each, 100)) for each in several
    ]


def test_strings_genotypes_and_candidates_go_to_and_fro():
    assert SPACE.size == SPACE.unique_size == 32_768
    candidate = SPACE.from_arch_string("8:16:24:32:64")
    assert candidate.tolist() == [0, 1, 2, 3, 7]
    assert SPACE.arch_string(candidate) == "8:16:24:32:64"
    genotype = SPACE.decode(candidate)
    assert genotype.stem == 8
    assert [(block.cell, block.channels, block.stride) for block in genotype.blocks] == [
        ("normal", 8, 1),
        ("reduction", 16, 2),
        ("normal", 24, 1),
        ("reduction", 32, 2),
        ("normal", 64, 1),
    ]
    np.testing.assert_array_equal(SPACE.encode(genotype), candidate)
    for other in (zoo.resnet(20), NASBench201Space(8, 1).decode(np.zeros(6, int))):
        with pytest.raises(SpaceError, match="is no network of nats_size"):
            SPACE.encode(other)
    for text in ("", "8:8:8:8", "8:8:8:8:9", "8:8:8:8:8:8"):
        with pytest.raises(SpaceError, match="is no string of nats_size"):
            SPACE.from_arch_string(text)
