"""Networks and supernets against NumPy, and against each other."""

import dataclasses
import functools

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn import Noise, abstract_variables, build, cut, cut_like, kernels, supernet
from jaxnas.nn.blocks import BlockModule
from jaxnas.nn.layers import drop_path
from jaxnas.nn.operations import Style
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node, zoo
from jaxnas.spaces.adaptation import SAME
from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import ACTIVATIONS, NULL, SKIP, STEMS
from support.networks import (
    CLASSES,
    ONE_OF_EACH_FAMILY,
    SHAPE,
    SMALL,
    assert_close,
    by_path,
    images,
    random_variables,
    whole,
    zero_gates,
)
from support.reference import Reference

GRANULARITIES = ("cell", "full")


@functools.partial(jax.jit, static_argnames=("module", "train"))  # op by op is far slower
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


def test_the_small_networks_have_all_that_a_genotype_can_say():
    small = SMALL.values()
    assert {each.family for each in small} == set(FAMILIES)
    assert {each.activation for each in small} == set(ACTIVATIONS)
    assert {block.previous for each in small for block in each.blocks} == {2, 3}
    # The cells that PNAA's experiments start from are there as they are.
    cells = {
        dataclasses.replace(cell, name=each.family)
        for each in small
        for cell in each.placed_cells()
    }
    bases = "resnet20 resnet20_b plain20 resnet18 resnet50 mobilenet_v2 resnet20_cells"
    for name in bases.split():
        base = zoo.named(name)
        assert {dataclasses.replace(cell, name=base.family) for cell in base.cells} <= cells


# Against NumPy.


# Each compiles one or two networks. One of each family in training is quick; another network of a
# family, and evaluation, which leaves out what training does, are mostly among the slow tests.
EACH = [
    pytest.param(
        name,
        train,
        marks=()
        if (name in ONE_OF_EACH_FAMILY if train else name in ("tangle", "states", "excited_chain"))
        else pytest.mark.slow,
    )
    for name in SMALL
    for train in (False, True)
]


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("name", "train"), EACH)
def test_a_network_computes_what_numpy_says_and_its_supernet_with_all_gates_on_same(name, train):
    network = build(SMALL[name], CLASSES)
    variables = cut(whole(name)[1], network, SHAPE)
    found = run(network, variables, train, images())
    assert_is_what_numpy_says(found, SMALL[name], variables, train)
    gates = zero_gates(AdaptationSpace(SMALL[name], "full")).at[..., SAME].set(1)
    logits, stats = gated(name, train)(gates)
    assert_close((logits, cut_like(stats, variables["batch_stats"])), found)


@pytest.mark.parametrize(("name", "train"), EACH)
def test_a_supernet_weights_every_candidate_by_its_gate(name, train):
    space = AdaptationSpace(SMALL[name], "full")
    gates = np.random.default_rng(1).uniform(-1, 1, zero_gates(space).shape)
    found = gated(name, train)(jnp.asarray(gates, jnp.float32))
    assert_is_what_numpy_says(found, SMALL[name], whole(name)[1], train, gates)


# Derived networks against the supernet.


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("name", "train"), EACH)
def test_a_network_built_alone_computes_what_the_supernet_does_with_its_gates(name, train):
    granularity, derived = ("full", False) if train else ("cell", True)
    space = AdaptationSpace(SMALL[name], granularity)
    rng = np.random.default_rng([len(name), len(granularity)])
    if derived:
        choices = space.derive(rng.normal(size=space.shape)).choices
    else:
        choices = connected_choices(space, rng)
    alone = build(space.decode(choices[space.valid]), CLASSES)
    own = cut(whole(name)[1], alone, SHAPE)
    logits, stats = gated(name, train)(space.one_hot_gates(choices))
    expected = logits, cut_like(stats, own["batch_stats"])
    assert_close(run(alone, own, train, images()), expected, tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual_cells", "tangle"])
def test_a_cut_network_has_the_supernets_gradients(name):
    space = AdaptationSpace(SMALL[name], "full")
    choices = connected_choices(space, np.random.default_rng(5))
    module, variables = whole(name)
    alone, x = build(space.decode(choices[space.valid]), CLASSES), images()
    own = cut(variables, alone, SHAPE)
    direction = images(9, 2, (CLASSES,))

    def loss(module, params, stats, x, *gates):
        logits, _ = module.apply(
            {"params": params, "batch_stats": stats}, x, *gates, train=True, mutable=["batch_stats"]
        )
        return (logits * direction).sum()

    # Op by op: two programs round differently, and so may fall on two sides of a ReLU's kink.
    gradient = jax.grad(loss, (1, 3))
    gates = space.one_hot_gates(choices)
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
        np.asarray(logits(space.one_hot_gates(connected_choices(space, rng)))) for _ in range(4)
    ]
    assert len(np.unique(seen, axis=0)) == 4
    assert len(traces) == 1


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_the_gates_of_choices_are_the_rows_of_each_blocks_table(granularity):
    space = AdaptationSpace(SMALL["mobilenet"], granularity)
    choices = np.random.default_rng(0).integers(0, 3, space.shape[:2])
    gates = np.asarray(space.one_hot_gates(choices))
    assert gates.dtype == np.float32
    assert gates.shape == zero_gates(space).shape
    for block, table in enumerate(space.table_of_block):
        for edge in range(space.shape[1]):
            assert gates[block, edge].tolist() == [c == choices[table, edge] for c in range(3)]


