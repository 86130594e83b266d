"""What every search space promises, and small instances of all of them."""

import collections
import dataclasses
import functools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnas.spaces import (
    AdaptationSpace,
    CellSpace,
    ChainSpace,
    EnasMacroSpace,
    Genotype,
    MnasNetSpace,
    Nas2017Space,
    NASBench201Paths,
    NASBench201Space,
    NasBenchMacroSpace,
    NATSSizeSpace,
    Space,
    SpaceError,
    enas_micro_space,
    nasnet_space,
    pnas_space,
    zoo,
)
from jaxnas.spaces.genotype import NULL, SKIP

from .graphs import FAST

NASNET = nasnet_space(1, combine=False, channels=4, cell_count=3)
CHAIN = zoo.inverted_chain("small", "k3e1c4s1 k3e2c4s1", stem=4, head=4)
PNAS = pnas_space(2, channels=4, cell_count=3)

SPACES: dict[str, Space] = {
    "nasnet": dataclasses.replace(NASNET, operations=("conv_1x1", SKIP)),
    "nasnet, one cell of two blocks, combine": dataclasses.replace(
        PNAS, operations=("max_pool_3x3", SKIP), combine=True, output="unused"
    ),
    "pnas, three blocks": dataclasses.replace(PNAS, operations=("sep_conv_3x3",), blocks=3),
    "enas micro": dataclasses.replace(
        enas_micro_space(1, channels=4, cell_count=3), operations=("sep_conv_3x3", SKIP)
    ),
    "adapted": AdaptationSpace(zoo.resnet(8), "cell"),
    "adapted, a table for each of two blocks": AdaptationSpace(
        dataclasses.replace(CHAIN, blocks=CHAIN.blocks[:2]), "full"
    ),
    "darts": CellSpace(("null", "sep_conv_3x3", SKIP, "conv_1x1"), channels=4, layers=3, nodes=1),
    "darts, two nodes": CellSpace(("skip_connect",), channels=4, layers=3, nodes=2),
    "chain": ChainSpace(4, 4, ((6, 2, 2), (6, 2, 1), (6, 2, 2)), 8, (3, 5), (3,), small=True),
    "nas-bench-macro": NasBenchMacroSpace((2, 3), stem=4, head=4),
    "mnasnet": MnasNetSpace(stages=((8, 2, 2),), stem=4, head=4),
    "enas macro": EnasMacroSpace(layers=3, channels=4),
    "nas2017": Nas2017Space(layers=3, sides=(1, 3), filters=(4,)),
    "nas2017, strides": Nas2017Space(layers=2, sides=(3,), filters=(4, 8), strides=(1, 2, 3)),
    "nasbench201": NASBench201Space(channels=4, cells=1),
    "nats size": NATSSizeSpace((8, 16, 24)),
    "nasbench201, paths": NASBench201Paths(NASBench201Space(channels=4, cells=1)),
}
"""Each of at most some ten thousand candidates."""


@functools.cache
def all_of(space: Space, level: int) -> np.ndarray:
    """All candidates of so many decisions."""
    return np.indices(tuple(space.options[:level])).reshape(level, -1).T.astype(np.int32)


@functools.cache
def canonical_of(space: Space) -> np.ndarray:
    return space.canonical(all_of(space, len(space.decisions)))


def candidates(space: Space) -> st.SearchStrategy[np.ndarray]:
    numbers = st.tuples(*(st.integers(0, int(count) - 1) for count in space.options))
    return numbers.map(lambda each: np.array(each, np.int32))


def carried(genotype: Genotype) -> list[collections.Counter]:
    """Of each block the operations on paths from an input to the output, with their place."""
    blocks = []
    for block, cell in zip(genotype.blocks, genotype.placed_cells(), strict=True):
        reached = cell.reached(tuple(range(cell.inputs)))
        useful = cell.useful()
        blocks.append(
            collections.Counter(
                (edge.op, edge.source < cell.inputs and edge.source, block.channels, block.stride)
                for edge in cell.edges
                if edge.op != NULL and edge.source in reached and edge.target in useful
            )
        )
    return blocks


def decisions_have_names_and_their_product_is_the_size(space: Space):
    names = [each.name for each in space.decisions]
    assert len(set(names)) == len(names)
    assert space.name == space.name.lower()
    assert " " not in space.name
    everything = list(space.enumerate())
    assert len(everything) == space.size <= 20_000
    np.testing.assert_array_equal(everything, all_of(space, len(names)))
    assert space.levels[-1] == len(names)
    assert list(space.levels) == sorted(set(space.levels))


def decisions_of_a_kind_share_their_options(space: Space):
    by_kind = collections.defaultdict(list)
    for each in space.decisions:
        by_kind[each.kind].append(each.options)
    for options in by_kind.values():
        longest = max(options, key=len)
        assert all(each == longest[: len(each)] for each in options)


