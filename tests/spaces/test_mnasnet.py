"""MnasNet's blocks against the paper's numbers and its networks."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import MnasNetSpace, SpaceError, zoo
from jaxnas.spaces.mnasnet import CONVOLUTIONS, SKIPS
from jaxnas.spaces.zoo.inverted import inverted_cell

SMALL = MnasNetSpace(stages=((8, 2, 2), (12, 1, 1)), stem=4, head=4, small=True)


def test_a_block_has_the_papers_432_forms():
    space = MnasNetSpace()
    forms = space.options.reshape(7, 6).prod(1)
    # Blocks of one layer cannot have one less.
    assert forms.tolist() == [288, 432, 432, 432, 432, 432, 288]
    assert space.size == 432**5 * 288**2
    # Without the identity around a single layer: of 9 numbers of layers and skips, 8; of 6, 5.
    assert space.unique_size == (432 * 8 // 9) * 432**4 * (288 * 5 // 6) ** 2


def test_layers_are_those_of_the_released_networks():
    # The third block of MnasNet-A1: three layers of 40 channels, 5x5, expansion 3, excited.
    space = MnasNetSpace()
    candidate = np.zeros((7, 6), np.int32)
    candidate[2] = [CONVOLUTIONS.index("mbconv3"), 1, 1, SKIPS.index("identity"), 2, 0]
    network = space.decode(candidate.ravel())
    found = [
        (block.channels, block.stride, cell.nodes, cell.edges)
        for block, cell in zip(network.blocks, network.placed_cells(), strict=True)
    ][3:6]
    first, later = (inverted_cell(5, 3, True, shortcut) for shortcut in (False, True))
    assert found == [
        (40, 2, first.nodes, first.edges),
        (40, 1, later.nodes, later.edges),
        (40, 1, later.nodes, later.edges),
    ]
    released = zoo.named("mnasnet_a1")
    third = [cell for block, cell in zip(released.blocks, released.placed_cells(), strict=True)
             if block.channels == 40]  # fmt: skip
    assert [cell.edges for cell in third] == [first.edges, later.edges, later.edges]


def test_an_identity_around_a_single_layer_is_nothing():
    # Places of a block's decisions: 3 is the skip, 5 the number of layers.
    candidate = np.array([3, 0, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0])
    canonical = np.array([3, 0, 0, 2, 0, 2, 0, 0, 0, 2, 0, 0])
    np.testing.assert_array_equal(SMALL.canonical(candidate), canonical)
    assert SMALL.decode(candidate) == SMALL.decode(canonical)
    candidate[5] = 0
    np.testing.assert_array_equal(SMALL.canonical(candidate)[:6], candidate[:6])


def test_every_form_computes():
    images = np.zeros((2, 8, 8, 3), np.float32)
    # A plain convolution with all that may be around, and an inverted-residual block with pooling.
    candidate = np.array([0, 1, 1, 0, 2, 0, 2, 0, 1, 0, 0, 0])
    network = nn.build(SMALL.decode(candidate), 10)
    tree = jax.eval_shape(lambda key: network.init(key, images, train=False), jax.random.key(0))
    logits = jax.eval_shape(lambda tree: network.apply(tree, images, train=False), tree)
    assert logits.shape == (2, 10)


def test_refuses_networks():
    network = SMALL.decode(np.zeros(12, np.int32))
    others = (
        zoo.named("mnasnet_a1"),
        dataclasses.replace(network, blocks=network.blocks[:-1]),
        dataclasses.replace(network, blocks=network.blocks + network.blocks[-1:] * 2),
        dataclasses.replace(SMALL, head=8).decode(np.zeros(12, np.int32)),
        dataclasses.replace(SMALL, stages=((8, 2, 2), (40, 1, 1))).decode(np.zeros(12, np.int32)),
    )
    for other in others:
        with pytest.raises(SpaceError, match="is no network of mnasnet with 2 blocks"):
            SMALL.encode(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": 0}, "stem and head must be positive"),
        ({"stages": ()}, "there must be stages"),
        ({"stages": ((6, 1, 2),)}, r"channels a multiple of 4.*not \(6, 1, 2\)"),
        ({"stages": ((8, 1, 2), (8, 1, 1))}, "a block of 8 channels and stride 1 may be as wide"),
        ({"stages": ((4, 1, 2),)}, "a block of 4 channels and stride 1 may be as wide"),
    ],
)
def test_refuses_fields(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changes)
