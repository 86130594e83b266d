"""Small networks with every cell of the zoo, and variables that hide no mistake."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn import abstract_variables, supernet
from jaxnas.spaces import (
    AdaptationSpace,
    Block,
    Cell,
    Edge,
    Genotype,
    NASBench201Space,
    Node,
    zoo,
)
from jaxnas.spaces.genotype import NULL, SKIP

SHAPE = (8, 8, 3)
CLASSES = 5


def _renamed(genotype, prefix):
    return tuple(
        dataclasses.replace(cell, name=f"{prefix}_{cell.name}")
        for cell in zoo.named(genotype).cells
    )


def _resnets():
    """The cells of ResNets of both options and of the plain network, at stride 1 and 2."""
    cells = (
        *_renamed("resnet20", "a"),
        *_renamed("resnet20_b", "b"),
        *_renamed("plain20", "plain"),
    )
    blocks = (
        Block("a_normal", 4),
        Block("a_reduction", 8, 2),
        Block("b_normal", 8),
        Block("b_reduction", 12, 2),
        Block("plain_normal", 12),
        Block("plain_reduction", 16, 2),
    )
    return Genotype("resnets", "residual", 4, cells, blocks)


def _mobilenet():
    blocks = (
        Block("first", 4),
        Block("widening", 8),
        Block("normal", 8),
        Block("reduction", 12, 2),
        Block("normal", 12),
    )
    return dataclasses.replace(zoo.named("mobilenet_v2"), stem=6, head=16, blocks=blocks)


def _bottlenecks():
    """ResNet-50's cells: a stage that widens at stride 1, and one that halves the image."""
    return zoo.staged_resnet("bottlenecks", (2, 1), width=4, bottleneck=True)


def _residual_cells():
    """The residual cells that NAT released, before and after; one reduction follows another."""
    cells = (
        *_renamed("resnet20_cells", "base"),
        *_renamed("nat_resnet20_cells", "nat"),
        *_renamed("plain20_cells", "plain"),
    )
    blocks = (
        Block("base_normal", 4),
        Block("nat_reduction", 8, 2),
        Block("base_reduction", 12, 2),
        Block("plain_normal", 12),
        Block("nat_normal", 12),
        Block("plain_reduction", 16, 2),
    )
    return Genotype("residual_cells", "darts", 6, cells, blocks)


def _mobilenet_cells():
    cells = zoo.named("mobilenet_v2_cells").cells
    return zoo.darts_network("mobilenet_cells", *cells, channels=4, layers=3)


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
    blocks = (Block("tangle", 5), Block("tangle", 7, 2))
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


def _states():
    """NASNet's family: raw inputs, an output of inputs, a concatenating node, a skipped input."""
    normal = Cell(
        "normal",
        2,
        (Node(), Node(concat=True), Node()),
        (
            Edge("sep_conv_5x5", 0, 2),
            Edge(SKIP, 1, 2),
            Edge("avg_pool_3x3", 1, 3),
            Edge(NULL, 2, 3),
            Edge(SKIP, 0, 4),
            Edge("bottleneck_conv_1x7_7x1", 3, 4),
        ),
        (1, 3, 4),
    )
    reduction = Cell(
        "reduction",
        2,
        (Node(), Node()),
        (
            Edge("max_pool_2x2", 0, 2),
            Edge("sep_conv_3x3", 1, 2),
            Edge(SKIP, 2, 3),
            Edge("conv_3x3", 0, 3),
        ),
        (0, 2, 3),
    )
    blocks = (
        Block("normal", 4),
        Block("reduction", 8, 2),
        Block("normal", 8, previous=3),
        Block("normal", 8),
    )
    return Genotype(
        "states", "nasnet", 6, (normal, reduction), blocks, stem_form="valid", epsilon=1e-3
    )