def canonical_forms_are_unchanged_and_as_many_as_unique_size(space: Space):
    canonical = canonical_of(space)
    assert canonical.dtype == np.int32
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    assert len(np.unique(canonical, axis=0)) == space.unique_size


def canonical_takes_batches_of_any_shape(space: Space):
    everything = all_of(space, len(space.decisions))
    rows = np.random.default_rng(0).integers(len(everything), size=(5, 3))
    batch = space.canonical(everything[rows])
    np.testing.assert_array_equal(batch, canonical_of(space)[rows])
    np.testing.assert_array_equal(space.canonical(everything[rows[0, 0]]), batch[0, 0])
    none = np.zeros((0, len(space.decisions)), np.int32)
    assert space.canonical(none).shape == none.shape


@FAST
@given(data=st.data())
def a_candidate_becomes_a_network_and_comes_back(space: Space, data: st.DataObject):
    candidate = data.draw(candidates(space))
    network = space.decode(candidate)
    back = space.encode(dataclasses.replace(network, name="another"))
    assert back.dtype == np.int32
    again = space.decode(back)
    assert dataclasses.replace(again, name=network.name) == network
    np.testing.assert_array_equal(space.canonical(back), space.canonical(candidate))


@FAST
@given(data=st.data())
def the_canonical_form_is_the_same_network(space: Space, data: st.DataObject):
    candidate = data.draw(candidates(space))
    assert carried(space.decode(candidate)) == carried(space.decode(space.canonical(candidate)))


def growing_reaches_every_canonical_candidate_once(space: Space):
    parents = [()]
    for level in space.levels:
        grown = []
        for parent in parents:
            children = space.grow(parent)
            assert children.dtype == np.int32
            np.testing.assert_array_equal(children, np.unique(children, axis=0))
            grown.append(children)
        everything = np.unique(space.canonical(all_of(space, level)), axis=0)
        np.testing.assert_array_equal(np.unique(np.concatenate(grown), axis=0), everything)
        parents = everything
    with pytest.raises(SpaceError, match="is complete: it cannot grow"):
        space.grow(parents[0])


def refuses_what_is_not_in_it(space: Space):
    size = len(space.decisions)
    first = space.decisions[0]
    with pytest.raises(SpaceError, match=f"must be {size} whole numbers; got shape .{size + 1},"):
        space.decode(np.zeros(size + 1, np.int32))
    with pytest.raises(SpaceError, match=r"whole numbers; .* of float64"):
        space.decode(np.zeros(size))
    with pytest.raises(SpaceError, match=f"{re.escape(first.name)} has options 0 to .*, not -1"):
        space.decode(np.array([-1] + [0] * (size - 1)))
    for level in space.levels[:-1]:
        with pytest.raises(SpaceError, match=f"partial: it has decided {level} of {size}"):
            space.decode(np.zeros(level, np.int32))


def refuses_other_networks(space: Space):
    network = space.decode(np.zeros(len(space.decisions), np.int32))
    wider = {"stem": network.stem + 1} if network.stem else {"head": 1}
    for changes in (wider, {"epsilon": 0.5}):
        with pytest.raises(SpaceError):
            space.encode(dataclasses.replace(network, **changes))


def codes_are_places_and_of_options_only(space: Space):
    size = len(space.decisions)
    everything = all_of(space, size)
    np.testing.assert_array_equal(space.codes(everything), np.arange(len(everything)))
    assert space.codes(everything[-1].tolist()) == len(everything) - 1
    wrong = np.stack([everything[0], everything[-1]])
    wrong[1, -1] = space.options[-1]
    last = re.escape(space.decisions[-1].name)
    with pytest.raises(SpaceError, match=rf"{last} has options 0 to .*, not {space.options[-1]}$"):
        space.codes(wrong)
    for other in (everything[:, 1:], everything.astype(float), np.int32(0)):
        with pytest.raises(
            SpaceError, match=rf"must be whole numbers \[\.\.\., {size}\]; got shape"
        ):
            space.codes(other)


PROMISES = {
    promise.__name__: promise
    for promise in (
        decisions_have_names_and_their_product_is_the_size,
        decisions_of_a_kind_share_their_options,
        canonical_forms_are_unchanged_and_as_many_as_unique_size,
        canonical_takes_batches_of_any_shape,
        a_candidate_becomes_a_network_and_comes_back,
        the_canonical_form_is_the_same_network,
        growing_reaches_every_canonical_candidate_once,
        refuses_what_is_not_in_it,
        refuses_other_networks,
        codes_are_places_and_of_options_only,
    )
}
