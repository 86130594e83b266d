"""Small networks with every cell of the zoo, and variables that hide no mistake."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn import abstract_variables, supernet
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node, zoo
from jaxnas.spaces.genotype import NULL, SKIP

SHAPE = (8, 8, 3)
CLASSES = 5


def _residual(name):
    """Every cell of the zoo's `name`: at stride 1 and 2, at equal and at growing channels."""
    base = zoo.named(name)
    if name == "mobilenet_v2":
        blocks = (
            Block("first", 4),
            Block("widening", 6),
            Block("normal", 6),
            Block("reduction", 8, 2),
            Block("normal", 8),
        )
        return dataclasses.replace(base, stem=5, head=12, blocks=blocks)
    blocks = (Block("normal", 4), Block("reduction", 8, 2), Block("normal", 8))
    return dataclasses.replace(base, stem=4, blocks=blocks)


def _cells(name):
    base = zoo.named(name)
    return zoo.darts_network(base.name, *base.cells, channels=4, layers=4)


def _tangle():
    """What the zoo leaves out: odd channels, concatenation, an unstrided node, two equal edges."""
    cell = Cell(
        "tangle",
        1,
        (Node(strided=False, relu=True), Node(), Node(relu=True)),
        (
            Edge("conv_3x3", 0, 1),
            Edge(SKIP, 0, 1),
            Edge(SKIP, 0, 2),
            Edge(SKIP, 1, 2),
            Edge(NULL, 0, 3),
            Edge("conv_1x1", 1, 3),
            Edge("conv_1x1", 1, 3),
            Edge(SKIP, 2, 3),
        ),
        (3, 2),
    )
    blocks = (Block("tangle", 5), Block("tangle", 7, 2), Block("tangle", 14))
    return Genotype("tangle", "residual", 3, (cell,), blocks, head=6)


def _concat():
    """A cell of DARTS's shape: all nodes in the output, which is wider than an input."""
    cell = Cell(
        "concat",
        2,
        (Node(), Node(), Node()),
        (
            Edge("sep_conv_3x3", 0, 2),
            Edge("conv_3x3", 1, 2),
            Edge(SKIP, 0, 3),
            Edge(NULL, 2, 3),
            Edge("conv_1x1", 1, 4),
            Edge("sep_conv_3x3", 3, 4),
        ),
        (2, 3, 4),
    )
    blocks = (Block("concat", 3), Block("concat", 5, 2), Block("concat", 5))
    return Genotype("concat", "darts", 4, (cell,), blocks)


SMALL = {
    **{name: _residual(name) for name in ("resnet20", "resnet20_b", "plain20", "mobilenet_v2")},
    **{
        name: _cells(name)
        for name in ("resnet20_cells", "plain20_cells", "nat_resnet20_cells", "mobilenet_v2_cells")
    },
    "tangle": _tangle(),
    "concat": _concat(),
}


def images(seed=0, batch=2, shape=SHAPE):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, *shape)), jnp.float32)


def random_variables(module, *args, seed=0, shape=SHAPE):
    """Variables of which no two batch norms are alike, so that none can stand for another."""
    rng = np.random.default_rng(seed)

    def value(path, leaf):
        match path[-1].key:
            case "kernel":
                drawn = rng.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
            case "scale" | "var":
                drawn = rng.uniform(0.5, 1.5, leaf.shape)
            case "bias" | "mean":
                drawn = rng.normal(size=leaf.shape) * 0.3
        return jnp.asarray(drawn, jnp.float32)

    return jax.tree_util.tree_map_with_path(value, abstract_variables(module, shape, *args))


def zero_gates(space):
    return jnp.zeros((len(space.base.blocks), space.shape[1], 3))


@functools.cache
def whole(name):
    """(supernet, its random variables) of a small network, the same for both granularities."""
    space = AdaptationSpace(SMALL[name], "full")
    module = supernet(space, CLASSES)
    return module, random_variables(module, zero_gates(space))


def by_path(tree):
    """The leaves of nested dictionaries by their keys."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(part.key for part in path): np.asarray(leaf) for path, leaf in leaves}


def assert_close(found, expected, tolerance=2e-5):
    """Equal to float32 rounding of a network: relative to the largest value of each array."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        np.testing.assert_allclose(
            one,
            other,
            rtol=tolerance,
            atol=tolerance * max(np.abs(other).max(initial=0), 1e-3),
            err_msg=jax.tree_util.keystr(path),
        )
