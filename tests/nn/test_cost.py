"""Costs: the papers' exact numbers, XLA's own count, and the price of every candidate."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn import abstract_variables, build, cost, edge_macs, supernet
from jaxnas.spaces import AdaptationSpace, zoo
from jaxnas.spaces.adaptation import ID, NONE, SAME
from jaxnas.spaces.genotype import NULL

from .networks import CLASSES, SHAPE, SMALL

IMAGE = (32, 32, 3)

# Parameters and multiply-adds, 10 classes, 32x32: from the official model code under PyTorch.
PAPERS = {
    "resnet20": (269_722, 40_551_040),
    "resnet20_b": (272_474, 40_813_184),
    "resnet56": (853_018, 125_485_696),
    "resnet56_b": (855_770, 125_747_840),
    "mobilenet_v2": (2_296_922, 91_154_944),
    "resnet20_cells": (326_458, 51_397_248),
    "nat_resnet20_cells": (337_082, 52_445_824),
    "resnet56_cells": (976_954, 145_769_088),
    "mobilenet_v2_cells": (1_160_614, 181_648_800),
    # A shortcut between equal shapes has no parameters, nor has option A's.
    "plain20": (269_722, 40_551_040),
    "plain20_cells": (326_458, 51_397_248),
}


@functools.cache
def cost_of(genotype, classes=10, shape=IMAGE):
    return cost(build(genotype, classes), shape)


def darts_sized(name):
    """The cells of a network of the zoo at DARTS's size: 36 channels, 20 cells."""
    return zoo.darts_network(name, *zoo.named(name).cells, channels=36, layers=20)


def test_every_network_of_the_zoo_is_counted_here():
    assert set(PAPERS) == set(zoo.ZOO)


@pytest.mark.parametrize("name", PAPERS)
def test_a_network_costs_what_the_papers_code_does(name):
    assert cost_of(zoo.named(name)) == (PAPERS[name][0], 0, PAPERS[name][1])


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("mobilenet_v2", IMAGE, (2_540_312, 0, 91_398_144)),
        ("resnet20", (64, 64, 3), (282_072, 0, 162_214_400)),
    ],
)
def test_a_network_of_200_classes_costs_what_the_papers_code_does(name, shape, expected):
    assert cost_of(zoo.named(name), 200, shape) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet20_cells", (3_797_974, 0, 548_427_168)),
        ("nat_resnet20_cells", (3_850_678, 0, 553_735_584)),
    ],
)
def test_nats_cells_at_dartss_size_cost_what_nats_code_does(name, expected):
    assert cost_of(darts_sized(name)) == expected


def test_nats_cell_is_an_adaptation_of_the_residual_one():
    base = zoo.named("resnet20_cells")
    space = AdaptationSpace(base, "cell")
    choices = space.base_choices()
    for index, edge in enumerate(base.cell("normal").edges):
        if (edge.source, edge.target) in {(0, 3), (0, 4)}:
            choices[:, index] = ID
    adapted = space.decode(choices)
    assert adapted.placed_cells() == zoo.named("nat_resnet20_cells").placed_cells()
    assert cost_of(adapted)[::2] == PAPERS["nat_resnet20_cells"]


# Other counts of the same thing.


def multiply_adds(jaxpr):
    """Multiply-adds of a program's convolutions and products, borders counted in full."""
    total = 0
    for equation in jaxpr.eqns:
        operands = [each.aval.shape for each in equation.invars]
        if equation.primitive.name == "conv_general_dilated":
            _, inputs, *window = equation.params["dimension_numbers"].rhs_spec
            kernel = [operands[1][axis] for axis in (inputs, *window)]
            total += int(np.prod(kernel)) * equation.outvars[0].aval.size
        elif equation.primitive.name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            contracted = [operands[0][axis] for axis in axes]
            total += int(np.prod(contracted)) * equation.outvars[0].aval.size
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += multiply_adds(inner)
    return total


def program(module, shape, *args):
    """(function, arguments' shapes): the network on one image in evaluation."""
    variables = abstract_variables(module, shape, *args)
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return lambda v, x: module.apply(v, x, *args, train=False), (variables, image)


@pytest.mark.parametrize("name", SMALL)
def test_the_multiply_adds_are_those_of_the_traced_program(name):
    network = build(SMALL[name], CLASSES)
    function, arguments = program(network, SHAPE)
    traced = jax.make_jaxpr(function)(*arguments)
    assert cost(network, SHAPE).macs == multiply_adds(traced.jaxpr)


