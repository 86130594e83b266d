"""One program for all children: each computes what the network built from its genotype does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import SpaceError
from jaxnas.spaces.block_cells import BlockCellSpace, enas_micro_space

from .built import assert_same_step, loss_of

SHAPE = (12, 12, 3)
# Operations with and without weights, of one and of two steps, with and without dilation.
OPERATIONS = ("skip_connect", "conv_1x3_3x1", "dil_conv_3x3", "max_pool_3x3", "sep_conv_3x3")


def space(**changes):
    settings = {
        "title": "small",
        "family": "nasnet",
        "operations": OPERATIONS,
        "blocks": 3,
        "tables": ("normal", "reduction"),
        "channels": 4,
        "cell_count": 3,
    }
    return BlockCellSpace(**settings | changes)


FEW = ("skip_connect", "avg_pool_3x3", "conv_3x3")
SPACES = {
    # Two normal cells in a stage, so that one may take the older input as it is.
    "nasnet": space(cell_count=4),
    "combine": space(operations=FEW, combine=True, cell_count=2),
    "pnas": space(operations=FEW, tables=("cell",), output="all"),
    "small pnas": space(operations=FEW, blocks=2, tables=("cell",), output="all", cell_count=2),
    "pnas of one block": space(operations=FEW, blocks=1, tables=("cell",), output="all"),
    # Two normal cells in a stage again, or one.
    "enas": enas_micro_space(2, channels=4, cell_count=6),
    "shared enas": space(
        family="enas",
        operations=("sep_conv_3x3", "avg_pool_3x3", "skip_connect"),
        blocks=2,
        interleaved=True,
    ),
}
SPACES["shared nasnet"] = SPACES["nasnet"]
PROGRAMS = {}


def program(name):
    """A child network of a space, with its compiled loss, gradient and statistics."""
    if name not in PROGRAMS:
        network = nn.Child(SPACES[name], 10, shared="shared" in name, auxiliary="enas" in name)
        PROGRAMS[name] = network, loss_of(network)
    return PROGRAMS[name]


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(8, *SHAPE)), jnp.float32)


def draw(name, seed):
    return np.random.default_rng(seed).integers(0, SPACES[name].options).astype(np.int32)


# The others need a minute to compile.
@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        pytest.param(n, 3, marks=pytest.mark.slow)
        for n in ("nasnet", "combine", "shared nasnet", "enas", "shared enas", "pnas")
    ]
    # The first child of these is a quick case.
    + [("small pnas", 1), pytest.param("small pnas", 2, marks=pytest.mark.slow)],
)
def test_a_child_is_the_network_of_its_genotype(name, seeds, images):
    network, step = program(name)
    judge = jax.jit(functools.partial(network.apply, train=False))
    for seed in range(seeds):
        candidate = draw(name, seed)
        choices = nn.child_choices(network, candidate)
        built = nn.build(SPACES[name].decode(candidate), 10, auxiliary=network.auxiliary)
        initial = nn.init(built, jax.random.key(seed), SHAPE)
        if network.shared:
            variables = nn.shared_variables(network, jax.random.key(seed), SHAPE)
            cut = nn.cut_child(network, variables, candidate)
            assert jax.tree.map(jnp.shape, cut) == jax.tree.map(jnp.shape, initial)
            initial = cut
        else:
            variables = nn.child_variables(network, jax.random.key(seed), SHAPE, candidate)
            jax.tree.map(
                np.testing.assert_array_equal, nn.cut_child(network, variables, candidate), initial
            )
        found = step(variables["params"], variables, images, choices)
        (_, (_, statistics)), _ = found
        cut = functools.partial(nn.cut_child, network, candidate=candidate)
        wanted_statistics = assert_same_step(found, cut, built, initial, images)

        after = {"params": variables["params"], "batch_stats": statistics}
        judged = judge(after, images, choices)
        wanted = jax.jit(functools.partial(built.apply, train=False))(
            {**initial, "batch_stats": wanted_statistics}, images
        )
        np.testing.assert_allclose(judged, wanted, rtol=1e-4, atol=1e-4)
    step(variables["params"], variables, images, nn.child_choices(network, draw(name, seeds)))
    assert step._cache_size() == 1, "other children, the same program"


def test_the_cells_before_decide_whether_the_older_input_is_convolved():
    small = space(operations=FEW, cell_count=6)
    network = nn.Child(small, 10)
    # A chain: each block takes the one before twice; only the last is put out.
    chain = np.array([[0, 1, 0, 0], [2, 2, 0, 0], [3, 3, 0, 0]], np.int32)
    matched = [
        int(choice.matched[1])
        for choice in nn.child_choices(network, np.concatenate([chain, chain]).ravel())
    ]
    # The first has the stem; behind the stem, and behind a reduction, sizes or channels differ.
    assert matched == [1, 1, 1, 1, 0, 1, 1, 0]


def test_wrong_candidates_are_refused():
    network = nn.Child(SPACES["pnas"], 10)
    with pytest.raises(SpaceError, match="12 whole numbers"):
        nn.child_choices(network, np.zeros(5, np.int32))
