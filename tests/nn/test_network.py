"""Networks and supernets against NumPy, and against each other."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn import abstract_variables, build, cut, cut_like, supernet
from jaxnas.nn.network import BlockModule
from jaxnas.search import one_hot_gates
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node, zoo
from jaxnas.spaces.adaptation import SAME
from jaxnas.spaces.genotype import NULL, SKIP

from .networks import (
    CLASSES,
    SHAPE,
    SMALL,
    assert_close,
    by_path,
    images,
    random_variables,
    whole,
    zero_gates,
)
from .reference import Reference

GRANULARITIES = ("cell", "full")


def run(module, variables, train, *args):
    """Logits, and the batch statistics that follow: in evaluation those that were."""
    if not train:
        return module.apply(variables, *args, train=False), variables["batch_stats"]
    logits, changed = module.apply(variables, *args, train=True, mutable=["batch_stats"])
    return logits, changed["batch_stats"]


@functools.cache
def gated(name, train):
    """The supernet as a compiled function of gates, on the same images."""
    module, variables = whole(name)
    return jax.jit(lambda gates: run(module, variables, train, images(), gates))


def assert_is_what_numpy_says(found, genotype, variables, train, gates=None):
    logits, stats = found
    reference = Reference(variables, train)
    expected = reference.network(genotype, images(), gates)
    assert logits.shape == (2, CLASSES)
    assert_close(logits, expected, tolerance=1e-4)
    if train:
        assert_close(by_path(stats), reference.batch_stats, tolerance=1e-4)


def connected_choices(space, rng):
    """Random choices, padding included, that leave every block connected."""
    while True:
        choices = rng.integers(0, 3, space.shape[:2])
        if space.connected(choices).all():
            return choices


def test_the_small_networks_have_every_cell_of_the_zoo():
    def graphs(genotypes):
        return {
            dataclasses.replace(cell, name=genotype.family)
            for genotype in genotypes
            for cell in genotype.placed_cells()
        }

    assert graphs(map(zoo.named, zoo.ZOO)) <= graphs(SMALL.values())


# Against NumPy.


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_a_network_computes_what_numpy_says(name, train):
    network = build(SMALL[name], CLASSES)
    variables = cut(whole(name)[1], network, SHAPE)
    found = run(network, variables, train, images())
    assert_is_what_numpy_says(found, SMALL[name], variables, train)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_a_supernet_weights_every_candidate_by_its_gate(name, train):
    space = AdaptationSpace(SMALL[name], "full")
    gates = np.random.default_rng(1).uniform(-1, 1, zero_gates(space).shape)
    found = gated(name, train)(jnp.asarray(gates, jnp.float32))
    assert_is_what_numpy_says(found, SMALL[name], whole(name)[1], train, gates)


# Derived networks against the supernet.


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("name", SMALL)
def test_a_network_built_alone_computes_what_the_supernet_does_with_its_gates(
    name, granularity, train
):
    space = AdaptationSpace(SMALL[name], granularity)
    rng = np.random.default_rng([len(name), len(granularity), train])
    if train == (granularity == "full"):
        choices = space.derive(rng.normal(size=space.shape)).choices
    else:
        choices = connected_choices(space, rng)
    alone = build(space.decode(choices), CLASSES)
    own = cut(whole(name)[1], alone, SHAPE)
    logits, stats = gated(name, train)(one_hot_gates(space, choices))
    expected = logits, cut_like(stats, own["batch_stats"])
    assert_close(run(alone, own, train, images()), expected)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_a_supernet_whose_gates_all_say_same_is_the_base(name, train):
    space = AdaptationSpace(SMALL[name], "full")
    base = build(space.base, CLASSES)
    own = cut(whole(name)[1], base, SHAPE)
    logits, stats = gated(name, train)(zero_gates(space).at[..., SAME].set(1))
    found = logits, cut_like(stats, own["batch_stats"])
    assert_close(found, run(base, own, train, images()))


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet20_cells", "tangle"])
def test_a_cut_network_has_the_supernets_gradients(name):
    space = AdaptationSpace(SMALL[name], "full")
    choices = connected_choices(space, np.random.default_rng(5))
    module, variables = whole(name)
    alone, x = build(space.decode(choices), CLASSES), images()
    own = cut(variables, alone, SHAPE)
    direction = images(9, 2, (CLASSES,))

    def loss(module, params, stats, x, *gates):
        logits, _ = module.apply(
            {"params": params, "batch_stats": stats}, x, *gates, train=True, mutable=["batch_stats"]
        )
        return (logits * direction).sum()

    gradient = jax.grad(loss, (1, 3))
    gates = one_hot_gates(space, choices)
    expected, expected_x = gradient(module, variables["params"], variables["batch_stats"], x, gates)
    found, found_x = gradient(alone, own["params"], own["batch_stats"], x)
    assert_close((found, found_x), (cut_like(expected, found), expected_x), tolerance=1e-4)
    left_out = {
        path: leaf for path, leaf in by_path(expected).items() if path not in by_path(found)
    }
    assert left_out
    assert not any(leaf.any() for leaf in left_out.values()), "gates of zero let nothing through"


def test_all_architectures_are_one_program():
    space = AdaptationSpace(SMALL["tangle"], "full")
    module, variables = whole("tangle")
    traces = []

    @jax.jit
    def logits(gates):
        traces.append(1)
        return module.apply(variables, images(), gates, train=False)

    rng = np.random.default_rng(0)
    seen = [
        np.asarray(logits(one_hot_gates(space, connected_choices(space, rng)))) for _ in range(4)
    ]
    assert len(np.unique(seen, axis=0)) == 4
    assert len(traces) == 1


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_the_gates_of_choices_are_the_rows_of_each_blocks_table(granularity):
    space = AdaptationSpace(SMALL["mobilenet"], granularity)
    choices = np.random.default_rng(0).integers(0, 3, space.shape[:2])
    gates = np.asarray(one_hot_gates(space, choices))
    assert gates.dtype == np.float32
    assert gates.shape == zero_gates(space).shape
    for block, table in enumerate(space.table_of_block):
        for edge in range(space.shape[1]):
            assert gates[block, edge].tolist() == [c == choices[table, edge] for c in range(3)]


# Parts.


@pytest.mark.parametrize("stride", [1, 2])
def test_a_node_that_nothing_reaches_holds_zeros_of_its_shape(stride):
    nodes = (Node(expansion=3, strided=False), Node(relu=True), Node(), Node())
    edges = (Edge(NULL, 0, 2), Edge("conv_1x1", 2, 3), Edge(SKIP, 0, 4))
    cell = Cell("cell", 1, nodes, edges, (2, 4, 2))
    module = BlockModule(cell, Block("cell", 5, stride), "residual", gated=False)
    x = images()
    variables = module.init(jax.random.key(0), (x,), None, None, False)
    out = module.apply(variables, (x,), None, None, False)
    assert out.shape == (2, 8 // stride, 8 // stride, 15)
    assert not np.any(out[..., :5])
    assert not np.any(out[..., 10:])
    assert np.any(out[..., 5:10])
    unstrided = dataclasses.replace(cell, output=(1,))
    module = BlockModule(unstrided, Block("cell", 5, stride), "residual", gated=False)
    assert module.apply(variables, (x,), None, None, False).shape == (2, 8, 8, 9)


def test_a_bypassed_block_does_not_matter():
    cells = zoo.named("resnet20_cells").cells
    older = dataclasses.replace(cells[0], name="older", edges=(Edge(SKIP, 0, 5),))
    blocks = (Block("normal", 4), Block("normal", 4), Block("older", 4))
    genotype = Genotype("net", "darts", 12, (cells[0], older), blocks)
    network = build(genotype, CLASSES)
    variables, x = random_variables(network), images()
    expected = network.apply(variables, x, train=False)
    for path in variables["params"]:
        if path.startswith("block_1"):
            variables["params"][path] = jax.tree.map(
                lambda leaf: leaf + 1, variables["params"][path]
            )
    np.testing.assert_array_equal(network.apply(variables, x, train=False), expected)
    dead = dataclasses.replace(
        cells[0], name="dead", edges=tuple(dataclasses.replace(e, op=NULL) for e in cells[0].edges)
    )
    with_dead = dataclasses.replace(
        genotype,
        cells=(*genotype.cells, dead),
        blocks=(blocks[0], Block("dead", 4), blocks[2]),
    )
    network = build(with_dead, CLASSES)
    found = network.apply(cut(variables, network, SHAPE), x, train=False)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", zoo.ZOO)
def test_a_network_whose_output_cannot_be_reached_is_not_built(name):
    genotype = zoo.named(name)
    cells = tuple(
        dataclasses.replace(
            cell,
            edges=tuple(
                dataclasses.replace(edge, op=NULL) if edge.target in cell.output else edge
                for edge in cell.edges
            ),
        )
        for cell in genotype.cells
    )
    dead = dataclasses.replace(genotype, cells=cells)
    with pytest.raises(ValueError, match=f"'{name}': no path .* from the image to the classifier"):
        build(dead, 10)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_takes_images_of_any_size(name):
    network = build(SMALL[name], CLASSES)
    shapes = abstract_variables(network, SHAPE)
    x = jax.ShapeDtypeStruct((3, 7, 9, 3), jnp.float32)
    out, changed = jax.eval_shape(
        lambda v, x: network.apply(v, x, train=True, mutable=["batch_stats"]), shapes, x
    )
    assert (out.shape, out.dtype) == ((3, CLASSES), jnp.float32)
    assert changed["batch_stats"] == shapes["batch_stats"]


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v2_cells"])
def test_bfloat16_is_for_the_computation_alone(name):
    space = AdaptationSpace(SMALL[name], "cell")
    gates, x = one_hot_gates(space, space.base_choices()), images()
    narrow = supernet(space, CLASSES, jnp.bfloat16)
    module, variables = whole(name)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert abstract_variables(narrow, SHAPE, gates) == abstract_variables(module, SHAPE, gates)
    found, expected = (run(each, variables, True, x, gates) for each in (narrow, module))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert not np.array_equal(found[0], expected[0]), "something was narrow"
    assert_close(found, expected, tolerance=0.1)
    programs = str(jax.make_jaxpr(lambda x: narrow.apply(variables, x, gates, train=False))(x))
    convolutions = [line for line in programs.split("\n") if "conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