# Parts.

RESIDUAL = Style("residual", "relu", 1e-5, jnp.float32)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_node_that_nothing_reaches_holds_zeros_of_its_shape(stride):
    nodes = (Node(expansion=3, strided=False), Node(relu=True), Node(), Node())
    edges = (Edge(NULL, 0, 2), Edge("conv_1x1", 2, 3), Edge(SKIP, 0, 4))
    cell = Cell("cell", 1, nodes, edges, (2, 4, 2))
    module = BlockModule(cell, Block("cell", 5, stride), RESIDUAL, gated=False)
    x = images()
    variables = module.init(jax.random.key(0), (x,), None, None, False)
    out = module.apply(variables, (x,), None, None, False)
    assert out.shape == (2, 8 // stride, 8 // stride, 15)
    assert not np.any(out[..., :5])
    assert not np.any(out[..., 10:])
    assert np.any(out[..., 5:10])
    unstrided = dataclasses.replace(cell, output=(1,))
    module = BlockModule(unstrided, Block("cell", 5, stride), RESIDUAL, gated=False)
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


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("family", ["darts", "nasnet"])
@pytest.mark.parametrize("stem", STEMS)
def test_stems_compute_what_numpy_says(stem, family):
    edges = (Edge(SKIP, 0, 2), Edge("max_pool_3x3", 1, 2))
    cell = Cell("cell", 2, (Node(),), edges, (2,))
    genotype = Genotype(
        "net", family, 6, (cell,), (Block("cell", 6), Block("cell", 8)), stem_form=stem
    )
    network, shape = build(genotype, CLASSES), (27, 22, 3)
    variables, x = random_variables(network, shape=shape), images(shape=shape)
    expected = Reference(variables).network(genotype, x)
    assert_close(run(network, variables, False, x)[0], expected, tolerance=1e-4)


@pytest.mark.parametrize(
    "name", [name for name in zoo.ZOO if zoo.named(name).family in ("residual", "darts")]
)
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


@pytest.mark.quick_cases(1)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_cells"])
def test_bfloat16_is_for_the_computation_alone(name):
    space = AdaptationSpace(SMALL[name], "cell")
    gates, x = space.one_hot_gates(space.base_choices()), images()
    narrow = supernet(space, CLASSES, jnp.bfloat16)
    module, variables = whole(name)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert abstract_variables(narrow, SHAPE, gates) == abstract_variables(module, SHAPE, gates)
    found, expected = (run(each, variables, True, x, gates) for each in (narrow, module))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert not np.array_equal(found[0], expected[0]), "something was narrow"
    assert_close(found, expected, tolerance=0.1)
    with kernels.portable():
        program = jax.make_jaxpr(lambda x: narrow.apply(variables, x, gates, train=False))(x)
    programs = str(program)
    convolutions = [line for line in programs.split("\n") if "conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)


# What training switches off, and what it adds.


def test_a_dropped_path_is_scaled_so_that_its_mean_stays():
    x = jnp.ones((4000, 2, 1, 3))
    out = np.asarray(drop_path(jax.random.key(0), 0.25, x))
    assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
    assert (out == out[:, :1, :1, :1]).all(), "an image is dropped as a whole"
    alive = (out[:, 0, 0, 0] > 0).mean()
    assert abs(alive - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 4000)


@functools.cache
def trained(name):
    """A network in training as a compiled function of its noise, on the same images."""
    network = build(SMALL[name], CLASSES)
    variables = cut(whole(name)[1], network, SHAPE)
    x = images(batch=4)

    def logits(noise):
        return network.apply(variables, x, train=True, noise=noise, mutable=["batch_stats"])[0]

    return jax.jit(logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["primitives", "states", "micro"])
def test_noise_depends_on_its_key_and_rates_alone(name):
    run = trained(name)

    def noisy(seed, drop_path=0.0, dropout=0.0):
        return np.asarray(run(Noise(jax.random.key(seed), drop_path, dropout)))

    calm = np.asarray(run(None))
    assert_close(noisy(0), calm)
    assert_close(noisy(1), calm)
    for rates in ({"drop_path": 0.5}, {"dropout": 0.5}):
        np.testing.assert_array_equal(noisy(3, **rates), noisy(3, **rates))
        assert not np.allclose(noisy(3, **rates), calm)
        assert not np.allclose(noisy(3, **rates), noisy(4, **rates))


@pytest.mark.slow
def test_identities_are_never_dropped_and_nasnets_not_even_where_they_project():
    for family, stride, dropped in (("darts", 1, False), ("darts", 2, True), ("nasnet", 2, False)):
        cell = Cell("cell", 2, (Node(),), (Edge(SKIP, 1, 2),), (2,))
        genotype = Genotype("net", family, 4, (cell,), (Block("cell", 4, stride),))
        network = build(genotype, CLASSES)
        variables, x = random_variables(network), images(batch=8)

        def run(noise, network=network, variables=variables, x=x):
            return network.apply(variables, x, train=True, noise=noise, mutable=["batch_stats"])[0]

        found = run(Noise(jax.random.key(0), 0.9))
        assert np.allclose(found, run(None), atol=1e-5) != dropped


def test_nasnets_paths_are_dropped_more_often_the_deeper_they_are():
    """The last block at the full rate, block i of n at (i + 1) / n of it."""
    cell = Cell("cell", 2, (Node(),), (Edge("avg_pool_3x3", 0, 2),), (2,))
    for family, rates in (("nasnet", (0.25, 0.5)), ("darts", (0.5, 0.5))):
        genotype = Genotype("net", family, 4, (cell,), (Block("cell", 4),) * 2)
        network = build(genotype, CLASSES)
        variables, x = random_variables(network), jnp.tile(images(batch=1), (600, 1, 1, 1))
        seen = {}

        def note(call, arguments, kwargs, context, seen=seen):
            out = call(*arguments, **kwargs)
            if isinstance(context.module, BlockModule) and context.method_name == "__call__":
                seen[context.module.name] = np.asarray(out).any((1, 2, 3))
            return out

        with flax.linen.intercept_methods(note):
            noise = Noise(jax.random.key(1), 0.5)
            network.apply(variables, x, train=True, noise=noise, mutable=["batch_stats"])
        for block, rate in enumerate(rates):
            assert abs(1 - seen[f"block_{block}"].mean() - rate) < 0.11


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("primitives", (32, 32, 3)),
        ("states", (65, 65, 3)),
        ("micro", (32, 32, 3)),
    ],
)
def test_an_auxiliary_head_speaks_in_training_alone(name, shape):
    genotype = dataclasses.replace(SMALL[name], auxiliary=1)
    network, plain = build(genotype, CLASSES, auxiliary=True), build(genotype, CLASSES)
    for each in (shape, SHAPE):  # as published, and of a size that leaves almost no map
        variables = random_variables(network, shape=each)
        x = images(shape=each)
        assert_close(run(network, variables, False, x)[0], run(plain, variables, False, x)[0])
        (main, auxiliary), stats = run(network, variables, True, x)
        assert_close(main, run(plain, variables, True, x)[0])
        assert (auxiliary.shape, auxiliary.dtype) == ((2, CLASSES), jnp.float32)
        assert np.isfinite(auxiliary).all()
        assert set(stats["auxiliary"]) == {"reduce_norm", "norm"}


