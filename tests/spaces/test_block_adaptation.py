"""Granularity ``block``: blocks stay or go."""

import itertools

import jax
import numpy as np
import pytest

from jaxnas.nn import abstract_variables, build, candidate_costs, cost, cut, supernet
from jaxnas.spaces import AdaptationSpace, zoo
from jaxnas.spaces.adaptation import ID, NONE, SAME
from jaxnas.spaces.adaptation.budget import derive_within
from jaxnas.spaces.genotype import NULL, SKIP
from support.networks import (
    CLASSES,
    SHAPE,
    SMALL,
    assert_close,
    images,
    random_variables,
    zero_gates,
)

B0 = zoo.inverted_chain(
    "excited",
    "k3e1c8s1q k5e6c8s1q k5e6c16s2q k3e6c16s1q k3e6c24s1",
    stem=16,
    head=32,
    activation="silu",
)
BOTTLENECKS = zoo.residual.staged_resnet("bottlenecks", (2, 2), width=8, bottleneck=True)


def options(space):
    """The options of the decisions of each block, by the operation on the edge."""
    found = [[] for _ in space.base.blocks]
    for (table, edge), decision in zip(
        np.argwhere(space.possible.sum(-1) > 1).tolist(), space.decisions, strict=True
    ):
        found[table].append((space.cells[table].edges[edge].op, decision.options))
    return found


def test_a_block_with_a_shortcut_goes_as_a_whole_and_all_else_stays():
    whole = ("conv_1x1", ("none", "same"))
    assert options(AdaptationSpace(B0, "block")) == [
        [],  # no shortcut
        [whole],
        [],  # a stride, and no shortcut
        [whole],
        [],
    ]
    assert options(AdaptationSpace(BOTTLENECKS, "block")) == [[whole]] * 4
    two = AdaptationSpace(zoo.named("resnet18_imagenet"), "block")
    assert options(two) == [[("conv_3x3", ("none", "same"))]] * 8


@pytest.mark.parametrize("base", [B0, BOTTLENECKS])
def test_every_network_of_the_space_needs_no_new_weights_and_its_cost_is_its_own(base):
    space = AdaptationSpace(base, "block")
    shape, classes = (16, 16, 3), 3
    costs = candidate_costs(space, shape, classes, "macs")
    table = space.table_costs(costs.candidates)
    whole = {
        (index, edge.op, position)
        for index, cell in enumerate(base.placed_cells())
        for position, edge in enumerate(cell.edges)
    }
    rng = np.random.default_rng(0)
    networks = set()
    for _ in range(6):
        candidate = rng.integers(0, space.options)
        genotype = space.decode(candidate)
        for index, cell in enumerate(genotype.placed_cells()):
            before = base.placed_cells()[index]
            reached, useful = cell.reached((0,)), cell.useful()
            for position, edge in enumerate(cell.edges):
                kept = (index, edge.op, position) in whole
                assert kept or edge.op in (NULL, SKIP)
                if edge.op == NULL and before.edges[position].op != NULL:
                    continue
                assert edge.source in reached
                assert edge.target in useful
        networks.add(genotype)
        choices = space.table(candidate)
        priced = costs.fixed + np.take_along_axis(table, choices[..., None], -1).sum()
        assert priced == cost(build(genotype, classes), shape).macs
        # Back again, to the first candidate of that network.
        again = space.encode(genotype)
        np.testing.assert_array_equal(again, space.canonical(candidate))
        np.testing.assert_array_equal(space.canonical(again), again)
        assert space.decode(again) == genotype
    assert len(networks) > 1


def test_the_space_is_as_large_as_its_networks_are_many():
    space = AdaptationSpace(BOTTLENECKS, "block")
    every = np.array(list(itertools.product(*(range(n) for n in space.options))))
    assert space.size == space.unique_size == len(every) == 2**4
    assert len({space.decode(candidate) for candidate in every}) == len(every)
    np.testing.assert_array_equal(space.canonical(every), every)
    assert space.levels[-1] == len(space.decisions)


def test_the_arg_max_and_a_limit_never_choose_what_is_ruled_out():
    space = AdaptationSpace(B0, "block")
    theta = np.zeros(space.shape)
    theta[..., NONE] = 5.0
    theta[..., ID] = 6.0
    found = space.derive(theta).choices
    assert space.base.placed_cells()[1].edges[4].op == "conv_1x1"
    assert found[2, : len(space.cells[2].edges)].tolist() == [SAME] * 4
    assert found[1, :5].tolist() == [NONE, NONE, NONE, SAME, NONE]
    assert found[0, :3].tolist() == [SAME] * 3
    costs = space.table_costs(candidate_costs(space, (16, 16, 3), 3, "macs").candidates).astype(
        np.int64
    )
    same = space.base_choices()
    most = int(np.take_along_axis(costs, same[..., None], -1).sum())
    prefers = np.zeros(space.shape)
    prefers[..., SAME] = 1.0
    prefers[3, :, NONE] = 0.9  # the block that may go for least
    limited = derive_within(space, prefers, costs, most - 1)
    assert limited.limited
    assert limited.choices[3, :5].tolist() == [NONE, NONE, NONE, SAME, NONE]
    np.testing.assert_array_equal(limited.choices[[0, 1, 2, 4]], same[[0, 1, 2, 4]])
    for seed in range(5):
        drawn = space.random(np.random.default_rng(seed)).choices
        assert space.encode(space.genotype(drawn)) is not None


def test_the_supernet_has_no_weights_for_identities_that_cannot_be():
    space, shape = AdaptationSpace(B0, "block"), (16, 16, 3)
    gates = np.zeros((len(B0.blocks), *space.shape[1:]), np.float32)
    found = abstract_variables(supernet(space, 3), shape, gates)
    base = abstract_variables(build(B0, 3), shape)
    assert found["params"].keys() == base["params"].keys()
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, base)


@pytest.mark.slow
def test_a_network_with_the_supernets_weights_computes_what_the_supernet_does():
    space = AdaptationSpace(SMALL["excited_chain"], "block")
    whole = supernet(space, CLASSES)
    variables = random_variables(whole, zero_gates(space))
    run = jax.jit(lambda gates: whole.apply(variables, images(), gates, train=False))

    def alone(network, variables):
        return jax.jit(lambda v: network.apply(v, images(), train=False))(variables)

    same = space.one_hot_gates(space.base_choices())
    assert_close(run(same), alone(build(space.base, CLASSES), variables))
    gone = space.base_choices()
    last = np.argwhere(space.possible[..., NONE])[-1].tolist()
    theta = np.eye(3)[gone]
    theta[tuple(last)] = [2, 0, 0]
    derived = space.derive(theta)
    network = build(derived.genotype, CLASSES)
    found = alone(network, cut(variables, network, SHAPE))
    assert_close(run(space.one_hot_gates(derived.choices)), found)
    assert not np.allclose(found, run(same))


def test_networks_without_such_a_choice_are_refused():
    with pytest.raises(ValueError, match="whose blocks have one input, such as ResNet"):
        AdaptationSpace(zoo.named("darts_v2", channels=4, cells=3), "block")
    chain = zoo.inverted_chain("chain", "k3e6c8s2 k3e6c16s2", stem=4, head=8)
    with pytest.raises(ValueError, match="leaves no choice"):
        AdaptationSpace(chain, "block")


@pytest.mark.parametrize("name", ["tangle", "excited_chain", "resnets"])
def test_networks_of_any_graph_with_one_input_are_connected(name):
    space = AdaptationSpace(SMALL[name], "block")
    for seed in range(3):
        genotype = space.random(np.random.default_rng(seed)).genotype
        assert genotype.connected()
