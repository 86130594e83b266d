"""The chain space against the published networks and by its own laws."""

import dataclasses

import numpy as np
import pytest

from jaxnas.spaces import ChainSpace, Genotype, SpaceError, proxylessnas_space, zoo
from jaxnas.spaces.chain import ZERO

TINY = ChainSpace(stem=4, first=4, stages=((6, 2, 2), (6, 1, 1)), head=8, kernels=(3, 5))


def choices_of(space: ChainSpace, network: Genotype) -> np.ndarray:
    """The choices that give `network`, found block by block; its stages may be shorter."""
    placed = [
        (cell.name.split("_")[1], block)
        for cell, block in zip(network.placed_cells(), network.blocks, strict=True)
    ][1:]
    choices = []
    for names, (channels, _, shortcut) in zip(space.candidates, space.layout, strict=True):
        if placed and placed[0][1].channels == channels:
            choices.append(names.index(placed.pop(0)[0]))
        else:
            assert shortcut, "only a block with a shortcut may be left out"
            choices.append(names.index(ZERO))
    assert not placed
    return np.array(choices)


def test_the_published_space_has_21_mixed_edges():
    space = proxylessnas_space()
    counts = [len(names) for names in space.candidates]
    assert len(counts) == 21
    assert (counts.count(7), counts.count(6)) == (15, 6)
    assert space.shape == (21, 7)
    assert space.possible.sum(1).tolist() == counts
    assert space.nothing.sum(1).tolist() == [count - 6 for count in counts]
    assert not (space.nothing & ~space.possible).any()


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(("target", "width"), [("mobile", 1.0), ("gpu", 1.35), ("cpu", 1.12)])
def test_it_contains_the_published_networks(target: str, width: float, small: bool):
    space = proxylessnas_space(width, small)
    if target == "mobile":
        (_, *first), *rest = space.stages
        space = dataclasses.replace(space, stages=((32, *first), *rest))
    network = zoo.named(f"proxyless_{target}" + ("_cifar" if small else ""))
    choices = choices_of(space, network)
    decoded = space.decode(choices)
    assert decoded == dataclasses.replace(network, name=decoded.name)
    np.testing.assert_array_equal(space.canonical(space.encode(network)), space.canonical(choices))


def test_a_block_has_zero_where_its_shortcut_is_the_identity():
    # The last stage keeps the channels at stride 1, so its first block has a shortcut too.
    assert [shortcut for *_, shortcut in TINY.layout] == [False, True, True]
    assert [names[-1] == ZERO for names in TINY.candidates] == [False, True, True]
    everything_left_out = TINY.decode(np.array([0, 4, 4]))
    assert [block.channels for block in everything_left_out.blocks] == [4, 6]
    full = TINY.decode(np.array([0, 1, 2]))
    assert full.name == "chain"
    assert [cell.name for cell in full.cells] == [
        "0_k3e1_shortcut", "1_k3e3", "2_k3e6_shortcut", "3_k5e3_shortcut",
    ]  # fmt: skip
    assert full.connected()
    assert everything_left_out.connected()


def test_blocks_left_out_are_the_last_of_their_run():
    # The run of three optional blocks reaches over the end of a stage.
    space = ChainSpace(4, 4, ((6, 3, 2), (6, 1, 1), (8, 2, 2)), 8, kernels=(3, 5), expansions=(3,))
    assert [names.count(ZERO) for names in space.candidates] == [0, 1, 1, 1, 0, 1]
    np.testing.assert_array_equal(
        space.canonical(np.array([[0, 2, 1, 0, 1, 2], [1, 1, 2, 2, 0, 0]])),
        [[0, 1, 0, 2, 1, 2], [1, 1, 2, 2, 0, 0]],
    )
    np.testing.assert_array_equal(space.canonical(np.array([0, 2, 1])), [0, 1, 2])
    assert space.unique_size == 2 * (1 + 2 + 4 + 8) * 2 * (1 + 2)
    one, other = (
        space.decode(np.array([0, 2, 1, 0, 1, 2])),
        space.decode(np.array([0, 1, 0, 2, 1, 2])),
    )
    assert one == other


def test_size_of_the_published_space():
    space = proxylessnas_space()
    assert space.size == 6**6 * 7**15
    assert space.unique_size == 6**6 * (1 + 6 + 36 + 216) ** 5


def test_encode_refuses_other_chains():
    network = TINY.decode(np.array([0, 1, 2]))
    assert TINY.encode(network).tolist() == [0, 1, 2]
    others = (
        dataclasses.replace(TINY, stages=((6, 2, 2), (8, 1, 1))),
        dataclasses.replace(TINY, stages=((6, 1, 2), (6, 1, 1))),
        dataclasses.replace(TINY, kernels=(5, 7)),
        dataclasses.replace(TINY, head=16),
    )
    for space in others:
        with pytest.raises(SpaceError, match="chain is no chain of this layout, kernels and exp"):
            space.encode(network)
    with pytest.raises(SpaceError, match="resnet20 is no chain"):
        TINY.encode(zoo.resnet(20))


def test_small_images_keep_the_first_stride():
    strides = [block.stride for block in TINY.decode(np.array([0, 1, 2])).blocks]
    small = dataclasses.replace(TINY, small=True).decode(np.array([0, 1, 2]))
    assert strides == [1, 2, 1, 1]
    assert [block.stride for block in small.blocks] == [1, 1, 1, 1]
    assert small.stem_form == "small"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([0, 0, 0, 0], r"3 whole numbers.*shape \(4,\)"),
        ([0, 0], "partial: it has decided 2 of 3"),
        ([0.0, 0.0, 0.0], "whole numbers.*float64"),
        ([4, 0, 0], r"block 1 has options 0 to 3 \(k3e3, .*, not 4"),
        ([0, -1, 0], "block 2 has options 0 to 4 .*, not -1"),
    ],
)
def test_refuses_choices(choices: list[float], message: str):
    with pytest.raises(ValueError, match=message):
        TINY.decode(np.array(choices))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("stem", 0, "stem must be positive, not 0"),
        ("stages", (), "at least one stage"),
        ("stages", ((8, 2, 3),), r"stride 1 or 2, not \(8, 2, 3\)"),
        ("kernels", (3, 4), r"kernels must be different numbers of 3 to 7, odd, not \(3, 4\)"),
        ("expansions", (3, 3), "expansions must be different numbers of 1 to 9"),
        ("expansions", (12,), "expansions must be different numbers of 1 to 9"),
    ],
)
def test_refuses_fields(field: str, value: object, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **{field: value})


def test_refuses_a_space_without_choice_and_a_width_of_nothing():
    with pytest.raises(ValueError, match="two forms at least"):
        dataclasses.replace(TINY, kernels=(3,), expansions=(6,))
    with pytest.raises(ValueError, match="width must be positive, not 0"):
        proxylessnas_space(0)