def test_no_auxiliary_head_without_a_place_for_it():
    space = AdaptationSpace(SMALL["concat"], "cell")
    with pytest.raises(ValueError, match="'concat' has no place for an auxiliary head"):
        build(SMALL["concat"], CLASSES, auxiliary=True)
    with pytest.raises(ValueError, match="'concat' has no place for an auxiliary head"):
        supernet(space, CLASSES, auxiliary=True)


@pytest.mark.parametrize("classes", [-3, "10", 2.5])
def test_a_number_of_classes_that_cannot_be_is_refused(classes):
    with pytest.raises(ValueError, match="number of classes must be a whole number of at least 0"):
        build(SMALL["concat"], classes)


def test_without_classes_a_network_ends_in_what_its_classifier_sees():
    network = build(SMALL["concat"], CLASSES)
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    variables = random_variables(network)
    evaluate = jax.jit(functools.partial(network.apply, train=False))
    headless = jax.jit(functools.partial(build(SMALL["concat"], 0).apply, train=False))
    features = headless(variables, images)
    assert features.dtype == jnp.float32
    classifier = variables["params"]["classifier"]
    logits = features @ classifier["kernel"] + classifier["bias"]
    np.testing.assert_allclose(logits, evaluate(variables, images), atol=1e-6)


def test_a_name_is_no_genotype():
    with pytest.raises(TypeError, match=r"spaces\.zoo\.named"):
        build("darts_v2", CLASSES)