def _micro():
    """ENAS's family: calibrated inputs, of which one stays unused."""
    cell = Cell(
        "cell",
        2,
        (Node(), Node()),
        (
            Edge("sep_conv_3x3", 1, 2),
            Edge("max_pool_3x3", 1, 2),
            Edge(SKIP, 1, 3),
            Edge("avg_pool_3x3", 2, 3),
        ),
        (0, 3),
    )
    blocks = (Block("cell", 4), Block("cell", 8, 2), Block("cell", 8))
    return Genotype("micro", "enas", 4, (cell,), blocks)


def _macro():
    """ENAS's macro family: a block of three inputs, and outputs halved more than once."""
    return zoo.enas_macro(channels=4, cell_count=6)


def _primitives():
    """DARTS's family: dilation and pooling."""
    cell = Cell(
        "cell",
        2,
        (Node(), Node()),
        (
            Edge("dil_conv_3x3", 0, 2),
            Edge("max_pool_3x3", 1, 2),
            Edge("avg_pool_3x3", 1, 3),
            Edge("conv_1x7_7x1", 2, 3),
        ),
        (2, 3),
    )
    blocks = (Block("cell", 4), Block("cell", 6, 2), Block("cell", 6))
    return Genotype("primitives", "darts", 4, (cell,), blocks)


def _nasbench201():
    """NAS-Bench-201's family, with a node that nothing reaches and one that nothing reads."""
    space = NASBench201Space(channels=4, cells=1)
    network = space.decode(
        space.from_arch_string(
            "|none~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+"
            "|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|"
        )
    )
    return dataclasses.replace(network, name="nasbench201", blocks=network.blocks[:3])


def _nas2017():
    """NAS's family: different sides and strides, inputs of different sizes, two unread outputs."""
    layers = (
        ("conv_3x1", 4, (1, 1), (-1,)),
        ("conv_1x3", 3, (3, 2), (0,)),
        ("conv_5x3", 2, (2, 1), (-1,)),
        ("conv_3x3", 5, (1, 2), (1, 2)),
        ("conv_1x1", 3, (1, 1), (-1, 2)),
    )
    cells = (Cell(op, 1, (Node(relu=True),), (Edge(op, 0, 1),), (1,)) for op, *_ in layers)
    blocks = (
        Block(op, channels, sources=sources, strides=strides)
        for op, channels, strides, sources in layers
    )
    return Genotype("nas2017", "nas2017", 0, tuple(cells), tuple(blocks))


def _chain():
    """Inverted residuals with ReLU6, excitation and large kernels, behind a strided stem."""
    return zoo.inverted_chain(
        "chain",
        "k3e1c4s1n k5e3c6s2 k7e3c6s1q",
        stem=4,
        head=8,
        activation="relu6",
        epsilon=1e-3,
    )


def _excited_chain():
    """The blocks of EfficientNet with SiLU and TensorFlow's padding, behind a pooled stem."""
    chain = zoo.inverted_chain(
        "excited_chain",
        "k3e1c4s1q k5e6c6s2q k5e6c6s1q",
        stem=4,
        head=8,
        activation="silu",
        epsilon=1e-3,
        same_padding=True,
    )
    return dataclasses.replace(chain, stem_form="pooled")


SMALL = {
    "resnets": _resnets(),
    "bottlenecks": _bottlenecks(),
    "mobilenet": _mobilenet(),
    "residual_cells": _residual_cells(),
    "mobilenet_cells": _mobilenet_cells(),
    "tangle": _tangle(),
    "concat": _concat(),
    "states": _states(),
    "micro": _micro(),
    "macro": _macro(),
    "primitives": _primitives(),
    "chain": _chain(),
    "excited_chain": _excited_chain(),
    "nasbench201": _nasbench201(),
    "nas2017": _nas2017(),
}


ONE_OF_EACH_FAMILY = ("tangle", "primitives", "states", "micro", "macro", "nasbench201", "nas2017")


def quick(*names):
    """All of `SMALL` for `parametrize`; those that are not named are among the slow tests."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]


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