@pytest.mark.parametrize("name", ["resnet20", "resnet20_b", "mobilenet_v2", "nat_resnet20_cells"])
def test_the_multiply_adds_are_half_of_what_xla_counts(name):
    """XLA leaves out the products with padding, which are few at 256x256, and counts batch norms,
    activations and sums too, a few percent; these networks have no convolution without a use,
    which it would leave out. Convolutions of 1x1 are matrix products to it."""
    shape = (256, 256, 3)
    network = build(zoo.named(name), 10)
    function, arguments = program(network, shape)
    flops = jax.jit(function).lower(*arguments).cost_analysis()["flops"]
    assert flops / 2 == pytest.approx(cost_of(zoo.named(name), 10, shape).macs, rel=0.08)


@pytest.mark.parametrize("name", SMALL)
def test_parameters_are_the_sizes_of_the_leaves(name):
    network = build(SMALL[name], CLASSES)
    variables = network.init(jax.random.key(0), jnp.zeros((1, *SHAPE)), train=False)
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    assert cost(network, SHAPE).params == sum(sizes)


@pytest.mark.parametrize("name", SMALL)
def test_the_parameters_do_not_depend_on_the_images_size(name):
    costs = [cost_of(SMALL[name], CLASSES, (side, side, 3)) for side in (8, 16, 64)]
    assert len({each.params for each in costs}) == 1
    assert len({each.macs for each in costs}) == 3


# The price of every candidate.


def fixed_macs(genotype, classes, shape):
    """Multiply-adds that no choice changes, by the arithmetic of shapes."""
    side, channels = shape[0], shape[2]
    total = side**2 * 9 * channels * genotype.stem
    states = [(side, genotype.stem)] * 2
    for block, cell in zip(genotype.blocks, genotype.placed_cells(), strict=True):
        if genotype.family == "darts":
            now = states[-1][0]
            total += sum(now**2 * wide * block.channels for _, wide in states)
        out = -(-states[-1][0] // block.stride)
        states = [states[1], (out, block.channels * len(cell.output))]
    side, channels = states[-1]
    if genotype.head:
        total += side**2 * channels * genotype.head
        channels = genotype.head
    return total + channels * classes


@pytest.mark.parametrize(
    "name", [*SMALL, "real resnet20", "real mobilenet_v2", "real resnet20_cells"]
)
def test_the_price_of_a_network_is_that_of_its_choices(name):
    real = name.startswith("real ")
    genotype = zoo.named(name.removeprefix("real ")) if real else SMALL[name]
    shape, classes = (IMAGE, 10) if real else (SHAPE, CLASSES)
    space = AdaptationSpace(genotype, "full")
    prices = edge_macs(space, shape)
    assert prices.shape == space.shape
    assert not prices[..., NONE].any()
    assert not prices[~space.carries].any()
    fixed = fixed_macs(genotype, classes, shape)
    assert fixed + prices[..., SAME].sum() == cost_of(genotype, classes, shape).macs
    if real:
        return
    rng = np.random.default_rng(0)
    for _ in range(3):
        choices = rng.integers(0, 3, space.shape[:2])
        decoded = space.decode(choices)
        if decoded.connected():
            chosen = np.take_along_axis(prices, choices[..., None], -1).sum()
            assert cost_of(decoded, classes, shape).macs == fixed + chosen


@pytest.mark.parametrize("name", SMALL)
def test_both_granularities_have_the_same_prices(name):
    cell, full = (edge_macs(AdaptationSpace(SMALL[name], each), SHAPE) for each in ("cell", "full"))
    np.testing.assert_array_equal(cell, full)


def test_an_identity_between_equal_shapes_is_free_and_a_null_edges_same_too():
    space = AdaptationSpace(SMALL["residual_cells"], "full")
    prices = edge_macs(space, SHAPE)
    for index, (block, cell) in enumerate(
        zip(space.base.blocks, space.base.placed_cells(), strict=True)
    ):
        for position, edge in enumerate(cell.edges):
            crosses = block.stride == 2 and edge.source < 2
            assert (prices[index, position, ID] > 0) == crosses
            if edge.op == NULL:
                assert prices[index, position, SAME] == 0


def test_a_block_and_all_its_candidates_are_in_the_supernet():
    """The supernet has the base's layers and those of the identities, none twice."""
    for genotype in SMALL.values():
        space = AdaptationSpace(genotype, "full")
        gates = jnp.zeros((len(genotype.blocks), space.shape[1], 3))
        function, arguments = program(supernet(space, CLASSES), SHAPE, gates)
        prices = edge_macs(space, SHAPE)
        shared = np.array(
            [
                [edge.op == "skip_connect" for edge in cell.edges]
                + [False] * (space.shape[1] - len(cell.edges))
                for cell in genotype.placed_cells()
            ]
        )
        expected = fixed_macs(genotype, CLASSES, SHAPE) + prices.sum() - prices[shared, ID].sum()
        assert multiply_adds(jax.make_jaxpr(function)(*arguments).jaxpr) == expected
