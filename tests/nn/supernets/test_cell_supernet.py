import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.spaces.cells import DARTS_OPERATIONS, CellSpace
from jaxnas.spaces.transitions import OPERATION_SETS, Cells

SHAPE = (8, 8, 3)
SPACE = CellSpace(("null", "avg_pool_3x3", "skip_connect", "conv_1x1"), 2, 3, nodes=2)
NETWORK = CellSupernet(SPACE, 10)
LOOSE, V2 = OPERATION_SETS["v1"][1], OPERATION_SETS["v2"][0]


@pytest.mark.parametrize(
    ("operations", "channels", "nodes", "params"),
    [
        pytest.param(DARTS_OPERATIONS, 16, 4, 1_930_618, marks=pytest.mark.slow),
        pytest.param(OPERATION_SETS["v1"][0], 20, 4, 5_997_350, marks=pytest.mark.slow),
        pytest.param(LOOSE, 20, 5, 20_159_350, marks=pytest.mark.slow),
        pytest.param(V2, 20, 4, 15_024_550, marks=pytest.mark.slow),
        pytest.param(V2, 20, 5, 21_423_350, marks=pytest.mark.slow),
    ],
)
def test_supernets_have_their_published_size(operations, channels, nodes, params):
    space = CellSpace(operations, channels, 8, nodes)
    variables = nn.abstract_variables(
        CellSupernet(space, 10), (32, 32, 3), np.zeros(space.shape, np.float32)
    )
    counts = [math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])]
    assert sum(counts) == params


@pytest.fixture(scope="module")
def variables():
    return nn.init(NETWORK, jax.random.key(0), SHAPE, jnp.zeros(SPACE.shape))


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(4, *SHAPE)), jnp.float32)


def draw(seed):
    """Different sources for the two edges of a node, and the gates that say the same."""
    generator = np.random.default_rng(seed)
    sources = np.stack(
        [
            [generator.permutation(target)[:2] for target in range(2, SPACE.nodes + 2)]
            for _ in range(2)
        ]
    )
    operations = generator.integers(0, len(SPACE.operations), sources.shape)
    gates = np.zeros(SPACE.shape, np.float32)
    for table, node, slot in np.ndindex(*sources.shape):
        edge = SPACE.edges.index((int(sources[table, node, slot]), node + 2))
        gates[table, edge, operations[table, node, slot]] = 1
    outputs = np.ones((2, SPACE.nodes), np.float32)
    return Cells(sources.astype(np.int32), operations.astype(np.int32), outputs), gates


def trained(params, variables, x, architecture):
    out, changed = NETWORK.apply(
        {**variables, "params": params}, x, architecture, train=True, mutable=["batch_stats"]
    )
    return (out**2).sum(), (out, changed["batch_stats"])


step = jax.value_and_grad(trained, has_aux=True)
jitted = jax.jit(step)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_paths_switched_or_one_by_one_are_the_gates(seed, variables, images):
    paths, gates = draw(seed)
    (_, (switched, switched_statistics)), switched_gradient = jitted(
        variables["params"], variables, images, jax.tree.map(jnp.asarray, paths)
    )
    one_by_one = jax.jit(lambda variables, x: step(variables["params"], variables, x, paths))
    (_, (alone, statistics)), gradient = one_by_one(variables, images)
    (_, (weighted, _)), weighted_gradient = jitted(variables["params"], variables, images, gates)
    np.testing.assert_allclose(switched, weighted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(alone, weighted, rtol=1e-4, atol=1e-4)
    assert np.abs(weighted).max() > 0.1
    chex.assert_trees_all_close(switched_gradient, weighted_gradient, rtol=1e-3, atol=1e-3)
    chex.assert_trees_all_close(gradient, weighted_gradient, rtol=1e-3, atol=1e-3)
    chex.assert_trees_all_close(switched_statistics, statistics, rtol=1e-4, atol=1e-4)


def test_what_did_not_run_keeps_its_batch_statistics(variables, images):
    paths, gates = draw(0)
    _, (_, statistics) = trained(variables["params"], variables, images, paths)
    moved = jax.tree.map(
        lambda new, old: bool((new != old).any()), statistics, {**variables["batch_stats"]}
    )
    for index, block in enumerate(SPACE.blocks):
        table = int(block.stride == 2)
        for name, leaves in moved[f"block_{index}"].items():
            _, source, target, operation = name.split("_", 3)
            edge = SPACE.edges.index((int(source), int(target)))
            chosen = gates[table, edge, SPACE.operations.index(operation)] > 0
            assert any(jax.tree.leaves(leaves)) == chosen, name


def test_nodes_left_out_of_the_output_are_zeros_there(variables, images):
    paths, _ = draw(1)
    none = paths._replace(outputs=np.zeros_like(paths.outputs))
    logits = NETWORK.apply(variables, images, none, train=False)
    bias = variables["params"]["classifier"]["bias"]
    np.testing.assert_array_equal(logits, np.broadcast_to(bias, logits.shape))
