"""ENAS's macro space against its published size and network."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import EnasMacroSpace, SpaceError, zoo
from jaxnas.spaces.enas_macro import MACRO_OPERATIONS


def test_published_size():
    assert EnasMacroSpace().size == 6**12 * 2**66
    assert f"{EnasMacroSpace().size:.1e}" == "1.6e+29"


@pytest.mark.parametrize("layers", [2, 12, 24])
def test_reads_the_published_network(layers: int):
    space = EnasMacroSpace(layers=layers, channels=96)
    network = zoo.enas_macro(cell_count=layers)
    candidate = space.encode(network)
    assert dataclasses.replace(space.decode(candidate), name="enas_macro") == network
    operations = candidate[np.array([0, *space.levels[:-1]])]
    assert {MACRO_OPERATIONS[each] for each in operations} <= {"conv_3x3", "conv_5x5"}


def test_the_authors_numbers_are_its_decisions():
    space = EnasMacroSpace(layers=3, channels=4)
    assert [each.name for each in space.decisions] == [
        "layer 1, operation",
        "layer 2, operation",
        "layer 2, skip from the stem",
        "layer 3, operation",
        "layer 3, skip from the stem",
        "layer 3, skip from layer 1",
    ]
    network = space.decode(np.array([4, 1, 1, 5, 0, 1]))
    # A reduction of the stem and layer 1 follows layer 1, of those and layer 2 layer 2.
    assert [block.sources for block in network.blocks] == [
        (-1,), (-1,), (0,), (2, 1), (1,), (2,), (3,), (6, 5),
    ]  # fmt: skip
    assert [network.cell(network.blocks[i].cell).edges[1].op for i in (0, 3, 7)] == [
        "avg_pool_3x3",
        "sep_conv_3x3",
        "max_pool_3x3",
    ]


def test_every_operation_computes():
    space = EnasMacroSpace(layers=6, channels=4)
    rng = np.random.default_rng(0)
    candidate = rng.integers(0, space.options)
    candidate[np.array([0, *space.levels[:-1]])] = range(6)
    network = nn.build(space.decode(candidate), 10)
    images = np.zeros((2, 16, 16, 3), np.float32)
    shapes = jax.eval_shape(lambda key: network.init(key, images, train=False), jax.random.key(0))
    logits = jax.eval_shape(lambda tree: network.apply(tree, images, train=False), shapes)
    assert logits.shape == (2, 10)


def test_refuses_networks():
    space = EnasMacroSpace(layers=3, channels=4)
    for other in (zoo.resnet(20), zoo.enas_macro(4, 4), zoo.enas_macro(5, 3), zoo.resnet(8)):
        with pytest.raises(SpaceError, match="is no network of 3 layers and 4 channels of enas_m"):
            space.encode(other)
    with pytest.raises(ValueError, match="layers and channels must be positive, not 0 and 36"):
        EnasMacroSpace(layers=0)
